"""Letters about API keys that are about to expire: 14 and 3 days before, once each, by one server of several."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any

from sqlalchemy import and_, or_, select, true, update

from database.models import Client as ClientRow
from database.models import User as UserRow
from database.transaction import Transaction
from provider.accounts.api_keys import KIND
from provider.deliveries.mail import Mail
from provider.protocol.messages import Origin

EARLY_DAYS, LATE_DAYS = 14, 3
LETTER = "key_expires"
_CLIENTS = ClientRow.__table__
_USERS = UserRow.__table__
_COLUMNS = (
    *(_CLIENTS.c.id, _CLIENTS.c.client_id, _CLIENTS.c.name, _CLIENTS.c.created_at, _CLIENTS.c.expires_at),
    *(_CLIENTS.c.expiry_told, _CLIENTS.c.owner_user_id),
    *(_USERS.c.username, _USERS.c.email, _USERS.c.locale),
)


class KeyExpiry:
    def __init__(self, mail: Mail, site: str) -> None:
        """``site`` is scheme and authority of our pages, for the link to the key."""
        self._mail = mail
        self._site = site

    def tell(self, tx: Transaction, now: datetime.datetime, limit: int = 1000) -> int:
        """Writes what is due now, of at most so many keys, and returns of how many it was noted.

        A key that was made for less than that many days is its owner's own doing, and nothing is written about it.
        """
        early, late = (now + datetime.timedelta(days=days) for days in (EARLY_DAYS, LATE_DAYS))
        is_due = or_(
            _CLIENTS.c.expiry_told.is_(None),
            and_(_CLIENTS.c.expiry_told > LATE_DAYS, _CLIENTS.c.expires_at <= late),
        )
        due = (
            select(*_COLUMNS)
            .join(_USERS, _USERS.c.id == _CLIENTS.c.owner_user_id)
            .where(
                _CLIENTS.c.expires_at > now,
                _CLIENTS.c.expires_at <= early,
                _CLIENTS.c.kind == KIND,
                _CLIENTS.c.is_active == true(),
                _CLIENTS.c.revoked_at.is_(None),
                _USERS.c.is_active == true(),
                is_due,
            )
            .order_by(_CLIENTS.c.expires_at)
            .limit(limit)
        )
        rows = tx.execute(due).mappings().all()
        for row in rows:
            self._tell(tx, now, row, LATE_DAYS if row["expires_at"] <= late else EARLY_DAYS)
        return len(rows)

    def _tell(self, tx: Transaction, now: datetime.datetime, row: Mapping[Any, Any], days: int) -> None:
        told = row["expiry_told"]
        as_read = _CLIENTS.c.expiry_told.is_(None) if told is None else _CLIENTS.c.expiry_told == told
        noted = update(ClientRow).where(_CLIENTS.c.id == row["id"], as_read).values(expiry_told=days)
        if tx.execute(noted).rowcount != 1:
            return  # another server has
        if row["expires_at"] - row["created_at"] <= datetime.timedelta(days=days):
            return
        self._mail.post(
            tx,
            Origin.of_server(now),
            to=row["email"],
            letter=LETTER,
            language=row["locale"],
            values={
                "username": row["username"],
                "key": row["name"],
                "expires_at": row["expires_at"].isoformat(),
                "link": f"{self._site}/account/api-keys/{row['client_id']}",
            },
            user_id=row["owner_user_id"],
        )
