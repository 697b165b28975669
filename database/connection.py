"""How this process reaches the database: one engine, made from the environment once."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
from collections.abc import Generator, Iterator, Mapping
from pathlib import Path
from typing import Any

from dotenv import dotenv_values
from sqlalchemy import URL, Engine, create_engine, event, make_url, text
from sqlalchemy.orm import Session

SQL_MODE = "ONLY_FULL_GROUP_BY,STRICT_TRANS_TABLES,NO_ZERO_IN_DATE,NO_ZERO_DATE,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION"
CHECKOUT_SECONDS = 5
LOCK_WAIT_SECONDS = 5
CONNECT_SECONDS = 5
IO_SECONDS = 30
POOL_SIZE = 8
POOL_OVERFLOW = 8
OLDEST_MYSQL = (8, 0, 16)
OLDEST_MARIADB = (10, 6)


class ConfigurationError(Exception):
    """The database settings cannot be used. The text says what to change."""


def environment() -> Mapping[str, str]:
    """The process environment over what ``.env`` in the working directory says."""
    return {**{name: value for name, value in dotenv_values(".env").items() if value is not None}, **os.environ}


def database_url_from_environment(environ: Mapping[str, str]) -> URL:
    """MySQL by the ``MYSQL_*`` variables, or SQLite in ``MCP_HOME`` when neither host nor database is named.

    Raises ``ConfigurationError`` when the variables are incomplete or wrong.
    """
    if not environ.get("MYSQL_HOST") and not environ.get("MYSQL_DATABASE"):
        home = Path(environ.get("MCP_HOME") or "instance").absolute()
        return URL.create("sqlite", database=str(home / "mcp-core.db"))
    missing = [name for name in ("MYSQL_USER", "MYSQL_DATABASE") if not environ.get(name)]
    if missing:
        raise ConfigurationError(f"{' and '.join(missing)} must be set to use MySQL")
    try:
        port = int(environ.get("MYSQL_PORT") or 3306)
    except ValueError:
        raise ConfigurationError("MYSQL_PORT must be a number") from None
    query = {"charset": "utf8mb4"}
    authority = environ.get("MYSQL_SSL_CA")
    if authority:
        if not Path(authority).is_file():
            raise ConfigurationError(f"MYSQL_SSL_CA names a file that is not there: {authority}")
        query["ssl_ca"] = authority
    return URL.create(
        "mysql+pymysql",
        username=environ["MYSQL_USER"],
        password=environ.get("MYSQL_PASSWORD") or None,
        host=environ.get("MYSQL_HOST") or "localhost",
        port=port,
        database=environ["MYSQL_DATABASE"],
        query=query,
    )


def create_engine_for(url: URL | str) -> Engine:
    """An engine with the same rules on every server: UTC, utf8mb4, strict SQL, READ COMMITTED, bounded waits.

    On SQLite a transaction begins with the first write (``BEGIN IMMEDIATE``), reads before it see the latest commit,
    as READ COMMITTED does elsewhere; writers wait for each other instead of failing.
    """
    url = make_url(url)
    if url.get_backend_name() == "sqlite":
        return _sqlite_engine(url)
    return _server_engine(url)


def _sqlite_engine(url: URL) -> Engine:
    if url.database and url.database != ":memory:":
        Path(url.database).parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    engine = create_engine(
        url,
        connect_args={"isolation_level": "IMMEDIATE", "timeout": LOCK_WAIT_SECONDS},
        pool_size=POOL_SIZE,
        max_overflow=POOL_OVERFLOW,
        pool_timeout=CHECKOUT_SECONDS,
    )

    @event.listens_for(engine, "connect")
    def prepare(connection: sqlite3.Connection, _record: Any) -> None:
        for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON"):
            connection.execute(f"PRAGMA {pragma}")

    return engine


def _server_engine(url: URL) -> Engine:
    url = url.set(query={"charset": "utf8mb4", **url.query})
    authority = url.query.get("ssl_ca")
    arguments: dict[str, Any] = {
        "connect_timeout": CONNECT_SECONDS,
        "read_timeout": IO_SECONDS,
        "write_timeout": IO_SECONDS,
        "init_command": f"SET time_zone='+00:00', sql_mode='{SQL_MODE}', innodb_lock_wait_timeout={LOCK_WAIT_SECONDS}",
    }
    if url.password:
        arguments["password"] = url.password.encode()  # PyMySQL would take text for Latin-1
    if authority:
        arguments["ssl_verify_identity"] = False
    return create_engine(
        url,
        connect_args=arguments,
        isolation_level="READ COMMITTED",
        pool_pre_ping=True,
        pool_recycle=1800,
        pool_size=POOL_SIZE,
        max_overflow=POOL_OVERFLOW,
        pool_timeout=CHECKOUT_SECONDS,
    )


def check_server(engine: Engine) -> list[str]:
    """What is wrong with the database's version, character set or modes. Empty when all is well."""
    if engine.dialect.name == "sqlite":
        return []
    problems = []
    with engine.connect() as connection:
        version = connection.dialect.server_version_info or (0,)
        is_mariadb = bool(getattr(connection.dialect, "is_mariadb", False))
        oldest = OLDEST_MARIADB if is_mariadb else OLDEST_MYSQL
        if tuple(version)[: len(oldest)] < oldest:
            name = "MariaDB" if is_mariadb else "MySQL"
            problems.append(f"{name} {'.'.join(map(str, oldest))} or later is needed")
        charset, mode, zone = connection.execute(text("SELECT @@character_set_database, @@sql_mode, @@time_zone")).one()
        if charset != "utf8mb4":
            problems.append(f"the database has the character set {charset}; it must be utf8mb4")
        if "STRICT_TRANS_TABLES" not in mode and "STRICT_ALL_TABLES" not in mode:
            problems.append("sql_mode is not strict")
        if zone != "+00:00":
            problems.append(f"the connection's time zone is {zone}; it must be +00:00")
    return problems


class DatabaseConnection:
    """The process's one engine, for this server and for services that share the schema."""

    _engine: Engine | None = None
    _lock = threading.Lock()

    @classmethod
    def initialize(cls, url: URL | str | None = None) -> None:
        """Makes the engine from ``url`` or from the environment. A second call changes nothing.

        Raises ``ConfigurationError``.
        """
        with cls._lock:
            if cls._engine is None:
                cls._engine = create_engine_for(url or database_url_from_environment(environment()))

    @classmethod
    def get_engine(cls) -> Engine:
        if cls._engine is None:
            cls.initialize()
        engine = cls._engine
        assert engine is not None  # noqa: S101 - initialize() has set it
        return engine

    @classmethod
    @contextlib.contextmanager
    def get_session(cls) -> Iterator[Session]:
        """A session that commits when the block ends well and rolls back when it raises."""
        with Session(cls.get_engine()) as session:
            try:
                yield session
                session.commit()
            except BaseException:
                session.rollback()
                raise

    @classmethod
    def dispose(cls) -> None:
        """Closes every connection; the next use makes a new engine."""
        with cls._lock:
            engine, cls._engine = cls._engine, None
        if engine is not None:
            engine.dispose()


def get_db_session() -> Generator[Session, None, None]:
    """A session for FastAPI's ``Depends``: rolled back and closed at the end; the caller commits."""
    session = Session(DatabaseConnection.get_engine())
    try:
        yield session
    finally:
        session.rollback()
        session.close()
