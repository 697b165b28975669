"""What comes from the provider is bounded in size and time, and comes from nobody else."""

from __future__ import annotations

import gzip
import itertools
import json
import logging
import time
from collections.abc import Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest

from mcp_core_verifier import Introspection, Unavailable, Verifier
from mcp_core_verifier.discovery import metadata_urls
from tests.verifier.conftest import MakeVerifier
from tests.verifier.stand_in import AUDIENCE, Respond, StandIn, respond
from tests.waiting import HANG_SECONDS

JWKS = "/oauth/jwks"
METADATA = "/.well-known/oauth-authorization-server/oauth"
OPENID = "/oauth/.well-known/openid-configuration"
PIECE = 65536


def drip_headers(request: BaseHTTPRequestHandler) -> None:
    request.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
    for _ in range(100):
        request.wfile.write(b"x")
        request.wfile.flush()
        time.sleep(0.05)


def drip_body(request: BaseHTTPRequestHandler) -> None:
    request.send_response(200)
    request.send_header("Content-Type", "application/json")
    request.end_headers()
    for _ in range(100):
        request.wfile.write(b" ")
        request.wfile.flush()
        time.sleep(0.05)


def endless_body(request: BaseHTTPRequestHandler, said: Iterator[int]) -> None:
    request.send_response(200)
    request.send_header("Content-Type", "application/json")
    request.end_headers()
    for _ in said:
        request.wfile.write(b" " * PIECE)


def is_unavailable(verifier: Verifier, provider: StandIn) -> bool:
    try:
        verifier.verify(provider.token())
    except Unavailable:
        return True
    return False


@pytest.mark.parametrize("answer", [drip_headers, drip_body])
def test_a_provider_that_drips_is_cut_off(make_verifier: MakeVerifier, provider: StandIn, answer: Respond) -> None:
    finished: list[None] = []
    verifier = make_verifier(timeout_seconds=0.3)
    provider.answers[JWKS] = lambda request: finished.append(answer(request))  # type: ignore[func-returns-value]
    assert is_unavailable(verifier, provider)
    assert finished == []


@pytest.mark.parametrize("path", [JWKS, METADATA])
def test_an_endless_answer_is_cut_off(make_verifier: MakeVerifier, provider: StandIn, path: str) -> None:
    """By its size: long before the time is over, at most what the two ends of the connection have room for."""
    said = itertools.count()
    provider.answers[path] = partial(endless_body, said=said)
    assert is_unavailable(make_verifier(timeout_seconds=HANG_SECONDS), provider)
    assert next(said) * PIECE < 64 * 1024 * 1024


@pytest.mark.parametrize("size, is_usable", [(65_536, True), (65_537, False)])
def test_an_answer_is_at_most_64_kib(verifier: Verifier, provider: StandIn, size: int, *, is_usable: bool) -> None:
    provider.answers[JWKS] = respond(200, json.dumps({"keys": provider.keys}).encode().ljust(size))
    assert is_unavailable(verifier, provider) is not is_usable


@pytest.mark.parametrize(
    "answer",
    [
        respond(302, b"", Location="/elsewhere"),
        respond(307, b"", Location="/elsewhere"),
        respond(404),
        respond(500),
        respond(201),
        respond(200, b"<html>", Content_Type="text/html"),
        respond(200, b"nonsense"),
        respond(200, b"[" * 60000),
        respond(200, b"[]"),
        respond(200, b" " * 65537),
        respond(200, gzip.compress(b"{}"), Content_Encoding="gzip"),
    ],
)
def test_an_answer_that_is_not_a_json_object_is_no_answer(
    verifier: Verifier, provider: StandIn, answer: Respond
) -> None:
    provider.answers["/elsewhere"] = respond(200, json.dumps({"keys": provider.keys}).encode())
    provider.answers[JWKS] = answer
    assert is_unavailable(verifier, provider)
    assert provider.requests["/elsewhere"] == 0


def test_a_key_set_has_its_own_media_type(verifier: Verifier, provider: StandIn) -> None:
    body = json.dumps({"keys": provider.keys}).encode()
    provider.answers[JWKS] = respond(200, body, Content_Type="application/jwk-set+json; charset=utf-8")
    assert verifier.verify(provider.token()).subject


