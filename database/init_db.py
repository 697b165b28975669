"""Creates and upgrades the tables: ``python database/init_db.py [--drop-existing] [--status] [--dry-run]``.

Each SQL file is applied once, in order, under a lock that every runner takes. The table ``schema_migrations`` remembers
the file's checksum and, since MySQL commits each DDL statement at once, how many of its statements are done.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

if __package__ in (None, ""):  # run as a script: make the project importable from any working directory
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from sqlalchemy import Connection, Engine, inspect, text
from sqlalchemy.exc import DBAPIError, OperationalError

from database.connection import ConfigurationError, create_engine_for, database_url_from_environment, environment
from database.sql_files import FOLDER, SqlFile, SqlFileError, created_index, created_table, sql_files

LEDGER = "schema_migrations"
LOCK_NAME = "mcp_core_migrate"
LOCK_SECONDS = 60
_CREATE_LEDGER = f"""
CREATE TABLE {LEDGER} (
  name            VARCHAR(191) NOT NULL,
  sha256          CHAR(64) NOT NULL,
  statements_done INTEGER NOT NULL,
  finished_at     VARCHAR(32),
  milliseconds    INTEGER NOT NULL,
  CONSTRAINT pk_{LEDGER} PRIMARY KEY (name)
) /*! ENGINE=InnoDB DEFAULT CHARSET=ascii COLLATE=ascii_bin */"""


class MigrationError(Exception):
    """The database was left as the text says. Nothing after the named file was applied."""


@dataclass
class MigrationReport:
    """``applied`` files ran now, ``adopted`` ones were found already in place, ``pending`` would run (dry run)."""

    applied: list[str] = field(default_factory=list)
    adopted: list[str] = field(default_factory=list)
    pending: list[str] = field(default_factory=list)
    current: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _Entry:
    sha256: str
    statements_done: int
    is_finished: bool


def migrate(engine: Engine, *, folder: Path = FOLDER, dry_run: bool = False) -> MigrationReport:
    """Brings the database to the newest version. Raises ``MigrationError``, ``SqlFileError``."""
    files = sql_files(folder)
    report = MigrationReport()
    with engine.connect() as connection, _only_runner(connection):
        entries = _read_ledger(connection)
        _check_ledger(files, entries)
        for file in files:
            entry = entries.get(file.name)
            if entry is not None and entry.is_finished:
                report.current.append(file.name)
            elif dry_run:
                report.pending.append(file.name)
            elif _apply(connection, file, entry):
                report.applied.append(file.name)
            else:
                report.adopted.append(file.name)
    return report


def pending_files(engine: Engine) -> list[str]:
    """The files that ``migrate`` would apply. Changes nothing."""
    with engine.connect() as connection:
        entries = _read_ledger(connection, create=False)
    finished = {name for name, entry in entries.items() if entry.is_finished}
    return [file.name for file in sql_files() if file.name not in finished]


def drop_all(engine: Engine) -> list[str]:
    """Drops every table of the database and returns their names. There is no way back."""
    with engine.connect() as connection, _only_runner(connection):
        names = inspect(connection).get_table_names()
        is_sqlite = connection.dialect.name == "sqlite"
        connection.exec_driver_sql("PRAGMA defer_foreign_keys=ON" if is_sqlite else "SET FOREIGN_KEY_CHECKS=0")
        quote = connection.dialect.identifier_preparer.quote
        for name in names:
            connection.exec_driver_sql(f"DROP TABLE {quote(name)}")
        if not is_sqlite:
            connection.exec_driver_sql("SET FOREIGN_KEY_CHECKS=1")
    return names


@contextlib.contextmanager
def _only_runner(connection: Connection) -> Iterator[None]:
    """One runner at a time: GET_LOCK on a server; on SQLite one transaction, so that a failure undoes everything."""
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql(f"PRAGMA busy_timeout={LOCK_SECONDS * 1000}")
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            connection.rollback()
            raise
        connection.commit()
        return
    name = f"{LOCK_NAME}:{connection.engine.url.database}"[:64]
    if connection.execute(text("SELECT GET_LOCK(:name, :wait)"), {"name": name, "wait": LOCK_SECONDS}).scalar() != 1:
        raise MigrationError("another migration holds the lock; try again when it has finished")
    try:
        yield
        connection.commit()
    finally:
        with contextlib.suppress(DBAPIError):
            connection.rollback()
            connection.execute(text("SELECT RELEASE_LOCK(:name)"), {"name": name})


def _read_ledger(connection: Connection, *, create: bool = True) -> dict[str, _Entry]:
    if not inspect(connection).has_table(LEDGER):
        if create:
            connection.exec_driver_sql(_CREATE_LEDGER)
        return {}
    rows = connection.execute(text(f"SELECT name, sha256, statements_done, finished_at FROM {LEDGER}"))  # noqa: S608
    return {name: _Entry(sha256, done, finished is not None) for name, sha256, done, finished in rows}


def _check_ledger(files: Sequence[SqlFile], entries: dict[str, _Entry]) -> None:
    known = {file.name: file for file in files}
    for name, entry in entries.items():
        file = known.get(name)
        if file is None:
            raise MigrationError(f"{name} was applied to this database and is not here: is this an older version?")
        if file.sha256 != entry.sha256 and entry.is_finished:
            raise MigrationError(f"{name} was edited after it had been applied; write a new migration instead")


def _apply(connection: Connection, file: SqlFile, entry: _Entry | None) -> bool:
    """Runs what is left of a file. Returns False when all of it was already in place."""
    started = time.monotonic()
    statements = file.statements
    done = 0
    if entry is None:
        connection.execute(
            text(f"INSERT INTO {LEDGER} (name, sha256, statements_done, milliseconds) VALUES (:name, :sha256, 0, 0)"),  # noqa: S608
            {"name": file.name, "sha256": file.sha256},
        )
    elif entry.sha256 == file.sha256:
        done = entry.statements_done
    ran = entry is not None
    for index, statement in enumerate(statements[done:], done + 1):
        try:
            if not _is_in_place(connection, statement, file.name):
                connection.exec_driver_sql(
                    statement.replace("%", "%%") if connection.dialect.name != "sqlite" else statement
                )
                ran = True
        except DBAPIError as error:
            raise MigrationError(f"{file.name}, statement {index} of {len(statements)}: {error.orig}") from error
        _record(connection, file, index, started, finished=index == len(statements))
    return ran


def _record(connection: Connection, file: SqlFile, done: int, started: float, *, finished: bool) -> None:
    finished_at = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds") if finished else None
    connection.execute(
        text(
            f"UPDATE {LEDGER} SET sha256 = :sha256, statements_done = :done, finished_at = :finished_at, "  # noqa: S608
            "milliseconds = milliseconds + :spent WHERE name = :name"
        ),
        {
            "sha256": file.sha256,
            "done": done,
            "finished_at": finished_at,
            "spent": int((time.monotonic() - started) * 1000),
            "name": file.name,
        },
    )
    if connection.dialect.name != "sqlite":
        connection.commit()


def _is_in_place(connection: Connection, statement: str, file_name: str) -> bool:
    """Whether a table or index is there already, made by hand with the mysql client or before a crash."""
    table = created_table(statement)
    if table is not None:
        name, expected = table
        if not inspect(connection).has_table(name):
            return False
        found = [column["name"] for column in inspect(connection).get_columns(name)]
        if set(found) != set(expected):
            difference = ", ".join(sorted(set(found) ^ set(expected)))
            raise MigrationError(f"{file_name}: a table {name} exists with other columns ({difference})")
        return True
    index = created_index(statement)
    if index is not None:
        return any(item["name"] == index[0] for item in inspect(connection).get_indexes(index[1]))
    return False


def _explain(error: Exception) -> str:
    cause = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    arguments = getattr(cause, "args", ())
    code, detail = (arguments[0], arguments[-1]) if len(arguments) > 1 else (None, cause)
    hints = {
        1044: "The user may not use this database: GRANT ALL PRIVILEGES ON it.",
        1045: "User name or password is wrong: check MYSQL_USER and MYSQL_PASSWORD.",
        1049: "The database does not exist: CREATE DATABASE … CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci.",
        2003: "The server does not answer: check that it runs, and MYSQL_HOST and MYSQL_PORT.",
        2026: "TLS failed: check MYSQL_SSL_CA and the server's certificate.",
    }
    return f"{detail}\n{hints[code]}" if code in hints else str(detail)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line. Returns the exit code: 0 done, 1 refused or failed, 2 wrong usage."""
    parser = argparse.ArgumentParser(prog="init_db.py", description="Create or upgrade the tables of MCP Core.")
    parser.add_argument("--drop-existing", action="store_true", help="drop all tables of the database first")
    parser.add_argument("--yes", action="store_true", help="do not ask before dropping")
    parser.add_argument("--status", action="store_true", help="list the files that are still to be applied")
    parser.add_argument("--dry-run", action="store_true", help="say what would be applied and change nothing")
    options = parser.parse_args(arguments)
    environ = environment()
    try:
        url = database_url_from_environment(environ)
        engine = create_engine_for(url)
        shown = url.render_as_string(hide_password=True)
        if options.status or options.dry_run:
            waiting = pending_files(engine)
            print(f"{shown}: {len(waiting)} to apply", *waiting, sep="\n  ")
            return 0
        if options.drop_existing:
            if environ.get("ENV") == "production":
                print("ENV is production: tables are not dropped.", file=sys.stderr)
                return 1
            if not options.yes and input(f"Drop every table in {shown}? Type 'drop' to go on: ") != "drop":
                print("Nothing was changed.", file=sys.stderr)
                return 1
            print(f"Dropped {len(drop_all(engine))} tables.")
        report = migrate(engine)
    except (ConfigurationError, MigrationError, SqlFileError) as error:
        print(f"Not done: {error}", file=sys.stderr)
        return 1
    except (OperationalError, DBAPIError) as error:
        print(f"Not done: {_explain(error)}", file=sys.stderr)
        return 1
    except EOFError:
        print("Nothing was changed: --drop-existing asks first; add --yes in scripts.", file=sys.stderr)
        return 1
    for word, names in (("applied", report.applied), ("adopted", report.adopted), ("current", report.current)):
        for name in names:
            print(f"{word:8} {name}")
    print(f"{shown} is up to date.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
