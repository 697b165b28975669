"""Column types whose comparison is exact on MySQL, MariaDB and SQLite.

MySQL's default collations compare loosely (``unicode_ci``: ``a`` equals ``á``), which must never decide identity. Every
identifier, hash and canonical name is therefore declared with a binary collation here and nowhere else.
"""

from __future__ import annotations

import datetime
import secrets
import uuid
from typing import Any

from sqlalchemy import CHAR, DateTime, String, TypeDecorator
from sqlalchemy.dialects import mysql
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeEngine

SERVERS = ("mysql", "mariadb")


def ascii_char(length: int) -> TypeEngine[str]:
    """A fixed-length ASCII value compared byte for byte."""
    exact = mysql.CHAR(length, charset="ascii", collation="ascii_bin")
    return CHAR(length).with_variant(exact, *SERVERS)


def ascii_text(length: int) -> TypeEngine[str]:
    """A variable-length ASCII value compared byte for byte."""
    exact = mysql.VARCHAR(length, charset="ascii", collation="ascii_bin")
    return String(length).with_variant(exact, *SERVERS)


def canonical_text(length: int) -> TypeEngine[str]:
    """Text in the one canonical form that identity is compared on (stripped, so PAD SPACE can't matter)."""
    exact = mysql.VARCHAR(length, charset="utf8mb4", collation="utf8mb4_bin")
    return String(length).with_variant(exact, *SERVERS)


class UTCDateTime(TypeDecorator[datetime.datetime]):
    """An aware UTC ``datetime`` in Python, a naive UTC ``DATETIME(6)`` in the table."""

    impl = DateTime
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        if dialect.name in SERVERS:
            return dialect.type_descriptor(mysql.DATETIME(fsp=6))
        return dialect.type_descriptor(DateTime())

    def process_bind_param(self, value: datetime.datetime | None, dialect: Dialect) -> datetime.datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a time without a zone cannot be stored")
        return value.astimezone(datetime.UTC).replace(tzinfo=None)

    def process_result_value(self, value: datetime.datetime | None, dialect: Dialect) -> datetime.datetime | None:
        return None if value is None else value.replace(tzinfo=datetime.UTC)


def new_id(now: datetime.datetime) -> str:
    """A UUIDv7 for a new row: time-ordered, so that inserts stay at the end of the index (RFC 9562 §5.7).

    An id is a name and never a secret.
    """
    random = secrets.randbits(74)
    milliseconds = int(now.timestamp() * 1000) & ((1 << 48) - 1)
    value = milliseconds << 80 | 0x7 << 76 | (random >> 62) << 64 | 0b10 << 62 | random & ((1 << 62) - 1)
    return str(uuid.UUID(int=value))


IDENTIFIER = ascii_char(36)
HASH = ascii_char(64)
