"""Signing in: the answers tell nothing, hashes are renewed, and the second step is good for one sign-in."""

from __future__ import annotations

import dataclasses
import unicodedata
from typing import Any

import argon2
import pyotp
import pytest
from sqlalchemy import Engine, func, select

from database.models import LoginAttempt
from database.transaction import Transaction
from provider.accounts.users import User
from provider.protocol.messages import Origin
from provider.security.crypto import is_secret, new_secret
from provider.services import Services
from provider.sign_in.login import STEP_SECONDS, StepExpired, WrongCode, WrongCredentials
from provider.sign_in.passwords import Passwords
from tests.accounts.conftest import PASSWORD, AddUser, Events, later, login_with


class NotingPasswords(Passwords):
    """The real thing, which notes what was verified."""

    seen: list[str | None]

    def verify(self, password_hash: str | None, password: str, *, stand_in: str | None = None) -> bool:
        self.seen.append(password_hash)
        return super().verify(password_hash, password, stand_in=stand_in)


def enrolled(services: Services, origin: Origin, user: User) -> pyotp.TOTP:
    with Transaction(services.engine) as tx:
        token = services.sessions.start(tx, origin, user.id, ("pwd",))
        found = services.sessions.find(tx, origin.now, token)
        assert found is not None
        secret = services.totp.begin(tx, found[0])
        generator = pyotp.TOTP(secret)
        before = later(origin, -300)
        assert services.totp.confirm(tx, before, found[0], user, generator.at(before.now))
        services.sessions.end_by_token(tx, origin, token, "test")
    return generator


@pytest.mark.parametrize("name", ["ana", "ANA", " ana ", "ａｎａ", "ana@example.com", "Ana@Example.Com "])
def test_the_right_password_lets_in_by_name_and_by_address(
    services: Services, tx: Transaction, origin: Origin, ana: User, name: str
) -> None:
    assert services.login.check_password(tx, origin, name, PASSWORD) == ana


def test_a_password_in_another_unicode_form_lets_in(
    services: Services, tx: Transaction, origin: Origin, add_user: AddUser
) -> None:
    password = "우산 없는 고양이가 크게 웃는다"
    user = add_user("bora", password_hash=services.passwords.hash(password))
    assert services.login.check_password(tx, origin, "bora", unicodedata.normalize("NFD", password)) == user


@pytest.mark.parametrize(
    "name, password",
    [
        ("ana", "wrong"),
        ("ana", ""),
        ("ana", PASSWORD + " "),
        ("ana", PASSWORD.upper()),
        ("ana", "x" * 100_000),
        ("nobody", PASSWORD),
        ("nobody@example.com", PASSWORD),
        ("", PASSWORD),
        ("an\u200ba", PASSWORD),
        ("%", PASSWORD),
        ("disabled", PASSWORD),
        ("disabled", "wrong"),
        ("passwordless", ""),
        ("passwordless", "nobody has this password"),
    ],
)
def test_every_refusal_is_the_same_and_the_same_work(
    services: Services,
    engine: Engine,
    origin: Origin,
    ana: User,
    add_user: AddUser,
    events: Events,
    name: str,
    password: str,
) -> None:
    add_user("passwordless", password_hash=None)
    with Transaction(engine) as tx:
        services.user_ends.set_active(tx, origin, add_user("disabled").id, False)
    passwords = NotingPasswords(memory_kib=64, time_cost=1, parallelism=1, concurrency=1, min_length=15)
    passwords.seen = []
    login = login_with(services, passwords)
    tx = Transaction(engine)
    with pytest.raises(WrongCredentials) as refusal:
        login.check_password(tx, origin, name, password)
    tx.commit()
    assert refusal.value.args == ()
    assert len(passwords.seen) == 1
    (record,) = events("login.failed")
    assert (record["outcome"], record["metadata"]) == ("failed", None)
    with Transaction(engine) as tx:
        meant = services.users.find_by_login(tx, name)
    assert record["user_id"] == (meant.id if meant else None)
    assert not [value for value in record.values() if password and password in str(value)]


