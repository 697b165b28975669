"""Who goes on after refusals is refused unseen for a moment, and waits for it; who waits, or is served, is not."""

from __future__ import annotations

import asyncio

import pytest

from provider.application import asynchronous_door_of
from provider.doors import asynchronous
from provider.doors.insistence import REMEMBERED, SECONDS, TIMES, Insistence
from tests.endpoints import asgi
from tests.endpoints.provider import Provider, ProviderFactory
from tests.endpoints.wsgi import FORM
from tests.waiting import HANG_SECONDS, eventually


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def insistence(clock: Clock) -> Insistence:
    return Insistence(clock)


@pytest.mark.parametrize("status, counts", [(200, False), (303, False), (400, False), (401, False), (404, False),
                                            (429, True), (500, False), (503, True)])  # fmt: skip
def test_refusals_count_and_no_other_answer(insistence: Insistence, status: int, counts: bool) -> None:
    for _ in range(3 * TIMES):
        insistence.note("a", status)
    assert insistence.refusal("a") == (status if counts else None)
    assert insistence.refusal("b") is None


def test_it_takes_eight_within_a_second_and_lasts_a_second(insistence: Insistence, clock: Clock) -> None:
    for _ in range(TIMES - 1):
        insistence.note("a", 503)
    assert insistence.refusal("a") is None
    clock.now += SECONDS
    insistence.note("a", 503)  # a new second
    assert insistence.refusal("a") is None
    for _ in range(TIMES - 1):
        insistence.note("a", 429)
    assert insistence.refusal("a") == 429
    clock.now += SECONDS
    assert insistence.refusal("a") is None


def test_only_so_many_sources_are_remembered(insistence: Insistence) -> None:
    for number in range(REMEMBERED + 50):
        insistence.note(f"source {number}", 503)
    assert len(insistence._refused) == REMEMBERED


def test_who_insists_is_answered_without_being_asked_what_for(
    sqlite_engine: object, make_provider: ProviderFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asynchronous, "HELD_UP_SECONDS", 0.01)
    provider: Provider = make_provider(sqlite_engine, door="asynchronous")  # type: ignore[arg-type]
    door = asynchronous_door_of(provider.app)
    for insistence in (door._at_machines, door._at_pages):
        for _ in range(TIMES):
            insistence.note("192.0.2.10", 429)
    before = len(provider.events("client.authentication_failed"))
    headers = {"Content-Type": FORM}
    body = b"grant_type=client_credentials&client_id=app_unknown"
    answer = asgi.send(door, "POST", "/oauth/token", body=body, headers=headers)
    assert (answer.error, answer.header("retry-after")) == ((429, "temporarily_unavailable"), "1")
    assert len(provider.events("client.authentication_failed")) == before
    assert asgi.send(door, "GET", "/login").status == 429
    assert asgi.send(door, "GET", "/oauth/jwks").status == 200, "what costs nothing is given to everybody"
    assert asgi.send(door, "POST", "/oauth/token", body=body, headers=headers, source="192.0.2.11").status == 401
    assert asgi.send(door, "GET", "/login", source="192.0.2.11").status == 200


def test_those_who_are_held_up_have_a_bound_and_keep_nobody_else(
    sqlite_engine: object, make_provider: ProviderFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asynchronous, "HELD_UP_SECONDS", HANG_SECONDS)
    monkeypatch.setattr(asynchronous, "MAX_HELD_UP", 2)
    provider: Provider = make_provider(sqlite_engine, door="asynchronous")  # type: ignore[arg-type]
    door = asynchronous_door_of(provider.app)
    for _ in range(TIMES):
        door._at_pages.note("192.0.2.10", 503)
        door._at_machines.note("192.0.2.10", 503)
    held = [asyncio.run_coroutine_threadsafe(door._hold_up(), asgi.loop()) for _ in range(2)]
    eventually(lambda: door._held_up == 2)
    assert asgi.send(door, "GET", "/login").status == 503, "at once, and with the status of the refusals before"
    assert asgi.send(door, "POST", "/oauth/token", body=b"x", headers={"Content-Type": FORM}).status == 503
    assert asgi.send(door, "GET", "/login", source="192.0.2.11").status == 200
    for one in held:
        one.cancel()
    eventually(lambda: door._held_up == 0)
