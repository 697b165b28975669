"""Guessing: how far it gets for one account, from one address, and when it is over."""

from __future__ import annotations

import dataclasses
import datetime

import pytest
from sqlalchemy import Engine, select

from database.models import RateCounter
from database.transaction import Transaction
from provider.accounts.login import Throttled, WrongCode, WrongCredentials
from provider.accounts.users import User
from provider.protocol.messages import Origin
from provider.services import Services
from tests.accounts.conftest import PASSWORD, AddUser, Events, elsewhere, later
from tests.accounts.test_login import enrolled


def guess(services: Services, origin: Origin, name: str, password: str = "wrong") -> datetime.datetime | User | None:
    """The user, None for a wrong guess, or until when nothing is looked at."""
    tx = Transaction(services.engine)
    try:
        return services.login.check_password(tx, origin, name, password)
    except WrongCredentials:
        return None
    except Throttled as refusal:
        return refusal.until
    finally:
        tx.commit()


def guess_code(services: Services, origin: Origin, user: User, code: str = "000000") -> datetime.datetime | bool | None:
    tx = Transaction(services.engine)
    try:
        step = services.login.begin_second_factor(tx, origin, user)
        services.login.check_second_factor(tx, origin, step, code)
    except WrongCode:
        return None
    except Throttled as refusal:
        return refusal.until
    else:
        return True
    finally:
        tx.commit()


@pytest.mark.parametrize(
    "names", [("ana",), ("ana", "ANA", "ana@example.com", " ａｎａ"), ("nobody",), ("no@body.com",)]
)
def test_ten_guesses_for_an_account_from_anywhere(
    services: Services, origin: Origin, ana: User, names: tuple[str, ...], events: Events
) -> None:
    for number in range(10):
        assert guess(services, elsewhere(origin, number), names[number % len(names)]) is None
    until = guess(services, elsewhere(origin, 10), names[0])
    assert isinstance(until, datetime.datetime)
    assert origin.now < until <= origin.now + datetime.timedelta(seconds=900)
    assert len(events("login.failed")) == 10
    (record,) = events("login.throttled")
    assert record["outcome"] == "denied"


def test_the_right_password_is_refused_as_well_so_that_the_answer_tells_nothing(
    services: Services, origin: Origin, ana: User
) -> None:
    for _ in range(10):
        guess(services, origin, "ana")
    assert guess(services, origin, "ana", PASSWORD) == guess(services, origin, "ana")


def test_the_limit_always_ends_and_other_accounts_never_had_it(
    services: Services, origin: Origin, ana: User, add_user: AddUser
) -> None:
    bora = add_user("bora")
    for _ in range(10):
        guess(services, origin, "ana")
    until = guess(services, origin, "ana")
    assert isinstance(until, datetime.datetime)
    assert guess(services, origin, "bora", PASSWORD) == bora
    wait = (until - origin.now).total_seconds()
    assert isinstance(guess(services, later(origin, wait - 1), "ana", PASSWORD), datetime.datetime)
    assert guess(services, later(origin, wait), "ana", PASSWORD) == ana


def test_a_session_that_exists_is_untouched_by_strangers_guesses(services: Services, origin: Origin, ana: User) -> None:
    with Transaction(services.engine) as tx:
        token = services.sessions.start(tx, origin, ana.id, ("pwd",))
    for number in range(12):
        guess(services, elsewhere(origin, number), "ana")
    with Transaction(services.engine) as tx:
        assert services.sessions.find(tx, origin.now, token) is not None


def test_success_forgets_the_guesses_for_the_account(services: Services, origin: Origin, ana: User) -> None:
    for _ in range(3):
        for _ in range(9):
            assert guess(services, origin, "ana") is None
        assert guess(services, origin, "ana", PASSWORD) == ana


def test_success_does_not_forget_the_guesses_from_an_address(services: Services, origin: Origin, ana: User) -> None:
    for number in range(49):
        assert guess(services, origin, f"unknown{number}") is None
    assert guess(services, origin, "ana", PASSWORD) == ana
    assert guess(services, origin, "another") is None
    assert isinstance(guess(services, origin, "one more"), datetime.datetime)


def test_fifty_guesses_from_one_address_whatever_the_names(services: Services, origin: Origin, ana: User) -> None:
    for number in range(50):
        assert guess(services, origin, f"name{number}") is None
    until = guess(services, origin, "ana", PASSWORD)
    assert isinstance(until, datetime.datetime)
    assert until <= origin.now + datetime.timedelta(seconds=900)
    assert guess(services, elsewhere(origin, 1), "ana", PASSWORD) == ana, "its owner is elsewhere"


