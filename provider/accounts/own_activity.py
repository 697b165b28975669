"""One's own audit events, newest first, in pieces of a bounded size."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import select

from database.models import AuditRecord
from database.transaction import Transaction

_TABLE = AuditRecord.__table__
_SHOWN = ("id", "action", "outcome", "ip_address", "user_agent", "created_at")


@dataclass(frozen=True, slots=True)
class Activity:
    """What happened to somebody's account. What the record says besides is for operators."""

    id: str
    action: str
    outcome: str
    ip_address: str | None
    user_agent: str | None
    created_at: datetime.datetime


def activity_before(
    tx: Transaction, user_id: str, *, before: tuple[datetime.datetime, str] | None, limit: int
) -> Sequence[Activity]:
    """At most ``limit`` events, those before the event of this time and id, or the newest."""
    statement = select(*(_TABLE.c[name] for name in _SHOWN)).where(_TABLE.c.user_id == user_id)
    if before is not None:
        moment, last_id = before
        earlier = (_TABLE.c.created_at < moment) | ((_TABLE.c.created_at == moment) & (_TABLE.c.id < last_id))
        statement = statement.where(_TABLE.c.created_at <= moment, earlier)
    rows = tx.execute(statement.order_by(_TABLE.c.created_at.desc(), _TABLE.c.id.desc()).limit(limit)).mappings()
    return [Activity(**row) for row in rows]
