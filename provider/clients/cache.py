"""What was read from the database a moment ago: bounded, short-lived, and never ahead of a commit."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar
from weakref import WeakSet

from database.transaction import Transaction

Value = TypeVar("Value")


class ShortCache(Generic[Value]):
    """Values by key, for ``seconds`` and at most ``size`` of them. Safe for threads.

    Two things never get in: what a transaction reads after it has changed something (it may still be rolled back), and
    what was read before another transaction's change and arrives after it. What does not exist is not remembered.
    """

    def __init__(self, seconds: float, size: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._size = size
        self._clock = clock
        self._entries: OrderedDict[str, tuple[float, Value]] = OrderedDict()
        self._changing: WeakSet[Transaction] = WeakSet()
        self._changes = 0
        self._lock = threading.Lock()

    def get(self, tx: Transaction, key: str) -> Value | None:
        entry = self._entries.get(key)  # one look, which needs no lock
        if entry is None or self._clock() - entry[0] >= self._seconds or tx in self._changing:
            return None
        return entry[1]

    def fill(self, tx: Transaction, key: str, load: Callable[[], Value | None]) -> Value | None:
        """The value that ``load`` reads, kept for the next ones who ask."""
        with self._lock:
            began, changes = self._clock(), self._changes
        value = load()
        with self._lock:
            if value is None:
                self._entries.pop(key, None)
            elif changes == self._changes and tx not in self._changing:
                self._entries[key] = (began, value)
                self._entries.move_to_end(key)
                while len(self._entries) > self._size:
                    self._entries.popitem(last=False)
        return value

    def changed(self, tx: Transaction, key: str) -> None:
        """``tx`` has changed this entry: it reads past the cache from now on, and the others do once it is committed."""
        with self._lock:
            self._changing.add(tx)
        tx.on_commit(lambda: self.forget(key))

    def forget(self, key: str) -> None:
        with self._lock:
            self._changes += 1
            self._entries.pop(key, None)

    def __len__(self) -> int:
        return len(self._entries)
