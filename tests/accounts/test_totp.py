"""One-time passwords: enrolment, the window, and each step used once (RFC 6238)."""

from __future__ import annotations

import base64
from dataclasses import replace
from urllib.parse import parse_qs, unquote, urlsplit

import pyotp
import pytest
from sqlalchemy import Engine, select, update

from database.models import User as UserRow
from database.models import UserSession
from database.transaction import Transaction
from provider.accounts.users import User
from provider.protocol.messages import Origin
from provider.sealed_values import SealedValues
from provider.security.crypto import Keyring
from provider.services import Services
from provider.sign_in.attempts import CodesUnreadable
from provider.sign_in.sessions import Session
from provider.sign_in.totp import Totp, matching_step
from tests.accounts.conftest import AddUser, Events, later
from tests.accounts.test_login import enrolled

USERS = UserRow.__table__
SESSIONS = UserSession.__table__


@pytest.fixture
def session(services: Services, engine: Engine, origin: Origin, ana: User) -> Session:
    return new_session(services, origin, ana)


def new_session(services: Services, origin: Origin, user: User) -> Session:
    with Transaction(services.engine) as tx:
        found = services.sessions.find(tx, origin.now, services.sessions.start(tx, origin, user.id, ("pwd",)))
    assert found is not None
    return found[0]


def is_enabled(services: Services, tx: Transaction, user: User) -> bool:
    found = services.users.find(tx, user.id)
    assert found is not None
    return found.two_factor_enabled


def test_a_secret_has_160_bits_and_is_stored_encrypted(
    services: Services, tx: Transaction, origin: Origin, session: Session, ana: User
) -> None:
    secret = services.totp.begin(tx, session)
    assert len(base64.b32decode(secret)) == 20
    sealed = tx.execute(select(SESSIONS.c.totp_enrolment_encrypted)).scalar_one()
    assert secret not in sealed
    assert sealed.startswith("v2.")
    assert services.totp.pending_secret(tx, origin, session) == secret
    assert services.totp.confirm(tx, origin, session, ana, pyotp.TOTP(secret).at(origin.now))
    kept = tx.execute(select(USERS.c.two_factor_secret)).scalar_one()
    assert secret not in kept
    assert kept != sealed


def test_beginning_an_enrolment_turns_nothing_on(
    services: Services, tx: Transaction, origin: Origin, session: Session, ana: User
) -> None:
    secret = services.totp.begin(tx, session)
    assert not is_enabled(services, tx, ana)
    assert not services.totp.verify(tx, origin, ana.id, pyotp.TOTP(secret).at(origin.now))
    assert tx.execute(select(USERS.c.two_factor_secret)).scalar_one() is None


def test_only_a_right_code_confirms(
    services: Services, tx: Transaction, origin: Origin, session: Session, ana: User, events: Events
) -> None:
    assert not services.totp.confirm(tx, origin, session, ana, "123456"), "nothing was begun"
    generator = pyotp.TOTP(services.totp.begin(tx, session))
    for wrong in ("", "abcdef", generator.at(later(origin, 3600).now), generator.at(origin.now)[:5]):
        assert not services.totp.confirm(tx, origin, session, ana, wrong)
    assert not is_enabled(services, tx, ana)
    assert services.totp.confirm(tx, origin, session, ana, generator.at(origin.now))
    assert is_enabled(services, tx, ana)
    assert services.totp.pending_secret(tx, origin, session) is None
    assert not services.totp.verify(tx, origin, ana.id, generator.at(origin.now)), "the step of enrolment is used up"
    tx.commit()
    assert [row["user_id"] for row in events("second_factor.enrolled")] == [ana.id]


def test_beginning_again_forgets_the_secret_before(
    services: Services, tx: Transaction, origin: Origin, session: Session, ana: User
) -> None:
    abandoned = services.totp.begin(tx, session)
    secret = services.totp.begin(tx, session)
    assert secret != abandoned
    assert not services.totp.confirm(tx, origin, session, ana, pyotp.TOTP(abandoned).at(origin.now))
    assert services.totp.confirm(tx, origin, session, ana, pyotp.TOTP(secret).at(origin.now))


