"""Answers those who have forgotten a password: one thread of a server process, asleep mostly.

The page keeps what was typed and looks nobody up, so that its answer takes as long for everybody. Here it is looked up, and
a letter is written or not: a second or two later, at a moment that nobody knows, so that nobody can tell by what the server
is slow at just afterwards either. Several processes may do so on one database: a request is deleted in the transaction that
answers it, and is there for the next process if this one dies.
"""

from __future__ import annotations

import datetime
import logging
import secrets
from collections.abc import Callable

from sqlalchemy import Engine

from database.transaction import Transaction
from provider.sign_in.forgotten_passwords import ForgottenPasswords
from provider.upkeep.background import Background

log = logging.getLogger("mcp_core.recovery")
PAUSE_SECONDS = 1.5
BATCH = 50


class ResetAnswers(Background):
    def __init__(
        self,
        engine: Engine,
        clock: Callable[[], datetime.datetime],
        forgotten: ForgottenPasswords,
        *,
        pause_seconds: float = PAUSE_SECONDS,
    ) -> None:
        super().__init__("reset answers", log, "cannot answer forgotten passwords")
        self._engine = engine
        self._clock = clock
        self._forgotten = forgotten
        self._pause_seconds = pause_seconds

    def turn(self) -> bool:
        self.answer_waiting()
        return True

    def pause(self) -> float:
        """From a half to one and a half times the pause."""
        return self._pause_seconds * (500 + secrets.randbelow(1000)) / 1000

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
