"""``/health`` tells what the pulse saw: a database that is gone, one that says nothing, one that is back."""

from __future__ import annotations

import datetime
import threading
from collections.abc import Iterator

import pytest
from sqlalchemy import Engine, event
from sqlalchemy.exc import OperationalError

from database.transaction import Transaction
from provider.doors.pulse import Pulse
from tests.endpoints.provider import START, ProviderFactory

HANG_SECONDS = 30


class Renewal:
    """What the pulse renews: fails, or gives no answer, when told to."""

    def __init__(self) -> None:
        self.fails = False
        self.answers = threading.Event()
        self.answers.set()
        self.calls = threading.Semaphore(0)

    def __call__(self, tx: Transaction, now: datetime.datetime) -> None:
        self.calls.release()
        assert self.answers.wait(HANG_SECONDS)
        if self.fails:
            raise OperationalError("SELECT 1", None, Exception("gone"))


@pytest.fixture
def renewal() -> Renewal:
    return Renewal()


@pytest.fixture
def missed_seconds() -> float:
    """So long that no machine is that slow: what a test sees is what the beat saw."""
    return 10 * HANG_SECONDS


@pytest.fixture
def pulse(sqlite_engine: Engine, renewal: Renewal, missed_seconds: float) -> Iterator[Pulse]:
    made = Pulse(sqlite_engine, lambda: START, renewal, beat_seconds=0.01, missed_seconds=missed_seconds)
    yield made
    renewal.answers.set()
    made.stop()


def until(pulse: Pulse, *, is_up: bool) -> None:
    waited = threading.Event()
    for _ in range(HANG_SECONDS * 100):
        if pulse.is_up is is_up:
            return
        waited.wait(0.01)
    raise AssertionError(f"the pulse says still that up is {pulse.is_up}")


def test_the_first_beat_is_over_when_the_server_starts(pulse: Pulse) -> None:
    assert (pulse.is_up, pulse.is_running) == (False, False)
    pulse.start()
    assert (pulse.is_up, pulse.is_running) == (True, True)


def test_a_database_that_fails_is_down_and_up_again_by_itself(
    pulse: Pulse, renewal: Renewal, caplog: pytest.LogCaptureFixture
) -> None:
    pulse.start()
    renewal.fails = True
    until(pulse, is_up=False)
    renewal.fails = False
    until(pulse, is_up=True)
    said = [record.getMessage() for record in caplog.records if record.name == "mcp_core.doors"]
    assert said == ["the database does not answer: OperationalError", "the database answers again"]


@pytest.mark.parametrize("missed_seconds", [0.5])
def test_a_database_that_says_nothing_is_down(pulse: Pulse, renewal: Renewal) -> None:
    pulse.start()
    renewal.answers.clear()
    until(pulse, is_up=False)
    renewal.answers.set()
    until(pulse, is_up=True)


@pytest.mark.parametrize("fails, status, text", [(False, 200, "up\n"), (True, 503, "down\n")])
def test_health_says_what_the_pulse_saw_and_asks_nobody(
    sqlite_engine: Engine, make_provider: ProviderFactory, door: str, fails: bool, status: int, text: str
) -> None:
    provider = make_provider(sqlite_engine, door=door)
    renewal = Renewal()
    renewal.fails = fails
    pulse = Pulse(sqlite_engine, provider.clock, renewal, beat_seconds=60)
    pulse.start()
    provider.app.extensions["mcp_core_server"].pulse = pulse
    asked: list[str] = []
    event.listen(sqlite_engine, "before_cursor_execute", lambda _c, _cursor, statement, *_: asked.append(statement))
    answer = provider.get("/health")
    pulse.stop()
    assert asked == []
    assert (answer.status, answer.text) == (status, text)
    assert answer.header("Retry-After") == ("5" if fails else None)
    assert answer.header("Cache-Control") == "no-store"
