"""The one-time link to the first account. It works only while there is no user at all."""

from __future__ import annotations

import datetime

from sqlalchemy import bindparam, delete, insert, select, update

from database.models import SetupLink
from database.transaction import Transaction
from provider.accounts.users import Users
from provider.audit import AuditEvent, AuditRecorder
from provider.protocol.messages import Origin
from provider.security.crypto import Keyring, is_secret, new_secret

_TABLE = SetupLink.__table__
_FIND = select(_TABLE.c.token_hash).where(
    _TABLE.c.token_hash == bindparam("token_hash"), _TABLE.c.used_at.is_(None), _TABLE.c.expires_at > bindparam("now")
)


class AlreadySetUp(Exception):
    """There is a user already; more are made by an administrator."""


class SetupLinks:
    def __init__(self, keyring: Keyring, audit: AuditRecorder, users: Users, seconds: int) -> None:
        self._keyring = keyring
        self._audit = audit
        self._users = users
        self._life = datetime.timedelta(seconds=seconds)

    def create(self, tx: Transaction, now: datetime.datetime) -> tuple[str, datetime.datetime]:
        """A new link's token and when it expires. Links from before stop working. Raises ``AlreadySetUp``."""
        if not self._users.is_empty(tx):
            raise AlreadySetUp
        token = new_secret("setup")
        tx.execute(update(SetupLink).where(_TABLE.c.used_at.is_(None)).values(used_at=now))
        row = {"token_hash": self._hash(token), "created_at": now, "expires_at": now + self._life}
        tx.execute(insert(SetupLink), row)
        return token, now + self._life

    def find(self, tx: Transaction, now: datetime.datetime, token: str) -> bool:
        """Whether the link would work now. Uses nothing up."""
        if not is_secret("setup", token) or not self._users.is_empty(tx):
            return False
        return tx.execute(_FIND, {"token_hash": self._hash(token), "now": now}).first() is not None

    def claim(self, tx: Transaction, origin: Origin, token: str) -> bool:
        """Uses the link up. True for exactly one caller, and only while there is no user."""
        if not self.find(tx, origin.now, token):
            return False
        unused = update(SetupLink).where(_TABLE.c.used_at.is_(None)).values(used_at=origin.now)
        if tx.execute(unused.where(_TABLE.c.token_hash == self._hash(token))).rowcount != 1:
            return False
        tx.execute(unused)  # servers that started together made one each: a claim of another one has to wait for ours
        self._audit.record(tx, AuditEvent.SETUP_COMPLETED, origin, resource_type="setup_links")
        return True

    def purge(self, tx: Transaction, now: datetime.datetime, limit: int = 1000) -> int:
        """Deletes links that were used or have expired."""
        over = (
            select(_TABLE.c.token_hash).where(_TABLE.c.used_at.is_not(None) | (_TABLE.c.expires_at <= now)).limit(limit)
        )
        hashes = tx.execute(over).scalars().all()
        if hashes:
            tx.execute(delete(SetupLink).where(_TABLE.c.token_hash.in_(hashes)))
        return len(hashes)

    def _hash(self, token: str) -> str:
        return self._keyring.keyed_hash("setup link", token)
