"""Fields of an account as columns of its row and back: what is secret is sealed, and opened in this one place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from database.transaction import Transaction
from provider.protocol.messages import Origin
from provider.sealed_values import SealedValues
from provider.security.crypto import DecryptionFailed
from provider.security.sealed_columns import CLOUD_ACCOUNTS
from provider.vault.account import CloudAccount
from provider.vault.fields import PLAIN_COLUMNS, SEALED_COLUMNS, CloudField
from provider.vault.providers.cloud import CloudProvider, Mode


class SealedFields:
    def __init__(self, sealed_values: SealedValues) -> None:
        self._sealed_values = sealed_values

    def columns(
        self, cloud: CloudProvider, mode: Mode, values: Mapping[str, str], *, row_id: str, user_id: str, version: int
    ) -> dict[str, Any]:
        """Every column that fields of clouds can be in, for the row of this id and version. ``values`` by name of field."""
        row: dict[str, Any] = dict.fromkeys((*PLAIN_COLUMNS, *(f"{name}_encrypted" for name in SEALED_COLUMNS)))
        options: dict[str, str] = {}
        for field in cloud.kept_fields(mode):
            value = values.get(field.name)
            if value is None:
                continue
            if field.column is None:
                options[field.name] = value
            elif field.column in CLOUD_ACCOUNTS:
                row[f"{field.column}_encrypted"] = self._sealed_values.seal(
                    CLOUD_ACCOUNTS[field.column], row_id, value.encode(), owner=user_id, version=str(version)
                )
            else:
                row[field.column] = value
        return {**row, "options": options}

    def opened(self, account: CloudAccount) -> tuple[dict[str, str], list[CloudField]]:
        """All fields in clear by name, and those whose sealed value does not open."""
        values, damaged = account.shown(), []
        bound = {"owner": account.user_id, "version": str(account.version)}
        for field in account.kept_fields:
            sealed = account.sealed.get(field.column or "")
            if field.column is None or sealed is None:
                continue
            try:
                opened = self._sealed_values.opened(CLOUD_ACCOUNTS[field.column], account.id, sealed, **bound)
                values[field.name] = opened.decode()
            except DecryptionFailed:
                damaged.append(field)
        return values, damaged

    def note_unreadable(
        self, tx: Transaction, origin: Origin, account: CloudAccount, damaged: Sequence[CloudField]
    ) -> None:
        for field in damaged:
            column = CLOUD_ACCOUNTS[field.column or ""]
            self._sealed_values.note_unreadable(tx, origin, column, account.id, user_id=account.user_id)
