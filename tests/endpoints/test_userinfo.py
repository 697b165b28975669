"""The UserInfo endpoint (OpenID Connect Core §5.3) and how it takes a token (RFC 6750)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.endpoints.provider import API, Provider, claims_of
from tests.endpoints.wsgi import FORM, encoded

PROFILE = {"name", "preferred_username", "updated_at"}
EMAIL = {"email", "email_verified"}


@pytest.mark.parametrize("scope, claims", [
    (("openid",), set()),
    (("openid", "profile"), PROFILE),
    (("openid", "email"), EMAIL),
    (("openid", "profile", "email", "offline_access"), PROFILE | EMAIL),
])  # fmt: skip
def test_each_scope_shows_its_claims_and_no_others(
    provider: Provider, scope: tuple[str, ...], claims: set[str]
) -> None:
    client, user = provider.client(), provider.user()
    tokens = provider.tokens(user, client, scope)
    answer = provider.userinfo(tokens["access_token"])
    assert answer.status == 200
    assert answer.header("Cache-Control") == "no-store"
    assert set(answer.json) == {"sub", *claims}
    assert answer.json["sub"] == user.id == claims_of(tokens["id_token"])["sub"]
    assert None not in answer.json.values()


def test_what_is_known_of_a_person_is_shown_as_it_is(provider: Provider) -> None:
    user = provider.user("김민수", email="min@example.com", display_name="김민수 <b>", locale="ko", is_verified=True)
    token = provider.tokens(user, provider.client(), ("openid", "profile", "email"))["access_token"]
    assert provider.userinfo(token).json == {
        "sub": user.id, "name": "김민수 <b>", "preferred_username": "김민수", "locale": "ko",
        "updated_at": int(user.updated_at.timestamp()), "email": "min@example.com", "email_verified": True,
    }  # fmt: skip


SAID = PROFILE | {
    "given_name", "middle_name", "family_name", "nickname", "gender", "birthdate", "profile", "website", "picture",
    "zoneinfo",
}  # fmt: skip
PHONE = {"phone_number", "phone_number_verified"}


@pytest.mark.parametrize("scope, claims", [
    (("openid",), set()),
    (("openid", "profile"), SAID),
    (("openid", "email"), EMAIL),
    (("openid", "phone"), PHONE),
    (("openid", "address"), {"address"}),
    (("openid", "profile", "email", "phone", "address", "offline_access"), SAID | EMAIL | PHONE | {"address"}),
])  # fmt: skip
def test_what_a_person_has_said_is_shown_to_its_scope_alone(
    provider: Provider, scope: tuple[str, ...], claims: set[str]
) -> None:
    user = provider.profile(provider.user())
    answer = provider.userinfo(provider.tokens(user, provider.client(), scope)["access_token"])
    assert set(answer.json) == {"sub", *claims}


def test_all_of_a_profile_is_shown_as_it_was_said(provider: Provider) -> None:
    user = provider.profile(provider.user())
    scope = ("openid", "profile", "phone", "address")
    claims = provider.userinfo(provider.tokens(user, provider.client(), scope)["access_token"]).json
    site, _path = claims.pop("picture").split("/pictures/")
    assert site == "http://localhost:8000"
    assert claims == {
        "sub": user.id, "name": "ada", "preferred_username": "ada", "updated_at": int(user.updated_at.timestamp()),
        "given_name": "Ada", "middle_name": "Augusta", "family_name": "King", "nickname": "ada", "gender": "female",
        "birthdate": "1990-12-10", "profile": "https://ada.example/me", "website": "https://ada.example",
        "zoneinfo": "Asia/Seoul", "phone_number": "+821012345678", "phone_number_verified": False,
        "address": {
            "formatted": "1 Main St\nFlat 2\n04524 Seoul\nSeoul\nKorea", "street_address": "1 Main St\nFlat 2",
            "postal_code": "04524", "locality": "Seoul", "region": "Seoul", "country": "Korea",
        },
    }  # fmt: skip


def test_what_was_not_said_is_no_claim(provider: Provider) -> None:
    user = provider.profile(provider.user(), zone=None, picture=b"", country="Korea")
    scope = ("openid", "profile", "phone", "address")
    claims = provider.userinfo(provider.tokens(user, provider.client(), scope)["access_token"]).json
    assert set(claims) == {"sub", *PROFILE, "address"}
    assert claims["address"] == {"formatted": "Korea", "country": "Korea"}


@pytest.mark.parametrize(
    "case", ["another audience", "machine", "api key", "revoked", "expired", "user disabled", "garbage"]
)
def test_a_token_that_is_not_a_persons_for_here_is_refused(provider: Provider, case: str) -> None:
    provider.resource()
    client, user = provider.client(), provider.user()
    token: Any = "garbage"
    if case == "another audience":
        token = provider.tokens(user, client, ("openid", "notes:read"), resource=API)["access_token"]
    elif case in ("machine", "api key"):
        by = provider.machine() if case == "machine" else provider.api_key(user)
        token = provider.token(by, {"grant_type": "client_credentials"}).json["access_token"]
    elif case != "garbage":
        token = provider.tokens(user, client)["access_token"]
    if case == "revoked":
        provider.revoke(client, token)
    elif case == "expired":
        provider.clock.advance(600)
    elif case == "user disabled":
        with provider.begin() as tx:
            provider.services.user_ends.set_active(tx, provider.origin, user.id, False)
    answer = provider.userinfo(token)
    assert answer.error == (401, "invalid_token")
    assert (answer.header("WWW-Authenticate") or "").startswith('Bearer error="invalid_token", error_description="')


def test_without_openid_the_scope_is_too_small(provider: Provider) -> None:
    token = provider.tokens(provider.user(), provider.client(), ("profile", "email"))["access_token"]
    answer = provider.userinfo(token)
    assert answer.error == (403, "insufficient_scope")
    assert (answer.header("WWW-Authenticate") or "").startswith('Bearer error="insufficient_scope"')


@pytest.mark.parametrize("header", ["Bearer {}", "bearer {}", "BEARER {}", "Bearer  {}", "Bearer {} "])
def test_the_token_comes_in_the_header_whatever_the_case_of_its_scheme(provider: Provider, header: str) -> None:
    token = provider.tokens(provider.user(), provider.client())["access_token"]
    for method in ("GET", "POST"):
        answer = provider.send(method, f"{provider.path}/userinfo", headers={"Authorization": header.format(token)})
        assert answer.status == 200


@pytest.mark.parametrize(
    "header", [None, "", "Bearer", "Bearer ", "Basic {}", "Token {}", "DPoP {}", "{}", "Bearer{}", "Bearer\t{}"]
)
def test_no_token_is_told_apart_from_a_wrong_one(provider: Provider, header: str | None) -> None:
    """A request without any authentication gets no error code in the challenge (RFC 6750 §3.1)."""
    token = provider.tokens(provider.user(), provider.client())["access_token"]
    sent = {} if header is None else {"Authorization": header.format(token)}
    answer = provider.get(f"{provider.path}/userinfo", sent)
    assert (answer.status, answer.header("WWW-Authenticate")) == (401, "Bearer")


@pytest.mark.parametrize(
    "header",
    ["Bearer {0} {0}", "Bearer {0},{0}", 'Bearer "{0}"', "Bearer {0}\x00", "Bearer \u00fc", "Bearer " + "a" * 15_000],
)
def test_a_malformed_token_is_a_wrong_one(provider: Provider, header: str) -> None:
    token = provider.tokens(provider.user(), provider.client())["access_token"]
    answer = provider.get(f"{provider.path}/userinfo", {"Authorization": header.format(token)})
    assert answer.error == (401, "invalid_token")


def test_a_token_in_the_address_is_never_read(provider: Provider) -> None:
    token = provider.tokens(provider.user(), provider.client())["access_token"]
    for method in ("GET", "POST"):
        answer = provider.send(method, f"{provider.path}/userinfo", query=f"access_token={token}")
        assert (answer.status, answer.header("WWW-Authenticate")) == (401, "Bearer")


def test_a_form_may_bring_the_token_where_no_header_does(provider: Provider) -> None:
    """RFC 6750 §2.2, which OpenID Connect's own tests use. Not on GET, not as JSON, not beside a header."""
    token = provider.tokens(provider.user(), provider.client())["access_token"]
    path, body = f"{provider.path}/userinfo", encoded({"access_token": token})
    form = {"Content-Type": FORM}
    assert provider.send("POST", path, body=body, headers=form).status == 200
    assert provider.send("GET", path, body=body, headers=form).status == 401
    assert provider.send("POST", path, body=body, headers={"Content-Type": "text/plain"}).status == 401
    assert provider.send("POST", path, body=body, headers={**form, "Authorization": "Bearer wrong"}).status == 401
    assert provider.send("POST", path, body=body, headers={**form, "Authorization": "Basic eDp4"}).status == 401
    twice = provider.send("POST", path, body=body + b"&" + body, headers=form)
    assert twice.error == (400, "invalid_request")


def test_a_cookie_is_no_token(provider: Provider) -> None:
    cookie, _session = provider.session(provider.user())
    assert provider.get(f"{provider.path}/userinfo", provider.session_cookie(cookie)).status == 401
