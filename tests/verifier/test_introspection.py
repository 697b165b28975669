"""Introspection: who is asked, how often, and what counts as yes (RFC 7662)."""

from __future__ import annotations

import asyncio
import base64
from typing import Any

import pytest

from mcp_core_verifier import Introspection, InvalidToken, Unavailable, Verifier
from tests.verifier.conftest import MakeVerifier
from tests.verifier.stand_in import Clock, Respond, StandIn, respond

PATH = "/oauth/introspect"


@pytest.fixture
def asking(make_verifier: MakeVerifier) -> Verifier:
    return make_verifier(introspection=Introspection("notes:api", "s%cret/+", cache_seconds=5, cache_entries=2))


def test_a_live_token_passes_and_the_provider_was_asked_properly(asking: Verifier, provider: StandIn) -> None:
    token = provider.token()
    assert asking.verify(token, "notes:read").subject == "0190-user"
    expected = base64.b64encode(b"notes%3Aapi:s%25cret%2F%2B").decode()
    assert provider.asked == [{"token": [token], "token_type_hint": ["access_token"], "auth": f"Basic {expected}"}]


def test_coroutines_ask_as_well(asking: Verifier, provider: StandIn) -> None:
    assert asyncio.run(asking.verify_async(provider.token())).subject == "0190-user"
    provider.active = False
    with pytest.raises(InvalidToken):
        asyncio.run(asking.verify_async(provider.token(jti="token-2")))


def test_a_revoked_token_is_refused_at_once_without_a_cache(make_verifier: MakeVerifier, provider: StandIn) -> None:
    verifier = make_verifier(introspection=Introspection("notes", "secret", cache_seconds=0))
    assert verifier.verify(provider.token()).subject
    provider.active = False
    with pytest.raises(InvalidToken) as caught:
        verifier.verify(provider.token())
    assert 'error="invalid_token"' in (caught.value.challenge or "")
    assert provider.requests[PATH] == 2


def test_an_answer_is_believed_for_some_seconds(asking: Verifier, provider: StandIn, clock: Clock) -> None:
    token = provider.token()
    for _ in range(5):
        assert asking.verify(token).subject
    assert provider.requests[PATH] == 1
    provider.active = False
    clock.now += 4.9
    assert asking.verify(token).subject
    clock.now += 0.1
    for _ in range(5):
        with pytest.raises(InvalidToken):
            asking.verify(token)
    assert provider.requests[PATH] == 2


def test_an_answer_is_about_one_token(asking: Verifier, provider: StandIn) -> None:
    assert asking.verify(provider.token()).subject
    provider.active = False
    with pytest.raises(InvalidToken):
        asking.verify(provider.token(jti="token-2"))


def test_the_cache_is_bounded_and_holds_no_tokens(asking: Verifier, provider: StandIn) -> None:
    tokens = [provider.token("EdDSA", jti=str(number)) for number in range(5)]
    for token in tokens:
        assert asking.verify(token).subject
    answers = asking._introspector._answers  # type: ignore[union-attr]
    assert len(answers) == 2
    assert all(len(key) == 32 for key in answers)
    assert asking.verify(tokens[-1]).subject
    assert provider.requests[PATH] == 5
    assert asking.verify(tokens[0]).subject
    assert provider.requests[PATH] == 6


def test_what_is_no_token_of_ours_is_not_passed_on(asking: Verifier, provider: StandIn) -> None:
    for token in ("x", provider.token(exp=1), provider.token(aud="https://other.example"), provider.token(iss="x")):
        with pytest.raises(InvalidToken):
            asking.verify(token)
    assert not provider.asked


@pytest.mark.parametrize(
    "answer",
    [
        respond(500),
        respond(401, b'{"error": "invalid_client"}'),
        respond(302, b"", Location="/oauth/jwks"),
        respond(200, b"nonsense"),
        respond(200, b"[true]"),
        respond(200, b"{}"),
        respond(200, b'{"active": "true"}'),
        respond(200, b'{"active": 1}'),
        respond(200, b'{"active": null}'),
    ],
)
def test_without_a_clear_answer_nobody_passes(asking: Verifier, provider: StandIn, answer: Respond) -> None:
    provider.answers[PATH] = answer
    with pytest.raises(Unavailable):
        asking.verify(provider.token())
    del provider.answers[PATH]
    assert asking.verify(provider.token()).subject, "a failure is not remembered"


def test_a_wrong_secret_is_said_in_the_log(
    asking: Verifier, provider: StandIn, caplog: pytest.LogCaptureFixture
) -> None:
    provider.answers[PATH] = respond(401)
    with pytest.raises(Unavailable):
        asking.verify(provider.token())
    assert "client_secret" in caplog.text


def test_the_secret_is_in_no_repr() -> None:
    assert "hidden" not in repr(Introspection("notes", "hidden"))


def test_a_given_endpoint_is_used(make_verifier: MakeVerifier, provider: StandIn) -> None:
    endpoint: dict[str, Any] = {"endpoint": f"{provider.origin}/elsewhere"}
    provider.answers["/elsewhere"] = respond(200, b'{"active": true}')
    verifier = make_verifier(introspection=Introspection("a", "b", **endpoint))
    assert verifier.verify(provider.token()).subject
    assert provider.requests["/elsewhere"] == 1
