"""What happened to an account: its own records of the audit, and how long records are kept."""

from __future__ import annotations

import datetime
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, delete, or_, select

from database.models import AuditRecord
from database.models.columns import first_id
from database.reading import Listed, row_of
from database.transaction import Transaction

_TABLE = AuditRecord.__table__


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that happened. ``actor`` is who did it when that was not the person."""

    id: str
    action: str
    outcome: str
    actor: str | None
    details: Mapping[str, Any]
    ip_address: str | None
    user_agent: str | None
    created_at: datetime.datetime


class Activity:
    """``days`` is how long records are kept, 0 for good."""

    def __init__(self, *, days: int) -> None:
        self._kept = datetime.timedelta(days=days)

    def of(self, user_id: str, actions: Collection[str]) -> Listed[Entry]:
        """One person's records of these kinds, the newest first."""
        kinds = select(AuditRecord).where(_TABLE.c.action.in_(actions))
        return Listed(_newest_first(kinds, user_id), lambda entity: _entry_of(row_of(entity)))

    def about(
        self, tx: Transaction, user_id: str, resource_id: str, actions: Collection[str], limit: int
    ) -> Sequence[Entry]:
        """The newest records of these kinds about one thing of a person, at most ``limit``. Worth asking only where there
        are some: it looks back until it has found them."""
        about = _TABLE.c.action.in_(actions) & (_TABLE.c.resource_id == resource_id)
        rows = tx.execute(_newest_first(select(_TABLE).where(about), user_id).limit(limit)).mappings()
        return [_entry_of(row) for row in rows]

    def before(
        self,
        tx: Transaction,
        user_id: str,
        position: tuple[datetime.datetime, str] | None,
        limit: int,
        *,
        search: str = "",
    ) -> Sequence[Entry]:
        """At most ``limit`` records of one person, the newest first: those before one's time and id, or the newest.

        ``search`` finds them by what happened (``login.failed``), the address and the browser.
        """
        statement = select(_TABLE)
        if search:
            said = (_TABLE.c.action, _TABLE.c.ip_address, _TABLE.c.user_agent)
            statement = statement.where(or_(*(column.icontains(search, autoescape=True) for column in said)))
        if position is not None:
            moment, last_id = position
            earlier = (_TABLE.c.created_at < moment) | ((_TABLE.c.created_at == moment) & (_TABLE.c.id < last_id))
            statement = statement.where(_TABLE.c.created_at <= moment, earlier)
        rows = tx.execute(_newest_first(statement, user_id).limit(limit)).mappings()
        return [_entry_of(row) for row in rows]

    def purge(self, tx: Transaction, now: datetime.datetime, limit: int = 1000) -> int:
        """Deletes records that are older than they are kept, found by their ids, which begin with their time."""
        if not self._kept:
            return 0
        old = select(_TABLE.c.id).where(_TABLE.c.id < first_id(now - self._kept)).order_by(_TABLE.c.id).limit(limit)
        ids = tx.execute(old).scalars().all()
        if ids:
            tx.execute(delete(AuditRecord).where(_TABLE.c.id.in_(ids)))
        return len(ids)


def _newest_first(statement: Select[Any], user_id: str) -> Select[Any]:
    mine = statement.where(_TABLE.c.user_id == user_id)
    return mine.order_by(_TABLE.c.created_at.desc(), _TABLE.c.id.desc())


def _entry_of(row: Mapping[Any, Any]) -> Entry:
    same = ("id", "action", "outcome", "actor", "ip_address", "user_agent", "created_at")
    return Entry(**{name: row[name] for name in same}, details=row["metadata"] or {})
