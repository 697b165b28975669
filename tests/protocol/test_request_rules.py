"""The authorization request (RFC 6749 §3.1, §4.1.1; RFC 7636 §4; RFC 8707 §2; OpenID Connect Core §3.1.2.1)."""

from __future__ import annotations

import base64
import dataclasses
import datetime
import hashlib
import json
import secrets
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provider.protocol.client import Client
from provider.protocol.errors import OAuthError, UntrustedRedirect
from provider.protocol.messages import Parameters
from provider.protocol.request_rules import (
    AuthorizationParameters,
    check_authorization_request,
    proven_redirect_uri,
    safe_response_mode,
    safe_state,
    single_value,
    verifier_matches,
)

REDIRECT_URI = "https://app.example/callback"
NOW = datetime.datetime(2026, 7, 1, tzinfo=datetime.UTC)
CHALLENGE = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"  # RFC 7636 Appendix B
VERIFIER = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
CLIENT = Client(
    id="row",
    client_id="app_1",
    kind="application",
    name="App",
    owner_user_id=None,
    secret_hash="0" * 64,
    token_endpoint_auth_method="client_secret_basic",
    application_type="web",
    redirect_uris=("https://app.example/other", REDIRECT_URI),
    post_logout_redirect_uris=(),
    grant_types=("authorization_code",),
    scope=(),
    resource=None,
    require_pkce=True,
    rotate_refresh_tokens=True,
    is_trusted=False,
    is_vouched=True,
    is_active=True,
    id_token_signed_response_alg="RS256",
    created_at=NOW,
    updated_at=NOW,
    last_used_at=None,
    expires_at=None,
    revoked_at=None,
)
PUBLIC_CLIENT = dataclasses.replace(CLIENT, token_endpoint_auth_method="none", secret_hash=None)
WITHOUT_PKCE = dataclasses.replace(CLIENT, require_pkce=False)
GOOD = {
    "response_type": "code",
    "client_id": "app_1",
    "redirect_uri": REDIRECT_URI,
    "code_challenge": CHALLENGE,
    "code_challenge_method": "S256",
}


def parameters(*more: tuple[str, str], without: tuple[str, ...] = (), **changes: str) -> Parameters:
    named = {name: value for name, value in {**GOOD, **changes}.items() if name not in without}
    return Parameters([*named.items(), *more])


def check(given_parameters: Parameters, client: Client = CLIENT) -> AuthorizationParameters:
    return check_authorization_request(given_parameters, client, REDIRECT_URI)


def refused(given_parameters: Parameters, client: Client = CLIENT) -> str:
    with pytest.raises(OAuthError) as refusal:
        check(given_parameters, client)
    assert not isinstance(refusal.value, UntrustedRedirect)
    return refusal.value.error


# --- client and redirect URI: no redirect before they are certain (RFC 6749 §4.1.2.1) ---


def test_a_registered_redirect_uri_is_proven() -> None:
    assert proven_redirect_uri(parameters(), CLIENT) == REDIRECT_URI


def test_a_native_client_may_choose_its_loopback_port() -> None:
    native = dataclasses.replace(CLIENT, application_type="native", redirect_uris=("http://127.0.0.1/cb",))
    asked = parameters(redirect_uri="http://127.0.0.1:49152/cb")
    assert proven_redirect_uri(asked, native) == "http://127.0.0.1:49152/cb"
    with pytest.raises(UntrustedRedirect):
        proven_redirect_uri(asked, dataclasses.replace(native, application_type="web"))


