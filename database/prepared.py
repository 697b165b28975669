"""Statements of the hot paths: written in Core like all others, compiled once for each database, run as text.

Core's own way to the driver (cache key, parameters by name, a result with names) costs more than SQLite takes for the
statement. The text and the conversions of values are SQLAlchemy's all the same, and so are errors and events. What text
finds it would describe anew at each run, column by column, which costs as much again: engines have ``fetch_at_once``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple, cast

from sqlalchemy import ColumnElement, Connection, FromClause, Table, bindparam, func
from sqlalchemy.sql import Delete, Insert, Select, Update, insert
from sqlalchemy.sql.visitors import iterate

from database.many_rows import for_many_rows
from database.statement_forms import Answer, Form, Row

_Statement = Insert | Update | Delete | Select[Any]


class Prepared:
    """One statement with ``bindparam`` in it. All of them are given at each run, as Python values.

    ``tables`` are the names of the tables that it reads, or of the one that it writes. ``many`` gives the statement that
    does what so many runs do whose rows differ: its parameters have the number of the run behind their names. What
    inserts what it selects has one by itself.
    """

    def __init__(self, statement: _Statement, *, many: Callable[[int], _Statement] | None = None) -> None:
        self._statement = statement
        if many is None and isinstance(statement, Insert) and statement.select is not None:
            many = partial(for_many_rows, statement)
        self._many = many
        self._forms: dict[tuple[str, bool, int], Form] = {}
        self.is_write = statement.is_dml
        self.tables = frozenset(_tables(statement))

    def count_each(self, connection: Connection, rows: Sequence[Mapping[str, Any]]) -> int:
        """Runs it once with each of ``rows`` and returns how many rows it wrote in all."""
        form = self._form(connection)
        if self._many is not None and form.is_of_server and len(rows) > 1:
            form = self._form(connection, len(rows))
            numbered = {f"{name}_{number}": value for number, row in enumerate(rows) for name, value in row.items()}
            return connection.exec_driver_sql(form.text, form.parameters(numbered)).rowcount
        return connection.exec_driver_sql(form.text, [form.parameters(values) for values in rows]).rowcount

    def count(self, connection: Connection, values: Mapping[str, Any]) -> int:
        """Runs it and returns how many rows it wrote."""
        form = self._form(connection)
        return connection.exec_driver_sql(form.text, form.parameters(values)).rowcount

    def total(self, connection: Connection, values: Mapping[str, Any]) -> int | None:
        """Runs a write that counts and returns the count that it leaves, None where it wrote nothing.

        SQLite returns it (``RETURNING``). Servers hand over what stands in ``LAST_INSERT_ID(…)`` with their answer: to
        read it by another statement would be another round trip.
        """
        form = self._form(connection)
        result = connection.exec_driver_sql(form.text, form.parameters(values))
        if result.returns_rows:
            row = result.first()
            return None if row is None else int(row[0])
        return int(result.lastrowid) if result.rowcount else None

    def ask(self, connection: Connection, values: Mapping[str, Any]) -> Answer:
        """Runs a SELECT."""
        form = self._form(connection)
        return Answer(form, form.ask(connection, values))

    def _form(self, connection: Connection, count: int = 1) -> Form:
        dialect = connection.dialect
        known = (dialect.name, bool(getattr(dialect, "is_mariadb", False)), count)  # two dialects of one name
        form = self._forms.get(known)
        if form is None:
            form = self._forms[known] = Form(self._statement_for(count), dialect)
        return form

    def _statement_for(self, count: int) -> _Statement:
        return self._statement if count == 1 or self._many is None else self._many(count)


class Lookup(Prepared):
    """A SELECT of what has one value in the column ``by``: one of text, which is among those that are selected.

    The value is a parameter of the column's name, ``key``. Several of them are looked up by one run.
    """

    def __init__(self, statement: Select[Any], by: ColumnElement[str]) -> None:
        self._of_all = statement
        self._by = by
        self.key = str(by.key)
        self._column = [getattr(column, "element", column) is by for column in statement.selected_columns].index(True)
        super().__init__(statement.where(by == bindparam(self.key)))

    def ask_each(self, connection: Connection, questions: Sequence[Mapping[str, Any]]) -> list[Answer]:
        """What it finds for each of ``questions``, which differ in their ``key`` alone."""
        keys = list(dict.fromkeys(question[self.key] for question in questions))
        if len(keys) == 1:
            return [self.ask(connection, questions[0])] * len(questions)
        places = 1 << (len(keys) - 1).bit_length()  # a text for each power of two, and not for each number
        form = self._form(connection, places)
        given = {f"{self.key}_{place}": keys[place % len(keys)] for place in range(places)}
        found: dict[str, list[Row]] = {}
        for row in form.ask(connection, {**questions[0], **given}):
            found.setdefault(row[self._column], []).append(row)
        return [Answer(form, found.get(question[self.key], ())) for question in questions]

    def _statement_for(self, count: int) -> _Statement:
        if count == 1:
            return self._statement
        return self._of_all.where(self._by.in_([bindparam(f"{self.key}_{place}") for place in range(count)]))


def addition(table: FromClause, *columns: str) -> Prepared:
    """The INSERT of one row, with a parameter for each of ``columns``, or for all there are, by its name and of its type."""
    names = columns or table.c.keys()
    values = {name: bindparam(name, type_=table.c[name].type) for name in names}
    return Prepared(insert(cast(Table, table)).values(values))


class Counting(NamedTuple):
    """A write that says what it has counted to, as SQLite and as servers have it (``Prepared.total``)."""

    of_sqlite: Prepared
    of_servers: Prepared

    @classmethod
    def up(cls, statement: Update, name: str) -> Counting:
        """Adds one to the column ``name`` of the row that ``statement`` is about."""
        column = statement.table.c[name]
        return cls(
            Prepared(statement.values({name: column + 1}).returning(column)),
            Prepared(statement.values({name: func.last_insert_id(column + 1)})),
        )


def _tables(statement: _Statement) -> Iterator[str]:
    """The one that a statement writes, or all that it reads."""
    for element in (statement.table,) if not isinstance(statement, Select) else iterate(statement):
        if isinstance(element, Table):
            yield element.name
