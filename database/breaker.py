"""Keeps callers from waiting, one after another, for a database server that has fallen silent."""

from __future__ import annotations

import itertools
import logging
import threading
import time
import weakref
from collections.abc import Callable

from sqlalchemy import Engine

from database.faults import DatabaseUnavailable

log = logging.getLogger("mcp_core.database")

ASK_SECONDS = 1
SILENCE_SECONDS = 2
SEEN_SECONDS = 2
PAUSES = (0.25, 0.5, 1, 2)  # seconds between two questions to a server that does not answer; the last one from then on
ANSWERS, FAILS, SILENT = "answers", "fails", "is silent"


class Breaker:
    """What is known of one engine's server.

    When an answer or a connection does not come in time and nobody else had one for ``SILENCE_SECONDS``, the server is in
    doubt: a thread asks it on a connection of its own, and who comes meanwhile waits for what it finds. A server that says
    nothing to that either is ``SILENT``: callers are refused at once while the thread asks again and again. Whatever the
    server answers to anybody ends that. One that refuses (``FAILS``) keeps nobody waiting, so it is left to answer.

    A statement's own fault never leads here: a deadlock, a lock wait and a refused value are answers.
    """

    def __init__(
        self,
        ask: Callable[[], None],
        *,
        clock: Callable[[], float] = time.monotonic,
        pause: Callable[[float], None] = time.sleep,
        start: Callable[[Callable[[], None]], None] | None = None,
    ) -> None:
        """``ask`` returns when the server answers, or raises: ``TimeoutError`` after ``ASK_SECONDS`` of silence."""
        self._ask = ask
        self._clock = clock
        self._pause = pause
        self._start = start or _in_background
        self.forget()

    def forget(self) -> None:
        """Begins anew, as in a process that has just been forked: threads did not come along."""
        self.state = ANSWERS
        self._answered_at = self._clock()
        self._lock = threading.Lock()
        self._is_asking = False
        self._is_settled = threading.Event()
        self._is_settled.set()

    def check(self) -> None:
        """Raises ``DatabaseUnavailable`` instead of letting the caller wait for a silent server."""
        if not self._is_settled.is_set():
            self._is_settled.wait(2 * ASK_SECONDS)
        if self.state == SILENT:
            raise DatabaseUnavailable("the server does not answer anybody")

    def answered(self) -> None:
        """The server answered somebody, an error included."""
        self._answered_at = self._clock()
        if self.state != ANSWERS:
            self._settle(ANSWERS)

    def timed_out(self) -> None:
        """An answer or a connection did not come in time. The server is in doubt unless it answers others."""
        if self._clock() - self._answered_at >= SILENCE_SECONDS:
            self._look(in_doubt=True)

    def answers(self) -> bool:
        """Whether the database answers, by what was seen last, and without waiting: for health checks.

        What is older than ``SEEN_SECONDS`` is looked at again in the background, for who asks next.
        """
        if self._clock() - self._answered_at >= SEEN_SECONDS:
            self._look(in_doubt=False)
        return self.state == ANSWERS

    def _look(self, *, in_doubt: bool) -> None:
        with self._lock:
            if in_doubt and self.state != SILENT:
                self._is_settled.clear()
            if self._is_asking:
                return
            self._is_asking = True
        try:
            self._start(self._ask_until_it_answers)
        except RuntimeError:  # the system has no thread left: who comes next finds out by waiting
            self._end(ANSWERS)

    def _ask_until_it_answers(self) -> None:
        pauses = itertools.chain(PAUSES, itertools.repeat(PAUSES[-1]))
        for seconds in pauses:
            try:
                self._ask()
            except Exception as error:
                if self._clock() - self._answered_at < SILENCE_SECONDS:  # it answers others, if not new connections
                    break
                self._settle(SILENT if isinstance(error, TimeoutError) else FAILS)
            else:
                self._answered_at = self._clock()
                break
            self._pause(seconds)
        self._end(ANSWERS)

    def _end(self, state: str) -> None:
        with self._lock:
            self._is_asking = False
        self._settle(state)

    def _settle(self, state: str) -> None:
        with self._lock:
            before, self.state = self.state, state
            self._is_settled.set()
        if before != state:
            log.log(logging.INFO if state == ANSWERS else logging.ERROR, "the database %s", state)


BREAKERS: weakref.WeakKeyDictionary[Engine, Breaker] = weakref.WeakKeyDictionary()


def _in_background(work: Callable[[], None]) -> None:
    threading.Thread(target=work, name="database breaker", daemon=True).start()
