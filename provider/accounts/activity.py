"""What happened to an account: its own records of the audit, and how long records are kept."""

from __future__ import annotations

import datetime
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import delete, select

from database.models import AuditRecord
from database.models.columns import first_id
from database.reading import Listed, row_of
from database.transaction import Transaction

_TABLE = AuditRecord.__table__


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that happened. ``actor`` is who did it when that was not the person."""

    action: str
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
        mine = select(AuditRecord).where(_TABLE.c.user_id == user_id, _TABLE.c.action.in_(actions))
        return Listed(mine.order_by(_TABLE.c.created_at.desc(), _TABLE.c.id.desc()), _entry_of)

    def purge(self, tx: Transaction, now: datetime.datetime, limit: int = 1000) -> int:
        """Deletes records that are older than they are kept, found by their ids, which begin with their time."""
        if not self._kept:
            return 0
        old = select(_TABLE.c.id).where(_TABLE.c.id < first_id(now - self._kept)).order_by(_TABLE.c.id).limit(limit)
        ids = tx.execute(old).scalars().all()
        if ids:
            tx.execute(delete(AuditRecord).where(_TABLE.c.id.in_(ids)))
        return len(ids)


def _entry_of(entity: AuditRecord) -> Entry:
    row = row_of(entity)
    same = ("action", "actor", "ip_address", "user_agent", "created_at")
    return Entry(**{name: row[name] for name in same}, details=row["metadata"] or {})
