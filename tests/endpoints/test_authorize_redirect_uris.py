"""Where the authorization endpoint redirects to: the client's own URI, exactly, and nowhere before that is proven."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from sqlalchemy import Engine, update

from database.models import Client as ClientRow
from tests.endpoints.browsing import TOO_LONG_FOR_A_QUERY, Browser, code_of, fields_of, refusal_of
from tests.endpoints.provider import REDIRECT_URI, ProviderFactory


@pytest.fixture
def browser(sqlite_engine: Engine, make_provider: ProviderFactory) -> Browser:
    return Browser(make_provider(sqlite_engine))


@pytest.fixture(params=["signed out", "signed in"])
def anybody(request: pytest.FixtureRequest, browser: Browser) -> Browser:
    if request.param == "signed in":
        browser.sign_in(browser.provider.user())
    return browser


UNPROVEN: dict[str, dict[str, Any]] = {
    "no client_id": {"client_id": None},
    "an empty client_id": {"client_id": ""},
    "an unknown client_id": {"client_id": "app_unknown"},
    "a client_id with a blank": {"client_id": " "},
    "a client_id in other letters": {"client_id": "APP"},
    "a hostile client_id": {"client_id": '"><script>alert(1)</script>'},
    "no redirect_uri": {"redirect_uri": None},
    "an empty redirect_uri": {"redirect_uri": ""},
    "two redirect_uris": {"redirect_uri": [REDIRECT_URI, REDIRECT_URI]},
    "a foreign redirect_uri": {"redirect_uri": "https://evil.example/callback"},
}


@pytest.mark.parametrize("method", ["GET", "POST", "HEAD"])
@pytest.mark.parametrize("case", UNPROVEN)
def test_nothing_is_redirected_before_client_and_redirect_uri_are_proven(
    anybody: Browser, case: str, method: str
) -> None:
    client = anybody.provider.client(is_trusted=True)
    answer = anybody.authorize(client, method=method, **UNPROVEN[case])
    if method == "POST":
        assert answer.location.startswith("/oauth/authorize?")
        answer = anybody.get(answer.location)
        long = {**UNPROVEN[case], **TOO_LONG_FOR_A_QUERY}
        assert anybody.authorize(client, method=method, **long).header("Location") is None
    assert (answer.status, answer.header("Location")) == (400, None)
    assert b"<script>alert" not in answer.body
    if method != "HEAD":
        assert "http-equiv" not in refusal_of(answer)


def test_a_client_id_that_comes_twice_proves_nothing(anybody: Browser) -> None:
    client = anybody.provider.client(is_trusted=True)
    for twice in ([client.client_id] * 2, [client.client_id, "app_other"]):
        assert "invalid_request" in refusal_of(anybody.authorize(client, client_id=twice))


@pytest.mark.parametrize("change", [{"is_active": False}, {"expires_at": True}, {"revoked_at": True}])
def test_a_client_that_is_over_is_no_client(browser: Browser, change: dict[str, Any]) -> None:
    client = browser.provider.client(is_trusted=True)
    values = {name: browser.provider.clock.now if value is True else value for name, value in change.items()}
    with browser.provider.begin() as tx:
        tx.execute(update(ClientRow).values(**values))
    browser.provider.services.clients.invalidate(client.client_id)
    browser.sign_in(browser.provider.user())
    refusal_of(browser.authorize(client))


NEAR_MISSES = [
    REDIRECT_URI + "/",
    REDIRECT_URI + "?",
    REDIRECT_URI + "?x=1",
    REDIRECT_URI + "#",
    REDIRECT_URI + "%20",
    REDIRECT_URI + "/../callback",
    REDIRECT_URI + "/more",
    REDIRECT_URI + "\r\nSet-Cookie: a=b",
    REDIRECT_URI.upper(),
    REDIRECT_URI.replace("https", "http"),
    REDIRECT_URI.replace("https", "HTTPS"),
    REDIRECT_URI.replace("app.", "APP."),
    REDIRECT_URI.replace("example.com", "example.com:443"),
    REDIRECT_URI.replace("example.com", "example.com."),
    REDIRECT_URI.replace("example.com", "example.com.evil.example"),
    REDIRECT_URI.replace("app.", "evil@app."),
    REDIRECT_URI.replace("app.example.com", "app.example.com@evil.example"),
    REDIRECT_URI.replace("callback", "Callback"),
    REDIRECT_URI.replace("callback", "c%61llback"),
    REDIRECT_URI.replace("//", "///"),
    "//app.example.com/callback",
    "javascript:alert(1)",
    "https://app.example.com",
    " " + REDIRECT_URI,
]


@pytest.mark.parametrize("uri", NEAR_MISSES)
def test_a_redirect_uri_that_nearly_matches_is_refused(browser: Browser, uri: str) -> None:
    browser.sign_in(browser.provider.user())
    refusal_of(browser.authorize(browser.provider.client(is_trusted=True), redirect_uri=uri))


@pytest.mark.parametrize(
    "kind, registered, requested, is_known",
    [
        ("native", "http://127.0.0.1/cb", "http://127.0.0.1:51004/cb", True),
        ("native", "http://localhost:3000/cb", "http://localhost:1/cb", True),
        ("native", "http://[::1]/cb", "http://[::1]:65535/cb", True),
        ("native", "http://127.0.0.1/cb", "http://localhost/cb", False),
        ("native", "http://127.0.0.1/cb", "http://127.0.0.1:80/other", False),
        ("native", "http://127.0.0.1/cb", "http://127.0.0.1:0/cb", False),
        ("native", "http://127.0.0.1/cb", "https://127.0.0.1/cb", False),
        ("web", "http://127.0.0.1:3000/cb", "http://127.0.0.1:3001/cb", False),
        ("native", "com.example.app:/cb", "com.example.app:/cb", True),
        ("native", "com.example.app:/cb", "com.example.app:/cb2", False),
    ],
)
def test_only_the_port_of_a_native_clients_loopback_may_differ(
    browser: Browser, kind: str, registered: str, requested: str, is_known: bool
) -> None:
    client = browser.provider.client("none", redirect_uris=(registered,), application_type=kind, is_trusted=True)
    browser.sign_in(browser.provider.user())
    answer = browser.authorize(client, redirect_uri=requested)
    if is_known:
        assert code_of(answer, requested)
    else:
        refusal_of(answer)


@pytest.mark.parametrize(
    "uri", [REDIRECT_URI + "?dummy1=lorem&dummy2=a%20b+c", REDIRECT_URI + "?x=", REDIRECT_URI + "?a=1&a=2&B"]
)
def test_the_query_of_a_registered_uri_is_kept_as_it_is(browser: Browser, uri: str) -> None:
    browser.sign_in(browser.provider.user())
    client = browser.provider.client(redirect_uris=(uri,), is_trusted=True)
    for changes, expected in (({}, {"code", "state", "iss"}), ({"response_type": "x"}, {"error", "state", "iss"})):
        answer = browser.authorize(client, redirect_uri=uri, **changes)
        assert expected <= set(fields_of(answer, uri))
        known = parse_qsl(urlsplit(uri).query, keep_blank_values=True)
        assert parse_qsl(urlsplit(answer.location).query, keep_blank_values=True)[: len(known)] == known
