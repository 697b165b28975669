"""Units: what single requests write, committed together with what others write at the same moment.

A commit costs more than the statements before it, and for twenty tokens no more than for one. So requests whose writes are
all prepared statements need not commit for themselves: each collects its writes as a ``Unit``, and a ``Batch`` writes many
units in one transaction.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, NoReturn

from sqlalchemy import Connection, CursorResult, Engine
from sqlalchemy.exc import IntegrityError, SQLAlchemyError
from sqlalchemy.sql import Executable

from database.faults import DATABASE_ERRORS
from database.joint_works import JointWorks
from database.patience import Patience
from database.prepared import Counting, Lookup, Prepared
from database.statement_forms import Answer
from database.transaction import Transaction

log = logging.getLogger("mcp_core.database")
# Of a server that stands still. Others wait in line meanwhile, and who is in the batch can still go on alone.
BATCH_SECONDS = 2

Outcome = bool | SQLAlchemyError
"""True: kept, and committed. False: it did not come true. Or else the fault of the database: nothing was kept, unless it is
``CommitUnknown``."""

_Write = tuple[Prepared, Mapping[str, Any]]


class DoesNotFit(Exception):
    """A unit cannot do what is asked of it. The request has to run again, in a transaction of its own."""


class Unit(Transaction):
    """One request's transaction, before it has happened.

    What is looked up is asked together with what others look up (``JointWorks``). A prepared write waits for the
    batch, and is taken for granted: one row. When that does not come true nothing of the unit is kept, and whoever made it
    runs again in a ``Transaction``, where every answer is the database's. So does what a unit cannot do at all (other
    statements, a commit of its own, reading where it has written): that raises ``DoesNotFit``.
    """

    def __init__(self, engine: Engine, works: JointWorks) -> None:
        super().__init__(engine)
        self._works = works
        self._notes: list[_Write] = []
        self._writes: list[_Write] = []
        self._written: set[str] = set()

    @property
    def has_written(self) -> bool:
        return bool(self._writes or self._notes)

    def ask(self, statement: Prepared, values: Mapping[str, Any]) -> Answer:
        if statement.is_write or not self._written.isdisjoint(statement.tables):
            raise DoesNotFit
        return self._works.ask(statement, values)

    def keep_in_step(self) -> None:
        self._works.keep_in_step()

    def count(self, statement: Prepared, values: Mapping[str, Any]) -> int:
        self._writes.append((statement, values))
        self._written |= statement.tables
        return 1

    def note(self, statement: Prepared, values: Mapping[str, Any]) -> None:
        self._notes.append((statement, values))
        self._written |= statement.tables

    def rollback(self) -> None:
        self._notes.clear()
        self._writes.clear()
        self._written.clear()
        self._marked = ()
        super().rollback()

    def hand_over(self, tx: Transaction) -> tuple[Iterable[_Write], Iterable[_Write]]:
        """What ``tx`` is to note and to write for this unit. What it has marked tells of the commit of ``tx`` as well."""
        if self._marked:
            tx.mark(*self._marked)
        return self._notes, self._writes

    def was_committed(self) -> None:
        """Does what was to be done then. A fault of that is no reason to take the unit for one that was not kept."""
        for action in self._after_commit:
            try:
                action()
            except Exception:
                log.exception("what follows a commit failed")

    def execute(
        self,
        statement: Executable,  # noqa: ARG002 - what is overridden names them
        parameters: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None,  # noqa: ARG002
    ) -> CursorResult[*tuple[Any, ...]]:
        raise DoesNotFit

    def ask_each(self, statement: Lookup, questions: Sequence[Mapping[str, Any]]) -> NoReturn:  # noqa: ARG002
        raise DoesNotFit

    def count_each(self, statement: Prepared, rows: Sequence[Mapping[str, Any]]) -> NoReturn:  # noqa: ARG002
        raise DoesNotFit

    def total(self, statement: Counting, values: Mapping[str, Any]) -> NoReturn:  # noqa: ARG002
        raise DoesNotFit

    def beside(self, seconds: float) -> NoReturn:  # noqa: ARG002
        raise DoesNotFit

    def commit(self) -> NoReturn:
        raise DoesNotFit

    def _opened(self, *, is_write: bool) -> Connection:  # noqa: ARG002
        raise DoesNotFit


class Batch:
    """The units of one thread. They read through one connection and are committed together. On a server they wait for two
    seconds in all, on SQLite as long as anybody, since there is one writer for everybody. Whoever works with a unit is a
    work of ``works``, or asks alone.

    To be ended by ``end``, whatever became of it.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._tx = Transaction(engine, Patience(None if engine.dialect.name == "sqlite" else BATCH_SECONDS))
        self.works = JointWorks(self._tx)

    def unit(self) -> Unit:
        return Unit(self._engine, self.works)

    def commit(self, units: Sequence[Unit]) -> list[Outcome]:
        """Writes ``units`` and says what became of each, in their order.

        One that does not come true takes nobody along: it is looked for, and the others are written without it. A fault of
        the database is that of all who were in the transaction.
        """
        outcome = self._outcome(units)
        if outcome is not False or len(units) == 1:
            return [outcome] * len(units)
        bad = self._bad(units)
        good = [unit for unit in units if unit not in bad]
        rest = self._outcome(good)
        return [False if unit in bad else rest for unit in units]

    def end(self) -> None:
        self._tx.abandon()

    def _outcome(self, units: Sequence[Unit]) -> Outcome:
        """One transaction for all of them. All writes of a kind are one run: no unit knows of another, so that their order
        says nothing.

        Notes come first. They lock rows that the others' foreign keys only share, and who changes a shared lock into one of
        its own gets into the way of others who do the same.
        """
        notes, writes = _Runs(), _Runs()
        for unit in units:
            noted, written = unit.hand_over(self._tx)
            notes.add(noted)
            writes.add(written)
        try:
            for statement, rows in notes.items():
                self._tx.count_each(statement, rows)
            if not all(self._tx.count_each(statement, rows) == len(rows) for statement, rows in writes.items()):
                self._tx.abandon()
                return False
            self._tx.commit()
        except IntegrityError:
            self._tx.abandon()
            return False
        except DATABASE_ERRORS as fault:
            self._tx.abandon()
            return fault
        for unit in units:
            unit.was_committed()
        return True

    def _bad(self, units: Sequence[Unit]) -> Collection[Unit]:
        """Those that do not come true, found by writing one after the other in a transaction that is taken back.

        Whoever fails only because of another one of them is among them, and comes true when it runs again, alone. So are
        all, where the database fails meanwhile.
        """
        handed = [(unit, *unit.hand_over(self._tx)) for unit in units]
        bad: set[Unit] = set()
        try:
            for unit, notes, _ in handed:
                self._try(unit, notes, bad, are_counted=False)
            for unit, _, writes in handed:
                self._try(unit, writes, bad, are_counted=True)
        except DATABASE_ERRORS:
            bad.update(units)
        self._tx.abandon()
        return bad

    def _try(self, unit: Unit, writes: Iterable[_Write], bad: set[Unit], *, are_counted: bool) -> None:
        """Puts ``unit`` among the ``bad`` ones where one of ``writes`` does not come true."""
        try:
            if any(self._tx.count(*write) != 1 and are_counted for write in writes):
                bad.add(unit)
        except IntegrityError:
            bad.add(unit)


class _Runs(dict[Prepared, list[Mapping[str, Any]]]):
    """What each statement is run with."""

    def add(self, writes: Iterable[_Write]) -> None:
        for statement, values in writes:
            self.setdefault(statement, []).append(values)
