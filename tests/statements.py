"""What reaches the database: a property that says more than a stop-watch, and the same on every machine."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from typing import Any

import pymysql.connections
import pytest
from pymysql.constants import COMMAND
from sqlalchemy import Engine, event


@contextlib.contextmanager
def statements_of(engine: Engine) -> Iterator[list[str]]:
    """Collects the statements of the block, in their order."""
    seen: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        seen.append(statement)

    event.listen(engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        event.remove(engine, "before_cursor_execute", note)


@contextlib.contextmanager
def sent_to(engine: Engine) -> Iterator[list[str]]:
    """Collects what the driver sends in the block, transactions' begin and end included: on a server, each is a round trip.

    Pings are left out: they depend on how long a connection has lain idle.
    """
    seen: list[str] = []
    if engine.dialect.name == "sqlite":
        traced: list[sqlite3.Connection] = []

        def trace(connection: sqlite3.Connection, *_rest: Any) -> None:
            connection.set_trace_callback(seen.append)
            traced.append(connection)

        event.listen(engine, "checkout", trace)
        try:
            yield seen
        finally:
            event.remove(engine, "checkout", trace)
            for connection in traced:
                connection.set_trace_callback(None)
        return

    send = pymysql.connections.Connection._execute_command  # type: ignore[attr-defined]

    def note(connection: Any, command: int, sql: str | bytes) -> None:
        if command == COMMAND.COM_QUERY:
            seen.append(sql if isinstance(sql, str) else sql.decode("utf-8", "surrogateescape"))
        send(connection, command, sql)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pymysql.connections.Connection, "_execute_command", note)
        yield seen
