"""Guesses from elsewhere keep nobody out of an account in a browser that has been signed in to it."""

from __future__ import annotations

import pytest
from sqlalchemy import update

from database.models import User as UserRow
from database.transaction import Transaction
from provider.accounts.users import User
from provider.protocol.messages import Origin
from provider.services import Services
from provider.sign_in.attempts import (
    PASSWORD_ON_KNOWN_DEVICE,
    PASSWORD_PER_NAME,
    PASSWORD_PER_SOURCE,
    Throttled,
)
from provider.sign_in.login import WrongCredentials
from tests.accounts.conftest import PASSWORD, later


def guess(services: Services, tx: Transaction, origin: Origin, device: str = "") -> None:
    with pytest.raises((WrongCredentials, Throttled)):
        services.login.check_password(tx, origin, "ana", "a wrong guess", device=device)


def test_the_owner_comes_in_at_home_while_a_stranger_guesses(
    services: Services, tx: Transaction, origin: Origin, ana: User
) -> None:
    device = services.login.device_token(ana)
    for _ in range(PASSWORD_PER_NAME.times + 1):
        guess(services, tx, origin)
    with pytest.raises(Throttled):
        services.login.check_password(tx, origin, "ana", PASSWORD)
    assert services.login.check_password(tx, origin, "ana", PASSWORD, device=device).id == ana.id


def test_guesses_at_home_are_limited_too(services: Services, tx: Transaction, origin: Origin, ana: User) -> None:
    device = services.login.device_token(ana)
    for _ in range(PASSWORD_ON_KNOWN_DEVICE[0].times):
        guess(services, tx, origin, device)
    with pytest.raises(Throttled):
        services.login.check_password(tx, origin, "ana", PASSWORD, device=device)


@pytest.mark.parametrize("device", ["", "0" * 64, "ana", "앱"])
def test_another_token_makes_no_known_device(
    services: Services, tx: Transaction, origin: Origin, ana: User, device: str
) -> None:
    for _ in range(PASSWORD_PER_NAME.times):
        guess(services, tx, origin, device)
    with pytest.raises(Throttled):
        services.login.check_password(tx, origin, "ana", PASSWORD)


def test_the_sign_ins_of_one_office_do_not_count_as_guesses(
    services: Services, tx: Transaction, origin: Origin, ana: User
) -> None:
    for _ in range(PASSWORD_PER_SOURCE[0].times + 1):
        assert services.login.check_password(tx, origin, "ana", PASSWORD).id == ana.id


def test_a_colleague_who_guesses_keeps_nobody_out_at_the_same_address(
    services: Services, tx: Transaction, origin: Origin, ana: User
) -> None:
    for number in range(PASSWORD_PER_SOURCE[0].times + 1):
        with pytest.raises((WrongCredentials, Throttled)):
            services.login.check_password(tx, origin, f"name{number}", "a wrong guess")
    with pytest.raises(Throttled):
        services.login.check_password(tx, origin, "ana", PASSWORD)
    device = services.login.device_token(ana)
    assert services.login.check_password(tx, origin, "ana", PASSWORD, device=device).id == ana.id


def test_a_device_stays_known_when_the_hash_is_renewed_and_not_when_the_password_is_another(
    services: Services, tx: Transaction, origin: Origin, ana: User
) -> None:
    device = services.login.device_token(ana)
    services.users.renew_password_hash(tx, ana, services.passwords.hash(PASSWORD))
    found = services.users.find(tx, ana.id)
    assert found is not None
    assert found.password_hash != ana.password_hash
    assert services.login.device_token(found) == device
    tx.execute(update(UserRow).values(password_changed_at=later(origin, 1).now))
    changed = services.users.find(tx, ana.id)
    assert changed is not None
    assert services.login.device_token(changed) != device
