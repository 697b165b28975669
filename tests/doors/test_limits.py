"""What is too much or too odd to be read: refused with a 4xx before anything is done (OAuth 2.1 §3.2, RFC 9110 §15.5)."""

from __future__ import annotations

import io
from typing import Any
from urllib.parse import urlencode

import pytest

from tests.endpoints.provider import Provider
from tests.endpoints.wsgi import FORM, Answer, encoded

MAX_BODY = 65_536
MAX_QUERY = 16_384
FORM_ENDPOINTS = ["token", "introspect", "revoke"]
GRANT = b"grant_type=client_credentials"


def post(provider: Provider, body: bytes, content_type: str | None = FORM, **options: Any) -> Answer:
    """A token request of a machine that is known."""
    client = provider.machine()
    headers = {**client.authorization, **({} if content_type is None else {"Content-Type": content_type})}
    return provider.send("POST", f"{provider.path}/token", body=body, headers=headers, **options)


def padded(size: int) -> bytes:
    start = GRANT + b"&x="
    return start + b"y" * (size - len(start))


class Endless(io.RawIOBase):
    """A body that goes on for as long as it is read."""

    def __init__(self) -> None:
        self.given = 0

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        assert size >= 0, "an endless body was to be read to its end"
        self.given += size
        return b"y" * size


@pytest.mark.parametrize(
    "size, status", [(MAX_BODY - 1, 200), (MAX_BODY, 200), (MAX_BODY + 1, 413), (MAX_BODY * 4, 413)]
)
@pytest.mark.parametrize("says_its_length", [True, False])
def test_a_body_has_a_largest_size(provider: Provider, size: int, status: int, says_its_length: bool) -> None:
    answer = post(provider, padded(size), environ={} if says_its_length else {"CONTENT_LENGTH": None})
    assert answer.status == status
    if status == 413:
        assert answer.json == {"error": "invalid_request"}
        assert answer.header("Cache-Control") == "no-store"


def test_no_more_is_read_than_is_needed_to_refuse(provider: Provider) -> None:
    body = Endless()
    assert post(provider, b"", environ={"CONTENT_LENGTH": None, "wsgi.input": body}).status == 413
    assert body.given <= 2 * MAX_BODY
    announced = Endless()
    assert post(provider, b"", environ={"CONTENT_LENGTH": "99999999999", "wsgi.input": announced}).status == 413
    assert announced.given == 0


@pytest.mark.parametrize(
    "length", ["x", "1.5", "0x10", "-1", "-5", "+29", "1_0", "29, 29", "29 29", "\u0662\u0669", "9" * 5000]
)
def test_a_length_that_is_no_number_is_refused(provider: Provider, length: str) -> None:
    assert post(provider, GRANT, environ={"CONTENT_LENGTH": length}).error == (400, "invalid_request")


def test_a_body_that_ends_early_is_not_acted_upon(provider: Provider) -> None:
    assert post(provider, GRANT, environ={"CONTENT_LENGTH": str(len(GRANT) + 1)}).error == (400, "invalid_request")


def test_no_more_than_the_announced_length_counts(provider: Provider) -> None:
    body = GRANT + b"&grant_type=twice"
    assert post(provider, body, environ={"CONTENT_LENGTH": str(len(GRANT))}).status == 200


@pytest.mark.parametrize("fields, status", [(99, 200), (100, 200), (101, 400), (5000, 400)])
def test_a_form_has_at_most_a_hundred_fields(provider: Provider, fields: int, status: int) -> None:
    body = GRANT + b"".join(b"&a%d=1" % number for number in range(fields - 1))
    assert post(provider, body).status == status


@pytest.mark.parametrize("size, status", [(MAX_QUERY - 1, 200), (MAX_QUERY, 200), (MAX_QUERY + 1, 414)])
def test_a_query_string_has_a_largest_size(provider: Provider, size: int, status: int) -> None:
    answer = provider.get("/.well-known/openid-configuration", query="x" * size)
    assert answer.status == status
    assert post(provider, GRANT, query="x" * size).status == status


