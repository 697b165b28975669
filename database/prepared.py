"""Statements of the hot paths: written in Core like all others, compiled once for each database, run as text.

Core's own way to the driver (cache key, parameters by name, a result with names) costs more than SQLite takes for the
statement. The text and the conversions of values are SQLAlchemy's all the same, and so are errors and events. What text
finds it would describe anew at each run, column by column, which costs as much again: engines have ``fetch_at_once``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, cast

from sqlalchemy import Connection, FromClause, Table, bindparam, func
from sqlalchemy.engine import Dialect, ExecutionContext
from sqlalchemy.sql import Delete, Insert, Select, Update, insert
from sqlalchemy.sql.visitors import iterate

_PARAMETER = re.compile(r"%\((\w+)\)s")  # as PyMySQL has it
_Converter = Callable[[Any], Any] | None
_AT_ONCE = "mcp_core_at_once"


class _Fetched:
    """Takes the place of a cursor whose rows are fetched, for SQLAlchemy to find nothing that it would describe."""

    description = None
    rowcount = -1

    def __init__(self, rows: Sequence[Sequence[Any]]) -> None:
        self.rows = rows

    def close(self) -> None:
        """The cursor is closed."""


def fetch_at_once(cursor: Any, text: str, parameters: Any, context: ExecutionContext | None) -> bool:
    """For an engine's event ``do_execute``. True, which ends the event, where it has run what a ``Prepared`` reads."""
    if context is None or _AT_ONCE not in context.execution_options:
        return False
    cursor.execute(text, parameters)
    rows = cursor.fetchall()
    cursor.close()
    context.cursor = _Fetched(rows)  # type: ignore[assignment] # as much of a cursor as is used from here on
    return True


class Prepared:
    """One statement with ``bindparam`` in it. All of them are given at each run, as Python values.

    ``tables`` are the names of the tables that it reads, or of the one that it writes. ``many`` gives the statement that
    does what so many runs do whose rows differ: its parameters have the number of the run behind their names.
    """

    def __init__(
        self, statement: Insert | Update | Delete | Select[Any], *, many: Callable[[int], Update] | None = None
    ) -> None:
        self._statement = statement
        self._many = many
        self._forms_of_many: dict[tuple[str, int], _Form] = {}
        self._forms: dict[str, _Form] = {}
        self.is_write = statement.is_dml
        self.tables = frozenset(_tables(statement))

    def count_each(self, connection: Connection, rows: Sequence[Mapping[str, Any]]) -> int:
        """Runs it once with each of ``rows`` and returns how many rows it wrote in all."""
        form = self._form(connection)
        if self._many is not None and form.is_of_server and len(rows) > 1:
            return self._count_many(self._many, connection, rows)
        if form.may_be_joined and len(rows) > 1:
            return connection.exec_driver_sql(*form.joined(rows)).rowcount
        return connection.exec_driver_sql(form.text, [form.parameters(values) for values in rows]).rowcount

    def _count_many(
        self, many: Callable[[int], Update], connection: Connection, rows: Sequence[Mapping[str, Any]]
    ) -> int:
        known = (connection.dialect.name, len(rows))
        form = self._forms_of_many.get(known)
        if form is None:
            form = self._forms_of_many[known] = _Form(many(len(rows)), connection.dialect)
        numbered = {f"{name}_{number}": value for number, row in enumerate(rows) for name, value in row.items()}
        return connection.exec_driver_sql(form.text, form.parameters(numbered)).rowcount

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

    def first(self, connection: Connection, values: Mapping[str, Any]) -> tuple[Any, ...] | None:
        """The first row that it finds, in the order of its columns, or None."""
        form, found = self._found(connection, values)
        return form.row(found[0]) if found else None

    def rows(self, connection: Connection, values: Mapping[str, Any]) -> list[dict[str, Any]]:
        """All rows that it finds, by the names of their columns."""
        form, found = self._found(connection, values)
        return [dict(zip(form.names, form.row(row), strict=True)) for row in found]

    def found(self, connection: Connection, values: Mapping[str, Any]) -> Found | None:
        """The first row that it finds, not converted yet, or None."""
        form, found = self._found(connection, values)
        return Found(tuple(found[0]), form) if found else None

    def _found(self, connection: Connection, values: Mapping[str, Any]) -> tuple[_Form, Sequence[Sequence[Any]]]:
        form = self._form(connection)
        result = connection.exec_driver_sql(form.text, form.parameters(values), {_AT_ONCE: True})
        cursor: object = result.context.cursor
        return form, cursor.rows if isinstance(cursor, _Fetched) else result.all()

    def _form(self, connection: Connection) -> _Form:
        form = self._forms.get(connection.dialect.name)
        if form is None:
            form = self._forms[connection.dialect.name] = _Form(self._statement, connection.dialect)
        return form


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


