"""Guessing: how far it gets from one network and for one account, whom it keeps out, and when it is over."""

from __future__ import annotations

import dataclasses
import datetime

import pytest
from sqlalchemy import Engine, select

from database.models import RateCounter
from database.transaction import Transaction
from provider.accounts.users import User
from provider.protocol.messages import Origin
from provider.security.crypto import Keyring
from provider.services import Services
from provider.sign_in.attempts import (
    PASSWORD_PER_ACCOUNT,
    PASSWORD_PER_ACCOUNT_AND_SOURCE,
    CodesClosed,
    Throttled,
)
from provider.sign_in.login import WrongCode, WrongCredentials
from tests.accounts.conftest import PASSWORD, AddUser, Events, accounts_on, added, elsewhere, events_on, later
from tests.accounts.test_login import enrolled


def guess(
    services: Services, origin: Origin, name: str, password: str = "wrong", device: str = ""
) -> datetime.datetime | User | None:
    """The user, None for a wrong guess, or until when nothing is looked at."""
    tx = Transaction(services.engine)
    try:
        return services.login.check_password(tx, origin, name, password, device=device)
    except WrongCredentials:
        return None
    except Throttled as refusal:
        return refusal.until
    finally:
        tx.commit()


def guess_code(
    services: Services, origin: Origin, user: User, code: str = "000000", device: str = ""
) -> datetime.datetime | bool | None:
    tx = Transaction(services.engine)
    try:
        step = services.login.begin_second_factor(tx, origin, user)
        services.login.check_second_factor(tx, origin, step, code, device=device)
    except WrongCode:
        return None
    except CodesClosed:
        return False
    except Throttled as refusal:
        return refusal.until
    else:
        return True
    finally:
        tx.commit()


def use_up_the_account(services: Services, origin: Origin) -> None:
    """As many guesses for ana, from as many addresses, as are looked at in a day."""
    for number in range(50):
        assert guess(services, elsewhere(origin, 300 + number), "ana") is None


@pytest.mark.parametrize(
    "names", [("ana",), ("ana", "ANA", " ａｎａ"), ("ana@example.com",), ("nobody",), ("no@body.com",)]
)
def test_ten_guesses_for_a_name_from_one_address(
    services: Services, origin: Origin, ana: User, names: tuple[str, ...], events: Events
) -> None:
    for number in range(10):
        assert guess(services, origin, names[number % len(names)]) is None
    until = guess(services, origin, names[0])
    assert isinstance(until, datetime.datetime)
    assert origin.now < until <= origin.now + datetime.timedelta(seconds=900)
    assert guess(services, origin, names[0], PASSWORD) == until, "the right password is refused alike"
    assert len(events("login.failed")) == 10
    (record,) = events("login.throttled")
    assert record["outcome"] == "denied"


@pytest.mark.parametrize(
    "first, second", [("ana", "ana@example.com"), ("ana@example.com", "ana"), ("no", "no@body.com")]
)
def test_the_guesses_for_a_name_are_not_seen_in_the_answer_for_the_address_of_the_same_account(
    services: Services, origin: Origin, ana: User, first: str, second: str
) -> None:
    for _ in range(10):
        guess(services, origin, first)
    assert isinstance(guess(services, origin, first), datetime.datetime)
    for _ in range(10):
        assert guess(services, origin, second) is None
    assert isinstance(guess(services, origin, second), datetime.datetime)


def test_who_guesses_shuts_out_nobody_but_himself(services: Services, origin: Origin, ana: User) -> None:
    for day in range(3):
        for number in range(4):
            moment = later(origin, 86400 * day + 900 * number)
            for _ in range(11):
                guess(services, moment, "ana")
                guess(services, moment, "ana@example.com")
        assert guess(services, moment, "ana", PASSWORD) != ana, "at his own address not even the right one"
        assert guess(services, elsewhere(moment, 1), "ana", PASSWORD) == ana


