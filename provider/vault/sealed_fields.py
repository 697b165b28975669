"""Fields of an account as columns of its row and back: what is secret is sealed, and opened in this one place."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from provider.security.crypto import DecryptionFailed, Keyring
from provider.vault.account import CloudAccount, context_of
from provider.vault.fields import PLAIN_COLUMNS, SEALED_COLUMNS
from provider.vault.providers.cloud import CloudProvider, Mode


class SealedFields:
    def __init__(self, keyring: Keyring) -> None:
        self._keyring = keyring

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
            elif field.is_sealed:
                context = context_of(row_id, user_id, version, field.column)
                row[f"{field.column}_encrypted"] = self._keyring.encrypt(value.encode(), context)
            else:
                row[field.column] = value
        return {**row, "options": options}

    def opened(self, account: CloudAccount) -> tuple[dict[str, str], list[str]]:
        """All fields in clear by name, and the names of those whose sealed value does not open."""
        values, damaged = account.shown(), []
        for field in account.kept_fields:
            sealed = account.sealed.get(field.column or "")
            if field.column is None or sealed is None:
                continue
            context = context_of(account.id, account.user_id, account.version, field.column)
            try:
                values[field.name] = self._keyring.decrypt(sealed, context).decode()
            except DecryptionFailed:
                damaged.append(field.name)
        return values, damaged
