"""RP-initiated logout: who is signed out, and where a browser may be sent afterwards (RP-Initiated Logout 1.0 §2, §3)."""

from __future__ import annotations

import base64
import json
from typing import Any
from urllib.parse import urlencode

import pytest
from joserfc import jwt
from joserfc.jwk import RSAKey
from sqlalchemy import Engine, update

from database.models import Client as ClientRow
from provider.accounts.users import User
from provider.protocol.messages import FORM
from tests.endpoints.browsing import Browser, code_of, error_of
from tests.endpoints.provider import START, KnownClient, Provider, ProviderFactory, claims_of
from tests.endpoints.wsgi import Answer, encoded

BYE = "https://app.example.com/bye"
SIGNED_OUT, CONFIRM = "/login", "/sign-out"


@pytest.fixture
def browser(sqlite_engine: Engine, make_provider: ProviderFactory) -> Browser:
    return Browser(make_provider(sqlite_engine))


@pytest.fixture
def provider(browser: Browser) -> Provider:
    return browser.provider


@pytest.fixture
def ada(provider: Provider) -> User:
    return provider.user()


@pytest.fixture
def client(provider: Provider) -> KnownClient:
    return provider.client(is_trusted=True, post_logout_redirect_uris=(BYE, BYE + "?x=1"))


def hint_of(browser: Browser, user: User, client: KnownClient) -> str:
    """Signs in and has the application ask for an ID token of this very session."""
    browser.sign_in(user)
    token: str = browser.provider.redeem(client, code_of(browser.authorize(client))).json["id_token"]
    return token


def logout(browser: Browser, method: str = "GET", headers: Any = None, **fields: Any) -> Answer:
    pairs = [
        (k, v)
        for k, value in fields.items()
        if value is not None
        for v in (value if isinstance(value, list) else [value])
    ]
    if method == "POST":
        return browser.send("POST", "/oauth/logout", body=encoded(pairs), Content_Type=FORM, **(headers or {}))
    return browser.send(method, f"/oauth/logout?{urlencode(pairs)}", **(headers or {}))


def is_signed_in(browser: Browser, cookies: dict[str, str] | None = None) -> bool:
    other = Browser(browser.provider)
    other.cookies = dict(browser.cookies if cookies is None else cookies)
    return other.get("/account").status == 200


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize(
    "fields, location",
    [
        ({"post_logout_redirect_uri": BYE, "state": "a b&c=%"}, BYE + "?state=a%20b%26c%3D%25"),
        ({"post_logout_redirect_uri": BYE}, BYE),
        ({"post_logout_redirect_uri": BYE, "state": ""}, BYE),
        ({"post_logout_redirect_uri": BYE + "?x=1", "state": "s"}, BYE + "?x=1&state=s"),
        ({}, SIGNED_OUT),
        ({"state": "s"}, SIGNED_OUT),
        ({"logout_hint": "x", "ui_locales": "ko"}, SIGNED_OUT),
    ],
)
def test_a_hint_at_this_very_session_ends_it_and_leads_to_the_registered_uri(
    browser: Browser, ada: User, client: KnownClient, fields: dict[str, str], location: str, method: str
) -> None:
    hint = hint_of(browser, ada, client)
    kept = dict(browser.cookies)
    answer = logout(browser, method, id_token_hint=hint, **fields)
    assert (answer.status, answer.location) == (303, location)
    assert answer.header("Cache-Control") == "no-store"
    assert answer.header("Clear-Site-Data") == '"cache", "storage"'
    assert "mcp_session_8000" not in browser.cookies
    assert not is_signed_in(browser, kept), "the old cookie works again"
    assert error_of(browser.authorize(client, prompt="none")) == "login_required"
    (event,) = browser.provider.events("logout.requested")
    assert (event["user_id"], event["actor"]) == (ada.id, client.client_id)


def test_a_hint_that_has_expired_still_counts(browser: Browser, ada: User, client: KnownClient) -> None:
    hint = hint_of(browser, ada, client)
    browser.provider.clock.advance(3000)
    answer = logout(browser, id_token_hint=hint, post_logout_redirect_uri=BYE, client_id=client.client_id)
    assert answer.location == BYE
    assert not is_signed_in(browser)


