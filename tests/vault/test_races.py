"""Changes of cloud accounts at one moment, on a server."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from database.transaction import Transaction
from provider.protocol.messages import Origin
from provider.security.crypto import Keyring
from provider.services import Services
from provider.vault.account import CloudAccount
from provider.vault.cloud_accounts import MAX_ACCOUNTS
from tests.together import Call, at_once
from tests.vault.conftest import connected, mirrored, person, services_on
from tests.vault.samples import secret_fields

SIX, TRIES, ROUNDS = 6, 8, 5


@pytest.fixture(params=["mariadb", "mysql"])
def on_server(request: pytest.FixtureRequest, keyring: Keyring) -> Services:
    return services_on(request.getfixturevalue(f"{request.param}_engine"), keyring)


@pytest.fixture
def bora(on_server: Services, origin: Origin) -> str:
    return person(on_server, origin, "bora")


def connecting(services: Services, origin: Origin, user_id: str, label: str) -> Call:
    return lambda tx: services.cloud_accounts.connect(
        tx, origin, user_id, label=label, provider="ibm", mode="secret", said=secret_fields("ibm")
    )


def kinds(answers: list[Any]) -> dict[str, int]:
    return dict(Counter(type(answer).__name__ for answer in answers))


def primary_of(services: Services, user_id: str) -> list[CloudAccount]:
    with Transaction(services.engine) as tx:
        return [account for account in services.cloud_accounts.list(tx, user_id) if account.is_primary]


def test_one_label_is_had_once(on_server: Services, origin: Origin, bora: str) -> None:
    answers = at_once(on_server.engine, [connecting(on_server, origin, bora, "work")] * SIX, tries=TRIES)
    assert kinds(answers) == {"CloudAccount": 1, "LabelTaken": SIX - 1}


def test_of_several_first_accounts_one_is_the_primary_one(on_server: Services, origin: Origin, bora: str) -> None:
    calls = [connecting(on_server, origin, bora, f"n{number}") for number in range(SIX)]
    assert kinds(at_once(on_server.engine, calls, tries=TRIES)) == {"CloudAccount": SIX}
    assert len(primary_of(on_server, bora)) == 1


def test_nobody_gets_one_too_many(on_server: Services, origin: Origin, bora: str) -> None:
    for number in range(MAX_ACCOUNTS - 1):
        connected(on_server, origin, bora, f"n{number}", "ibm")
    for number in range(ROUNDS):
        calls = [connecting(on_server, origin, bora, f"m{number}{letter}") for letter in "abcdef"]
        answers = at_once(on_server.engine, calls, tries=TRIES)
        assert kinds(answers) == {"CloudAccount": 1, "TooManyAccounts": SIX - 1}
        (made,) = [answer for answer in answers if isinstance(answer, CloudAccount)]
        with Transaction(on_server.engine) as tx:
            assert len(on_server.cloud_accounts.list(tx, bora)) == MAX_ACCOUNTS
            on_server.cloud_accounts.remove(tx, origin, made)


def test_there_is_one_primary_account_and_the_columns_are_its_own(
    on_server: Services, origin: Origin, bora: str
) -> None:
    accounts = [
        connected(on_server, origin, bora, f"n{number}", region=f"eu-central-{number + 1}") for number in range(SIX)
    ]

    def promoting(account: CloudAccount) -> Callable[[Transaction], None]:
        return lambda tx: on_server.cloud_accounts.make_primary(tx, origin, account)

    assert at_once(on_server.engine, [promoting(account) for account in accounts], tries=TRIES) == [None] * SIX
    (primary,) = primary_of(on_server, bora)
    assert mirrored(on_server, bora)["cloud_region"] == primary.region


def test_one_of_several_windows_replaces(on_server: Services, origin: Origin, bora: str) -> None:
    account = connected(on_server, origin, bora)

    def replacing(number: int) -> Call:
        said = {"region": f"eu-central-{number + 1}"}
        return lambda tx: on_server.cloud_accounts.replace(tx, origin, account, said)

    answers = at_once(on_server.engine, [replacing(number) for number in range(SIX)], tries=TRIES)
    assert kinds(answers) == {"CloudAccount": 1, "ChangedMeanwhile": SIX - 1}
    (won,) = [answer for answer in answers if isinstance(answer, CloudAccount)]
    assert (won.version, mirrored(on_server, bora)["cloud_region"]) == (2, won.region)


@pytest.mark.parametrize("round_number", range(3))
def test_what_is_removed_while_it_is_changed_is_gone(
    on_server: Services, origin: Origin, bora: str, round_number: int
) -> None:
    first, second = connected(on_server, origin, bora), connected(on_server, origin, bora, "second", region="us-east-1")
    service = on_server.cloud_accounts
    calls: list[Call] = [
        lambda tx: service.remove(tx, origin, first),
        lambda tx: service.replace(tx, origin, first, {"region": "us-west-2"}),
        lambda tx: service.remove(tx, origin, first),
        lambda tx: service.make_primary(tx, origin, first),
    ]
    turned = calls[round_number:] + calls[:round_number]
    answers = at_once(on_server.engine, turned, tries=TRIES)
    found = kinds(answers)
    assert found["bool"] == 2
    assert [answer for answer in answers if isinstance(answer, bool) and answer] == [True]
    assert set(found) <= {"bool", "CloudAccount", "ChangedMeanwhile", "NoneType"}
    (primary,) = primary_of(on_server, bora)
    assert (primary.id, mirrored(on_server, bora)["cloud_region"]) == (second.id, "us-east-1")


def test_when_all_are_removed_at_once_the_columns_are_empty(on_server: Services, origin: Origin, bora: str) -> None:
    for _ in range(ROUNDS):
        accounts = [connected(on_server, origin, bora, f"n{number}") for number in range(SIX)]

        def removing(account: CloudAccount) -> Callable[[Transaction], bool]:
            return lambda tx: on_server.cloud_accounts.remove(tx, origin, account)

        assert at_once(on_server.engine, [removing(account) for account in accounts], tries=TRIES) == [True] * SIX
        assert mirrored(on_server, bora) == {}
