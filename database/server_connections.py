"""Connecting to a MySQL or MariaDB server: what each session sets, TLS, and how long it may take."""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from typing import Any

from sqlalchemy import URL
from sqlalchemy.engine import Dialect

from database.breaker import ASK_SECONDS
from database.faults import ConfigurationError, is_timeout
from database.patience import LOCK_WAIT_SECONDS
from database.transaction import ASKING

SQL_MODE = (
    "ONLY_FULL_GROUP_BY,STRICT_TRANS_TABLES,NO_ZERO_IN_DATE,NO_ZERO_DATE,"
    "ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION"
)
# What a server's configuration can switch to something that would break or shorten our statements.
AS_USUAL = (
    "sql_safe_updates=0, sql_big_selects=1, sql_select_limit=18446744073709551615, sql_auto_is_null=0, "
    "foreign_key_checks=1, unique_checks=1, completion_type='NO_CHAIN'"
)
CONNECT_SECONDS = 3
GREETING_SECONDS = 5
LOOPBACK_HOSTS = ("localhost", "127.0.0.1", "::1")
OWN_QUERY = ("ssl_ca", "ssl_verify_identity", "wsrep_sync_wait")  # of a URL, for us and not for the driver
_NEEDS_TLS = (1045, 1251, 2061, 3159)  # a user or a server that demands it; the first is a wrong password as well
_TOO_MANY = 1040


def connect_arguments(url: URL, io_seconds: int | None, lock_wait_seconds: int | None = None) -> dict[str, Any]:
    """What PyMySQL is told besides the URL. Raises ``ConfigurationError``."""
    arguments: dict[str, Any] = {"init_command": _session_variables(io_seconds, lock_wait_seconds or LOCK_WAIT_SECONDS)}
    if url.password:
        arguments["password"] = url.password.encode()  # PyMySQL would take text for Latin-1
    authority, verify = url.query.get("ssl_ca"), url.query.get("ssl_verify_identity")
    if authority:
        must_verify = verify == "true" if verify else url.host not in LOOPBACK_HOSTS
        arguments["ssl"] = _tls_context(str(authority), verify_identity=must_verify)
    return arguments


def _session_variables(io_seconds: int | None, lock_wait_seconds: int) -> str:
    """One statement for both kinds of server. What nobody waits for any longer, the server ends as well."""
    set_them = (
        f"SET time_zone='+00:00', sql_mode='{SQL_MODE}', {AS_USUAL}, "
        f"innodb_lock_wait_timeout={lock_wait_seconds}, lock_wait_timeout={lock_wait_seconds}"
    )
    if io_seconds is None:
        return set_them
    return f"{set_them} /*M!, max_statement_time={io_seconds} */ /*!80000 , max_execution_time={io_seconds * 1000} */"


def wait_for_other_nodes(connection: Any, level: str) -> None:
    """On a Galera node, lets statements see what was committed on any other before (``wsrep_sync_wait``)."""
    with connection.cursor() as cursor:
        cursor.execute("SHOW VARIABLES LIKE 'wsrep_on'")
        found = cursor.fetchone()
        if found is not None and found[1] == "ON":
            cursor.execute("SET SESSION wsrep_sync_wait=%s", (int(level),))


class Connector:
    """Makes an engine's connections, within the time of who asks for one, and in plain where that is enough.

    PyMySQL would speak TLS with whoever offers it, and check nobody: on loopback that costs a sixth of each token and keeps
    nothing from anybody. So ``may_be_plain`` connects without, unless the server or the user demands it.
    """

    def __init__(self, *, may_be_plain: bool) -> None:
        self._is_plain = may_be_plain

    def __call__(self, dialect: Dialect, _record: Any, arguments: Sequence[Any], named: dict[str, Any]) -> Any:
        left = GREETING_SECONDS if ASKING.patience is None else max(ASKING.patience.left, 1.0)
        return self._connect(dialect, arguments, named, min(CONNECT_SECONDS, left), min(GREETING_SECONDS, left))

    def ask(self, dialect: Dialect, arguments: Sequence[Any], named: dict[str, Any]) -> None:
        """Returns when the server lets in and answers. Raises ``TimeoutError`` for silence, else what it said."""
        try:
            connection = self._connect(dialect, arguments, named, ASK_SECONDS, ASK_SECONDS)
            try:
                connection.cursor().execute("SELECT 1")
            finally:
                connection.close()
        except dialect.loaded_dbapi.Error as error:
            if is_timeout(error):
                raise TimeoutError from error
            if error.args[:1] != (_TOO_MANY,):  # that is an answer, and those who have a connection have theirs
                raise

    def _connect(
        self, dialect: Dialect, arguments: Sequence[Any], named: dict[str, Any], connect: float, greeting: float
    ) -> Any:
        named = {**named, "connect_timeout": connect, "read_timeout": greeting, "write_timeout": greeting}
        if not self._is_plain:
            return dialect.connect(*arguments, **named)
        try:
            return dialect.connect(*arguments, **named, ssl_disabled=True)
        except dialect.loaded_dbapi.Error as error:
            if error.args[:1] not in [(code,) for code in _NEEDS_TLS]:
                raise
        connection = dialect.connect(*arguments, **named)
        self._is_plain = False
        return connection


def _tls_context(authority: str, *, verify_identity: bool) -> ssl.SSLContext:
    # PyMySQL's own ssl_ca option encrypts without checking who is at the other end.
    try:
        context = ssl.create_default_context(cafile=authority)
    except (OSError, ssl.SSLError) as error:
        raise ConfigurationError(f"MYSQL_SSL_CA is no file of PEM certificates: {authority} ({error})") from error
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT  # certificates that MySQL makes itself are not strict
    context.check_hostname = verify_identity
    return context
