"""Empties an outbox: one thread of a server process for each kind of delivery, idle mostly, and a few that send.

Several processes may do so on one database. A kind is one file: whose rows they are, how one is sent, what is noted. It
has lanes, each with threads of its own, so that what is slow holds up no more than its like.
"""

from __future__ import annotations

import atexit
import datetime
import logging
import threading
import time
from collections.abc import Callable, Collection, Mapping
from typing import Generic, Protocol, TypeVar

from sqlalchemy import Engine

from database.faults import DATABASE_ERRORS
from database.transaction import Transaction
from provider.deliveries.outbox import Item, Outcome

log = logging.getLogger("mcp_core.deliveries")
POLL_SECONDS = 5.0
STOP_SECONDS = 6.0
It = TypeVar("It", bound=Item)


class Kind(Protocol[It]):
    """What is delivered, and how. ``name`` is for threads and the log: ``logout notice``."""

    name: str

    @property
    def lanes(self) -> Mapping[str, int]:
        """How many are sent at once, by lane."""

    def receiver(self, item: It) -> str:
        """Whom no two items of a lane are sent to at once."""

    def listen(self, listener: Callable[[], None]) -> None:
        """Has ``listener`` called after each commit of new rows in this process."""

    def claim(self, tx: Transaction, now: datetime.datetime, limit: int, lane: str, busy: Collection[str]) -> list[It]:
        """Takes at most so many that are due, to none of the ``busy`` receivers."""

    def send(self, item: It) -> Outcome:
        """Sends once. No transaction is open; a failure that is not foreseen may be raised."""

    def note(self, tx: Transaction, now: datetime.datetime, item: It, outcome: Outcome) -> None:
        """Records what came of it, and when it is tried again."""


class Courier(Generic[It]):
    def __init__(
        self,
        engine: Engine,
        clock: Callable[[], datetime.datetime],
        kind: Kind[It],
        *,
        poll_seconds: float = POLL_SECONDS,
    ) -> None:
        self._engine = engine
        self._clock = clock
        self._kind = kind
        self._poll_seconds = poll_seconds
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._senders: dict[str, dict[str, threading.Thread]] = {lane: {} for lane in kind.lanes}
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._is_cut_off = False

    def start(self) -> None:
        """Sends what is due, from now to ``stop`` or the end of the process."""
        self._kind.listen(self._wake.set)
        self._thread = threading.Thread(target=self._run, name=f"{self._kind.name}s", daemon=True)
        self._thread.start()
        atexit.register(self.stop)

    def stop(self) -> None:
        """Begins nothing more, and waits a moment for what is being sent. What isn't finished stays in the outbox."""
        atexit.unregister(self.stop)
        self._stopping.set()
        self._wake.set()
        deadline = time.monotonic() + STOP_SECONDS
        with self._lock:
            running = [self._thread, *(thread for senders in self._senders.values() for thread in senders.values())]
        for thread in running:
            if thread is not None:
                thread.join(max(0.0, deadline - time.monotonic()))

    def attempt(self, item: It) -> None:
        """Sends one claimed item once and notes what came of it."""
        name = self._kind.name
        try:
            outcome = self._kind.send(item)
        except Exception as error:  # one that can't be sent must not keep back the others
            log.exception("a %s cannot be sent [%s]", name, item.id)
            outcome = Outcome(type(error).__name__)
        try:
            with Transaction(self._engine) as tx:
                self._kind.note(tx, self._clock(), item, outcome)
        except DATABASE_ERRORS as error:  # it is sent again when the claim runs out
            log.error("a %s cannot be ticked off: %s [%s]", name, type(error).__name__, item.id)
            return
        if outcome.problem is not None:
            log.warning("a %s failed, attempt %d: %s [%s]", name, item.attempts, outcome.problem, item.id)

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._wake.clear()
            if not sum(self._begin_due(lane) for lane in self._kind.lanes):
                self._wake.wait(self._poll_seconds)

    def _begin_due(self, lane: str) -> int:
        """Starts a sender for each item that can be claimed now. Returns how many."""
        with self._lock:
            busy = list(self._senders[lane])
        free = self._kind.lanes[lane] - len(busy)
        if free <= 0:
            return 0
        try:
            with Transaction(self._engine) as tx:
                items = self._kind.claim(tx, self._clock(), free, lane, busy)
        except Exception as error:  # whatever it is, it must not end the thread
            if not self._is_cut_off:  # said once, not every few seconds
                log.error("cannot look for %ss: %s", self._kind.name, type(error).__name__)
            self._is_cut_off = True
            return 0
        self._is_cut_off = False
        for item in items:
            sender = threading.Thread(target=self._attempt_and_go, args=(item, lane), name=self._kind.name, daemon=True)
            with self._lock:
                self._senders[lane][self._kind.receiver(item)] = sender
            sender.start()
        return len(items)

    def _attempt_and_go(self, item: It, lane: str) -> None:
        try:
            self.attempt(item)
        except Exception:
            log.exception("a %s cannot be ticked off [%s]", self._kind.name, item.id)
        finally:
            with self._lock:
                self._senders[lane].pop(self._kind.receiver(item), None)
            self._wake.set()
