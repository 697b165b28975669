"""Files are applied once, in order, by one runner at a time; a failure leaves a place to go on from."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, inspect, text

from database import init_db
from database.connection import create_engine_for
from database.init_db import drop_all, migrate, pending_files
from database.ledger import LEDGER, MigrationError
from database.models import metadata
from database.runner import RUNNER, only_runner
from database.sql_files import sql_files
from tests.database_servers import DatabaseServer, create_database
from tests.waiting import HANG_SECONDS

ROOT = Path(__file__).resolve().parents[2]
FILES = [
    "schemas/001_users_authentication.sql",
    "schemas/002_authorization_server.sql",
    "migrations/20261126_1130_add_registration_and_logout.sql",
    "migrations/20261126_1230_add_cleanup_indices.sql",
    "migrations/20261128_1612_add_consecutive_failures.sql",
    "migrations/20261128_1613_add_consented_digest_and_introspection_clients.sql",
    "migrations/20261128_1620_add_sweeping_indices.sql",
    "migrations/20261128_1631_add_subject_and_epoch.sql",
    "migrations/20261128_2001_client_switches.sql",
    "migrations/20261128_2002_resource_details.sql",
    "migrations/20261128_2022_device_and_time_zone.sql",
    "migrations/20261129_0001_add_mail_messages.sql",
    "migrations/20261129_0020_invitations.sql",
    "migrations/20261129_0030_recovery.sql",
    "migrations/20261129_0040_passkeys.sql",
    "migrations/20261129_0050_remembered_devices.sql",
    "migrations/20261129_0100_profiles.sql",
    "migrations/20261129_0110_alerts.sql",
    "migrations/20261129_0120_groups.sql",
    "migrations/20261129_0130_cloud_accounts.sql",
]
FIRST = "CREATE TABLE one (\n  id INTEGER NOT NULL\n);\nCREATE INDEX ix_one ON one (id);\n"
SECOND = "ALTER TABLE one ADD COLUMN name VARCHAR(9);\nINSERT INTO one (id, name) VALUES (1, '100%');\n"


@pytest.fixture(params=["sqlite", "mariadb", "mysql"])
def bare_engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    """A database with nothing in it."""
    if request.param == "sqlite":
        engine = create_engine_for(f"sqlite:///{tmp_path}/bare.db")
    else:
        server: DatabaseServer = request.getfixturevalue(f"{request.param}_server")
        engine = create_engine_for(create_database(server.url(), "bare"))
    yield engine
    engine.dispose()


@pytest.fixture(params=["mariadb", "mysql"])
def bare_server(request: pytest.FixtureRequest) -> Iterator[Engine]:
    server: DatabaseServer = request.getfixturevalue(f"{request.param}_server")
    engine = create_engine_for(create_database(server.url(), "bare"))
    yield engine
    engine.dispose()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two files of our own: a table, and a column with a row."""
    made = tmp_path / "sql"
    write(made, "schemas/001_one.sql", FIRST)
    write(made, "migrations/20260701_1200_two.sql", SECOND)
    return made


def write(folder: Path, name: str, content: str) -> None:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(content, encoding="utf-8")


def rows(engine: Engine, statement: str) -> list[tuple[object, ...]]:
    with engine.connect() as connection:
        return [tuple(row) for row in connection.execute(text(statement))]


def ours(engine: Engine) -> set[str]:
    """Every table of ours in a migrated database. SQLite has one writer at a time anyway."""
    return {*metadata.tables, LEDGER} | ({RUNNER} if engine.dialect.name != "sqlite" else set())


def test_an_empty_database_gets_every_table_and_a_second_run_changes_nothing(bare_engine: Engine) -> None:
    assert migrate(bare_engine).applied == FILES
    assert set(inspect(bare_engine).get_table_names()) == ours(bare_engine)
    again = migrate(bare_engine)
    assert (again.applied, again.adopted, again.current) == ([], [], FILES)


def test_looking_changes_nothing(bare_engine: Engine) -> None:
    assert pending_files(bare_engine) == FILES
    assert migrate(bare_engine, dry_run=True).pending == FILES
    assert inspect(bare_engine).get_table_names() == []


def test_a_new_file_is_applied_after_those_that_are_there(bare_engine: Engine, folder: Path) -> None:
    migrate(bare_engine, folder=folder)
    write(folder, "migrations/20260702_0000_three.sql", "UPDATE one SET name = 'new';")
    assert migrate(bare_engine, folder=folder).applied == ["migrations/20260702_0000_three.sql"]
    assert rows(bare_engine, "SELECT name FROM one") == [("new",)]


