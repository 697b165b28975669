"""Services on a real database with a person, and what is connected for them."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import Engine, select

from database.models import User as UserRow
from database.transaction import Transaction
from provider.protocol.messages import Origin
from provider.security.crypto import Keyring
from provider.services import Services
from provider.settings import Settings
from provider.vault.account import CloudAccount
from tests.vault.cloud_world import CloudWorld
from tests.vault.samples import fields_of

USERS = UserRow.__table__


def services_on(engine: Engine, keyring: Keyring) -> Services:
    return Services(Settings(_env_file=None), engine, keyring)


@pytest.fixture
def services(engine: Engine, keyring: Keyring) -> Services:
    return services_on(engine, keyring)


@pytest.fixture
def ana(services: Services, origin: Origin) -> str:
    return person(services, origin)


def person(services: Services, origin: Origin, name: str = "ana", **changes: Any) -> str:
    """A user's id."""
    with Transaction(services.engine) as tx:
        made = services.users.create(
            tx, origin, username=name, email=f"{name}@example.com", password_hash=None, **changes
        )
    return made.id


def connected(
    services: Services,
    origin: Origin,
    user_id: str,
    label: str = "work",
    provider: str = "aws",
    mode: Any = "secret",
    **said: str,
) -> CloudAccount:
    """An account of that cloud, with the fields of ``samples``, and ``said`` in place of some."""
    fields = {**fields_of(provider, mode), **said}
    with Transaction(services.engine) as tx:
        return services.cloud_accounts.connect(
            tx, origin, user_id, label=label, provider=provider, mode=mode, said=fields
        )


def mirrored(services: Services, user_id: str) -> dict[str, Any]:
    """What stands in the seed's columns."""
    with services.engine.connect() as connection:
        row = connection.execute(select(USERS).where(USERS.c.id == user_id)).mappings().one()
    return {name: value for name, value in row.items() if name.startswith("cloud_") and value is not None}


@pytest.fixture
def world(engine: Engine, keyring: Keyring) -> CloudWorld:
    return CloudWorld.build(engine, keyring)


@pytest.fixture
def sqlite_world(sqlite_engine: Engine, keyring: Keyring) -> CloudWorld:
    """For what is no matter of SQL."""
    return CloudWorld.build(sqlite_engine, keyring)