def test_a_post_from_another_site_without_the_cookie_ends_the_session_all_the_same(
    browser: Browser, ada: User, client: KnownClient
) -> None:
    hint = hint_of(browser, ada, client)
    fields = {"id_token_hint": hint, "post_logout_redirect_uri": BYE, "state": "한 +&"}
    answer = browser.post("/oauth/logout", fields, is_cross_site=True)
    assert answer.status == 303
    assert answer.location.startswith("/oauth/logout?")
    assert is_signed_in(browser)
    assert browser.get(answer.location).location == BYE + "?state=%ED%95%9C%20%2B%26"
    assert not is_signed_in(browser)


def _altered(token: str, **changes: Any) -> str:
    """The same claims, signed by a key of somebody else."""
    claims = {**claims_of(token), **changes}
    return jwt.encode({"alg": "RS256", "typ": "JWT"}, claims, RSAKey.generate_key(2048, private=True))


def _unsigned(token: str) -> str:
    _header, payload, _ = token.split(".")
    made = base64.urlsafe_b64encode(json.dumps({"alg": "none", "typ": "JWT"}).encode()).rstrip(b"=").decode()
    return f"{made}.{payload}."


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize(
    "fields",
    [
        {"post_logout_redirect_uri": BYE + "/"},
        {"post_logout_redirect_uri": BYE + "?extra=1"},
        {"post_logout_redirect_uri": BYE.upper()},
        {"post_logout_redirect_uri": "https://evil.example/"},
        {"post_logout_redirect_uri": "//evil.example/"},
        {"post_logout_redirect_uri": "javascript:alert(1)"},
        {"post_logout_redirect_uri": BYE, "client_id": "app_other"},
        {"post_logout_redirect_uri": BYE, "state": "s" * 4097},
        {"post_logout_redirect_uri": [BYE, BYE]},
        {"post_logout_redirect_uri": BYE, "id_token_hint": None},
        {"post_logout_redirect_uri": BYE, "id_token_hint": None, "client_id": True},
        {"post_logout_redirect_uri": BYE, "id_token_hint": ""},
        {"post_logout_redirect_uri": BYE, "id_token_hint": "x.y.z"},
        {"post_logout_redirect_uri": BYE, "id_token_hint": _unsigned},
        {"post_logout_redirect_uri": BYE, "id_token_hint": _altered},
        {"post_logout_redirect_uri": BYE, "state": ["a", "b"]},
        {"client_id": ["a", "b"]},
        {"state": ["a", "b"]},
        {"id_token_hint": _altered},
    ],
)
def test_a_doubtful_request_leads_nowhere_and_ends_nothing(
    browser: Browser, ada: User, client: KnownClient, fields: dict[str, Any], method: str
) -> None:
    hint = hint_of(browser, ada, client)
    made = {"id_token_hint": hint, **fields}
    made = {name: value(hint) if callable(value) else value for name, value in made.items()}
    if made.get("client_id") is True:
        made["client_id"] = client.client_id
    for who in (browser, Browser(browser.provider)):
        answer = logout(who, method, **made)
        assert answer.status == 400
        assert answer.header("Location") is None
    assert is_signed_in(browser)


@pytest.mark.parametrize("fields", [{}, {"state": "s"}, {"client_id": "app_x"}, {"logout_hint": "ada"}])
def test_without_a_hint_the_person_is_asked(browser: Browser, ada: User, fields: dict[str, str]) -> None:
    browser.sign_in(ada)
    assert logout(browser, **fields).location == CONFIRM
    assert is_signed_in(browser)
    assert browser.get(CONFIRM).status == 200