def test_a_percent_sign_in_a_file_stays_one(bare_engine: Engine, folder: Path) -> None:
    migrate(bare_engine, folder=folder)
    assert rows(bare_engine, "SELECT name FROM one") == [("100%",)]


def test_a_file_edited_after_it_was_applied_is_refused(bare_engine: Engine, folder: Path) -> None:
    migrate(bare_engine, folder=folder)
    write(folder, "schemas/001_one.sql", FIRST + "-- a harmless remark\n")
    for look in (False, True):
        with pytest.raises(MigrationError, match=r"001_one\.sql was edited after it had been applied"):
            migrate(bare_engine, folder=folder, dry_run=look)


def test_a_file_that_is_gone_is_noticed(bare_engine: Engine, folder: Path) -> None:
    migrate(bare_engine, folder=folder)
    (folder / "migrations/20260701_1200_two.sql").unlink()
    with pytest.raises(MigrationError, match=r"20260701_1200_two\.sql was applied .* and is not here"):
        migrate(bare_engine, folder=folder)


def test_a_failure_in_the_middle_says_where_and_the_corrected_file_goes_on_from_there(
    bare_engine: Engine, folder: Path
) -> None:
    name = "migrations/20260702_0000_three.sql"
    good = "INSERT INTO one (id) VALUES (2);\nINSERT INTO one (id) VALUES (3);\n"
    write(folder, name, good + "INSERT INTO nowhere (id) VALUES (1);\n")
    with pytest.raises(MigrationError, match=r"three\.sql, statement 3 of 3: .*nowhere"):
        migrate(bare_engine, folder=folder)
    write(folder, name, good + "INSERT INTO one (id) VALUES (4);\n")
    assert name in migrate(bare_engine, folder=folder).applied
    assert rows(bare_engine, "SELECT id FROM one ORDER BY id") == [(1,), (2,), (3,), (4,)]
    assert migrate(bare_engine, folder=folder).applied == []


def test_on_sqlite_a_failure_undoes_the_whole_run(tmp_path: Path, folder: Path) -> None:
    engine = create_engine_for(f"sqlite:///{tmp_path}/undone.db")
    write(folder, "migrations/20260702_0000_three.sql", "CREATE TABLE half (\n  id INTEGER\n);\nSELECT nonsense;\n")
    with pytest.raises(MigrationError):
        migrate(engine, folder=folder)
    assert inspect(engine).get_table_names() == []
    engine.dispose()


def test_on_a_server_what_was_applied_before_a_failure_may_not_be_edited(bare_server: Engine, folder: Path) -> None:
    name = "migrations/20260702_0000_three.sql"
    write(folder, name, "INSERT INTO one (id) VALUES (2);\nINSERT INTO nowhere (id) VALUES (1);\n")
    with pytest.raises(MigrationError):
        migrate(bare_server, folder=folder)
    write(folder, name, "INSERT INTO one (id) VALUES (20);\nINSERT INTO one (id) VALUES (3);\n")
    with pytest.raises(MigrationError, match="leave its first 1 statements as they were"):
        migrate(bare_server, folder=folder)
    assert rows(bare_server, "SELECT count(*) FROM one WHERE id > 1") == [(1,)]


@pytest.mark.parametrize("lost", range(5))
def test_a_crash_between_a_statement_and_its_record_is_survived(bare_server: Engine, folder: Path, lost: int) -> None:
    """MySQL commits a change of a table at once; the ledger's line for it can then be missing."""
    write(folder, "schemas/001_one.sql", FIRST + "CREATE TABLE three (\n  id INTEGER\n);\n")
    migrate(bare_server, folder=folder)
    with bare_server.begin() as connection:
        for file_name, count in (("schemas/001_one.sql", 3), ("migrations/20260701_1200_two.sql", 1)):
            done = max(min(count, lost), 0)
            lost -= count
            file = next(item for item in sql_files(folder) if item.name == file_name)
            connection.execute(
                text(
                    f"UPDATE {LEDGER} SET statements_done=:done, done_sha256=:hash, finished_at=NULL WHERE name=:name"
                ),
                {"done": done, "hash": file.done_sha256(done), "name": file_name},
            )
        connection.execute(text("DELETE FROM one"))
    migrate(bare_server, folder=folder)
    assert rows(bare_server, "SELECT name FROM one") == [("100%",)]
    assert migrate(bare_server, folder=folder, dry_run=True).pending == []


