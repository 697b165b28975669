"""The token endpoint with codes (RFC 6749 §4.1.3, RFC 7636 §4.5, OAuth 2.1 §4.1.3)."""

from __future__ import annotations

import base64
import hashlib

import pytest
from sqlalchemy import delete, update

from database.models import AuthorizationCode, RefreshToken, User
from tests.endpoints.provider import (
    API,
    REDIRECT_URI,
    VERIFIER,
    Provider,
    ProviderFactory,
    challenge_of,
    claims_of,
    header_of,
)

METHODS = ["none", "client_secret_basic", "client_secret_post"]
ALL_SCOPE = ("openid", "profile", "offline_access")


@pytest.mark.parametrize("method", METHODS)
def test_a_code_becomes_tokens(provider: Provider, method: str) -> None:
    user, client = provider.user(), provider.client(method)
    _cookie, session = provider.session(user)
    answer = provider.redeem(client, provider.code(provider.grant(user, client, ALL_SCOPE, session=session)))
    assert answer.status == 200
    assert answer.header("Cache-Control") == "no-store"
    tokens = answer.json
    assert set(tokens) == {"access_token", "token_type", "expires_in", "scope", "refresh_token", "id_token"}
    assert tokens["token_type"] == "Bearer"
    assert tokens["scope"] == "openid profile offline_access"
    assert None not in tokens.values()


def test_an_access_token_has_what_rfc_9068_asks_for(provider: Provider) -> None:
    user, client, api = provider.user(), provider.client(), provider.resource()
    _cookie, session = provider.session(user, ("pwd", "otp", "mfa"))
    tokens = provider.tokens(user, client, ("openid", "notes:read"), resource=api.uri, session=session)
    now = int(provider.clock.now.timestamp())
    claims = claims_of(tokens["access_token"])
    assert claims.pop("jti")
    assert claims == {
        "iss": provider.issuer,
        "sub": user.id,
        "aud": API,
        "client_id": client.client_id,
        "scope": "openid notes:read",
        "iat": now,
        "exp": now + tokens["expires_in"],
        "auth_time": now,
        "acr": "urn:mcp-core:two-factor",
        "amr": ["pwd", "otp", "mfa"],
        "sid": session.id,
    }
    header = header_of(tokens["access_token"])
    assert set(header) == {"alg", "kid", "typ"}
    assert (header["typ"], header["alg"]) == ("at+jwt", "RS256")


def test_an_id_token_has_what_openid_connect_asks_for(provider: Provider) -> None:
    user, client = provider.user(display_name="iss", locale="en"), provider.client()
    _cookie, session = provider.session(user)
    grant = provider.grant(user, client, ("openid", "profile", "email"), session=session)
    provider.clock.advance(5)
    tokens = provider.redeem(client, provider.code(grant, nonce="n-0S6_WzA2Mj")).json
    now = int(provider.clock.now.timestamp())
    digest = hashlib.sha256(tokens["access_token"].encode()).digest()[:16]
    assert claims_of(tokens["id_token"]) == {
        "iss": provider.issuer,
        "sub": user.id,
        "aud": client.client_id,
        "azp": client.client_id,
        "iat": now,
        "exp": now + 600,
        "auth_time": now - 5,
        "acr": "urn:mcp-core:password",
        "amr": ["pwd"],
        "sid": session.id,
        "nonce": "n-0S6_WzA2Mj",
        "at_hash": base64.urlsafe_b64encode(digest).rstrip(b"=").decode(),
    }
    assert header_of(tokens["id_token"])["typ"] == "JWT"


@pytest.mark.parametrize("scope, fields", [
    (("openid",), {"id_token", "refresh_token"}),
    (("profile",), {"refresh_token"}),
    (("offline_access", "email"), {"refresh_token"}),
])  # fmt: skip
def test_an_id_token_comes_with_the_scope_openid_alone(
    provider: Provider, scope: tuple[str, ...], fields: set[str]
) -> None:
    user, client = provider.user(), provider.client()
    assert {"id_token", "refresh_token"} & set(provider.tokens(user, client, scope)) == fields


def test_no_refresh_token_for_a_client_that_may_not_refresh(provider: Provider) -> None:
    user, client = provider.user(), provider.client(grant_types=("authorization_code",))
    assert "refresh_token" not in provider.tokens(user, client)
    assert provider.rows(RefreshToken) == []


