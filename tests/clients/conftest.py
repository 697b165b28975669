"""The registry on a real database, and ways to look at what it wrote."""

from __future__ import annotations

import contextlib
import datetime
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
from sqlalchemy import Engine, insert, select

from database.models import AuditRecord, User
from database.models.columns import new_id
from database.transaction import Transaction
from provider.audit import AuditRecorder
from provider.clients.registry import Clients
from provider.security.crypto import Keyring
from provider.tokens.grant_records import GrantRecords
from tests.statements import statements_of

Events = Callable[[], list[dict[str, Any]]]
Statements = Callable[[], contextlib.AbstractContextManager[list[str]]]


@pytest.fixture
def clients(keyring: Keyring) -> Clients:
    return Clients(keyring, AuditRecorder(), GrantRecords(AuditRecorder()))


@pytest.fixture
def other_process(keyring: Keyring) -> Clients:
    """Another worker's registry: the same database and keys, and a cache of its own."""
    return Clients(keyring, AuditRecorder(), GrantRecords(AuditRecorder()))


@pytest.fixture
def tx(engine: Engine) -> Iterator[Transaction]:
    transaction = Transaction(engine)
    yield transaction
    transaction.rollback()


@pytest.fixture
def events(engine: Engine) -> Events:
    """The committed audit records, oldest first."""

    def read() -> list[dict[str, Any]]:
        table = AuditRecord.__table__
        with engine.connect() as connection:
            rows = connection.execute(select(table).order_by(table.c.created_at, table.c.id)).mappings()
            return [dict(row) for row in rows]

    return read


@pytest.fixture
def statements(engine: Engine) -> Statements:
    """Collects the statements that reach the database."""

    return partial(statements_of, engine)


@pytest.fixture
def owner_id(engine: Engine, now: datetime.datetime) -> str:
    """A user who can own API keys."""
    user_id = new_id(now)
    row = {
        "id": user_id,
        "username": "owner",
        "username_canonical": "owner",
        "email": "owner@example.com",
        "email_canonical": "owner@example.com",
        "is_active": True,
        "created_at": now,
        "updated_at": now,
    }
    with Transaction(engine) as transaction:
        transaction.execute(insert(User), row)
    return user_id