def test_fifteen_guesses_a_day_for_an_account_from_one_address(
    services: Services, origin: Origin, ana: User, events: Events
) -> None:
    for number in range(40):
        guess(services, later(origin, 900 * (number // 10)), ("ana", "ana@example.com")[number % 2])
    assert len(events("login.failed")) == 15
    assert {row["user_id"] for row in events("login.throttled")} == {ana.id}


@pytest.mark.parametrize(
    "widths, looked_at",
    [((0, 0, 1), 15), ((0, 1, 0), 20), ((1, 0, 0), 24), ((1, 1, 1), 24)],
    ids=["one /64", "one /56", "one /48", "all over a /48"],
)
def test_the_networks_of_one_ipv6_customer_count_together(
    sqlite_engine: Engine, keyring: Keyring, origin: Origin, widths: tuple[int, int, int], looked_at: int
) -> None:
    services = accounts_on(sqlite_engine, keyring)
    ana = added(services, origin, "ana")
    high, middle, low = widths
    for number in range(60):
        source = f"2001:db8:7:{(high * number) << 8 | (middle * (number % 256)):x}::{low * number:x}"
        guess(services, dataclasses.replace(origin, source=source), ("ana", "ana@example.com")[number % 2])
    assert len(events_on(sqlite_engine, "login.failed")) == looked_at
    assert guess(services, dataclasses.replace(origin, source="2001:db8:8::1"), "ana", PASSWORD) == ana


def test_no_single_network_reaches_the_limit_of_an_account() -> None:
    """Its windows begin when they like: two of them may lie in one of the account's."""
    assert 2 * max(limit.times for limit in PASSWORD_PER_ACCOUNT_AND_SOURCE) < PASSWORD_PER_ACCOUNT.times
    assert {limit.seconds for limit in (*PASSWORD_PER_ACCOUNT_AND_SOURCE, PASSWORD_PER_ACCOUNT)} == {86400}


def test_beyond_the_limit_of_an_account_a_right_password_is_answered_like_a_wrong_one(
    services: Services, origin: Origin, ana: User, events: Events
) -> None:
    use_up_the_account(services, origin)
    assert guess(services, origin, "ana", PASSWORD) is None
    assert guess(services, elsewhere(origin, 1), "ana@example.com", PASSWORD) is None
    assert len(events("login.failed")) == 50
    (record,) = events("login.throttled")
    assert record["user_id"] == ana.id
    assert guess(services, origin, "ana", PASSWORD, services.login.device_token(ana)) == ana, "the owner is at home"
    assert guess(services, later(origin, 86400), "ana", PASSWORD) == ana, "and anywhere the next day"


def test_other_accounts_are_not_concerned(services: Services, origin: Origin, ana: User, add_user: AddUser) -> None:
    bora = add_user("bora")
    use_up_the_account(services, origin)
    assert guess(services, origin, "bora", PASSWORD) == bora


def test_a_limit_always_ends(services: Services, origin: Origin, ana: User) -> None:
    for _ in range(10):
        guess(services, origin, "ana")
    until = guess(services, origin, "ana")
    assert isinstance(until, datetime.datetime)
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


def test_success_forgets_the_guesses_for_the_account_from_there(services: Services, origin: Origin, ana: User) -> None:
    for number in range(3):
        moment = later(origin, 900 * number)
        for _ in range(9):
            assert guess(services, moment, "ana") is None
        assert guess(services, moment, "ana", PASSWORD) == ana


def test_a_sign_in_is_not_seen_in_the_answers_to_guesses_from_the_same_address(
    services: Services, origin: Origin, ana: User
) -> None:
    for _ in range(9):
        guess(services, origin, "ana")
    assert guess(services, origin, "ana", PASSWORD) == ana
    assert guess(services, origin, "ana") is None
    assert isinstance(guess(services, origin, "ana"), datetime.datetime), "as for a name that is nobody's"


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
        assert len(tx.execute(select(RateCounter)).all()) <= counters + 4, "and it fills no table"
    assert len(events("login.throttled")) == 1


def test_the_addresses_of_one_ipv6_network_are_one(services: Services, origin: Origin, ana: User) -> None:
    def at(number: int, network: int = 1) -> Origin:
        return dataclasses.replace(origin, source=f"2001:db8:0:{network}:{number:x}::1")

    for number in range(50):
        assert guess(services, at(number), f"name{number}") is None
    assert isinstance(guess(services, at(50), "ana", PASSWORD), datetime.datetime)
    assert guess(services, at(50, network=2), "ana", PASSWORD) == ana


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


def test_recovery_codes_are_counted_by_themselves(services: Services, origin: Origin, ana: User) -> None:
    enrolled(services, origin, ana)
    with Transaction(services.engine) as tx:
        codes = services.recovery_codes.generate(tx, origin, ana.id)
    for _ in range(6):
        guess_code(services, origin, ana)
    for _ in range(4):
        assert guess_code(services, origin, ana, "aaaaaaa-aaaaaaa") is None
    assert guess_code(services, origin, ana, codes[0]) is True
    for _ in range(5):
        assert guess_code(services, origin, ana, "aaaaaaa-aaaaaaa") is None
    assert isinstance(guess_code(services, origin, ana, codes[1]), datetime.datetime)
    with Transaction(services.engine) as tx:
        assert services.recovery_codes.count(tx, ana.id) == 9, "what was refused unseen is not used up"


def test_codes_on_a_known_device_are_counted_by_themselves(services: Services, origin: Origin, ana: User) -> None:
    generator = enrolled(services, origin, ana)
    device = services.login.device_token(ana)
    for _ in range(6):
        guess_code(services, origin, ana)
    for _ in range(4):
        assert guess_code(services, origin, ana, device=device) is None
    assert guess_code(services, origin, ana, generator.at(origin.now), device) is True
    for _ in range(5):
        assert guess_code(services, origin, ana, device=device) is None
    assert isinstance(guess_code(services, origin, ana, device=device), datetime.datetime)


def test_a_right_code_forgets_the_wrong_ones(services: Services, origin: Origin, ana: User) -> None:
    generator = enrolled(services, origin, ana)
    for round_number in range(3):
        moment = later(origin, 60 * round_number)
        for _ in range(4):
            assert guess_code(services, moment, ana) is None
        assert guess_code(services, moment, ana, generator.at(moment.now)) is True


def test_what_is_refused_counts_for_no_longer_limit(services: Services, origin: Origin, ana: User) -> None:
    generator = enrolled(services, origin, ana)
    for _ in range(30):
        until = guess_code(services, origin, ana)
    assert isinstance(until, datetime.datetime)
    after = later(origin, (until - origin.now).total_seconds())
    assert guess_code(services, after, ana, generator.at(after.now)) is True, "25 refused ones are not 20 in an hour"


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
