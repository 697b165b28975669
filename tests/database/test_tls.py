"""MYSQL_SSL_CA: encrypted, and to the right server."""

from __future__ import annotations

from collections.abc import Iterator

import pymysql
import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import OperationalError

from database.connection import (
    ConfigurationError,
    create_engine_for,
    database_url_from_environment,
)
from database.engines import patient_engine
from tests.database_servers import USER, MariaDBServer, create_database


def tls_engine(server: MariaDBServer, authority: str, **changes: str) -> Engine:
    variables = {**server.environment("mysql"), "MYSQL_SSL_CA": str(server.authority.with_name(authority)), **changes}
    return create_engine_for(database_url_from_environment(variables))


def is_encrypted(engine: Engine) -> bool:
    with engine.connect() as connection:
        cipher = connection.execute(text("SHOW STATUS LIKE 'Ssl_cipher'")).one()[1]
    engine.dispose()
    return bool(cipher)


@pytest.mark.parametrize("verify", [{}, {"MYSQL_SSL_VERIFY_IDENTITY": "true"}])
def test_a_certificate_by_the_named_authority_is_accepted(
    mariadb_server: MariaDBServer, verify: dict[str, str]
) -> None:
    assert is_encrypted(tls_engine(mariadb_server, "ca.pem", **verify))


@pytest.mark.parametrize("verify", [{}, {"MYSQL_SSL_VERIFY_IDENTITY": "false"}])
def test_a_certificate_by_another_authority_is_refused(mariadb_server: MariaDBServer, verify: dict[str, str]) -> None:
    with pytest.raises(OperationalError, match="CERTIFICATE_VERIFY_FAILED"):
        tls_engine(mariadb_server, "other-ca.pem", **verify).connect()


def test_a_certificate_for_another_host_is_refused_unless_said_otherwise(mariadb_server: MariaDBServer) -> None:
    elsewhere = {"MYSQL_HOST": "127.0.0.2"}  # the certificate names 127.0.0.1
    with pytest.raises(OperationalError, match="IP address mismatch"):
        tls_engine(mariadb_server, "ca.pem", **elsewhere).connect()
    assert is_encrypted(tls_engine(mariadb_server, "ca.pem", **elsewhere, MYSQL_SSL_VERIFY_IDENTITY="false"))


def test_a_file_that_holds_no_certificate_is_named(mariadb_server: MariaDBServer) -> None:
    with pytest.raises(ConfigurationError, match="MYSQL_SSL_CA is no file of PEM certificates"):
        tls_engine(mariadb_server, "server.key")


def test_migrations_use_tls_as_well(mariadb_server: MariaDBServer) -> None:
    create_database(mariadb_server.url(), "tls")
    engine = tls_engine(mariadb_server, "ca.pem", MYSQL_DATABASE="tls")
    patient = patient_engine(engine)
    assert is_encrypted(patient)
    with pytest.raises(OperationalError, match="CERTIFICATE_VERIFY_FAILED"):
        patient_engine(tls_engine(mariadb_server, "other-ca.pem", MYSQL_DATABASE="tls")).connect()
    assert USER in str(engine.url)


def plain_engine(server: MariaDBServer, **changes: str) -> Engine:
    return create_engine_for(database_url_from_environment({**server.environment("mysql"), **changes}))


def test_without_an_authority_nothing_is_encrypted_within_this_machine(mariadb_server: MariaDBServer) -> None:
    assert not is_encrypted(plain_engine(mariadb_server))
    assert not is_encrypted(patient_engine(plain_engine(mariadb_server)))


def test_beyond_loopback_tls_is_taken_where_it_is_offered(mariadb_server: MariaDBServer) -> None:
    assert is_encrypted(plain_engine(mariadb_server, MYSQL_HOST="127.0.0.2"))  # by its name another machine


@pytest.fixture
def demanding_user(mariadb_server: MariaDBServer) -> Iterator[str]:
    root = pymysql.connect(unix_socket=str(mariadb_server.socket), user="root")
    with root, root.cursor() as cursor:
        cursor.execute("CREATE USER demanding@'%' IDENTIFIED BY 'secret' REQUIRE SSL")
        cursor.execute("GRANT ALL PRIVILEGES ON *.* TO demanding@'%'")
        yield "demanding"
        cursor.execute("DROP USER demanding@'%'")


def test_a_user_who_must_have_tls_gets_it(mariadb_server: MariaDBServer, demanding_user: str) -> None:
    engine = plain_engine(mariadb_server, MYSQL_USER=demanding_user, MYSQL_PASSWORD="secret")
    for _ in range(2):
        assert is_encrypted(engine)


def test_a_wrong_password_stays_one(mariadb_server: MariaDBServer) -> None:
    with pytest.raises(OperationalError, match="Access denied"):
        plain_engine(mariadb_server, MYSQL_PASSWORD="wrong").connect()
