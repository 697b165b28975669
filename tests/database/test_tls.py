"""MYSQL_SSL_CA: encrypted, and to the right server."""

from __future__ import annotations

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
