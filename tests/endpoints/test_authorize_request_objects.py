"""Signed authorization requests at the endpoint, by value and by address (RFC 9101; OpenID Connect Core §6)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import Engine

from provider.endpoints.request_reader import FETCHES_PER_SOURCE, FETCHES_PER_SOURCE_AND_HOST
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
)
from tests.endpoints.documents import reaching
from tests.endpoints.provider import REDIRECT_URI, KnownClient, Provider, ProviderFactory, claims_of
from tests.endpoints.wsgi import Answer
from tests.https_server import HttpsServer
from tests.signing import ALGORITHMS, ClientKey, assertion_claims, client_key, jwks, with_assertion

KEY = client_key()


@pytest.fixture(scope="module")
def running() -> Iterator[HttpsServer]:
    server = HttpsServer()
    yield server
    server.close()


@pytest.fixture
def server(running: HttpsServer) -> HttpsServer:
    running.answers.clear()
    running.received.clear()
    return running


@pytest.fixture
def browser(sqlite_engine: Engine, make_provider: ProviderFactory, server: HttpsServer) -> Browser:
    """Signed in, so that a right request is answered at once."""
    made = make_provider(sqlite_engine, **reaching(server))
    browser = Browser(made)
    browser.sign_in(made.user())
    return browser


@pytest.fixture
def provider(browser: Browser) -> Provider:
    return browser.provider


def signing(
    provider: Provider, key: ClientKey = KEY, *, method: str = "client_secret_basic", **options: Any
) -> KnownClient:
    details = {"jwks": jwks(key), **options.pop("details", {})}
    return provider.client(method, **{"is_trusted": True, "details": ClientDetails(**details), **options})


def request_object(
    provider: Provider,
    client: KnownClient,
    key: ClientKey = KEY,
    *,
    header: dict[str, Any] | None = None,
    **changes: Any,
) -> str:
    """A right signed request but for ``changes``; None leaves a claim out."""
    at = int(provider.clock.now.timestamp())
    claims = {**dict(request_of(client)), "iss": client.client_id, "aud": provider.issuer, "exp": at + 60, **changes}
    made = {name: value for name, value in claims.items() if value is not None}
    return key.sign(made, **{"typ": "oauth-authz-req+jwt", **(header or {})})


def by_value(browser: Browser, client: KnownClient, signed: str, **outside: Any) -> Answer:
    left_out = {name: None for name, _ in request_of(client) if name != "client_id"}
    return browser.authorize(client, **{**left_out, "request": signed, **outside})


def by_address(browser: Browser, client: KnownClient, uri: str, **outside: Any) -> Answer:
    left_out = {name: None for name, _ in request_of(client) if name != "client_id"}
    return browser.authorize(client, **{**left_out, "request_uri": uri, **outside})


def publish(server: HttpsServer, signed: str, path: str = "/r", content_type: str = "application/jwt") -> str:
    server.answers[path] = (200, {"Content-Type": content_type}, signed.encode())
    return server.url + path


# --- by value ---


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("typ", ["oauth-authz-req+jwt", "JWT", None])
def test_a_signed_request_is_answered(browser: Browser, provider: Provider, algorithm: str, typ: str | None) -> None:
    key = client_key(algorithm)
    client = signing(provider, key, details={"request_object_signing_alg": algorithm})
    signed = request_object(
        provider, client, key, header={"typ": typ}, nonce="n1", max_age=3600, claims={"id_token": {}}
    )
    tokens = provider.redeem(client, code_of(by_value(browser, client, signed))).json
    assert claims_of(tokens["id_token"])["nonce"] == "n1"


def test_it_can_be_posted_and_resumed(browser: Browser, provider: Provider) -> None:
    client = signing(provider)
    left_out = {name: None for name, _ in request_of(client) if name != "client_id"}
    posted = browser.authorize(client, method="POST", **{**left_out, "request": request_object(provider, client)})
    code_of(browser.get(posted.location))


OUTSIDE = {
    "scope": "openid email", "state": "outside", "nonce": "outside", "prompt": "login", "max_age": "0",
    "response_type": "token", "redirect_uri": "https://evil.example/",
    "response_mode": "form_post", "claims": "{",
    "resource": "https://x.example",
    "code_challenge": "x", "code_challenge_method": "plain", "unknown": "x", "id_token_hint": "x",
}  # fmt: skip


@pytest.mark.parametrize("name", OUTSIDE)
def test_nothing_outside_of_it_counts(browser: Browser, provider: Provider, name: str) -> None:
    client = signing(provider)
    provider.clock.advance(60)
    sent = {"state": None, "nonce": None} if name in ("state", "nonce") else {}
    answer = by_value(browser, client, request_object(provider, client, KEY, **sent), **{name: OUTSIDE[name]})
    tokens = provider.redeem(client, code_of(answer, state=None if sent else STATE)).json
    assert tokens["scope"] == "openid profile"
    assert "nonce" not in claims_of(tokens["id_token"])


def test_what_is_missing_in_it_is_not_taken_from_outside(browser: Browser, provider: Provider) -> None:
    client = signing(provider)
    whole = dict(request_of(client))
    for name, error in (("code_challenge", "invalid_request"), ("response_type", "invalid_request")):
        signed = request_object(provider, client, KEY, **{name: None})
        assert error_of(by_value(browser, client, signed, **{name: whole[name]})) == error
    signed = request_object(provider, client, redirect_uri=None)
    refusal_of(by_value(browser, client, signed, redirect_uri=REDIRECT_URI))
    evil = request_object(provider, client, redirect_uri="https://evil.example/")
    refusal_of(by_value(browser, client, evil, redirect_uri=REDIRECT_URI))


WRONG: dict[str, dict[str, Any]] = {
    "another client's": {"client_id": "app_2"},
    "by another client": {"iss": "app_2"},
    "for another server": {"aud": "https://other.example"},
    "over": {"exp": 1},
    "a misshapen prompt": {"prompt": ["none"]},
    "an object in it": {"request": "x"},
    "an address in it": {"request_uri": "https://app.example.com/r"},
    "a state of null bytes": {"state": "a\x00b"},
    "half a character": {"state": "\ud800"},
}


@pytest.mark.parametrize("redirect_uri", [None, REDIRECT_URI, "https://evil.example/"])
@pytest.mark.parametrize("case", [*WRONG, "a foreign key", "an assertion", "another kind", "unsigned", "garbage"])
def test_what_is_wrong_with_it_goes_to_a_redirect_uri_that_is_proven_or_to_a_page(
    browser: Browser, provider: Provider, case: str, redirect_uri: str | None
) -> None:
    """What an unverified object says of a redirect URI proves nothing; the one beside it does, if it is registered."""
    client = signing(provider)
    if case == "a foreign key":
        signed = request_object(provider, client, client_key(name="other"))
    elif case == "an assertion":
        signed = request_object(provider, client, sub=client.client_id)
    elif case == "another kind":
        signed = request_object(provider, client, header={"typ": "client-authentication+jwt"})
    elif case == "unsigned":
        signed = request_object(provider, client).rpartition(".")[0] + "."
    else:
        signed = "a.b.c" if case == "garbage" else request_object(provider, client, **WRONG[case])
    answer = by_value(browser, client, signed, redirect_uri=redirect_uri, state="outer")
    if redirect_uri == REDIRECT_URI:
        assert error_of(answer) == "invalid_request_object"
        assert fields_of(answer)["state"] == "outer"
    else:
        assert "evil" not in refusal_of(answer)
    form = by_value(browser, client, signed, redirect_uri=redirect_uri, response_mode="form_post")
    assert form.header("Location") is None
    if redirect_uri == REDIRECT_URI:
        assert form_of(form)["error"] == "invalid_request_object"


def test_a_wrong_request_in_a_right_object_is_answered_as_the_object_says(browser: Browser, provider: Provider) -> None:
    client = signing(provider)
    signed = request_object(provider, client, scope="unknown", response_mode="form_post")
    assert form_of(by_value(browser, client, signed, state="outer")) == {
        "error": "invalid_scope",
        "error_description": "None of the requested scopes can be granted.",
        "state": STATE,
        "iss": provider.issuer,
    }


@pytest.mark.parametrize("registered, signs", [("PS256", "RS256"), ("RS256", "PS256"), ("ES256", "EdDSA")])
def test_another_algorithm_than_the_registered_one_is_refused(
    browser: Browser, provider: Provider, registered: str, signs: str
) -> None:
    key = client_key(signs)
    client = signing(provider, key, details={"request_object_signing_alg": registered})
    signed = request_object(provider, client, key)
    assert error_of(by_value(browser, client, signed, redirect_uri=REDIRECT_URI)) == "invalid_request_object"


def test_prompt_none_in_a_signed_request_shows_no_page(browser: Browser, provider: Provider) -> None:
    client = signing(provider, is_trusted=False)
    assert error_of(by_value(browser, client, request_object(provider, client, prompt="none"))) == "consent_required"


def test_a_signed_request_can_be_pushed(browser: Browser, provider: Provider) -> None:
    client = signing(provider)
    signed = request_object(provider, client, scope="openid email")
    pushed = provider.post("/oauth/par", {"request": signed, "scope": "openid profile", "state": "outer"}, by=client)
    assert pushed.status == 201, pushed.body
    code = code_of(by_address(browser, client, pushed.json["request_uri"]))
    assert provider.redeem(client, code).json["scope"] == "openid email"
    for changes in (*WRONG.values(), {"more": "x" * 12_500}):
        signed = request_object(provider, client, **changes)
        assert provider.post("/oauth/par", {"request": signed}, by=client).error == (400, "invalid_request_object")
    foreign = request_object(provider, client, client_key(name="other"))
    assert provider.post("/oauth/par", {"request": foreign}, by=client).error == (400, "invalid_request_object")


# --- by address ---


@pytest.mark.parametrize(
    "content_type", ["application/jwt", "application/oauth-authz-req+jwt", "text/plain; charset=utf-8"]
)
@pytest.mark.parametrize("fragment", ["", "#a-hash"])
def test_a_request_at_a_registered_address_is_fetched(
    browser: Browser, provider: Provider, server: HttpsServer, content_type: str, fragment: str
) -> None:
    uri = server.url + "/r" + fragment
    client = signing(provider, details={"request_uris": (uri,)})
    publish(server, request_object(provider, client) + "\n", content_type=content_type)
    code_of(by_address(browser, client, uri, state="outer", scope="openid email"))
    assert server.received[0].path == "/r"


@pytest.mark.parametrize("change", ["?a=1", "#other", "/", "x"])
def test_an_address_that_is_not_registered_just_so_is_not_asked(
    browser: Browser, provider: Provider, server: HttpsServer, change: str
) -> None:
    client = signing(provider, details={"request_uris": (server.url + "/r",)})
    publish(server, request_object(provider, client))
    answer = by_address(browser, client, server.url + "/r" + change, redirect_uri=REDIRECT_URI, state="outer")
    assert error_of(answer) == "invalid_request_uri"
    refusal_of(by_address(browser, client, "https://169.254.169.254/r"))
    assert server.received == []


@pytest.mark.parametrize("case", ["404", "redirect", "text/html", "too long", "empty", "not ASCII", "another's key"])
def test_what_is_at_the_address_must_be_a_request_of_the_client(
    browser: Browser, provider: Provider, server: HttpsServer, case: str
) -> None:
    uri = server.url + "/r"
    client = signing(provider, details={"request_uris": (uri,)})
    signed = request_object(provider, client)
    status = {"404": 404, "redirect": 302}.get(case, 200)
    body = {"too long": signed + "A" * 17_000, "empty": "", "not ASCII": signed + "글"}.get(case, signed)
    if case == "another's key":
        body = request_object(provider, client, client_key(name="other"))
    kind = "text/html" if case == "text/html" else "application/jwt"
    server.answers["/r"] = (status, {"Content-Type": kind, "Location": uri}, body.encode())
    error = "invalid_request_object" if case in ("empty", "another's key") else "invalid_request_uri"
    assert error_of(by_address(browser, client, uri, redirect_uri=REDIRECT_URI)) == error
    refusal_of(by_address(browser, client, uri))


def test_nobody_makes_us_ask_without_end(browser: Browser, provider: Provider, server: HttpsServer) -> None:
    uri = publish(server, "signed by nobody")
    client = signing(provider, details={"request_uris": (uri,)})
    for _ in range(FETCHES_PER_SOURCE.times + 5):
        answer = by_address(browser, client, uri, redirect_uri=REDIRECT_URI)
    assert error_of(answer) == "temporarily_unavailable"
    assert server.count("/r") == FETCHES_PER_SOURCE_AND_HOST.times < FETCHES_PER_SOURCE.times


# --- clients that are known by a document ---


def test_a_push_may_be_the_first_that_we_hear_of_a_client(
    browser: Browser, provider: Provider, server: HttpsServer
) -> None:
    client_id = server.url + "/client"
    server.say_json("/keys", jwks(KEY))
    server.say_json("/client", {
        "client_id": client_id, "client_name": "Far", "redirect_uris": [REDIRECT_URI],
        "token_endpoint_auth_method": "private_key_jwt", "jwks_uri": server.url + "/keys",
    })  # fmt: skip
    known = provider.client()
    asked = {name: value for name, value in request_of(known) if name != "client_id"}
    made = assertion_claims(client_id, provider.issuer, provider.clock.now)
    pushed = provider.post("/oauth/par", {**asked, **with_assertion(KEY.sign(made))})
    assert pushed.status == 201, pushed.body
    left_out = dict.fromkeys(asked)
    opened = browser.authorize(known, **{**left_out, "client_id": client_id, "request_uri": pushed.json["request_uri"]})
    page_of(opened, "/consent")
    stranger = client_key(name="other").sign(assertion_claims(client_id, provider.issuer, provider.clock.now))
    assert provider.post("/oauth/par", {**asked, **with_assertion(stranger)}).error == (401, "invalid_client")
    unreadable = assertion_claims(server.url + "/nothing", provider.issuer, provider.clock.now)
    assert provider.post("/oauth/par", {**asked, **with_assertion(KEY.sign(unreadable))}).status == 400
