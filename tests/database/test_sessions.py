"""The sessions that other services use."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, insert, select

from database.connection import (
    DatabaseConnection,
    get_db_session,
)
from database.models import RateCounter
from tests.database.test_schema import ROW_TIME
from tests.waiting import HANG_SECONDS

VARIABLES = {
    "MYSQL_HOST": "db.example.com",
    "MYSQL_PORT": "3307",
    "MYSQL_USER": "mcp_user",
    "MYSQL_PASSWORD": "p@ss:/#%word",
    "MYSQL_DATABASE": "mcp_core",
}


@pytest.fixture
def database_connection() -> Iterator[type[DatabaseConnection]]:
    DatabaseConnection.dispose()
    yield DatabaseConnection
    DatabaseConnection.dispose()


def counter(name: str, count: int = 1) -> dict[str, object]:
    return {"bucket": name, "count": count, "expires_at": ROW_TIME}


def test_a_session_commits_when_its_block_ends_well_and_rolls_back_when_it_raises(
    engine: Engine, database_connection: type[DatabaseConnection]
) -> None:
    database_connection.initialize(engine.url)
    with database_connection.get_session() as session:
        session.execute(insert(RateCounter), counter("kept"))
    with pytest.raises(ZeroDivisionError), database_connection.get_session() as session:  # noqa: PT012
        session.execute(insert(RateCounter), counter("lost"))
        raise ZeroDivisionError
    with engine.connect() as connection:
        assert connection.execute(select(RateCounter.bucket)).scalars().all() == ["kept"]


def test_a_dependency_session_keeps_only_what_its_user_commits(
    engine: Engine, database_connection: type[DatabaseConnection]
) -> None:
    database_connection.initialize(engine.url)
    for name, commits in (("kept", True), ("lost", False)):
        generator = get_db_session()
        session = next(generator)
        session.execute(insert(RateCounter), counter(name))
        if commits:
            session.commit()
        generator.close()
    with engine.connect() as connection:
        assert connection.execute(select(RateCounter.bucket)).scalars().all() == ["kept"]
    assert database_connection.get_engine().pool.checkedout() == 0  # type: ignore[attr-defined]


def test_the_first_initialisation_counts(database_connection: type[DatabaseConnection], tmp_path: Path) -> None:
    database_connection.initialize(f"sqlite:///{tmp_path}/one.db")
    engine = database_connection.get_engine()
    database_connection.initialize(f"sqlite:///{tmp_path}/two.db")
    assert database_connection.get_engine() is engine
    assert not (tmp_path / "two.db").exists()


def test_threads_that_ask_together_get_one_engine(
    database_connection: type[DatabaseConnection], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MCP_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    engines: list[Engine] = []
    threads = [threading.Thread(target=lambda: engines.append(database_connection.get_engine())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(HANG_SECONDS)
    assert len(engines) == 8
    assert len({id(engine) for engine in engines}) == 1
