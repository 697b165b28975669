"""Column types that mean the same on MySQL, MariaDB and SQLite.

MySQL's usual collations compare loosely (``unicode_ci``: ``a`` equals ``á``; ``utf8mb4_bin``: ``a`` equals ``a`` and a
blank), which must never decide identity. The SQL files therefore give every table an exact collation, and ``Exact``
keeps values of other types out: MySQL finds every text equal to the number 0.
"""

from __future__ import annotations

import datetime
import secrets
import threading
from typing import Any

from sqlalchemy import CHAR, DateTime, String, TypeDecorator, text
from sqlalchemy.dialects import mysql, sqlite
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeEngine

SERVERS = ("mysql", "mariadb")
_CHARACTERS_OF_TIME = 26  # without its zone, which is always UTC


class Exact(TypeDecorator[str]):
    """Text that is compared as a whole, character by character. Any other type than ``str`` raises ``TypeError``."""

    impl = String
    cache_ok = True

    def __init__(self, length: int, *, is_fixed: bool = False) -> None:
        super().__init__(length)
        self.length = length
        self.is_fixed = is_fixed

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return dialect.type_descriptor(CHAR(self.length) if self.is_fixed else String(self.length))

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:  # noqa: ARG002 - SQLAlchemy's signature
        if value is not None and not isinstance(value, str):
            raise TypeError(f"text was expected, not {type(value).__name__}")
        return value


def exact_char(length: int) -> Exact:
    """Text of one length."""
    return Exact(length, is_fixed=True)


def exact_text(length: int) -> Exact:
    """Text of at most ``length`` characters."""
    return Exact(length)


def _written(value: datetime.datetime | None) -> str | None:
    """``2026-11-24 09:30:01.000000``, as every server reads it. Others take ten times as long for the same text."""
    return None if value is None else value.isoformat(" ", "microseconds")[:_CHARACTERS_OF_TIME]


class _ServerTime(mysql.DATETIME):
    def bind_processor(self, dialect: Dialect) -> Any:  # noqa: ARG002 - SQLAlchemy's signature
        return _written


class _SQLiteTime(sqlite.DATETIME):
    def bind_processor(self, dialect: Dialect) -> Any:  # noqa: ARG002 - SQLAlchemy's signature
        return _written


class UTCDateTime(TypeDecorator[datetime.datetime]):
    """An aware UTC ``datetime`` in Python, a naive UTC ``DATETIME(6)`` in the table."""

    impl = DateTime
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        if dialect.name in SERVERS:
            return dialect.type_descriptor(_ServerTime(fsp=6))
        return dialect.type_descriptor(_SQLiteTime())  # type: ignore[no-untyped-call]

    def process_bind_param(self, value: datetime.datetime | None, dialect: Dialect) -> datetime.datetime | None:  # noqa: ARG002
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a time without a zone cannot be stored")
        return value if value.tzinfo is datetime.UTC else value.astimezone(datetime.UTC)

    def process_result_value(self, value: datetime.datetime | None, dialect: Dialect) -> datetime.datetime | None:  # noqa: ARG002
        return None if value is None else value.replace(tzinfo=datetime.UTC)


def new_id(now: datetime.datetime) -> str:
    """A UUIDv7 for a new row: time-ordered, so that inserts stay at the end of the index (RFC 9562 §5.7).

    Ids of one process and one millisecond count upwards, so that what a request wrote is read in the order of writing.
    An id is a name and never a secret.
    """
    milliseconds = int(now.timestamp() * 1000) & ((1 << 48) - 1)
    random = _SEQUENCE.next_in(milliseconds)
    value = milliseconds << 80 | 0x7 << 76 | (random >> 62) << 64 | 0b10 << 62 | random & ((1 << 62) - 1)
    digits = f"{value:032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def first_id(moment: datetime.datetime) -> str:
    """What sorts before every id of ``moment`` and later: rows are found by their age where ids are the only index."""
    digits = f"{int(moment.timestamp() * 1000):012x}"
    return f"{digits[:8]}-{digits[8:]}"


class _Sequence:
    """74 bits for each id of a millisecond: random for the first one, a little more for each that follows."""

    def __init__(self) -> None:
        self._milliseconds = self._last = -1
        self._lock = threading.Lock()

    def next_in(self, milliseconds: int) -> int:
        with self._lock:
            if milliseconds == self._milliseconds:
                self._last += 1 + secrets.randbits(32)
            else:
                self._milliseconds, self._last = milliseconds, secrets.randbits(73)
            return self._last


_SEQUENCE = _Sequence()
IDENTIFIER = exact_char(36)
HASH = exact_char(64)

# Flags have their default in Python and, for rows written by hand, in the table.
ON: dict[str, Any] = {"default": True, "server_default": text("1")}
OFF: dict[str, Any] = {"default": False, "server_default": text("0")}
