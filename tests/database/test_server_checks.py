"""What ``doctor`` says about a database server."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import create_engine

from database.connection import (
    check_server,
    create_engine_for,
)
from database.server_checks import _too_old
from tests.database_servers import MariaDBServer, create_database


def test_a_database_with_another_character_set_is_reported(mariadb_server: MariaDBServer) -> None:
    url = create_database(mariadb_server.url(), "latin", charset="latin1", collation="latin1_swedish_ci")
    engine = create_engine_for(url)
    assert check_server(engine) == ["the database has the character set latin1; it must be utf8mb4"]
    engine.dispose()


def test_a_connection_without_our_rules_is_reported(mariadb_server: MariaDBServer, mariadb_url: object) -> None:
    url = mariadb_server.url("mcp_core")
    plain = create_engine(url, connect_args={"password": url.password.encode()})  # type: ignore[union-attr]
    problems = check_server(plain)
    assert any("sql_mode is not strict" in problem for problem in problems)
    assert any("time zone is SYSTEM" in problem for problem in problems)
    plain.dispose()


def test_a_table_that_compares_loosely_or_has_no_transactions_is_reported(mariadb_server: MariaDBServer) -> None:
    engine = create_engine_for(create_database(mariadb_server.url(), "loose"))
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE users (id CHAR(36)) ENGINE=MyISAM DEFAULT CHARSET=utf8mb4")
    problems = check_server(engine)
    assert len(problems) == 2
    assert "users is stored by MyISAM" in problems[0]
    assert "takes different texts for equal" in problems[1]
    engine.dispose()


def test_a_sqlite_database_without_foreign_keys_or_log_is_reported(tmp_path: Path) -> None:
    plain = create_engine(f"sqlite:///{tmp_path}/plain.db")
    assert len(check_server(plain)) == 2
    plain.dispose()


@pytest.mark.parametrize(
    "product,version,is_fine",
    [
        ("MySQL", (8, 0, 16), False),
        ("MySQL", (8, 0, 17), True),
        ("MySQL", (9, 7, 0), True),
        ("MySQL", (26, 7), True),
        ("MySQL", (5, 7, 44), False),
        ("MariaDB", (10, 5, 29), False),
        ("MariaDB", (10, 11, 19), True),
        ("MariaDB", (12, 1), True),
    ],
)
def test_versions_are_compared_as_numbers(product: str, version: tuple[int, ...], is_fine: bool) -> None:
    assert (_too_old(product, version) == []) == is_fine
