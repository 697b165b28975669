"""Whose turn it is to write, for databases that take one writer at a time.

SQLite lets a second writer wait by asking again and again with longer and longer sleeps. Threads of one process wait for
each other here instead, in the order in which they came. SQLite's own lock still decides between processes.
"""

from __future__ import annotations

import sqlite3
import threading
from collections import deque

from sqlalchemy.exc import OperationalError


class Turns:
    """A lock that is handed on: who waits longest is next, and nobody can come in between."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._lock = threading.Lock()
        self.is_taken = False
        self._waiting: deque[threading.Lock] = deque()

    @property
    def waiting(self) -> int:
        """How many threads wait."""
        return len(self._waiting)

    def take(self) -> None:
        """Waits for this thread's turn. When it does not come in time, raises what SQLite would."""
        with self._lock:
            if not self.is_taken:
                self.is_taken = True
                return
            call = threading.Lock()
            call.acquire()
            self._waiting.append(call)
        if call.acquire(timeout=self._seconds):
            return
        with self._lock:
            if call not in self._waiting:  # it was called in the last moment
                return
            self._waiting.remove(call)
        raise OperationalError("BEGIN IMMEDIATE", None, sqlite3.OperationalError("database is locked"))

    def give(self) -> None:
        with self._lock:
            if self._waiting:
                self._waiting.popleft().release()
            else:
                self.is_taken = False
