"""Engines with the same rules on every server: UTC, utf8mb4, strict SQL, READ COMMITTED, bounded waits."""

from __future__ import annotations

import json
import os
import sqlite3
import ssl
import time
import weakref
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Engine, create_engine, event, make_url
from sqlalchemy.exc import InvalidatePoolError

from database.transaction import ASKING, COMMITTED, TURNS
from database.turns import Turns

SQL_MODE = (
    "ONLY_FULL_GROUP_BY,STRICT_TRANS_TABLES,NO_ZERO_IN_DATE,NO_ZERO_DATE,"
    "ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION"
)
CHECKOUT_SECONDS = 5
LOCK_WAIT_SECONDS = 5
CONNECT_SECONDS = 5
GREETING_SECONDS = 10
IO_SECONDS = 30
POOL_SIZE = 8
TRUSTED_SECONDS = 1
PRAGMAS = ("journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON", "wal_autocheckpoint=4000")
_USED_AT = "mcp_core_used_at"
POOL_OVERFLOW = 8
LOOPBACK_HOSTS = ("localhost", "127.0.0.1", "::1")
# Without blanks and escapes: an emoji takes four bytes in place of twelve.
_JSON = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False)
_URLS: weakref.WeakKeyDictionary[Engine, URL] = weakref.WeakKeyDictionary()


class ConfigurationError(Exception):
    """The database settings cannot be used. The text says what to change."""


def create_engine_for(url: URL | str, *, io_seconds: int | None = IO_SECONDS) -> Engine:
    """An engine for ``sqlite:///…`` or ``mysql+pymysql://…``. Connects to nothing yet, but makes the SQLite file.

    On SQLite a transaction begins with the first write (``BEGIN IMMEDIATE``), reads before it see the latest commit,
    as READ COMMITTED does elsewhere; writers wait for each other instead of failing. On a server, the query parameter
    ``ssl_ca`` asks for TLS with a certificate by that authority, and ``ssl_verify_identity`` (``true`` or ``false``)
    says whether the certificate must name the host as well: by default everywhere but on loopback.
    ``io_seconds`` bounds the wait for an answer to one statement, None does not. Raises ``ConfigurationError``.
    """
    url = make_url(url)
    engine = _sqlite_engine(url) if url.get_backend_name() == "sqlite" else _server_engine(url, io_seconds)
    _URLS[engine] = url
    return engine


def patient_engine(engine: Engine) -> Engine:
    """A second engine for the same database that waits for any statement's end: for changes of tables."""
    return create_engine_for(_URLS.get(engine, engine.url), io_seconds=None)


def _sqlite_engine(url: URL) -> Engine:
    if url.database and url.database != ":memory:":
        _make_private_file(Path(url.database))
    engine = create_engine(
        url,
        connect_args={"isolation_level": "IMMEDIATE", "timeout": LOCK_WAIT_SECONDS},
        pool_size=POOL_SIZE,
        max_overflow=POOL_OVERFLOW,
        pool_timeout=CHECKOUT_SECONDS,
        pool_use_lifo=True,
        json_serializer=_JSON.encode,
    )
    TURNS[engine] = Turns(LOCK_WAIT_SECONDS)

    @event.listens_for(engine, "connect")
    def prepare(connection: sqlite3.Connection, _record: Any) -> None:
        for pragma in PRAGMAS:
            connection.execute(f"PRAGMA {pragma}")

    return engine


def _make_private_file(path: Path) -> None:
    """The file holds hashes and addresses of people: only its owner may read it, nor its write-ahead log."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be opened: {error.strerror}") from error


def _server_engine(url: URL, io_seconds: int | None) -> Engine:
    authority = url.query.get("ssl_ca")
    verify = url.query.get("ssl_verify_identity")
    arguments: dict[str, Any] = {
        "connect_timeout": CONNECT_SECONDS,
        "read_timeout": GREETING_SECONDS,
        "write_timeout": GREETING_SECONDS,
        "init_command": f"SET time_zone='+00:00', sql_mode='{SQL_MODE}', innodb_lock_wait_timeout={LOCK_WAIT_SECONDS}",
    }
    if url.password:
        arguments["password"] = url.password.encode()  # PyMySQL would take text for Latin-1
    if authority:
        must_verify = verify == "true" if verify else url.host not in LOOPBACK_HOSTS
        arguments["ssl"] = _tls_context(str(authority), verify_identity=must_verify)
    engine = create_engine(
        url.difference_update_query(("ssl_ca", "ssl_verify_identity")).update_query_dict({"charset": "utf8mb4"}),
        connect_args=arguments,
        isolation_level="READ COMMITTED",
        pool_use_lifo=True,
        pool_recycle=1800,
        pool_size=POOL_SIZE,
        max_overflow=POOL_OVERFLOW,
        pool_timeout=CHECKOUT_SECONDS,
        pool_reset_on_return=None,
        json_serializer=_JSON.encode,
    )

    if not authority and url.host in LOOPBACK_HOSTS:
        event.listen(engine, "do_connect", _PlainConnections())

    @event.listens_for(engine, "checkout")
    def ping(connection: Any, record: Any, _fairy: Any) -> None:
        # What ``pool_pre_ping`` does, but for requests of ours only after a pause: they are repeated when a connection
        # turns out to be dead (``run_in_transaction``). A new connection has no time yet, and needs no ping.
        used_at = record.info.pop(_USED_AT, None)
        if used_at is None or (ASKING.retries and time.monotonic() - used_at < TRUSTED_SECONDS):
            return
        try:
            engine.dialect.do_ping(connection)
        except engine.dialect.loaded_dbapi.Error as error:
            raise InvalidatePoolError from error

    @event.listens_for(engine, "reset")
    def roll_back(connection: Any, record: Any, state: Any) -> None:
        record.info[_USED_AT] = time.monotonic()
        # What SQLAlchemy does with every connection that comes back. After a commit it would be a round trip for nothing.
        if not state.terminate_only and not record.info.pop(COMMITTED, False):
            connection.rollback()

    @event.listens_for(engine, "connect")
    def wait_for_statements(connection: Any, _record: Any) -> None:
        # PyMySQL has one limit for statements and for the greeting, where what is no MySQL server may keep silent.
        connection._read_timeout = connection._write_timeout = io_seconds  # noqa: SLF001 - it has no public name

    return engine


class _PlainConnections:
    """Connects without TLS, within this machine and where no authority is named, unless the server wants it.

    PyMySQL would speak TLS with whoever offers it, and check nobody: on loopback that costs a sixth of each token and
    keeps nothing from anybody.
    """

    _NEEDS_TLS = (
        1045,
        1251,
        2061,
        3159,
    )  # a user or a server that demands it; the first one is a wrong password as well

    def __init__(self) -> None:
        self._is_refused = False

    def __call__(self, dialect: Any, _record: Any, arguments: Any, named: dict[str, Any]) -> Any:
        """The connection, or None, which leaves it to the driver."""
        if self._is_refused:
            return None
        try:
            return dialect.connect(*arguments, **named, ssl_disabled=True)
        except dialect.loaded_dbapi.Error as error:
            if error.args[:1] not in [(code,) for code in self._NEEDS_TLS]:
                raise
        connection = dialect.connect(*arguments, **named)
        self._is_refused = True
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


def _forget_connections_of_the_parent() -> None:
    """A forked worker must never speak on a connection that its parent also holds."""
    for engine in list(_URLS):
        engine.dispose(close=False)


os.register_at_fork(after_in_child=_forget_connections_of_the_parent)
