"""A hundred wrong guesses in a row close a way in; a success on another way opens it (NIST SP 800-63B-4 §3.2.2, A-59)."""

from __future__ import annotations

import datetime

import pytest
from sqlalchemy import Engine

from database.transaction import Transaction
from provider.accounts.users import User
from provider.protocol.messages import Origin
from provider.security.crypto import Keyring
from provider.services import Services
from provider.sign_in.consecutive_failures import MOST, Way, WayIn
from tests.accounts.conftest import PASSWORD, accounts_on, added, elsewhere, events_on, later
from tests.accounts.test_login import enrolled
from tests.accounts.test_login_throttles import guess, guess_code


@pytest.fixture
def services(sqlite_engine: Engine, keyring: Keyring) -> Services:
    """On SQLite alone: what is counted here is counted in the same statements that the races run on MariaDB."""
    return accounts_on(sqlite_engine, keyring)


def fail(services: Services, way_in: WayIn, times: int, origin: Origin) -> None:
    with Transaction(services.engine) as tx:
        for _ in range(times):
            number = services.consecutive_failures.count(tx, origin, way_in)
            if number is not None:
                services.consecutive_failures.fail(tx, origin, way_in, number)


def password_of(user: User, *, known: bool = False) -> WayIn:
    return WayIn(user.id, Way.PASSWORD, known)


def code_of(user: User, *, known: bool = False) -> WayIn:
    return WayIn(user.id, Way.CODE, known)


def closed(services: Services, user: User) -> list[WayIn]:
    with Transaction(services.engine) as tx:
        return services.consecutive_failures.closed(tx, user.id)


def test_a_guesser_with_all_addresses_and_all_time_has_a_hundred_guesses(
    services: Services, origin: Origin, ana: User
) -> None:
    for number in range(400):
        guess(services, elsewhere(later(origin, 3600 * number), number), "ana")
    assert len(events_on(services.engine, "login.failed")) == MOST
    (record,) = events_on(services.engine, "login.closed")
    assert (record["user_id"], record["outcome"]) == (ana.id, "denied")
    assert record["metadata"] == {"way": "password", "known_device": False}
    assert closed(services, ana) == [password_of(ana)]


def test_codes_close_after_a_hundred_and_however_long_it_takes(services: Services, origin: Origin, ana: User) -> None:
    generator = enrolled(services, origin, ana)
    answers = [guess_code(services, later(origin, 7200 * number), ana) for number in range(MOST + 10)]
    assert answers == [None] * MOST + [False] * 10
    assert len(events_on(services.engine, "second_factor.failed")) == MOST
    assert [row["metadata"]["way"] for row in events_on(services.engine, "login.closed")] == ["code"]
    much_later = later(origin, 86400 * 400)
    assert guess_code(services, much_later, ana, generator.at(much_later.now)) is False, "no time opens it"
    assert isinstance(guess(services, much_later, "ana", PASSWORD), User), "the password is another way"


@pytest.mark.parametrize("before", [1, 50, MOST - 1])
def test_a_success_ends_the_row(services: Services, origin: Origin, ana: User, before: int) -> None:
    for _ in range(3):
        fail(services, password_of(ana), before, origin)
        assert guess(services, origin, "ana", PASSWORD) == ana
    assert closed(services, ana) == []
    assert events_on(services.engine, "login.opened") == [], "nothing was closed"


def test_a_closed_password_is_answered_like_a_wrong_one(services: Services, origin: Origin, ana: User) -> None:
    fail(services, password_of(ana), MOST, origin)
    assert guess(services, origin, "ana", PASSWORD) is None
    assert guess(services, origin, "ana") is None
    assert guess(services, origin, "ana@example.com", PASSWORD) is None
    assert closed(services, ana) == [password_of(ana)]


def test_a_known_device_gets_in_and_opens_the_way_for_new_ones(services: Services, origin: Origin, ana: User) -> None:
    fail(services, password_of(ana), MOST, origin)
    device = services.login.device_token(ana)
    assert guess(services, origin, "ana", "wrong", device) is None
    assert closed(services, ana) == [password_of(ana)]
    assert guess(services, origin, "ana", PASSWORD, device) == ana
    assert closed(services, ana) == []
    assert guess(services, elsewhere(origin, 1), "ana", PASSWORD) == ana
    (record,) = events_on(services.engine, "login.opened")
    assert (record["user_id"], record["actor"], record["outcome"]) == (ana.id, None, "ok")


def test_a_known_device_has_a_hundred_of_its_own(services: Services, origin: Origin, ana: User) -> None:
    device = services.login.device_token(ana)
    fail(services, password_of(ana, known=True), MOST - 1, origin)
    assert guess(services, origin, "ana", "wrong", device) is None
    assert guess(services, origin, "ana", PASSWORD, device) is None, "it is closed"
    assert guess(services, origin, "ana", PASSWORD) == ana, "the others are not"
    assert guess(services, origin, "ana", PASSWORD, device) == ana, "and the password that was right there opened it"


def test_a_recovery_code_opens_the_codes(services: Services, origin: Origin, ana: User) -> None:
    generator = enrolled(services, origin, ana)
    with Transaction(services.engine) as tx:
        codes = services.recovery_codes.generate(tx, origin, ana.id)
    fail(services, code_of(ana), MOST, origin)
    assert guess_code(services, origin, ana, generator.at(origin.now)) is False
    assert guess_code(services, origin, ana, "aaaaaaa-aaaaaaa") is None
    assert guess_code(services, origin, ana, codes[0]) is True
    assert guess_code(services, origin, ana, generator.at(origin.now)) is True


