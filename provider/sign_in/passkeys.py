"""The passkeys that people have: kept, named, counted, removed."""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import and_, bindparam, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from database.models import Passkey as PasskeyRow
from database.models import User as UserRow
from database.models.columns import new_id
from database.transaction import Transaction
from provider.accounts.alerts import Alert, Alerts
from provider.accounts.users import User
from provider.audit import AuditEvent, AuditRecorder
from provider.protocol.messages import Origin
from provider.protocol.text import is_name, one_line
from provider.security.crypto import Keyring
from provider.sign_in.passkey_ceremonies import Assertion, NewPasskey, encoded
from provider.sign_in.remembered_devices import RememberedDevices

MAX_NAME = 64
MAX_PASSKEYS = 20
_TABLE = PasskeyRow.__table__
_USERS = UserRow.__table__
_FIND = select(_TABLE).where(_TABLE.c.credential_hash == bindparam("credential_hash"))
# A counter goes up, or the authenticator has none and always says 0 (Web Authentication Level 3 §6.1.1).
_GOES_ON = (_TABLE.c.sign_count < bindparam("new_count")) | (
    and_(_TABLE.c.sign_count == 0, bindparam("new_count") == 0)
)
_USE = (
    update(PasskeyRow)
    .where(_TABLE.c.id == bindparam("row_id"), _GOES_ON)
    .values(sign_count=bindparam("new_count"), backed_up=bindparam("is_backed_up"), last_used_at=bindparam("moment"))
)


class InvalidPasskeyName(ValueError):
    """A name has 1 to 64 characters that can be seen."""


class TooManyPasskeys(Exception):
    """The account has as many as there can be."""


class PasskeyTaken(Exception):
    """This credential belongs to an account already."""


class LastPasskey(Exception):
    """The account has no other way in, or needs a second factor and has no other."""


@dataclass(frozen=True, slots=True)
class Passkey:
    """``backup_eligible``: its maker may keep it on several devices; ``suspected_at``: when its counter went back."""

    id: str
    user_id: str
    credential_id: str
    public_key: str
    user_handle: str
    sign_count: int
    aaguid: str
    backup_eligible: bool
    backed_up: bool
    transports: tuple[str, ...]
    name: str
    created_at: datetime.datetime
    last_used_at: datetime.datetime | None
    suspected_at: datetime.datetime | None

    @property
    def amr(self) -> tuple[str, ...]:
        """What an answer of it proves (RFC 8176 §2): a key that may leave its hardware is one in software."""
        return ("swk" if self.backup_eligible else "hwk", "user")