def test_tables_made_by_hand_are_adopted_with_what_is_in_them(bare_engine: Engine, folder: Path) -> None:
    with bare_engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE one (id INTEGER NOT NULL)")
        connection.exec_driver_sql("CREATE INDEX ix_one ON one (id)")
        connection.exec_driver_sql("INSERT INTO one (id) VALUES (7)")
    report = migrate(bare_engine, folder=folder)
    assert report.adopted == ["schemas/001_one.sql"]
    assert report.applied == ["migrations/20260701_1200_two.sql"]
    assert rows(bare_engine, "SELECT id FROM one ORDER BY id") == [(1,), (7,)]


def test_what_is_missing_of_a_file_applied_by_hand_is_made(bare_engine: Engine, folder: Path) -> None:
    with bare_engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE one (id INTEGER NOT NULL)")
    assert "schemas/001_one.sql" in migrate(bare_engine, folder=folder).applied
    assert [index["name"] for index in inspect(bare_engine).get_indexes("one")] == ["ix_one"]


def test_a_table_of_the_same_name_with_other_columns_is_not_adopted(bare_engine: Engine) -> None:
    with bare_engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE users (id INTEGER NOT NULL, nickname TEXT)")
    with pytest.raises(MigrationError, match=r"a table users exists with other columns .*nickname"):
        migrate(bare_engine)


def test_threads_that_migrate_together_do_the_work_once(bare_engine: Engine) -> None:
    start, reports, errors = threading.Barrier(4), [], []

    def run() -> None:
        start.wait(HANG_SECONDS)
        try:
            reports.append(migrate(bare_engine))
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(HANG_SECONDS)
    assert errors == []
    assert sorted(len(report.applied) for report in reports) == [0, 0, 0, len(FILES)]
    assert [len(report.current) for report in reports].count(len(FILES)) == 3


