"""The look of user names from before there was a column for it: filled in while the server runs, which SQL could not do."""

from __future__ import annotations

import datetime

from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError

from database.models import User as UserRow
from database.transaction import Transaction
from provider.accounts.look_alikes import look_alike_key

_TABLE = UserRow.__table__


class UsernameSkeletons:
    def fill(self, tx: Transaction, _now: datetime.datetime, limit: int = 1000) -> int:
        """Notes what the names of ``limit`` users look like, the oldest first. Returns how many there were.

        Of two from before that look alike both stay: the newer one stands in nobody's way from then on.
        """
        has_none = (_TABLE.c.username_skeleton.is_(None), _TABLE.c.erased_at.is_(None))
        unknown = select(_TABLE.c.id, _TABLE.c.username).where(*has_none)
        rows = tx.execute(unknown.order_by(_TABLE.c.created_at).limit(limit)).all()
        for row in rows:
            mine = update(UserRow).where(_TABLE.c.id == row.id, _TABLE.c.username == row.username)
            try:
                tx.execute(mine.values(username_skeleton=look_alike_key(row.username)))
            except IntegrityError:
                tx.execute(mine.values(username_skeleton=row.id))
        return len(rows)
