"""Closing one's account: out everywhere at once, two weeks to come back, then erased (decision 30).

An erased user's row stays, without anything personal: its id is the pseudonym under which the audit keeps its integrity.
"""

from __future__ import annotations

import datetime
from dataclasses import asdict
from typing import Any

from sqlalchemy import delete, null, or_, select, update

from database.models import AuditRecord, metadata
from database.models import User as UserRow
from database.transaction import Transaction
from provider.accounts.alerts import Alert, Alerts
from provider.accounts.users import User, Users
from provider.audit import AuditEvent, AuditRecorder
from provider.protocol.messages import Origin
from provider.sign_in.user_ends import Ended, UserEnds

DAYS_TO_RETURN = datetime.timedelta(days=14)
TOLD_BEFORE = datetime.timedelta(days=1)
_USERS = UserRow.__table__
_AUDIT = AuditRecord.__table__
# What is in a record besides what happened and when: where from, and words that people chose.
_PERSONAL = (_AUDIT.c.ip_address, _AUDIT.c.user_agent, _AUDIT.c.metadata)


class AlreadyClosed(Exception):
    """The user cannot sign in anyway: closed before, disabled, or erased."""


class Closing:
    def __init__(self, users: Users, ends: UserEnds, alerts: Alerts, audit: AuditRecorder) -> None:
        self._users = users
        self._ends = ends
        self._alerts = alerts
        self._audit = audit

    def close(self, tx: Transaction, origin: Origin, user: User, *, actor: str | None = None) -> Ended:
        """Ends everything that the user was given, and begins the time to come back. A letter says so.

        Raises ``AlreadyClosed``, and ``LastAdministrator`` for whom nobody could replace.
        """
        if not self._users.mark_closed(tx, origin.now, user.id):
            raise AlreadyClosed
        ended = self._ends.end_all(tx, origin, user.id, reason="user_closed", actor=actor)
        self._record(tx, AuditEvent.USER_CLOSED, origin, user.id, actor, **asdict(ended))
        self._tell(tx, origin, user, Alert.ACCOUNT_CLOSED, origin.now + DAYS_TO_RETURN)
        return ended

    def reopen(self, tx: Transaction, origin: Origin, user_id: str, *, actor: str | None = None) -> bool:
        """The owner is back, or an operator brings them back. False when the account is not closed, or is erased.

        What has ended stays so: they sign in, allow and make keys anew.
        """
        if not self._users.mark_reopened(tx, origin.now, user_id):
            return False
        self._ends.end_all(tx, origin, user_id, reason="user_closed", actor=actor)  # what came about in the moment
        self._record(tx, AuditEvent.USER_REOPENED, origin, user_id, actor)
        return True

    def erase_now(self, tx: Transaction, origin: Origin, user: User, *, actor: str) -> None:
        """An operator's way, without the time to come back. Raises ``LastAdministrator``."""
        if self._users.mark_active(tx, origin.now, user.id, False):
            self._ends.end_all(tx, origin, user.id, reason="user_closed", actor=actor)
        over = origin.now - DAYS_TO_RETURN
        tx.execute(update(UserRow).where(_USERS.c.id == user.id).values(closed_at=over))
        while not self._cleaned(tx, user.id, 1000):
            pass
        self._erase(tx, origin, user.id, actor)

    def remind(self, tx: Transaction, now: datetime.datetime, limit: int = 1000) -> int:
        """Tells those whose account is erased within a day. Once each, whoever else sweeps."""
        due = (_USERS.c.closed_at <= now - DAYS_TO_RETURN + TOLD_BEFORE, _USERS.c.closing_told_at.is_(None))
        told = 0
        for user_id in tx.execute(select(_USERS.c.id).where(*due).limit(limit)).scalars().all():
            mine = update(UserRow).where(_USERS.c.id == user_id, *due)
            user = self._users.find(tx, user_id)
            if tx.execute(mine.values(closing_told_at=now)).rowcount != 1 or user is None or user.closed_at is None:
                continue  # somebody else has told them, or they are back
            self._tell(
                tx,
                Origin.of_server(now),
                user,
                Alert.ERASED_SOON,
                max(user.closed_at + DAYS_TO_RETURN, now + TOLD_BEFORE),
            )
            told += 1
        return told

    def purge(self, tx: Transaction, now: datetime.datetime, limit: int = 1000) -> int:
        """Erases those whose time to come back is over, and who were told so a day before.

        Their records first, ``limit`` at a time, then themselves.
        """
        over = (_USERS.c.closed_at <= now - DAYS_TO_RETURN, _USERS.c.closing_told_at <= now - TOLD_BEFORE)
        done = 0
        for user_id in tx.execute(select(_USERS.c.id).where(*over).limit(limit)).scalars().all():
            if not self._cleaned(tx, user_id, limit):
                return limit
            self._erase(tx, Origin.of_server(now), user_id, None)
            done += 1
        return done

    def _cleaned(self, tx: Transaction, user_id: str, limit: int) -> bool:
        """Takes what is personal out of the audit of one user. False while there is more."""
        is_personal = or_(*(column.is_not(None) for column in _PERSONAL))
        found = select(_AUDIT.c.id).where(_AUDIT.c.user_id == user_id, is_personal).limit(limit)
        ids = tx.execute(found).scalars().all()
        if ids:
            cleaned = update(AuditRecord).where(_AUDIT.c.id.in_(ids))
            tx.execute(cleaned.values({column: null() for column in _PERSONAL}))
        return len(ids) < limit

    def _erase(self, tx: Transaction, origin: Origin, user_id: str, actor: str | None) -> None:
        """Every row that belongs to the user goes, whichever table has them, and everything personal of their own row."""
        nobody = f"erased-{user_id}"
        empty = {column.name: None for column in _USERS.c if column.nullable}
        over = (_USERS.c.id == user_id, _USERS.c.closed_at <= origin.now - DAYS_TO_RETURN)
        values = {
            **empty,
            "username": nobody,
            "username_canonical": nobody,
            "email": f"{nobody}@erased.invalid",
            "email_canonical": f"{nobody}@erased.invalid",
            "is_verified": False,
            "is_admin": False,
            "two_factor_enabled": False,
            "erased_at": origin.now,
            "updated_at": origin.now,
        }
        if tx.execute(update(UserRow).where(*over).values(values)).rowcount != 1:
            return
        for table in metadata.sorted_tables[::-1]:
            for key in table.foreign_keys:
                if key.column is _USERS.c.id and table is not _AUDIT:
                    tx.execute(delete(table).where(key.parent == user_id))
        self._record(tx, AuditEvent.USER_ERASED, origin, user_id, actor)

    def _tell(self, tx: Transaction, origin: Origin, user: User, alert: Alert, until: datetime.datetime) -> None:
        said = {"until": until.isoformat(), "page": self._alerts.page("/login")}
        self._alerts.tell(tx, origin, user, alert, **said)

    def _record(
        self, tx: Transaction, event: AuditEvent, origin: Origin, user_id: str, actor: str | None, **details: Any
    ) -> None:
        self._audit.record(
            tx, event, origin, user_id=user_id, actor=actor, resource_type="users", resource_id=user_id, **details
        )
