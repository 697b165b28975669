"""Brings sealed values under the first master key: a few rows at a time, beside everything else that goes on.

What is left to do follows from the rows alone, so it may be killed, repeated, and done by two at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import ColumnElement, Engine, and_, func, or_, select, update

from database.transaction import Transaction
from provider.security.crypto import DecryptionFailed, Keyring
from provider.security.envelope import prefixes
from provider.security.sealed_columns import SealedColumn

# So many rows are read and written at once, and so many bytes of values unless one alone has more.
BATCH_ROWS = 50
BATCH_BYTES = 1_000_000


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A value that does not open: where it is, and nothing of it."""

    column: SealedColumn
    row_id: str

    def __str__(self) -> str:
        return f"{self.column} of {self.row_id}"


@dataclass(slots=True)
class Batch:
    """What was done in one go. ``last`` is the key of its last row, None when there was no row left."""

    last: str | None = None
    rewrapped: int = 0
    from_older: int = 0  # of those, how many were under another master key, and not only in the first format
    overtaken: int = 0  # changed by somebody else meanwhile: looked at again by the next pass
    unreadable: list[Unreadable] = field(default_factory=list)


class Rewrapping:
    def __init__(self, keyring: Keyring, columns: Sequence[SealedColumn]) -> None:
        self._keyring = keyring
        self.columns = columns

    def counts(self, tx: Transaction, column: SealedColumn) -> dict[str, int]:
        """How many values are under which master key, by id. ``v1 <id>`` is the first format, ``?`` no known key."""
        found: dict[str, int] = {}
        for name in self._keyring.masters.ids:
            current, first_format = prefixes(name)
            found[name] = self._count(tx, column, column.column.startswith(current, autoescape=True))
            found[f"v1 {name}"] = self._count(tx, column, column.column.startswith(first_format, autoescape=True))
        found["?"] = self._count(tx, column, column.column.is_not(None)) - sum(found.values())
        return {name: count for name, count in found.items() if count}

    def is_used(self, tx: Transaction, name: str) -> bool:
        """Whether any value is under this master key, in either format."""
        return any(
            self._count(tx, column, or_(*(column.column.startswith(text, autoescape=True) for text in prefixes(name))))
            for column in self.columns
        )

    def left(self, tx: Transaction) -> int:
        """How many values are not under the first master key."""
        return sum(self._count(tx, column, self._outdated(column)) for column in self.columns)

    def unreadable(self, engine: Engine, column: SealedColumn, most: int) -> Iterator[Unreadable]:
        """Opens the values of a column, ``most`` of them at most, and gives those that do not open. Changes nothing.

        A batch at a time, each read in a transaction of its own: what is under the first key is seen here alone.
        """
        after, seen = "", 0
        while seen < most:
            with Transaction(engine) as tx:
                keys = list(self._next(tx, column, column.column.is_not(None), after))
                rows = self._read(tx, column, keys)
            if not keys:
                return
            for row in rows:
                try:
                    self._keyring.decrypt(row[column.name], column.context_of(row))
                except DecryptionFailed:
                    yield Unreadable(column, row[column.key])
            after, seen = keys[-1], seen + len(keys)

    def batch(self, engine: Engine, column: SealedColumn, after: str) -> Batch:
        """Rewraps the next values of a column, in the order of their rows' keys.

        They are read in one transaction and written in another, so that none stays open while keys are at work.
        """
        with Transaction(engine) as tx:
            keys = list(self._next(tx, column, self._outdated(column), after))
            rows = self._read(tx, column, keys)
        done = Batch(last=keys[-1] if keys else None)
        renewed = []
        for row in rows:
            try:
                value = self._keyring.rewrapped(row[column.name], column.context_of(row))
            except DecryptionFailed:
                done.unreadable.append(Unreadable(column, row[column.key]))
                continue
            if value is not None:
                renewed.append((row, value))
        with Transaction(engine) as tx:
            for row, value in renewed:
                mine = (column.table.c[column.key] == row[column.key], column.column == row[column.name])
                if tx.execute(update(column.table).where(*mine).values({column.name: value})).rowcount != 1:
                    done.overtaken += 1
                    continue
                done.rewrapped += 1
                done.from_older += not row[column.name].startswith(prefixes(self._keyring.masters.first.id))
        return done

    def _next(self, tx: Transaction, column: SealedColumn, condition: ColumnElement[bool], after: str) -> Iterator[str]:
        """The keys of the next rows, as many as fit in a batch."""
        key = column.table.c[column.key]
        statement = select(key, func.length(column.column)).where(condition, key > after)
        total = 0
        for row_id, length in tx.execute(statement.order_by(key).limit(BATCH_ROWS)).all():
            total += length
            if total > BATCH_BYTES and total != length:
                return
            yield row_id

    def _read(self, tx: Transaction, column: SealedColumn, keys: Sequence[str]) -> list[dict[str, Any]]:
        if not keys:
            return []
        names = dict.fromkeys((column.key, column.name, *column.bound.values()))
        mine = (column.table.c[column.key].in_(keys), column.column.is_not(None))
        rows = tx.execute(select(*(column.table.c[name] for name in names)).where(*mine))
        return [dict(zip(names, row, strict=True)) for row in rows]

    def _outdated(self, column: SealedColumn) -> ColumnElement[bool]:
        current, _ = prefixes(self._keyring.masters.first.id)
        return and_(column.column.is_not(None), ~column.column.startswith(current, autoescape=True))

    def _count(self, tx: Transaction, column: SealedColumn, condition: ColumnElement[bool]) -> int:
        counted = select(func.count()).select_from(column.table).where(condition)
        return int(tx.execute(counted).scalar_one())
