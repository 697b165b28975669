"""Remembered devices asked for at one moment, on a server: used once, and not past the end of the device."""

from __future__ import annotations

from typing import Any

import pytest

from database.transaction import Transaction
from provider.accounts.users import User
from provider.protocol.messages import Origin
from provider.services import Services
from provider.sign_in.remembered_devices import MOST
from tests.accounts.conftest import added, later
from tests.accounts.test_login import enrolled
from tests.together import at_once

ROUNDS = 6


@pytest.fixture
def ana(on_server: Services, origin: Origin) -> User:
    return added(on_server, origin, "ana")


def remembered(services: Services, origin: Origin, user: User, browser: str = "a browser") -> str:
    with Transaction(services.engine) as tx:
        return services.remembered_devices.remember(tx, origin, user, browser)


def signing_in(services: Services, origin: Origin, user: User, token: str) -> Any:
    """As the sign-in page does it, after the password: a session, or a code is asked for."""

    def run(tx: Transaction) -> bool:
        if services.remembered_devices.use(tx, origin, user, token, "a browser") is None:
            return False
        services.sessions.start(tx, origin, user.id, ("pwd",), browser="a browser")
        return True

    return run


def test_a_token_is_taken_once_by_six(on_server: Services, origin: Origin, ana: User) -> None:
    for _ in range(3):
        token = remembered(on_server, origin, ana)
        answers = at_once(on_server.engine, [signing_in(on_server, origin, ana, token)] * 6)
        assert sorted(answers) == [False] * 5 + [True]


def test_a_device_that_is_signed_out_while_it_signs_in_is_out(on_server: Services, origin: Origin, ana: User) -> None:
    """Whoever comes first: when both are done, no session of that device lives and it is remembered no more."""
    services = on_server

    def sign_out(tx: Transaction) -> None:
        services.remembered_devices.forget_all(tx, origin, ana.id, "user")
        services.sessions.end_all(tx, origin, ana.id, reason="user")

    for _ in range(ROUNDS):
        token = remembered(services, origin, ana)
        signed_in, _done = at_once(services.engine, [signing_in(services, origin, ana, token), sign_out])
        assert signed_in in (True, False)
        with Transaction(services.engine) as tx:
            assert services.sessions.list(tx, origin.now, ana.id) == []
            assert services.remembered_devices.list(tx, origin.now, ana.id) == []


def test_a_disabled_person_s_device_signs_nobody_in(on_server: Services, origin: Origin, ana: User) -> None:
    services = on_server
    token = remembered(services, origin, ana)

    def disable(tx: Transaction) -> None:
        services.user_ends.end_all(tx, origin, ana.id, reason="user_disabled", actor=None)

    at_once(services.engine, [signing_in(services, origin, ana, token), disable])
    with Transaction(services.engine) as tx:
        assert services.sessions.list(tx, origin.now, ana.id) == []
        assert services.remembered_devices.use(tx, later(origin, 1), ana, token, "a browser") is None


def test_a_second_factor_that_goes_takes_the_devices_along(on_server: Services, origin: Origin, ana: User) -> None:
    services = on_server
    enrolled(services, origin, ana)
    remembered(services, origin, ana)

    def disable(tx: Transaction) -> bool:
        return services.totp.disable(tx, origin, ana.id)

    assert sorted(at_once(services.engine, [disable] * 4)) == [False] * 3 + [True]
    with Transaction(services.engine) as tx:
        assert services.remembered_devices.list(tx, origin.now, ana.id) == []


def test_remembering_at_one_moment_stays_within_bounds(on_server: Services, origin: Origin, ana: User) -> None:
    for number in range(MOST):
        remembered(on_server, later(origin, number), ana, f"browser {number}")
    after = later(origin, 100)

    def remember(number: int) -> Any:
        return lambda tx: on_server.remembered_devices.remember(tx, after, ana, f"another {number}")

    answers = at_once(on_server.engine, [remember(number) for number in range(4)])
    assert all(isinstance(answer, str) for answer in answers), answers
    remembered(on_server, later(origin, 101), ana, "one more")
    with Transaction(on_server.engine) as tx:
        assert len(on_server.remembered_devices.list(tx, after.now, ana.id)) == MOST