def test_a_pending_secret_belongs_to_its_session(
    services: Services, tx: Transaction, origin: Origin, session: Session, ana: User
) -> None:
    secret = services.totp.begin(tx, session)
    tx.commit()
    other = new_session(services, origin, ana)
    assert services.totp.pending_secret(tx, origin, other) is None
    sealed = tx.execute(select(SESSIONS.c.totp_enrolment_encrypted).where(SESSIONS.c.id == session.id)).scalar_one()
    tx.execute(update(UserSession).where(SESSIONS.c.id == other.id).values(totp_enrolment_encrypted=sealed))
    assert services.totp.pending_secret(tx, origin, other) is None, "moved to another row it does not open"
    assert not services.totp.confirm(tx, origin, other, ana, pyotp.TOTP(secret).at(origin.now))


def test_an_enrolment_ends_those_begun_in_other_sessions(
    services: Services, tx: Transaction, origin: Origin, session: Session, ana: User
) -> None:
    other = new_session(services, origin, ana)
    foreign = services.totp.begin(tx, other)
    assert services.totp.confirm(tx, origin, session, ana, pyotp.TOTP(services.totp.begin(tx, session)).at(origin.now))
    assert services.totp.pending_secret(tx, origin, other) is None
    assert not services.totp.confirm(tx, origin, other, ana, pyotp.TOTP(foreign).at(origin.now))


def test_a_second_factor_is_never_replaced_by_another(
    services: Services, tx: Transaction, origin: Origin, session: Session, ana: User
) -> None:
    first = pyotp.TOTP(services.totp.begin(tx, session))
    assert services.totp.confirm(tx, origin, session, ana, first.at(origin.now))
    second = pyotp.TOTP(services.totp.begin(tx, session))
    assert not services.totp.confirm(tx, origin, session, ana, second.at(origin.now))
    after = later(origin, 60)
    assert not services.totp.verify(tx, after, ana.id, second.at(after.now))
    assert services.totp.verify(tx, after, ana.id, first.at(after.now))


@pytest.mark.parametrize("steps, right", [(-3, False), (-2, False), (-1, True), (0, True), (1, True), (2, False)])
def test_the_clock_may_differ_by_one_step(
    services: Services, tx: Transaction, origin: Origin, ana: User, steps: int, right: bool
) -> None:
    generator = enrolled(services, origin, ana)
    code = generator.at(later(origin, 30 * steps).now)
    assert services.totp.verify(tx, origin, ana.id, code) is right


def test_a_code_works_once_and_none_before_it_works_afterwards(
    services: Services, tx: Transaction, origin: Origin, ana: User
) -> None:
    generator = enrolled(services, origin, ana)
    older, code, newer = (generator.at(later(origin, 30 * step).now) for step in (-1, 0, 1))
    assert services.totp.verify(tx, origin, ana.id, code)
    assert not services.totp.verify(tx, origin, ana.id, code)
    assert not services.totp.verify(tx, origin, ana.id, older)
    assert services.totp.verify(tx, origin, ana.id, newer)
    assert not services.totp.verify(tx, origin, ana.id, code)
    after = later(origin, 60)
    assert services.totp.verify(tx, after, ana.id, generator.at(after.now))


@pytest.mark.parametrize(
    "between",
    ["", " ", "\t", "\u00a0", "\u202f", "\u3000", "\u200b", "-", "\u2011", "\u2013", "\u2212", "\uff0d"],
    ids=ascii,
)
@pytest.mark.parametrize("zero", ["0", "\uff10", "\u0660", "\u06f0", "\u0966", "\u0e50"], ids=ascii)
def test_a_code_counts_however_it_is_typed_or_pasted(origin: Origin, between: str, zero: str) -> None:
    """Whatever blank or dash is around and in it, and in the digits of whatever keyboard."""
    secret = "A" * 32
    digits = "".join(chr(ord(zero) + int(digit)) for digit in pyotp.TOTP(secret).at(origin.now))
    typed = f"{between}{digits[:3]}{between}{digits[3:]}{between}"
    assert matching_step(secret, typed, origin.now) == int(origin.now.timestamp()) // 30


def test_a_pasted_code_is_used_up_like_any_other(
    services: Services, tx: Transaction, origin: Origin, ana: User
) -> None:
    code = enrolled(services, origin, ana).at(origin.now)
    assert services.totp.verify(tx, origin, ana.id, f"{code[:3]}\u00a0{code[3:]}")
    assert not services.totp.verify(tx, origin, ana.id, f"{code[:3]}-{code[3:]}")


@pytest.mark.parametrize(
    "code", ["", "12345", "1234567", "-12345", "1.23456", "12345a", "12345六", "12345½", "\x00" * 6]
)
def test_what_is_no_six_digits_is_no_code(code: str, origin: Origin) -> None:
    assert matching_step("A" * 32, code, origin.now) is None