def test_an_address_beyond_its_limit_uses_up_nobodys_attempts(
    services: Services, origin: Origin, ana: User, events: Events
) -> None:
    for number in range(50):
        assert guess(services, origin, f"name{number}") is None
    with Transaction(services.engine) as tx:
        counters = len(tx.execute(select(RateCounter)).all())
    for number in range(20):
        assert isinstance(guess(services, origin, "ana"), datetime.datetime)
        assert isinstance(guess(services, origin, f"other{number}"), datetime.datetime)
    assert guess(services, elsewhere(origin, 1), "ana", PASSWORD) == ana, "nobody is kept out by it"
    with Transaction(services.engine) as tx:
        assert len(tx.execute(select(RateCounter)).all()) <= counters + 2, "and it fills no table"
    assert len(events("login.throttled")) == 1


def test_the_addresses_of_one_ipv6_network_are_one(services: Services, origin: Origin, ana: User) -> None:
    def at(number: int, network: int = 1) -> Origin:
        return dataclasses.replace(origin, source=f"2001:db8:0:{network}:{number:x}::1")

    for number in range(50):
        assert guess(services, at(number), f"name{number}") is None
    assert isinstance(guess(services, at(50), "ana", PASSWORD), datetime.datetime)
    assert guess(services, at(50, network=2), "ana", PASSWORD) == ana


def test_fifty_guesses_for_an_account_in_a_day(services: Services, origin: Origin, ana: User) -> None:
    moment, guesses = origin, 0
    while (moment.now - origin.now).total_seconds() < 86400:
        until = guess(services, elsewhere(moment, guesses), "ana")
        if until is None:
            guesses += 1
            continue
        assert isinstance(until, datetime.datetime)
        moment = later(moment, (until - moment.now).total_seconds())
    assert 50 <= guesses <= 100, "two days' windows at most lie in one day"


def test_five_codes_for_an_account_from_any_session_and_address(
    services: Services, origin: Origin, ana: User, events: Events
) -> None:
    generator = enrolled(services, origin, ana)
    for number in range(5):
        assert guess_code(services, elsewhere(origin, number), ana) is None
    until = guess_code(services, elsewhere(origin, 6), ana, generator.at(origin.now))
    assert isinstance(until, datetime.datetime)
    assert until <= origin.now + datetime.timedelta(seconds=300)
    assert len(events("second_factor.failed")) == 5
    assert [row["user_id"] for row in events("second_factor.throttled")] == [ana.id]
    after = later(origin, (until - origin.now).total_seconds())
    assert guess_code(services, after, ana, generator.at(after.now)) is True


def test_recovery_codes_share_the_count_of_the_codes(services: Services, origin: Origin, ana: User) -> None:
    generator = enrolled(services, origin, ana)
    with Transaction(services.engine) as tx:
        codes = services.recovery_codes.generate(tx, origin, ana.id)
    for code in ("000000", "aaaaaaa-aaaaaaa", "000001", "bbbbbbb-bbbbbbb", "ccccccc-ccccccc"):
        assert guess_code(services, origin, ana, code) is None
    assert isinstance(guess_code(services, origin, ana, codes[0]), datetime.datetime)
    assert isinstance(guess_code(services, origin, ana, generator.at(origin.now)), datetime.datetime)
    with Transaction(services.engine) as tx:
        assert services.recovery_codes.count(tx, ana.id) == 10, "what was refused unseen is not used up"


def test_a_right_code_forgets_the_wrong_ones(services: Services, origin: Origin, ana: User) -> None:
    generator = enrolled(services, origin, ana)
    for round_number in range(3):
        moment = later(origin, 60 * round_number)
        for _ in range(4):
            assert guess_code(services, moment, ana) is None
        assert guess_code(services, moment, ana, generator.at(moment.now)) is True


def test_codes_are_limited_by_the_hour_and_by_the_day(services: Services, origin: Origin, ana: User) -> None:
    enrolled(services, origin, ana)
    moment, looked_at = origin, []
    while (moment.now - origin.now).total_seconds() < 86400:
        until = guess_code(services, moment, ana)
        if until is None:
            looked_at.append(moment.now)
            continue
        assert isinstance(until, datetime.datetime)
        moment = later(moment, (until - moment.now).total_seconds())
    assert 50 <= len(looked_at) <= 100
    hour = datetime.timedelta(hours=1)
    assert max(sum(start <= other < start + hour for other in looked_at) for start in looked_at) <= 40


def test_without_rate_limits_nothing_is_counted(engine: Engine, services: Services, origin: Origin, ana: User) -> None:
    services.rate_limits._enabled = False
    for _ in range(12):
        assert guess(services, origin, "ana") is None
    assert guess(services, origin, "ana", PASSWORD) == ana
