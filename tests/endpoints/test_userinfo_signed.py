"""UserInfo as a signed JWT (OpenID Connect Core §5.3.2, §5.3.4)."""

from __future__ import annotations

from typing import Any

import jwt
import pytest

from provider.protocol.client import ClientDetails
from tests.endpoints.browsing import Browser, code_of, page_of
from tests.endpoints.provider import KnownClient, Provider, claims_of, header_of

ALGORITHMS = ("RS256", "ES256", "EdDSA")


def signed_client(provider: Provider, algorithm: str = "RS256", **options: Any) -> KnownClient:
    details = {"userinfo_signed_response_alg": algorithm, **options.pop("details", {})}
    return provider.client(**{"details": ClientDetails(**details), **options})


def verified(provider: Provider, token: str, audience: str) -> Any:
    """As a client's library does it, with what is published."""
    header = header_of(token)
    (key,) = [item for item in provider.get(f"{provider.path}/jwks").json["keys"] if item["kid"] == header["kid"]]
    return jwt.decode(token, jwt.PyJWK(key), [header["alg"]], audience=audience, issuer=provider.issuer)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_it_is_signed_as_registered_for_its_client(provider: Provider, algorithm: str, method: str) -> None:
    client, user = signed_client(provider, algorithm), provider.user(display_name="Ada", is_verified=True)
    tokens = provider.tokens(user, client, ("openid", "profile", "email"))
    headers = {"Authorization": f"Bearer {tokens['access_token']}"}
    answer = provider.send(method, f"{provider.path}/userinfo", headers=headers)
    assert answer.status == 200
    assert answer.header("Content-Type") == "application/jwt"
    assert answer.header("Cache-Control") == "no-store"
    assert answer.header("Access-Control-Allow-Origin") == "*"
    assert header_of(answer.text)["alg"] == algorithm
    assert verified(provider, answer.text, client.client_id) == {
        "iss": provider.issuer, "aud": client.client_id, "sub": user.id, "name": "Ada", "preferred_username": "ada",
        "updated_at": int(user.updated_at.timestamp()), "email": "ada@example.com", "email_verified": True,
    }  # fmt: skip


def test_a_client_that_asked_for_none_gets_json(provider: Provider) -> None:
    tokens = provider.tokens(provider.user(), provider.client())
    assert set(provider.userinfo(tokens["access_token"]).json) == {"sub"}


def test_single_claims_and_pseudonyms_are_in_it(provider: Provider) -> None:
    client = signed_client(provider, is_trusted=True, details={"subject_type": "pairwise"})
    browser, user = Browser(provider), provider.user()
    browser.sign_in(user)
    code = code_of(browser.authorize(client, scope="openid", claims='{"userinfo":{"email":null}}'))
    tokens = provider.redeem(client, code).json
    claims = verified(provider, provider.userinfo(tokens["access_token"]).text, client.client_id)
    assert set(claims) == {"iss", "aud", "sub", "email"}
    assert claims["sub"] == claims_of(tokens["id_token"])["sub"] != user.id


def test_errors_stay_json(provider: Provider) -> None:
    client, user = signed_client(provider), provider.user()
    assert provider.userinfo("x").error == (401, "invalid_token")
    token = provider.tokens(user, client, ("profile",))["access_token"]
    assert provider.userinfo(token).error == (403, "insufficient_scope")


def test_it_passes_for_no_other_token(provider: Provider) -> None:
    """It is signed with the same key for the same client: it must be neither an access token nor a hint (RFC 8725 §3.12)."""
    client, user = signed_client(provider, is_trusted=True), provider.user()
    made = provider.userinfo(provider.tokens(user, client)["access_token"]).text
    assert provider.userinfo(made).error == (401, "invalid_token")
    assert provider.introspect(client, made).json == {"active": False}
    with provider.begin() as tx:
        assert provider.services.token_verifier.verify_id_token_hint(tx, made, provider.clock.now) is None
    browser = Browser(provider)
    browser.sign_in(user)
    page_of(browser.authorize(client, id_token_hint=made), "/login")
