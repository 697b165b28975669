"""Wrong guesses in a row: at a hundred, a way into the account closes (NIST SP 800-63B-4 §3.2.2)."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, Row, bindparam, select, update
from sqlalchemy.dialects import mysql, sqlite

from database.models import ConsecutiveFailures as FailuresRow
from database.prepared import Counting, Prepared
from database.transaction import Transaction
from provider.audit import AuditEvent, AuditRecorder
from provider.protocol.messages import Origin

MOST = 100
_CLOSED = MOST + 1  # at a hundred the last guess is still being looked at
_TABLE = FailuresRow.__table__
_THIS = (
    _TABLE.c.user_id == bindparam("of_user"),
    _TABLE.c.way == bindparam("of_way"),
    _TABLE.c.known_device == bindparam("of_known_device"),
)
_COUNT = Counting.up(update(FailuresRow).where(*_THIS, _TABLE.c.failures < MOST), "failures")
_NONE = {name: bindparam(name, type_=_TABLE.c[name].type) for name in ("user_id", "way", "known_device", "failures")}
_AS_IT_IS = {"failures": _TABLE.c.failures}
_BEGIN_SERVER = Prepared(mysql.insert(FailuresRow).values(_NONE).on_duplicate_key_update(_AS_IT_IS))
_BEGIN_SQLITE = Prepared(
    sqlite.insert(FailuresRow)
    .values(_NONE)
    .on_conflict_do_update(index_elements=list(_TABLE.primary_key), set_=_AS_IT_IS)
)
_RUNNING = Prepared(
    select(_TABLE.c.known_device).where(
        _TABLE.c.user_id == bindparam("of_user"), _TABLE.c.way == bindparam("of_way"), _TABLE.c.failures > 0
    )
)
_TAKE_BACK = Prepared(
    update(FailuresRow).where(*_THIS, _TABLE.c.failures.between(1, MOST)).values(failures=_TABLE.c.failures - 1)
)
_CLOSE = Prepared(
    update(FailuresRow).where(*_THIS, _TABLE.c.failures == MOST).values(failures=_CLOSED, closed_at=bindparam("moment"))
)
_OPEN = Prepared(update(FailuresRow).where(*_THIS, _TABLE.c.failures == _CLOSED).values(failures=0))
_FORGET = Prepared(update(FailuresRow).where(*_THIS, _TABLE.c.failures != _CLOSED).values(failures=0))
_EVER_CLOSED = Prepared(
    select(_TABLE.c.user_id, _TABLE.c.way, _TABLE.c.known_device, _TABLE.c.closed_at)
    .where(_TABLE.c.user_id == bindparam("of_user"), _TABLE.c.closed_at.is_not(None))
    .order_by(_TABLE.c.way, _TABLE.c.known_device)
)


class Way(StrEnum):
    """What is guessed. Recovery codes have 69 random bits and need no end to the guessing (SP 800-63B-4 §3.1.2.2)."""

    PASSWORD = "password"  # noqa: S105 - the name of a way
    CODE = "code"


@dataclass(frozen=True, slots=True)
class WayIn:
    """One way into one account: from browsers in which the user has signed in before, or from all others."""

    user_id: str
    way: Way
    is_known_device: bool

    def __str__(self) -> str:
        """As operators read it."""
        return f"{self.way} on known devices" if self.is_known_device else f"{self.way} on new devices"

    @property
    def row(self) -> dict[str, object]:
        return {"of_user": self.user_id, "of_way": self.way.value, "of_known_device": self.is_known_device}


@dataclass(frozen=True, slots=True)
class Closing:
    """When guesses closed a way."""

    way_in: WayIn
    closed_at: datetime.datetime


class ConsecutiveFailures:
    """Every guess is counted before it is looked at, so that of parallel ones no more than a hundred are."""

    def __init__(self, audit: AuditRecorder) -> None:
        self._audit = audit

    def count(self, tx: Transaction, origin: Origin, way_in: WayIn) -> int | None:
        """Which one in a row this guess is, None when it must not be looked at since the way is closed."""
        number = tx.total(_COUNT, way_in.row)
        if number is None:
            none = {
                "user_id": way_in.user_id,
                "way": way_in.way.value,
                "known_device": way_in.is_known_device,
                "failures": 0,
            }
            tx.count(_BEGIN_SQLITE if tx.is_sqlite else _BEGIN_SERVER, none)
            number = tx.total(_COUNT, way_in.row)
            if number is None:
                self._close(tx, origin, way_in)
        return number

    def fail(self, tx: Transaction, origin: Origin, way_in: WayIn, number: int) -> None:
        """The guess with this ``number`` was wrong. The last one closes the way."""
        if number == MOST:
            self._close(tx, origin, way_in)

    def take_back(self, tx: Transaction, way_in: WayIn) -> None:
        """A counted guess was not looked at after all."""
        tx.count(_TAKE_BACK, way_in.row)

    def succeed(
        self, tx: Transaction, origin: Origin, user_id: str, way: Way, *, actor: str | None = None
    ) -> list[WayIn]:
        """The row of failures is over, from known devices and from others. Returns what was closed and is open again.

        Also for an operator, who is the ``actor`` then.
        """
        opened = []
        for row in tx.rows(_RUNNING, {"of_user": user_id, "of_way": way.value}):
            way_in = WayIn(user_id, way, row["known_device"])
            if tx.count(_FORGET, way_in.row) == 0 and tx.count(_OPEN, way_in.row) == 1:
                self._record(tx, AuditEvent.LOGIN_OPENED, origin, way_in, actor)
                opened.append(way_in)
        return opened

    def _close(self, tx: Transaction, origin: Origin, way_in: WayIn) -> None:
        """Once: by the hundredth guess, or by one that came before the hundredth was decided."""
        if tx.count(_CLOSE, {**way_in.row, "moment": origin.now}) == 1:
            self._record(tx, AuditEvent.LOGIN_CLOSED, origin, way_in)

    def closed(self, tx: Transaction, user_id: str | None = None) -> list[WayIn]:
        """The ways that are closed now, of one user or of all."""
        return [_way_in(row) for row in self._find(tx, user_id, _TABLE.c.failures == _CLOSED)]

    def closings(self, tx: Transaction, user_id: str, *, since: datetime.datetime | None) -> list[Closing]:
        """The last time that each way of a user closed, if it was after ``since``; opened again or not."""
        rows = tx.rows(_EVER_CLOSED, {"of_user": user_id})
        return [
            Closing(WayIn(row["user_id"], Way(row["way"]), row["known_device"]), row["closed_at"])
            for row in rows
            if since is None or row["closed_at"] > since
        ]

    def _find(self, tx: Transaction, user_id: str | None, condition: ColumnElement[bool]) -> Sequence[Row[Any]]:
        statement = select(_TABLE).where(condition)
        if user_id is not None:
            statement = statement.where(_TABLE.c.user_id == user_id)
        return tx.execute(statement.order_by(_TABLE.c.user_id, _TABLE.c.way, _TABLE.c.known_device)).all()

    def _record(
        self, tx: Transaction, event: AuditEvent, origin: Origin, way_in: WayIn, actor: str | None = None
    ) -> None:
        self._audit.record(
            tx,
            event,
            origin,
            user_id=way_in.user_id,
            actor=actor,
            outcome="denied" if event is AuditEvent.LOGIN_CLOSED else "ok",
            resource_type="users",
            resource_id=way_in.user_id,
            way=way_in.way.value,
            known_device=way_in.is_known_device,
        )


def _way_in(row: Row[Any]) -> WayIn:
    return WayIn(row.user_id, Way(row.way), row.known_device)
