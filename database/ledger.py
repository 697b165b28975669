"""What has been applied to a database: the table ``schema_migrations``, and the lock that its writers hold."""

from __future__ import annotations

import contextlib
import datetime
from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import Connection, Engine, inspect, text
from sqlalchemy.exc import DBAPIError

from database.engines import patient_engine
from database.patience import LOCK_WAIT_SECONDS
from database.sql_files import SqlFile

LEDGER = "schema_migrations"
LOCK_NAME = "mcp_core_migrate"
LOCK_SECONDS = 60
_CREATE = f"""
CREATE TABLE {LEDGER} (
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
    "finished_at = :finished_at, milliseconds = milliseconds + :spent WHERE name = :name"
)


class MigrationError(Exception):
    """The database was left as the text says. Nothing after the named file was applied."""


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
    if not inspect(connection).has_table(LEDGER):
        connection.exec_driver_sql(_CREATE)


def begin_file(connection: Connection, file: SqlFile) -> None:
    connection.execute(_BEGIN, {"name": file.name, "sha256": file.sha256, "done_sha256": file.done_sha256(0)})


def record_progress(connection: Connection, file: SqlFile, done: int, milliseconds: int) -> None:
    """Notes that ``done`` statements of the file are in the database, together with the last one's effect."""
    is_finished = done == len(file.statements)
    finished_at = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds") if is_finished else None
    values = {
        "name": file.name,
        "sha256": file.sha256,
        "done": done,
        "done_sha256": file.done_sha256(done),
        "finished_at": finished_at,
        "spent": milliseconds,
    }
    connection.execute(_RECORD, values)
    if connection.dialect.name != "sqlite":
        connection.commit()


@contextlib.contextmanager
def only_runner(engine: Engine) -> Iterator[Connection]:
    """A connection for changing tables that one process at a time can have. Raises ``MigrationError`` after a minute.

    On SQLite all that is done with it is one transaction, so that a failure undoes everything. A server commits each
    change of a table at once; there GET_LOCK keeps others out, and goes when the connection does.
    """
    if engine.dialect.name == "sqlite":
        with engine.connect() as connection:
            yield from _in_one_transaction(connection)
        return
    patient = patient_engine(engine)
    try:
        with patient.connect() as connection:
            yield from _with_server_lock(connection)
    finally:
        patient.dispose()


def _in_one_transaction(connection: Connection) -> Iterator[Connection]:
    connection.exec_driver_sql(f"PRAGMA busy_timeout={LOCK_SECONDS * 1000}")
    try:
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        yield connection
        connection.commit()
    finally:
        connection.rollback()
        connection.exec_driver_sql(f"PRAGMA busy_timeout={LOCK_WAIT_SECONDS * 1000}")


def _with_server_lock(connection: Connection) -> Iterator[Connection]:
    name = f"{LOCK_NAME}:{connection.engine.url.database}"[:64]
    connection.exec_driver_sql(f"SET lock_wait_timeout={LOCK_SECONDS}")
    if connection.execute(text("SELECT GET_LOCK(:name, :wait)"), {"name": name, "wait": LOCK_SECONDS}).scalar() != 1:
        raise MigrationError("another migration holds the lock; try again when it has finished")
    try:
        yield connection
        connection.commit()
    finally:
        with contextlib.suppress(DBAPIError):
            connection.rollback()
            connection.execute(text("SELECT RELEASE_LOCK(:name)"), {"name": name})
