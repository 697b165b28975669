"""Unknown names cost what those cost that are there, whatever the settings have become since."""

from __future__ import annotations

import dataclasses
from collections import Counter

import argon2
import pytest
from sqlalchemy import Engine

from database.transaction import Transaction
from provider.protocol.messages import Origin
from provider.services import Services
from provider.sign_in.login import WrongCredentials
from provider.sign_in.passwords import Passwords
from provider.sign_in.stand_in_hashes import FRESH_FOR, StandInHashes
from tests.accounts.conftest import PASSWORD, AddUser, elsewhere, login_with
from tests.accounts.test_passwords import CountingHasher, counted

OLD, NEW = (64, 1), (128, 2)


def costing(cost: tuple[int, int]) -> Passwords:
    return Passwords(memory_kib=cost[0], time_cost=cost[1], parallelism=1, concurrency=1, min_length=15)


def costs(hasher: CountingHasher) -> list[tuple[int, int]]:
    """The cost of each verification, in their order."""
    found = [argon2.extract_parameters(str(value)) for value in hasher.verified]
    return [(parameters.memory_cost, parameters.time_cost) for parameters in found]


def chosen(stand_ins: StandInHashes, services: Services, origin: Origin, name: str) -> tuple[int, int]:
    with Transaction(services.engine) as tx:
        parameters = argon2.extract_parameters(stand_ins.choose(tx, origin.now, name))
    return parameters.memory_cost, parameters.time_cost


def test_after_the_cost_was_raised_every_refusal_is_still_the_same_work(
    services: Services, engine: Engine, origin: Origin, add_user: AddUser
) -> None:
    old = costing(OLD)
    add_user("ana", password_hash=old.hash(PASSWORD))
    gone = add_user("gone", password_hash=old.hash(PASSWORD))
    add_user("passwordless", password_hash=None)
    with Transaction(engine) as tx:
        services.user_ends.set_active(tx, origin, gone.id, False)
    passwords = costing(NEW)
    login = login_with(services, passwords)
    hasher = counted(passwords)
    guesses = [
        ("ana", "wrong"),
        ("ana@example.com", "x" * 257),
        ("ana", "x" * 5000),
        ("gone", PASSWORD),
        ("passwordless", "wrong"),
        ("nobody", "wrong"),
        ("nobody", "x" * 5000),
        ("no@body.com", PASSWORD),
        ("@@ /", "wrong"),
    ]
    for number, (name, password) in enumerate(guesses):
        with Transaction(engine) as tx, pytest.raises(WrongCredentials):
            login.check_password(tx, elsewhere(origin, number), name, password)
    assert costs(hasher) == [OLD] * len(guesses)


def test_where_both_costs_are_stored_unknown_names_have_them_in_the_same_proportion(
    services: Services, origin: Origin, add_user: AddUser
) -> None:
    for number in range(8):
        cost = OLD if number < 6 else NEW
        add_user(f"user{number}", password_hash=costing(cost).hash(PASSWORD))
    stand_ins = StandInHashes(services.users, services.keyring, parameters=costing(NEW).parameters)
    found = Counter(chosen(stand_ins, services, origin, f"nobody{number}") for number in range(400))
    assert set(found) == {OLD, NEW}
    assert 240 <= found[OLD] <= 360, "300 are to be expected"


def test_a_name_keeps_its_cost_in_every_process(services: Services, origin: Origin, add_user: AddUser) -> None:
    for number in range(4):
        add_user(f"user{number}", password_hash=costing(OLD if number % 2 else NEW).hash(PASSWORD))
    one, other = (StandInHashes(services.users, services.keyring, parameters=costing(NEW).parameters) for _ in range(2))
    for number in range(30):
        name = f"nobody{number}"
        assert len({chosen(made, services, origin, name) for made in (one, other, one)}) == 1


def test_names_change_to_the_new_cost_as_people_do_and_never_back(
    services: Services, origin: Origin, add_user: AddUser
) -> None:
    people = [add_user(f"user{number}", password_hash=costing(OLD).hash(PASSWORD)) for number in range(4)]
    names = [f"nobody{number}" for number in range(60)]
    stand_ins = StandInHashes(services.users, services.keyring, parameters=costing(NEW).parameters)
    moment, before = origin, {name: chosen(stand_ins, services, origin, name) for name in names}
    assert set(before.values()) == {OLD}
    for person in people:
        with Transaction(services.engine) as tx:
            services.users.renew_password_hash(tx, person, costing(NEW).hash(PASSWORD))
        almost = dataclasses.replace(moment, now=moment.now + FRESH_FOR * 0.99)
        assert {name: chosen(stand_ins, services, almost, name) for name in names} == before, "counted once an hour"
        moment = dataclasses.replace(moment, now=moment.now + FRESH_FOR)
        after = {name: chosen(stand_ins, services, moment, name) for name in names}
        assert not [name for name in names if before[name] == NEW and after[name] == OLD]
        before = after
    assert set(before.values()) == {NEW}


@pytest.mark.parametrize(
    "stored",
    [None, "", "!", "$2b$12$R9h/cIPz0gi.URNNX3kh2OPST9/PgBkqquzi.Ss7KIUgO2t0jWMUW", "$argon2id$", "$argon2id$v=19$m=8"],
)
def test_where_nothing_of_use_is_stored_the_cost_is_that_of_new_hashes(
    services: Services, origin: Origin, add_user: AddUser, stored: str | None
) -> None:
    add_user("strange", password_hash=stored)
    stand_ins = StandInHashes(services.users, services.keyring, parameters=costing(NEW).parameters)
    assert chosen(stand_ins, services, origin, "nobody") == NEW
