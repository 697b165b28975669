"""How long a driver waits, on a connection that is open already. Each driver has a way of its own to say so."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection

from database.patience import LOCK_WAIT_SECONDS


def limit_answers(driver: Any, seconds: float | None) -> None:
    """How long PyMySQL waits for each answer from now on. It tells the system only what differs from the last answer."""
    driver._read_timeout = driver._write_timeout = seconds  # noqa: SLF001 - it has no public name


def limit_lock_wait(connection: Connection, seconds: float) -> None:
    """How long SQLite waits for another process that writes. Who shortens it restores it."""
    driver: Any = connection.connection.dbapi_connection
    driver.execute(f"PRAGMA busy_timeout={max(0, int(seconds * 1000))}")


def restore_lock_wait(connection: Connection) -> None:
    if not connection.invalidated:
        limit_lock_wait(connection, LOCK_WAIT_SECONDS)
