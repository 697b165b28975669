"""Links that are sent by mail: each works once, for a while, and only a POST uses it.

A scanner of a mailbox opens every link that it finds, so that a page shows what the link would do, and a button does it.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Table, delete, insert, select, update

from database.models.columns import new_id
from database.transaction import Transaction
from provider.protocol.messages import Origin
from provider.security.crypto import Keyring, SecretKind, is_secret, new_secret

# Who asks twice within it is written to once: a second click, and somebody who is impatient.
PAUSE = datetime.timedelta(minutes=1)


class LinkOver(Exception):
    """The link is unknown, was used, was voided, or its time is over: nobody is told which."""


class MailedLinks:
    """The links of one table with the columns ``id``, ``user_id``, ``token``, ``created_at`` and ``expires_at``.

    ``used`` names the column of the moment of use. ``kind`` is the kind of secret that the link ends with.
    """

    def __init__(self, keyring: Keyring, table: Table, kind: SecretKind, seconds: int, used: str = "used_at") -> None:
        self._keyring = keyring
        self._table = table
        self._kind = kind
        self._seconds = seconds
        self._used = table.c[used]

    def issue(self, tx: Transaction, origin: Origin, user_id: str | None, **columns: Any) -> str:
        """The secret of a new link. ``columns`` are further ones of the row. Earlier links go on working: ``void``."""
        token = new_secret(self._kind)
        row = {
            "id": new_id(origin.now),
            "user_id": user_id,
            "token": self._hash(token),
            "created_at": origin.now,
            "expires_at": origin.now + datetime.timedelta(seconds=self._seconds),
            **columns,
        }
        tx.execute(insert(self._table), row)
        return token

    def find(self, tx: Transaction, now: datetime.datetime, token: str) -> Mapping[str, Any] | None:
        """The row of a link that works, None if it does not. Changes nothing."""
        if not is_secret(self._kind, token):
            return None
        statement = select(self._table).where(self._table.c.token == self._hash(token), *self._living(now))
        row = tx.execute(statement).mappings().first()
        return None if row is None else dict(row)

    def use(self, tx: Transaction, now: datetime.datetime, token: str) -> Mapping[str, Any]:
        """The row of a link, which works no more from now on. Raises ``LinkOver``."""
        row = self.find(tx, now, token)
        if row is None:
            raise LinkOver
        mine = update(self._table).where(self._table.c.id == row["id"], *self._living(now))
        if tx.execute(mine.values({self._used: now})).rowcount != 1:
            raise LinkOver
        tx.mark((self._table.c.id, row["id"]))
        return row

    def issued_just_now(self, tx: Transaction, now: datetime.datetime, user_id: str, **columns: Any) -> bool:
        """Whether a user has a link, of these further ``columns``, that is younger than ``PAUSE`` and not used or voided."""
        mine = [self._table.c[name] == value for name, value in {"user_id": user_id, **columns}.items()]
        fresh = (self._used.is_(None), self._table.c.created_at > now - PAUSE)
        return tx.execute(select(self._table.c.id).where(*mine, *fresh).limit(1)).first() is not None

    def void(self, tx: Transaction, now: datetime.datetime, user_id: str) -> int:
        """Ends every link of a user that still works. Returns how many."""
        mine = update(self._table).where(self._table.c.user_id == user_id, *self._living(now))
        return tx.execute(mine.values({self._used: now})).rowcount

    def purge(self, tx: Transaction, now: datetime.datetime, limit: int = 1000) -> int:
        over = select(self._table.c.id).where(self._table.c.expires_at <= now).limit(limit)
        keys = tx.execute(over).scalars().all()
        if keys:
            tx.execute(delete(self._table).where(self._table.c.id.in_(keys)))
        return len(keys)

    def _living(self, now: datetime.datetime) -> tuple[Any, ...]:
        return (self._used.is_(None), self._table.c.expires_at > now)

    def _hash(self, token: str) -> str:
        return self._keyring.keyed_hash(f"mailed link {self._table.name}", token)
