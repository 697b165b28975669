"""Answers those who have forgotten a password: one thread of a server process, asleep mostly.

The page keeps what was typed and looks nobody up, so that its answer takes as long for everybody. Here it is looked up, and
a letter is written or not: a second or two later, at a moment that nobody knows, so that nobody can tell by what the server
is slow at just afterwards either. Several processes may do so on one database: a request is deleted in the transaction that
answers it, and is there for the next process if this one dies.
"""

from __future__ import annotations

import atexit
import datetime
import logging
import secrets
import threading
from collections.abc import Callable

from sqlalchemy import Engine

from database.transaction import Transaction
from provider.sign_in.forgotten_passwords import ForgottenPasswords

log = logging.getLogger("mcp_core.recovery")
PAUSE_SECONDS = 1.5
BATCH = 50
STOP_SECONDS = 6.0


class ResetAnswers:
    def __init__(
        self,
        engine: Engine,
        clock: Callable[[], datetime.datetime],
        forgotten: ForgottenPasswords,
        *,
        pause_seconds: float = PAUSE_SECONDS,
    ) -> None:
        self._engine = engine
        self._clock = clock
        self._forgotten = forgotten
        self._pause_seconds = pause_seconds
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._is_cut_off = False

    def start(self) -> None:
        """Answers what is asked, from now to ``stop`` or the end of the process."""
        self._thread = threading.Thread(target=self._run, name="reset answers", daemon=True)
        self._thread.start()
        atexit.register(self.stop)

    def stop(self) -> None:
        """Begins no other answer, and waits a moment for the one at hand."""
        atexit.unregister(self.stop)
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(STOP_SECONDS)

    def answer_waiting(self) -> int:
        """Answers a batch, each request in a transaction of its own. Returns how many. Raises what the database raises."""
        with Transaction(self._engine) as tx:
            waiting = self._forgotten.waiting(tx, BATCH)
        answered = 0
        for request_id in waiting:
            if self._stopping.is_set():
                break
            with Transaction(self._engine) as tx:
                answered += self._forgotten.answer(tx, self._clock(), request_id)
        return answered

    def _run(self) -> None:
        while not self._stopping.wait(self._pause()):
            try:
                self.answer_waiting()
                self._is_cut_off = False
            except Exception as error:  # whatever it is, it must not end the thread
                if not self._is_cut_off:  # said once, not every few seconds
                    log.error("cannot answer forgotten passwords: %s", type(error).__name__)
                self._is_cut_off = True

    def _pause(self) -> float:
        """From a half to one and a half times the pause."""
        return self._pause_seconds * (500 + secrets.randbelow(1000)) / 1000
