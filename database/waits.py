"""How long a driver waits, on a connection that is open already. Each driver has a way of its own to say so."""

from __future__ import annotations

import sqlite3
from typing import Any

from sqlalchemy import Connection

from database.patience import LOCK_WAIT_SECONDS

SHORTENED = "mcp_core_shortened"  # in a connection's ``info``: SQLite waits less than usual for other processes


def limit_answers(driver: Any, seconds: float | None) -> None:
    """How long PyMySQL waits for each answer from now on. It tells the system only what differs from the last answer."""
    driver._read_timeout = driver._write_timeout = seconds  # noqa: SLF001 - it has no public name


def limit_lock_wait(connection: Connection, seconds: float) -> None:
    """How long SQLite waits for another process that writes, until the connection goes back to the pool."""
    driver: Any = connection.connection.dbapi_connection
    driver.execute(f"PRAGMA busy_timeout={max(0, int(seconds * 1000))}")
    connection.info[SHORTENED] = True


def restore_lock_wait(driver: sqlite3.Connection) -> None:
    driver.execute(f"PRAGMA busy_timeout={LOCK_WAIT_SECONDS * 1000}")
