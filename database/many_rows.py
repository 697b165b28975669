"""What inserts rows that it selects, for many of them at once."""

from __future__ import annotations

from typing import Any

from sqlalchemy import BindParameter, ColumnElement, Label, cast, select, union_all
from sqlalchemy.sql import Insert
from sqlalchemy.sql.visitors import iterate, replacement_traverse

from database.models.columns import UTCDateTime


def for_many_rows(statement: Insert, number: int) -> Insert:
    """The INSERT … SELECT that does what ``number`` runs of ``statement`` do.

    Whatever has to be given to it is a column of a table of so many rows, ``given``, that stands beside the tables it
    reads: each of its conditions is worded and looked at once. The parameters have the number of the run behind their names.
    """
    needed = {part.key: part for part in iterate(statement) if isinstance(part, BindParameter) and part.required}
    runs = [select(*[_given(bind, run) for bind in needed.values()]) for run in range(number)]
    given = union_all(*runs).subquery("given")

    def column(part: Any, **_: object) -> ColumnElement[Any] | None:
        return given.c[part.key] if isinstance(part, BindParameter) and part.required else None

    made: Insert = replacement_traverse(statement, {}, column)  # type: ignore[call-overload] # typed for columns alone
    return made


def _given(bind: BindParameter[Any], run: int) -> Label[Any]:
    """A server takes a time that stands in such a table for text, unless it is told."""
    value = BindParameter(f"{bind.key}_{run}", type_=bind.type, required=True)
    return (cast(value, bind.type) if isinstance(bind.type, UTCDateTime) else value).label(bind.key)
