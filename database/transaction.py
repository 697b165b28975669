"""One request's transaction: opened by the first statement, ended by the edge."""

from __future__ import annotations

import logging
import threading
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any

from sqlalchemy import ColumnElement, Connection, CursorResult, Engine, select
from sqlalchemy.sql import Executable

from database.breaker import BREAKERS
from database.faults import DATABASE_ERRORS, CommitUnknown, DatabaseUnavailable, is_undone
from database.patience import LOCK_WAIT_SECONDS, Patience
from database.prepared import Counting, Lookup, Prepared
from database.statement_forms import Answer, Found
from database.turns import Turns
from database.waits import limit_answers, limit_lock_wait, restore_lock_wait

log = logging.getLogger("mcp_core.database")


class _Asking(threading.local):
    """Who is just asking the pool for a connection: whether it bears one that is dead, and how long it waits."""

    retries = False
    patience: Patience | None = None


COMMITTED = "mcp_core_committed"  # in a connection's ``info``: nothing has been asked of it since its commit
FIND_OUT_SECONDS = 2
FIND_OUT_PAUSES = (0.0, 0.1, 0.3, 0.6)
ASKING = _Asking()
TURNS: weakref.WeakKeyDictionary[Engine, Turns] = weakref.WeakKeyDictionary()  # of engines with one writer at a time
_Row = tuple[tuple[ColumnElement[Any], object], ...]