@pytest.mark.parametrize(
    "asked",
    [
        parameters(redirect_uri="https://evil.example/"),
        parameters(redirect_uri=REDIRECT_URI + "/"),
        parameters(redirect_uri="https://앱.example/"),
        parameters(redirect_uri='"\\'),
        parameters(redirect_uri=""),
        parameters(without=("redirect_uri",)),
        parameters(("redirect_uri", REDIRECT_URI)),
        parameters(("redirect_uri", "https://evil.example/")),
        parameters(("redirect_uri", "")),
    ],
    ids=["foreign", "near miss", "not ascii", "quotes", "empty", "missing", "repeated", "two", "repeated empty"],
)
def test_nothing_is_redirected_to_a_redirect_uri_that_is_not_proven(asked: Parameters) -> None:
    with pytest.raises(UntrustedRedirect):
        proven_redirect_uri(asked, CLIENT)


def test_nothing_is_redirected_for_an_unknown_client() -> None:
    with pytest.raises(UntrustedRedirect):
        proven_redirect_uri(parameters(), None)


def test_a_client_without_redirect_uris_has_no_proven_one() -> None:
    with pytest.raises(UntrustedRedirect):
        proven_redirect_uri(parameters(), dataclasses.replace(CLIENT, redirect_uris=()))


def test_a_repeated_client_id_is_not_certain() -> None:
    with pytest.raises(UntrustedRedirect):
        single_value(parameters(("client_id", "app_1")), "client_id")
    assert single_value(parameters(), "client_id") == "app_1"
    assert single_value(parameters(without=("client_id",)), "client_id") is None


# --- repeated, empty and unknown parameters (OAuth 2.1 §3.1) ---


READ = (
    "response_type", "scope", "state", "nonce", "code_challenge", "code_challenge_method", "prompt", "max_age",
    "login_hint", "ui_locales", "id_token_hint", "response_mode", "request", "request_uri", "client_id", "redirect_uri",
    "claims", "display", "acr_values", "something_unknown",
)  # fmt: skip


@pytest.mark.parametrize("name", READ)
def test_a_parameter_sent_twice_is_refused(name: str) -> None:
    assert refused(parameters((name, "1"), (name, "1"))) == "invalid_request"


@pytest.mark.parametrize(
    "name",
    ["scope", "state", "nonce", "prompt", "max_age", "login_hint", "ui_locales", "id_token_hint", "response_mode",
     "request", "request_uri", "registration", "resource"],
)  # fmt: skip
def test_an_empty_parameter_counts_as_absent(name: str) -> None:
    assert check(parameters((name, ""))) == check(parameters())


@pytest.mark.parametrize(
    "name", ["registration", "display", "claims_locales", "audience", "request", "request_uri", "x" * 500, "모르는"]
)
def test_an_unknown_parameter_is_ignored(name: str) -> None:
    """Request objects have been read when these rules are asked (``RequestReader``)."""
    assert check(parameters((name, '"\\한국어'))) == check(parameters())


def test_ten_levels_of_authentication_can_be_wished_for() -> None:
    assert check(parameters(acr_values=" a  b a ")).acr_values == ("a", "b", "a")
    assert len(check(parameters(acr_values="a " * 500)).acr_values) == 10


def test_single_claims_can_be_asked_for() -> None:
    assert check(parameters(claims='{"userinfo":{"name":null}}')).claims.userinfo == ("name",)
    assert refused(parameters(claims="{")) == "invalid_request"


# --- response type and mode ---


def test_the_response_type_is_required() -> None:
    assert refused(parameters(without=("response_type",))) == "invalid_request"
    assert refused(parameters(response_type="")) == "invalid_request"


@pytest.mark.parametrize(
    "value",
    ["token", "id_token", "code id_token", "code token", "id_token token", "none", "Code", "code code", '"', "코드"],
)
def test_only_code_is_a_response_type(value: str) -> None:
    assert refused(parameters(response_type=value)) == "unsupported_response_type"


def test_the_answer_goes_into_the_query_or_a_form() -> None:
    assert check(parameters()).response_mode == check(parameters(response_mode="query")).response_mode == "query"
    assert check(parameters(response_mode="form_post")).response_mode == "form_post"
    for mode in ("fragment", "jwt", "query.jwt", "form_post.jwt", "Query", "FORM_POST", "web_message", '"'):
        assert refused(parameters(response_mode=mode)) == "invalid_request"


