"""Whose turn it is to ask another server, so that a slow one holds up nobody but those who ask it.

Strangers have as many host names as they like. So who is vouched for, what people sign in with already, and what anybody
may have thought of a moment ago have turns of their own; of the last two no host and no source has more than one.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum

from provider.security.backoff import TooBusy

# Threads that may wait for other servers, of those that answer requests.
FETCH_THREADS = 32
PATIENCE_SECONDS = 1.0


class Standing(Enum):
    """What stands behind a document that is fetched."""

    VOUCHED = "vouched"  # its client was made by an operator or by somebody who was signed in
    KNOWN = "known"  # nobody vouches for its client, but somebody has signed in with it
    NEW = "new"


@dataclass(frozen=True, slots=True)
class Requester:
    """Whom something is fetched for. ``source`` is the network that the request came from."""

    standing: Standing
    source: str

    @property
    def is_vouched(self) -> bool:
        return self.standing is Standing.VOUCHED


@dataclass(frozen=True, slots=True)
class Share:
    """Of one standing, ``turns`` threads fetch at once while ``waiting`` more wait for ``patience_seconds`` at most."""

    turns: int
    waiting: int
    patience_seconds: float


def shares_of(threads: int, patience_seconds: float) -> Mapping[Standing, Share]:
    """How ``threads`` are shared out: a quarter of them is out of the reach of strangers."""
    return {
        Standing.VOUCHED: Share(max(1, threads // 3), max(1, threads // 3), 3 * patience_seconds),
        Standing.KNOWN: Share(max(1, threads // 8), threads // 8, patience_seconds),
        Standing.NEW: Share(max(1, threads // 4), max(1, threads // 4), patience_seconds),
    }


@dataclass(eq=False, slots=True)
class _Turn:
    standing: Standing
    host: str
    source: str
    began: float = 0.0

    def excludes(self, other: _Turn) -> bool:
        """Whether both are about one host or for one source. Vouched clients of one source may be many servers behind it."""
        is_one_source = self.source == other.source and self.standing is not Standing.VOUCHED
        return self.standing is other.standing and (self.host == other.host or is_one_source)


class Turns:
    """Nobody waits for a turn of somebody whom another server keeps waiting for long already."""

    def __init__(self, shares: Mapping[Standing, Share]) -> None:
        self._shares = shares
        self._running: list[_Turn] = []
        self._waiting: Counter[Standing] = Counter()
        self._changed = threading.Condition()

    @contextlib.contextmanager
    def take(self, requester: Requester, host: str, *, is_patient: bool = True) -> Iterator[None]:
        """A turn to ask ``host``. Raises ``TooBusy``: at once when not ``is_patient`` or too many wait already."""
        mine = _Turn(requester.standing, host, requester.source)
        with self._changed:
            if self._waits_until(mine) is not None:
                self._wait(mine, is_patient=is_patient)
            mine.began = time.monotonic()
            self._running.append(mine)
        try:
            yield
        finally:
            with self._changed:
                self._running.remove(mine)
                self._changed.notify_all()

    def _wait(self, mine: _Turn, *, is_patient: bool) -> None:
        share = self._shares[mine.standing]
        if not is_patient or self._waiting[mine.standing] >= share.waiting:
            raise TooBusy("too many wait for other servers")
        longest = time.monotonic() + share.patience_seconds
        self._waiting[mine.standing] += 1
        try:
            while (until := self._waits_until(mine)) is not None:
                seconds = min(until, longest) - time.monotonic()
                if seconds <= 0:
                    raise TooBusy("another server takes long to answer")
                self._changed.wait(seconds)
        finally:
            self._waiting[mine.standing] -= 1

    def _waits_until(self, mine: _Turn) -> float | None:
        """Until when it is worth waiting for those whose turn it is, None when it can begin."""
        share = self._shares[mine.standing]
        excluding = [turn.began for turn in self._running if turn.excludes(mine)]
        if excluding:
            return min(excluding) + share.patience_seconds
        others = [turn.began for turn in self._running if turn.standing is mine.standing]
        return max(others) + share.patience_seconds if len(others) >= share.turns else None
