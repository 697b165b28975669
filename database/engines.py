"""Engines with the same rules on every server: UTC, utf8mb4, strict SQL, READ COMMITTED, bounded waits."""

from __future__ import annotations

import json
import os
import sqlite3
import time
import weakref
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import URL, Engine, create_engine, event, make_url
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import InvalidatePoolError

from database.breaker import BREAKERS, Breaker
from database.faults import NO_QUORUM, ConfigurationError, is_timeout, without_values
from database.patience import LOCK_WAIT_SECONDS
from database.server_connections import LOOPBACK_HOSTS, OWN_QUERY, Connector, connect_arguments, wait_for_other_nodes
from database.statement_forms import fetch_at_once
from database.transaction import ASKING, COMMITTED, TURNS
from database.turns import Turns
from database.waits import limit_answers

CHECKOUT_SECONDS = 3
PING_SECONDS = 2
IO_SECONDS = 30
POOL_SIZE = 8
TRUSTED_SECONDS = 1
PRAGMAS = ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "wal_autocheckpoint=4000")
_USED_AT = "mcp_core_used_at"
POOL_OVERFLOW = 8
# Without blanks and escapes: an emoji takes four bytes in place of twelve.
_JSON = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False)
_URLS: weakref.WeakKeyDictionary[Engine, URL] = weakref.WeakKeyDictionary()


def create_engine_for(url: URL | str, *, io_seconds: int | None = IO_SECONDS) -> Engine:
    """An engine for ``sqlite:///…`` or ``mysql+pymysql://…``. Connects to nothing yet, but makes the SQLite file.

    On SQLite a transaction begins with the first write (``BEGIN IMMEDIATE``), reads before it see the latest commit,
    as READ COMMITTED does elsewhere; writers wait for each other instead of failing. On a server, the query parameter
    ``ssl_ca`` asks for TLS with a certificate by that authority, and ``ssl_verify_identity`` (``true`` or ``false``)
    says whether the certificate must name the host as well: by default everywhere but on loopback.
    ``wsrep_sync_wait`` is what sessions on a Galera node set, 1 unless given, 0 for nothing. ``io_seconds`` bounds the
    wait for an answer to one statement, None does not; a ``Patience`` shortens it. Raises ``ConfigurationError``.
    """
    url = make_url(url)
    engine = _sqlite_engine(url) if url.get_backend_name() == "sqlite" else _server_engine(url, io_seconds)
    _URLS[engine] = url
    return engine


def patient_engine(engine: Engine) -> Engine:
    """A second engine for the same database that waits for any statement's end: for changes of tables."""
    return create_engine_for(_URLS.get(engine, engine.url), io_seconds=None)


def hasty_engine(engine: Engine) -> Engine:
    """A second engine for the same database, which waits for locks as short as can be: for batches, of which one locked row
    would keep everybody waiting. On SQLite it is the same one: there is one writer at a time."""
    if engine.dialect.name == "sqlite":
        return engine
    url = _URLS.get(engine, engine.url)
    made = _server_engine(url, IO_SECONDS, lock_wait_seconds=1, breaker=BREAKERS.get(engine))
    _URLS[made] = url
    return made


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
        hide_parameters=True,
    )
    event.listen(engine, "do_execute", fetch_at_once)
    TURNS[engine] = Turns()
    BREAKERS[engine] = Breaker(lambda: _read_file(url.database))

    @event.listens_for(engine, "connect")
    def prepare(connection: sqlite3.Connection, _record: Any) -> None:
        for pragma in PRAGMAS:
            connection.execute(f"PRAGMA {pragma}")

    return engine


def _read_file(path: str | None) -> None:
    """Whether the file is there and is a database. Makes none."""
    if not path or path == ":memory:":
        return
    connection = sqlite3.connect(f"file:{quote(path)}?mode=rw", uri=True)
    try:
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    finally:
        connection.close()


