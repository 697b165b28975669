"""The SQL files: which there are, in which order, and how one is cut into statements."""

from __future__ import annotations

import datetime
import hashlib
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
_PIECE = re.compile(r"'(?:[^'\\]|\\.|'')*'|\"[^\"]*\"|`[^`]*`|--[^\n]*|/\*.*?\*/|;|[^'\"`;/-]+|.", re.DOTALL)
_TABLE = re.compile(r"CREATE TABLE (\w+) \((.*)\)", re.DOTALL)
_INDEX = re.compile(r"CREATE (?:UNIQUE )?INDEX (\w+) ON (\w+)")
_COLUMN = re.compile(r"ALTER TABLE (\w+) ADD COLUMN (\w+)")


class SqlFileError(Exception):
    """A file has a wrong name or cannot be cut into statements."""


@dataclass(frozen=True)
class SqlFile:
    """One file. ``name`` is its path below ``database/``, which the ledger remembers."""

    name: str
    text: str

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.text.encode()).hexdigest()

    @cached_property
    def statements(self) -> list[str]:
        return split_statements(self.text)

    def done_sha256(self, count: int) -> str:
        """The checksum of the first ``count`` statements, comments left out."""
        return hashlib.sha256("\0".join(self.statements[:count]).encode()).hexdigest()


def sql_files(folder: Path = FOLDER) -> list[SqlFile]:
    """``schemas/NNN_*.sql`` and then ``migrations/YYYYMMDD_HHMM_*.sql``, each in the order of their names.

    Raises ``SqlFileError`` for a file whose name has another form, and for two migrations without an order.
    """
    found = []
    for part, has_form, form in (
        ("schemas", _is_schema_name, "NNN_name.sql"),
        ("migrations", _is_migration_name, "YYYYMMDD_HHMM_description.sql"),
    ):
        seen: dict[str, str] = {}
        for path in sorted((folder / part).glob("*.sql")):
            if not has_form(path.name):
                raise SqlFileError(f"{part}/{path.name} must be named {form}")
            order = path.name[:3] if part == "schemas" else path.name[:13]
            if order in seen:
                raise SqlFileError(
                    f"{part}/{path.name} is of the same minute or number as {seen[order]}: give it another"
                )
            seen[order] = path.name
            found.append(SqlFile(f"{part}/{path.name}", path.read_text(encoding="utf-8")))
    return found


def _is_schema_name(name: str) -> bool:
    return re.fullmatch(r"\d{3}_[a-z0-9_]+\.sql", name) is not None


def _is_migration_name(name: str) -> bool:
    if re.fullmatch(r"\d{8}_\d{4}_[a-z0-9_]+\.sql", name) is None:
        return False
    try:
        datetime.datetime.strptime(name[:13], "%Y%m%d_%H%M")  # noqa: DTZ007 - only its form is asked for
    except ValueError:
        return False
    return True


def split_statements(text: str) -> list[str]:
    """The statements of a file, without comments but with executable ones (``/*! … */``), which servers run."""
    statements: list[str] = []
    parts: list[str] = []
    for piece in _PIECE.findall(text):
        if piece == ";":
            statements.append("".join(parts).strip())
            parts = []
        elif piece.startswith("--") or (piece.startswith("/*") and not piece.startswith(("/*!", "/*M!"))):
            parts.append(" ")
        else:
            parts.append(piece)
    statements.append("".join(parts).strip())
    return [statement for statement in statements if statement]


def created_table(statement: str) -> tuple[str, list[str]] | None:
    """Name and column names of a CREATE TABLE statement, None for any other statement."""
    match = _TABLE.match(statement)
    if match is None:
        return None
    lines = [line.strip() for line in match[2].splitlines() if line.strip()]
    return match[1], [line.split()[0] for line in lines if not line.startswith("CONSTRAINT")]


def created_index(statement: str) -> tuple[str, str] | None:
    """Index and table name of a CREATE INDEX statement, None for any other statement."""
    match = _INDEX.match(statement)
    return None if match is None else (match[1], match[2])


def added_column(statement: str) -> tuple[str, str] | None:
    """Table and column name of an ALTER TABLE … ADD COLUMN statement, None for any other statement."""
    match = _COLUMN.match(statement)
    return None if match is None else (match[1], match[2])
