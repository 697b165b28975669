"""Applications that registered themselves, or whose document was read, and that nobody used: they go again.

Anybody can have as many made as their networks may. Nobody is kept out for that: the oldest make room.
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from functools import partial
from typing import Any

from sqlalchemy import ColumnElement, delete, exists, false, select, true

from database.models import AuthorizationRequest, GrantRecord
from database.models import Client as ClientRow
from database.transaction import Transaction
from provider.clients.registry import Clients

KINDS = ("dynamic", "metadata_document")
# Of each kind the newest so many stay beyond that age. The second rule is for a flood that fills an hour.
MOST_UNUSED = ((2_000, datetime.timedelta(hours=1)), (20_000, datetime.timedelta(minutes=5)))
_TABLE = ClientRow.__table__
_GRANTS = GrantRecord.__table__
_REQUESTS = AuthorizationRequest.__table__
# One that an operator disabled stays, or its metadata document would make it anew; so does one that somebody is just about
# to allow.
_IS_UNUSED: Sequence[ColumnElement[bool]] = (
    _TABLE.c.last_used_at.is_(None),
    _TABLE.c.is_vouched == false(),
    _TABLE.c.is_active == true(),
    _TABLE.c.revoked_at.is_(None),
    ~exists().where(_GRANTS.c.client_id == _TABLE.c.id),
    ~exists().where(_REQUESTS.c.client_id == _TABLE.c.id),
)


class UnusedClients:
    def __init__(self, clients: Clients, *, days: int) -> None:
        self._clients = clients
        self._kept = datetime.timedelta(days=days)

    def purge(self, tx: Transaction, now: datetime.datetime, limit: int = 1000) -> int:
        """Deletes those that never got a token nor were allowed anything in the days that the settings give them."""
        deleted = 0
        for kind in KINDS:
            old = select(_TABLE.c.id, _TABLE.c.client_id).where(
                _TABLE.c.kind == kind, *_IS_UNUSED, _TABLE.c.created_at <= now - self._kept
            )
            deleted += self._delete(tx, old.limit(limit - deleted))
        return deleted

    def purge_surplus(self, tx: Transaction, now: datetime.datetime, limit: int = 1000) -> int:
        """Deletes the oldest of them where there are more than ``MOST_UNUSED``."""
        deleted = 0
        for kind in KINDS:
            for most, age in MOST_UNUSED:
                newest_first = (
                    select(_TABLE.c.id, _TABLE.c.client_id)
                    .where(_TABLE.c.kind == kind, *_IS_UNUSED, _TABLE.c.created_at <= now - age)
                    .order_by(_TABLE.c.created_at.desc())
                )
                deleted += self._delete(tx, newest_first.limit(limit - deleted).offset(most))
        return deleted

    def _delete(self, tx: Transaction, which: Any) -> int:
        rows = tx.execute(which).all()
        if not rows:
            return 0
        for row in rows:
            tx.on_commit(partial(self._clients.invalidate, row.client_id))
        found = _TABLE.c.id.in_([row.id for row in rows])
        return tx.execute(delete(ClientRow).where(found, *_IS_UNUSED)).rowcount  # somebody may use one this moment
