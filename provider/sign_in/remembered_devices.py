"""Browsers that are not asked for a code for thirty days. They are asked for the password, each time.

A browser keeps a random token, the row its keyed hash. The token works once: a sign-in with it gets the next one, so that
of a stolen copy and its owner one is asked for a code. What was remembered counts for the password that it was given with.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any

from sqlalchemy import ColumnElement, and_, delete, exists, insert, or_, select, update

from database.models import RememberedDevice as DeviceRow
from database.models import User as UserRow
from database.models.columns import new_id
from database.transaction import Transaction
from provider.accounts.users import User
from provider.audit import AuditEvent, AuditRecorder, printable
from provider.protocol.messages import Origin
from provider.security.crypto import Keyring, is_secret, new_secret
from provider.sign_in.devices import RememberedDevice
from provider.sign_in.sessions import device_hash

DAYS = 30
MOST = 20
_TABLE = DeviceRow.__table__
_USERS = UserRow.__table__
# The same moment, or never on both sides: SQL knows no equality of what is not there.
_IS_OF_THIS_PASSWORD = exists().where(
    _USERS.c.id == _TABLE.c.user_id,
    or_(
        _USERS.c.password_changed_at == _TABLE.c.password_changed_at,
        and_(_USERS.c.password_changed_at.is_(None), _TABLE.c.password_changed_at.is_(None)),
    ),
)


class RememberedDevices:
    def __init__(self, keyring: Keyring, audit: AuditRecorder) -> None:
        self._keyring = keyring
        self._audit = audit

    def cookie_of(self, user: User) -> str:
        """The name of the cookie that keeps the token. People who share a browser have one each."""
        return f"remembered_{self._keyring.keyed_hash('remembered cookie', user.id)[:12]}"

    def remember(self, tx: Transaction, origin: Origin, user: User, browser: str) -> str:
        """Has ``browser`` (the id in its cookie) remembered from now on. Returns the value of the cookie to keep.

        What it was remembered by before is void. Of more than ``MOST`` devices the ones used longest ago are forgotten.
        """
        known_as = device_hash(self._keyring, user.id, browser)
        self._delete(tx, _TABLE.c.user_id == user.id, _TABLE.c.device_hash == known_as)
        for surplus in self.list(tx, origin.now, user.id)[MOST - 1 :]:
            self._delete(tx, _TABLE.c.id == surplus.id)
        token = new_secret("remember")
        row = {
            "id": new_id(origin.now),
            "user_id": user.id,
            "token": self._hash(user.id, token),
            "device_hash": known_as,
            "password_changed_at": user.password_changed_at,
            "user_agent": printable(origin.user_agent, 512, ascii_only=False),
            "created_at": origin.now,
            "last_used_at": origin.now,
            "expires_at": origin.now + datetime.timedelta(days=DAYS),
        }
        tx.execute(insert(DeviceRow), row)
        self._record(tx, origin, AuditEvent.DEVICE_REMEMBERED, user.id, str(row["id"]))
        return token

    def use(self, tx: Transaction, origin: Origin, user: User, token: str, browser: str) -> str | None:
        """Takes a token in place of a code, after the right password. Returns the next one, None where a code is needed.

        The thirty days are not begun anew.
        """
        if not is_secret("remember", token):
            return None
        successor = new_secret("remember")
        claim = update(DeviceRow).where(
            _TABLE.c.token == self._hash(user.id, token),
            _TABLE.c.expires_at > origin.now,
            _IS_OF_THIS_PASSWORD,
        )
        values = {
            "token": self._hash(user.id, successor),
            "device_hash": device_hash(self._keyring, user.id, browser),
            "user_agent": printable(origin.user_agent, 512, ascii_only=False),
            "last_used_at": origin.now,
        }
        return successor if tx.execute(claim.values(**values)).rowcount == 1 else None

    def list(self, tx: Transaction, now: datetime.datetime, user_id: str) -> list[RememberedDevice]:
        """The devices of a user that a code is not asked for on, the one used last first."""
        statement = select(_TABLE).where(_TABLE.c.user_id == user_id, _TABLE.c.expires_at > now, _IS_OF_THIS_PASSWORD)
        statement = statement.order_by(_TABLE.c.last_used_at.desc(), _TABLE.c.id.desc())
        return [_parse(row) for row in tx.execute(statement).mappings()]

    def forget(self, tx: Transaction, origin: Origin, user_id: str, known_as: str) -> int:
        """Asks for a code again in one browser, by its ``device_hash``. Returns how many rows that were."""
        return self._forget(tx, origin, user_id, "user", _TABLE.c.device_hash == known_as)

    def forget_all(
        self, tx: Transaction, origin: Origin, user_id: str, reason: str, *, except_device: str | None = None
    ) -> int:
        """Asks for a code on all of a user's devices again, or on all but one. Returns how many were remembered."""
        which = [] if except_device is None else [_TABLE.c.device_hash != except_device]
        return self._forget(tx, origin, user_id, reason, *which)

    def purge(self, tx: Transaction, now: datetime.datetime, limit: int = 1000) -> int:
        ids = tx.execute(select(_TABLE.c.id).where(_TABLE.c.expires_at <= now).limit(limit)).scalars().all()
        return self._delete(tx, _TABLE.c.id.in_(ids)) if ids else 0

    def _forget(self, tx: Transaction, origin: Origin, user_id: str, reason: str, *which: ColumnElement[bool]) -> int:
        count = self._delete(tx, _TABLE.c.user_id == user_id, *which)
        if count:
            self._record(tx, origin, AuditEvent.DEVICES_FORGOTTEN, user_id, None, reason=reason, count=count)
        return count

    def _delete(self, tx: Transaction, *which: ColumnElement[bool]) -> int:
        return tx.execute(delete(DeviceRow).where(*which)).rowcount

    def _hash(self, user_id: str, token: str) -> str:
        return self._keyring.keyed_hash("remembered device", f"{user_id}|{token}")

    def _record(
        self, tx: Transaction, origin: Origin, event: AuditEvent, user_id: str, row_id: str | None, **details: Any
    ) -> None:
        self._audit.record(
            tx, event, origin, user_id=user_id, resource_type="remembered_devices", resource_id=row_id, **details
        )


def _parse(row: Mapping[Any, Any]) -> RememberedDevice:
    return RememberedDevice(**{name: row[name] for name in RememberedDevice.__slots__})
