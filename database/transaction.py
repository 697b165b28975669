"""One request's transaction: opened by the first statement, ended by the edge."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any

from sqlalchemy import Connection, CursorResult, Engine
from sqlalchemy.sql import Executable

from database.prepared import Prepared
from database.turns import Turns


class _Asking(threading.local):
    """Who is just asking the pool for a connection: ``retries`` is whether it bears one that is dead."""

    retries = False


COMMITTED = "mcp_core_committed"  # in a connection's ``info``: nothing has been asked of it since its commit
ASKING = _Asking()
TURNS: weakref.WeakKeyDictionary[Engine, Turns] = weakref.WeakKeyDictionary()  # of engines with one writer at a time


class Transaction:
    """A lazily opened connection with one transaction.

    Nothing is checked out of the pool before the first statement, so a request that needs no database works without
    one. ``commit`` and ``rollback`` give the connection back; a later statement begins a new transaction, which is how
    password hashing stays outside of one.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._connection: Connection | None = None
        self._turns: Turns | None = TURNS.get(engine)
        self._has_turn = False
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
        return self._opened(is_write=bool(getattr(statement, "is_dml", False))).execute(statement, parameters)

    def count(self, statement: Prepared, values: Mapping[str, Any]) -> int:
        """Runs a prepared statement and returns how many rows it wrote."""
        return statement.count(self._opened(is_write=statement.is_write), values)

    def first(self, statement: Prepared, values: Mapping[str, Any]) -> tuple[Any, ...] | None:
        """The first row that a prepared statement finds, or None."""
        return statement.first(self._opened(is_write=statement.is_write), values)

    def _opened(self, *, is_write: bool) -> Connection:
        if is_write and not self._has_turn and self._turns is not None:
            # Before the connection: the next of several writers then gets the last one's, with its pages in memory.
            self._turns.take()
            self._has_turn = True
        if self._connection is None:
            ASKING.retries = True
            try:
                self._connection = self._engine.connect()
            except BaseException:
                self._give_turn()
                raise
            finally:
                ASKING.retries = False
        return self._connection

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
        try:
            if connection is not None:
                connection.close()
        finally:
            self._give_turn()

    def _give_turn(self) -> None:
        if self._has_turn and self._turns is not None:
            self._has_turn = False
            self._turns.give()

    def __del__(self) -> None:
        """One that nobody ended keeps nobody from writing."""
        self._give_turn()

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
