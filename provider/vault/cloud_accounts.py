"""Cloud accounts: connected, replaced, removed by their owner. One of each person is the primary one."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from sqlalchemy import delete, func, insert, select, true, update
from sqlalchemy.exc import IntegrityError

from database.models import CloudAccount as Row
from database.models import User as UserRow
from database.models.columns import new_id
from database.reading import Listed, row_of
from database.transaction import Transaction
from provider.audit import AuditEvent, AuditRecorder
from provider.protocol.messages import Origin
from provider.sealed_values import SealedValues
from provider.security.crypto import DecryptionFailed
from provider.vault.account import CloudAccount, account_of
from provider.vault.fields import InvalidCloudField
from provider.vault.primary import PrimaryAccount
from provider.vault.providers import PROVIDERS
from provider.vault.providers.cloud import CloudProvider, Mode
from provider.vault.sealed_fields import SealedFields

MAX_ACCOUNTS = 50
# A part of the subject that trust policies name, so nothing in it means anything to any of their languages.
_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_TABLE = Row.__table__
_USERS = UserRow.__table__


def is_label(text: str) -> bool:
    """Whether an account can be called so."""
    return bool(_LABEL.fullmatch(text))


class LabelTaken(ValueError):
    """The person has an account of this label."""


class TooManyAccounts(ValueError):
    """The person has as many accounts as a person can have."""


class OwnerNotReady(ValueError):
    """The person has yet to confirm their address, or is disabled, closed or gone: nothing is kept for them."""


class ChangedMeanwhile(Exception):
    """The account was changed or removed since it was read."""


class SecretUnreadable(DecryptionFailed):
    """A sealed value was damaged, moved or truncated, or its key is gone. Nothing of the account is given out.

    Its owner repairs it by typing the secrets again (``CloudAccounts.replace``). ``names`` are the fields.
    """

    def __init__(self, account: CloudAccount, names: Sequence[str]) -> None:
        super().__init__(f"{', '.join(names)} of the cloud account {account.id} cannot be read")
        self.account = account
        self.names = tuple(names)


class Audiences(Protocol):
    """What tokens for clouds may not be for."""

    def fault_of_audience(self, tx: Transaction, provider: str, options: Mapping[str, str]) -> str | None: ...


class CloudAccounts:
    """A label is for good: the subject of our tokens has it in it. Who wants another one connects the cloud again."""

    def __init__(self, sealed_values: SealedValues, audit: AuditRecorder, audiences: Audiences) -> None:
        self._audiences = audiences
        self._sealed = SealedFields(sealed_values)
        self._audit = audit
        self._primary = PrimaryAccount(sealed_values)

    def list(self, tx: Transaction, user_id: str) -> list[CloudAccount]:
        """Those of one person, by label."""
        rows = tx.execute(select(_TABLE).where(_TABLE.c.user_id == user_id).order_by(_TABLE.c.label)).mappings()
        return [account_of(row) for row in rows]

    def listed(self, user_id: str, search: str = "") -> Listed[CloudAccount]:
        """The same for a page of a list: all, or those with ``search`` in their label."""
        statement = select(Row).where(_TABLE.c.user_id == user_id)
        if search:
            statement = statement.where(_TABLE.c.label.contains(search.lower(), autoescape=True))
        return Listed(statement.order_by(_TABLE.c.label), lambda entity: account_of(row_of(entity)))

    def find(self, tx: Transaction, user_id: str, account_id: str) -> CloudAccount | None:
        """One account, if it is this person's own."""
        found = select(_TABLE).where(_TABLE.c.id == account_id, _TABLE.c.user_id == user_id)
        row = tx.execute(found).mappings().first()
        return None if row is None else account_of(row)

    def get(self, tx: Transaction, user_id: str, account_id: str) -> CloudAccount:
        """Like ``find``; raises ``LookupError``."""
        found = self.find(tx, user_id, account_id)
        if found is None:
            raise LookupError("there is no such cloud account")
        return found

    def connect(
        self,
        tx: Transaction,
        origin: Origin,
        user_id: str,
        *,
        label: str,
        provider: str,
        mode: Mode,
        said: Mapping[str, str],
        actor: str | None = None,
    ) -> CloudAccount:
        """Keeps an account; the first one of a person is their primary one.

        Raises ``InvalidCloudField`` (of ``provider``, ``label`` or a field), ``LabelTaken``, ``TooManyAccounts``,
        ``OwnerNotReady``.
        """
        cloud = PROVIDERS.get(provider)
        if cloud is None or not cloud.fields(mode):
            raise InvalidCloudField("provider", "unknown")
        if not is_label(label):
            raise InvalidCloudField("label", "form")
        values, secrets = cloud.read(mode, said)
        self._check_audience(tx, cloud, mode, values)
        self._take_turn(tx, user_id, is_change=True)
        counts = (func.count().label("all"), func.count(_TABLE.c.is_primary).label("primary"))
        known = tx.execute(select(*counts).where(_TABLE.c.user_id == user_id)).mappings().one()
        if known["all"] >= MAX_ACCOUNTS:
            raise TooManyAccounts
        row_id = new_id(origin.now)
        row = {
            "id": row_id,
            "user_id": user_id,
            "label": label,
            "provider": provider,
            "mode": mode,
            "is_primary": None if known["primary"] else True,
            **self._sealed.columns(cloud, mode, values, row_id=row_id, user_id=user_id, version=1),
            "version": 1,
            "secrets_changed_at": origin.now if secrets else None,
            "created_at": origin.now,
            "updated_at": origin.now,
        }
        try:
            tx.execute(insert(Row), row)
        except IntegrityError:
            raise LabelTaken from None
        made = self.get(tx, user_id, row_id)
        self._changed(tx, origin, AuditEvent.CLOUD_CONNECTED, made, actor)
        if made.is_primary:
            self._primary.mirror(tx, origin.now, made, values)
        return made

    def replace(
        self,
        tx: Transaction,
        origin: Origin,
        account: CloudAccount,
        said: Mapping[str, str],
        *,
        seen: int | None = None,
        actor: str | None = None,
    ) -> CloudAccount:
        """Other values for an account as it was read; ``seen`` is the version that the form was made from.

        What is sealed stays where nothing is typed, a plain field becomes empty. What cannot be read any more, and a secret
        that would go elsewhere than before, has to be typed again. Raises ``InvalidCloudField``, ``ChangedMeanwhile``,
        ``OwnerNotReady``.
        """
        if seen not in (None, account.version):
            raise ChangedMeanwhile
        kept, damaged = self._sealed.opened(account)
        values, new_secrets = account.cloud.read(account.mode, said, kept)
        self._check_audience(tx, account.cloud, account.mode, values)
        self._take_turn(tx, account.user_id, is_change=True)
        if damaged:
            self._sealed.note_unreadable(tx, origin, account, damaged)
        version = account.version + 1
        columns = self._sealed.columns(
            account.cloud, account.mode, values, row_id=account.id, user_id=account.user_id, version=version
        )
        changed = update(Row).where(_TABLE.c.id == account.id, _TABLE.c.version == account.version)
        changed = changed.values(
            **columns,
            version=version,
            secrets_changed_at=origin.now if new_secrets else account.secrets_changed_at,
            updated_at=origin.now,
        )
        if tx.execute(changed).rowcount != 1:
            raise ChangedMeanwhile
        made = self.get(tx, account.user_id, account.id)
        self._changed(tx, origin, AuditEvent.CLOUD_CHANGED, made, actor, secrets=bool(new_secrets))
        if made.is_primary:
            self._primary.mirror(tx, origin.now, made, values)
        return made

    def make_primary(self, tx: Transaction, origin: Origin, account: CloudAccount, *, actor: str | None = None) -> None:
        """The columns of ``users`` follow. Of the primary account they are written anew, should they be damaged.

        Raises ``ChangedMeanwhile``, ``SecretUnreadable``, ``OwnerNotReady``.
        """
        self._take_turn(tx, account.user_id, is_change=True)
        current = self.find(tx, account.user_id, account.id)  # nothing is written before it is known to be so
        if current is None or current.version != account.version:
            raise ChangedMeanwhile
        self._make_primary(tx, origin, current, self.read(tx, origin, current), actor)

    def remove(self, tx: Transaction, origin: Origin, account: CloudAccount, *, actor: str | None = None) -> bool:
        """Forgets an account with its secrets. The oldest of the others that can be read becomes the primary one.

        False if it had gone.
        """
        self._take_turn(tx, account.user_id)
        current = self.find(tx, account.user_id, account.id)
        if current is None or tx.execute(delete(Row).where(_TABLE.c.id == account.id)).rowcount != 1:
            return False
        self._changed(tx, origin, AuditEvent.CLOUD_REMOVED, current, actor)
        if current.is_primary:
            self._follow(tx, origin, account.user_id, actor)
        return True

    def opened(self, account: CloudAccount) -> dict[str, str]:
        """All fields in clear, by name, for who is not the one to put it on record. Raises ``SecretUnreadable``."""
        values, damaged = self._sealed.opened(account)
        if damaged:
            raise SecretUnreadable(account, [field.name for field in damaged])
        return values

    def read(self, tx: Transaction, origin: Origin, account: CloudAccount) -> dict[str, str]:
        """Like ``opened``; what does not open is recorded, once an hour."""
        values, damaged = self._sealed.opened(account)
        if damaged:
            self._sealed.note_unreadable(tx, origin, account, damaged)
            raise SecretUnreadable(account, [field.name for field in damaged])
        return values

    def _check_audience(self, tx: Transaction, cloud: CloudProvider, mode: Mode, values: Mapping[str, str]) -> None:
        fault = self._audiences.fault_of_audience(tx, cloud.name, values) if mode == "keyless" else None
        if fault is not None:
            names = [field.name for field in cloud.fields(mode)]
            raise InvalidCloudField("audience" if "audience" in names else names[0], fault)

    def _make_primary(
        self, tx: Transaction, origin: Origin, account: CloudAccount, values: Mapping[str, str], actor: str | None
    ) -> None:
        """In the turn of its owner, so that the account is still what was read."""
        was = update(Row).where(_TABLE.c.user_id == account.user_id, _TABLE.c.is_primary.is_not(None))
        tx.execute(was.values(is_primary=None))
        tx.execute(update(Row).where(_TABLE.c.id == account.id).values(is_primary=True))
        self._changed(tx, origin, AuditEvent.CLOUD_MADE_PRIMARY, account, actor)
        self._primary.mirror(tx, origin.now, account, values)

    def _follow(self, tx: Transaction, origin: Origin, user_id: str, actor: str | None) -> None:
        """Another primary account in place of one that has gone, if there is one that can be read."""
        for account in sorted(self.list(tx, user_id), key=lambda it: it.id):
            try:
                values = self.read(tx, origin, account)
            except SecretUnreadable:
                continue
            self._make_primary(tx, origin, account, values, actor)
            return
        self._primary.clear(tx, origin.now, user_id)

    def _take_turn(self, tx: Transaction, user_id: str, *, is_change: bool = False) -> None:
        """Takes the user's row, so that of two changes at once the second one sees the first."""
        mine = update(UserRow).where(_USERS.c.id == user_id)
        if is_change:
            mine = mine.where(_USERS.c.is_active == true(), _USERS.c.confirm_by.is_(None))
        if tx.execute(mine.values(cloud_provider=_USERS.c.cloud_provider)).rowcount != 1 and is_change:
            raise OwnerNotReady

    def _changed(
        self,
        tx: Transaction,
        origin: Origin,
        event: AuditEvent,
        account: CloudAccount,
        actor: str | None,
        **details: Any,
    ) -> None:
        self._audit.record(
            tx,
            event,
            origin,
            user_id=account.user_id,
            actor=actor,
            resource_type="cloud_accounts",
            resource_id=account.id,
            label=account.label,
            provider=account.provider,
            mode=account.mode,
            **details,
        )
