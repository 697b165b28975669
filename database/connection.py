"""How this process reaches the database: one engine, made from the environment once."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Generator, Iterator, Mapping
from pathlib import Path

from sqlalchemy import URL, Engine
from sqlalchemy.orm import Session

from database.engines import create_engine_for
from database.env_file import read_env_file
from database.faults import ConfigurationError
from database.row_encoding import let_fastapi_encode_rows
from database.server_checks import check_server

__all__ = [
    "ConfigurationError",
    "DatabaseConnection",
    "check_server",
    "create_engine_for",
    "database_url_from_environment",
    "environment",
    "get_db_session",
]


def environment() -> Mapping[str, str]:
    """The process environment over what ``.env`` in the working directory says. Raises ``ConfigurationError``."""
    return {**read_env_file(), **os.environ}


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
    return URL.create(
        "mysql+pymysql",
        username=environ["MYSQL_USER"],
        password=environ.get("MYSQL_PASSWORD") or None,
        host=environ.get("MYSQL_HOST") or "localhost",
        port=_port(environ.get("MYSQL_PORT") or "3306"),
        database=environ["MYSQL_DATABASE"],
        query={"charset": "utf8mb4", **_tls_query(environ), **_cluster_query(environ)},
    )


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 0 < int(text) < 65536):
        raise ConfigurationError("MYSQL_PORT must be a number from 1 to 65535")
    return int(text)


def _tls_query(environ: Mapping[str, str]) -> dict[str, str]:
    authority = environ.get("MYSQL_SSL_CA")
    verify = environ.get("MYSQL_SSL_VERIFY_IDENTITY")
    if verify and verify not in ("true", "false"):
        raise ConfigurationError("MYSQL_SSL_VERIFY_IDENTITY must be true or false")
    if not authority:
        return {}
    if not Path(authority).is_file():
        raise ConfigurationError(f"MYSQL_SSL_CA names a file that is not there: {authority}")
    return {"ssl_ca": authority, **({"ssl_verify_identity": verify} if verify else {})}


def _cluster_query(environ: Mapping[str, str]) -> dict[str, str]:
    level = environ.get("MYSQL_WSREP_SYNC_WAIT")
    if not level:
        return {}
    if not (level.isascii() and level.isdigit() and int(level) <= 15):
        raise ConfigurationError("MYSQL_WSREP_SYNC_WAIT must be a number from 0 to 15")
    return {"wsrep_sync_wait": str(int(level))}


class DatabaseConnection:
    """The process's one engine, for this server and for services that share the schema."""

    _engine: Engine | None = None
    _lock = threading.Lock()

    @classmethod
    def initialize(cls, url: URL | str | None = None) -> None:
        """Makes the engine from ``url`` or from the environment. A second call changes nothing.

        Raises ``ConfigurationError``.
        """
        cls._initialized(url)

    @classmethod
    def get_engine(cls) -> Engine:
        """The engine, made from the environment at the first call."""
        return cls._engine or cls._initialized(None)

    @classmethod
    def _initialized(cls, url: URL | str | None) -> Engine:
        with cls._lock:
            if cls._engine is None:
                cls._engine = create_engine_for(url or database_url_from_environment(environment()))
            return cls._engine

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
    let_fastapi_encode_rows()
    session = Session(DatabaseConnection.get_engine())
    try:
        yield session
    finally:
        session.rollback()
        session.close()
