"""Prepared statements as one database wants them, and what they find there."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.engine import Dialect, ExecutionContext
from sqlalchemy.sql import Delete, Insert, Select, Update

_Converter = Callable[[Any], Any] | None
_AT_ONCE = "mcp_core_at_once"
Row = Sequence[Any]


class _Fetched:
    """Takes the place of a cursor whose rows are fetched, for SQLAlchemy to find nothing that it would describe."""

    description = None
    rowcount = -1

    def __init__(self, rows: Sequence[Row]) -> None:
        self.rows = rows

    def close(self) -> None:
        """The cursor is closed."""


def fetch_at_once(cursor: Any, text: str, parameters: Any, context: ExecutionContext | None) -> bool:
    """For an engine's event ``do_execute``. True, which ends the event, where it has run what a ``Form`` asks."""
    if context is None or _AT_ONCE not in context.execution_options:
        return False
    cursor.execute(text, parameters)
    rows = cursor.fetchall()
    cursor.close()
    context.cursor = _Fetched(rows)  # type: ignore[assignment] # as much of a cursor as is used from here on
    return True


class Form:
    """A statement with parameters by position for SQLite, by name for PyMySQL."""

    def __init__(self, statement: Insert | Update | Delete | Select[Any], dialect: Dialect) -> None:
        compiled = statement.compile(dialect=dialect)
        binds = {name: bind for bind, name in compiled.bind_names.items()}
        self.text = compiled.string
        self._is_numbered = compiled.positiontup is not None
        self.is_of_server = not self._is_numbered
        self._fixed = {name: value for name, value in compiled.params.items() if not binds[name].required}
        self._places = compiled.positiontup or ()
        self._parameters: list[tuple[str, _Converter]] = [
            (name, bind.type.dialect_impl(dialect).bind_processor(dialect)) for name, bind in binds.items()
        ]
        columns = statement.selected_columns if isinstance(statement, Select) else ()
        self.names = statement.selected_columns.keys() if isinstance(statement, Select) else []
        self._columns: list[_Converter] = [
            column.type.dialect_impl(dialect).result_processor(dialect, None) for column in columns
        ]

    def parameters(self, values: Mapping[str, Any]) -> tuple[Any, ...] | dict[str, Any]:
        """Raises ``KeyError`` when one is missing: none is ever left to the driver."""
        given = {**self._fixed, **values} if self._fixed else values
        named = {name: given[name] if to is None else to(given[name]) for name, to in self._parameters}
        return tuple([named[name] for name in self._places]) if self._is_numbered else named

    def ask(self, connection: Connection, values: Mapping[str, Any]) -> Sequence[Row]:
        """The rows that it finds, as the driver gives them."""
        result = connection.exec_driver_sql(self.text, self.parameters(values), {_AT_ONCE: True})
        cursor: object = result.context.cursor
        return cursor.rows if isinstance(cursor, _Fetched) else result.all()

    def row(self, found: Row, columns: slice = slice(None)) -> tuple[Any, ...]:
        """Python values. ``found`` are the values of ``columns``."""
        converters = self._columns[columns]
        return tuple([value if to is None else to(value) for value, to in zip(found, converters, strict=True)])


class Answer:
    """What a question has found."""

    __slots__ = ("_form", "_rows")

    def __init__(self, form: Form, rows: Sequence[Row]) -> None:
        self._form = form
        self._rows = rows

    def first(self) -> tuple[Any, ...] | None:
        """The first row, in the order of its columns, or None."""
        return self._form.row(self._rows[0]) if self._rows else None

    def rows(self) -> list[dict[str, Any]]:
        """All rows, by the names of their columns."""
        return [dict(zip(self._form.names, self._form.row(row), strict=True)) for row in self._rows]

    def found(self) -> Found | None:
        """The first row, not converted yet, or None."""
        return Found(tuple(self._rows[0]), self._form) if self._rows else None


class Found:
    """A row as the driver gave it. One that is equal says the same: what was made of the first can be kept for it."""

    __slots__ = ("_form", "raw")

    def __init__(self, raw: tuple[Any, ...], form: Form) -> None:
        self.raw = raw
        self._form = form

    def values(self, columns: slice = slice(None)) -> tuple[Any, ...]:
        """As Python values."""
        return self._form.row(self.raw[columns], columns)
