"""Pushed authorization requests (RFC 9126) from push to code."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import Engine

from database.models import PushedRequest
from provider.accounts.users import User
from provider.endpoints.par import PER_SOURCE
from provider.protocol.client import ClientDetails
from tests.endpoints.browsing import (
    STATE,
    Browser,
    code_of,
    error_of,
    fields_of,
    form_of,
    page_of,
    refusal_of,
    request_of,
)  # fmt: skip
from tests.endpoints.provider import REDIRECT_URI, KnownClient, Provider, ProviderFactory, claims_of
from tests.endpoints.wsgi import Answer

PREFIX = "urn:ietf:params:oauth:request_uri:"


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


def push(provider: Provider, client: KnownClient, *, by: KnownClient | None = None, **changes: Any) -> Answer:
    pairs = [pair for pair in request_of(client, **changes) if pair[0] != "client_id" or "client_id" in changes]
    return provider.post(f"{provider.path}/par", pairs, by=by or client)


def pushed_uri(provider: Provider, client: KnownClient, **changes: Any) -> str:
    answer = push(provider, client, **changes)
    assert answer.status == 201, answer.body
    uri: str = answer.json["request_uri"]
    return uri


def open_pushed(browser: Browser, client: KnownClient, uri: str, method: str = "GET", **more: Any) -> Answer:
    """What an application sends its user to: the client's id and the name of the push, and nothing else."""
    left_out = {name: None for name, _ in request_of(client) if name != "client_id"}
    return browser.authorize(client, method=method, **{**left_out, "request_uri": uri, **more})


# --- pushing ---


@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post", "none"])
def test_a_push_is_answered_with_a_name_for_the_request(provider: Provider, method: str) -> None:
    answer = push(provider, provider.client(method))
    assert answer.status == 201
    assert answer.header("Cache-Control") == "no-store"
    assert set(answer.json) == {"request_uri", "expires_in"}
    assert answer.json["request_uri"].startswith(PREFIX)
    assert answer.json["expires_in"] == provider.services.settings.pushed_request_seconds


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH"])
def test_nothing_but_a_post_pushes(provider: Provider, method: str) -> None:
    answer = provider.send(method, f"{provider.path}/par")
    assert answer.status == 405
    assert answer.header("Allow") == "POST"


def test_a_push_without_a_credential_is_refused(provider: Provider) -> None:
    client = provider.client()
    for fields in ({}, {"client_id": client.client_id}, {"client_id": "unknown"}):
        assert provider.post(f"{provider.path}/par", fields).error == (401, "invalid_client")
    assert push(provider, client, client_id=provider.client().client_id).error == (400, "invalid_request")


REFUSED: list[tuple[str, dict[str, Any], str]] = [
    ("no redirect_uri", {"redirect_uri": None}, "invalid_request"),
    ("a redirect_uri that is not registered", {"redirect_uri": REDIRECT_URI + "/x"}, "invalid_request"),
    ("no response_type", {"response_type": None}, "invalid_request"),
    ("a hybrid one", {"response_type": "code id_token"}, "unsupported_response_type"),
    ("a token", {"response_type": "token"}, "unsupported_response_type"),
    ("no PKCE", {"code_challenge": None, "code_challenge_method": None}, "invalid_request"),
    ("plain PKCE", {"code_challenge_method": "plain"}, "invalid_request"),
    ("a request_uri", {"request_uri": PREFIX + "x"}, "invalid_request"),
    ("an address", {"request_uri": "https://app.example.com/r"}, "invalid_request"),
    ("an object without a signature", {"request": "eyJhbGciOiJub25lIn0.e30."}, "invalid_request_object"),
    ("a scope of strange characters", {"scope": 'a"b'}, "invalid_scope"),
    ("two resources", {"resource": ["https://a.example", "https://b.example"]}, "invalid_target"),
    ("a state twice", {"state": ["a", "b"]}, "invalid_request"),
    ("an unknown parameter twice", {"unknown": ["a", "b"]}, "invalid_request"),
    ("a client_id twice", {"client_id": ["a", "a"]}, "invalid_request"),
    ("a state without end", {"state": "s" * 5000}, "invalid_request"),
    ("claims that are no JSON", {"claims": "{"}, "invalid_request"),
]


@pytest.mark.parametrize("case, changes, error", REFUSED, ids=[row[0] for row in REFUSED])
def test_what_the_authorization_endpoint_would_refuse_is_refused_at_once(
    provider: Provider, case: str, changes: dict[str, Any], error: str
) -> None:
    assert push(provider, provider.client(), **changes).error == (400, error)
    assert provider.rows(PushedRequest) == []