@pytest.mark.parametrize("sent, status", [
    (REDIRECT_URI, 200),
    (None, 200),  # PKCE proves it (OAuth 2.1 §4.1.3)
    ("", 200),  # empty is absent (OAuth 2.1 §3.2)
    (REDIRECT_URI + "/", 400),
    (REDIRECT_URI.upper(), 400),
    (REDIRECT_URI + "?", 400),
    ("https://app.example.com/other", 400),
])  # fmt: skip
def test_the_redirect_uri_is_the_one_that_was_used_or_absent(provider: Provider, sent: str | None, status: int) -> None:
    user = provider.user()
    client = provider.client(redirect_uris=(REDIRECT_URI, "https://app.example.com/other"))
    answer = provider.redeem(client, provider.code(provider.grant(user, client)), redirect_uri=sent)
    assert answer.status == status
    if status == 400:
        assert answer.error == (400, "invalid_grant")


def test_without_pkce_the_redirect_uri_must_be_repeated(provider: Provider) -> None:
    user, client = provider.user(), provider.client(require_pkce=False)
    code = provider.code(provider.grant(user, client), verifier=None)
    assert provider.redeem(client, code, code_verifier=None, redirect_uri=None).error == (400, "invalid_grant")
    assert provider.redeem(client, code, code_verifier=None).status == 200


def test_a_loopback_redirect_uri_is_compared_with_its_port_here(provider: Provider) -> None:
    user, client = provider.user(), provider.client("none", application_type="native")
    code = provider.code(provider.grant(user, client), redirect_uri="http://localhost:1234/callback")
    assert provider.redeem(client, code, redirect_uri="http://localhost:4321/callback").error == (400, "invalid_grant")
    assert provider.redeem(client, code, redirect_uri="http://localhost:1234/callback").status == 200


@pytest.mark.parametrize("made_with, sent", [
    (VERIFIER, None),  # no verifier for a code with a challenge
    (VERIFIER, ""),
    (None, VERIFIER),  # a verifier for a code without one: a downgrade (RFC 9700 §4.8.2)
    (VERIFIER, "another-verifier" * 3),
    (VERIFIER, challenge_of(VERIFIER)),  # the challenge itself
    (VERIFIER, VERIFIER + "="),
    (VERIFIER, VERIFIER.upper()),
    ("short" * 8, "short" * 8),  # 40 characters
    ("v" * 129, "v" * 129),
    ("v" * 42, "v" * 42),
    ("v" * 42 + "+", "v" * 42 + "+"),
    ("v" * 42 + "ü", "v" * 42 + "ü"),
    ("v" * 43 + "\n", "v" * 43 + "\n"),
])  # fmt: skip
def test_a_wrong_code_verifier_is_refused_and_uses_nothing_up(
    provider: Provider, made_with: str | None, sent: str | None
) -> None:
    user, client = provider.user(), provider.client(require_pkce=False)
    grant = provider.grant(user, client)
    code = provider.code(grant, verifier=made_with)
    assert provider.redeem(client, code, code_verifier=sent).error == (400, "invalid_grant")
    assert [row["used_at"] for row in provider.rows(AuthorizationCode)] == [None]


@pytest.mark.parametrize("verifier", ["v" * 43, "v" * 128, "aZ09-._~" * 8])
def test_a_verifier_has_43_to_128_unreserved_characters(provider: Provider, verifier: str) -> None:
    user, client = provider.user(), provider.client()
    code = provider.code(provider.grant(user, client), verifier=verifier)
    assert provider.redeem(client, code, code_verifier=verifier).status == 200


@pytest.mark.parametrize("age, status", [(0, 200), (59.9, 200), (60, 400), (61, 400), (90000, 400)])
def test_a_code_lives_sixty_seconds(provider: Provider, age: float, status: int) -> None:
    user, client = provider.user(), provider.client()
    code = provider.code(provider.grant(user, client))
    provider.clock.advance(age)
    answer = provider.redeem(client, code)
    assert answer.status == status
    if status == 400:
        assert answer.error == (400, "invalid_grant")


