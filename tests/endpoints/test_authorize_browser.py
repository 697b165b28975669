"""What browsers do by themselves: asking twice, looking ahead, posting from elsewhere; and codes whose ground is gone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl

import pytest
from sqlalchemy import Engine, update

from database.models import AuthorizationCode, AuthorizationRequest, Consent, GrantRecord
from database.models import Client as ClientRow
from database.models import User as UserRow
from provider.accounts.users import User
from provider.endpoints.authorize import STORED_PER_SOURCE
from tests.endpoints.browsing import TOO_LONG_FOR_A_QUERY, Browser, code_of, error_of, page_of, refusal_of, request_of
from tests.endpoints.provider import KnownClient, Provider, ProviderFactory


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
def trusted(provider: Provider) -> KnownClient:
    return provider.client(is_trusted=True)


def test_a_get_may_be_sent_twice_and_either_answer_works(browser: Browser, ada: User, trusted: KnownClient) -> None:
    pages = [page_of(browser.authorize(trusted), "/login") for _ in range(2)]
    assert pages[0] != pages[1]
    browser.provider.clock.advance(5)
    browser.sign_in(ada)
    for page in pages:
        code = code_of(browser.get(f"/oauth/authorize/{page.partition('=')[2]}"))
        assert browser.provider.redeem(trusted, code).status == 200
    codes = [code_of(browser.authorize(trusted)) for _ in range(2)]
    assert {browser.provider.redeem(trusted, code).status for code in codes} == {200}


AHEAD = [
    ("HEAD", {}),
    ("GET", {"Sec_Purpose": "prefetch"}),
    ("GET", {"Sec_Purpose": "prefetch;prerender"}),
    ("GET", {"Purpose": "prefetch"}),
]


@pytest.mark.parametrize("method, headers", AHEAD)
@pytest.mark.parametrize("who", ["signed in", "signed out"])
def test_looking_ahead_makes_no_code_and_stores_nothing(
    browser: Browser, ada: User, trusted: KnownClient, method: str, headers: dict[str, Any], who: str
) -> None:
    if who == "signed in":
        browser.sign_in(ada)
    answer = browser.authorize(trusted, method=method, headers=headers)
    assert answer.header("Location") is None
    assert answer.status in (200, 204)
    assert answer.header("Cache-Control") == "no-store"
    assert browser.provider.rows(AuthorizationCode) == browser.provider.rows(AuthorizationRequest) == []


@pytest.mark.parametrize("method, headers", AHEAD)
def test_looking_ahead_uses_no_waiting_request_up(
    browser: Browser, ada: User, trusted: KnownClient, method: str, headers: dict[str, Any]
) -> None:
    resumed = browser.authorize(trusted, method="POST", **TOO_LONG_FOR_A_QUERY).location
    browser.sign_in(ada)
    answer = browser.send(method, resumed, **headers)
    assert (answer.status, answer.header("Location")) == (204, None)
    assert browser.provider.rows(AuthorizationCode) == []
    code_of(browser.get(resumed))


@pytest.mark.parametrize("method, headers", AHEAD)
def test_looking_ahead_uses_no_error_up_either(
    browser: Browser, trusted: KnownClient, method: str, headers: dict[str, Any]
) -> None:
    resumed = browser.authorize(trusted, method="POST", prompt="none", **TOO_LONG_FOR_A_QUERY).location
    browser.send(method, resumed, **headers)
    assert error_of(browser.get(resumed)) == "login_required"


def test_a_post_from_another_site_becomes_a_get_with_all_that_was_posted(
    browser: Browser, ada: User, trusted: KnownClient
) -> None:
    browser.sign_in(ada)
    changes = {"state": "a+b &=#%20\r\n상태", "resource": ["https://a.example", "https://b.example"], "prompt": ""}
    answer = browser.authorize(trusted, method="POST", **changes)
    path, _, query = answer.location.partition("?")
    assert (answer.status, path, answer.location.isascii()) == (303, "/oauth/authorize", True)
    assert sorted(parse_qsl(query, keep_blank_values=True)) == sorted(request_of(trusted, **changes))
    code = code_of(browser.get(browser.authorize(trusted, method="POST").location))
    assert browser.provider.redeem(trusted, code).status == 200


def test_a_post_from_another_site_leaves_the_browsers_other_tabs_alone(
    browser: Browser, ada: User, trusted: KnownClient
) -> None:
    """It brings no cookies: a new browser id would take the place of the one that a waiting request is bound to."""
    waiting = page_of(browser.authorize(trusted), "/login")
    posted = browser.authorize(trusted, method="POST")
    assert posted.all("Set-Cookie") == []
    assert len(browser.provider.rows(AuthorizationRequest)) == 1
    second = page_of(browser.get(posted.location), "/login")
    browser.sign_in(ada)
    for page in (waiting, second):
        code_of(browser.get(f"/oauth/authorize/{page.partition('=')[2]}"))


def test_a_post_that_is_too_long_for_a_query_is_stored_and_resumed_with_the_session(
    browser: Browser, ada: User, trusted: KnownClient
) -> None:
    browser.sign_in(ada)
    answer = browser.authorize(trusted, method="POST", **TOO_LONG_FOR_A_QUERY)
    assert answer.status == 303
    assert answer.location.startswith("/oauth/authorize/mcp_request_")
    (cookie,) = answer.all("Set-Cookie")
    assert set(cookie.split("; ")[1:]) == {"Path=/", "HttpOnly", "SameSite=Lax"}
    code = code_of(browser.get(answer.location))
    assert browser.provider.redeem(trusted, code).status == 200
    assert browser.get(answer.location).status == 400


@pytest.mark.parametrize("handle", ["x", "mcp_request_" + "0" * 49, "%00", "a" * 300, "..%2f"])
def test_a_handle_that_is_none_ends_in_our_page(browser: Browser, ada: User, handle: str) -> None:
    browser.sign_in(ada)
    assert browser.get(f"/oauth/authorize/{handle}").status in (400, 404)


def test_the_browsers_cookie_stays_as_it_is(browser: Browser, trusted: KnownClient) -> None:
    first = browser.authorize(trusted)
    assert len(first.all("Set-Cookie")) == 1
    known = dict(browser.cookies)
    assert browser.authorize(trusted).all("Set-Cookie") == []
    assert browser.cookies == known
    browser.cookies["mcp_browser_8000"] = "forged"
    assert len(browser.authorize(trusted).all("Set-Cookie")) == 1
    assert browser.cookies["mcp_browser_8000"] != "forged"


def test_a_session_that_is_over_signs_nobody_in(browser: Browser, ada: User, trusted: KnownClient) -> None:
    browser.sign_in(ada)
    browser.provider.clock.advance(3600)
    page_of(browser.authorize(trusted), "/login")


def test_a_request_whose_client_is_disabled_meanwhile_is_over(browser: Browser, ada: User) -> None:
    client = browser.provider.client()
    browser.sign_in(ada)
    page = page_of(browser.authorize(client), "/consent")
    with browser.provider.begin() as tx:
        tx.execute(update(ClientRow).values(is_active=False))
    assert browser.get(f"/oauth/authorize/{page.partition('=')[2]}").status == 400
    assert browser.get(page).status == 400


Change = Callable[[Provider, User, KnownClient], Any]


def _services(call: Callable[..., Any]) -> Change:
    def change(provider: Provider, user: User, client: KnownClient) -> None:
        with provider.begin() as tx:
            call(provider, tx, user, client)

    return change


CHANGES: dict[str, tuple[Change, int, str]] = {
    "the person was disabled": (
        _services(lambda p, tx, user, _c: p.services.user_ends.set_active(tx, p.origin, user.id, False)),
        400,
        "invalid_grant",
    ),
    "the person was disabled by hand in the database": (
        _services(lambda p, tx, *_: tx.execute(update(UserRow).values(is_active=False))),
        400,
        "invalid_grant",
    ),
    "the client was disabled": (
        _services(lambda p, tx, _u, client: p.services.clients.set_active(tx, p.origin, client.client_id, False)),
        401,
        "invalid_client",
    ),
    "the client was deleted": (
        _services(lambda p, tx, _u, client: p.services.clients.delete(tx, p.origin, client.client_id)),
        401,
        "invalid_client",
    ),
    "the consent was withdrawn": (
        _services(
            lambda p, tx, user, _c: p.services.consents.withdraw(tx, p.origin, user.id, p.rows(Consent)[0]["id"])
        ),
        400,
        "invalid_grant",
    ),
    "the session ended": (
        _services(lambda p, tx, user, _c: p.services.sessions.end_all(tx, p.origin, user.id, reason="sign_out")),
        400,
        "invalid_grant",
    ),
    "the grant was revoked": (
        _services(lambda p, tx, *_: p.services.grants.revoke(tx, p.origin, p.rows(GrantRecord)[0]["id"], "test")),
        400,
        "invalid_grant",
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_code_is_worth_nothing_once_what_it_rests_on_is_gone(browser: Browser, ada: User, change: str) -> None:
    browser.sign_in(ada)
    client = browser.provider.client()
    code = code_of(browser.allow(page_of(browser.authorize(client), "/consent")))
    apply, status, error = CHANGES[change]
    apply(browser.provider, ada, client)
    answer = browser.provider.redeem(client, code)
    assert answer.error == (status, error)


@pytest.mark.parametrize("is_vouched", [True, False])
def test_an_address_that_begins_sign_ins_without_end_fills_no_table(
    browser: Browser, provider: Provider, is_vouched: bool
) -> None:
    client = provider.client(is_vouched=is_vouched)
    with provider.begin() as tx:
        for _ in range(STORED_PER_SOURCE.times):
            provider.services.rate_limits.hit_source(
                tx, STORED_PER_SOURCE, provider.origin.networks, provider.clock.now
            )
    answer = browser.authorize(client)
    assert provider.rows(AuthorizationRequest) == []
    if is_vouched:
        assert error_of(answer) == "temporarily_unavailable"
    else:
        assert "temporarily_unavailable" in refusal_of(answer)
    provider.clock.advance(STORED_PER_SOURCE.seconds)
    page_of(browser.authorize(client), "/login")
