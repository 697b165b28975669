"""The engine's rules hold on every connection, whatever the server's defaults are."""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path

import pytest
from sqlalchemy import Engine, insert, select, text, update
from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from database.connection import (
    ConfigurationError,
    create_engine_for,
)
from database.engines import POOL_OVERFLOW, POOL_SIZE, patient_engine
from database.models import RateCounter
from database.server_connections import SQL_MODE
from tests.database.test_schema import ROW_TIME
from tests.database_servers import MariaDBServer
from tests.waiting import HANG_SECONDS


def counter(name: str, count: int = 1) -> dict[str, object]:
    return {"bucket": name, "count": count, "expires_at": ROW_TIME}


def test_a_server_connection_is_strict_utc_utf8_and_read_committed(server_engine: Engine) -> None:
    with server_engine.connect() as connection:
        found = connection.execute(
            text(
                "SELECT @@sql_mode, @@time_zone, @@character_set_client, @@character_set_results, "
                "@@innodb_lock_wait_timeout, @@lock_wait_timeout, @@autocommit"
            )
        ).one()
        assert connection.get_isolation_level() == "READ COMMITTED"
    assert set(found[0].split(",")) == set(SQL_MODE.split(","))
    assert tuple(found[1:]) == ("+00:00", "utf8mb4", "utf8mb4", 5, 5, 0)


def test_a_statement_is_cut_off_by_the_server_as_well(server_engine: Engine) -> None:
    limit, seconds = ("@@max_statement_time", 1) if is_mariadb(server_engine) else ("@@max_execution_time", 1000)
    with server_engine.connect() as connection:
        assert connection.execute(text(f"SELECT {limit}")).scalar_one() == 30 * seconds


def test_a_change_of_tables_is_cut_off_by_nobody(server_engine: Engine) -> None:
    patient = patient_engine(server_engine)
    with patient.connect() as connection:
        limit = "@@max_statement_time" if is_mariadb(server_engine) else "@@max_execution_time"
        assert connection.execute(text(f"SELECT {limit}")).scalar_one() == 0
        assert connection.connection.dbapi_connection._read_timeout is None  # type: ignore[union-attr]
    patient.dispose()


def is_mariadb(engine: Engine) -> bool:
    with engine.connect():
        return bool(getattr(engine.dialect, "is_mariadb", False))


def test_a_sqlite_connection_has_a_write_ahead_log_foreign_keys_and_patience(sqlite_engine: Engine) -> None:
    with sqlite_engine.connect() as connection:
        found = [connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in
                 ("journal_mode", "foreign_keys", "busy_timeout", "synchronous")]  # fmt: skip
    assert found == ["wal", 1, 5000, 2]


def test_the_sqlite_file_is_for_its_owner_only(tmp_path: Path) -> None:
    engine = create_engine_for(f"sqlite:///{tmp_path}/home/mcp-core.db")
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE t (id INTEGER)")
        files = list((tmp_path / "home").iterdir())
        assert len(files) == 3
        assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
    assert stat.S_IMODE((tmp_path / "home").stat().st_mode) == 0o700
    engine.dispose()


def test_a_sqlite_file_that_cannot_be_made_is_a_configuration_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match="cannot be opened"):
        create_engine_for(f"sqlite:///{tmp_path}/file/mcp-core.db")


def test_a_commit_of_another_connection_is_seen_by_the_next_read(engine: Engine) -> None:
    """READ COMMITTED: a conditional UPDATE and the reads around it see what others have committed."""
    count = select(RateCounter.count).where(RateCounter.bucket == "b")
    with engine.connect() as reader, engine.connect() as writer:
        assert reader.execute(count).first() is None
        writer.execute(insert(RateCounter), counter("b"))
        assert reader.execute(count).first() is None
        writer.commit()
        assert reader.execute(count).scalar() == 1


