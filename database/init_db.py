"""Creates and upgrades the tables: ``python database/init_db.py [--drop-existing|--after-restore|--status|--dry-run]``.

Each SQL file is applied once, in order, under a lock that every runner takes. The table ``schema_migrations`` remembers
the file's checksum and, since MySQL commits each DDL statement at once, how many of its statements are done.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import sys
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

if __package__ in (None, ""):  # run as a script: make the project importable from any working directory
    sys.path[:1] = [str(Path(__file__).resolve().parent.parent)]

from sqlalchemy import URL, Connection, Engine, inspect
from sqlalchemy.exc import DBAPIError

from database.after_restore import check_is_restored, end_what_was_issued
from database.connection import ConfigurationError, create_engine_for, database_url_from_environment, environment
from database.faults import error_code, explain_database_error
from database.ledger import (
    LEDGER,
    Entry,
    MigrationError,
    OvertakenError,
    begin_file,
    create_ledger,
    read_ledger,
    record_progress,
)
from database.runner import only_runner
from database.sql_files import FOLDER, SqlFile, SqlFileError, added_column, created_index, created_table, sql_files

TRIES = 3
DISPOSABLE = (
    "",
    "dev",
    "development",
    "local",
    "test",
    "testing",
    "ci",
)  # production has more spellings than one can list
MADE_BY_ANOTHER = {1050, 1060, 1061, 1213, 1684}  # it is there already, or gave way to another node's


@dataclass
class MigrationReport:
    """``applied`` files ran now, ``adopted`` ones were found in place, ``pending`` would run (dry run)."""

    applied: list[str] = field(default_factory=list)
    adopted: list[str] = field(default_factory=list)
    pending: list[str] = field(default_factory=list)
    current: list[str] = field(default_factory=list)


def migrate(engine: Engine, *, folder: Path = FOLDER, dry_run: bool = False) -> MigrationReport:
    """Brings the database to the newest version. Raises ``MigrationError``, ``SqlFileError``, ``DBAPIError``."""
    files = sql_files(folder)
    with engine.connect() as connection:
        report = _compare(files, read_ledger(connection))
    if dry_run or not report.pending:
        return report
    for _ in range(TRIES - 1):
        with contextlib.suppress(OvertakenError):
            return _migrate(engine, files)
    return _migrate(engine, files)


def _compare(files: Sequence[SqlFile], entries: Mapping[str, Entry]) -> MigrationReport:
    _check_ledger(files, entries)
    report = MigrationReport()
    for file in files:
        entry = entries.get(file.name)
        (report.current if entry is not None and entry.finished_at else report.pending).append(file.name)
    return report


def _migrate(engine: Engine, files: Sequence[SqlFile]) -> MigrationReport:
    with only_runner(engine) as connection:
        create_ledger(connection)
        entries = read_ledger(connection)
        report = _compare(files, entries)
        pending, report.pending = report.pending, []
        later = {added_column(statement) for file in files for statement in file.statements}
        for file in files:
            if file.name in pending:
                ran = _apply(connection, file, entries.get(file.name), later)
                (report.applied if ran else report.adopted).append(file.name)
    return report


def pending_files(engine: Engine) -> list[str]:
    """The files that ``migrate`` would apply. Changes nothing. Raises as ``migrate`` does."""
    return migrate(engine, dry_run=True).pending


def drop_all(engine: Engine, *, folder: Path = FOLDER) -> list[str]:
    """Drops every table that the SQL files make, and returns their names. Tables of others stay. No way back."""
    created = [created_table(statement) for file in sql_files(folder) for statement in file.statements]
    ours = [LEDGER, *(table[0] for table in created if table is not None)]
    with only_runner(engine) as connection:
        there = set(inspect(connection).get_table_names())
        names = [name for name in reversed(ours) if name in there]
        is_server = connection.dialect.name != "sqlite"
        connection.exec_driver_sql("SET FOREIGN_KEY_CHECKS=0" if is_server else "PRAGMA defer_foreign_keys=ON")
        for name in names:
            connection.exec_driver_sql(f"DROP TABLE {name}")
        if is_server:
            connection.exec_driver_sql("SET FOREIGN_KEY_CHECKS=1")
    return names


def _check_ledger(files: Sequence[SqlFile], entries: Mapping[str, Entry]) -> None:
    known = {file.name: file for file in files}
    for name, entry in entries.items():
        file = known.get(name)
        if file is None:
            raise MigrationError(f"{name} was applied to this database and is not here: is this an older version?")
        if entry.finished_at and file.sha256 != entry.sha256:
            raise MigrationError(f"{name} was edited after it had been applied; write a new migration instead")
        if not entry.finished_at and file.done_sha256(entry.statements_done) != entry.done_sha256:
            raise MigrationError(
                f"{name} was edited where it had been applied already: leave its first {entry.statements_done} "
                "statements as they were, and correct only what comes after them"
            )


def _apply(
    connection: Connection, file: SqlFile, entry: Entry | None, later: Collection[tuple[str, str] | None]
) -> bool:
    """Runs what is left of a file. Returns False when all of it was already in place."""
    if entry is None:
        begin_file(connection, file)
    done = 0 if entry is None else entry.statements_done
    ran = entry is not None
    if done == len(file.statements):
        record_progress(connection, file, done, done, 0)
    for index, statement in enumerate(file.statements[done:], done + 1):
        started = time.monotonic()
        try:
            if not _is_in_place(connection, statement, file.name, later):
                is_sqlite = connection.dialect.name == "sqlite"
                connection.exec_driver_sql(statement if is_sqlite else statement.replace("%", "%%"))
                ran = True
            record_progress(connection, file, index - 1, index, int((time.monotonic() - started) * 1000))
        except DBAPIError as error:
            kind = OvertakenError if error_code(error) in MADE_BY_ANOTHER else MigrationError
            place = f"{file.name}, statement {index} of {len(file.statements)}"
            raise kind(f"{place}: {explain_database_error(error)}") from error
    return ran


def _is_in_place(
    connection: Connection, statement: str, file_name: str, later: Collection[tuple[str, str] | None]
) -> bool:
    """Whether a table, index or column is there already, made by hand with the mysql client or before a crash.

    ``later`` are the columns that files add to tables; a table made by hand may have them.
    """
    table = created_table(statement)
    if table is not None:
        name, expected = table
        if not inspect(connection).has_table(name):
            return False
        found = {column for column in _columns(connection, name) if column in expected or (name, column) not in later}
        difference = found ^ set(expected)
        if difference:
            listed = ", ".join(sorted(difference))
            raise MigrationError(f"{file_name}: a table {name} exists with other columns ({listed})")
        return True
    index = created_index(statement)
    if index is not None:
        return any(item["name"] == index[0] for item in inspect(connection).get_indexes(index[1]))
    column = added_column(statement)
    return column is not None and column[1] in _columns(connection, column[0])


def _columns(connection: Connection, table: str) -> list[str]:
    return [column["name"] for column in inspect(connection).get_columns(table)]


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line. Returns the exit code: 0 done, 1 refused or failed, 2 wrong usage."""
    parser = argparse.ArgumentParser(prog="init_db.py", description="Create or upgrade the tables of MCP Core.")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--drop-existing", action="store_true", help="drop the tables and all that is in them first")
    what.add_argument(
        "--after-restore", action="store_true", help="end all sessions, grants and tokens that a backup brought back"
    )
    what.add_argument("--status", action="store_true", help="say which files have been applied and which have not")
    what.add_argument("--dry-run", action="store_true", help="say what would be applied, and change nothing")
    parser.add_argument("--yes", action="store_true", help="do not ask before dropping")
    options = parser.parse_args(arguments)
    try:
        return _run(options, environment())
    except (ConfigurationError, MigrationError, SqlFileError) as error:
        print(f"Not done: {error}", file=sys.stderr)
    except (DBAPIError, OSError) as error:
        print(f"Not done: {explain_database_error(error)}", file=sys.stderr)
    except (EOFError, KeyboardInterrupt):
        print("\nNothing was changed: --drop-existing asks first; add --yes in scripts.", file=sys.stderr)
    return 1


