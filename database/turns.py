"""Whose turn it is to write, for databases that take one writer at a time.

SQLite lets a second writer wait by asking again and again with longer and longer sleeps. Threads of one process wait for
each other here instead, in the order in which they came. SQLite's own lock still decides between processes.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections import deque

from sqlalchemy.exc import OperationalError

MOMENT_SECONDS = 0.1


class Turns:
    """A lock that is handed on: who waits longest is next, and nobody can come in between."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.is_taken = False
        self._waiting: deque[threading.Lock] = deque()

    @property
    def waiting(self) -> int:
        """How many threads wait."""
        return len(self._waiting)

    def take(self, seconds: float) -> float:
        """Waits for this thread's turn, and returns how much of ``seconds`` is left to wait for other processes.

        When it does not come in time, raises what SQLite would. Less than a moment is no wait.
        """
        with self._lock:
            if not self.is_taken:
                self.is_taken = True
                return seconds
            call = threading.Lock()
            call.acquire()
            self._waiting.append(call)
        began = time.monotonic()
        if call.acquire(timeout=max(0.0, seconds)):
            waited = time.monotonic() - began
            return seconds if waited < MOMENT_SECONDS else seconds - waited
        with self._lock:
            if call not in self._waiting:  # it was called in the last moment
                return 0.0
            self._waiting.remove(call)
        raise OperationalError("BEGIN IMMEDIATE", None, sqlite3.OperationalError("database is locked"))

    def give(self) -> None:
        with self._lock:
            if self._waiting:
                self._waiting.popleft().release()
            else:
                self.is_taken = False