def test_no_transaction_is_open_while_a_password_is_hashed(
    services: Services, tx: Transaction, origin: Origin, ana: User
) -> None:
    class Watching(NotingPasswords):
        def verify(self, password_hash: str | None, password: str, *, stand_in: str | None = None) -> bool:
            assert not tx.is_open
            return super().verify(password_hash, password, stand_in=stand_in)

        def hash(self, password: str) -> str:
            assert not tx.is_open
            return super().hash(password)

    passwords = Watching(memory_kib=128, time_cost=1, parallelism=1, concurrency=1, min_length=15)
    passwords.seen = []
    assert login_with(services, passwords).check_password(tx, origin, "ana", PASSWORD).id == ana.id
    assert passwords.seen == [ana.password_hash]


def test_an_old_hash_is_renewed_at_sign_in_and_only_then(
    services: Services, engine: Engine, origin: Origin, ana: User
) -> None:
    stronger = Passwords(memory_kib=128, time_cost=2, parallelism=1, concurrency=1, min_length=15)
    login = login_with(services, stronger)

    def stored() -> str:
        with Transaction(engine) as tx:
            found = services.users.find(tx, ana.id)
        assert found is not None
        assert found.password_hash is not None
        return found.password_hash

    with Transaction(engine) as tx, pytest.raises(WrongCredentials):
        login.check_password(tx, origin, "ana", "wrong")
    assert stored() == ana.password_hash
    with Transaction(engine) as tx:
        login.check_password(tx, origin, "ana", PASSWORD)
    renewed = stored()
    assert argon2.extract_parameters(renewed).memory_cost == 128
    with Transaction(engine) as tx:
        login.check_password(tx, origin, "ana", PASSWORD)
    assert stored() == renewed


def test_renewing_a_hash_never_brings_an_old_password_back(services: Services, engine: Engine, ana: User) -> None:
    with Transaction(engine) as tx:
        services.users.renew_password_hash(tx, ana, "changed meanwhile")
        services.users.renew_password_hash(tx, ana, "the old password under new parameters")
        found = services.users.find(tx, ana.id)
    assert found is not None
    assert found.password_hash == "changed meanwhile"


def test_the_step_between_is_no_session_and_is_stored_hashed(
    services: Services, engine: Engine, origin: Origin, ana: User
) -> None:
    with Transaction(engine) as tx:
        step = services.login.begin_second_factor(tx, origin, ana)
        assert is_secret("step", step)
        assert services.sessions.find(tx, origin.now, step) is None
        assert not services.sessions.list(tx, origin.now, ana.id)
        row = tx.execute(select(LoginAttempt.__table__)).mappings().one()
        assert step not in str(dict(row))
        assert services.login.find_step(tx, origin.now, step) == ana


@pytest.mark.parametrize("seconds, alive", [(0, True), (STEP_SECONDS - 1, True), (STEP_SECONDS, False), (86400, False)])
def test_the_step_ends_by_the_clock(
    services: Services, tx: Transaction, origin: Origin, ana: User, seconds: int, alive: bool
) -> None:
    step = services.login.begin_second_factor(tx, origin, ana)
    assert (services.login.find_step(tx, later(origin, seconds).now, step) is not None) is alive


@pytest.mark.parametrize("kind", ["step", "session", "browser"])
def test_a_step_that_was_never_begun_leads_nowhere(
    services: Services, tx: Transaction, origin: Origin, kind: Any
) -> None:
    for token in (new_secret(kind), "", "mcp_step_"):
        assert services.login.find_step(tx, origin.now, token) is None
        with pytest.raises(StepExpired):
            services.login.check_second_factor(tx, origin, token, "000000")


