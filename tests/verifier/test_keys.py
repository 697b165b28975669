"""How often the provider is asked for its keys: counted by a real server."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from joserfc.jwk import RSAKey

from mcp_core_verifier import InvalidToken, Unavailable, Verifier
from tests.verifier.conftest import MakeVerifier
from tests.verifier.stand_in import KEYS, Clock, StandIn, generate, public, respond
from tests.waiting import HANG_SECONDS, eventually

JWKS = "/oauth/jwks"
METADATA = "/.well-known/oauth-authorization-server/oauth"


def is_fetching(verifier: Verifier) -> bool:
    flight = verifier._keys._flight
    return flight is not None and not flight.done()


def settle(verifier: Verifier) -> None:
    """Until a fetch that nobody waits for has ended."""
    eventually(lambda: not is_fetching(verifier))


def is_good(verifier: Verifier, token: str) -> bool:
    try:
        verifier.verify(token)
    except InvalidToken:
        return False
    return True


def test_many_tokens_cost_one_fetch(verifier: Verifier, provider: StandIn) -> None:
    assert all(is_good(verifier, provider.token(name)) for name in (*KEYS, *KEYS))
    assert provider.requests == {METADATA: 1, JWKS: 1}


def test_making_a_verifier_asks_nobody(make_verifier: MakeVerifier, provider: StandIn) -> None:
    make_verifier()
    assert not provider.requests


def test_a_given_jwks_uri_needs_no_discovery(make_verifier: MakeVerifier, provider: StandIn) -> None:
    assert is_good(make_verifier(jwks_uri=f"{provider.issuer}/jwks"), provider.token())
    assert provider.requests == {JWKS: 1}


def test_threads_that_come_together_cost_one_fetch(verifier: Verifier, provider: StandIn) -> None:
    provider.delay_seconds = 0.2
    token, start = provider.token(), threading.Barrier(24)

    def use() -> bool:
        start.wait()
        return is_good(verifier, token)

    with ThreadPoolExecutor(24) as pool:
        assert all(pool.map(lambda _: use(), range(24)))
    assert provider.requests == {METADATA: 1, JWKS: 1}


def test_coroutines_that_come_together_cost_one_fetch_and_leave_the_loop_free(
    make_verifier: MakeVerifier, provider: StandIn
) -> None:
    """The provider answers when the loop has gone on for a while. A loop that stands still waits in vain."""
    verifier, token, went_on = make_verifier(timeout_seconds=HANG_SECONDS), provider.token(), threading.Event()

    def answer(request: BaseHTTPRequestHandler) -> None:
        went_on.wait(HANG_SECONDS)
        respond(200, json.dumps({"keys": provider.keys}).encode())(request)

    async def tick() -> None:
        for _ in range(10):
            await asyncio.sleep(0.01)
        went_on.set()

    async def use_together() -> None:
        ticking = asyncio.create_task(tick())
        results = await asyncio.gather(*(verifier.verify_async(token) for _ in range(200)))
        assert ticking.done()
        assert {result.subject for result in results} == {"0190-user"}

    provider.answers[JWKS] = answer
    asyncio.run(use_together())
    assert provider.requests == {METADATA: 1, JWKS: 1}


def test_several_loops_and_threads_share_the_fetch(verifier: Verifier, provider: StandIn) -> None:
    provider.delay_seconds = 0.2
    token, start = provider.token(), threading.Barrier(8)

    def use(number: int) -> str:
        start.wait()
        if number % 2:
            return asyncio.run(verifier.verify_async(token)).subject
        return verifier.verify(token).subject

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(use, range(8))) == {"0190-user"}
    assert provider.requests == {METADATA: 1, JWKS: 1}


def test_a_waiter_that_is_cancelled_does_not_end_the_fetch_of_others(verifier: Verifier, provider: StandIn) -> None:
    provider.delay_seconds = 0.2
    token = provider.token()

    async def use() -> str:
        first, second = (asyncio.create_task(verifier.verify_async(token)) for _ in range(2))
        await asyncio.sleep(0.05)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        return (await second).subject

    assert asyncio.run(use()) == "0190-user"
    assert provider.requests[JWKS] == 1


def test_unknown_key_ids_cost_one_fetch_per_interval(verifier: Verifier, provider: StandIn, clock: Clock) -> None:
    assert is_good(verifier, provider.token())
    for number in range(50):
        assert not is_good(verifier, provider.token(header={"kid": f"unknown-{number}"}))
    assert provider.requests[JWKS] == 2
    clock.now += 9.9
    assert not is_good(verifier, provider.token(header={"kid": "unknown"}))
    assert provider.requests[JWKS] == 2
    clock.now += 0.1
    for number in range(50):
        assert not is_good(verifier, provider.token(header={"kid": f"unknown-{number}"}))
    assert provider.requests[JWKS] == 3
    assert provider.requests[METADATA] == 1


def test_a_first_token_with_an_unknown_key_id_costs_one_fetch(verifier: Verifier, provider: StandIn) -> None:
    assert not is_good(verifier, provider.token(header={"kid": "unknown"}))
    assert provider.requests[JWKS] == 1


def test_a_new_key_is_found_at_once_and_the_old_one_goes_on(verifier: Verifier, provider: StandIn) -> None:
    assert is_good(verifier, provider.token())
    new = generate("RS256")
    provider.keys.append(public(new, "new", "RS256"))
    assert is_good(verifier, provider.token(header={"kid": "new"}, key=new))
    assert is_good(verifier, provider.token())
    assert provider.requests[JWKS] == 2


def test_a_key_that_was_taken_away_is_not_believed_after_the_cache_ends(
    verifier: Verifier, provider: StandIn, clock: Clock
) -> None:
    token = provider.token(exp=int(clock.now) + 5000)
    assert is_good(verifier, token)
    del provider.keys[0]
    clock.now += 301
    assert not is_good(verifier, token)


def test_a_busy_service_refreshes_before_the_copy_is_old(verifier: Verifier, provider: StandIn, clock: Clock) -> None:
    token = provider.token(exp=int(clock.now) + 5000)
    assert is_good(verifier, token)
    clock.now += 239
    assert is_good(verifier, token)
    assert provider.requests[JWKS] == 1
    clock.now += 2
    provider.delay_seconds = 1
    assert is_good(verifier, token)
    assert is_fetching(verifier), "nobody waits for it"
    settle(verifier)
    assert provider.requests[JWKS] == 2


def test_an_outage_is_survived_for_a_bounded_time(verifier: Verifier, provider: StandIn, clock: Clock) -> None:
    token = provider.token(exp=int(clock.now) + 50_000)
    assert is_good(verifier, token)
    provider.answers[JWKS] = respond(503)
    for _ in range(35):
        clock.now += 100
        assert is_good(verifier, token)
        settle(verifier)
    clock.now += 101
    with pytest.raises(Unavailable) as caught:
        verifier.verify(token)
    assert caught.value.status == 503
    assert dict(caught.value.headers)["Retry-After"] == "10"
    assert "WWW-Authenticate" not in dict(caught.value.headers)
    del provider.answers[JWKS]
    clock.now += 10
    assert is_good(verifier, token)


def test_an_outage_is_no_reason_to_ask_more_often(verifier: Verifier, provider: StandIn, clock: Clock) -> None:
    provider.answers[METADATA] = respond(500)
    for _ in range(20):
        with pytest.raises(Unavailable):
            verifier.verify(provider.token())
    assert provider.requests[METADATA] == 1
    clock.now += 10
    with pytest.raises(Unavailable):
        verifier.verify(provider.token())
    assert provider.requests[METADATA] == 2


def test_nobody_waits_for_a_provider_that_hangs_while_a_copy_is_good(
    make_verifier: MakeVerifier, provider: StandIn, clock: Clock
) -> None:
    verifier = make_verifier(timeout_seconds=1)
    token = provider.token(exp=int(clock.now) + 5000)
    assert is_good(verifier, token)
    provider.delay_seconds = 2
    clock.now += 400
    assert is_good(verifier, token), "this one waited in vain"
    for _ in range(3):
        clock.now += 11
        assert is_good(verifier, token)
        assert is_fetching(verifier)
        settle(verifier)


def test_a_new_key_during_an_outage_is_unknown_rather_than_bad(
    verifier: Verifier, provider: StandIn, clock: Clock
) -> None:
    assert is_good(verifier, provider.token())
    provider.answers[JWKS] = respond(500)
    for _ in range(3):
        with pytest.raises(Unavailable):
            verifier.verify(provider.token(header={"kid": "new"}))
    assert is_good(verifier, provider.token())


@pytest.mark.parametrize(
    "entry",
    [
        {"kty": "oct", "k": "c2VjcmV0"},
        {"kty": "AKP", "alg": "ML-DSA-44", "pub": "AAAA", "kid": "RS256"},
        {"use": "enc"},
        {"use": None},
        {"alg": "PS256"},
        {"alg": None},
        {"kid": None},
        {"kid": ""},
        {"kid": 5},
        {"n": "AQAB"},
        {"n": None},
        {"n": "***"},
        {"e": "AA"},
        {"kty": "EC"},
        {"kty": "EC", "crv": "P-384", "x": "AA", "y": "AA"},
        {"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"},
        {"kty": "OKP", "crv": "X25519", "x": "AA"},
        {"kty": "OKP", "crv": "Ed25519", "x": "AA"},
    ],
)
def test_a_key_that_is_no_signing_key_is_left_out(verifier: Verifier, provider: StandIn, entry: dict[str, Any]) -> None:
    good = provider.keys[1]
    provider.keys = [{**provider.keys[0], **entry}, {"kid": "RS256x"}, good]
    assert is_good(verifier, provider.token("ES256"))
    assert not is_good(verifier, provider.token("RS256"))


@pytest.mark.filterwarnings("ignore::joserfc.errors.SecurityWarning")  # a warning would not keep it out
@pytest.mark.parametrize("bits, is_enough", [(1024, False), (2048, True)])
def test_a_short_rsa_key_is_left_out(verifier: Verifier, provider: StandIn, bits: int, is_enough: bool) -> None:
    key = RSAKey(rsa.generate_private_key(65537, bits), None)
    provider.keys.append(public(key, "short", "RS256"))
    assert is_good(verifier, provider.token(header={"kid": "short"}, key=key)) is is_enough


@pytest.mark.parametrize("body", [b"{}", b'{"keys": {}}', b'{"keys": []}', b'{"keys": [{}]}', b"[]", b"nonsense"])
def test_a_key_set_without_keys_does_not_replace_one_that_has_some(
    verifier: Verifier, provider: StandIn, clock: Clock, body: bytes
) -> None:
    token = provider.token(exp=int(clock.now) + 5000)
    assert is_good(verifier, token)
    provider.answers[JWKS] = respond(200, body)
    clock.now += 400
    assert is_good(verifier, token)


def test_more_keys_than_anybody_needs_are_refused(verifier: Verifier, provider: StandIn) -> None:
    provider.keys *= 11
    with pytest.raises(Unavailable):
        verifier.verify(provider.token())


def test_a_closed_verifier_begins_anew(verifier: Verifier, provider: StandIn, clock: Clock) -> None:
    token = provider.token(exp=int(clock.now) + 5000)
    with verifier:
        assert is_good(verifier, token)
    clock.now += 301
    assert is_good(verifier, token)
    assert provider.requests[JWKS] == 2


def test_a_forgotten_verifier_leaves_no_thread(provider: StandIn, clock: Clock) -> None:
    before = {thread.ident for thread in threading.enumerate()}
    verifier = Verifier(provider.issuer, "https://notes.example/mcp", clock=clock)
    assert is_good(verifier, provider.token())

    def ours() -> list[str]:
        found = [thread for thread in threading.enumerate() if thread.ident not in before]
        return [thread.name for thread in found if thread.name == "mcp-core-verifier"]

    assert ours()
    del verifier
    gc.collect()
    assert not ours()


def test_a_process_that_forks_goes_on_in_both(verifier: Verifier, provider: StandIn, clock: Clock) -> None:
    token = provider.token(exp=int(clock.now) + 5000)
    assert is_good(verifier, token)
    clock.now += 301
    child = os.fork()
    if child == 0:
        signal.alarm(20)
        os._exit(0 if is_good(verifier, token) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert is_good(verifier, token)
    assert provider.requests[JWKS] == 3
