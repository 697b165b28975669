"""The seed document's columns ``users.cloud_*``: always those of the primary account, sealed where the document says so."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any

from sqlalchemy import update

from database.models import User as UserRow
from database.transaction import Transaction
from provider.sealed_values import SealedValues
from provider.security.sealed_columns import PRIMARY_CLOUD
from provider.vault.account import CloudAccount
from provider.vault.fields import PLAIN_COLUMNS, SEALED_COLUMNS

_TABLE = UserRow.__table__
_COLUMNS = (*PLAIN_COLUMNS, *SEALED_COLUMNS)


class PrimaryAccount:
    def __init__(self, sealed_values: SealedValues) -> None:
        self._sealed_values = sealed_values

    def mirror(self, tx: Transaction, now: datetime.datetime, account: CloudAccount, values: Mapping[str, str]) -> None:
        """Writes ``account`` into its owner's row. ``values`` are all its fields in clear."""
        row: dict[str, Any] = dict.fromkeys(f"cloud_{name}" for name in _COLUMNS)
        for field in account.kept_fields:
            value = values.get(field.name)
            if field.column is None or value is None:
                continue
            if field.column in PRIMARY_CLOUD:
                value = self._sealed_values.seal(PRIMARY_CLOUD[field.column], account.user_id, value.encode())
            row[f"cloud_{field.column}"] = value
        self._write(tx, now, account.user_id, {**row, "cloud_provider": account.provider})

    def clear(self, tx: Transaction, now: datetime.datetime, user_id: str) -> None:
        """No account is the primary one."""
        self._write(tx, now, user_id, {"cloud_provider": None, **dict.fromkeys(f"cloud_{name}" for name in _COLUMNS)})

    def _write(self, tx: Transaction, now: datetime.datetime, user_id: str, values: Mapping[str, Any]) -> None:
        tx.execute(update(UserRow).where(_TABLE.c.id == user_id).values(**values, updated_at=now))
