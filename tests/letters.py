"""The letters that were posted, read from the outbox: what a person would find in the mailbox."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from sqlalchemy import Engine, select

from database.models import MailMessage
from provider.security.crypto import SECRET_PATTERN, Keyring
from provider.security.sealed_columns import LETTER_VALUES


@dataclass(frozen=True)
class Letter:
    """``name`` is that of its template."""

    to: str
    name: str
    language: str | None
    values: dict[str, str]

    @property
    def link(self) -> str:
        """The only address in it that ends with a secret."""
        (link,) = [it for it in self.values.values() if re.match("https?://", it) and SECRET_PATTERN.search(it)]
        return link

    @property
    def token(self) -> str:
        found = SECRET_PATTERN.search(self.link)
        assert found is not None
        return found[0]


def letters(engine: Engine, keyring: Keyring, *, to: str | None = None, name: str | None = None) -> list[Letter]:
    """In the order of writing; those to one address or of one name alone."""
    with engine.connect() as connection:
        rows = connection.execute(select(MailMessage.__table__).order_by(MailMessage.id)).mappings().all()
    read = [
        Letter(
            row["recipient"],
            row["letter"],
            row["language"],
            json.loads(keyring.decrypt(row["values_encrypted"], LETTER_VALUES.context(row["id"]))),
        )
        for row in rows
        if row["values_encrypted"] is not None
    ]
    return [it for it in read if to in (None, it.to) and name in (None, it.name)]