def test_no_form_goes_to_an_applications_own_scheme() -> None:
    asked = parameters(response_mode="form_post", redirect_uri="com.example.app:/cb")
    with pytest.raises(OAuthError) as refusal:
        check_authorization_request(asked, CLIENT, "com.example.app:/cb")
    assert refusal.value.error == "invalid_request"
    assert safe_response_mode(asked, "com.example.app:/cb") == "query"


@pytest.mark.parametrize("values, mode", [
    ((), "query"), (("query",), "query"), (("form_post",), "form_post"), (("form_post", "form_post"), "query"),
    (("query", "form_post"), "query"), (("fragment",), "query"), (("",), "query"), (("", "form_post"), "form_post"),
])  # fmt: skip
def test_an_error_goes_back_as_was_asked_where_that_is_certain(values: tuple[str, ...], mode: str) -> None:
    asked = parameters(*(("response_mode", value) for value in values))
    assert safe_response_mode(asked, REDIRECT_URI) == mode


def test_a_client_without_the_grant_is_refused() -> None:
    client = dataclasses.replace(CLIENT, grant_types=("client_credentials",))
    assert refused(parameters(), client) == "unauthorized_client"


# --- PKCE (RFC 7636 §4.3, §4.4.1; RFC 9700 §2.1.1) ---


@pytest.mark.parametrize("client", [CLIENT, PUBLIC_CLIENT], ids=["confidential", "public"])
@pytest.mark.parametrize(
    "asked",
    [
        parameters(without=("code_challenge", "code_challenge_method")),
        parameters(without=("code_challenge",)),
        parameters(without=("code_challenge_method",)),
        parameters(code_challenge=""),
        parameters(code_challenge_method=""),
        parameters(code_challenge_method="plain"),
        parameters(code_challenge_method="s256"),
        parameters(code_challenge_method="S512"),
        parameters(code_challenge_method="S256 "),
        parameters(code_challenge=CHALLENGE[:-1]),
        parameters(code_challenge=CHALLENGE + "A"),
        parameters(code_challenge=CHALLENGE + "="),
        parameters(code_challenge=CHALLENGE + "\n"),
        parameters(code_challenge=CHALLENGE[:-1] + "+"),
        parameters(code_challenge=CHALLENGE[:-1] + "/"),
        parameters(code_challenge=CHALLENGE[:-1] + "."),
        parameters(code_challenge=CHALLENGE[:-1] + "~"),
        parameters(code_challenge=CHALLENGE[:-1] + "é"),
        parameters(code_challenge=CHALLENGE[:-1] + "１"),
    ],
)
def test_every_client_sends_an_s256_challenge(asked: Parameters, client: Client) -> None:
    assert refused(asked, client) == "invalid_request"


def test_the_challenge_is_kept() -> None:
    assert check(parameters()).code_challenge == CHALLENGE


def test_a_confidential_client_can_be_excused_from_pkce() -> None:
    asked = parameters(without=("code_challenge", "code_challenge_method"))
    assert check(asked, WITHOUT_PKCE).code_challenge is None


def test_a_public_client_cannot_be_excused_from_pkce() -> None:
    asked = parameters(without=("code_challenge", "code_challenge_method"))
    assert refused(asked, dataclasses.replace(PUBLIC_CLIENT, require_pkce=False)) == "invalid_request"


@pytest.mark.parametrize(
    "asked",
    [
        parameters(code_challenge_method="plain"),
        parameters(without=("code_challenge_method",)),
        parameters(without=("code_challenge",)),
        parameters(code_challenge="short"),
    ],
)
def test_an_excused_client_that_sends_a_challenge_sends_a_right_one(asked: Parameters) -> None:
    assert refused(asked, WITHOUT_PKCE) == "invalid_request"


