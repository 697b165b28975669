"""Decoding of parameters, bodies and cookies; error texts (RFC 6749 §3.1, §3.2, §5.2; OAuth 2.1 §3.1)."""

from __future__ import annotations

import datetime
from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provider.protocol.errors import OAuthError, UntrustedRedirect
from provider.protocol.messages import MAX_FIELDS, Origin, Parameters, ProtocolRequest, ProtocolResponse


def request(body: bytes = b"", *, method: str = "POST", query: str = "", **headers: str) -> ProtocolRequest:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return ProtocolRequest(
        method=method,
        path="/oauth/token",
        query_string=query,
        headers={"content-type": "application/x-www-form-urlencoded", **named},
        body=body,
        source="192.0.2.1",
        request_id="r",
        received_at=datetime.datetime(2026, 7, 1, tzinfo=datetime.UTC),
    )


def test_an_empty_value_counts_as_absent() -> None:
    parameters = Parameters.parse("a=&b=1&c")
    assert (parameters.get("a"), parameters.get("b"), parameters.get("c"), parameters.get("d")) == (
        None,
        "1",
        None,
        None,
    )


@pytest.mark.parametrize("encoded", ["a=1&a=2", "a=1&a=1", "a=&a=1", "a=&a=", "%61=1&a=2"])
def test_a_parameter_sent_twice_is_refused(encoded: str) -> None:
    with pytest.raises(OAuthError) as refusal:
        Parameters.parse(encoded).get("a")
    assert refusal.value.error == "invalid_request"


def test_repetitions_are_kept_for_who_asks_for_all() -> None:
    parameters = Parameters.parse("resource=a&resource=&resource=b&x=1&x=2")
    assert parameters.all("resource") == ["a", "b"]
    assert parameters.repeated("resource") == ["x"]


def test_a_semicolon_separates_nothing() -> None:
    assert Parameters.parse("a=1;b=2").as_dict() == {"a": ["1;b=2"]}


@pytest.mark.parametrize(
    "encoded",
    [b"a=%ff", b"a=%c3%28", b"a=\xff", "a=é", b"a=%00", b"a=\x00", b"%ff=a", "a=\udc80", b"a=%ED%A0%80"],
)
def test_what_is_no_utf8_or_has_nul_is_refused(encoded: bytes | str) -> None:
    with pytest.raises(OAuthError) as refusal:
        Parameters.parse(encoded)
    assert refusal.value.error == "invalid_request"


def test_text_of_any_language_is_decoded() -> None:
    assert Parameters.parse("state=%EC%95%88%EB%85%95+%26%2B").get("state") == "안녕 &+"


def test_there_may_be_a_hundred_fields_and_no_more() -> None:
    assert len(Parameters.parse("&".join(f"a{n}=1" for n in range(MAX_FIELDS)))) == MAX_FIELDS
    with pytest.raises(OAuthError):
        Parameters.parse("&".join(f"a{n}=1" for n in range(MAX_FIELDS + 1)))


@given(st.binary(max_size=200))
def test_any_bytes_are_parameters_or_an_oauth_error(encoded: bytes) -> None:
    try:
        parameters = Parameters.parse(encoded)
    except OAuthError:
        return
    for values in parameters.as_dict().values():
        for value in values:
            value.encode()


@pytest.mark.parametrize(
    "content_type",
    ["", "application/json", "multipart/form-data; boundary=x", "text/plain", "application/x-www-form-urlencodedx"],
)
def test_a_body_of_another_kind_is_refused(content_type: str) -> None:
    with pytest.raises(OAuthError) as refusal:
        _ = request(b"a=1", content_type=content_type).form
    assert refusal.value.error == "invalid_request"


@pytest.mark.parametrize(
    "content_type",
    ["application/x-www-form-urlencoded", "Application/X-WWW-Form-URLencoded ; charset=UTF-8"],
)
def test_a_form_may_name_its_charset(content_type: str) -> None:
    assert request(b"a=1", content_type=content_type).form.get("a") == "1"


def test_query_and_body_are_kept_apart() -> None:
    both = request(b"a=body", query="a=query&b=query")
    assert (both.form.get("a"), both.form.get("b"), both.query.get("a")) == ("body", None, "query")


