"""Servers that are set up in other ways: the same rules hold for us, or the start says what to change."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping

import pymysql
import pytest
from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

from database.after_restore import end_what_was_issued
from database.connection import check_server, create_engine_for
from database.faults import explain_database_error
from database.init_db import migrate
from provider.security.crypto import Keyring
from tests.database_servers import DatabaseServer, create_database
from tests.endpoints.provider import Provider

NAME, USER, PASSWORD = "set_up_otherwise", "plain_user", "plain"
STRANGE = {
    "sql_safe_updates": "ON",
    "sql_mode": "'ANSI_QUOTES,PIPES_AS_CONCAT,NO_BACKSLASH_ESCAPES,HIGH_NOT_PRECEDENCE,IGNORE_SPACE'",
    "autocommit": "OFF",
    "completion_type": "'RELEASE'",
    "foreign_key_checks": "OFF",
    "unique_checks": "OFF",
    "sql_select_limit": "1",
    "sql_big_selects": "OFF",
    "max_join_size": "1",
    "sql_auto_is_null": "ON",
    "default_storage_engine": "'MEMORY'",
    "collation_server": "'utf8mb4_general_ci'",
    "time_zone": "'+09:00'",
    "innodb_lock_wait_timeout": "1",
    "lock_wait_timeout": "7",
    "wait_timeout": "1",
    "require_secure_transport": "ON",
    "init_connect": "'SET autocommit=0, sql_safe_updates=1, foreign_key_checks=0, sql_select_limit=1'",
}
OF_ONE = {
    "mysql": {
        "sql_require_primary_key": "ON",
        "sql_generate_invisible_primary_key": "ON",
        "explicit_defaults_for_timestamp": "OFF",
        "default_collation_for_utf8mb4": "'utf8mb4_general_ci'",
        "transaction_isolation": "'SERIALIZABLE'",
    },
    "mariadb": {"tx_isolation": "'SERIALIZABLE'", "innodb_force_primary_key": "ON"},
}


@pytest.fixture(params=["mariadb", "mysql"])
def server(request: pytest.FixtureRequest) -> DatabaseServer:
    made: DatabaseServer = request.getfixturevalue(f"{request.param}_server")
    return made


@pytest.fixture
def root(server: DatabaseServer) -> Iterator[pymysql.cursors.Cursor]:
    """The server's administrator, who has made a user with the documented rights, which are those of one database."""
    create_database(server.url(), NAME)
    with pymysql.connect(unix_socket=str(server.socket), user="root") as connection, connection.cursor() as cursor:
        cursor.execute(f"CREATE USER {USER}@'%' IDENTIFIED BY '{PASSWORD}'")
        cursor.execute(f"GRANT ALL PRIVILEGES ON {NAME}.* TO {USER}@'%'")
        yield cursor
        cursor.execute(f"DROP USER {USER}@'%'")
        cursor.execute(f"DROP DATABASE {NAME}")


@pytest.fixture
def engine_of_user(server: DatabaseServer, root: pymysql.cursors.Cursor) -> Iterator[Engine]:
    engine = create_engine_for(server.url(NAME, username=USER, password=PASSWORD))
    yield engine
    engine.dispose()


@contextlib.contextmanager
def set_up(root: pymysql.cursors.Cursor, variables: Mapping[str, str]) -> Iterator[None]:
    before = {}
    try:
        for name, value in variables.items():
            root.execute(f"SELECT @@global.{name}")
            row = root.fetchone()
            assert row is not None
            before[name] = row[0]
            root.execute(f"SET GLOBAL {name} = {value}")
        yield
    finally:
        for name, value in before.items():
            root.execute(f"SET GLOBAL {name} = %s", (value,))


def test_tables_are_made_and_tokens_given_whatever_the_configuration_says(
    server: DatabaseServer, root: pymysql.cursors.Cursor, engine_of_user: Engine, keyring: Keyring
) -> None:
    with set_up(root, {**STRANGE, **OF_ONE[server.product]}):
        migrate(engine_of_user)
        assert check_server(engine_of_user) == []
        provider = Provider.build(engine_of_user, keyring)
        with provider.begin() as tx:
            provider.services.setup_links.create(tx, provider.clock.now)
        client, machine = provider.client(), provider.machine()
        tokens = provider.tokens(provider.user(), client)
        assert provider.token(machine, {"grant_type": "client_credentials"}).status == 200
        assert provider.refresh(client, tokens["refresh_token"]).status == 200
        assert provider.revoke(client, tokens["refresh_token"]).status == 200
        assert not provider.is_alive(tokens["access_token"])
        with provider.begin() as tx:
            assert len(provider.services.clients.list(tx)) == 2
        assert end_what_was_issued(engine_of_user, provider.clock.now)["pending steps"] == 1


@pytest.mark.parametrize(
    "name, value, words",
    [
        ("read_only", "ON", "MYSQL_HOST must be one that writes"),
        ("transaction_read_only", "ON", "set its transaction_read_only (tx_read_only) to OFF"),
    ],
)
def test_what_cannot_work_is_explained(
    server: DatabaseServer, root: pymysql.cursors.Cursor, engine_of_user: Engine, name: str, value: str, words: str
) -> None:
    if server.product == "mariadb":
        name = name.replace("transaction", "tx")
    with set_up(root, {name: value}), pytest.raises(DBAPIError) as raised:
        migrate(engine_of_user)
    assert words in explain_database_error(raised.value)


def test_a_user_who_has_too_few_connections_is_explained(root: pymysql.cursors.Cursor, engine_of_user: Engine) -> None:
    root.execute(f"ALTER USER {USER}@'%' WITH MAX_USER_CONNECTIONS 1")
    with pytest.raises(DBAPIError) as raised:
        migrate(engine_of_user)
    assert "max_user_connections" in explain_database_error(raised.value)


@pytest.mark.parametrize(
    "name, value, words",
    [("read_only", "ON", "the server only reads"), ("max_allowed_packet", "65536", "max_allowed_packet is 65536")],
)
def test_what_cannot_work_is_found_by_the_check(
    root: pymysql.cursors.Cursor, engine_of_user: Engine, name: str, value: str, words: str
) -> None:
    with set_up(root, {name: value}):
        (problem,) = check_server(engine_of_user)
    assert words in problem
