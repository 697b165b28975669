"""Cloud accounts: connected, replaced, removed by their owner. What is secret is sealed, and opened in one place."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from database.models import CloudAccount as Row
from database.models import User as UserRow
from database.models.columns import new_id
from database.transaction import Transaction
from provider.audit import AuditEvent, AuditRecorder
from provider.protocol.messages import Origin
from provider.security.crypto import Keyring
from provider.vault.account import CloudAccount, account_of, context_of
from provider.vault.fields import PLAIN_COLUMNS, SEALED_COLUMNS, CloudField, InvalidCloudField
from provider.vault.primary import PrimaryAccount
from provider.vault.providers import PROVIDERS
from provider.vault.providers.cloud import Mode

MAX_ACCOUNTS = 50
_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_TABLE = Row.__table__
_USERS = UserRow.__table__


class LabelTaken(ValueError):
    """The person has an account of this label."""


class TooManyAccounts(ValueError):
    """The person has as many accounts as a person can have."""


class ChangedMeanwhile(Exception):
    """The account was changed or removed since it was read."""


class CloudAccounts:
    """``primary`` keeps the columns of ``users`` as the primary account says."""

    def __init__(self, keyring: Keyring, audit: AuditRecorder) -> None:
        self._keyring = keyring
        self._audit = audit
        self._primary = PrimaryAccount(keyring)

    def list(self, tx: Transaction, user_id: str) -> list[CloudAccount]:
        """Those of one person, by label."""
        rows = tx.execute(select(_TABLE).where(_TABLE.c.user_id == user_id).order_by(_TABLE.c.label)).mappings()
        return [account_of(row) for row in rows]

    def find(self, tx: Transaction, user_id: str, account_id: str) -> CloudAccount | None:
        """One account, if it is this person's own."""
        found = select(_TABLE).where(_TABLE.c.id == account_id, _TABLE.c.user_id == user_id)
        row = tx.execute(found).mappings().first()
        return None if row is None else account_of(row)

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

        Raises ``InvalidCloudField`` for the first wrong field, ``LabelTaken``, ``TooManyAccounts``.
        """
        cloud = PROVIDERS.get(provider)
        if cloud is None or not cloud.fields(mode):
            raise InvalidCloudField("provider", "unknown")
        if not _LABEL.fullmatch(label):
            raise InvalidCloudField("label", "form")
        values, secrets = cloud.read(mode, said)
        self._wait_for_turn(tx, user_id)
        of_user = select(func.count()).select_from(_TABLE).where(_TABLE.c.user_id == user_id)
        known = int(tx.execute(of_user).scalar_one())
        if known >= MAX_ACCOUNTS:
            raise TooManyAccounts
        row_id = new_id(origin.now)
        row = {
            "id": row_id,
            "user_id": user_id,
            "label": label,
            "provider": provider,
            "mode": mode,
            "is_primary": None if known else True,
            **self._columns(cloud.kept_fields(mode), values, row_id, user_id, 1),
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
            self._primary.mirror(tx, origin.now, made, self.opened(made))
        return made

    def get(self, tx: Transaction, user_id: str, account_id: str) -> CloudAccount:
        """Like ``find``; raises ``LookupError``."""
        found = self.find(tx, user_id, account_id)
        if found is None:
            raise LookupError("there is no such cloud account")
        return found

    def replace(
        self,
        tx: Transaction,
        origin: Origin,
        account: CloudAccount,
        said: Mapping[str, str],
        *,
        actor: str | None = None,
    ) -> CloudAccount:
        """Other values for an account as it was read. A secret that is left empty stays; a plain field becomes empty.

        Raises ``InvalidCloudField``, ``ChangedMeanwhile``.
        """
        values, new_secrets = account.cloud.read(account.mode, said, self.opened(account))
        version = account.version + 1
        changed = update(Row).where(_TABLE.c.id == account.id, _TABLE.c.version == account.version)
        changed = changed.values(
            **self._columns(account.kept_fields, values, account.id, account.user_id, version),
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

    def make_primary(self, tx: Transaction, origin: Origin, account: CloudAccount) -> None:
        """The columns of ``users`` follow. Raises ``ChangedMeanwhile``."""
        self._wait_for_turn(tx, account.user_id)
        was = update(Row).where(_TABLE.c.user_id == account.user_id, _TABLE.c.is_primary.is_not(None))
        tx.execute(was.values(is_primary=None))
        is_now = update(Row).where(_TABLE.c.id == account.id, _TABLE.c.version == account.version)
        if tx.execute(is_now.values(is_primary=True)).rowcount != 1:
            raise ChangedMeanwhile
        self._changed(tx, origin, AuditEvent.CLOUD_MADE_PRIMARY, account, None)
        self._primary.mirror(tx, origin.now, account, self.opened(account))

    def remove(self, tx: Transaction, origin: Origin, account: CloudAccount, *, actor: str | None = None) -> bool:
        """Forgets an account with its secrets. The oldest of the others becomes the primary one. False if it had gone."""
        self._wait_for_turn(tx, account.user_id)
        current = self.find(tx, account.user_id, account.id)
        if current is None or tx.execute(delete(Row).where(_TABLE.c.id == account.id)).rowcount != 1:
            return False
        self._changed(tx, origin, AuditEvent.CLOUD_REMOVED, current, actor)
        if current.is_primary:
            rest = sorted(self.list(tx, account.user_id), key=lambda it: it.id)
            if rest:
                self.make_primary(tx, origin, rest[0])
            else:
                self._primary.clear(tx, origin.now, account.user_id)
        return True

    def opened(self, account: CloudAccount) -> dict[str, str]:
        """All fields in clear, by name. Raises ``DecryptionFailed``. Whoever calls this says so in the audit."""
        values = account.shown()
        for field in account.kept_fields:
            sealed = account.sealed.get(field.column or "")
            if field.is_sealed and sealed is not None and field.column is not None:
                context = context_of(account.id, account.user_id, account.version, field.column)
                values[field.name] = self._keyring.decrypt(sealed, context).decode()
        return values

    def _columns(
        self, fields: Sequence[CloudField], values: Mapping[str, str], row_id: str, user_id: str, version: int
    ) -> dict[str, Any]:
        row: dict[str, Any] = dict.fromkeys((*PLAIN_COLUMNS, *(f"{name}_encrypted" for name in SEALED_COLUMNS)))
        options: dict[str, str] = {}
        for field in fields:
            value = values.get(field.name)
            if value is None:
                continue
            if field.column is None:
                options[field.name] = value
            elif field.is_sealed:
                context = context_of(row_id, user_id, version, field.column)
                row[f"{field.column}_encrypted"] = self._keyring.encrypt(value.encode(), context)
            else:
                row[field.column] = value
        return {**row, "options": options}

    def _wait_for_turn(self, tx: Transaction, user_id: str) -> None:
        """Takes the user's row, so that of two changes at once the second one sees the first."""
        tx.execute(update(UserRow).where(_USERS.c.id == user_id).values(cloud_provider=_USERS.c.cloud_provider))

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
