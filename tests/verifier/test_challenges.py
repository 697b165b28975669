"""Refusals byte for byte (RFC 6750 §3, RFC 9728 §5.1), and the document that they point to."""

from __future__ import annotations

import json
from typing import Any

import pytest

from mcp_core_verifier import AccessDenied, InsufficientAuthentication, InvalidRequest, NoToken, Verifier
from mcp_core_verifier.resource import ResourceMetadata
from mcp_core_verifier.verifier import bearer_token
from tests.verifier.conftest import MakeVerifier
from tests.verifier.stand_in import AUDIENCE, Clock, StandIn

METADATA = 'resource_metadata="https://notes.example/.well-known/oauth-protected-resource/mcp"'
BAD = 'error="invalid_token", error_description="The access token is expired, revoked or not meant for this service."'
SHORT = 'error="insufficient_scope", error_description="The access token does not allow this."'
MALFORMED = 'error="invalid_request", error_description="The Authorization header is malformed."'


def refused(verifier: Verifier, authorization: str | list[str] | None, *scopes: str) -> AccessDenied:
    with pytest.raises(AccessDenied) as caught:
        verifier.authenticate(authorization, *scopes)
    return caught.value


@pytest.mark.parametrize(
    "authorization, scopes, status, challenge",
    [
        (None, (), 401, f"Bearer {METADATA}"),
        (None, ("notes:read",), 401, f'Bearer scope="notes:read", {METADATA}'),
        (None, ("notes:read", "notes:write"), 401, f'Bearer scope="notes:read notes:write", {METADATA}'),
        ([], ("notes:read",), 401, f'Bearer scope="notes:read", {METADATA}'),
        ("Basic YTpi", ("notes:read",), 401, f'Bearer scope="notes:read", {METADATA}'),
        ("DPoP x", (), 401, f"Bearer {METADATA}"),
        ("Bearer x.y.z", (), 401, f"Bearer {BAD}, {METADATA}"),
        ("Bearer x", ("a", "b"), 401, f'Bearer {BAD}, scope="a b", {METADATA}'),
        ("Bearer", (), 400, f"Bearer {MALFORMED}, {METADATA}"),
        ("Bearer a b", ("a",), 400, f'Bearer {MALFORMED}, scope="a", {METADATA}'),
        (["Bearer x", "Bearer x"], (), 400, f"Bearer {MALFORMED}, {METADATA}"),
        ("GOOD", ("notes:read", "a", "b"), 403, f'Bearer {SHORT}, scope="notes:read a b", {METADATA}'),
    ],
)
def test_the_challenge_says_all_and_no_more(
    verifier: Verifier,
    provider: StandIn,
    authorization: str | list[str] | None,
    scopes: tuple[str, ...],
    status: int,
    challenge: str,
) -> None:
    if authorization == "GOOD":
        authorization = f"Bearer {provider.token()}"
    refusal = refused(verifier, authorization, *scopes)
    assert (refusal.status, dict(refusal.headers)["WWW-Authenticate"]) == (status, challenge)
    assert dict(refusal.headers)["Cache-Control"] == "no-store"
    assert json.loads(refusal.body).get("error") == (refusal.error if "error=" in challenge else None)


def test_a_refusal_tells_outsiders_nothing_of_its_reason(verifier: Verifier, provider: StandIn) -> None:
    texts = set()
    for token in ("x", provider.token(aud="https://secret.example"), provider.token(exp=1), provider.token(sub=None)):
        refusal = refused(verifier, f"Bearer {token}")
        texts.add((refusal.challenge, refusal.body))
        assert refusal.detail
    assert len(texts) == 1


def test_the_same_answer_comes_of_coroutines(verifier: Verifier) -> None:
    import asyncio

    with pytest.raises(NoToken) as caught:
        asyncio.run(verifier.authenticate_async(None, "notes:read"))
    assert caught.value.challenge == f'Bearer scope="notes:read", {METADATA}'


@pytest.mark.parametrize(
    "header", ["Bearer abc", "bearer abc", "BEARER abc", "Bearer   abc", " Bearer abc ", ["Bearer abc"]]
)
def test_a_token_is_one_word_after_bearer(header: str | list[str]) -> None:
    assert bearer_token(header) == "abc"


@pytest.mark.parametrize("header", ["Bearerabc", "abc", "", "Token abc", "access_token=abc"])
def test_another_scheme_is_no_token(header: str) -> None:
    with pytest.raises(NoToken):
        bearer_token(header)


@pytest.mark.parametrize(
    "header",
    [
        "Bearer ",
        "Bearer a,Bearer b",
        "Bearer a, Bearer b",
        "Bearer a b",
        "Bearer é",
        'Bearer "a"',
        "Bearer =",
        "Bearer a\n",
    ],
)
def test_something_else_after_bearer_is_malformed(header: str) -> None:
    with pytest.raises(InvalidRequest):
        bearer_token(header)


