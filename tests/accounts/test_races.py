"""What works once and what is counted, asked for by many at one moment on a server."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

import pyotp
import pytest
from sqlalchemy import select

from database.models import ConsecutiveFailures
from database.transaction import Transaction
from provider.accounts.users import User
from provider.protocol.messages import Origin
from provider.services import Services
from provider.sign_in.consecutive_failures import Way, WayIn
from provider.sign_in.login import CompletedLogin
from tests.accounts.conftest import added, elsewhere, events_on, later
from tests.accounts.test_login import enrolled
from tests.together import Call, at_once

SIX = 6


@pytest.fixture
def ana(on_server: Services, origin: Origin) -> User:
    return added(on_server, origin, "ana")


def kinds(answers: list[Any]) -> dict[str, int]:
    return dict(Counter(type(answer).__name__ for answer in answers))


def finishing(services: Services, origin: Origin, user: User, code: str) -> list[Call]:
    """Six browsers of one person, each past the password, all with one code."""
    with Transaction(services.engine) as tx:
        steps = [services.login.begin_second_factor(tx, origin, user) for _ in range(SIX)]

    def finish(number: int, step: str) -> Callable[[Transaction], CompletedLogin]:
        return lambda tx: services.login.check_second_factor(tx, elsewhere(origin, number), step, code)

    return [finish(number, step) for number, step in enumerate(steps)]


def unlimited(services: Services) -> None:
    """The races are about the code itself; that guesses are counted has a test of its own."""
    services.rate_limits._enabled = False


@pytest.mark.parametrize("is_limited", [True, False])
def test_one_totp_code_lets_one_of_six_in(on_server: Services, origin: Origin, ana: User, is_limited: bool) -> None:
    generator = enrolled(on_server, origin, ana)
    if not is_limited:
        unlimited(on_server)
    for round_number in range(4):
        moment = later(origin, 600 * round_number)
        code = generator.at(moment.now)
        answers = at_once(on_server.engine, finishing(on_server, moment, ana, code))
        assert kinds(answers) == {"CompletedLogin": 1, "WrongCode": SIX - 1}


def test_one_totp_code_finishes_one_sign_in_once(on_server: Services, origin: Origin, ana: User) -> None:
    generator = enrolled(on_server, origin, ana)
    with Transaction(on_server.engine) as tx:
        step = on_server.login.begin_second_factor(tx, origin, ana)
    codes = [generator.at(later(origin, 30 * (number % 3 - 1)).now) for number in range(SIX)]
    calls = [lambda tx, code=code: on_server.login.check_second_factor(tx, origin, step, code) for code in codes]
    assert kinds(at_once(on_server.engine, calls))["CompletedLogin"] == 1


@pytest.mark.parametrize("is_limited", [True, False])
def test_one_recovery_code_lets_one_of_six_in(on_server: Services, origin: Origin, ana: User, is_limited: bool) -> None:
    enrolled(on_server, origin, ana)
    if not is_limited:
        unlimited(on_server)
    with Transaction(on_server.engine) as tx:
        codes = on_server.recovery_codes.generate(tx, origin, ana.id)
    for round_number in range(3):
        moment = later(origin, 600 * round_number)
        answers = at_once(on_server.engine, finishing(on_server, moment, ana, codes[round_number]))
        found = kinds(answers)
        assert found.pop("CompletedLogin") == 1
        assert set(found) <= {"WrongCode", "Throttled"}
        assert sum(found.values()) == SIX - 1
    with Transaction(on_server.engine) as tx:
        assert on_server.recovery_codes.count(tx, ana.id) == 7
    assert len(events_on(on_server.engine, "recovery_codes.used")) == 3


def create_first(services: Services, origin: Origin, token: str, number: int) -> Callable[[Transaction], bool]:
    """As the setup page does it."""

    def run(tx: Transaction) -> bool:
        if not services.setup_links.find(tx, origin.now, token):
            return False
        tx.commit()
        if not services.setup_links.claim(tx, origin, token):
            return False
        name = f"first{number}"
        services.users.create(tx, origin, username=name, email=f"{name}@example.com", password_hash=None, is_admin=True)
        return True

    return run


def test_one_setup_link_makes_one_of_six_the_administrator(on_server: Services, origin: Origin) -> None:
    with Transaction(on_server.engine) as tx:
        token, _until = on_server.setup_links.create(tx, origin.now)
    answers = at_once(on_server.engine, [create_first(on_server, origin, token, number) for number in range(SIX)])
    assert sorted(answers) == [False] * (SIX - 1) + [True]
    with Transaction(on_server.engine) as tx:
        assert len(on_server.users.list(tx)) == 1
    assert len(events_on(on_server.engine, "setup.completed")) == 1


def test_links_made_at_one_moment_make_one_administrator(on_server: Services, origin: Origin) -> None:
    """Servers that start together on an empty database each print a link."""
    made = at_once(on_server.engine, [lambda tx: on_server.setup_links.create(tx, origin.now)] * SIX)
    tokens = [answer[0] for answer in made if isinstance(answer, tuple)]
    assert tokens
    answers = at_once(
        on_server.engine,
        [create_first(on_server, origin, token, number) for number, token in enumerate(tokens)],
        tries=10,
    )
    assert sorted(map(str, answers)) == ["False"] * (len(tokens) - 1) + ["True"]
    with Transaction(on_server.engine) as tx:
        assert len(on_server.users.list(tx)) == 1


def test_parallel_guesses_of_a_password_do_not_slip_past_the_limits(
    on_server: Services, origin: Origin, ana: User
) -> None:
    def guess(origin: Origin) -> Callable[[Transaction], User]:
        return lambda tx: on_server.login.check_password(tx, origin, "ana", "wrong")

    answers = at_once(on_server.engine, [guess(origin)] * 15)
    assert kinds(answers) == {"WrongCredentials": 10, "Throttled": 5}
    assert len(events_on(on_server.engine, "login.failed")) == 10
    assert len(events_on(on_server.engine, "login.throttled")) == 1, "said once, not for each attempt"
    for start in range(0, 60, 15):
        at_once(on_server.engine, [guess(elsewhere(origin, start + number)) for number in range(15)])
    assert len(events_on(on_server.engine, "login.failed")) == 50, "the others were not looked at"


def test_forty_parallel_guesses_are_forty_in_a_row(on_server: Services, origin: Origin, ana: User) -> None:
    def guess(number: int) -> Callable[[Transaction], User]:
        return lambda tx: on_server.login.check_password(tx, elsewhere(origin, number), "ana", "wrong")

    answers = at_once(on_server.engine, [guess(number) for number in range(40)])
    assert kinds(answers) == {"WrongCredentials": 40}
    with Transaction(on_server.engine) as tx:
        row = tx.execute(select(ConsecutiveFailures.__table__)).one()
    assert (row.user_id, row.way, row.failures, row.closed_at) == (ana.id, "password", 40, None)


@pytest.mark.parametrize("before", [0, 90])
def test_of_parallel_guesses_the_hundredth_closes_once_and_none_after_it_is_looked_at(
    on_server: Services, origin: Origin, ana: User, before: int
) -> None:
    way_in = WayIn(ana.id, Way.PASSWORD, is_known_device=False)
    failures = on_server.consecutive_failures
    looked_at = []

    def fail(tx: Transaction) -> None:
        number = failures.count(tx, origin, way_in)
        tx.commit()
        if number is not None:
            looked_at.append(number)
            failures.fail(tx, origin, way_in, number)

    with Transaction(on_server.engine) as tx:
        for _ in range(before):
            failures.count(tx, origin, way_in)
    for _ in range((120 - before) // 15):
        at_once(on_server.engine, [fail] * 15, tries=10)
    assert sorted(looked_at) == list(range(before + 1, 101))
    assert len(events_on(on_server.engine, "login.closed")) == 1
    with Transaction(on_server.engine) as tx:
        assert failures.closed(tx, ana.id) == [way_in]


def test_parallel_guesses_from_one_address_do_not_slip_past_its_limit(on_server: Services, origin: Origin) -> None:
    def guess(number: int) -> Callable[[Transaction], User]:
        return lambda tx: on_server.login.check_password(tx, origin, f"name{number}", "wrong")

    answers: list[Any] = []
    for start in range(0, 60, 15):
        answers += at_once(on_server.engine, [guess(number) for number in range(start, start + 15)])
    assert kinds(answers) == {"WrongCredentials": 50, "Throttled": 10}


@pytest.mark.parametrize("code", ["000000", "aaaaaaa-aaaaaaa"])
def test_parallel_guesses_of_a_code_do_not_slip_past_the_limit(
    on_server: Services, origin: Origin, ana: User, code: str
) -> None:
    enrolled(on_server, origin, ana)
    with Transaction(on_server.engine) as tx:
        on_server.recovery_codes.generate(tx, origin, ana.id)
    calls = [call for _ in range(2) for call in finishing(on_server, origin, ana, code)]
    assert kinds(at_once(on_server.engine, calls)) == {"WrongCode": 5, "Throttled": 7}
    assert len(events_on(on_server.engine, "second_factor.failed")) == 5


def test_two_enrolments_that_are_confirmed_at_once_leave_one_secret(
    on_server: Services, origin: Origin, ana: User
) -> None:
    sessions = []
    with Transaction(on_server.engine) as tx:
        for _ in range(4):
            found = on_server.sessions.find(tx, origin.now, on_server.sessions.start(tx, origin, ana.id, ("pwd",)))
            assert found is not None
            sessions.append((found[0], pyotp.TOTP(on_server.totp.begin(tx, found[0]))))
    answers = at_once(
        on_server.engine,
        [
            partial(on_server.totp.confirm, origin=origin, session=session, user=ana, code=generator.at(origin.now))
            for session, generator in sessions
        ],
    )
    assert sorted(answers) == [False, False, False, True]
    winner = sessions[answers.index(True)][1]
    after = later(origin, 60)
    with Transaction(on_server.engine) as tx:
        works = [on_server.totp.verify(tx, after, ana.id, generator.at(after.now)) for _, generator in sessions]
        assert works.count(True) == 1
        assert sessions[works.index(True)][1] is winner