@pytest.mark.parametrize("with_uri", [True, False])
def test_a_hint_for_somebody_else_or_another_session_only_asks(
    browser: Browser, ada: User, client: KnownClient, with_uri: bool
) -> None:
    more = {"post_logout_redirect_uri": BYE} if with_uri else {}
    elsewhere = Browser(browser.provider)
    other_session = hint_of(elsewhere, ada, client)
    bob = browser.provider.user("bob")
    other_person = hint_of(Browser(browser.provider), bob, client)
    without_session = browser.provider.tokens(bob, client)["id_token"]
    browser.sign_in(ada)
    for hint in (other_session, other_person, without_session):
        assert logout(browser, id_token_hint=hint, **more).location.partition("?")[0] == CONFIRM
    assert is_signed_in(browser)
    assert is_signed_in(elsewhere)


def test_a_hint_that_names_no_session_means_whichever_the_person_has(
    browser: Browser, ada: User, client: KnownClient
) -> None:
    browser.sign_in(ada)
    hint = browser.provider.tokens(ada, client)["id_token"]
    assert "sid" not in claims_of(hint)
    assert logout(browser, id_token_hint=hint, post_logout_redirect_uri=BYE).location == BYE
    assert not is_signed_in(browser)


@pytest.mark.parametrize("with_uri", [True, False])
def test_somebody_who_is_signed_out_already_goes_where_the_hint_allows(
    browser: Browser, ada: User, client: KnownClient, with_uri: bool
) -> None:
    hint = hint_of(browser, ada, client)
    more = {"post_logout_redirect_uri": BYE, "state": "s"} if with_uri else {}
    answer = logout(Browser(browser.provider), id_token_hint=hint, **more)
    assert answer.location == (BYE + "?state=s" if with_uri else SIGNED_OUT)


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("with_uri", [True, False])
@pytest.mark.parametrize(
    "values", [{"is_vouched": False}, {"is_active": False}, {"revoked_at": START}, {"expires_at": START}]
)
def test_a_client_that_nobody_vouches_for_ends_nothing_and_is_not_redirected_to(
    browser: Browser, ada: User, client: KnownClient, values: dict[str, Any], with_uri: bool, method: str
) -> None:
    hint = hint_of(browser, ada, client)
    with browser.provider.begin() as tx:
        tx.execute(update(ClientRow).values(**values))
    browser.provider.services.clients.invalidate(client.client_id)
    more = {"post_logout_redirect_uri": BYE} if with_uri else {}
    signed_out = logout(Browser(browser.provider), "GET", id_token_hint=hint, **more)
    assert signed_out.location == SIGNED_OUT
    assert logout(browser, method, id_token_hint=hint, **more).location == CONFIRM
    assert is_signed_in(browser)
    assert browser.provider.events("logout.requested") == []


@pytest.mark.parametrize(
    "method, headers",
    [("HEAD", {}), ("GET", {"Sec_Purpose": "prefetch"}), ("GET", {"Sec_Purpose": "prefetch;prerender"})],
)
def test_looking_ahead_signs_nobody_out(
    browser: Browser, ada: User, client: KnownClient, method: str, headers: dict[str, str]
) -> None:
    hint = hint_of(browser, ada, client)
    answer = logout(browser, method, headers, id_token_hint=hint, post_logout_redirect_uri=BYE)
    assert (answer.status, answer.header("Location")) == (204, None)
    assert is_signed_in(browser)


def test_an_access_token_is_no_hint(browser: Browser, ada: User, client: KnownClient) -> None:
    browser.sign_in(ada)
    tokens = browser.provider.redeem(client, code_of(browser.authorize(client))).json
    assert logout(browser, id_token_hint=tokens["access_token"]).status == 400
    assert is_signed_in(browser)


def test_what_rested_on_the_session_ends_with_it_and_offline_access_stays(
    browser: Browser, ada: User, client: KnownClient
) -> None:
    browser.sign_in(ada)
    plain, offline = (
        browser.provider.redeem(client, code_of(browser.authorize(client, scope=scope))).json
        for scope in ("openid", "openid offline_access")
    )
    logout(browser, id_token_hint=plain["id_token"])
    assert not browser.provider.is_alive(plain["access_token"])
    assert browser.provider.is_alive(offline["access_token"])
