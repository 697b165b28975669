"""What has been applied to a database: the table ``schema_migrations``."""

from __future__ import annotations

import datetime
from dataclasses import dataclass

from sqlalchemy import Connection, inspect, text
from sqlalchemy.exc import IntegrityError

from database.sql_files import SqlFile

LEDGER = "schema_migrations"
_CREATE = f"""
CREATE TABLE IF NOT EXISTS {LEDGER} (
  name            VARCHAR(191) NOT NULL,
  sha256          CHAR(64) NOT NULL,
  statements_done INTEGER NOT NULL,
  done_sha256     CHAR(64) NOT NULL,
  finished_at     VARCHAR(32),
  milliseconds    INTEGER NOT NULL,
  CONSTRAINT pk_{LEDGER} PRIMARY KEY (name)
) /*! ENGINE=InnoDB DEFAULT CHARSET=ascii COLLATE=ascii_bin COMMENT='적용된 SQL 파일' */"""
_READ = text(f"SELECT name, sha256, statements_done, done_sha256, finished_at FROM {LEDGER}")  # noqa: S608 - a constant
_BEGIN = text(
    f"INSERT INTO {LEDGER} (name, sha256, statements_done, done_sha256, milliseconds) "  # noqa: S608 - a constant
    "VALUES (:name, :sha256, 0, :done_sha256, 0)"
)
_RECORD = text(
    f"UPDATE {LEDGER} SET sha256 = :sha256, statements_done = :done, done_sha256 = :done_sha256, "  # noqa: S608
    "finished_at = :finished_at, milliseconds = milliseconds + :spent WHERE name = :name AND statements_done = :before"
)


class MigrationError(Exception):
    """The database was left as the text says. Nothing after the named file was applied."""


class OvertakenError(MigrationError):
    """Another process works on the same file. What it has done is in the ledger, from where one can go on."""


@dataclass(frozen=True)
class Entry:
    """One file's line. ``finished_at`` is None while statements of it are still to be run."""

    sha256: str
    statements_done: int
    done_sha256: str
    finished_at: str | None


def read_ledger(connection: Connection) -> dict[str, Entry]:
    """The entries by file name; none where there is no ledger yet."""
    if not inspect(connection).has_table(LEDGER):
        return {}
    return {name: Entry(*values) for name, *values in connection.execute(_READ)}


def create_ledger(connection: Connection) -> None:
    connection.exec_driver_sql(_CREATE)


def begin_file(connection: Connection, file: SqlFile) -> None:
    """Raises ``OvertakenError`` when somebody else has begun it."""
    try:
        connection.execute(_BEGIN, {"name": file.name, "sha256": file.sha256, "done_sha256": file.done_sha256(0)})
    except IntegrityError:
        raise OvertakenError(f"{file.name} is being applied by another process") from None


def record_progress(connection: Connection, file: SqlFile, before: int, done: int, milliseconds: int) -> None:
    """Notes that ``done`` statements of the file are in the database, together with the last one's effect.

    There were ``before`` of them until now; otherwise it raises ``OvertakenError``, and the last one's effect is undone
    where that is possible: of changes of rows. A change of a table is found in place by whoever makes it next.
    """
    is_finished = done == len(file.statements)
    finished_at = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds") if is_finished else None
    values = {
        "name": file.name,
        "sha256": file.sha256,
        "before": before,
        "done": done,
        "done_sha256": file.done_sha256(done),
        "finished_at": finished_at,
        "spent": milliseconds,
    }
    if connection.execute(_RECORD, values).rowcount != 1:
        connection.rollback()
        raise OvertakenError(f"{file.name} is being applied by another process")
    if connection.dialect.name != "sqlite":
        connection.commit()