def test_one_of_many_writers_wins_a_conditional_update(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(insert(RateCounter), counter("b", 0))
    claim = update(RateCounter).where(RateCounter.bucket == "b", RateCounter.count == 0).values(count=1)
    won, errors, start = [], [], threading.Barrier(6)

    def run() -> None:
        start.wait(HANG_SECONDS)
        try:
            with engine.connect() as connection:
                connection.execute(select(RateCounter.count)).all()
                won.append(connection.execute(claim).rowcount)
                connection.commit()
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=run) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(HANG_SECONDS)
    assert errors == []
    assert sorted(won) == [0, 0, 0, 0, 0, 1]


def test_concurrent_writers_lose_nothing(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(insert(RateCounter), counter("sum", 0))
    add = update(RateCounter).where(RateCounter.bucket == "sum").values(count=RateCounter.count + 1)
    errors: list[Exception] = []

    def run(name: int) -> None:
        try:
            for step in range(10):
                with engine.begin() as connection:
                    connection.execute(select(RateCounter.count)).all()
                    connection.execute(add)
                    connection.execute(insert(RateCounter), counter(f"{name} {step}"))
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(name,)) for name in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(HANG_SECONDS)
    assert errors == []
    with engine.connect() as connection:
        assert connection.execute(select(RateCounter.count).where(RateCounter.bucket == "sum")).scalar() == 60
        assert connection.execute(text("SELECT count(*) FROM rate_counters")).scalar() == 61


def test_a_deadlock_ends_one_side_at_once_with_the_code_that_the_edge_repeats(server_engine: Engine) -> None:
    with server_engine.begin() as connection:
        connection.execute(insert(RateCounter), [counter("a"), counter("b")])
    both_hold_one, codes = threading.Barrier(2), []

    def run(first: str, second: str) -> None:
        with server_engine.connect() as connection:
            touch = update(RateCounter).values(count=RateCounter.count + 1)
            connection.execute(touch.where(RateCounter.bucket == first))
            both_hold_one.wait(HANG_SECONDS)
            try:
                connection.execute(touch.where(RateCounter.bucket == second))
                connection.commit()
                codes.append(0)
            except OperationalError as error:
                codes.append(error.orig.args[0])  # type: ignore[union-attr]

    threads = [threading.Thread(target=run, args=order) for order in (("a", "b"), ("b", "a"))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(HANG_SECONDS)
    assert sorted(codes) == [0, 1213]


def test_a_saturated_pool_gives_up_instead_of_waiting_for_ever(
    sqlite_engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_engine.pool, "_timeout", 0.05)
    taken = [sqlite_engine.connect() for _ in range(POOL_SIZE + POOL_OVERFLOW)]
    with pytest.raises(PoolTimeout):
        sqlite_engine.connect()
    for connection in taken:
        connection.close()
    sqlite_engine.connect().close()


def test_a_checkout_waits_three_seconds_at_most(engine: Engine) -> None:
    assert engine.pool._timeout == 3  # type: ignore[attr-defined]


def test_an_engine_recovers_by_itself_when_the_server_comes_back() -> None:
    server = MariaDBServer()
    try:
        engine = create_engine_for(server.url())
        with engine.connect() as connection:
            assert connection.execute(text("SELECT 1")).scalar() == 1
        server.kill()
        with pytest.raises(OperationalError), engine.connect():
            pass
        server.start()
        with engine.connect() as connection:
            assert connection.execute(text("SELECT 1")).scalar() == 1
        engine.dispose()
    finally:
        server.close()


def test_a_forked_child_does_not_speak_on_its_parents_connection(server_engine: Engine) -> None:
    number = text("SELECT connection_id()")
    with server_engine.connect() as connection:
        parents = connection.execute(number).scalar_one()
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        with server_engine.connect() as connection:
            os.write(writing, str(connection.execute(number).scalar_one()).encode())
        os._exit(0)
    os.close(writing)
    childs = int(os.read(reading, 100))
    os.close(reading)
    os.waitpid(child, 0)
    with server_engine.connect() as connection:
        assert connection.execute(number).scalar_one() == parents
    assert childs != parents
