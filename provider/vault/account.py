"""One connected cloud, as services and pages see it."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from database.models import CloudAccount as Row
from provider.vault.fields import SEALED_COLUMNS, CloudField
from provider.vault.providers import PROVIDERS
from provider.vault.providers.cloud import CloudProvider, Mode

# What CIS benchmarks for AWS and Google's own advice on service account keys say: another key every 90 days.
OLD_SECRET_DAYS = 90
_TABLE = Row.__table__


@dataclass(frozen=True, slots=True)
class CloudAccount:
    """One connected cloud, without its secrets. ``options`` and the plain columns hold what may be shown."""

    id: str
    user_id: str
    label: str
    provider: str
    mode: Mode
    is_primary: bool
    account_id: str | None
    region: str | None
    tenant_id: str | None
    project_id: str | None
    options: Mapping[str, str]
    sealed: Mapping[str, str]
    version: int
    secrets_changed_at: datetime.datetime | None
    last_used_at: datetime.datetime | None
    tested_at: datetime.datetime | None
    created_at: datetime.datetime
    updated_at: datetime.datetime

    @property
    def cloud(self) -> CloudProvider:
        return PROVIDERS[self.provider]

    @property
    def fields(self) -> Sequence[CloudField]:
        """What its owner typed, in the order of forms."""
        return self.cloud.fields(self.mode)

    @property
    def kept_fields(self) -> Sequence[CloudField]:
        """The same, and what followed from it."""
        return self.cloud.kept_fields(self.mode)

    def shown(self) -> dict[str, str]:
        """The fields that are kept in clear, by name."""
        values = {field.name: self._plain(field) for field in self.kept_fields if not field.is_sealed}
        return {name: value for name, value in values.items() if value}

    def secret_age_days(self, now: datetime.datetime) -> int | None:
        """Whole days since a secret was last replaced. None where there is none."""
        return None if self.secrets_changed_at is None else max(0, (now - self.secrets_changed_at).days)

    def is_secret_old(self, now: datetime.datetime) -> bool:
        """Whether its owner should be asked for another secret."""
        age = self.secret_age_days(now)
        return age is not None and age >= OLD_SECRET_DAYS

    def _plain(self, field: CloudField) -> str | None:
        return self.options.get(field.name) if field.column is None else getattr(self, field.column)


def account_of(row: Mapping[Any, Any]) -> CloudAccount:
    """The account that a row of ``cloud_accounts`` is."""
    named = {column.name: row[column.name] for column in _TABLE.c if not column.name.endswith("_encrypted")}
    sealed = {name: row[f"{name}_encrypted"] for name in SEALED_COLUMNS if row[f"{name}_encrypted"] is not None}
    return CloudAccount(
        **{**named, "is_primary": bool(row["is_primary"]), "options": row["options"] or {}, "sealed": sealed}
    )