def test_the_verifier_of_the_rfc_matches_its_challenge() -> None:
    assert verifier_matches(CHALLENGE, VERIFIER)


def challenge_of(verifier: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()


@pytest.mark.parametrize("verifier", ["a" * 43, "a" * 128, "A-._~z09" * 6])
def test_a_verifier_has_43_to_128_unreserved_characters(verifier: str) -> None:
    assert verifier_matches(challenge_of(verifier), verifier)


@pytest.mark.parametrize(
    "verifier",
    [
        "",
        "a" * 42,
        "a" * 129,
        "a" * 43 + "\n",
        "a" * 43 + "=",
        "a" * 42 + "+",
        "a" * 42 + " ",
        "a" * 42 + "é",
        "가" * 43,
    ],
)
def test_anything_else_is_no_verifier_even_if_its_hash_is_right(verifier: str) -> None:
    assert not verifier_matches(challenge_of(verifier), verifier)


def test_another_verifier_does_not_match() -> None:
    assert not verifier_matches(CHALLENGE, VERIFIER[:-1] + "l")
    assert not verifier_matches(CHALLENGE[:-1], VERIFIER)
    assert not verifier_matches("", VERIFIER)
    assert not verifier_matches(VERIFIER, VERIFIER)


# --- state and nonce ---


@pytest.mark.parametrize("value", ["a b+c%20&=?#", "안녕", "x" * 4096, "\r\nSet-Cookie: a=b", '"\\', "\u202e"])
def test_state_and_nonce_are_kept_character_for_character(value: str) -> None:
    asked = Parameters.parse(urlencode({**GOOD, "state": value, "nonce": value}))
    assert (check(asked).state, check(asked).nonce, safe_state(asked)) == (value, value, value)


def test_too_long_a_state_or_nonce_is_refused() -> None:
    assert refused(parameters(state="x" * 4097)) == "invalid_request"
    assert refused(parameters(nonce="x" * 4097)) == "invalid_request"


def test_the_state_of_a_refused_request_is_sent_back_if_there_is_one() -> None:
    assert safe_state(parameters(state="abc", response_type="token")) == "abc"
    assert safe_state(parameters()) is None
    assert safe_state(parameters(("state", "a"), ("state", "b"))) is None
    assert safe_state(parameters(state="x" * 4097)) is None


# --- scope and resource ---


def test_scopes_are_read_and_bad_ones_refused() -> None:
    assert check(parameters(scope="openid email openid")).scope == ("openid", "email")
    assert check(parameters()).scope == ()
    assert refused(parameters(scope='a"b')) == "invalid_scope"


def test_one_resource_is_kept_as_it_was_sent() -> None:
    assert check(parameters(resource="https://API.example/mcp")).resource == "https://API.example/mcp"
    twice = parameters(("resource", "https://a.example"), ("resource", "https://a.example/"))
    assert check(twice).resource in {"https://a.example", "https://a.example/"}


@pytest.mark.parametrize(
    "asked",
    [
        parameters(("resource", "https://a.example"), ("resource", "https://b.example")),
        parameters(resource="https://a.example/#x"),
        parameters(resource="a.example"),
        parameters(resource="한국어"),
    ],
)
def test_two_resources_or_a_malformed_one_are_an_invalid_target(asked: Parameters) -> None:
    assert refused(asked) == "invalid_target"


# --- OpenID Connect ---


@pytest.mark.parametrize(
    "text, expected",
    [
        ("login", ("login",)),
        ("login consent", ("login", "consent")),
        ("consent login consent", ("consent", "login")),
        ("none", ("none",)),
        ("create", ("create",)),
        ("select_account", ("select_account",)),
        ("unknown", ()),
        ("login 모름", ("login",)),
        ("LOGIN", ()),
        ("  login  ", ("login",)),
    ],
)
def test_prompt_values_are_a_list_and_unknown_ones_are_ignored(text: str, expected: tuple[str, ...]) -> None:
    assert check(parameters(prompt=text)).prompt == expected


@pytest.mark.parametrize("text", ["none login", "consent none", "none unknown"])
def test_prompt_none_stands_alone(text: str) -> None:
    assert refused(parameters(prompt=text)) == "invalid_request"


@pytest.mark.parametrize("text, expected", [("0", 0), ("1", 1), ("3600", 3600), ("007", 7)])
def test_max_age_is_a_number_of_seconds(text: str, expected: int) -> None:
    assert check(parameters(max_age=text)).max_age == expected


@pytest.mark.parametrize("text", ["-1", "1.5", "1e3", "abc", " 1", "1\n", "١", "9" * 10, "0x1", "+1"])
def test_any_other_max_age_is_refused(text: str) -> None:
    assert refused(parameters(max_age=text)) == "invalid_request"


def test_hints_are_never_an_error() -> None:
    assert check(parameters(login_hint="jiwon@example.com")).login_hint == "jiwon@example.com"
    assert check(parameters(login_hint="지원")).login_hint == "지원"
    assert check(parameters(login_hint="หญิง@example.com")).login_hint == "หญิง@example.com"
    assert check(parameters(login_hint="می\u200cخواهم")).login_hint == "می\u200cخواهم"
    assert check(parameters(login_hint="a\nb")).login_hint is None
    assert check(parameters(login_hint="a\u202eb")).login_hint is None
    assert check(parameters(login_hint="x" * 256)).login_hint is None
    assert check(parameters(ui_locales="ko-KR en")).ui_locales == "ko-KR en"
    assert check(parameters(ui_locales="<ko>")).ui_locales is None
    assert check(parameters(ui_locales="x" * 101)).ui_locales is None


def test_an_id_token_hint_is_kept_unless_it_is_too_long() -> None:
    assert check(parameters(id_token_hint="e30.e30.x")).id_token_hint == "e30.e30.x"
    assert refused(parameters(id_token_hint="x" * 8193)) == "invalid_request"


# --- keeping a request until its user has answered ---


def test_a_checked_request_survives_being_stored_as_json() -> None:
    whole = check(
        parameters(
            scope="openid mcp:read",
            state="상태 %",
            nonce=secrets.token_urlsafe(64),
            resource="https://api.example/mcp",
            prompt="login consent",
            max_age="0",
            login_hint="지원",
            ui_locales="ko",
            id_token_hint="e30.e30.x",
        )
    )
    for request in (whole, check(parameters())):
        assert AuthorizationParameters.from_dict(json.loads(json.dumps(request.to_dict()))) == request


def test_a_request_stored_by_another_release_is_read() -> None:
    stored = {"redirect_uri": REDIRECT_URI, "a_field_of_tomorrow": [1], "state": "s"}
    assert AuthorizationParameters.from_dict(stored) == AuthorizationParameters(redirect_uri=REDIRECT_URI, state="s")


TEXT = st.text(max_size=60)
NAMES = st.sampled_from([*READ, "resource"])


@given(st.lists(st.tuples(NAMES, TEXT), max_size=6))
def test_whatever_is_sent_gives_a_request_or_an_oauth_error(more: list[tuple[str, str]]) -> None:
    asked = Parameters([*{**GOOD, **dict(more[:3])}.items(), *more[3:]])
    try:
        proven = proven_redirect_uri(asked, CLIENT)
        request = check_authorization_request(asked, CLIENT, proven)
    except OAuthError as error:
        error.body()
        return
    assert request.redirect_uri == REDIRECT_URI
    assert request.code_challenge is not None
    assert AuthorizationParameters.from_dict(json.loads(json.dumps(request.to_dict()))) == request


@given(TEXT)
def test_any_text_is_a_wrong_verifier(text: str) -> None:
    assert not verifier_matches(CHALLENGE, text)
    assert not verifier_matches(text, VERIFIER)
