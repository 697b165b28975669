"""One request's transaction: opened by the first statement, ended by the edge."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any

from sqlalchemy import Connection, CursorResult, Engine
from sqlalchemy.sql import Executable

COMMITTED = "mcp_core_committed"  # in a connection's ``info``: nothing has been asked of it since its commit


class Transaction:
    """A lazily opened connection with one transaction.

    Nothing is checked out of the pool before the first statement, so a request that needs no database works without
    one. ``commit`` and ``rollback`` give the connection back; a later statement begins a new transaction, which is how
    password hashing stays outside of one.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._connection: Connection | None = None
        self._after_commit: list[Callable[[], None]] = []

    @property
    def is_open(self) -> bool:
        return self._connection is not None

    @property
    def is_sqlite(self) -> bool:
        """For the rare statement that SQL servers and SQLite spell differently."""
        return self._engine.dialect.name == "sqlite"

    def execute(
        self, statement: Executable, parameters: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None
    ) -> CursorResult[Any]:
        if self._connection is None:
            self._connection = self._engine.connect()
        return self._connection.execute(statement, parameters)

    def on_commit(self, action: Callable[[], None]) -> None:
        """Calls ``action`` once the transaction is committed, never if it is rolled back (log lines, cache evictions)."""
        self._after_commit.append(action)

    def commit(self) -> None:
        if self._connection is not None:
            try:
                self._connection.commit()
                self._connection.info[COMMITTED] = True
            except BaseException:
                self._after_commit.clear()
                raise
            finally:
                self._release()
        actions, self._after_commit = self._after_commit, []
        for action in actions:
            action()

    def rollback(self) -> None:
        self._after_commit.clear()
        if self._connection is not None:
            try:
                self._connection.rollback()
            finally:
                self._release()

    def _release(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def __enter__(self) -> Transaction:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Commits when the block ended well, rolls back when it raised."""
        if kind is None:
            self.commit()
        else:
            self.rollback()
