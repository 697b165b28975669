"""Rows that pages read in lists: by statements that a service gives, on the connection of the request's transaction.

What writes, and what machines call, uses ``Transaction`` alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from sqlalchemy import Connection, Select, inspect
from sqlalchemy.orm import Session

from database.models.base import Base

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Listed(Generic[Item]):
    """A list that grows: ``statement`` selects the entities of one model in their order, ``parse`` makes an item of each."""

    statement: Select[Any]
    parse: Callable[[Any], Item]


class ReadOnly(Exception):
    """Somebody wanted to write through a session that reads lists."""


class ReadingSession(Session):
    """An ORM session inside a transaction that somebody else begins and ends. It reads, and refuses to write."""

    def __init__(self, *, connect: Callable[[], Connection], db: object = None, **options: Any) -> None:
        """``connect`` gives the connection, in its transaction. ``db`` is what Flask-SQLAlchemy hands to its sessions."""
        super().__init__(**{**options, "autoflush": False, "join_transaction_mode": "rollback_only"})
        self._connect = connect
        self._db = db

    def get_bind(
        self,
        mapper: Any = None,  # noqa: ARG002 - SQLAlchemy's signature
        *,
        clause: Any = None,
        **options: Any,  # noqa: ARG002
    ) -> Connection:
        """The transaction's connection. Raises ``ReadOnly`` for a statement that writes."""
        if getattr(clause, "is_dml", False):
            raise ReadOnly
        return self._connect()

    def flush(self, objects: Any = None) -> None:  # noqa: ARG002 - SQLAlchemy's signature
        """Raises ``ReadOnly``: nothing is ever written from here."""
        raise ReadOnly


def row_of(entity: Base) -> dict[str, Any]:
    """An entity as Core's statements give its row: values by the names of the columns."""
    columns = inspect(type(entity)).column_attrs
    return {attribute.columns[0].name: getattr(entity, attribute.key) for attribute in columns}
