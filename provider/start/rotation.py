"""A new master key for everything that is sealed, while servers run: added, made the first, and the old ones let go.

Each step waits until every server knows of the one before. Where a rotation stands follows from the ring and the rows, so
one that was killed goes on by being begun again, and two at once do one work.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from database.faults import is_passing_fault
from database.transaction import Transaction
from provider.audit import AuditEvent
from provider.protocol.messages import Origin
from provider.security.rewrapping import Batch, Rewrapping, Unreadable
from provider.security.sealed_columns import SealedColumn
from provider.services import Services
from provider.start.ring_file import RingFile

# Servers look at the file every other second; a secrets service may take a moment to open the new key.
KNOWN_AFTER_SECONDS = 10
# What was sealed with an old key just before may be committed so much later: the longest statement there is, and a reserve.
COMMITTED_AFTER_SECONDS = 40
MOST_NAMED = 100
ATTEMPTS = 8
PAUSE_SECONDS = 0.01  # between batches: others get their turn to write


class Voice(Protocol):
    """Who is told how it goes."""

    def say(self, text: str) -> None: ...

    def progress(self, done: int, total: int) -> None: ...

    def wait(self, seconds: float, reason: str) -> None:
        """Waits, and says what for."""


@dataclass
class Pass:
    """What one look at all columns has found."""

    rewrapped: int = 0
    from_older: int = 0
    overtaken: int = 0
    unreadable: int = 0
    named: list[Unreadable] = field(default_factory=list)

    def add(self, batch: Batch) -> None:
        self.rewrapped += batch.rewrapped
        self.from_older += batch.from_older
        self.overtaken += batch.overtaken
        self.unreadable += len(batch.unreadable)
        self.named += batch.unreadable[: MOST_NAMED - len(self.named)]


@dataclass
class Outcome:
    """``first`` is the key that everything is under now, ``unused`` are older ones that nothing is under any more."""

    first: str = ""
    rewrapped: int = 0
    unreadable: int = 0
    named: list[Unreadable] = field(default_factory=list)
    unused: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()


class Rotation:
    """``needed_elsewhere`` are ids of master keys that something besides the database is under."""

    def __init__(
        self,
        services: Services,
        rewrapping: Rewrapping,
        voice: Voice,
        now: Callable[[], Origin],
        *,
        actor: str,
        needed_elsewhere: frozenset[str] = frozenset(),
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._services = services
        self._engine = services.engine
        self._masters = services.keyring.masters
        self._rewrapping = rewrapping
        self._voice = voice
        self._now = now
        self._actor = actor
        self._needed_elsewhere = needed_elsewhere
        self._sleep = sleep

    def rotate(self, ring: RingFile, new_text: Callable[[], str], *, keep_old: bool) -> Outcome:
        """Brings everything under a new master key, or one that was begun to its end. Raises ``KeyFilesError``."""
        seen = ring.ids()  # before anything is decided: what another rotation changes from here on is noticed
        outcome = self._finish_begun(ring)
        if outcome is None:
            following = ring.next_id() or self._added(ring, new_text, seen)
            if following != self._masters.first.id:
                self._voice.wait(KNOWN_AFTER_SECONDS, "until every server can read the new key")
                ring.put_first(following)
                self._look()
                self._record(AuditEvent.MASTER_KEY_ROTATED, key=following)
            self._voice.wait(KNOWN_AFTER_SECONDS, "until every server writes with the new key")
            outcome = self.rewrap()
        if not keep_old and len(self._masters.ids) > 1:
            self._voice.wait(COMMITTED_AFTER_SECONDS, "until what was sealed just before has been written")
            outcome = self.rewrap(outcome)
            self._drop(ring, outcome)
        return outcome

    def rewrap(self, before: Outcome | None = None) -> Outcome:
        """Brings everything under the first key of the ring: pass after pass, until nothing is left that opens."""
        outcome = before or Outcome()
        outcome.first = self._masters.first.id
        while True:
            found = self._pass()
            outcome.rewrapped += found.rewrapped
            if not found.rewrapped and not found.overtaken:
                break
        outcome.unreadable, outcome.named = found.unreadable, found.named
        with Transaction(self._engine) as tx:
            for value in found.named:
                self._services.sealed_values.note_unreadable(tx, self._now(), value.column, value.row_id)
            older = [name for name in self._masters.ids[1:] if name not in self._needed_elsewhere]
            outcome.unused = tuple(name for name in older if not self._rewrapping.is_used(tx, name))
        if outcome.rewrapped and before is None:
            self._record(
                AuditEvent.VALUES_REWRAPPED, key=outcome.first, count=outcome.rewrapped, unreadable=found.unreadable
            )
        return outcome

    def _finish_begun(self, ring: RingFile) -> Outcome | None:
        """What a rotation that ended too early has left to do. None where there is nothing, and a new key is due."""
        self._look()
        if ring.next_id() is not None:
            return None
        with Transaction(self._engine) as tx:
            is_begun = any(self._rewrapping.is_used(tx, name) for name in self._masters.ids[1:])
        if not is_begun:
            return None
        outcome, found = Outcome(first=self._masters.first.id), self._pass()
        if not found.from_older:
            return None  # what is under older keys does not open: that must not keep a new one from coming
        self._voice.say("A rotation that was begun before goes on.")
        outcome.rewrapped = found.rewrapped
        return self.rewrap(outcome)

    def _added(self, ring: RingFile, new_text: Callable[[], str], seen: tuple[str, ...]) -> str:
        key_id = f"k{self._now().now:%Y%m%d}-{secrets.token_hex(3)}"
        following = ring.add_next(key_id, new_text(), seen=seen)
        self._look()
        if following == key_id:
            self._voice.say(f"New master key {key_id}.")
        return following

    def _drop(self, ring: RingFile, outcome: Outcome) -> None:
        if outcome.unused:
            ring.drop(set(outcome.unused))
            self._look()
            self._record(AuditEvent.MASTER_KEYS_DROPPED, keys=list(outcome.unused))
            outcome.dropped = outcome.unused

    def _pass(self) -> Pass:
        found = Pass()
        with Transaction(self._engine) as tx:
            total = self._rewrapping.left(tx)
        seen = 0
        for column in self._rewrapping.columns:
            last: str | None = ""
            while last is not None:
                batch = self._patiently(column, last)
                found.add(batch)
                last = batch.last
                seen += batch.rewrapped + batch.overtaken + len(batch.unreadable)
                if last is not None and total:
                    self._voice.progress(min(seen, total), total)
                    self._sleep(PAUSE_SECONDS)
        return found

    def _patiently(self, column: SealedColumn, after: str) -> Batch:
        """A batch, again where it was in somebody's way."""
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return self._rewrapping.batch(self._engine, column, after)
            except Exception as error:
                if attempt == ATTEMPTS or not is_passing_fault(error):
                    raise
                self._sleep(PAUSE_SECONDS * 2**attempt)
        raise AssertionError("the last attempt returns or raises")

    def _look(self) -> None:
        if self._masters.renewal is not None:
            self._masters.renewal.look()

    def _record(self, event: AuditEvent, **details: Any) -> None:
        with Transaction(self._engine) as tx:
            self._services.audit.record(
                tx, event, self._now(), actor=self._actor, resource_type="master_keys", **details
            )
