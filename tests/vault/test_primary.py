"""The table of fields in the seed document, ``/database/README.md``: what ``users.cloud_*`` hold of each primary account."""

from __future__ import annotations

import json
from typing import Any

import pytest
from sqlalchemy import Engine, update

from database.models import User as UserRow
from database.transaction import Transaction
from provider.protocol.messages import Origin
from provider.security.crypto import DecryptionFailed, Keyring
from provider.security.sealed_columns import PRIMARY_CLOUD
from provider.services import Services
from tests.vault.conftest import connected, mirrored, person, services_on
from tests.vault.samples import EVERY_WAY, fields_of, secret_fields, service_account

USERS = UserRow.__table__
# Sealed: the document says so of the keys, and of the service account of GCP.
SEALED = ("cloud_access_key", "cloud_secret_key", "cloud_config_json")
# By provider and mode: column of ``users`` → field that was typed. First what the document names, then what is like it.
DOCUMENT = {
    ("aws", "secret"): {
        "cloud_access_key": "access_key_id",
        "cloud_secret_key": "secret_access_key",
        "cloud_region": "region",
        "cloud_account_id": "account_id",
    },
    ("azure", "secret"): {
        "cloud_tenant_id": "tenant_id",
        "cloud_access_key": "client_id",
        "cloud_secret_key": "client_secret",
        "cloud_region": "region",
        "cloud_account_id": "subscription_id",
    },
    ("gcp", "secret"): {"cloud_project_id": "project_id", "cloud_config_json": "service_account_json"},
    ("alibaba", "secret"): {
        "cloud_access_key": "access_key_id",
        "cloud_secret_key": "access_key_secret",
        "cloud_region": "region",
        "cloud_account_id": "account_id",
    },
    ("oracle", "secret"): {
        "cloud_tenant_id": "tenancy_ocid",
        "cloud_access_key": "user_ocid",
        "cloud_secret_key": "private_key",
        "cloud_region": "region",
    },
    ("ibm", "secret"): {"cloud_secret_key": "api_key", "cloud_account_id": "account_id", "cloud_region": "region"},
    ("other", "secret"): {
        "cloud_access_key": "access_key",
        "cloud_secret_key": "secret_key",
        "cloud_config_json": "config_json",
    },
    ("aws", "keyless"): {"cloud_region": "region", "cloud_account_id": "account_id"},
    ("azure", "keyless"): {
        "cloud_tenant_id": "tenant_id",
        "cloud_access_key": "client_id",
        "cloud_region": "region",
        "cloud_account_id": "subscription_id",
    },
    ("gcp", "keyless"): {"cloud_project_id": "project_id"},
    ("alibaba", "keyless"): {"cloud_region": "region", "cloud_account_id": "account_id"},
    ("oracle", "keyless"): {
        "cloud_tenant_id": "tenancy_ocid",
        "cloud_access_key": "client_id",
        "cloud_secret_key": "client_secret",
        "cloud_region": "region",
    },
    ("other", "keyless"): {},
}
FOLLOWS = {
    ("gcp", "secret"): {
        "project_id": "house-of-ana-1",
        "service_account_json": json.dumps(service_account(), separators=(",", ":")),
    },
    ("other", "secret"): {"config_json": '{"pool":[1,2]}'},
    ("aws", "keyless"): {"account_id": "123456789012"},
    ("alibaba", "keyless"): {"account_id": "1234567890123456"},
}


@pytest.fixture(params=["sqlite", "mariadb", "mysql"])
def everywhere(request: pytest.FixtureRequest, keyring: Keyring) -> Services:
    engine: Engine = request.getfixturevalue(f"{request.param}_engine")
    return services_on(engine, keyring)


def opened(services: Services, user_id: str) -> dict[str, str]:
    """What stands in the columns, with what is sealed opened."""
    return {
        name: services.keyring.decrypt(value, PRIMARY_CLOUD[name.removeprefix("cloud_")].context(user_id)).decode()
        if name in SEALED
        else value
        for name, value in mirrored(services, user_id).items()
    }


def test_the_columns_hold_what_the_document_says(everywhere: Services, origin: Origin) -> None:
    ana = person(everywhere, origin)
    for provider, mode in EVERY_WAY:
        account = connected(everywhere, origin, ana, provider=provider, mode=mode)
        known = fields_of(provider, mode) | FOLLOWS.get((provider, mode), {})
        expected = {column: known[field] for column, field in DOCUMENT[provider, mode].items()}
        assert opened(everywhere, ana) == {"cloud_provider": provider, **expected}
        kept = mirrored(everywhere, ana)
        assert not any(expected[name] in str(kept) for name in SEALED if name in expected)
        read = everywhere.cloud_accounts.opened(account)
        assert {column: read[field] for column, field in DOCUMENT[provider, mode].items()} == expected
        with Transaction(everywhere.engine) as tx:
            assert everywhere.cloud_accounts.remove(tx, origin, account)
        assert mirrored(everywhere, ana) == {}


def test_the_columns_follow_every_change(services: Services, origin: Origin, ana: str) -> None:
    account = connected(services, origin, ana)
    said = {**secret_fields("aws"), "access_key_id": "AKIA" + "B" * 16, "secret_access_key": "n" * 40, "region": ""}
    with Transaction(services.engine) as tx:
        services.cloud_accounts.replace(tx, origin, account, said)
    assert opened(services, ana) == {
        "cloud_provider": "aws",
        "cloud_access_key": "AKIA" + "B" * 16,
        "cloud_secret_key": "n" * 40,
        "cloud_account_id": "123456789012",
    }
    other = connected(services, origin, ana, "other", "azure")
    assert mirrored(services, ana)["cloud_provider"] == "aws", "another account changes nothing"
    with Transaction(services.engine) as tx:
        services.cloud_accounts.make_primary(tx, origin, other)
    assert opened(services, ana)["cloud_tenant_id"] == secret_fields("azure")["tenant_id"]
    assert "cloud_config_json" not in mirrored(services, ana)


@pytest.mark.parametrize("damage", ["cut", "moved", "gone"])
def test_the_columns_are_made_again_from_the_account(services: Services, origin: Origin, ana: str, damage: str) -> None:
    account, right = connected(services, origin, ana), mirrored(services, ana)
    wrong: dict[str, Any] = {
        "cut": {"cloud_secret_key": right["cloud_secret_key"][:-5]},
        "moved": {"cloud_secret_key": right["cloud_access_key"]},
        "gone": {"cloud_secret_key": None, "cloud_provider": None},
    }[damage]
    before = opened(services, ana)
    with Transaction(services.engine) as tx:
        tx.execute(update(UserRow).where(USERS.c.id == ana).values(**wrong))
    if damage != "gone":
        with pytest.raises(DecryptionFailed):
            opened(services, ana)
    with Transaction(services.engine) as tx:
        services.cloud_accounts.make_primary(tx, origin, account)
    assert opened(services, ana) == before


def test_a_sealed_column_opens_for_its_own_person_alone(services: Services, origin: Origin, ana: str) -> None:
    connected(services, origin, ana)
    bora = person(services, origin, "bora")
    stolen = {name: value for name, value in mirrored(services, ana).items() if name in SEALED}
    with Transaction(services.engine) as tx:
        tx.execute(update(UserRow).where(USERS.c.id == bora).values(**stolen))
    with pytest.raises(DecryptionFailed):
        opened(services, bora)
