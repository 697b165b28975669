"""Faults of the database: which pass by themselves, and what an operator can do about the others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout


class ConfigurationError(Exception):
    """The database settings cannot be used. The text says what to change."""


class DatabaseUnavailable(SQLAlchemyError):
    """The database is not asked: it is known to be silent, or the caller's time for it is over."""


class CommitUnknown(SQLAlchemyError):
    """The answer to a COMMIT was lost, and whether it happened could not be found out. Nothing may be repeated."""


DATABASE_ERRORS = (DBAPIError, PoolTimeout, DatabaseUnavailable, CommitUnknown)
OUT_OF_REACH = (OperationalError, InterfaceError, PoolTimeout, DatabaseUnavailable, CommitUnknown)
NO_QUORUM = 1047  # a Galera node that has lost the others, or has not caught up with them
_UNDONE_CODES = {1205, 1213, 3101}  # lock wait, deadlock or refused by certification, the same of Group Replication
_PASSING_CODES = {*_UNDONE_CODES, NO_QUORUM, 2006, 2013, 4031}
_NAMES = ("table ", "column ", "field ", "key ", "function ")

_HINTS = {
    1040: "The server has no connection left: raise max_connections (17 for each worker).",
    1044: "The user may not use this database: GRANT ALL PRIVILEGES ON it (see database/README.md).",
    1045: "User name or password is wrong, or the user may not come from this host: check MYSQL_USER and MYSQL_PASSWORD.",
    1047: "This node of the cluster has no quorum, or has not caught up: see wsrep_cluster_status and the other nodes.",
    1049: "The database does not exist: CREATE DATABASE … CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci.",
    1130: "The server lets nobody in from this host: CREATE USER 'mcp_user'@'%' or with this host's address.",
    1142: "The user lacks a right: GRANT ALL PRIVILEGES ON the database (see database/README.md).",
    1153: "The server takes no packet of this size: set its max_allowed_packet to 16M.",
    1203: "The user has no connection left: raise max_user_connections (17 for each worker).",
    1226: "The user has used up what it may have: see max_user_connections, and the limits in its CREATE USER.",
    1290: "The server only reads: MYSQL_HOST must be one that writes (read_only and super_read_only are OFF there).",
    1665: "The server's binary log is kept by statements: set its binlog_format to ROW.",
    1698: "The user logs in by another way than a password: CREATE USER … IDENTIFIED BY a password.",
    1792: "The server's transactions only read: set its transaction_read_only (tx_read_only) to OFF.",
    1836: "The server only reads: it was started with innodb_read_only or innodb_force_recovery.",
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
    code, detail = _code_and_detail(error)
    if code is None:
        return detail
    if "CERTIFICATE_VERIFY_FAILED" in detail:
        return f"{detail}\n{_CERTIFICATE}"
    return f"{detail}\n{_HINTS[code]}" if code in _HINTS else f"{detail} ({code})"


def error_code(error: DBAPIError) -> int | None:
    """The number that MySQL or MariaDB gave the error."""
    arguments: tuple[object, ...] = getattr(error.orig, "args", ())
    return arguments[0] if arguments and isinstance(arguments[0], int) else None


def is_database_fault(error: Exception) -> bool:
    """Whether the database could not be reached or could not go on, as opposed to a wrong statement."""
    return isinstance(error, OUT_OF_REACH)


def is_passing_fault(error: Exception) -> bool:
    """A deadlock, a lock wait or a lost connection: the same call may succeed at once (MySQL 1205, 1213, 2006, 2013)."""
    if not isinstance(error, DBAPIError):
        return False
    if error.connection_invalidated:
        return True
    code, detail = _code_and_detail(error)
    return code in _PASSING_CODES or "database is locked" in detail


def is_undone(error: Exception) -> bool:
    """Whether a COMMIT that ended with this error has certainly changed nothing: the server said so itself."""
    code, detail = _code_and_detail(error)
    return code in _UNDONE_CODES or "database is locked" in detail


def is_timeout(error: BaseException) -> bool:
    """Whether a connection or an answer did not come in time, as opposed to one that was refused or cut off."""
    cause = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    return isinstance(cause.__context__, TimeoutError)


def without_values(text: str) -> str:
    """The server's text of an error without what the statement was given: ``Duplicate entry '…' for key 'users.name'``.

    Values stand in quotes and may hold quotes themselves; what a table, a column or a key is called stays.
    """
    start, end = text.find("'"), text.rfind("'")
    if start == end or text[:start].lower().endswith(_NAMES):
        return text
    named = text.rfind("' for ")
    if text[named + len("' for ") :].startswith(_NAMES):
        end = named
    return f"{text[:start]}'…{text[end:]}"


def _code_and_detail(error: BaseException) -> tuple[int | None, str]:
    """The server's number of an error and its text; no number where it is SQLite's or the driver's own."""
    cause: BaseException = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    arguments: Sequence[Any] = getattr(cause, "args", ())
    if len(arguments) > 1 and isinstance(arguments[0], int):
        return arguments[0], str(arguments[1])
    return None, str(cause)
