"""Cloud accounts of a person: kept sealed, changed by their owner alone, the primary one mirrored in the seed's columns."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import Engine, select

from database.models import CloudAccount as Row
from database.models import User as UserRow
from database.transaction import Transaction
from provider.protocol.messages import Origin
from provider.security.crypto import Keyring
from provider.services import Services
from provider.settings import Settings
from provider.vault.cloud_accounts import ChangedMeanwhile, LabelTaken
from provider.vault.fields import InvalidCloudField
from provider.vault.primary import context_of

KEY_ID, SECRET = "AKIA" + "A" * 16, "s" * 40
USERS = UserRow.__table__


@pytest.fixture
def services(engine: Engine, keyring: Keyring) -> Services:
    return Services(Settings(_env_file=None), engine, keyring)


@pytest.fixture
def ana(services: Services, origin: Origin) -> str:
    with Transaction(services.engine) as tx:
        return services.users.create(tx, origin, username="ana", email="ana@example.com", password_hash=None).id


def connected(services: Services, origin: Origin, user_id: str, label: str = "work", **said: str) -> Any:
    fields = {"access_key_id": KEY_ID, "secret_access_key": SECRET, "region": "eu-central-1", **said}
    with Transaction(services.engine) as tx:
        return services.cloud_accounts.connect(
            tx, origin, user_id, label=label, provider="aws", mode="secret", said=fields
        )


def mirrored(services: Services, user_id: str) -> dict[str, Any]:
    with services.engine.connect() as connection:
        row = connection.execute(select(USERS).where(USERS.c.id == user_id)).mappings().one()
    return {name: value for name, value in row.items() if name.startswith("cloud_") and value is not None}


def test_what_is_secret_is_sealed_and_opens(services: Services, origin: Origin, ana: str) -> None:
    account = connected(services, origin, ana)
    assert account.is_primary
    assert account.shown() == {"region": "eu-central-1"}
    assert services.cloud_accounts.opened(account)["secret_access_key"] == SECRET
    with services.engine.connect() as connection:
        row = connection.execute(select(Row.__table__)).mappings().one()
    assert SECRET not in str(dict(row))
    assert KEY_ID not in str(dict(row))
    kept = mirrored(services, ana)
    assert set(kept) == {"cloud_provider", "cloud_access_key", "cloud_secret_key", "cloud_region"}
    opened = services.keyring.decrypt(kept["cloud_secret_key"], context_of(ana, "secret_key"))
    assert opened.decode() == SECRET


@pytest.mark.parametrize(
    "name, value, reason",
    [
        ("access_key_id", "AKIA", "form"),
        ("secret_access_key", "", "missing"),
        ("region", "middle earth", "form"),
        ("other", "1", "unknown"),
    ],
)
def test_a_wrong_field_is_named(
    services: Services, origin: Origin, ana: str, name: str, value: str, reason: str
) -> None:
    with pytest.raises(InvalidCloudField) as wrong:
        connected(services, origin, ana, **{name: value})
    assert (wrong.value.name, wrong.value.reason) == (name, reason)


def test_a_label_is_a_persons_own(services: Services, origin: Origin, ana: str) -> None:
    connected(services, origin, ana)
    with pytest.raises(LabelTaken):
        connected(services, origin, ana)


def test_a_secret_that_is_left_empty_stays(services: Services, origin: Origin, ana: str) -> None:
    account = connected(services, origin, ana)
    said = {"access_key_id": "", "secret_access_key": "", "region": ""}
    with Transaction(services.engine) as tx:
        changed = services.cloud_accounts.replace(tx, origin, account, said)
    assert services.cloud_accounts.opened(changed) == {"access_key_id": KEY_ID, "secret_access_key": SECRET}
    with Transaction(services.engine) as tx, pytest.raises(ChangedMeanwhile):
        services.cloud_accounts.replace(tx, origin, account, said)


def test_the_primary_account_is_mirrored_and_followed(services: Services, origin: Origin, ana: str) -> None:
    first, second = connected(services, origin, ana), connected(services, origin, ana, "home", region="us-east-1")
    assert not second.is_primary
    with Transaction(services.engine) as tx:
        services.cloud_accounts.make_primary(tx, origin, second)
    assert mirrored(services, ana)["cloud_region"] == "us-east-1"
    with Transaction(services.engine) as tx:
        assert services.cloud_accounts.remove(tx, origin, second)
    assert mirrored(services, ana)["cloud_region"] == "eu-central-1"
    with Transaction(services.engine) as tx:
        assert services.cloud_accounts.remove(tx, origin, first)
        assert not services.cloud_accounts.remove(tx, origin, first)
    assert mirrored(services, ana) == {}