def test_a_disabled_user_cannot_finish_a_sign_in(services: Services, engine: Engine, origin: Origin, ana: User) -> None:
    generator = enrolled(services, origin, ana)
    with Transaction(engine) as tx:
        step = services.login.begin_second_factor(tx, origin, ana)
        services.user_ends.set_active(tx, origin, ana.id, False)
    with Transaction(engine) as tx, pytest.raises(StepExpired):
        services.login.check_second_factor(tx, origin, step, generator.at(origin.now))


def test_a_code_finishes_the_sign_in_once(
    services: Services, engine: Engine, origin: Origin, ana: User, events: Events
) -> None:
    generator = enrolled(services, origin, ana)
    with Transaction(engine) as tx:
        step = services.login.begin_second_factor(tx, origin, ana)
    with Transaction(engine) as tx, pytest.raises(WrongCode):
        services.login.check_second_factor(tx, origin, step, "not a code")
    tx = Transaction(engine)
    completed = services.login.check_second_factor(tx, origin, step, generator.at(origin.now))
    tx.commit()
    assert (completed.user.id, completed.amr, completed.recovery_codes_left) == (ana.id, ("pwd", "otp", "mfa"), None)
    after = later(origin, 60)
    with Transaction(engine) as tx, pytest.raises(StepExpired):
        services.login.check_second_factor(tx, after, step, generator.at(after.now))


def test_a_recovery_code_finishes_the_sign_in_and_says_how_many_are_left(
    services: Services, engine: Engine, origin: Origin, ana: User
) -> None:
    enrolled(services, origin, ana)
    with Transaction(engine) as tx:
        codes = services.recovery_codes.generate(tx, origin, ana.id)
        step = services.login.begin_second_factor(tx, origin, ana)
        completed = services.login.check_second_factor(tx, origin, step, codes[3])
    assert (completed.amr, completed.recovery_codes_left) == (("pwd", "mfa"), 9)


def test_a_new_sign_in_ends_the_browsers_session_before(
    services: Services, engine: Engine, origin: Origin, ana: User, add_user: AddUser, events: Events
) -> None:
    bora = add_user("bora")
    with Transaction(engine) as tx:
        first = services.login.start_session(tx, origin, ana, ("pwd",))
        second = services.login.start_session(tx, later(origin, 1), bora, ("pwd",), previous_token=first)
        assert services.sessions.find(tx, origin.now, first) is None
        found = services.sessions.find(tx, origin.now, second)
        assert found is not None
        assert found[1].id == bora.id
        assert found[1].last_login_at == later(origin, 1).now
    assert [row["user_id"] for row in events("login.succeeded")] == [ana.id, bora.id]
    assert [row["metadata"] for row in events("session.ended")] == [{"reason": "replaced"}]


def test_steps_are_purged_once_they_are_over(services: Services, engine: Engine, origin: Origin, ana: User) -> None:
    with Transaction(engine) as tx:
        services.login.begin_second_factor(tx, origin, ana)
        kept = services.login.begin_second_factor(tx, later(origin, 10), ana)
        assert services.login.purge(tx, later(origin, STEP_SECONDS).now) == 1
        assert services.login.find_step(tx, later(origin, STEP_SECONDS).now, kept) is not None
        assert tx.execute(select(func.count()).select_from(LoginAttempt.__table__)).scalar_one() == 1


def test_the_origin_of_a_failure_is_recorded(
    services: Services, engine: Engine, origin: Origin, ana: User, events: Events
) -> None:
    hostile = dataclasses.replace(origin, user_agent="=cmd|'/C calc'!A0\r\nlogin.succeeded")
    with Transaction(engine) as tx:
        services.login.check_password(tx, hostile, "ana", PASSWORD)
        services.login.start_session(tx, hostile, ana, ("pwd",))
    for record in (*events("login.succeeded"), *events("session.started")):
        assert record["ip_address"] == origin.source
        assert record["request_id"] == origin.request_id
        assert "\n" not in record["user_agent"]
        assert "\r" not in record["user_agent"]
