"""Passkeys, asked for by many at one moment on a server."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from database.transaction import Transaction
from provider.accounts.users import User
from provider.protocol.messages import Origin
from provider.services import Services
from provider.sign_in.passkey_challenges import Purpose
from provider.sign_in.passkeys import MAX_PASSKEYS
from tests.accounts.conftest import added as new_user
from tests.accounts.test_passkeys import BROWSER, ORIGIN, added
from tests.authenticator import Authenticator
from tests.together import at_once

SIX = 6


@pytest.fixture
def ana(on_server: Services, origin: Origin) -> User:
    return new_user(on_server, origin, "ana")


def kinds(answers: list[Any]) -> dict[str, int]:
    return dict(Counter(type(answer).__name__ for answer in answers))


@pytest.mark.parametrize("counts", [True, False])
def test_one_answer_lets_one_of_six_in(on_server: Services, origin: Origin, ana: User, counts: bool) -> None:
    device = Authenticator(ORIGIN, counts=counts)
    added(on_server, origin, ana, device)
    options = on_server.passkey_proofs.options_to_sign_in(origin.now, BROWSER)
    assert options is not None
    answer = device.get(options)
    sign_in = on_server.passkey_proofs.sign_in
    answers = at_once(on_server.engine, [lambda tx: sign_in(tx, origin, BROWSER, answer)] * SIX)
    assert kinds(answers) == {"CompletedLogin": 1, "ChallengeOver": SIX - 1}


def test_one_count_lets_one_of_six_in(on_server: Services, origin: Origin, ana: User) -> None:
    """Six challenges, six signatures, one number: five of them come from copies, or nobody can tell which does not."""
    device = Authenticator(ORIGIN)
    added(on_server, origin, ana, device)
    asked = [on_server.passkey_proofs.options_to_sign_in(origin.now, BROWSER) for _ in range(SIX)]
    answers = [device.get(options, count=7) for options in asked if options is not None]
    sign_in = on_server.passkey_proofs.sign_in
    calls = [lambda tx, answer=answer: sign_in(tx, origin, BROWSER, answer) for answer in answers]
    assert kinds(at_once(on_server.engine, calls)) == {"CompletedLogin": 1, "WrongPasskey": SIX - 1}
    with Transaction(on_server.engine) as tx:
        assert [it.suspected_at for it in on_server.passkeys.list(tx, ana.id)] == [origin.now]


def test_one_step_is_finished_once(on_server: Services, origin: Origin, ana: User) -> None:
    device = Authenticator(ORIGIN, counts=False)
    added(on_server, origin, ana, device)
    proofs = on_server.passkey_proofs
    with Transaction(on_server.engine) as tx:
        step = on_server.login.begin_second_factor(tx, origin, ana)
        asked = [proofs.options_for(tx, origin.now, ana, Purpose.SECOND_FACTOR, BROWSER) for _ in range(SIX)]
    answers = [device.get(options) for options in asked if options is not None]
    calls = [lambda tx, it=it: proofs.second_factor(tx, origin, step, BROWSER, it) for it in answers]
    assert kinds(at_once(on_server.engine, calls)) == {"CompletedLogin": 1, "StepExpired": SIX - 1}


def test_of_six_passkeys_that_go_at_once_the_last_one_stays(on_server: Services, origin: Origin) -> None:
    user = new_user(on_server, origin, "eve", password_hash=None)
    made = [added(on_server, origin, user, Authenticator(ORIGIN)) for _ in range(SIX)]
    calls = [lambda tx, it=it: on_server.passkeys.remove(tx, origin, user, it.id) for it in made]
    assert kinds(at_once(on_server.engine, calls)) == {"bool": SIX - 1, "LastPasskey": 1}


def test_the_last_place_is_taken_once(on_server: Services, origin: Origin, ana: User) -> None:
    devices = [Authenticator(ORIGIN) for _ in range(MAX_PASSKEYS + SIX)]
    for device in devices[: MAX_PASSKEYS - 1]:
        added(on_server, origin, ana, device)
    enrolments = on_server.passkey_enrolments
    answers = []
    for device in devices[MAX_PASSKEYS:]:
        with Transaction(on_server.engine) as tx:
            answers.append(device.create(enrolments.options(tx, origin.now, ana, BROWSER)))
    calls = [lambda tx, it=it: enrolments.add(tx, origin, ana, BROWSER, it, "Phone") for it in answers]
    assert kinds(at_once(on_server.engine, calls)) == {"Passkey": 1, "TooManyPasskeys": SIX - 1}
