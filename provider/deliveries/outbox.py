"""The rows of an outbox, whatever is in them: which are due, whose turn one is, what became of it, when again.

A row is claimed for as long as an attempt may take. One that a process took with it when it died is due again after that
time: everything leaves at least once, and what left twice is known by its id.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from sqlalchemy import RowMapping, delete, select, update

from database.models.base import Base
from database.transaction import Transaction


class Item(Protocol):
    """A claimed row. ``attempts`` counts this one too."""

    @property
    def id(self) -> str: ...

    @property
    def attempts(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of an attempt. ``problem`` is None where all went well.

    ``is_final``: it is not tried again. ``pause_seconds``: the other side as a whole could not be had, which says nothing
    about this item; the attempt does not count, and the next one follows after the pause.
    """

    problem: str | None = None
    is_final: bool = False
    pause_seconds: float | None = None


class Outbox:
    """The rows of ``model``, which has ``id``, ``attempts``, ``created_at``, ``next_attempt_at`` (None once it is over),
    ``delivered_at``, ``failed_at`` and ``last_problem``.

    ``retry_seconds`` are the waits after failed attempts; after the last of them a row is given up. ``lease_seconds`` is
    longer than an attempt takes. ``longest_days``: so old a row is given up whatever the failures were about.
    """

    def __init__(
        self,
        model: type[Base],
        *,
        retry_seconds: Sequence[int],
        lease_seconds: int,
        kept_days: int,
        longest_days: int = 2,
    ) -> None:
        self._model, self._table = model, model.__table__
        self._retry_seconds = retry_seconds
        self._lease = datetime.timedelta(seconds=lease_seconds)
        self._kept = datetime.timedelta(days=kept_days)
        self._longest = datetime.timedelta(days=longest_days)
        self._listeners: list[Callable[[], None]] = []

    def listen(self, listener: Callable[[], None]) -> None:
        """Calls ``listener`` after each commit of new rows in this process."""
        self._listeners.append(listener)

    def wrote(self, tx: Transaction) -> None:
        """To be called with the transaction that wrote new rows."""
        tx.on_commit(self._tell)

    def take(self, tx: Transaction, now: datetime.datetime, ids: Collection[str]) -> list[RowMapping]:
        """Claims those of ``ids`` that are still due. No two callers get the same one."""
        columns, taken = self._table.c, []
        for row_id in sorted(ids):  # in one order, so that two callers don't deadlock
            mine = update(self._model).where(columns.id == row_id, columns.next_attempt_at <= now)
            values = {"attempts": columns.attempts + 1, "next_attempt_at": now + self._lease}
            if tx.execute(mine.values(values)).rowcount == 1:
                taken.append(tx.execute(select(self._table).where(columns.id == row_id)).mappings().one())
        return taken

    def delivered(self, tx: Transaction, now: datetime.datetime, row_id: str, **wiped: None) -> None:
        """Notes that it has arrived. ``wiped`` are columns that nobody needs any more."""
        mine = update(self._model).where(self._table.c.id == row_id, self._table.c.delivered_at.is_(None))
        over = {"delivered_at": now, "next_attempt_at": None, "failed_at": None, "last_problem": None}
        tx.execute(mine.values({**over, **wiped}))

    def failed(self, tx: Transaction, now: datetime.datetime, item: Item, outcome: Outcome) -> bool:
        """Notes a failed attempt, and when the next one is due. True when there will be none.

        An attempt whose lease ran out and that somebody else has repeated since changes nothing.
        """
        columns = self._table.c
        mine = [columns.id == item.id, columns.attempts == item.attempts, columns.next_attempt_at.is_not(None)]
        values: dict[str, Any] = {"last_problem": (outcome.problem or "")[:255]}
        if outcome.pause_seconds is not None:
            again = {"attempts": item.attempts - 1, "next_attempt_at": now + _seconds(outcome.pause_seconds)}
            young = [columns.created_at > now - self._longest]
            if tx.execute(update(self._model).where(*mine, *young).values({**values, **again})).rowcount == 1:
                return False
        elif not outcome.is_final and item.attempts <= len(self._retry_seconds):
            again = {"next_attempt_at": now + _seconds(self._retry_seconds[item.attempts - 1])}
            tx.execute(update(self._model).where(*mine).values({**values, **again}))
            return False
        over = {"next_attempt_at": None, "failed_at": now}
        return tx.execute(update(self._model).where(*mine).values({**values, **over})).rowcount == 1

    def purge(self, tx: Transaction, now: datetime.datetime, limit: int = 1000) -> int:
        """Deletes rows that are over, ``kept_days`` after they were written."""
        columns = self._table.c
        over = select(columns.id).where(columns.next_attempt_at.is_(None), columns.created_at <= now - self._kept)
        ids = tx.execute(over.limit(limit)).scalars().all()
        if ids:
            tx.execute(delete(self._model).where(columns.id.in_(ids)))
        return len(ids)

    def _tell(self) -> None:
        for listener in self._listeners:
            listener()


def _seconds(seconds: float) -> datetime.timedelta:
    return datetime.timedelta(seconds=seconds)