def test_a_client_without_the_code_grant_pushes_nothing(provider: Provider, ada: User) -> None:
    assert push(provider, provider.machine()).status == 400
    assert push(provider, provider.client(grant_types=("client_credentials",))).error == (400, "unauthorized_client")
    assert push(provider, provider.api_key(ada)).status == 400


def test_no_credential_is_kept(provider: Provider) -> None:
    client = provider.client("client_secret_post")
    pushed_uri(provider, client)
    (row,) = provider.rows(PushedRequest)
    assert client.secret not in str(row)
    assert "client_secret" not in row["parameters"]


# --- opening what was pushed ---


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_what_was_pushed_is_what_is_answered(
    browser: Browser, provider: Provider, ada: User, trusted: KnownClient, method: str
) -> None:
    browser.sign_in(ada)
    uri = pushed_uri(provider, trusted, nonce="n1")
    answer = open_pushed(browser, trusted, uri, method)
    if method == "POST":
        answer = browser.get(answer.location)
    tokens = provider.redeem(trusted, code_of(answer)).json
    assert claims_of(tokens["id_token"])["nonce"] == "n1"


OUTSIDE = {
    "scope": "openid email offline_access", "state": "outside", "nonce": "outside", "prompt": "login", "max_age": "0",
    "redirect_uri": "https://evil.example/", "response_type": "token", "response_mode": "form_post", "resource": "https://x.example",
    "code_challenge": "x", "code_challenge_method": "plain", "claims": "{", "login_hint": "bob", "unknown": "x",
    "id_token_hint": "x", "acr_values": "x",
}  # fmt: skip


@pytest.mark.parametrize("name", OUTSIDE)
def test_nothing_outside_of_it_counts(
    browser: Browser, provider: Provider, ada: User, trusted: KnownClient, name: str
) -> None:
    browser.sign_in(ada)
    provider.clock.advance(60)
    sent = {"state": None, "nonce": None} if name in ("state", "nonce") else {}
    uri = pushed_uri(provider, trusted, **sent)
    answer = open_pushed(browser, trusted, uri, **{name: OUTSIDE[name]})
    tokens = provider.redeem(trusted, code_of(answer, state=None if sent else STATE)).json
    assert tokens["scope"] == "openid profile"
    assert "nonce" not in claims_of(tokens["id_token"])


def test_a_form_is_posted_where_the_push_asks_for_it(
    browser: Browser, provider: Provider, ada: User, trusted: KnownClient
) -> None:
    browser.sign_in(ada)
    answer = open_pushed(
        browser, trusted, pushed_uri(provider, trusted, response_mode="form_post"), response_mode="query"
    )
    assert form_of(answer)["state"] == STATE


# --- how long it lives ---


def test_it_survives_reloads_and_dies_with_its_answer(browser: Browser, provider: Provider, ada: User) -> None:
    client = provider.client()
    uri = pushed_uri(provider, client)
    pages = [page_of(open_pushed(browser, client, uri), "/login") for _ in range(3)]
    provider.clock.advance(5)
    browser.sign_in(ada)
    page = page_of(browser.get(f"/oauth/authorize/{pages[0].partition('=')[2]}"), "/consent")
    page_of(open_pushed(browser, client, uri), "/consent")
    code_of(browser.allow(page))
    assert "invalid_request_uri" in refusal_of(open_pushed(browser, client, uri))
    other = browser.get(f"/oauth/authorize/{pages[1].partition('=')[2]}")
    assert "Start again from the app" in refusal_of(other), "what another tab began is over as well"


def test_it_dies_when_its_person_refuses(browser: Browser, provider: Provider, ada: User) -> None:
    client = provider.client()
    browser.sign_in(ada)
    uri = pushed_uri(provider, client)
    assert error_of(browser.decide(page_of(open_pushed(browser, client, uri), "/consent"), "cancel")) == "access_denied"
    assert "invalid_request_uri" in refusal_of(open_pushed(browser, client, uri))


def test_it_can_be_answered_after_it_has_expired_but_not_opened(
    browser: Browser, provider: Provider, ada: User
) -> None:
    client = provider.client()
    uri = pushed_uri(provider, client)
    page = page_of(open_pushed(browser, client, uri), "/login")
    provider.clock.advance(provider.services.settings.pushed_request_seconds)
    assert "invalid_request_uri" in refusal_of(open_pushed(browser, client, uri))
    browser.sign_in(ada)
    consent = page_of(browser.get(f"/oauth/authorize/{page.partition('=')[2]}"), "/consent")
    code_of(browser.allow(consent))


