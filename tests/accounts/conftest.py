"""The real services on a real database, with password hashes cheap enough for hundreds of guesses."""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import Engine, select

from database.models import AuditRecord
from database.transaction import Transaction
from provider.accounts.users import User
from provider.protocol.messages import Origin
from provider.security.crypto import Keyring
from provider.services import Services
from provider.settings import load_settings
from provider.sign_in.login import Login
from provider.sign_in.passwords import Passwords
from provider.sign_in.recovery_codes import RecoveryCodes
from provider.sign_in.stand_in_hashes import StandInHashes

PASSWORD = "violet kettle 71 harbour paints"
Events = Callable[..., list[dict[str, Any]]]
AddUser = Callable[..., User]


def quick_passwords() -> Passwords:
    return Passwords(memory_kib=64, time_cost=1, parallelism=1, concurrency=4, min_length=15)


def login_with(services: Services, passwords: Passwords, codes: RecoveryCodes | None = None) -> Login:
    """Sign-in as it is in ``services``, but for how passwords are hashed."""
    return Login(
        services.users,
        passwords,
        services.totp,
        codes or services.recovery_codes,
        services.sessions,
        StandInHashes(services.users, services.keyring, parameters=passwords.parameters),
        services.attempts,
        services.audit,
        services.keyring,
        services.alerts,
    )


def accounts_on(engine: Engine, keyring: Keyring) -> Services:
    services = Services(load_settings({"MCP_ISSUER": "https://id.example/oauth"}), engine, keyring)
    passwords = quick_passwords()
    codes = RecoveryCodes(passwords, services.audit, services.keyring)
    login = login_with(services, passwords, codes)
    services.passwords, services.recovery_codes, services.login = passwords, codes, login
    return services


def later(origin: Origin, seconds: float) -> Origin:
    return dataclasses.replace(origin, now=origin.now + datetime.timedelta(seconds=seconds))


def elsewhere(origin: Origin, number: int) -> Origin:
    """The same moment at another address."""
    return dataclasses.replace(origin, source=f"198.51.{number // 256}.{number % 256}")


@pytest.fixture
def services(engine: Engine, keyring: Keyring) -> Services:
    return accounts_on(engine, keyring)


@pytest.fixture(params=["mariadb", "mysql"])
def on_server(request: pytest.FixtureRequest, keyring: Keyring) -> Services:
    """For what only a server's threads can show."""
    return accounts_on(request.getfixturevalue(f"{request.param}_engine"), keyring)


@pytest.fixture
def tx(engine: Engine) -> Iterator[Transaction]:
    transaction = Transaction(engine)
    yield transaction
    transaction.rollback()


def added(services: Services, origin: Origin, username: str, **changes: Any) -> User:
    values = {
        "username": username,
        "email": f"{username}@example.com",
        "password_hash": services.passwords.hash(PASSWORD),
        **changes,
    }
    with Transaction(services.engine) as tx:
        return services.users.create(tx, origin, **values)


@pytest.fixture
def add_user(services: Services, origin: Origin) -> AddUser:
    """Commits a user whose password is ``PASSWORD``."""
    return lambda username, **changes: added(services, origin, username, **changes)


@pytest.fixture
def ana(add_user: AddUser) -> User:
    return add_user("ana")


def events_on(engine: Engine, action: str | None = None) -> list[dict[str, Any]]:
    table = AuditRecord.__table__
    statement = select(table).order_by(table.c.created_at, table.c.id)
    if action is not None:
        statement = statement.where(table.c.action == action)
    with engine.connect() as connection:
        return [dict(row) for row in connection.execute(statement).mappings()]


@pytest.fixture
def events(engine: Engine) -> Events:
    """The committed audit records, oldest first, all or those of one name."""
    return lambda action=None: events_on(engine, action)