def _tables(statement: Insert | Update | Delete | Select[Any]) -> Iterator[str]:
    """The one that a statement writes, or all that it reads."""
    for element in (statement.table,) if not isinstance(statement, Select) else iterate(statement):
        if isinstance(element, Table):
            yield element.name


class Found:
    """A row as the driver gave it. One that is equal says the same: what was made of the first can be kept for it."""

    __slots__ = ("_form", "raw")

    def __init__(self, raw: tuple[Any, ...], form: _Form) -> None:
        self.raw = raw
        self._form = form

    def values(self, columns: slice) -> tuple[Any, ...]:
        """As Python values."""
        return self._form.row(self.raw[columns], columns)


class _Form:
    """A statement as one database wants it: with parameters by position for SQLite, by name for PyMySQL."""

    def __init__(self, statement: Insert | Update | Delete | Select[Any], dialect: Dialect) -> None:
        compiled = statement.compile(dialect=dialect)
        binds = {name: bind for bind, name in compiled.bind_names.items()}
        self.text = compiled.string
        self._is_numbered = compiled.positiontup is not None
        # A server answers each run by itself. What inserts what it selects can select all of it at once.
        self.is_of_server = not self._is_numbered
        self.may_be_joined = self.is_of_server and isinstance(statement, Insert) and statement.select is not None
        self._joined: dict[int, str] = {}
        self._fixed = {name: value for name, value in compiled.params.items() if not binds[name].required}
        self._parameters: list[tuple[str, _Converter]] = [
            (name, binds[name].type.dialect_impl(dialect).bind_processor(dialect))
            for name in (compiled.positiontup if compiled.positiontup is not None else binds)
        ]
        columns = statement.selected_columns if isinstance(statement, Select) else ()
        self.names = statement.selected_columns.keys() if isinstance(statement, Select) else []
        self._columns: list[_Converter] = [
            column.type.dialect_impl(dialect).result_processor(dialect, None) for column in columns
        ]

    def parameters(self, values: Mapping[str, Any]) -> tuple[Any, ...] | dict[str, Any]:
        """Raises ``KeyError`` when one is missing: none is ever left to the driver."""
        given = {**self._fixed, **values} if self._fixed else values
        if self._is_numbered:
            return tuple([given[name] if to is None else to(given[name]) for name, to in self._parameters])
        return {name: given[name] if to is None else to(given[name]) for name, to in self._parameters}

    def joined(self, rows: Sequence[Mapping[str, Any]]) -> tuple[str, dict[str, Any]]:
        """One statement that does what a run with each of ``rows`` does: ``INSERT … SELECT … UNION ALL SELECT …``."""
        text = self._joined.get(len(rows))
        if text is None:
            insert, selecting, select = self.text.partition("SELECT ")
            selects = [_PARAMETER.sub(rf"%(\1_{number})s", selecting + select) for number in range(len(rows))]
            text = self._joined[len(rows)] = insert + " UNION ALL ".join(selects)
        given: dict[str, Any] = {}
        for number, values in enumerate(rows):
            given |= {f"{name}_{number}": value for name, value in dict(self.parameters(values)).items()}
        return text, given

    def row(self, found: Sequence[Any], columns: slice = slice(None)) -> tuple[Any, ...]:
        """``found`` are the values of ``columns``."""
        converters = self._columns[columns]
        return tuple([value if to is None else to(value) for value, to in zip(found, converters, strict=True)])