def test_who_only_looks_ahead_uses_nothing_up(
    browser: Browser, provider: Provider, ada: User, trusted: KnownClient
) -> None:
    browser.sign_in(ada)
    uri = pushed_uri(provider, trusted)
    for method, headers in (("HEAD", {}), ("GET", {"Sec_Purpose": "prefetch"})):
        answer = open_pushed(browser, trusted, uri, method, headers=headers)
        assert answer.status in (200, 204)
        assert answer.header("Location") is None
    code_of(open_pushed(browser, trusted, uri))


@pytest.mark.parametrize("case", ["another client's", "unknown", "empty handle", "none of ours", "repeated"])
def test_a_name_of_nothing_leads_nowhere(
    browser: Browser, provider: Provider, ada: User, trusted: KnownClient, case: str
) -> None:
    """Not even to a redirect_uri beside it: a push that cannot be read says nothing about where to go."""
    browser.sign_in(ada)
    other = provider.client(is_trusted=True)
    uri: Any = {
        "another client's": pushed_uri(provider, other),
        "unknown": PREFIX + "mcp_par_" + "0" * 49,
        "empty handle": PREFIX,
        "none of ours": PREFIX + "x",
        "repeated": [pushed_uri(provider, trusted)] * 2,
    }[case]
    beside = {} if case == "repeated" else {"redirect_uri": REDIRECT_URI}
    refusal_of(open_pushed(browser, trusted, uri, **beside))
    if case == "another client's":
        code_of(open_pushed(browser, other, uri))


def test_a_push_and_an_object_at_once_are_refused(
    browser: Browser, provider: Provider, ada: User, trusted: KnownClient
) -> None:
    browser.sign_in(ada)
    uri = pushed_uri(provider, trusted)
    refusal_of(open_pushed(browser, trusted, uri, request="a.b.c"))
    answer = open_pushed(browser, trusted, uri, request="a.b.c", redirect_uri=REDIRECT_URI)
    assert error_of(answer) == "invalid_request"


# --- clients that must push ---


def test_a_client_that_must_push_gets_nothing_else_answered(browser: Browser, provider: Provider, ada: User) -> None:
    details = ClientDetails(require_pushed_authorization_requests=True)
    client = provider.client(is_trusted=True, details=details)
    browser.sign_in(ada)
    for more in ({}, {"prompt": "none"}, {"request": "a.b.c"}, {"request_uri": "https://app.example.com/r"}):
        answer = browser.authorize(client, **more)
        assert error_of(answer) == "invalid_request"
        assert fields_of(answer)["state"] == STATE
    code_of(open_pushed(browser, client, pushed_uri(provider, client)))


def test_a_push_by_somebody_whose_client_was_disabled_is_not_answered(
    browser: Browser, provider: Provider, ada: User, trusted: KnownClient
) -> None:
    browser.sign_in(ada)
    uri = pushed_uri(provider, trusted)
    with provider.begin() as tx:
        provider.services.clients.set_active(tx, provider.origin, trusted.client_id, False)
    refusal_of(open_pushed(browser, trusted, uri))
    assert push(provider, trusted).error == (401, "invalid_client")


def test_nothing_is_kept_of_a_push_that_nobody_reads(provider: Provider, trusted: KnownClient) -> None:
    assert push(provider, trusted, client_id=trusted.client_id, filler="x" * 60_000).status == 201
    (row,) = provider.rows(PushedRequest)
    assert "filler" not in row["parameters"]
    assert {"redirect_uri", "scope", "state", "code_challenge"} < set(row["parameters"])


@pytest.mark.parametrize(
    "method, is_vouched, is_limited",
    [("none", True, True), ("client_secret_post", False, True), ("client_secret_post", True, False)],
)
def test_what_anybody_can_push_is_limited_by_address(
    provider: Provider, method: str, is_vouched: bool, is_limited: bool
) -> None:
    client = provider.client(method, is_vouched=is_vouched)
    with provider.begin() as tx:
        for _ in range(PER_SOURCE.times):
            provider.services.rate_limits.hit_source(tx, PER_SOURCE, provider.origin.networks, provider.clock.now)
    answer = push(provider, client)
    assert (answer.status, len(provider.rows(PushedRequest))) == ((429, 0) if is_limited else (201, 1))
    provider.clock.advance(PER_SOURCE.seconds)
    assert push(provider, client).status == 201
