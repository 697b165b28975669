"""Another user name or e-mail address for somebody who has one: the one statement that changes it, and what is kept back."""

from __future__ import annotations

import datetime
from typing import Any

from sqlalchemy import select, true, update
from sqlalchemy.exc import IntegrityError

from database.models import User as UserRow
from database.transaction import Transaction
from provider.accounts.alerts import Alert, Alerts
from provider.accounts.login_names import canonical_email, canonical_username, written_email, written_username
from provider.accounts.look_alikes import look_alike_key
from provider.accounts.reserved_names import Kind, is_reserved, last_given_up, reserve, reserved_key
from provider.accounts.users import NameTaken, User, Users
from provider.audit import AuditEvent, AuditRecorder
from provider.protocol.messages import Origin

USERNAME_RESERVED_DAYS = 90
# No longer than an address can be brought back.
EMAIL_RESERVED_DAYS = 7
BETWEEN_USERNAMES = datetime.timedelta(days=30)
_TABLE = UserRow.__table__


class TooSoon(Exception):
    """The user name was changed a short while ago. ``until`` is when it can be changed again."""

    def __init__(self, until: datetime.datetime) -> None:
        super().__init__(until.isoformat())
        self.until = until


class NameIsAnother(Exception):
    """The name was changed, or the user disabled, since the caller looked. Nothing was done."""


class Renaming:
    """Knows nothing of who may ask for it, and ends nothing: that is for those above."""

    def __init__(self, users: Users, alerts: Alerts, audit: AuditRecorder) -> None:
        self._users = users
        self._alerts = alerts
        self._audit = audit

    def next_username_at(self, tx: Transaction, user_id: str) -> datetime.datetime | None:
        """When the user name can be changed again, None if it never was, as far as that is remembered."""
        last = last_given_up(tx, user_id, Kind.USERNAME)
        return None if last is None else last + BETWEEN_USERNAMES

    def rename(self, tx: Transaction, origin: Origin, user: User, username: str) -> None:
        """Gives ``user`` another user name; nobody else can take the old one for 90 days.

        The same name in another spelling is no other one, and can be had at any time. Raises ``InvalidName``,
        ``NameTaken``, ``TooSoon``, ``NameIsAnother``.
        """
        canonical, old = canonical_username(username), canonical_username(user.username)
        if written_username(username) == user.username:
            return
        if canonical != old:
            until = self.next_username_at(tx, user.id)
            if until is not None and origin.now < until:
                raise TooSoon(until)
        values = {
            "username": written_username(username),
            "username_canonical": canonical,
            "username_skeleton": look_alike_key(username),
        }
        self._change(tx, origin, user, Kind.USERNAME, values)
        if values["username_skeleton"] != look_alike_key(user.username):
            key = look_alike_key(user.username)
            reserve(tx, origin.now, Kind.USERNAME, key, user.id, days=USERNAME_RESERVED_DAYS)
        self._audit.record(
            tx,
            AuditEvent.USERNAME_CHANGED,
            origin,
            user_id=user.id,
            resource_type="users",
            resource_id=user.id,
            old=user.username,
            new=values["username"],
        )
        self._alerts.tell(tx, origin, user, Alert.USERNAME_CHANGED, old=user.username, new=values["username"])

    def readdress(self, tx: Transaction, origin: Origin, user: User, email: str) -> None:
        """Gives ``user`` another address, which is known to be theirs; nobody else can take the old one for 7 days.

        Unless nobody knows whose the old one was. Raises ``InvalidName``, ``NameTaken``, ``NameIsAnother``.
        """
        canonical, old = canonical_email(email), canonical_email(user.email)
        address = {"email": written_email(email), "email_canonical": canonical}
        self._change(tx, origin, user, Kind.EMAIL, {**address, "is_verified": True, "confirm_by": None})
        if user.is_verified and canonical != old:
            reserve(tx, origin.now, Kind.EMAIL, old, user.id, days=EMAIL_RESERVED_DAYS)

    def _change(self, tx: Transaction, origin: Origin, user: User, kind: Kind, values: dict[str, Any]) -> None:
        """Raises ``NameTaken`` also for a name that somebody takes, or gives up, at this very moment."""
        holder = self._users.find_by_login(tx, values[kind.value])
        if holder is not None and holder.id != user.id:
            raise NameTaken(kind.value)
        this = select(*(_TABLE.c[name] for name in values)).where(_TABLE.c.id == user.id)
        before = tx.execute(this).mappings().first()
        mine = update(UserRow).where(
            _TABLE.c.id == user.id, _TABLE.c[kind.value] == getattr(user, kind.value), _TABLE.c.is_active == true()
        )
        try:
            changed = tx.execute(mine.values(**values, updated_at=origin.now)).rowcount
        except IntegrityError:
            raise NameTaken(kind.value) from None
        if changed != 1 or before is None:
            raise NameIsAnother
        # Only now: a name whose owner gave it up a moment ago had to be waited for.
        if is_reserved(tx, origin.now, kind, reserved_key(kind, values), user.id):
            tx.execute(update(UserRow).where(_TABLE.c.id == user.id).values(dict(before)))
            raise NameTaken(kind.value)