def test_a_code_on_a_known_device_opens_the_codes(services: Services, origin: Origin, ana: User) -> None:
    generator = enrolled(services, origin, ana)
    fail(services, code_of(ana), MOST, origin)
    assert guess_code(services, origin, ana, generator.at(origin.now)) is False
    assert guess_code(services, origin, ana, generator.at(origin.now), services.login.device_token(ana)) is True
    after = later(origin, 60)
    assert guess_code(services, after, ana, generator.at(after.now)) is True


def test_wrong_recovery_codes_never_close_anything(services: Services, origin: Origin, ana: User) -> None:
    """They are too long to be guessed, and the last way in of whose codes are closed."""
    enrolled(services, origin, ana)
    with Transaction(services.engine) as tx:
        codes = services.recovery_codes.generate(tx, origin, ana.id)[:1]
    moment = origin
    for number in range(MOST + 5):
        moment = later(origin, 7200 * number)
        assert guess_code(services, moment, ana, "aaaaaaa-aaaaaaa") is None
    assert closed(services, ana) == []
    assert guess_code(services, later(moment, 7200), ana, codes[0]) is True


def test_an_operator_opens_everything_and_the_limits_of_the_account(
    services: Services, origin: Origin, ana: User
) -> None:
    for number in range(50):
        guess(services, elsewhere(origin, number), "ana")
    ways = [password_of(ana), password_of(ana, known=True), code_of(ana), code_of(ana, known=True)]
    for way_in in ways:
        fail(services, way_in, MOST, origin)
    assert guess(services, elsewhere(origin, 99), "ana", PASSWORD) is None
    with Transaction(services.engine) as tx:
        opened = services.attempts.unlock(tx, origin, ana.id, actor="cli:root")
        assert services.attempts.unlock(tx, origin, ana.id, actor="cli:root") == []
    assert set(opened) == set(ways)
    assert guess(services, elsewhere(origin, 99), "ana", PASSWORD) == ana
    assert [row["actor"] for row in events_on(services.engine, "login.opened")] == ["cli:root"] * 4


def test_one_account_closes_and_no_other(services: Services, origin: Origin, ana: User) -> None:
    bora = added(services, origin, "bora")
    fail(services, password_of(ana), MOST, origin)
    assert guess(services, origin, "bora", PASSWORD) == bora


def test_a_success_among_the_last_keeps_the_way_open(services: Services, origin: Origin, ana: User) -> None:
    """The hundredth is wrong, but one of those before it, which took longer, is right."""
    way_in = password_of(ana)
    with Transaction(services.engine) as tx:
        numbers = [services.consecutive_failures.count(tx, origin, way_in) for _ in range(MOST)]
        services.consecutive_failures.succeed(tx, origin, ana.id, Way.PASSWORD)
        services.consecutive_failures.fail(tx, origin, way_in, MOST)
    assert numbers == list(range(1, MOST + 1))
    assert closed(services, ana) == []
    assert events_on(services.engine, "login.closed") == []


def test_a_hundredth_that_is_never_decided_closes_with_the_next(services: Services, origin: Origin, ana: User) -> None:
    """Its process ended while it was looked at."""
    way_in = password_of(ana)
    with Transaction(services.engine) as tx:
        for _ in range(MOST):
            services.consecutive_failures.count(tx, origin, way_in)
    assert closed(services, ana) == []
    assert guess(services, origin, "ana", PASSWORD) is None
    assert closed(services, ana) == [way_in]
    assert len(events_on(services.engine, "login.closed")) == 1


def test_a_guess_that_is_taken_back_counts_for_nothing_and_opens_nothing(
    services: Services, origin: Origin, ana: User
) -> None:
    way_in = password_of(ana)
    with Transaction(services.engine) as tx:
        services.consecutive_failures.count(tx, origin, way_in)
        services.consecutive_failures.take_back(tx, way_in)
        services.consecutive_failures.take_back(tx, way_in)
        assert services.consecutive_failures.count(tx, origin, way_in) == 1
    fail(services, way_in, MOST - 1, origin)
    with Transaction(services.engine) as tx:
        services.consecutive_failures.take_back(tx, way_in)
    assert closed(services, ana) == [way_in]


def test_what_closed_since_a_moment_is_known_also_when_it_is_open_again(
    services: Services, origin: Origin, ana: User
) -> None:
    fail(services, password_of(ana), MOST, origin)
    assert guess(services, origin, "ana", PASSWORD, services.login.device_token(ana)) == ana
    hour = datetime.timedelta(hours=1)
    with Transaction(services.engine) as tx:
        for since, count in ((None, 1), (origin.now - hour, 1), (origin.now, 0), (origin.now + hour, 0)):
            found = services.consecutive_failures.closings(tx, ana.id, since=since)
            assert [(closing.way_in, closing.closed_at) for closing in found] == [
                (password_of(ana), origin.now)
            ] * count


def test_without_rate_limits_nothing_closes(services: Services, origin: Origin, ana: User) -> None:
    services.rate_limits._enabled = False
    for _ in range(MOST + 1):
        guess(services, origin, "ana")
    assert guess(services, origin, "ana", PASSWORD) == ana