def test_another_persons_code_is_wrong(
    services: Services, tx: Transaction, origin: Origin, ana: User, add_user: AddUser
) -> None:
    bora = add_user("bora")
    hers, his = enrolled(services, origin, ana), enrolled(services, origin, bora)
    assert not services.totp.verify(tx, origin, bora.id, hers.at(origin.now))
    assert services.totp.verify(tx, origin, bora.id, his.at(origin.now))


def test_a_secret_moved_to_another_user_does_not_open_and_is_recorded(
    services: Services, engine: Engine, origin: Origin, ana: User, add_user: AddUser, events: Events
) -> None:
    bora = add_user("bora")
    generator = enrolled(services, origin, ana)
    enrolled(services, origin, bora)
    with Transaction(engine) as tx:
        sealed = tx.execute(select(USERS.c.two_factor_secret).where(USERS.c.id == ana.id)).scalar_one()
        tx.execute(update(UserRow).where(USERS.c.id == bora.id).values(two_factor_secret=sealed))
    for _ in range(3):
        with Transaction(engine) as tx, pytest.raises(CodesUnreadable):
            services.totp.verify(tx, origin, bora.id, generator.at(origin.now))
    (record,) = events("decryption.failed")
    assert (record["user_id"], record["resource_type"], record["resource_id"]) == (bora.id, "users", bora.id)
    assert record["metadata"]["column"] == "two_factor_secret"


def test_a_secret_whose_key_is_gone_lets_nobody_in(
    services: Services, tx: Transaction, origin: Origin, ana: User
) -> None:
    generator = enrolled(services, origin, ana)
    keyring = Keyring(b"h" * 32, [("test", b"e" * 32)])
    sealed = SealedValues(keyring, services.audit, services.replay)
    stranger = Totp(sealed, services.audit, services.remembered_devices)
    with pytest.raises(CodesUnreadable):
        stranger.verify(tx, origin, ana.id, generator.at(origin.now))


def test_taking_it_away_works_once_and_leaves_nothing(
    services: Services, tx: Transaction, origin: Origin, ana: User, events: Events
) -> None:
    assert not services.totp.disable(tx, origin, ana.id)
    tx.commit()
    generator = enrolled(services, origin, ana)
    assert services.totp.disable(tx, origin, ana.id, actor="operator")
    assert not services.totp.disable(tx, origin, ana.id)
    assert not services.totp.verify(tx, origin, ana.id, generator.at(origin.now))
    row = tx.execute(select(USERS.c.two_factor_secret, USERS.c.two_factor_last_step)).one()
    assert tuple(row) == (None, None)
    tx.commit()
    assert [row["actor"] for row in events("second_factor.removed")] == ["operator"]


def test_authenticator_applications_read_the_address(services: Services, ana: User) -> None:
    uri = urlsplit(services.totp.provisioning_uri("A" * 32, ana, "MCP Core 서버"))
    assert (uri.scheme, uri.netloc) == ("otpauth", "totp")
    fields = parse_qs(uri.query)
    assert fields["secret"] == ["A" * 32]
    assert fields["issuer"] == ["MCP Core 서버"]
    assert uri.path.endswith("ana")
    assert set(fields) == {"secret", "issuer"}, "six digits, 30 seconds and SHA-1 are what applications assume"


@pytest.mark.parametrize(
    "name, label",
    [
        ("Acme: Files", "Acme Files"),
        (":Acme::Files:", "Acme Files"),
        ("Acme%3AFiles", "Acme 3AFiles"),
        ("Files & More", "Files More"),
        ("a/b?c#d=e+f", "a b c d e f"),
        ("한\u3000글\n서버", "한 글 서버"),
        (":", "-"),
        ("Ana-Lena O'Neil_7.x", "Ana-Lena O'Neil_7.x"),
    ],
)
def test_names_have_nothing_that_authenticator_applications_stumble_over(
    services: Services, ana: User, name: str, label: str
) -> None:
    for user, service in ((ana, name), (replace(ana, username=name), "Files")):
        uri = services.totp.provisioning_uri("A" * 32, user, service)
        labels = unquote(uri.partition("?")[0].rpartition("/")[2]).split(":")
        assert uri.count("%3A") == 0
        assert label in labels
        assert len(labels) == 2
        assert parse_qs(urlsplit(uri).query)["issuer"] == [labels[0]]