def test_a_strange_cookie_does_not_hide_ours() -> None:
    sent = 'a[0]={"x": 1}; ; =nameless; lonely; mcp_session=mcp_session_1; ko=값; quoted="v"'
    assert request(cookie=sent).cookies["mcp_session"] == "mcp_session_1"
    assert request(cookie=sent).cookies["quoted"] == "v"


def test_the_first_of_two_cookies_counts() -> None:
    assert request(cookie="a=1; a=2").cookies == {"a": "1"}
    assert request().cookies == {}


@given(st.text(max_size=100))
def test_any_cookie_header_is_read(text: str) -> None:
    assert all(name for name in request(cookie=text).cookies)


@pytest.mark.parametrize(
    "made",
    [
        request(method="HEAD"),
        request(method="GET", sec_purpose="prefetch"),
        request(method="GET", sec_purpose="prefetch;prerender"),
        request(method="GET", purpose="prefetch"),
    ],
)
def test_a_browser_that_looks_ahead_is_recognised(made: ProtocolRequest) -> None:
    assert made.is_speculative


def test_a_plain_request_is_not_speculative() -> None:
    assert not request(method="GET").is_speculative


@pytest.mark.parametrize("text", ['say "x"', "back\\slash", "한국어", "line\nbreak", "tab\t", "\x7f"])
def test_a_description_cannot_have_characters_that_the_rfc_forbids(text: str) -> None:
    with pytest.raises(ValueError, match="RFC 6749"):
        OAuthError("invalid_request", text)


def test_the_private_detail_is_not_in_the_answer() -> None:
    assert OAuthError("invalid_request", "Public.", detail="private").body() == {
        "error": "invalid_request",
        "error_description": "Public.",
    }
    assert OAuthError("invalid_request").body() == {"error": "invalid_request"}


def test_the_ready_made_errors_have_the_status_and_headers_of_their_rfcs() -> None:
    client = OAuthError.invalid_client()
    assert (client.error, client.status) == ("invalid_client", 401)
    assert dict(client.headers)["WWW-Authenticate"].startswith("Basic ")
    assert (OAuthError.slow_down(7).status, dict(OAuthError.slow_down(7).headers)) == (429, {"Retry-After": "7"})
    assert OAuthError.temporarily_unavailable().status == 503
    for ready in (
        OAuthError.invalid_grant("x"),
        OAuthError.invalid_scope(),
        OAuthError.invalid_target("x"),
        OAuthError.unauthorized_client("x"),
        UntrustedRedirect("invalid_request", "x"),
    ):
        assert ready.status == 400


def test_answers_with_tokens_and_redirects_are_not_stored_and_redirects_are_303() -> None:
    answer = ProtocolResponse.json({"a": "값"})
    assert ("Cache-Control", "no-store") in answer.headers
    assert answer.body == '{"a":"값"}'.encode()
    assert ("Cache-Control", "no-store") not in ProtocolResponse.json({}, store=True).headers
    redirect = ProtocolResponse.redirect("https://a.example/")
    assert redirect.status == 303
    assert {("Cache-Control", "no-store"), ("Referrer-Policy", "no-referrer")} <= set(redirect.headers)


PIECES = (
    "a",
    "b=",
    "=c",
    "=",
    "",
    "a=1",
    "a=1=2",
    "+x+=%20+",
    "%41=%C3%A5",
    "%4",
    "%zz=%",
    "a;b=1",
    "%26=%3D",
    "é".encode("latin-1").hex(),
)


@pytest.mark.parametrize("first", PIECES)
def test_fields_are_decoded_as_the_standard_library_does(first: str) -> None:
    for second in PIECES:
        text = f"{first}&{second}"
        expected: dict[str, list[str]] = {}
        for name, value in parse_qsl(text, keep_blank_values=True, errors="strict"):
            expected.setdefault(name, []).append(value)
        assert Parameters.parse(text).as_dict() == expected


@pytest.mark.parametrize(
    "source, network",
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:DB8:1:2::", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::", "2001:db8:1:3::/64"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
        ("unix:", "unix:"),
    ],
)
def test_attempts_are_counted_by_ipv4_address_and_by_ipv6_network(source: str, network: str) -> None:
    assert Origin(source, "", "", datetime.datetime.now(datetime.UTC)).network == network
