"""Links to a password and an address, and waits, asked for by many at one moment: each works once (A-121)."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from sqlalchemy import select

from database.models import ReservedName
from database.models import User as UserRow
from database.transaction import Transaction
from provider.accounts.mailed_links import LinkOver
from provider.accounts.users import NameTaken, User
from provider.protocol.messages import Origin
from provider.security.crypto import Keyring
from provider.services import Services
from provider.sign_in.new_passwords import How, PasswordIsAnother
from provider.sign_in.second_factor_waits import WaitOver
from tests.accounts.conftest import added, events_on, later
from tests.accounts.test_login import enrolled
from tests.accounts.test_races import SIX, kinds
from tests.letters import letters
from tests.together import at_once

TABLE = UserRow.__table__


@pytest.fixture
def ana(on_server: Services, origin: Origin) -> User:
    return added(on_server, origin, "ana", is_verified=True)


def passwords_of(services: Services) -> str | None:
    with Transaction(services.engine) as tx:
        found: str | None = tx.execute(select(TABLE.c.password_hash)).scalar()
    return found


def reset(services: Services, origin: Origin, token: str, number: int) -> Callable[[Transaction], Any]:
    """As the page does it."""

    def run(tx: Transaction) -> Any:
        user = services.forgotten_passwords.find(tx, origin.now, token)
        tx.commit()
        if user is None:
            raise LinkOver
        return services.forgotten_passwords.finish(tx, origin, token, user, f"hash {number}")

    return run


def link_to_a_password(services: Services, origin: Origin, user: User) -> str:
    with Transaction(services.engine) as tx:
        return services.new_passwords.send_link(tx, origin, user, letter="password_reset").rpartition("/")[2]


def test_one_link_sets_one_of_six_passwords(on_server: Services, origin: Origin, ana: User) -> None:
    for number in range(3):
        moment = later(origin, number)
        token = link_to_a_password(on_server, moment, ana)
        answers = at_once(on_server.engine, [reset(on_server, moment, token, number) for number in range(SIX)], tries=6)
        found = kinds(answers)
        assert found.pop("EndedByPassword") == 1, answers
        assert set(found) <= {"LinkOver", "PasswordIsAnother"}, answers
        winner = next(i for i, answer in enumerate(answers) if type(answer).__name__ == "EndedByPassword")
        assert passwords_of(on_server) == f"hash {winner}"
    assert len(events_on(on_server.engine, "user.password_changed")) == 3


def test_of_changes_that_meet_one_counts(on_server: Services, origin: Origin, ana: User) -> None:
    def change(number: int) -> Callable[[Transaction], Any]:
        return lambda tx: on_server.new_passwords.change(tx, origin, ana, f"hash {number}", how=How.CHANGED)

    answers = at_once(on_server.engine, [change(number) for number in range(SIX)], tries=6)
    assert kinds(answers) == {"EndedByPassword": 1, PasswordIsAnother.__name__: SIX - 1}, answers


def test_a_request_is_answered_by_one_of_six_servers(
    on_server: Services, origin: Origin, ana: User, keyring: Keyring
) -> None:
    forgotten = on_server.forgotten_passwords
    with Transaction(on_server.engine) as tx:
        forgotten.ask(tx, origin, "ana", "en")
    with Transaction(on_server.engine) as tx:
        (waiting,) = forgotten.waiting(tx, 10)
    answers = at_once(on_server.engine, [lambda tx: forgotten.answer(tx, origin.now, waiting)] * SIX, tries=6)
    assert sorted(map(str, answers)) == ["False"] * (SIX - 1) + ["True"]
    assert len(letters(on_server.engine, keyring)) == 1


def asked_for(services: Services, origin: Origin, user: User, keyring: Keyring, email: str) -> str:
    with Transaction(services.engine) as tx:
        services.address_changes.ask(tx, origin, user, email)
    return letters(services.engine, keyring, name="address_confirm")[-1].token


def test_a_confirmation_counts_once(on_server: Services, origin: Origin, ana: User, keyring: Keyring) -> None:
    token = asked_for(on_server, origin, ana, keyring, "ana@elsewhere.example")
    confirm = on_server.address_changes.confirm
    answers = at_once(on_server.engine, [lambda tx: confirm(tx, origin, token, kept_session=None)] * SIX, tries=6)
    assert kinds(answers) == {"AddressChange": 1, "LinkOver": SIX - 1}, answers
    assert len(letters(on_server.engine, keyring, name="address_changed")) == 1


def test_an_address_that_two_take_at_once_is_one_of_theirs(
    on_server: Services, origin: Origin, ana: User, keyring: Keyring
) -> None:
    """Somebody confirms it while somebody else makes an account with it."""
    for number in range(3):
        moment = later(origin, 7 * 3600 * (number + 1))
        user = added(on_server, moment, f"user{number}")
        email = f"wanted{number}@elsewhere.example"
        token = asked_for(on_server, moment, user, keyring, email)

        def sign_up(tx: Transaction, number: int = number, email: str = email, moment: Origin = moment) -> User:
            return on_server.users.create(tx, moment, username=f"new{number}", email=email, password_hash=None)

        def confirm(tx: Transaction, token: str = token, moment: Origin = moment) -> Any:
            return on_server.address_changes.confirm(tx, moment, token, kept_session=None)

        answers = at_once(on_server.engine, [confirm, sign_up], tries=6)
        assert sum(isinstance(answer, NameTaken) for answer in answers) == 1, answers
        with Transaction(on_server.engine) as tx:
            assert on_server.users.find_by_login(tx, email) is not None


def test_a_name_that_is_given_up_and_taken_at_once_stays_with_its_owner(
    on_server: Services, origin: Origin, ana: User
) -> None:
    for number in range(4):
        owner = added(on_server, origin, f"owner{number}")
        answers = at_once(
            on_server.engine,
            [
                partial(on_server.renaming.rename, origin=origin, user=owner, username=f"renamed{number}"),
                partial(
                    on_server.users.create,
                    origin=origin,
                    username=f"owner{number}",
                    email=f"thief{number}@example.com",
                    password_hash=None,
                ),
            ],
            tries=6,
        )
        assert answers[0] is None
        assert isinstance(answers[1], NameTaken), answers
    with Transaction(on_server.engine) as tx:
        assert len(tx.execute(select(ReservedName.__table__.c.id)).all()) == 4


def begun(services: Services, origin: Origin, user: User, keyring: Keyring) -> str:
    """A wait that runs. Returns what stops it."""
    with Transaction(services.engine) as tx:
        services.second_factor_waits.ask(tx, origin, user)
    token = letters(services.engine, keyring, name="second_factor_wait_asked")[-1].token
    answers = at_once(
        services.engine, [lambda tx: services.second_factor_waits.begin(tx, origin, token)] * SIX, tries=6
    )
    assert kinds(answers) == {"Wait": 1, WaitOver.__name__: SIX - 1}, answers
    (letter,) = letters(services.engine, keyring, name="second_factor_wait_begun")
    return letter.token


def test_a_wait_begins_once_is_told_of_once_and_used_once(
    on_server: Services, origin: Origin, ana: User, keyring: Keyring
) -> None:
    enrolled(on_server, origin, ana)
    begun(on_server, origin, ana, keyring)
    waits, middle, end = on_server.second_factor_waits, later(origin, 4 * 86400), later(origin, 8 * 86400)
    at_once(on_server.engine, [lambda tx: waits.remind(tx, middle.now)] * SIX, tries=6)
    assert len(letters(on_server.engine, keyring, name="second_factor_wait_runs")) == 1
    remove = on_server.lost_second_factors.remove_if_waited
    answers = at_once(on_server.engine, [lambda tx: remove(tx, end, ana)] * SIX, tries=6)
    assert sorted(map(str, answers)) == ["False"] * (SIX - 1) + ["True"]
    assert len(events_on(on_server.engine, "second_factor.removed")) == 1


def test_a_wait_that_is_stopped_while_it_is_used_is_either(
    on_server: Services, origin: Origin, ana: User, keyring: Keyring
) -> None:
    enrolled(on_server, origin, ana)
    token, end = begun(on_server, origin, ana, keyring), later(origin, 8 * 86400)
    remove, stop = on_server.lost_second_factors.remove_if_waited, on_server.second_factor_waits.stop_by_link
    removed, stopped = at_once(
        on_server.engine, [lambda tx: remove(tx, end, ana), lambda tx: stop(tx, end, token)], tries=6
    )
    assert (removed is True) == isinstance(stopped, WaitOver), (removed, stopped)
    with Transaction(on_server.engine) as tx:
        assert on_server.users.get(tx, ana.id).two_factor_enabled is not (removed is True)
