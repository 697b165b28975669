"""Users: one canonical name and address each, found by either."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import bindparam, delete, false, func, insert, or_, select, true, update
from sqlalchemy.exc import IntegrityError

from database.models import User as UserRow
from database.models.columns import new_id
from database.prepared import Lookup, Prepared
from database.transaction import Transaction
from provider.accounts.administrators import LastAdministrator, active_administrators, enter_first_time
from provider.accounts.login_names import (
    InvalidName,
    canonical_email,
    canonical_username,
    is_address,
    login_forms,
    written_email,
    written_username,
)
from provider.accounts.look_alikes import look_alike_key
from provider.accounts.reserved_names import Kind, is_reserved, reserved_key
from provider.audit import AuditEvent, AuditRecorder
from provider.protocol.messages import Origin
from provider.protocol.text import is_name, one_line

_TABLE = UserRow.__table__
_FIND = Lookup(select(_TABLE), by=_TABLE.c.id)
_FIND_USERNAME = Prepared(select(_TABLE.c.id).where(_TABLE.c.username_canonical == bindparam("name")))
_SIGNED_IN = Prepared(update(UserRow).where(_TABLE.c.id == bindparam("user_id")).values(last_login_at=bindparam("now")))
_IS_TAKEN = select(_TABLE.c.id).where(
    or_(_TABLE.c.username_canonical == bindparam("name"), _TABLE.c.username_skeleton == bindparam("skeleton"))
)
_FIND_EMAIL = select(_TABLE.c.id, _TABLE.c.email, _TABLE.c.email_canonical).where(
    _TABLE.c.email_canonical.in_(bindparam("names", expanding=True))
)
_FIRST = select(func.min(_TABLE.c.id))
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
    """Another user has this user name, one that looks like it, or this address. ``field`` is ``username`` or ``email``."""

    def __init__(self, field_name: str) -> None:
        super().__init__(field_name)
        self.field = field_name


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
    theme: str | None
    closed_at: datetime.datetime | None
    second_factor_asked_at: datetime.datetime | None
    confirm_by: datetime.datetime | None
    password_reset_required: bool

    @property
    def is_unconfirmed(self) -> bool:
        """Whether its owner made this account and has yet to confirm the address: it opens no application before."""
        return self.confirm_by is not None

    @property
    def may_prove(self) -> bool:
        """Whether the password is listened to: to sign in, or to come back to an account that its owner has closed."""
        return self.is_active or self.closed_at is not None


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
        confirm_by: datetime.datetime | None = None,
        actor: str | None = None,
    ) -> User:
        """Inserts a user. Raises ``InvalidName``, ``NameTaken``.

        With ``confirm_by`` the address is not the user's before ``verify``: who owns it, or wants to, is kept from nothing.
        """
        if display_name is not None and not is_name(display_name := one_line(display_name), 255):
            raise InvalidName("display_name")
        user_id, address = new_id(origin.now), canonical_email(email)
        row = {
            "id": user_id,
            "username": written_username(username),
            "username_canonical": canonical_username(username),
            "username_skeleton": look_alike_key(username),
            "email": written_email(email),
            "email_canonical": address if confirm_by is None else user_id,
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
            "confirm_by": confirm_by,
            "password_reset_required": False,
            "second_factor_asked_at": None,
            "closed_at": None,
            "theme": None,
        }
        self._refuse_taken(tx, row)
        try:
            tx.execute(insert(UserRow), row)
        except IntegrityError:
            self._refuse_taken(tx, row)  # somebody else took the name in between
            raise
        self._refuse_reserved(tx, row)
        if is_admin:
            enter_first_time(tx, origin.now, user_id)
        self._record(tx, origin, AuditEvent.USER_CREATED, user_id, actor, is_admin=is_admin)
        return parse_user(row)

    def _refuse_taken(self, tx: Transaction, row: Mapping[str, Any]) -> None:
        """Raises ``NameTaken`` for the first of the row's names that belongs to somebody."""
        if self.is_username_taken(tx, row["username"]):
            raise NameTaken("username")
        if row["confirm_by"] is None and self.id_by_login(tx, row["email"]) is not None:
            raise NameTaken("email")

    def is_username_taken(self, tx: Transaction, username: str) -> bool:
        """Whether somebody has this user name or one that looks like it. Raises ``InvalidName``."""
        known = {"name": canonical_username(username), "skeleton": look_alike_key(username)}
        return tx.execute(_IS_TAKEN, known).first() is not None

    def _refuse_reserved(self, tx: Transaction, row: Mapping[str, Any]) -> None:
        """Raises ``NameTaken`` for a name that its former owner can have back still, and takes the new row away.

        Only now: a name whose owner gave it up a moment ago had to be waited for.
        """
        for kind in Kind:
            if is_reserved(tx, row["created_at"], kind, reserved_key(kind, row), row["id"]):
                tx.execute(delete(UserRow).where(_TABLE.c.id == row["id"]))
                raise NameTaken(kind.value)

    def find(self, tx: Transaction, user_id: str) -> User | None:
        row = tx.row(_FIND, {"id": user_id})
        return None if row is None else parse_user(row)

    def get(self, tx: Transaction, user_id: str) -> User:
        """The user of an id whose row is known to be there. Raises ``LookupError``."""
        user = self.find(tx, user_id)
        if user is None:
            raise LookupError(user_id)
        return user

    def find_by_login(self, tx: Transaction, text: str) -> User | None:
        """The user whom a person means by a user name or an e-mail address."""
        user_id = self.id_by_login(tx, text)
        return None if user_id is None else self.find(tx, user_id)

    def id_by_login(self, tx: Transaction, text: str) -> str | None:
        """The id of that user. Who must not show by their time whom they have found read another row where it is None."""
        forms = login_forms(text)
        if not is_address(text):
            row = tx.first(_FIND_USERNAME, {"name": forms[0] if forms else ""})
            found: str | None = None if row is None else row[0]
            return found
        rows = tx.execute(_FIND_EMAIL, {"names": forms}).all()
        # Of an earlier form more than one address can be made (straße.de, strasse.de): what was written decides.
        known = {row.email_canonical: row.id for row in rows if login_forms(row.email)[:1] == forms[:1]}
        return next((known[form] for form in forms if form in known), None)

    def first_id(self, tx: Transaction) -> str:
        """The id of the user who was there first, empty before there is one."""
        return tx.execute(_FIRST).scalar() or ""

    def list(self, tx: Transaction) -> list[User]:
        """All but those who are erased."""
        statement = select(_TABLE).where(_TABLE.c.erased_at.is_(None)).order_by(_TABLE.c.created_at)
        return [parse_user(row) for row in tx.execute(statement).mappings()]

    def is_empty(self, tx: Transaction) -> bool:
        return tx.execute(select(_TABLE.c.id).limit(1)).first() is None

    def mark_active(self, tx: Transaction, now: datetime.datetime, user_id: str, active: bool) -> bool:
        """The flag alone: ``UserEnds.set_active`` is what enables and disables. False when nothing changes.

        An account that its owner has closed is either from then on, and is not erased. Raises ``LastAdministrator``.
        """
        changes = (_TABLE.c.is_active != active) | _TABLE.c.closed_at.is_not(None)
        statement = update(UserRow).where(_TABLE.c.id == user_id, changes, _TABLE.c.erased_at.is_(None))
        if not active and active_administrators(tx) == {user_id}:
            raise LastAdministrator
        values = {"is_active": active, "closed_at": None, "closing_told_at": None, "updated_at": now}
        return tx.execute(statement.values(values)).rowcount == 1

    def mark_closed(self, tx: Transaction, now: datetime.datetime, user_id: str) -> bool:
        """The flags alone: ``Closing.close`` is what closes. False for who is not active. Raises ``LastAdministrator``."""
        if active_administrators(tx) == {user_id}:
            raise LastAdministrator
        statement = update(UserRow).where(_TABLE.c.id == user_id, _TABLE.c.is_active == true())
        values = {"is_active": False, "closed_at": now, "closing_told_at": None, "updated_at": now}
        return tx.execute(statement.values(values)).rowcount == 1

    def mark_reopened(self, tx: Transaction, now: datetime.datetime, user_id: str) -> bool:
        """The flags alone: ``Closing.reopen`` is what reopens. False for who has not closed their account, or is erased."""
        statement = update(UserRow).where(_TABLE.c.id == user_id, _TABLE.c.closed_at.is_not(None))
        values = {"is_active": True, "closed_at": None, "closing_told_at": None, "updated_at": now}
        return tx.execute(statement.values(values)).rowcount == 1

    def verify(self, tx: Transaction, origin: Origin, user_id: str, actor: str | None = None) -> bool:
        """Notes that the address is known to be the user's (``email_verified``). False when it was, or nobody has the id.

        An account that waited for it owns the address from now on. Raises ``NameTaken`` where another was quicker.
        """
        user = self.find(tx, user_id)
        if user is None or user.is_verified:
            return False
        values: dict[str, Any] = {"is_verified": True, "updated_at": origin.now}
        if user.is_unconfirmed:
            address = canonical_email(user.email)
            if self.id_by_login(tx, user.email) is not None or is_reserved(
                tx, origin.now, Kind.EMAIL, address, user_id
            ):
                raise NameTaken("email")
            values |= {"email_canonical": address, "confirm_by": None}
        statement = update(UserRow).where(
            _TABLE.c.id == user_id, _TABLE.c.is_verified == false(), _TABLE.c.email == user.email
        )
        try:
            if tx.execute(statement.values(values)).rowcount != 1:
                return False
        except IntegrityError:  # somebody else confirmed it in between
            raise NameTaken("email") from None
        self._record(tx, origin, AuditEvent.USER_VERIFIED, user_id, actor)
        return True

    def record_login(self, tx: Transaction, user_id: str, now: datetime.datetime) -> None:
        tx.count(_SIGNED_IN, {"user_id": user_id, "now": now})

    def ask_for_second_factor(self, tx: Transaction, user_id: str, now: datetime.datetime) -> None:
        """Notes when a user was first asked to set up a second factor."""
        first = update(UserRow).where(_TABLE.c.id == user_id, _TABLE.c.second_factor_asked_at.is_(None))
        tx.execute(first.values(second_factor_asked_at=now))

    def set_locale(self, tx: Transaction, now: datetime.datetime, user_id: str, locale: str) -> None:
        """The language that the user has chosen for our pages."""
        tx.execute(update(UserRow).where(_TABLE.c.id == user_id).values(locale=locale, updated_at=now))

    def set_time_zone(self, tx: Transaction, now: datetime.datetime, user_id: str, name: str | None) -> None:
        """The zone (``Asia/Seoul``) that the user wants to read times in, None for that of the browser."""
        tx.execute(update(UserRow).where(_TABLE.c.id == user_id).values(time_zone=name, updated_at=now))

    def set_theme(self, tx: Transaction, now: datetime.datetime, user_id: str, theme: str | None) -> None:
        """The colours that the user reads our pages in (``light``, ``dark``), None for those of the device."""
        tx.execute(update(UserRow).where(_TABLE.c.id == user_id).values(theme=theme, updated_at=now))

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