def _make_private_file(path: Path) -> None:
    """The file holds hashes and addresses of people: only its owner may read it, nor its write-ahead log."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be opened: {error.strerror}") from error


def _server_engine(
    url: URL, io_seconds: int | None, *, lock_wait_seconds: int | None = None, breaker: Breaker | None = None
) -> Engine:
    """``breaker`` is what is known of the server already."""
    arguments = connect_arguments(url, io_seconds, lock_wait_seconds)
    engine = create_engine(
        url.difference_update_query(OWN_QUERY).update_query_dict({"charset": "utf8mb4"}),
        connect_args=arguments,
        isolation_level="READ COMMITTED",
        pool_use_lifo=True,
        pool_recycle=1800,
        pool_size=POOL_SIZE,
        max_overflow=POOL_OVERFLOW,
        pool_timeout=CHECKOUT_SECONDS,
        pool_reset_on_return=None,
        json_serializer=_JSON.encode,
        hide_parameters=True,
    )
    connector = Connector(may_be_plain="ssl" not in arguments and url.host in LOOPBACK_HOSTS)
    event.listen(engine, "do_connect", connector)
    event.listen(engine, "do_execute", fetch_at_once)
    dialect = engine.dialect
    positional, named = dialect.create_connect_args(engine.url)
    breaker = breaker or Breaker(lambda: connector.ask(dialect, positional, {**named, **arguments}))
    BREAKERS[engine] = breaker
    sync_wait = str(url.query.get("wsrep_sync_wait", "1"))

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _record: Any) -> None:
        if sync_wait != "0":
            wait_for_other_nodes(connection, sync_wait)
        limit_answers(connection, io_seconds)

    @event.listens_for(engine, "checkout")
    def ping(connection: Any, record: Any, _fairy: Any) -> None:
        # What ``pool_pre_ping`` does, but for requests of ours only after a pause: they are repeated when a connection
        # turns out to be dead (``run_in_transaction``). A new connection has no time yet, and needs no ping.
        used_at = record.info.pop(_USED_AT, None)
        if used_at is not None and not (ASKING.retries and time.monotonic() - used_at < TRUSTED_SECONDS):
            limit_answers(connection, PING_SECONDS)
            try:
                engine.dialect.do_ping(connection)
            except engine.dialect.loaded_dbapi.Error as error:
                if is_timeout(error):
                    breaker.timed_out()
                raise InvalidatePoolError from error
        limit_answers(connection, io_seconds)

    @event.listens_for(engine, "reset")
    def roll_back(connection: Any, record: Any, state: Any) -> None:
        record.info[_USED_AT] = time.monotonic()
        # What SQLAlchemy does with every connection that comes back. After a commit it would be a round trip for nothing.
        if not state.terminate_only and not record.info.pop(COMMITTED, False):
            connection.rollback()
        breaker.answered()

    @event.listens_for(engine, "handle_error")
    def look_at(fault: ExceptionContext) -> None:
        if is_timeout(fault.original_exception):
            breaker.timed_out()
        if fault.original_exception.args[:1] == (NO_QUORUM,):
            fault.is_disconnect = True  # another connection may lead to another node
        if fault.statement is not None:
            _hide_values(fault)

    return engine


def _hide_values(fault: ExceptionContext) -> None:
    """What a statement was given stays out of logs: the server repeats it in some of its errors."""
    original, wrapped = fault.original_exception, fault.sqlalchemy_exception
    if wrapped is None or len(original.args) < 2:
        return
    original.args = (original.args[0], without_values(str(original.args[1])), *original.args[2:])
    wrapped.args = (f"({type(original).__module__}.{type(original).__name__}) {original}",)


def _forget_connections_of_the_parent() -> None:
    """A forked worker must never speak on a connection that its parent also holds."""
    for engine in list(_URLS):
        engine.dispose(close=False)
    for breaker in list(BREAKERS.values()):
        breaker.forget()


os.register_at_fork(after_in_child=_forget_connections_of_the_parent)