@pytest.mark.parametrize(
    "issuer, urls",
    [
        (
            "https://h",
            ["https://h/.well-known/oauth-authorization-server", "https://h/.well-known/openid-configuration"],
        ),
        (
            "https://h/p",
            ["https://h/.well-known/oauth-authorization-server/p", "https://h/p/.well-known/openid-configuration"],
        ),
        (
            "https://h:8443/p/q",
            [
                "https://h:8443/.well-known/oauth-authorization-server/p/q",
                "https://h:8443/p/q/.well-known/openid-configuration",
            ],
        ),
    ],
)
def test_metadata_is_looked_for_before_and_behind_the_path(issuer: str, urls: list[str]) -> None:
    assert metadata_urls(issuer) == urls


@pytest.mark.parametrize("first", [respond(404), respond(500), respond(200, b"nonsense"), respond(200, b"{}")])
def test_the_openid_form_is_asked_second(verifier: Verifier, provider: StandIn, first: Respond) -> None:
    document = {"issuer": provider.issuer, "jwks_uri": f"{provider.issuer}/jwks"}
    provider.answers |= {METADATA: first, OPENID: respond(200, json.dumps(document).encode())}
    assert verifier.verify(provider.token()).subject
    assert list(provider.requests) == [METADATA, OPENID, JWKS]


@pytest.mark.parametrize(
    "changed",
    [
        {"issuer": "http://127.0.0.1/oauth"},
        {"issuer": "{issuer}/"},
        {"issuer": None},
        {"jwks_uri": None},
        {"jwks_uri": 5},
        {"jwks_uri": "{other}/oauth/jwks"},
        {"jwks_uri": "https://keys.example/jwks"},
        {"jwks_uri": "file:///etc/passwd"},
        {"jwks_uri": "/oauth/jwks"},
    ],
)
def test_metadata_of_someone_else_is_refused(
    verifier: Verifier, provider: StandIn, changed: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    with StandIn() as other:
        known = provider.document(METADATA) or {}
        for name, value in changed.items():
            words = {"issuer": provider.issuer, "other": other.origin}
            known[name] = value.format(**words) if isinstance(value, str) else value
        provider.answers[METADATA] = respond(200, json.dumps(known).encode())
        with caplog.at_level(logging.WARNING, "mcp_core_verifier"):
            assert is_unavailable(verifier, provider)
        assert not other.requests
    assert len(caplog.messages) == 1
    assert provider.requests[JWKS] == 0


def test_an_address_that_moved_is_looked_up_again(verifier: Verifier, provider: StandIn) -> None:
    provider.answers[JWKS] = respond(404)
    assert is_unavailable(verifier, provider)
    known = {**(provider.document(METADATA) or {}), "jwks_uri": f"{provider.issuer}/keys"}
    provider.answers[METADATA] = respond(200, json.dumps(known).encode())
    provider.answers["/oauth/keys"] = respond(200, json.dumps({"keys": provider.keys}).encode())
    verifier._keys._clock.now += 10  # type: ignore[attr-defined]
    assert verifier.verify(provider.token()).subject


def test_a_proxy_of_the_environment_is_not_asked(
    verifier: Verifier, provider: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert verifier.verify(provider.token()).subject


@pytest.mark.parametrize(
    "issuer",
    [
        "http://auth.example/oauth",
        "http://localhost.evil.example",
        "auth.example",
        "",
        "ftp://localhost/",
        "https://user@auth.example",
        "https://auth.example/#x",
        "https:///oauth",
    ],
)
def test_an_issuer_that_cannot_be_asked_safely_is_refused(issuer: str) -> None:
    with pytest.raises(ValueError, match="https"):
        Verifier(issuer, AUDIENCE)


@pytest.mark.parametrize("url", ["http://auth.example/jwks", "file:///jwks", "jwks"])
def test_given_addresses_must_be_safe_as_well(url: str) -> None:
    with pytest.raises(ValueError, match="https"):
        Verifier("https://auth.example", AUDIENCE, jwks_uri=url)
    with pytest.raises(ValueError, match="https"):
        Verifier("https://auth.example", AUDIENCE, introspection=Introspection("a", "b", endpoint=url))


def test_plain_http_to_another_machine_must_be_asked_for() -> None:
    assert Verifier("http://provider:8000/oauth", AUDIENCE, allow_http=True).issuer == "http://provider:8000/oauth"


@pytest.mark.parametrize("audience", ["", "https://notes.example/#x", 'https://notes.example/"', "https://é.example"])
def test_an_audience_that_is_no_uri_is_refused(audience: str) -> None:
    with pytest.raises(ValueError, match="URI"):
        Verifier("https://auth.example", audience)