@pytest.mark.parametrize("content_type, accepted", [
    (FORM, True),
    (FORM + "; charset=UTF-8", True),
    (FORM + ";charset=iso-8859-1", True),  # the body is ASCII in any case
    (FORM.upper(), True),
    (f" {FORM} ", True),
    (None, False),
    ("", False),
    ("application/json", False),
    ("application/json; x=" + FORM, False),
    ("multipart/form-data; boundary=x", False),
    ("text/plain", False),
    (FORM + "x", False),
    (FORM + ", application/json", False),
    ("\u00fc", False),
])  # fmt: skip
def test_a_body_is_a_form_or_refused(provider: Provider, content_type: str | None, accepted: bool) -> None:
    answer = post(provider, GRANT, content_type)
    assert answer.status == (200 if accepted else 400)
    if not accepted:
        assert answer.error == (400, "invalid_request")


@pytest.mark.parametrize("endpoint", FORM_ENDPOINTS)
@pytest.mark.parametrize("body", [
    b"x=\xff", b"\xff\xfe=1", b"x=%ff%fe", b"x=%C3%28", b"%ff=x", b"x=%ED%A0%80", "x=ü".encode(), b"x=%00", b"x=\x00",
    b"\x00", b"%00=1", b"resource=%00",
])  # fmt: skip
def test_what_cannot_be_decoded_is_refused(provider: Provider, endpoint: str, body: bytes) -> None:
    client = provider.machine()
    headers, good = {"Content-Type": FORM, **client.authorization}, GRANT + b"&token=x"
    path = f"{provider.path}/{endpoint}"
    assert provider.send("POST", path, body=good, headers=headers).status == 200
    answer = provider.send("POST", path, body=good + b"&" + body, headers=headers)
    assert answer.error == (400, "invalid_request")


@pytest.mark.parametrize("name", [
    "grant_type", "client_id", "client_secret", "code", "redirect_uri", "code_verifier", "refresh_token", "scope",
    "audience", "x",
])  # fmt: skip
def test_each_parameter_may_come_once(provider: Provider, name: str) -> None:
    """The same value twice as well; ``resource`` alone may be repeated (RFC 6749 §3.2, RFC 8707 §2)."""
    for values in (("a", "a"), ("a", "b"), ("", "a"), ("", "")):
        pairs = [("grant_type", "client_credentials")] * (name != "grant_type")
        pairs += [(name, value) for value in values]
        assert post(provider, encoded(pairs)).error == (400, "invalid_request")


def test_the_address_of_a_token_request_says_nothing(provider: Provider) -> None:
    query = urlencode({"grant_type": "refresh_token", "scope": "x", "resource": "nonsense", "client_id": "other"})
    for strange in (query, "grant_type=a&grant_type=b", "%ff%00", "?", "&&==", "x" * 100):
        assert post(provider, GRANT, query=strange).status == 200
    assert post(provider, b"", query=GRANT.decode()).error == (400, "invalid_request")


@pytest.mark.parametrize("separator", [b";", b"&amp;", b"\n"])
def test_only_an_ampersand_separates(provider: Provider, separator: bytes) -> None:
    body = b"x=1" + separator + GRANT
    assert post(provider, body).error == (400, "invalid_request")  # grant_type is missing


@pytest.mark.parametrize("name, value", [
    ("User-Agent", "\u00ff" * 2000),
    ("User-Agent", "\x00\x01"),
    ("Cookie", ";;;==;\u00ff"),
    ("X-Forwarded-For", "\u00ff, ,"),
    ("Accept", "\u00ff"),
    ("Accept-Language", "\u00ff;q=x"),
    ("Origin", "null"),
    ("If-None-Match", "\u00ff"),
    ("Host", "\u00ff"),
    ("Expect", "100-continue"),
    ("Sec-Purpose", "prefetch"),
    ("Content-Encoding", "gzip"),
    ("X-Http-Method-Override", "DELETE"),
])  # fmt: skip
def test_odd_headers_change_nothing(provider: Provider, name: str, value: str) -> None:
    client = provider.machine()
    headers = {"Content-Type": FORM, **client.authorization, name: value}
    assert provider.send("POST", f"{provider.path}/token", body=GRANT, headers=headers).status == 200
