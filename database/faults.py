"""Faults of the database: which pass by themselves, and what an operator can do about the others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

DATABASE_ERRORS = (DBAPIError, PoolTimeout)
_PASSING_CODES = {1205, 1213, 2006, 2013, 4031}

_HINTS = {
    1044: "The user may not use this database: GRANT ALL PRIVILEGES ON it (see database/README.md).",
    1045: "User name or password is wrong, or the user may not come from this host: check MYSQL_USER and MYSQL_PASSWORD.",
    1049: "The database does not exist: CREATE DATABASE … CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci.",
    1130: "The server lets nobody in from this host: CREATE USER 'mcp_user'@'%' or with this host's address.",
    1142: "The user lacks a right: GRANT ALL PRIVILEGES ON the database (see database/README.md).",
    1698: "The user logs in by another way than a password: CREATE USER … IDENTIFIED BY a password.",
    2003: "The server does not answer: check that it runs, and MYSQL_HOST and MYSQL_PORT.",
    2013: "The connection was lost: check the server's log, and that MYSQL_PORT is that of a MySQL server.",
    2026: "TLS failed: check MYSQL_SSL_CA and whether the server offers TLS.",
    2061: "The user's way to log in needs TLS or another plugin: set MYSQL_SSL_CA.",
    3159: "The server accepts only TLS connections: set MYSQL_SSL_CA.",
}
_CERTIFICATE = (
    "The server's certificate was refused: MYSQL_SSL_CA must hold the authority that signed it, and the certificate must "
    "name MYSQL_HOST (MYSQL_SSL_VERIFY_IDENTITY=false accepts any name by that authority)."
)


def explain_database_error(error: Exception) -> str:
    """One line of what happened, and one of what to check where that is known. Holds no password."""
    cause = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    arguments: tuple[object, ...] = getattr(cause, "args", ())
    if len(arguments) < 2 or not isinstance(arguments[0], int):
        return str(cause)
    code, detail = arguments[0], str(arguments[1])
    if "CERTIFICATE_VERIFY_FAILED" in detail:
        return f"{detail}\n{_CERTIFICATE}"
    return f"{detail}\n{_HINTS[code]}" if code in _HINTS else f"{detail} ({code})"


def is_database_fault(error: Exception) -> bool:
    """Whether the database could not be reached or could not go on, as opposed to a wrong statement."""
    return isinstance(error, (OperationalError, InterfaceError, PoolTimeout))


def is_passing_fault(error: Exception) -> bool:
    """A deadlock, a lock wait or a lost connection: the same call may succeed at once (MySQL 1205, 1213, 2006, 2013)."""
    if not isinstance(error, DBAPIError):
        return False
    if error.connection_invalidated:
        return True
    arguments: Sequence[Any] = getattr(error.orig, "args", ())
    return bool(arguments) and (arguments[0] in _PASSING_CODES or "database is locked" in str(arguments[0]))
