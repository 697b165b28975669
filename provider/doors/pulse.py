"""Whether the database answers, seen from a thread of its own: ``/health`` tells it without waiting for anything."""

from __future__ import annotations

import atexit
import datetime
import logging
import os
import threading
import time
from collections.abc import Callable

from sqlalchemy import Engine, literal, select

from database.patience import Patience
from database.transaction import Transaction

log = logging.getLogger("mcp_core.doors")

BEAT_SECONDS = 2.0
ANSWER_SECONDS = 3.0
MISSED_SECONDS = 6.0
_QUESTION = select(literal(1))


class Pulse:
    """Asks the database something small every two seconds, and has what is kept in memory renewed by the way.

    ``renew`` is called in the same transaction, so that no request has to wait for it.
    """

    def __init__(
        self,
        engine: Engine,
        clock: Callable[[], datetime.datetime],
        renew: Callable[[Transaction, datetime.datetime], object],
        *,
        beat_seconds: float = BEAT_SECONDS,
        missed_seconds: float = MISSED_SECONDS,
    ) -> None:
        self._engine = engine
        self._clock = clock
        self._renew = renew
        self._beat_seconds, self._missed_seconds = beat_seconds, missed_seconds
        self._stopping = threading.Event()
        self._last = 0.0
        self._process = 0
        self._is_answered = False

    @property
    def is_running(self) -> bool:
        """Whether this process has the thread: one that was forked from it has not."""
        return self._process == os.getpid()

    @property
    def is_up(self) -> bool:
        """Whether the last question was answered, and not too long ago: one that gets no answer says nothing at all."""
        return self._is_answered and time.monotonic() - self._last < self._missed_seconds

    def start(self) -> None:
        """Beats from now to ``stop`` or the end of the process. The first beat is over when this returns."""
        self._process = os.getpid()
        self._beat()
        threading.Thread(target=self._run, name="pulse", daemon=True).start()
        atexit.register(self.stop)

    def stop(self) -> None:
        atexit.unregister(self.stop)
        self._stopping.set()

    def _run(self) -> None:
        while not self._stopping.wait(self._beat_seconds):
            self._beat()

    def _beat(self) -> None:
        try:
            with Transaction(self._engine, Patience(ANSWER_SECONDS)) as tx:
                tx.execute(_QUESTION)
                self._renew(tx, self._clock())
            is_answered = True
        except Exception as error:  # whatever it is, it must not end the thread
            is_answered = False
            if self._is_answered or not self._last:  # said once, not every two seconds
                log.error("the database does not answer: %s", type(error).__name__)
        if is_answered and self._last and not self._is_answered:
            log.warning("the database answers again")
        self._is_answered, self._last = is_answered, time.monotonic()
