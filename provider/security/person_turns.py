"""Whose turn it is to ask a server for a person: many people ask the same few hosts, and one slow host keeps no others.

``Turns`` gives a host one turn at a time, since there one answer does for all. Here each person asks for themselves.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections import Counter
from collections.abc import Iterator

from provider.security.backoff import TooBusy

PER_PERSON = 2


class PersonTurns:
    """At most ``most`` at once, half of them at one host and two for one person. ``patience_seconds`` bounds each wait.

    As many may wait as have a turn; who comes then is told to come again.
    """

    def __init__(self, most: int, patience_seconds: float) -> None:
        self._most = most
        self._at_host = max(1, most // 2)
        self._patience = patience_seconds
        self._running: Counter[str] = Counter()
        self._taken = 0
        self._waiting = 0
        self._changed = threading.Condition()

    @contextlib.contextmanager
    def take(self, person: str, host: str) -> Iterator[None]:
        """A turn to ask ``host`` for ``person``. Raises ``TooBusy``."""
        names = (f"person {person}", f"host {host}")
        with self._changed:
            if not self._is_free(*names):
                self._wait(*names)
            self._running.update(names)
            self._taken += 1
        try:
            yield
        finally:
            with self._changed:
                self._running.subtract(names)
                self._running = +self._running  # what nobody asks any more leaves no counter
                self._taken -= 1
                self._changed.notify_all()

    def _is_free(self, person: str, host: str) -> bool:
        return self._taken < self._most and self._running[person] < PER_PERSON and self._running[host] < self._at_host

    def _wait(self, person: str, host: str) -> None:
        if self._waiting >= self._most:
            raise TooBusy("too many wait for other servers")
        until = time.monotonic() + self._patience
        self._waiting += 1
        try:
            while not self._is_free(person, host):
                seconds = until - time.monotonic()
                if seconds <= 0:
                    raise TooBusy("another server takes long to answer")
                self._changed.wait(seconds)
        finally:
            self._waiting -= 1
