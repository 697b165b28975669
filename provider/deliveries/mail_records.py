"""The letters of the last days, for operators: what waits, what was given up and why, and sending one again."""

from __future__ import annotations

import datetime
from dataclasses import dataclass

from sqlalchemy import ColumnElement, RowMapping, func, select, update

from database.models import MailMessage
from database.transaction import Transaction
from provider.audit import AuditEvent, AuditRecorder
from provider.protocol.messages import Origin

MOST_LISTED = 500
_TABLE = MailMessage.__table__
_FAILED = (_TABLE.c.failed_at.is_not(None), _TABLE.c.next_attempt_at.is_(None))


@dataclass(frozen=True, slots=True)
class MailRecord:
    """A letter without what stands in it."""

    id: str
    recipient: str
    letter: str
    attempts: int
    created_at: datetime.datetime
    next_attempt_at: datetime.datetime | None
    delivered_at: datetime.datetime | None
    failed_at: datetime.datetime | None
    last_problem: str | None

    @property
    def state(self) -> str:
        """``sent``, ``failed`` (given up), ``waiting``, or ``kept``: there was no server to send it by."""
        if self.delivered_at is not None:
            return "sent"
        if self.next_attempt_at is not None:
            return "waiting"
        return "failed" if self.failed_at is not None else "kept"


@dataclass(frozen=True, slots=True)
class MailState:
    """How many letters wait and were given up, since when the oldest waits, and what went wrong last with one of them."""

    waiting: int
    failed: int
    oldest: datetime.datetime | None
    problem: str | None


class MailRecords:
    def __init__(self, audit: AuditRecorder) -> None:
        self._audit = audit

    def list(self, tx: Transaction, *, only_failed: bool = False) -> list[MailRecord]:
        """The newest letters, or the newest of those that were given up; 500 at most."""
        columns = [_TABLE.c[name] for name in MailRecord.__dataclass_fields__]
        wanted = _FAILED if only_failed else ()
        found = select(*columns).where(*wanted).order_by(_TABLE.c.id.desc()).limit(MOST_LISTED)
        return [MailRecord(**row) for row in tx.execute(found).mappings()]

    def state(self, tx: Transaction) -> MailState:
        waiting = (_TABLE.c.next_attempt_at.is_not(None),)
        row = self._count(tx, *waiting)
        problem = select(_TABLE.c.last_problem).where(*waiting, _TABLE.c.last_problem.is_not(None))
        last = tx.execute(problem.order_by(_TABLE.c.id.desc()).limit(1)).scalar()
        return MailState(row["number"], self._count(tx, *_FAILED)["number"], row["oldest"], last)

    def retry(self, tx: Transaction, origin: Origin, *, row_id: str | None = None, actor: str | None = None) -> int:
        """Has a letter that was given up sent again, or all of them. Returns how many; what stood in it must be there."""
        mine = update(MailMessage).where(*_FAILED, _TABLE.c.values_encrypted.is_not(None))
        if row_id is not None:
            mine = mine.where(_TABLE.c.id == row_id)
        again = {"attempts": 0, "next_attempt_at": origin.now, "failed_at": None}
        count = tx.execute(mine.values(again)).rowcount
        if count:
            self._audit.record(
                tx,
                AuditEvent.MAIL_RETRIED,
                origin,
                actor=actor,
                resource_type="mail_messages",
                resource_id=row_id,
                letters=count,
            )
        return count

    def _count(self, tx: Transaction, *conditions: ColumnElement[bool]) -> RowMapping:
        counted = select(func.count().label("number"), func.min(_TABLE.c.created_at).label("oldest")).where(*conditions)
        return tx.execute(counted).mappings().one()