def test_two_processes_started_together_do_the_work_once(
    mariadb_server: DatabaseServer, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    create_database(mariadb_server.url(), "bare")
    for environment in (mariadb_server.environment("bare"), {"MCP_HOME": str(tmp_path / "home")}):
        processes = [
            subprocess.Popen(
                [sys.executable, str(ROOT / "database/init_db.py")],
                cwd=tmp_path,
                env={"PATH": "/usr/bin:/bin", **environment},
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            for _ in range(3)
        ]
        outputs = [process.communicate(timeout=HANG_SECONDS) for process in processes]
        assert [process.returncode for process in processes] == [0, 0, 0], outputs
        assert sum(output.count("applied ") for output, _ in outputs) == len(FILES)
        assert sum(output.count("current ") for output, _ in outputs) == 2 * len(FILES)


def test_a_runner_that_waits_in_vain_says_who_is_at_work(bare_server: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("database.runner.WAIT_SECONDS", 1)
    words = rf"another migration holds the lock \(\S+ process {os.getpid()}\)"
    with only_runner(bare_server), pytest.raises(MigrationError, match=words):
        migrate(bare_server)


def test_a_runner_that_fails_gives_the_lock_back_at_once(bare_server: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ZeroDivisionError), only_runner(bare_server):
        raise ZeroDivisionError
    monkeypatch.setattr("database.runner.WAIT_SECONDS", 1)
    with only_runner(bare_server):
        pass


_HOLD = """
import sys, time
from database import runner
from database.connection import create_engine_for
runner.LEASE_SECONDS = 2
with runner.only_runner(create_engine_for(sys.stdin.readline().strip())):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_runner_that_is_killed_keeps_nobody_out_for_long(bare_engine: Engine) -> None:
    url = bare_engine.url.render_as_string(hide_password=False)
    holder = subprocess.Popen(
        [sys.executable, "-c", _HOLD], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdin is not None
    assert holder.stdout is not None
    holder.stdin.write(url + "\n")
    holder.stdin.flush()
    assert holder.stdout.readline() == "held\n"
    holder.kill()
    holder.communicate(timeout=30)
    assert migrate(bare_engine).applied == FILES


def test_a_runner_holds_on_for_as_long_as_it_works(bare_server: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, seconds in (("LEASE_SECONDS", 1), ("RENEW_SECONDS", 0.2), ("WAIT_SECONDS", 2)):
        monkeypatch.setattr(f"database.runner.{name}", seconds)
    with only_runner(bare_server), pytest.raises(MigrationError, match="another migration"), only_runner(bare_server):
        pass


def expire(engine: Engine) -> None:
    """What a pause of the holder that is longer than its lease does: the next in line takes over."""
    with engine.begin() as connection:
        connection.exec_driver_sql(f"UPDATE {RUNNER} SET holder = '', expires_at = '2000-01-01'")


@pytest.mark.parametrize("statement", range(5))
def test_a_runner_that_was_overtaken_does_nothing_twice(
    bare_server: Engine, folder: Path, monkeypatch: pytest.MonkeyPatch, statement: int
) -> None:
    """Before each statement in turn, another process does the whole work, as on a node that saw the lease run out."""
    write(folder, "migrations/20260701_1200_two.sql", SECOND + "UPDATE one SET id = id + 1;\n")
    checks, check = [], init_db._is_in_place

    def overtaken(*arguments: Any) -> bool:
        is_in_place = check(*arguments)
        checks.append(is_in_place)
        if len(checks) == statement + 1:
            arguments[0].commit()  # the lock on the ledger's line is not what is tried here
            expire(bare_server)
            assert migrate(bare_server, folder=folder).pending == []
        return is_in_place

    monkeypatch.setattr(init_db, "_is_in_place", overtaken)
    assert migrate(bare_server, folder=folder).current == ["schemas/001_one.sql", "migrations/20260701_1200_two.sql"]
    assert rows(bare_server, "SELECT id, name FROM one") == [(2, "100%")]


def test_the_sqlite_connection_that_migrated_waits_no_longer_than_others(tmp_path: Path) -> None:
    engine = create_engine_for(f"sqlite:///{tmp_path}/wait.db")
    migrate(engine)
    with engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA busy_timeout").scalar() == 5000
        assert connection.exec_driver_sql("PRAGMA foreign_keys").scalar() == 1
    engine.dispose()


def test_dropping_removes_our_tables_with_their_rows_and_leaves_those_of_others(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO users (id, username, username_canonical, email, email_canonical, created_at, updated_at) "
                "VALUES ('1', 'a', 'a', 'a', 'a', '2026-07-01', '2026-07-01')"
            )
        )
        connection.execute(
            text("INSERT INTO recovery_codes (id, user_id, code_hash, created_at) VALUES ('1', '1', 'x', '2026-07-01')")
        )
        connection.exec_driver_sql("CREATE TABLE of_another_service (id INTEGER)")
    try:
        assert set(drop_all(engine)) == {*metadata.tables, LEDGER}
        assert set(inspect(engine).get_table_names()) - {RUNNER} == {"of_another_service"}
        assert migrate(engine).applied == FILES
        assert rows(engine, "SELECT count(*) FROM users") == [(0,)]
    finally:
        with engine.begin() as connection:
            connection.exec_driver_sql("DROP TABLE of_another_service")
        migrate(engine)


def test_who_administered_before_there_were_groups_is_in_the_group(bare_engine: Engine, tmp_path: Path) -> None:
    earlier = tmp_path / "earlier"
    for name in FILES[: FILES.index("migrations/20261129_0120_groups.sql")]:
        write(earlier, name, (ROOT / "database" / name).read_text(encoding="utf-8"))
    migrate(bare_engine, folder=earlier)
    people = {"ana": True, "bora": False, "cyrus": True}
    with bare_engine.begin() as connection:
        for name, is_admin in people.items():
            columns = {name: name for name in ("username", "username_canonical", "email", "email_canonical")}
            row = {
                **dict.fromkeys(columns, name),
                "id": f"{name:->36}",
                "is_admin": is_admin,
                **dict.fromkeys(("created_at", "updated_at"), f"2026-07-0{len(name)} 00:00:00.000000"),
            }
            statement = f"INSERT INTO users ({', '.join(row)}) VALUES ({', '.join(f':{name}' for name in row)})"
            connection.execute(text(statement), row)
    migrate(bare_engine)
    assert rows(bare_engine, "SELECT name FROM user_groups") == [("administrators",)]
    members = rows(bare_engine, "SELECT u.username FROM group_members m JOIN users u ON u.id = m.user_id ORDER BY 1")
    assert members == [("ana",), ("cyrus",)]