class Passkeys:
    def __init__(self, keyring: Keyring, audit: AuditRecorder, alerts: Alerts, remembered: RememberedDevices) -> None:
        self._keyring = keyring
        self._audit = audit
        self._alerts = alerts
        self._remembered = remembered

    def list(self, tx: Transaction, user_id: str) -> list[Passkey]:
        """A user's passkeys, the first one first. There are at most ``MAX_PASSKEYS``."""
        statement = select(_TABLE).where(_TABLE.c.user_id == user_id).order_by(_TABLE.c.created_at, _TABLE.c.id)
        return [_parse(row) for row in tx.execute(statement).mappings()]

    def count(self, tx: Transaction, user_id: str) -> int:
        return len(self.list(tx, user_id))

    def find(self, tx: Transaction, user_id: str, passkey_id: str) -> Passkey | None:
        """None as well for somebody else's."""
        return next((it for it in self.list(tx, user_id) if it.id == passkey_id), None)

    def find_by_credential(self, tx: Transaction, credential_id: str) -> Passkey | None:
        row = tx.execute(_FIND, {"credential_hash": self._hash(credential_id)}).mappings().first()
        return None if row is None else _parse(row)

    def user_handle(self, tx: Transaction, user_id: str) -> str:
        """What authenticators know the user by: nothing that names anybody, and the same each time (§14.6.1)."""
        known = self.list(tx, user_id)
        return known[0].user_handle if known else self.new_user_handle(user_id)

    def new_user_handle(self, seed: str) -> str:
        """32 bytes that follow from ``seed`` and tell nothing of it."""
        return encoded(bytes.fromhex(self._keyring.keyed_hash("passkey user handle", seed)))

    def add(self, tx: Transaction, origin: Origin, user: User, made: NewPasskey, name: str) -> Passkey:
        """Keeps a new passkey and tells its owner. No device is remembered past it.

        Raises ``InvalidPasskeyName``, ``TooManyPasskeys``, ``PasskeyTaken``.
        """
        name = _checked(name)
        self._wait_for_turn(tx, user.id)
        if self.count(tx, user.id) >= MAX_PASSKEYS:
            raise TooManyPasskeys
        row = {
            "id": new_id(origin.now),
            "user_id": user.id,
            "credential_hash": self._hash(made.credential_id),
            **dataclasses.asdict(made),
            "transports": list(made.transports) or None,
            "name": name,
            "created_at": origin.now,
            "last_used_at": None,
            "suspected_at": None,
        }
        try:
            tx.execute(insert(PasskeyRow), row)
        except IntegrityError:
            raise PasskeyTaken from None
        passkey = _parse(row)
        self._remembered.forget_all(tx, origin, user.id, "second_factor_changed")
        self._record(tx, origin, AuditEvent.PASSKEY_ADDED, passkey, synced=passkey.backup_eligible)
        self._alerts.tell(tx, origin, user, Alert.PASSKEY_ADDED, name=name)
        return passkey

    def rename(self, tx: Transaction, origin: Origin, user_id: str, passkey_id: str, name: str) -> bool:
        """False when the user has no such passkey. Raises ``InvalidPasskeyName``."""
        name = _checked(name)
        passkey = self.find(tx, user_id, passkey_id)
        if passkey is None:
            return False
        tx.execute(update(PasskeyRow).where(_TABLE.c.id == passkey.id).values(name=name))
        self._record(tx, origin, AuditEvent.PASSKEY_RENAMED, dataclasses.replace(passkey, name=name))
        return True

    def remove(
        self, tx: Transaction, origin: Origin, user: User, passkey_id: str, *, needs_another_factor: bool = False
    ) -> bool:
        """Removes one and tells its owner. False when the user has no such passkey.

        ``needs_another_factor``: this account may not be without a second factor. Raises ``LastPasskey`` for what is the
        only one left, of two that are removed at once as well.
        """
        self._wait_for_turn(tx, user.id)
        known = self.list(tx, user.id)
        passkey = next((it for it in known if it.id == passkey_id), None)
        if passkey is None:
            return False
        is_needed = user.password_hash is None or (needs_another_factor and not user.two_factor_enabled)
        if is_needed and len(known) == 1:
            raise LastPasskey
        self._delete(tx, origin, [passkey], None)
        self._alerts.tell(tx, origin, user, Alert.PASSKEY_REMOVED, name=passkey.name)
        return True

    def remove_added_since(self, tx: Transaction, origin: Origin, user_id: str, moment: datetime.datetime) -> int:
        """Removes what was added at ``moment`` or later, whatever is left. Returns how many there were."""
        self._wait_for_turn(tx, user_id)
        return self._delete(tx, origin, [it for it in self.list(tx, user_id) if it.created_at >= moment], None)

    def remove_all(self, tx: Transaction, origin: Origin, user_id: str, actor: str | None = None) -> int:
        """Removes all of them. Returns how many there were."""
        self._wait_for_turn(tx, user_id)
        return self._delete(tx, origin, self.list(tx, user_id), actor)

    def record_use(self, tx: Transaction, origin: Origin, passkey: Passkey, proved: Assertion) -> bool:
        """Notes an answer whose signature holds. False when the counter went back, or the passkey is gone meanwhile.

        One statement decides, so that of two answers with one count the second is refused.
        """
        values = {
            "row_id": passkey.id,
            "new_count": proved.sign_count,
            "is_backed_up": proved.backed_up,
            "moment": origin.now,
        }
        return tx.execute(_USE, values).rowcount == 1

    def suspect(self, tx: Transaction, origin: Origin, user: User, passkey: Passkey, sign_count: int) -> None:
        """Marks a passkey whose counter went back, and tells its owner the first time."""
        self._record(
            tx,
            origin,
            AuditEvent.PASSKEY_SUSPECTED,
            passkey,
            outcome="denied",
            known=passkey.sign_count,
            sent=sign_count,
        )
        mark = update(PasskeyRow).where(_TABLE.c.id == passkey.id, _TABLE.c.suspected_at.is_(None))
        if tx.execute(mark.values(suspected_at=origin.now)).rowcount == 1:
            self._alerts.tell(tx, origin, user, Alert.PASSKEY_SUSPECTED, name=passkey.name)

    def _delete(self, tx: Transaction, origin: Origin, which: Sequence[Passkey], actor: str | None) -> int:
        for passkey in which:
            tx.execute(delete(PasskeyRow).where(_TABLE.c.id == passkey.id))
            self._remembered.forget_all(tx, origin, passkey.user_id, "second_factor_changed")
            self._record(tx, origin, AuditEvent.PASSKEY_REMOVED, passkey, actor=actor)
        return len(which)

    def _wait_for_turn(self, tx: Transaction, user_id: str) -> None:
        """Takes the user's row, so that of two changes at once the second one counts the first."""
        tx.execute(update(UserRow).where(_USERS.c.id == user_id).values(is_active=_USERS.c.is_active))

    def _hash(self, credential_id: str) -> str:
        return self._keyring.keyed_hash("passkey credential", credential_id)

    def _record(
        self,
        tx: Transaction,
        origin: Origin,
        event: AuditEvent,
        passkey: Passkey,
        *,
        actor: str | None = None,
        outcome: str = "ok",
        **details: Any,
    ) -> None:
        self._audit.record(
            tx,
            event,
            origin,
            user_id=passkey.user_id,
            actor=actor,
            outcome=outcome,
            resource_type="passkeys",
            resource_id=passkey.id,
            name=passkey.name,
            **details,
        )


def _checked(name: str) -> str:
    name = one_line(name)
    if not is_name(name, MAX_NAME):
        raise InvalidPasskeyName
    return name


def _parse(row: Mapping[Any, Any]) -> Passkey:
    values = {name: row[name] for name in Passkey.__slots__}
    return Passkey(**{**values, "transports": tuple(row["transports"] or ())})