class Transaction:
    """A lazily opened connection with one transaction.

    Nothing is checked out of the pool before the first statement, so a request that needs no database works without
    one. ``commit`` and ``rollback`` give the connection back; a later statement begins a new transaction, which is how
    password hashing stays outside of one. ``patience`` bounds all its waits together; without one each answer may take as
    long as the engine says.
    """

    def __init__(self, engine: Engine, patience: Patience | None = None) -> None:
        self._engine = engine
        self._patience = patience
        self._connection: Connection | None = None
        self._driver: Any = None  # the connection's own one, where answers come from a server
        self._turns: Turns | None = TURNS.get(engine)
        self._has_turn = False
        self._is_shortened = False
        self._has_written = False
        self._marked: _Row = ()
        self._after_commit: list[Callable[[], None]] = []

    @property
    def is_open(self) -> bool:
        return self._connection is not None

    @property
    def is_sqlite(self) -> bool:
        """For the rare statement that SQL servers and SQLite spell differently."""
        return self._engine.dialect.name == "sqlite"

    def beside(self, seconds: float) -> Transaction:
        """Another one on the same database that waits for ``seconds`` at most: for what this one must not wait for."""
        return Transaction(self._engine, Patience(seconds))

    def execute(
        self, statement: Executable, parameters: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None
    ) -> CursorResult[*tuple[Any, ...]]:
        connection = self._opened(is_write=bool(getattr(statement, "is_dml", False)))
        self._has_written = self._has_written or not statement.is_select
        return connection.execute(statement, parameters)

    def reading(self) -> Connection:
        """The connection itself, in its transaction, for what reads lists (``database.reading``). It ends with this one."""
        connection = self._opened(is_write=False)
        if not connection.in_transaction():
            connection.begin()
        return connection

    def count(self, statement: Prepared, values: Mapping[str, Any]) -> int:
        """Runs a prepared statement and returns how many rows it wrote."""
        connection = self._opened(is_write=statement.is_write)
        self._has_written = self._has_written or statement.is_write
        return statement.count(connection, values)

    def total(self, statement: Counting, values: Mapping[str, Any]) -> int | None:
        """Runs a write that counts, and returns the count that it leaves; None if it wrote nothing."""
        connection = self._opened(is_write=True)
        self._has_written = True
        return (statement.of_sqlite if self.is_sqlite else statement.of_servers).total(connection, values)

    def note(self, statement: Prepared, values: Mapping[str, Any]) -> None:
        """Runs a prepared write that takes note of something. Whether it finds anything to write matters to nobody."""
        self.count(statement, values)

    def count_each(self, statement: Prepared, rows: Sequence[Mapping[str, Any]]) -> int:
        """Runs a prepared write once with each of ``rows`` and returns how many rows it wrote in all."""
        connection = self._opened(is_write=True)
        self._has_written = True
        return statement.count_each(connection, rows)

    def first(self, statement: Prepared, values: Mapping[str, Any]) -> tuple[Any, ...] | None:
        """The first row that a prepared statement finds, or None."""
        return self.ask(statement, values).first()

    def found(self, statement: Prepared, values: Mapping[str, Any]) -> Found | None:
        """The same row as the driver gave it, for what is made of equal rows once."""
        return self.ask(statement, values).found()

    def rows(self, statement: Prepared, values: Mapping[str, Any]) -> list[dict[str, Any]]:
        """All rows that a prepared statement finds, by the names of their columns."""
        return self.ask(statement, values).rows()

    def row(self, statement: Prepared, values: Mapping[str, Any]) -> dict[str, Any] | None:
        """The only row that a prepared statement can find, by the names of its columns, or None."""
        return next(iter(self.rows(statement, values)), None)

    def ask(self, statement: Prepared, values: Mapping[str, Any]) -> Answer:
        """What a prepared statement finds."""
        return statement.ask(self._opened(is_write=statement.is_write), values)

    def ask_each(self, statement: Lookup, questions: Sequence[Mapping[str, Any]]) -> list[Answer]:
        """What it finds for each of ``questions``, which differ in their key alone."""
        return statement.ask_each(self._opened(is_write=False), questions)

    def keep_in_step(self) -> None:
        """Called between two steps of a request: whoever is answered together with it comes as far, before it goes on."""

    def _opened(self, *, is_write: bool) -> Connection:
        if self._connection is None and self._patience is not None:
            self._patience.begin()
        lock_wait: float = LOCK_WAIT_SECONDS
        if is_write and self._turns is not None and not self._has_turn:
            # Before the connection: the next of several writers then gets the last one's, with its pages in memory.
            lock_wait = self._turns.take(self._at_most(LOCK_WAIT_SECONDS))
            self._has_turn = True
        connection = self._connection or self._connected()
        if lock_wait < LOCK_WAIT_SECONDS:
            limit_lock_wait(connection, lock_wait)
            self._is_shortened = True
        if self._patience is not None:
            self._limit_answers(self._patience)
        return connection

    def _connected(self) -> Connection:
        ASKING.retries, ASKING.patience = True, self._patience
        try:
            if self._turns is None and (breaker := BREAKERS.get(self._engine)) is not None:
                breaker.check()
            self._connection = self._engine.connect()
        except BaseException:
            self._give_back()
            raise
        finally:
            ASKING.retries, ASKING.patience = False, None
        if self._turns is None:
            self._driver = self._connection.connection.dbapi_connection
        return self._connection

    def _at_most(self, seconds: float) -> float:
        return seconds if self._patience is None else min(seconds, self._patience.left)

    def _limit_answers(self, patience: Patience, *, at_least: int = 0) -> None:
        """In whole seconds, which mostly are those of the statement before, and then cost nothing."""
        left = max(at_least, patience.left)
        if left <= 0:
            raise DatabaseUnavailable("the time of this request is over")
        if self._driver is not None:
            limit_answers(self._driver, max(1, int(left)))

    def mark(self, *values: tuple[ColumnElement[Any], object]) -> None:
        """Names a row as only this transaction leaves it: it tells what became of a COMMIT whose answer is lost."""
        self._marked = values

    def on_commit(self, action: Callable[[], None]) -> None:
        """Calls ``action`` once the transaction is committed, never if it is rolled back (log lines, cache evictions)."""
        self._after_commit.append(action)

    def commit(self) -> None:
        """Ends the transaction for good.

        When the answer is lost, what was marked is looked for: the transaction has been committed as asked, or the fault is
        raised and nothing of it was kept. Raises ``CommitUnknown`` when neither is certain.
        """
        actions, self._after_commit = self._after_commit, []
        if self._connection is not None:
            has_written, marked = self._has_written, self._marked
            try:
                if self._patience is not None:
                    self._limit_answers(self._patience, at_least=1)
                self._connection.commit()
                self._connection.info[COMMITTED] = True
            except DATABASE_ERRORS as fault:
                self._connection.invalidate()  # nothing of it may be alive when another connection looks
                self._release()
                if is_undone(fault) or (has_written and not self._has_happened(marked)):
                    raise
            finally:
                self._release()
        for action in actions:
            action()

    def _has_happened(self, marked: _Row) -> bool:
        """Whether a COMMIT happened: by a read that waits until the lost connection's transaction has ended either way."""
        if not marked:
            raise CommitUnknown("the answer to COMMIT was lost, and nothing tells what became of it")
        row = select(marked[0][0]).where(*(column == value for column, value in marked)).with_for_update()
        patience = Patience(max(1.0, self._at_most(FIND_OUT_SECONDS)))
        for pause in FIND_OUT_PAUSES:
            time.sleep(pause)
            other = Transaction(self._engine, patience)
            try:
                return other.execute(row).first() is not None
            except DatabaseUnavailable:
                break
            except DATABASE_ERRORS:
                continue
            finally:
                other.abandon()
        raise CommitUnknown("the answer to COMMIT was lost, and the database does not tell what became of it")

    def rollback(self) -> None:
        self._after_commit.clear()
        if self._connection is not None:
            try:
                if self._patience is not None:
                    self._limit_answers(self._patience, at_least=1)
                self._connection.rollback()
            finally:
                self._release()
        self._give_back()

    def abandon(self) -> None:
        """Rolls back after a fault, without letting a broken connection hide it."""
        try:
            self.rollback()
        except Exception:
            log.warning("a rollback failed", exc_info=True)

    def _release(self) -> None:
        connection, self._connection, self._driver = self._connection, None, None
        self._has_written, self._marked = False, ()
        try:
            if connection is not None:
                if self._is_shortened:
                    self._is_shortened = False
                    restore_lock_wait(connection)
                connection.close()
        finally:
            self._give_back()

    def _give_back(self) -> None:
        """The turn, and the rest of the caller's time."""
        self._give_turn()
        if self._patience is not None:
            self._patience.end()

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