@pytest.mark.parametrize(
    "audience, url, paths",
    [
        (AUDIENCE, "https://notes.example/.well-known/oauth-protected-resource/mcp", ["/mcp", ""]),
        ("https://notes.example", "https://notes.example/.well-known/oauth-protected-resource", [""]),
        ("https://notes.example/", "https://notes.example/.well-known/oauth-protected-resource", [""]),
        ("https://h:8443/a/b/", "https://h:8443/.well-known/oauth-protected-resource/a/b/", ["/a/b/", ""]),
        ("https://h/a?x=1", "https://h/.well-known/oauth-protected-resource/a?x=1", ["/a", ""]),
        ("urn:example:notes", None, []),
    ],
)
def test_the_metadata_is_between_host_and_path(audience: str, url: str | None, paths: list[str]) -> None:
    metadata = ResourceMetadata("https://auth.example", audience, (), None)
    assert metadata.url == url
    assert list(metadata.paths) == [f"/.well-known/oauth-protected-resource{path}" for path in paths]


def test_a_resource_without_metadata_has_a_bare_challenge(make_verifier: MakeVerifier) -> None:
    assert refused(make_verifier(audience="urn:example:notes"), None).challenge == "Bearer"


@pytest.mark.parametrize("issuer", ["https://auth.example", "https://auth.example/oauth"])
def test_the_metadata_keeps_issuer_and_audience_byte_for_byte(issuer: str) -> None:
    scopes = ["notes:read", "offline_access", "notes:write", "notes:read"]
    verifier = Verifier(issuer, "https://notes.example", scopes_supported=scopes, resource_name="메모")
    status, headers, body = verifier.metadata.answer("GET")
    assert json.loads(body) == {
        "resource": "https://notes.example",
        "authorization_servers": [issuer],
        "scopes_supported": ["notes:read", "notes:write"],
        "bearer_methods_supported": ["header"],
        "resource_name": "메모",
    }
    assert status == 200
    assert dict(headers) == {
        "Content-Type": "application/json",
        "Content-Length": str(len(body)),
        "Cache-Control": "public, max-age=300",
        "Access-Control-Allow-Origin": "*",
    }


def test_nothing_is_null_in_the_metadata() -> None:
    document = json.loads(Verifier("https://auth.example", AUDIENCE).metadata.answer("GET")[2])
    assert set(document) == {"resource", "authorization_servers", "bearer_methods_supported"}


def test_a_browser_may_read_the_metadata(verifier: Verifier) -> None:
    status, headers, body = verifier.metadata.answer("OPTIONS")
    allowed = dict(headers)
    assert (status, body, allowed["Access-Control-Allow-Origin"]) == (204, b"", "*")
    assert "MCP-Protocol-Version" in allowed["Access-Control-Allow-Headers"]
    assert "Access-Control-Allow-Credentials" not in allowed
    assert verifier.metadata.answer("HEAD")[2] == b""
    assert verifier.metadata.answer("POST")[0] == 405


@pytest.mark.parametrize("scope", ["notes:read notes:write", "", 'a"b', "a\\b", "é", "a\r\nb"])
def test_a_scope_is_one_word(scope: str) -> None:
    with pytest.raises(ValueError, match="one scope"):
        Verifier("https://auth.example", AUDIENCE, scopes_supported=[scope])


NOT_ENOUGH = (
    'error="insufficient_user_authentication", error_description="This needs a stronger or a more recent sign-in."'
)
TWO_FACTOR = "urn:mcp-core:two-factor"


@pytest.mark.parametrize(
    "claims, levels, max_age, is_enough",
    [
        ({"acr": TWO_FACTOR}, (TWO_FACTOR,), None, True),
        ({"acr": TWO_FACTOR}, ("phr", TWO_FACTOR), None, True),
        ({"acr": "phr"}, (TWO_FACTOR,), None, False),
        ({"acr": "urn:mcp-core:password"}, (TWO_FACTOR,), None, False),
        ({"acr": None}, (TWO_FACTOR,), None, False),
        ({"ago": 300}, (), 300, True),
        ({"ago": 331}, (), 300, False),
        ({"ago": 331, "acr": TWO_FACTOR}, (TWO_FACTOR,), 300, False),
        ({"auth_time": None}, (), 300, False),
        ({"auth_time": None}, (), None, False),
        ({"auth_time": "0"}, (), 300, False),
        ({"sub": "app_x", "client_id": "app_x", "acr": TWO_FACTOR}, (TWO_FACTOR,), None, False),
    ],
)
def test_a_weak_or_old_sign_in_is_sent_back_for_more(
    verifier: Verifier,
    provider: StandIn,
    clock: Clock,
    claims: dict[str, Any],
    levels: tuple[str, ...],
    max_age: int | None,
    is_enough: bool,
) -> None:
    """RFC 9470 §3."""
    given = {"auth_time": int(clock()) - claims.get("ago", 0), **claims, "ago": None}
    token = verifier.verify(provider.token(**given))
    if is_enough:
        verifier.require_sign_in(token, *levels, max_age=max_age)
        return
    with pytest.raises(InsufficientAuthentication) as caught:
        verifier.require_sign_in(token, *levels, max_age=max_age)
    wanted = [f'acr_values="{" ".join(levels)}"'] if levels else []
    wanted += [] if max_age is None else [f'max_age="{max_age}"']
    assert caught.value.status == 401
    assert caught.value.challenge == ", ".join([f"Bearer {NOT_ENOUGH}", METADATA, *wanted])