def test_another_client_gets_nothing_for_a_code_and_leaves_it_whole(provider: Provider) -> None:
    user, client, other = provider.user(), provider.client("none"), provider.client("none")
    code = provider.code(provider.grant(user, client))
    assert provider.redeem(other, code).error == (400, "invalid_grant")
    tokens = provider.redeem(client, code).json
    assert provider.redeem(other, code).error == (400, "invalid_grant")  # and is no replay of the client's either
    assert provider.is_alive(tokens["access_token"])


@pytest.mark.parametrize(
    "code", ["", "x", "mcp_ac_" + "0" * 49, "mcp_rt_" + "0" * 49, "ü" * 40, "' OR 1=1 --", "a" * 9000]
)
def test_a_code_that_never_was_is_refused(provider: Provider, code: str) -> None:
    answer = provider.redeem(provider.client(), code)
    assert answer.error == (400, "invalid_grant" if code else "invalid_request")


def test_a_code_is_stored_as_a_hash(provider: Provider) -> None:
    user, client = provider.user(), provider.client()
    code = provider.code(provider.grant(user, client))
    tokens = provider.redeem(client, code).json
    stored = repr([provider.rows(AuthorizationCode), provider.rows(RefreshToken), provider.events()])
    assert code not in stored
    assert tokens["refresh_token"] not in stored


def test_a_code_used_twice_revokes_what_it_gave(provider_everywhere: Provider) -> None:
    provider = provider_everywhere
    user, client = provider.user(), provider.client("none")
    other = provider.tokens(user, client)  # another grant of the same client and user
    code = provider.code(provider.grant(user, client))
    first = provider.redeem(client, code).json
    provider.clock.advance(3)
    second = provider.refresh(client, first["refresh_token"]).json
    assert provider.redeem(client, code).error == (400, "invalid_grant")
    assert not provider.is_alive(first["access_token"])
    assert not provider.is_alive(second["access_token"])
    for token in (first["refresh_token"], second["refresh_token"]):
        assert provider.refresh(client, token).error == (400, "invalid_grant")
    assert [event["outcome"] for event in provider.events("code.reused")] == ["denied"]
    assert provider.is_alive(other["access_token"])
    assert provider.refresh(client, other["refresh_token"]).status == 200


def test_a_code_that_comes_back_after_its_time_is_still_a_replay(provider: Provider) -> None:
    user, client = provider.user(), provider.client("none")
    code = provider.code(provider.grant(user, client))
    tokens = provider.redeem(client, code).json
    provider.clock.advance(300)
    assert provider.redeem(client, code).error == (400, "invalid_grant")
    assert not provider.is_alive(tokens["access_token"])


def test_a_replay_needs_the_verifier_to_do_harm(provider: Provider) -> None:
    """Who only saw the code can't end what the true client has."""
    user, client = provider.user(), provider.client("none")
    code = provider.code(provider.grant(user, client))
    tokens = provider.redeem(client, code).json
    assert provider.redeem(client, code, code_verifier="another-verifier" * 3).error == (400, "invalid_grant")
    assert provider.is_alive(tokens["access_token"])


@pytest.mark.parametrize("gone, error", [
    ("user disabled", (400, "invalid_grant")),
    ("user deleted", (400, "invalid_grant")),
    ("client disabled", (401, "invalid_client")),
    ("client deleted", (401, "invalid_client")),
    ("consent withdrawn", (400, "invalid_grant")),
    ("session ended", (400, "invalid_grant")),
    ("grant revoked", (400, "invalid_grant")),
    ("resource removed", (400, "invalid_target")),
])  # fmt: skip
def test_what_goes_between_code_and_token_takes_the_code_with_it(
    provider: Provider, gone: str, error: tuple[int, str]
) -> None:
    services, user, client, api = provider.services, provider.user(), provider.client("none"), provider.resource()
    _cookie, session = provider.session(user)
    with provider.begin() as tx:
        consent_id = services.consents.remember(
            tx, provider.origin, user_id=user.id, client=client.client, resource_uri=api.uri,
            redirect_uri=REDIRECT_URI, scope=("notes:read",),
        )  # fmt: skip
    grant = provider.grant(
        user, client, ("openid", "notes:read"), resource=api.uri, session=session, consent_id=consent_id
    )
    code = provider.code(grant)
    with provider.begin() as tx:
        if gone == "user disabled":
            assert services.user_ends.set_active(tx, provider.origin, user.id, False)
        elif gone == "user deleted":
            tx.execute(delete(User).where(User.__table__.c.id == user.id))
        elif gone == "client disabled":
            services.clients.set_active(tx, provider.origin, client.client_id, False)
        elif gone == "client deleted":
            services.clients.delete(tx, provider.origin, client.client_id)
        elif gone == "consent withdrawn":
            services.consents.withdraw(tx, provider.origin, user.id, consent_id)
        elif gone == "session ended":
            services.sessions.end(tx, provider.origin, session.id, user_id=user.id, reason="sign_out")
        elif gone == "grant revoked":
            services.grants.revoke(tx, provider.origin, grant, "test")
        else:
            services.resources.remove(tx, provider.origin, api.uri)
    assert provider.redeem(client, code).error == error


