"""What may be seen once: decided by a unique INSERT, so that two at the same moment can't both be first."""

from __future__ import annotations

import datetime

from sqlalchemy import bindparam, delete, insert, select
from sqlalchemy.exc import IntegrityError

from database.models import ReplayGuard as GuardRow
from database.prepared import Prepared
from database.transaction import Transaction
from provider.security.crypto import Keyring

_TABLE = GuardRow.__table__
_ADD = Prepared(
    insert(GuardRow).values({column.name: bindparam(column.name, type_=column.type) for column in _TABLE.c})
)


class ReplayGuard:
    def __init__(self, keyring: Keyring) -> None:
        self._keyring = keyring

    def claim(self, tx: Transaction, purpose: str, value: str, until: datetime.datetime) -> bool:
        """Whether ``value`` is seen for the first time. It is remembered at least ``until`` then."""
        row = {"value_hash": self._keyring.keyed_hash(f"replay {purpose}", value), "expires_at": until}
        try:
            tx.count(_ADD, row)
        except IntegrityError:
            return False
        tx.mark((_TABLE.c.value_hash, row["value_hash"]))
        return True

    def purge(self, tx: Transaction, now: datetime.datetime, limit: int = 1000) -> int:
        over = select(_TABLE.c.value_hash).where(_TABLE.c.expires_at <= now).limit(limit)
        hashes = tx.execute(over).scalars().all()
        if hashes:
            tx.execute(delete(GuardRow).where(_TABLE.c.value_hash.in_(hashes)))
        return len(hashes)
