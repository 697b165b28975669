"""Every sealed column of the database: one list, by which rotation finds all that is under an old master key.

A service that seals takes its context from here. A new column is one line below, and its name in ``ALL``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Column, Table

from database.models import CloudAccount, DataExport, MailMessage, ResetRequest, SigningKey, User, UserSession
from database.models.base import Base


@dataclass(frozen=True)
class SealedColumn:
    """``bound`` names what else of the row a value is sealed to, by the column that has it: ``{"owner": "user_id"}``."""

    model: type[Base]
    name: str
    key: str = "id"
    bound: Mapping[str, str] = field(default_factory=dict)

    @property
    def table(self) -> Table:
        table: Table = self.model.__table__  # type: ignore[assignment]
        return table

    @property
    def column(self) -> Column[Any]:
        return self.table.c[self.name]

    def __str__(self) -> str:
        return f"{self.table.name}.{self.name}"

    def context(self, row_id: str, **bound: str) -> dict[str, str]:
        """What a value of this column is sealed to, in the row of this key. ``bound`` are all the names of ``bound``."""
        if bound.keys() != self.bound.keys():
            raise TypeError(f"{self} is sealed to {', '.join(self.bound) or 'its row alone'}")
        return {"table": self.table.name, "column": self.name, "id": row_id, **bound}

    def context_of(self, row: Mapping[str, Any]) -> dict[str, str]:
        """The same for a row that has been read, with its key and the columns of ``bound``."""
        return self.context(row[self.key], **{name: str(row[column]) for name, column in self.bound.items()})


SIGNING_KEY = SealedColumn(SigningKey, "private_key_encrypted", key="kid")
TOTP_SECRET = SealedColumn(User, "two_factor_secret")
TOTP_ENROLMENT = SealedColumn(UserSession, "totp_enrolment_encrypted")
LETTER_VALUES = SealedColumn(MailMessage, "values_encrypted")
RESET_NAME = SealedColumn(ResetRequest, "login_name_encrypted")
DATA_EXPORT = SealedColumn(DataExport, "content_encrypted", bound={"owner": "user_id"})
_OF_CLOUDS = {"owner": "user_id", "version": "version"}
CLOUD_ACCOUNTS = {
    name: SealedColumn(CloudAccount, f"{name}_encrypted", bound=_OF_CLOUDS)
    for name in ("access_key", "secret_key", "config_json")
}
# The seed document's columns for the primary account: sealed, and not named so.
PRIMARY_CLOUD = {name: SealedColumn(User, f"cloud_{name}") for name in CLOUD_ACCOUNTS}

ALL = (
    *(SIGNING_KEY, TOTP_SECRET, TOTP_ENROLMENT, LETTER_VALUES, RESET_NAME, DATA_EXPORT),
    *CLOUD_ACCOUNTS.values(),
    *PRIMARY_CLOUD.values(),
)
