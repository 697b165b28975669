"""What becomes of cloud accounts when their owner closes, is erased, locks down, downloads or never confirms."""

from __future__ import annotations

import dataclasses
import datetime
import json

import pytest
from sqlalchemy import func, select, update

from database.models import CloudAccount as Row
from database.models import User as UserRow
from database.transaction import Transaction
from provider.accounts.own_data import archive
from provider.protocol.messages import Origin
from provider.services import Services
from provider.vault.account import CloudAccount
from provider.vault.providers import PROVIDERS
from tests.vault.conftest import connected, mirrored, person
from tests.vault.samples import EVERY_WAY, SECRET_CLOUDS, secret_fields

ROWS, USERS = Row.__table__, UserRow.__table__


def count(services: Services) -> int:
    with services.engine.connect() as connection:
        return int(connection.execute(select(func.count()).select_from(ROWS)).scalar_one())


def later(origin: Origin, days: float) -> Origin:
    return dataclasses.replace(origin, now=origin.now + datetime.timedelta(days=days))


@pytest.fixture
def work(services: Services, origin: Origin, ana: str) -> CloudAccount:
    connected(services, origin, person(services, origin, "bora", is_admin=True), "his")
    return connected(services, origin, ana)


def test_a_closed_account_keeps_them_for_who_comes_back(
    services: Services, origin: Origin, ana: str, work: CloudAccount
) -> None:
    with Transaction(services.engine) as tx:
        services.closing.close(tx, origin, services.users.get(tx, ana))
        services.closing.remind(tx, later(origin, 13.5).now)
        services.closing.purge(tx, later(origin, 13.9).now)
    assert mirrored(services, ana)["cloud_provider"] == "aws"
    with Transaction(services.engine) as tx:
        assert services.closing.reopen(tx, later(origin, 13.9), ana)
        assert services.cloud_accounts.opened(services.cloud_accounts.get(tx, ana, work.id)) == secret_fields("aws")


def test_an_erased_person_has_none(services: Services, origin: Origin, ana: str, work: CloudAccount) -> None:
    with Transaction(services.engine) as tx:
        services.closing.close(tx, origin, services.users.get(tx, ana))
        services.closing.remind(tx, later(origin, 13).now)
        assert services.closing.purge(tx, later(origin, 14.1).now) == 1
        assert services.cloud_accounts.find(tx, ana, work.id) is None
    assert mirrored(services, ana) == {}
    assert count(services) == 1, "of others they stay"


def test_an_operator_erases_at_once(services: Services, origin: Origin, ana: str, work: CloudAccount) -> None:
    with Transaction(services.engine) as tx:
        services.closing.erase_now(tx, origin, services.users.get(tx, ana), actor="cli:root")
        assert services.cloud_accounts.list(tx, work.user_id) == []
    assert mirrored(services, ana) == {}


def test_a_row_of_users_that_goes_takes_them_along(
    services: Services, origin: Origin, ana: str, work: CloudAccount
) -> None:
    with Transaction(services.engine) as tx:
        tx.execute(update(UserRow).where(USERS.c.id == ana).values(confirm_by=later(origin, 1).now))
        assert services.confirmations.purge_unconfirmed(tx, later(origin, 2).now) == 1
    assert count(services) == 1
    with Transaction(services.engine) as tx:
        assert services.cloud_accounts.list(tx, work.user_id) == []


def test_locking_down_leaves_them_in_place(services: Services, origin: Origin, ana: str, work: CloudAccount) -> None:
    """They let nobody in: what could give them out, sessions, grants and API keys, has ended."""
    with Transaction(services.engine) as tx:
        services.lock_down.lock_down(tx, later(origin, 0.1), services.users.get(tx, ana))
        assert services.cloud_accounts.find(tx, ana, work.id) == work


def test_the_archive_lists_them_without_what_is_sealed(services: Services, origin: Origin, ana: str) -> None:
    for number, (provider, mode) in enumerate(EVERY_WAY):
        connected(services, origin, ana, f"n{number}", provider, mode)
    with Transaction(services.engine) as tx:
        made = archive(tx, origin.now, ana)
    assert len(made["cloud_accounts"]) == len(EVERY_WAY)
    text = json.dumps(made["cloud_accounts"] + [made["account"]])
    assert "v1." not in text
    assert "v2." not in text
    assert len(sealed_values()) > len(SECRET_CLOUDS)
    assert not any(value in text for value in sealed_values())


def sealed_values() -> list[str]:
    """Of each value the longest part without a blank, a quote or the end of a line, which JSON writes otherwise."""
    values = [
        secret_fields(name)[field.name] for name in SECRET_CLOUDS for field in PROVIDERS[name].secret if field.is_sealed
    ]
    parts = [max(value.replace('"', " ").replace("\\n", " ").split(), key=len) for value in values]
    return [part for part in parts if len(part) > 8]