def _run(options: argparse.Namespace, environ: Mapping[str, str]) -> int:
    url = database_url_from_environment(environ)
    shown = url.render_as_string(hide_password=True)
    if options.status or options.dry_run:
        return _show(url, shown, with_current=options.status)
    if options.after_restore and _is_absent(url):
        raise MigrationError(f"nothing was restored: there is no {url.database}")
    engine = create_engine_for(url)
    if options.drop_existing:
        place = environ.get("ENV", "")
        if place.strip().lower() not in DISPOSABLE:
            allowed = ", ".join(filter(None, DISPOSABLE))
            print(f"Not done: ENV is {place}; tables are dropped only where it is unset or {allowed}.", file=sys.stderr)
            return 1
        with engine.connect():
            pass  # an unreachable server is reported before anything is asked
        if not options.yes and input(f"Drop the tables in {shown} and all that is in them? Type 'drop': ") != "drop":
            print("Nothing was changed.", file=sys.stderr)
            return 1
        print(f"Dropped {len(drop_all(engine))} tables.")
    if options.after_restore:
        check_is_restored(engine, sql_files())
    report = migrate(engine)
    if options.after_restore:
        for name, count in end_what_was_issued(engine, datetime.datetime.now(datetime.UTC)).items():
            print(f"{count:8} {name}{'' if name.startswith('active') else ' ended'}")
        print("Compare users, clients and API keys with the audit log since the backup: see database/README.md.")
    for word, names in (("applied", report.applied), ("adopted", report.adopted), ("current", report.current)):
        for name in names:
            print(f"{word:8} {name}")
    print(f"{shown} is up to date.")
    return 0


def _show(url: URL, shown: str, *, with_current: bool) -> int:
    """Looks only: a SQLite file that is not there is not made."""
    if _is_absent(url):
        report = MigrationReport(pending=[file.name for file in sql_files()])
    else:
        report = migrate(create_engine_for(url), dry_run=True)
    for name in report.current if with_current else ():
        print(f"current  {name}")
    for name in report.pending:
        print(f"pending  {name}")
    print(f"{shown}: {len(report.pending)} to apply.")
    return 0


def _is_absent(url: URL) -> bool:
    """Whether it names a SQLite file that is not there, which connecting would make."""
    return url.get_backend_name() == "sqlite" and not Path(str(url.database)).exists()


if __name__ == "__main__":
    sys.exit(main())
