"""JSON bodies: what is read, and what no two readers would agree on."""

from __future__ import annotations

import datetime

import pytest

from provider.protocol.errors import OAuthError
from provider.protocol.json_body import MAX_DEPTH, json_body, parse_json
from provider.protocol.messages import ProtocolRequest


def request(body: bytes, content_type: str = "application/json") -> ProtocolRequest:
    now = datetime.datetime(2026, 7, 1, tzinfo=datetime.UTC)
    return ProtocolRequest("POST", "/register", "", {"content-type": content_type}, body, "192.0.2.10", "r", now)


def nested(depth: int) -> bytes:
    return b"[" * depth + b"]" * depth


@pytest.mark.parametrize(
    "body, value",
    [
        (b"{}", {}),
        (b' {"a": [1, 2.5, true, null, "x"]} ', {"a": [1, 2.5, True, None, "x"]}),
        ('{"name": "메모"}'.encode(), {"name": "메모"}),
        (b'"\\ud83d\\ude00"', "\U0001f600"),
        (b'"\\u0000"', "\x00"),
        (b'{"a": {"x": 1}, "b": {"x": 1}}', {"a": {"x": 1}, "b": {"x": 1}}),
        (nested(MAX_DEPTH), None),
    ],
)
def test_what_is_json_is_read(body: bytes, value: object) -> None:
    assert parse_json(body) == (value if value is not None else parse_json(body))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"{'a': 1}",
        b'{"a": 1,}',
        b'{"a": 1} {"b": 2}',
        b'{"a": NaN}',
        b'{"a": Infinity}',
        b'{"a": -Infinity}',
        b'{"a": 1e400}',
        b'{"a": ' + b"9" * 5000 + b"}",
        b'{"a": 1, "a": 2}',
        b'{"b": {"a": 1, "a": 1}}',
        b"\xff\xfe{\x00}\x00",
        b"\xef\xbb\xbf{}",
        b'"\xff"',
        b'"\\ud800"',
        b'{"\\udc00": 1}',
        b'{"a": ["x", {"b": "\\ud800 y"}]}',
        nested(MAX_DEPTH + 1),
        nested(60_000),
    ],
    ids=lambda body: repr(body[:24]),
)
def test_what_is_no_json_or_not_the_same_to_every_reader_is_refused(body: bytes) -> None:
    with pytest.raises(OAuthError) as refusal:
        parse_json(body)
    assert (refusal.value.error, refusal.value.status) == ("invalid_request", 400)


@pytest.mark.parametrize("content_type", ["application/json", "Application/JSON", "application/json; charset=utf-8"])
def test_the_content_type_is_compared_without_case_and_parameters(content_type: str) -> None:
    assert json_body(request(b"{}", content_type)) == {}


@pytest.mark.parametrize(
    "content_type", ["", "text/plain", "application/x-www-form-urlencoded", "application/jsonp", "text/json"]
)
def test_another_content_type_is_refused(content_type: str) -> None:
    with pytest.raises(OAuthError) as refusal:
        json_body(request(b"{}", content_type))
    assert refusal.value.error == "invalid_request"
