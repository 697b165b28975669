"""Pauses for servers and documents that fail, each longer than the one before: asking again at once would not help."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from provider.security.exchange import Unavailable

FIRST_SECONDS, LONGEST_SECONDS = 1.0, 60.0
# The names are addresses of at most 2 KB: 2 MB when strangers fill it.
REMEMBERED = 1024


class TooBusy(Unavailable):
    """Nobody was asked: it is no time to ask."""


@dataclass(slots=True)
class _Pause:
    failures: int
    until: float


class Backoff:
    """Counts consecutive failures by name: 1 s of pause after the first, 2, 4 and so on up to ``longest_seconds``.

    What failed is never an answer: who comes during the pause is told to come again. The names least recently tried are
    forgotten beyond 1024.
    """

    def __init__(
        self, *, longest_seconds: float = LONGEST_SECONDS, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._longest = longest_seconds
        self._clock = clock
        self._pauses: OrderedDict[str, _Pause] = OrderedDict()
        self._lock = threading.Lock()

    def check(self, *names: str) -> None:
        """Raises ``TooBusy`` while one of the names pauses."""
        with self._lock:
            self._check(names)

    def begin(self, *names: str) -> None:
        """Counts a failure of each name before anything is tried; only ``succeeded`` takes it back. Raises ``TooBusy``."""
        with self._lock:
            self._check(names)
            for name in names:
                known = self._pauses.get(name)
                self._pause(name, 1 if known is None else known.failures + 1)

    def failed(self, *names: str) -> None:
        """Begins the pause now, after what may have taken a while."""
        with self._lock:
            for name in names:
                known = self._pauses.get(name)
                self._pause(name, 1 if known is None else known.failures)

    def succeeded(self, *names: str) -> None:
        with self._lock:
            for name in names:
                self._pauses.pop(name, None)

    def _check(self, names: Iterable[str]) -> None:
        now = self._clock()
        if any(now < self._pauses[name].until for name in names if name in self._pauses):
            raise TooBusy("it failed a moment ago")

    def _pause(self, name: str, failures: int) -> None:
        seconds = min(self._longest, FIRST_SECONDS * 2.0 ** min(failures - 1, 16))
        self._pauses[name] = _Pause(failures, self._clock() + seconds)
        self._pauses.move_to_end(name)
        while len(self._pauses) > REMEMBERED:
            self._pauses.popitem(last=False)
