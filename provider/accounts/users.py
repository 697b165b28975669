"""Users: one canonical name and address each, found by either."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import bindparam, false, func, insert, select, true, update
from sqlalchemy.exc import IntegrityError

from database.models import User as UserRow
from database.models.columns import new_id
from database.transaction import Transaction
from provider.accounts.login_names import (
    InvalidName,
    canonical_email,
    canonical_username,
    is_address,
    login_forms,
    written_email,
    written_username,
)
from provider.audit import AuditEvent, AuditRecorder
from provider.protocol.messages import Origin
from provider.protocol.text import is_name, one_line

_TABLE = UserRow.__table__
_FIND = select(_TABLE).where(_TABLE.c.id == bindparam("user_id"))
_FIND_USERNAME = select(_TABLE).where(_TABLE.c.username_canonical == bindparam("name"))
_FIND_EMAIL = select(_TABLE).where(_TABLE.c.email_canonical.in_(bindparam("names", expanding=True)))
# Behind the parameters stand "$", 16 bytes of salt, "$" and a hash of 32 bytes.
_PARAMETERS = func.substr(_TABLE.c.password_hash, 1, func.length(_TABLE.c.password_hash) - 67).label("parameters")
_COUNT_PARAMETERS = (
    select(_PARAMETERS, func.count().label("users"))
    .where(_TABLE.c.password_hash.like("$argon2id$%"))
    .group_by(_PARAMETERS)
    .order_by(func.count().desc())
    .limit(100)
)


class NameTaken(Exception):
    """Another user has this user name or e-mail address. ``field`` is ``username`` or ``email``."""

    def __init__(self, field_name: str) -> None:
        super().__init__(field_name)
        self.field = field_name


class LastAdministrator(Exception):
    """The last active administrator cannot be disabled."""


@dataclass(frozen=True, slots=True)
class User:
    id: str
    username: str
    email: str
    display_name: str | None
    locale: str | None
    is_active: bool
    is_verified: bool
    is_admin: bool
    two_factor_enabled: bool
    api_key: str | None
    password_hash: str | None = field(repr=False)
    password_changed_at: datetime.datetime | None
    last_login_at: datetime.datetime | None
    created_at: datetime.datetime
    updated_at: datetime.datetime
    time_zone: str | None


class Users:
    def __init__(self, audit: AuditRecorder) -> None:
        self._audit = audit

    def create(
        self,
        tx: Transaction,
        origin: Origin,
        *,
        username: str,
        email: str,
        password_hash: str | None,
        is_admin: bool = False,
        is_verified: bool = False,
        display_name: str | None = None,
        locale: str | None = None,
        actor: str | None = None,
    ) -> User:
        """Inserts a user. Raises ``InvalidName``, ``NameTaken``."""
        if display_name is not None and not is_name(display_name := one_line(display_name), 255):
            raise InvalidName("display_name")
        row = {
            "id": new_id(origin.now),
            "username": written_username(username),
            "username_canonical": canonical_username(username),
            "email": written_email(email),
            "email_canonical": canonical_email(email),
            "password_hash": password_hash,
            "display_name": display_name,
            "locale": locale,
            "is_active": True,
            "is_verified": is_verified,
            "is_admin": is_admin,
            "two_factor_enabled": False,
            "api_key": None,
            "last_login_at": None,
            "password_changed_at": origin.now if password_hash else None,
            "created_at": origin.now,
            "updated_at": origin.now,
            "time_zone": None,
        }
        self._refuse_taken(tx, row)
        try:
            tx.execute(insert(UserRow), row)
        except IntegrityError:
            self._refuse_taken(tx, row)  # somebody else took the name in between
            raise
        self._record(tx, origin, AuditEvent.USER_CREATED, str(row["id"]), actor, is_admin=is_admin)
        return parse_user(row)

    def _refuse_taken(self, tx: Transaction, row: Mapping[str, Any]) -> None:
        """Raises ``NameTaken`` for the first of the row's names that belongs to somebody."""
        for name in ("username", "email"):
            if self.find_by_login(tx, row[name]) is not None:
                raise NameTaken(name)

    def find(self, tx: Transaction, user_id: str) -> User | None:
        row = tx.execute(_FIND, {"user_id": user_id}).mappings().first()
        return None if row is None else parse_user(row)

    def find_by_login(self, tx: Transaction, text: str) -> User | None:
        """The user whom a person means by a user name or an e-mail address."""
        forms = login_forms(text)
        if not is_address(text):
            row = tx.execute(_FIND_USERNAME, {"name": forms[0]}).mappings().first() if forms else None
            return None if row is None else parse_user(row)
        rows = tx.execute(_FIND_EMAIL, {"names": forms}).mappings().all()
        # Of an earlier form more than one address can be made (straße.de, strasse.de): what was written decides.
        known = {row["email_canonical"]: row for row in rows if login_forms(row["email"])[:1] == forms[:1]}
        return next((parse_user(known[form]) for form in forms if form in known), None)

    def list(self, tx: Transaction) -> list[User]:
        return [parse_user(row) for row in tx.execute(select(_TABLE).order_by(_TABLE.c.created_at)).mappings()]

    def is_empty(self, tx: Transaction) -> bool:
        return tx.execute(select(_TABLE.c.id).limit(1)).first() is None

    def mark_active(self, tx: Transaction, now: datetime.datetime, user_id: str, active: bool) -> bool:
        """The flag alone: ``UserEnds.set_active`` is what enables and disables. False when nothing changes.

        Raises ``LastAdministrator``.
        """
        statement = update(UserRow).where(_TABLE.c.id == user_id, _TABLE.c.is_active != active)
        if not active and self._active_administrators(tx) == {user_id}:
            raise LastAdministrator
        return tx.execute(statement.values(is_active=active, updated_at=now)).rowcount == 1

    def verify(self, tx: Transaction, origin: Origin, user_id: str, actor: str | None = None) -> bool:
        """Notes that the address is known to be the user's (``email_verified``). False when it was, or nobody has the id."""
        statement = update(UserRow).where(_TABLE.c.id == user_id, _TABLE.c.is_verified == false())
        if tx.execute(statement.values(is_verified=True, updated_at=origin.now)).rowcount != 1:
            return False
        self._record(tx, origin, AuditEvent.USER_VERIFIED, user_id, actor)
        return True

    def _active_administrators(self, tx: Transaction) -> set[str]:
        """Their ids. Nobody else can change them until the transaction ends: two can't disable each other at once."""
        which = (_TABLE.c.is_admin == true(), _TABLE.c.is_active == true())
        tx.execute(update(UserRow).where(*which).values(is_admin=true()))
        return set(tx.execute(select(_TABLE.c.id).where(*which)).scalars())

    def record_login(self, tx: Transaction, user_id: str, now: datetime.datetime) -> None:
        tx.execute(update(UserRow).where(_TABLE.c.id == user_id).values(last_login_at=now))

    def set_locale(self, tx: Transaction, now: datetime.datetime, user_id: str, locale: str) -> None:
        """The language that the user has chosen for our pages."""
        tx.execute(update(UserRow).where(_TABLE.c.id == user_id).values(locale=locale, updated_at=now))

    def set_time_zone(self, tx: Transaction, now: datetime.datetime, user_id: str, name: str | None) -> None:
        """The zone (``Asia/Seoul``) that the user wants to read times in, None for that of the browser."""
        tx.execute(update(UserRow).where(_TABLE.c.id == user_id).values(time_zone=name, updated_at=now))

    def renew_password_hash(self, tx: Transaction, user: User, password_hash: str) -> None:
        """Stores the same password under newer hash parameters, unless it has been changed since ``user`` was read."""
        unchanged = (_TABLE.c.id == user.id, _TABLE.c.password_hash == user.password_hash)
        tx.execute(update(UserRow).where(*unchanged).values(password_hash=password_hash))

    def count_hash_parameters(self, tx: Transaction) -> dict[str, int]:
        """How many stored hashes there are of each cost: ``$argon2id$v=19$m=19456,t=2,p=1``. Reads the whole table."""
        return {row.parameters: row.users for row in tx.execute(_COUNT_PARAMETERS)}

    def _record(
        self, tx: Transaction, origin: Origin, event: AuditEvent, user_id: str, actor: str | None, **details: Any
    ) -> None:
        self._audit.record(
            tx, event, origin, user_id=user_id, actor=actor, resource_type="users", resource_id=user_id, **details
        )


def parse_user(row: Mapping[Any, Any], prefix: str = "") -> User:
    """A ``User`` from a row whose columns have ``prefix`` before their names."""
    return User(**{name: row[prefix + name] for name in User.__slots__})
