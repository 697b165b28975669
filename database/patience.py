"""How long one request waits for the database, in all its waits together."""

from __future__ import annotations

import time
from collections.abc import Callable

DATABASE_SECONDS = 8
LOCK_WAIT_SECONDS = 5


class Patience:
    """The time that one caller has for its transactions: while one of them is open it runs, and otherwise it rests.

    Hashing and outbound requests, during which no transaction is open, thus take nothing of it. ``seconds`` is
    ``DATABASE_SECONDS`` unless given. Not safe for threads: one caller is one thread.
    """

    def __init__(self, seconds: float | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._rest = DATABASE_SECONDS if seconds is None else seconds
        self._clock = clock
        self._until: float | None = None

    @property
    def left(self) -> float:
        """Seconds, below zero when a wait took longer than it should."""
        return self._rest if self._until is None else self._until - self._clock()

    def begin(self) -> None:
        """A transaction opens, or begins to wait for its connection."""
        if self._until is None:
            self._until = self._clock() + self._rest

    def end(self) -> None:
        self._rest, self._until = self.left, None
