"""Archives of one's own data: asked for on a page, made in the background, encrypted, there for a week."""

from __future__ import annotations

import datetime
import json
import logging
import zlib
from dataclasses import dataclass

from sqlalchemy import delete, insert, select, update

from database.models import DataExport as ExportRow
from database.models import User as UserRow
from database.models.columns import new_id
from database.transaction import Transaction
from provider.accounts.letters import write_to
from provider.accounts.own_data import archive
from provider.accounts.users import Users
from provider.audit import AuditEvent, AuditRecorder
from provider.deliveries.mail import Mail
from provider.protocol.messages import Origin
from provider.sealed_values import SealedValues
from provider.security.crypto import DecryptionFailed
from provider.security.sealed_columns import DATA_EXPORT

log = logging.getLogger("mcp_core.exports")
KEPT = datetime.timedelta(days=7)
BETWEEN = datetime.timedelta(days=1)
# Who takes an archive on and dies leaves it to the others after this time; after so many attempts nobody tries again.
LEASE = datetime.timedelta(minutes=10)
MOST_ATTEMPTS = 5
MOST_AT_ONCE = 20
MOST_BYTES = 8_000_000
_TABLE = ExportRow.__table__
_USERS = UserRow.__table__


class AskedTooSoon(Exception):
    """There is one that is not a day old. ``until`` is when the next may be asked for."""

    def __init__(self, until: datetime.datetime) -> None:
        super().__init__(until.isoformat())
        self.until = until


@dataclass(frozen=True, slots=True)
class Export:
    """``made_at`` is None while it is being made, or for good once ``has_failed``. One that ``is_old`` may be replaced."""

    id: str
    created_at: datetime.datetime
    made_at: datetime.datetime | None
    expires_at: datetime.datetime
    has_failed: bool
    is_old: bool


class DataExports:
    """``page`` is the address of the page that has the archive."""

    def __init__(self, sealed: SealedValues, audit: AuditRecorder, users: Users, mail: Mail, *, page: str) -> None:
        self._sealed = sealed
        self._audit = audit
        self._users = users
        self._mail = mail
        self._page = page

    def ask(self, tx: Transaction, origin: Origin, user_id: str) -> None:
        """Asks for an archive. One a day, and one at a time: raises ``AskedTooSoon``."""
        tx.execute(update(UserRow).where(_USERS.c.id == user_id).values(id=_USERS.c.id))  # takes the person's turn
        newest = self.newest(tx, origin.now, user_id)
        if newest is not None and not newest.has_failed and not newest.is_old:
            raise AskedTooSoon(newest.created_at + BETWEEN)
        tx.execute(delete(ExportRow).where(_TABLE.c.user_id == user_id))
        row = {
            "id": new_id(origin.now),
            "user_id": user_id,
            "attempts": 0,
            "next_attempt_at": origin.now,
            "created_at": origin.now,
            "expires_at": origin.now + KEPT,
        }
        tx.execute(insert(ExportRow), row)
        self._audit.record(tx, AuditEvent.DATA_ASKED_FOR, origin, user_id=user_id, resource_type="data_exports")

    def newest(self, tx: Transaction, now: datetime.datetime, user_id: str) -> Export | None:
        """The archive of this person that there is, or that is being made."""
        statement = select(_TABLE).where(_TABLE.c.user_id == user_id, _TABLE.c.expires_at > now)
        row = tx.execute(statement.order_by(_TABLE.c.created_at.desc()).limit(1)).mappings().first()
        if row is None:
            return None
        has_failed = row["made_at"] is None and row["next_attempt_at"] is None
        is_old = row["made_at"] is not None and now >= row["created_at"] + BETWEEN
        return Export(row["id"], row["created_at"], row["made_at"], row["expires_at"], has_failed, is_old)

    def content(self, tx: Transaction, origin: Origin, user_id: str, export_id: str) -> bytes | None:
        """The archive as JSON, for its owner. None for another's, one that is over and one that is not made yet.

        Raises ``DecryptionFailed`` for one that does not open: it is as if it could not be made, and may be asked for again.
        """
        mine = (_TABLE.c.id == export_id, _TABLE.c.user_id == user_id, _TABLE.c.expires_at > origin.now)
        sealed = tx.execute(select(_TABLE.c.content_encrypted).where(*mine)).scalar()
        if sealed is None:
            return None
        try:
            opened = self._sealed.open(tx, origin, DATA_EXPORT, export_id, sealed, user_id=user_id, owner=user_id)
        except DecryptionFailed:
            tx.execute(update(ExportRow).where(*mine).values(made_at=None))
            raise
        self._audit.record(tx, AuditEvent.DATA_DOWNLOADED, origin, user_id=user_id, resource_type="data_exports")
        return zlib.decompress(opened)

    def make_due(self, tx: Transaction, now: datetime.datetime, limit: int = MOST_AT_ONCE) -> int:
        """Makes archives that were asked for, each in a transaction of its own. Returns how many.

        Each is taken on for a while first: whoever is killed in between leaves it to the next sweep.
        """
        made = 0
        while made < min(limit, MOST_AT_ONCE):
            due = select(_TABLE.c.id, _TABLE.c.user_id, _TABLE.c.attempts).where(_TABLE.c.next_attempt_at <= now)
            row = tx.execute(due.order_by(_TABLE.c.next_attempt_at).limit(1)).first()
            if row is None:
                break
            is_given_up = row.attempts >= MOST_ATTEMPTS
            mine = update(ExportRow).where(_TABLE.c.id == row.id, _TABLE.c.next_attempt_at <= now)
            lease = {"attempts": _TABLE.c.attempts + 1, "next_attempt_at": None if is_given_up else now + LEASE}
            is_mine = tx.execute(mine.values(lease)).rowcount == 1
            tx.commit()
            if is_given_up:
                log.error("an archive cannot be made [%s]", row.id)
            elif is_mine:
                self._make(tx, now, row.id, row.user_id)
                tx.commit()
                made += 1
        return made

    def purge(self, tx: Transaction, now: datetime.datetime, limit: int = 1000) -> int:
        """Deletes archives after a week."""
        ids = tx.execute(select(_TABLE.c.id).where(_TABLE.c.expires_at <= now).limit(limit)).scalars().all()
        if ids:
            tx.execute(delete(ExportRow).where(_TABLE.c.id.in_(ids)))
        return len(ids)

    def _make(self, tx: Transaction, now: datetime.datetime, export_id: str, user_id: str) -> None:
        user = self._users.find(tx, user_id)
        content = zlib.compress(json.dumps(archive(tx, now, user_id), ensure_ascii=False, indent=2).encode())
        is_open = (_TABLE.c.id == export_id, _TABLE.c.made_at.is_(None))
        if user is None or len(content) > MOST_BYTES:
            log.error("an archive is too large [%s]", export_id)
            tx.execute(update(ExportRow).where(*is_open).values(next_attempt_at=None))
            return
        sealed = self._sealed.seal(DATA_EXPORT, export_id, content, owner=user_id)
        values = {"content_encrypted": sealed, "made_at": now, "next_attempt_at": None, "expires_at": now + KEPT}
        if tx.execute(update(ExportRow).where(*is_open).values(values)).rowcount == 1:
            write_to(self._mail, tx, Origin.of_server(now), user, "data_ready", {"page": self._page})