def test_a_user_who_was_disabled_without_our_knowing_gets_no_token(provider_everywhere: Provider) -> None:
    """Another service that shares the table wrote the flag: the statement that mints looks at it."""
    provider = provider_everywhere
    user, client = provider.user(), provider.client("none")
    code = provider.code(provider.grant(user, client))
    with provider.begin() as tx:
        tx.execute(update(User).where(User.__table__.c.id == user.id).values(is_active=False))
    assert provider.redeem(client, code).error == (400, "invalid_grant")
    with provider.begin() as tx:
        tx.execute(update(User).where(User.__table__.c.id == user.id).values(is_active=True))
    assert provider.redeem(client, code).status == 200  # what got no token has used nothing up


def test_an_administrator_who_is_one_no_more_loses_those_scopes(provider: Provider) -> None:
    provider.resource(scope=("notes:read", "notes:admin"), admin_scope=("notes:admin",))
    provider.user("other", is_admin=True)
    user, client = provider.user(is_admin=True), provider.client()
    code = provider.code(provider.grant(user, client, ("notes:read", "notes:admin"), resource=API))
    with provider.begin() as tx:
        tx.execute(update(User).where(User.__table__.c.id == user.id).values(is_admin=False))
    assert provider.redeem(client, code).json["scope"] == "notes:read"


@pytest.mark.parametrize("sent, error", [
    (None, None),
    (API, None),
    ("HTTPS://API.example.com/mcp", None),
    ("https://other.example.com/", "invalid_target"),  # registered, but not what was authorized
    ("https://unknown.example.com/", "invalid_target"),
    (API + "#part", "invalid_target"),
    ("/mcp", "invalid_target"),
])  # fmt: skip
def test_the_resource_may_be_repeated_and_not_changed(provider: Provider, sent: str | None, error: str | None) -> None:
    user, client, _api = provider.user(), provider.client(), provider.resource()
    provider.resource("https://other.example.com", ("files:read",))
    code = provider.code(provider.grant(user, client, ("notes:read",), resource=API))
    answer = provider.redeem(client, code, resource=sent)
    if error is None:
        assert claims_of(answer.json["access_token"])["aud"] == API
    else:
        assert answer.error == (400, error)
        assert provider.redeem(client, code).status == 200


def test_the_life_of_a_token_is_what_it_says_and_at_most_fifteen_minutes(provider: Provider) -> None:
    user, client = provider.user(), provider.client()
    provider.resource(access_token_seconds=900)
    for resource, life in ((provider.issuer, 600), (API, 900)):
        tokens = provider.tokens(user, client, ("notes:read", "openid"), resource=resource)
        claims = claims_of(tokens["access_token"])
        assert tokens["expires_in"] == claims["exp"] - claims["iat"] == life
        provider.clock.advance(life - 1)
        assert provider.is_alive(tokens["access_token"])
        provider.clock.advance(1)
        assert not provider.is_alive(tokens["access_token"])


def test_a_users_subject_is_never_used_again(provider: Provider) -> None:
    client, user = provider.client(), provider.user()
    before = claims_of(provider.tokens(user, client)["id_token"])["sub"]
    with provider.begin() as tx:
        tx.execute(delete(User).where(User.__table__.c.id == user.id))
    again = provider.user()
    assert claims_of(provider.tokens(again, client)["id_token"])["sub"] != before


def test_two_processes_redeem_a_code_once(provider: Provider, make_provider: ProviderFactory) -> None:
    user, client = provider.user(), provider.client("none")
    code = provider.code(provider.grant(user, client))
    other = make_provider(provider.engine)
    assert provider.redeem(client, code).status == 200
    assert other.redeem(client, code).error == (400, "invalid_grant")
