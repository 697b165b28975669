"""Requests at the authorization endpoint: who may be redirected to, what is refused, and what every answer carries."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import Engine

from database.models import AuthorizationCode, AuthorizationRequest
from provider.protocol.messages import FORM
from tests.endpoints.browsing import STATE, Browser, code_of, error_of, fields_of, page_of, refusal_of, request_of
from tests.endpoints.provider import API, ProviderFactory, claims_of
from tests.endpoints.wsgi import encoded


@pytest.fixture
def browser(sqlite_engine: Engine, make_provider: ProviderFactory) -> Browser:
    return Browser(make_provider(sqlite_engine))


@pytest.fixture(params=["signed out", "signed in"])
def anybody(request: pytest.FixtureRequest, browser: Browser) -> Browser:
    if request.param == "signed in":
        browser.sign_in(browser.provider.user())
    return browser


CHALLENGE = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
REFUSED: list[tuple[str, dict[str, Any], str]] = [
    ("no response_type", {"response_type": None}, "invalid_request"),
    ("an empty response_type", {"response_type": ""}, "invalid_request"),
    ("implicit", {"response_type": "token"}, "unsupported_response_type"),
    ("implicit ID token", {"response_type": "id_token"}, "unsupported_response_type"),
    ("implicit, both", {"response_type": "id_token token"}, "unsupported_response_type"),
    ("hybrid", {"response_type": "code id_token"}, "unsupported_response_type"),
    ("hybrid, all", {"response_type": "code id_token token"}, "unsupported_response_type"),
    ("none", {"response_type": "none"}, "unsupported_response_type"),
    ("code twice in one", {"response_type": "code code"}, "unsupported_response_type"),
    ("a fragment", {"response_mode": "fragment"}, "invalid_request"),
    ("a signed answer", {"response_mode": "jwt"}, "invalid_request"),
    ("a request object without a signature", {"request": "eyJhbGciOiJub25lIn0.e30."}, "invalid_request_object"),
    ("a request_uri that is not registered", {"request_uri": "https://evil.example/r"}, "invalid_request_uri"),
    ("an object and its address", {"request": "a.b.c", "request_uri": "https://evil.example/r"}, "invalid_request"),
    ("claims that are no JSON", {"claims": "name"}, "invalid_request"),
    ("claims of two persons", {"claims": '{"id_token":{"sub":{"values":["a","b"]}}}'}, "invalid_request"),
    ("no challenge", {"code_challenge": None}, "invalid_request"),
    ("no challenge and no method", {"code_challenge": None, "code_challenge_method": None}, "invalid_request"),
    ("an empty challenge", {"code_challenge": ""}, "invalid_request"),
    ("no method, which means plain", {"code_challenge_method": None}, "invalid_request"),
    ("plain", {"code_challenge_method": "plain"}, "invalid_request"),
    ("a method in small letters", {"code_challenge_method": "s256"}, "invalid_request"),
    ("an unknown method", {"code_challenge_method": "S512"}, "invalid_request"),
    ("42 characters", {"code_challenge": CHALLENGE[:-1]}, "invalid_request"),
    ("44 characters", {"code_challenge": CHALLENGE + "a"}, "invalid_request"),
    ("padding", {"code_challenge": CHALLENGE[:-1] + "="}, "invalid_request"),
    ("base64 without url", {"code_challenge": CHALLENGE[:-1] + "+"}, "invalid_request"),
    ("a line break behind", {"code_challenge": CHALLENGE + "\n"}, "invalid_request"),
    ("letters outside of ASCII", {"code_challenge": CHALLENGE[:-1] + "é"}, "invalid_request"),
    ("a scope of strange characters", {"scope": 'openid "x"'}, "invalid_scope"),
    ("only unknown scopes", {"scope": "unknown other"}, "invalid_scope"),
    ("an unknown resource", {"resource": "https://other.example"}, "invalid_target"),
    ("a resource with a fragment", {"resource": API + "#f"}, "invalid_target"),
    ("a relative resource", {"resource": "/mcp"}, "invalid_target"),
    ("two resources", {"resource": [API, "https://other.example"]}, "invalid_target"),
    ("a negative max_age", {"max_age": "-1"}, "invalid_request"),
    ("a max_age that is no number", {"max_age": "ten"}, "invalid_request"),
    ("a max_age with a blank", {"max_age": " 10"}, "invalid_request"),
    ("none with login", {"prompt": "none login"}, "invalid_request"),
    ("none with an unknown prompt", {"prompt": "none other"}, "invalid_request"),
    ("a state that is too long", {"state": "s" * 4097}, "invalid_request"),
    ("a nonce that is too long", {"nonce": "n" * 4097}, "invalid_request"),
    ("a hint that is too long", {"id_token_hint": "h" * 8193}, "invalid_request"),
]


@pytest.mark.parametrize("case, changes, error", REFUSED, ids=[row[0] for row in REFUSED])
def test_a_wrong_request_is_answered_to_the_application_before_anybody_signs_in(
    browser: Browser, case: str, changes: dict[str, Any], error: str
) -> None:
    browser.provider.resource()
    answer = browser.authorize(browser.provider.client("none"), **changes)
    fields = fields_of(answer)
    assert fields["error"] == error
    assert fields["iss"] == browser.provider.issuer
    assert fields.get("state") == (None if "state" in changes else STATE)
    assert browser.provider.rows(AuthorizationRequest) == []
    assert browser.provider.rows(AuthorizationCode) == []
    assert "Set-Cookie" not in dict(answer.headers)


@pytest.mark.parametrize("method", ["none", "client_secret_basic", "client_secret_post"])
def test_pkce_is_asked_of_every_kind_of_client_unless_an_operator_switched_it_off(
    browser: Browser, method: str
) -> None:
    browser.sign_in(browser.provider.user())
    without: dict[str, Any] = {"code_challenge": None, "code_challenge_method": None}
    assert error_of(browser.authorize(browser.provider.client(method, is_trusted=True), **without)) == "invalid_request"
    relaxed = browser.provider.client(method, is_trusted=True, require_pkce=False)
    answer = browser.authorize(relaxed, **without)
    if method == "none":
        assert error_of(answer) == "invalid_request"
    else:
        assert code_of(answer)
    assert error_of(browser.authorize(relaxed, code_challenge_method="plain")) == "invalid_request"


READ = [
    *("response_type", "response_mode", "scope", "nonce", "code_challenge", "code_challenge_method", "prompt"),
    *("max_age", "login_hint", "ui_locales", "id_token_hint", "request", "request_uri", "display", "unknown"),
    *("claims", "acr_values"),
]


@pytest.mark.parametrize("name", READ)
def test_a_parameter_that_comes_twice_is_refused(anybody: Browser, name: str) -> None:
    client = anybody.provider.client(is_trusted=True)
    known = dict(request_of(client)).get(name, "x")
    twice: dict[str, Any] = {name: [known, known]}
    answer = anybody.authorize(client, **twice)
    assert error_of(answer) == "invalid_request"
    assert fields_of(answer)["state"] == STATE


def test_a_state_that_comes_twice_is_refused_and_not_chosen_from(anybody: Browser) -> None:
    answer = anybody.authorize(anybody.provider.client(is_trusted=True), state=["one", "two"])
    assert error_of(answer) == "invalid_request"
    assert "state" not in fields_of(answer)


EMPTY = ["response_mode", "scope", "nonce", "resource", "prompt", "max_age", "login_hint", "ui_locales", "request"]


@pytest.mark.parametrize("name", EMPTY)
def test_an_empty_value_counts_as_absent(browser: Browser, name: str) -> None:
    browser.sign_in(browser.provider.user())
    client = browser.provider.client(is_trusted=True, scope=("openid",))
    assert code_of(browser.authorize(client, **{name: ""}))


@pytest.mark.parametrize(
    "more",
    [
        {"extra": "foobar"},
        {"display": "popup"},
        {"acr_values": "unknown urn:x"},
        {"claims_locales": "se"},
        {"ui_locales": "se"},
        {"ui_locales": "\u0000<"},
        {"login_hint": "ada@example.com"},
        {"login_hint": "x" * 5000},
        {"prompt": "unheard-of"},
        {"resource": API},
        {"claims": '{"userinfo":{"name":{"essential":true}}}'},
        {"code": "ac", "error": "x", "iss": "https://evil.example"},
    ],
)
def test_what_need_not_be_understood_is_no_error(browser: Browser, more: dict[str, str]) -> None:
    browser.provider.resource(scope=("openid:x",))
    browser.sign_in(browser.provider.user())
    client = browser.provider.client(is_trusted=True)
    if "\x00" in "".join(more.values()):
        refusal_of(browser.authorize(client, **more))  # a NUL is never decoded, whatever carries it
    else:
        assert fields_of(browser.authorize(client, **more))["iss"] == browser.provider.issuer


STATES = ["-._~" * 32, "a+b c%20d&e=f#g?h/i", "%", "%%%2", "상태 日本 🚀", "\"'<>\\", "\r\nSet-Cookie: a=b", "a" * 4096]


@pytest.mark.parametrize("state", [*STATES, "s" * 1024])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_the_state_comes_back_byte_for_byte(browser: Browser, state: str, method: str) -> None:
    browser.sign_in(browser.provider.user())
    client = browser.provider.client(is_trusted=True)
    answer = browser.authorize(client, state=state, method=method)
    if method == "POST":
        answer = browser.get(answer.location)
    assert code_of(answer, state=state)
    assert fields_of(browser.authorize(client, state=state, response_type="x"))["state"] == state
    assert not any("\r" in value or "\n" in value for _, value in answer.headers)


def test_without_a_state_none_is_made_up(browser: Browser) -> None:
    browser.sign_in(browser.provider.user())
    assert code_of(browser.authorize(browser.provider.client(is_trusted=True), state=None), state=None)


@pytest.mark.parametrize("nonce", ["n" * 64, "n" * 384, "논스 +%25&"])
def test_the_nonce_comes_back_in_the_id_token_unchanged(browser: Browser, nonce: str) -> None:
    browser.sign_in(browser.provider.user())
    client = browser.provider.client(is_trusted=True)
    tokens = browser.provider.redeem(client, code_of(browser.authorize(client, nonce=nonce))).json
    assert claims_of(tokens["id_token"])["nonce"] == nonce
    tokens = browser.provider.redeem(client, code_of(browser.authorize(client))).json
    assert "nonce" not in claims_of(tokens["id_token"])


@pytest.mark.parametrize(
    "asked, default, resource, granted",
    [
        ("openid profile", (), None, "openid profile"),
        ("profile openid", (), None, "profile openid"),
        ("openid openid profile", (), None, "openid profile"),
        ("openid unknown", (), None, "openid"),
        (None, ("openid", "email"), None, "openid email"),
        (None, (), API, "notes:read notes:write"),
        ("notes:read openid other:read", (), API, "notes:read openid"),
        ("openid email", ("openid",), None, "openid email"),
    ],
)
def test_scopes_are_cut_down_and_the_token_response_says_so(
    browser: Browser, asked: str | None, default: tuple[str, ...], resource: str | None, granted: str
) -> None:
    browser.provider.resource()
    browser.sign_in(browser.provider.user())
    client = browser.provider.client(is_trusted=True, scope=default)
    tokens = browser.provider.redeem(client, code_of(browser.authorize(client, scope=asked, resource=resource))).json
    assert tokens["scope"] == granted
    assert claims_of(tokens["access_token"])["scope"] == granted
    assert claims_of(tokens["access_token"])["aud"] == (resource or browser.provider.issuer)


@pytest.mark.parametrize(
    "asked, default, granted, audience",
    [
        ("notes:read openid", (), "notes:read openid", API),
        ("notes:read", (), "notes:read", API),
        (None, ("notes:write",), "notes:write", API),
        ("shared", (), None, None),
        ("shared openid", (), "openid", None),
        ("notes:read mail:read", (), None, None),
        ("notes:read mail:read openid", (), "openid", None),
        ("openid unknown", (), "openid", None),
    ],
)
def test_without_a_resource_the_only_api_with_such_scopes_is_meant(
    browser: Browser, asked: str | None, default: tuple[str, ...], granted: str | None, audience: str | None
) -> None:
    """Where several could be meant none is, and what is left of the scopes is for this server."""
    browser.provider.resource(scope=("notes:read", "notes:write", "shared"))
    browser.provider.resource("https://mail.example.com", ("mail:read", "shared"))
    browser.sign_in(browser.provider.user())
    client = browser.provider.client(is_trusted=True, scope=default)
    answer = browser.authorize(client, scope=asked)
    if granted is None:
        assert error_of(answer) == "invalid_scope"
        return
    tokens = browser.provider.redeem(client, code_of(answer)).json
    assert tokens["scope"] == granted
    assert claims_of(tokens["access_token"])["aud"] == (audience or browser.provider.issuer)


def test_no_scope_asked_and_none_by_default_is_invalid_scope(browser: Browser) -> None:
    assert error_of(browser.authorize(browser.provider.client(), scope=None)) == "invalid_scope"


def test_offline_access_needs_the_refresh_grant(browser: Browser) -> None:
    browser.sign_in(browser.provider.user())
    client = browser.provider.client(is_trusted=True, grant_types=("authorization_code",))
    tokens = browser.provider.redeem(client, code_of(browser.authorize(client, scope="openid offline_access"))).json
    assert tokens["scope"] == "openid"
    assert "refresh_token" not in tokens


def test_a_client_without_the_code_grant_is_told_so(browser: Browser) -> None:
    client = browser.provider.client(grant_types=("client_credentials",))
    assert error_of(browser.authorize(client)) == "unauthorized_client"


@pytest.mark.parametrize("content_type", ["", "application/json", "multipart/form-data; boundary=x", "text/plain"])
def test_a_post_must_be_a_form(browser: Browser, content_type: str) -> None:
    body = encoded(request_of(browser.provider.client(is_trusted=True)))
    refusal_of(browser.send("POST", "/oauth/authorize", body=body, Content_Type=content_type))


def test_a_post_reads_its_body_alone(browser: Browser) -> None:
    client = browser.provider.client(is_trusted=True)
    query = encoded(request_of(client)).decode()
    refusal_of(browser.send("POST", f"/oauth/authorize?{query}", body=b"", Content_Type=FORM))


@pytest.mark.parametrize("query", ["client_id=%ff", "client_id=a%00", "&".join(f"a{i}=1" for i in range(101))])
def test_parameters_that_cannot_be_decoded_are_our_own_page(browser: Browser, query: str) -> None:
    refusal_of(browser.get(f"/oauth/authorize?{query}"))


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS"])
def test_other_methods_are_not_allowed_and_no_origin_may_read(browser: Browser, method: str) -> None:
    answer = browser.send(method, "/oauth/authorize", Origin="https://evil.example")
    assert answer.status == 405
    for reply in (answer, browser.authorize(browser.provider.client(), headers={"Origin": "https://evil.example"})):
        assert not [name for name, _ in reply.headers if name.lower().startswith("access-control")]


def test_a_right_request_of_somebody_signed_out_waits_at_the_login(browser: Browser) -> None:
    answer = browser.authorize(browser.provider.client())
    page_of(answer, "/login")
    assert (answer.header("Cache-Control"), answer.header("Referrer-Policy")) == ("no-store", "no-referrer")
    assert browser.get(answer.location).status == 200
