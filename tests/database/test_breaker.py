"""A server that has fallen silent is asked by one thread: the others do not wait, and a slow answer is no silence."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import Engine

from database.breaker import (
    ANSWERS,
    ASK_SECONDS,
    BREAKERS,
    FAILS,
    PAUSES,
    SEEN_SECONDS,
    SILENCE_SECONDS,
    Breaker,
)
from database.connection import create_engine_for
from database.faults import DatabaseUnavailable

PATIENCE_SECONDS = 10


class Server:
    """What the breaker asks, on a clock that tests move. ``mood`` is what asking raises, None for an answer."""

    def __init__(self) -> None:
        self.now = 100.0
        self.mood: Exception | None = None
        self.asked = 0
        self.pauses: list[float] = []
        self.begun: list[Callable[[], None]] = []
        self.at_each_pause: Callable[[], None] = self._give_up
        self.breaker = Breaker(
            self._ask, clock=lambda: self.now, pause=self._pause, start=lambda work: self.begun.append(work)
        )

    def _ask(self) -> None:
        self.asked += 1
        if self.mood is not None:
            raise self.mood

    def _pause(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds
        self.at_each_pause()

    def _give_up(self) -> None:
        if len(self.pauses) >= 6:
            self.mood = None

    def look(self) -> None:
        """Lets the background thread do its work, here and now."""
        self.begun.pop()()


@pytest.fixture
def server() -> Server:
    return Server()


def fall_silent(server: Server) -> None:
    """A request waited in vain, and the first question as well. The thread that asks is in its first pause."""
    server.now += SILENCE_SECONDS
    server.mood = TimeoutError()
    server.breaker.timed_out()


def is_refused(server: Server) -> bool:
    try:
        server.breaker.check()
    except DatabaseUnavailable:
        return True
    return False


def test_while_the_server_answers_nobody_is_refused_and_nothing_is_asked(server: Server) -> None:
    server.breaker.answered()
    assert not is_refused(server)
    assert server.breaker.answers()
    assert (server.asked, server.begun) == (0, [])


def test_a_silent_server_is_asked_again_and_again_by_one_thread_and_refuses_the_others(server: Server) -> None:
    fall_silent(server)
    seen: list[tuple[bool, bool]] = []

    def others() -> None:
        server.breaker.timed_out()  # more requests that had been waiting as well
        assert server.begun == []
        seen.append((is_refused(server), server.breaker.answers()))
        server._give_up()

    server.at_each_pause = others
    server.look()
    assert set(seen) == {(True, False)}
    assert server.pauses == [*PAUSES, PAUSES[-1], PAUSES[-1]]
    assert max(PAUSES) <= 5
    assert (is_refused(server), server.breaker.answers()) == (False, True)


def test_a_slow_statement_opens_nothing_while_the_server_answers_others(server: Server) -> None:
    server.now += 60
    server.breaker.answered()
    server.now += SILENCE_SECONDS - 0.1
    server.breaker.timed_out()
    assert server.begun == []
    assert not is_refused(server)


def test_a_slow_statement_of_the_only_caller_refuses_nobody_when_the_server_answers_the_question(
    server: Server,
) -> None:
    server.now += 60
    server.breaker.timed_out()
    server.look()
    assert (server.asked, is_refused(server)) == (1, False)


@pytest.mark.parametrize("mood", [ConnectionRefusedError(), Exception(1047, "no quorum"), Exception(1045, "denied")])
def test_a_server_that_says_no_is_left_to_say_it_but_is_not_well(server: Server, mood: Exception) -> None:
    fall_silent(server)
    server.mood = mood
    seen: list[tuple[bool, bool]] = []

    def others() -> None:
        seen.append((is_refused(server), server.breaker.answers()))
        server._give_up()

    server.at_each_pause = others
    server.look()
    assert set(seen) == {(False, False)}
    assert server.breaker.answers()


def test_an_answer_to_anybody_ends_it_at_once(server: Server) -> None:
    fall_silent(server)

    def answer() -> None:
        assert is_refused(server)
        server.breaker.answered()
        assert not is_refused(server)
        server.mood = None

    server.at_each_pause = answer
    server.look()
    assert len(server.pauses) == 1


def test_a_server_that_only_takes_no_new_connections_is_not_silent(server: Server) -> None:
    """The question has a connection of its own and comes to nothing, while the pool's go on."""
    fall_silent(server)
    server.breaker.answered()
    server.look()
    assert (server.pauses, is_refused(server)) == ([], False)


def test_health_is_what_was_last_seen_and_old_sights_are_renewed_in_the_background(server: Server) -> None:
    server.now += SEEN_SECONDS
    server.mood = ConnectionRefusedError()
    assert server.breaker.answers(), "nothing is waited for"
    seen: list[bool] = []

    def note_and_give_up() -> None:
        seen.append(server.breaker.answers())
        server._give_up()

    server.at_each_pause = note_and_give_up
    server.look()
    assert set(seen) == {False}
    assert server.breaker.answers()


def test_who_comes_while_the_server_is_in_doubt_waits_for_what_is_found() -> None:
    """Threads and real time: the question hangs, and nobody hangs longer than it."""
    asked, may_end, mood = threading.Event(), threading.Event(), [TimeoutError()]

    def ask() -> None:
        asked.set()
        assert may_end.wait(PATIENCE_SECONDS)
        raise mood[0]

    now = [0.0]
    breaker = Breaker(ask, clock=lambda: now[0], pause=lambda _seconds: may_end.clear())
    now[0] = 60.0
    breaker.timed_out()
    assert asked.wait(PATIENCE_SECONDS)
    refused = threading.Event()

    def come() -> None:
        with pytest.raises(DatabaseUnavailable):
            breaker.check()
        refused.set()

    thread = threading.Thread(target=come)
    thread.start()
    assert not refused.wait(0.05)
    may_end.set()
    assert refused.wait(2 * ASK_SECONDS + PATIENCE_SECONDS)
    thread.join(PATIENCE_SECONDS)
    breaker.answered()
    breaker.check()


def test_a_thread_that_cannot_be_started_refuses_nobody(server: Server) -> None:
    def start(_work: Callable[[], None]) -> None:
        raise RuntimeError("can't start new thread")

    breaker = Breaker(server._ask, clock=lambda: server.now, start=start)
    server.now += 60
    for _ in range(2):
        breaker.timed_out()
        breaker.check()


def test_a_forked_process_begins_anew(server: Server) -> None:
    """The thread that asked has stayed in the parent."""
    fall_silent(server)
    assert len(server.begun) == 1
    server.breaker.forget()
    assert not is_refused(server)
    fall_silent(server)
    assert len(server.begun) == 2


def test_a_file_that_is_gone_is_no_answer_and_is_not_made(tmp_path: Path) -> None:
    engine = create_engine_for(f"sqlite:///{tmp_path}/a b%c.db")
    ask = BREAKERS[engine]._ask
    ask()
    (tmp_path / "a b%c.db").unlink()
    with pytest.raises(sqlite3.OperationalError):
        ask()
    assert list(tmp_path.iterdir()) == []
    engine.dispose()


def test_what_comes_back_to_the_pool_has_been_answered(mariadb_engine: Engine) -> None:
    """Each engine has a breaker of its own, which every caller tells of answers."""
    breaker = BREAKERS[mariadb_engine]
    breaker.state = FAILS
    with mariadb_engine.connect() as connection:
        connection.exec_driver_sql("SELECT 1")
    assert breaker.state == ANSWERS
    assert breaker is not BREAKERS[create_engine_for(mariadb_engine.url)]
