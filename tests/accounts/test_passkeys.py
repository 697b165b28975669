"""Passkeys below the pages: whose answer is taken, and every way in which one is not (Web Authentication Level 3 §7)."""

from __future__ import annotations

import dataclasses
import datetime
import json
import subprocess
import sys
from typing import Any

import cbor2
import pytest
from sqlalchemy import Engine

from database.transaction import Transaction
from provider.accounts.users import User
from provider.protocol.messages import Origin
from provider.security.crypto import Keyring
from provider.services import Services
from provider.sign_in.attempts import Throttled
from provider.sign_in.login import CompletedLogin, StepExpired
from provider.sign_in.passkey_ceremonies import CeremonyFailed, decoded, relying_party
from provider.sign_in.passkey_challenges import SECONDS, ChallengeOver, Purpose
from provider.sign_in.passkey_proofs import WrongPasskey
from provider.sign_in.passkeys import (
    MAX_PASSKEYS,
    InvalidPasskeyName,
    LastPasskey,
    Passkey,
    PasskeyTaken,
    TooManyPasskeys,
)
from provider.sign_in.second_factors import has_second_factor
from tests.accounts.conftest import AddUser, Events, accounts_on, events_on, later
from tests.accounts.conftest import added as new_user
from tests.authenticator import AT, BE, BS, UP, UV, Authenticator, encoded
from tests.letters import letters

ORIGIN = "https://id.example"
BROWSER = "browser one"


@pytest.fixture
def services(sqlite_engine: Engine, keyring: Keyring) -> Services:
    """On SQLite alone: what a server's threads can show is in ``test_passkey_races``."""
    return accounts_on(sqlite_engine, keyring)


@pytest.fixture
def add_user(services: Services, origin: Origin) -> AddUser:
    return lambda username, **changes: new_user(services, origin, username, **changes)


@pytest.fixture
def events(services: Services) -> Events:
    return lambda action=None: events_on(services.engine, action)


@pytest.fixture
def phone() -> Authenticator:
    return Authenticator(ORIGIN)


def added(
    services: Services, origin: Origin, user: User, device: Authenticator, name: str = "Phone", **lies: Any
) -> Passkey:
    """Adds what ``device`` makes to the account of ``user``."""
    with Transaction(services.engine) as tx:
        options = services.passkey_enrolments.options(tx, origin.now, user, BROWSER)
        return services.passkey_enrolments.add(tx, origin, user, BROWSER, device.create(options, **lies), name)


def signed_in(services: Services, origin: Origin, device: Authenticator, **lies: Any) -> CompletedLogin:
    """Signs in with nothing but ``device``, and commits as a page does, also where it is refused."""
    options = services.passkey_proofs.options_to_sign_in(origin.now, BROWSER)
    assert options is not None
    return finished(
        services, lambda tx: services.passkey_proofs.sign_in(tx, origin, BROWSER, device.get(options, **lies))
    )


def finished(services: Services, act: Any) -> Any:
    tx = Transaction(services.engine)
    try:
        return act(tx)
    finally:
        tx.commit()


@pytest.mark.parametrize("algorithm", ["ES256", "EdDSA", "RS256"])
@pytest.mark.parametrize("synced, method", [(False, "hwk"), (True, "swk")])
def test_a_passkey_alone_signs_in_and_says_truthfully_what_it_is(
    services: Services, origin: Origin, ana: User, algorithm: str, synced: bool, method: str
) -> None:
    device = Authenticator(ORIGIN, algorithm=algorithm, synced=synced, counts=not synced)
    made = added(services, origin, ana, device)
    assert (made.backup_eligible, made.backed_up, made.transports, made.last_used_at) == (
        synced,
        synced,
        ("internal",),
        None,
    )
    for _ in range(2):
        completed = signed_in(services, later(origin, 5), device)
        assert (completed.user.id, completed.amr) == (ana.id, (method, "user", "mfa"))
    with Transaction(services.engine) as tx:
        (kept,) = services.passkeys.list(tx, ana.id)
        assert kept.last_used_at == later(origin, 5).now
        assert kept.sign_count == (0 if synced else 2)


def test_what_is_asked_names_nobody_and_wants_a_person_who_is_known(services: Services, origin: Origin) -> None:
    options = services.passkey_proofs.options_to_sign_in(origin.now, BROWSER)
    assert options is not None
    assert {**options, "challenge": ""} == {
        "challenge": "",
        "rpId": "id.example",
        "allowCredentials": [],
        "userVerification": "required",
        "timeout": SECONDS * 1000,
    }


def test_what_is_asked_to_be_made(services: Services, origin: Origin, ana: User, phone: Authenticator) -> None:
    first = added(services, origin, ana, phone)
    with Transaction(services.engine) as tx:
        options = services.passkey_enrolments.options(tx, origin.now, ana, BROWSER)
    assert options["rp"] == {"id": "id.example", "name": "MCP Core"}
    assert options["attestation"] == "none"
    assert [it["alg"] for it in options["pubKeyCredParams"]] == [-8, -7, -257]
    assert options["excludeCredentials"] == [
        {"type": "public-key", "id": first.credential_id, "transports": ["internal"]}
    ]
    assert options["user"]["id"] == first.user_handle, "one person, one handle"
    assert len(first.user_handle) == 43
    assert ana.id not in json.dumps(options)
    chosen = options["authenticatorSelection"]
    assert (chosen["residentKey"], chosen["userVerification"]) == ("required", "required")


LIES: dict[str, dict[str, Any]] = {
    "another origin": {"page": "https://evil.example"},
    "our host without TLS": {"page": "http://id.example"},
    "our host on another port": {"page": "https://id.example:8443"},
    "another host's passkey": {"rp_id": "evil.example"},
    "a parent domain's passkey": {"rp_id": "example"},
    "the answer to the other ceremony": {"type": "webauthn.create"},
    "from a frame of another site": {"client": {"crossOrigin": True}},
    "from under another site": {"client": {"topOrigin": "https://evil.example"}},
    "nobody was there": {"flags": UV},
    "nobody was recognised": {"flags": UP},
    "backed up though it cannot be": {"flags": UP | UV | BS},
    "synced all of a sudden": {"flags": UP | UV | BE | BS},
    "a signature of something else": {"signature": b"0" * 70},
    "no signature": {"signature": b""},
    "another user handle": {"user_handle": encoded(b"x" * 32)},
    "no user handle": {"user_handle": None},
    "bytes left over": {"flags": UP | UV | AT},
    "another type": {"answer": {"type": "password"}},
    "another raw id": {"answer": {"rawId": encoded(b"y" * 32)}},
    "nobody's passkey": {"answer": {"id": encoded(b"z" * 32), "rawId": encoded(b"z" * 32)}},
    "an answer that is far too long": {"answer": {"more": "x" * 33_000}},
    "no response": {"answer": {"response": None}},
    "a response that is a list": {"answer": {"response": []}},
    "an id that is a number": {"answer": {"id": 7}},
}


@pytest.mark.parametrize("lie", LIES)
def test_an_answer_that_does_not_hold_signs_nobody_in(
    services: Services, origin: Origin, ana: User, phone: Authenticator, events: Events, lie: str
) -> None:
    added(services, origin, ana, phone)
    with pytest.raises(WrongPasskey):
        signed_in(services, origin, phone, **LIES[lie])
    (failed,) = events("login.failed")
    assert failed["metadata"]["method"] == "passkey"
    assert events("passkey.suspected") == [], "only a signature that holds says anything about a copy"
    assert signed_in(services, origin, phone).user.id == ana.id, "and harms nobody"


NONSENSE = [
    "",
    "x",
    "[]",
    "{}",
    "null",
    '{"response": {}}',
    "[" * 30_000,
    "9" * 5_000,
    '{"id": "\ud800"}',
    "a" * 40_000,
]


@pytest.mark.parametrize("text", NONSENSE, ids=lambda text: text[:8].encode(errors="replace").decode())
def test_what_is_no_answer_at_all_is_refused(services: Services, origin: Origin, ana: User, text: str) -> None:
    with pytest.raises(WrongPasskey):
        finished(services, lambda tx: services.passkey_proofs.sign_in(tx, origin, BROWSER, text))
    with Transaction(services.engine) as tx, pytest.raises(CeremonyFailed):
        services.passkey_enrolments.add(tx, origin, ana, BROWSER, text, "x")


CREATION_LIES: dict[str, dict[str, Any]] = {
    **{name: LIES[name] for name in LIES if name.startswith(("another origin", "our host", "another host", "from"))},
    "nobody was there": {"flags": UV},
    "nobody was recognised": {"flags": UP},
    "the answer to the other ceremony": {"type": "webauthn.get"},
    "an algorithm that we did not ask for": {"algorithm": "ES512"},
    "a weak key": {"algorithm": "RS256-1024"},
    "a key that is none": {"public_key": cbor2.dumps({1: 2, 3: -7, -1: 1, -2: b"\1" * 32, -3: b"\2" * 32})},
    "a key without parts": {"public_key": cbor2.dumps({1: 2, 3: -7})},
    "an attestation of another kind": {"fmt": "fido-u2f"},
    "none with a statement": {"fmt": "none", "statement": {"sig": b"1"}},
    "packed with a wrong signature": {"fmt": "packed", "statement": {"alg": -7, "sig": b"0" * 70}},
    "no CBOR": {"attestation": encoded(b"\xff" * 40)},
    "an id that is too long": {"credential_id": b"i" * 1024},
    "another id": {"answer": {"id": encoded(b"z" * 32), "rawId": encoded(b"z" * 32)}},
}


@pytest.mark.parametrize("lie", CREATION_LIES)
def test_a_passkey_that_is_not_made_for_us_is_not_kept(
    services: Services, origin: Origin, ana: User, phone: Authenticator, lie: str
) -> None:
    with pytest.raises(CeremonyFailed):
        added(services, origin, ana, phone, **CREATION_LIES[lie])
    with Transaction(services.engine) as tx:
        assert services.passkeys.count(tx, ana.id) == 0


def test_what_attests_itself_is_taken_as_it_comes(
    services: Services, origin: Origin, ana: User, phone: Authenticator
) -> None:
    added(services, origin, ana, phone, fmt="packed")
    assert signed_in(services, origin, phone).user.id == ana.id


def test_a_challenge_is_answered_once_in_its_time_in_its_browser_and_for_its_purpose(
    services: Services, origin: Origin, ana: User, phone: Authenticator
) -> None:
    added(services, origin, ana, phone)
    proofs = services.passkey_proofs
    options = proofs.options_to_sign_in(origin.now, BROWSER)
    assert options is not None
    answer = phone.get(options)
    with pytest.raises(ChallengeOver):
        finished(services, lambda tx: proofs.sign_in(tx, origin, "browser two", answer))
    with pytest.raises(ChallengeOver):
        finished(services, lambda tx: proofs.sign_in(tx, later(origin, SECONDS), BROWSER, answer))
    with pytest.raises(ChallengeOver):
        finished(services, lambda tx: proofs.again(tx, origin, ana, BROWSER, answer))
    last = later(origin, SECONDS - 1)
    assert finished(services, lambda tx: proofs.sign_in(tx, last, BROWSER, answer)).user.id == ana.id
    with pytest.raises(ChallengeOver):
        finished(services, lambda tx: proofs.sign_in(tx, last, BROWSER, answer))
    real = decoded(options["challenge"])
    for lie in (b"c" * len(real), real[:-1], real + b"\0", bytes([real[0] ^ 1]) + real[1:], b""):
        with pytest.raises(ChallengeOver):
            signed_in(services, origin, phone, challenge=encoded(lie))


def test_a_challenge_for_one_person_is_none_for_another(
    services: Services, origin: Origin, ana: User, add_user: AddUser, phone: Authenticator
) -> None:
    bora = add_user("bora")
    added(services, origin, ana, phone)
    other = Authenticator(ORIGIN)
    added(services, origin, bora, other)
    proofs = services.passkey_proofs
    with Transaction(services.engine) as tx:
        asked = proofs.options_for(tx, origin.now, ana, Purpose.AGAIN, BROWSER)
    assert asked is not None
    assert [it["id"] for it in asked["allowCredentials"]] == [encoded(phone.credentials[0].id)]
    with pytest.raises(WrongPasskey):
        finished(
            services, lambda tx: proofs.again(tx, origin, ana, BROWSER, other.get({**asked, "allowCredentials": []}))
        )
    with pytest.raises(ChallengeOver):
        finished(
            services, lambda tx: proofs.again(tx, origin, bora, BROWSER, other.get({**asked, "allowCredentials": []}))
        )
    with Transaction(services.engine) as tx:
        for_the_code = proofs.options_for(tx, origin.now, ana, Purpose.SECOND_FACTOR, BROWSER)
    assert for_the_code is not None
    with pytest.raises(ChallengeOver):
        finished(services, lambda tx: proofs.again(tx, origin, ana, BROWSER, phone.get(for_the_code)))
    assert finished(services, lambda tx: proofs.again(tx, origin, ana, BROWSER, phone.get(asked))) == (
        "hwk",
        "user",
        "mfa",
    )


def test_after_the_password_it_is_the_second_factor_once(
    services: Services, origin: Origin, ana: User, events: Events
) -> None:
    key = Authenticator(ORIGIN)
    added(services, origin, ana, key)
    key.verifies = False  # it is had, and the password is known
    proofs = services.passkey_proofs
    with Transaction(services.engine) as tx:
        assert has_second_factor(tx, ana)
        step = services.login.begin_second_factor(tx, origin, ana)
        asked = [proofs.options_for(tx, origin.now, ana, Purpose.SECOND_FACTOR, BROWSER) for _ in range(2)]
    assert asked[0] is not None
    assert asked[1] is not None
    assert asked[0]["userVerification"] == "preferred"
    finish = proofs.second_factor
    completed = finished(services, lambda tx: finish(tx, origin, step, BROWSER, key.get(asked[0])))
    assert (completed.user.id, completed.amr) == (ana.id, ("pwd", "hwk", "user", "mfa"))
    with pytest.raises(StepExpired):
        finished(services, lambda tx: finish(tx, origin, step, BROWSER, key.get(asked[1])))
    with pytest.raises(WrongPasskey):
        signed_in(services, origin, key)
    assert [it["user_id"] for it in events("login.failed")] == [ana.id]


def test_a_disabled_user_is_nobody(services: Services, origin: Origin, ana: User, phone: Authenticator) -> None:
    added(services, origin, ana, phone)
    with Transaction(services.engine) as tx:
        services.user_ends.set_active(tx, origin, ana.id, False)
    with pytest.raises(WrongPasskey):
        signed_in(services, origin, phone)


@pytest.mark.parametrize("count", [5, 4, 0])
def test_a_counter_that_went_back_is_refused_recorded_and_told_once(
    services: Services, origin: Origin, ana: User, phone: Authenticator, events: Events, keyring: Keyring, count: int
) -> None:
    made = added(services, origin, ana, phone)
    signed_in(services, origin, phone, count=5)
    for _ in range(2):
        with pytest.raises(WrongPasskey):
            signed_in(services, origin, phone, count=count)
    assert [it["metadata"]["sent"] for it in events("passkey.suspected")] == [count, count]
    assert len(letters(services.engine, keyring, to=ana.email, name="alert_passkey_suspected")) == 1
    with Transaction(services.engine) as tx:
        (kept,) = services.passkeys.list(tx, ana.id)
    assert (kept.id, kept.suspected_at, kept.sign_count) == (made.id, origin.now, 5)
    assert signed_in(services, origin, phone, count=6).user.id == ana.id, "a clumsy counter locks nobody out"


def test_strangers_answers_are_counted_by_network(
    services: Services, origin: Origin, ana: User, phone: Authenticator
) -> None:
    added(services, origin, ana, phone)
    for _ in range(50):
        with pytest.raises(WrongPasskey):
            finished(services, lambda tx: services.passkey_proofs.sign_in(tx, origin, BROWSER, "x"))
    with pytest.raises(Throttled):
        signed_in(services, origin, phone)
    elsewhere = dataclasses.replace(origin, source="198.51.100.7")
    for _ in range(60):
        assert signed_in(services, elsewhere, phone).user.id == ana.id, "right ones count for nothing"


def test_adding_and_removing_is_recorded_and_told(
    services: Services, origin: Origin, ana: User, phone: Authenticator, events: Events, keyring: Keyring
) -> None:
    made = added(services, origin, ana, phone, "  My\u3000phone ")
    assert made.name == "My phone"
    with Transaction(services.engine) as tx:
        assert services.passkeys.rename(tx, origin, ana.id, made.id, "Old phone")
        assert services.passkeys.remove(tx, origin, ana, made.id)
        assert not services.passkeys.remove(tx, origin, ana, made.id)
        assert not has_second_factor(tx, ana)
    assert [it["action"] for it in events() if it["action"].startswith("passkey")] == [
        "passkey.added",
        "passkey.renamed",
        "passkey.removed",
    ]
    told = letters(services.engine, keyring, to=ana.email)
    assert [(it.name, it.values["name"]) for it in told] == [
        ("alert_passkey_added", "My phone"),
        ("alert_passkey_removed", "Old phone"),
    ]
    with pytest.raises(WrongPasskey):
        signed_in(services, origin, phone)


@pytest.mark.parametrize("name", ["", " ", "a\nb", "x" * 65, "a\u202ebc"])
def test_a_name_can_be_read(services: Services, origin: Origin, ana: User, phone: Authenticator, name: str) -> None:
    with pytest.raises(InvalidPasskeyName):
        added(services, origin, ana, phone, name)
    made = added(services, origin, ana, phone)
    with Transaction(services.engine) as tx, pytest.raises(InvalidPasskeyName):
        services.passkeys.rename(tx, origin, ana.id, made.id, name)


def test_one_credential_has_one_account(
    services: Services, origin: Origin, ana: User, add_user: AddUser, phone: Authenticator
) -> None:
    added(services, origin, ana, phone, credential_id=b"c" * 32)
    for user in (ana, add_user("bora")):
        with pytest.raises(PasskeyTaken):
            added(services, origin, user, phone, credential_id=b"c" * 32)


def test_there_is_an_end_to_how_many(services: Services, origin: Origin, ana: User, phone: Authenticator) -> None:
    for _ in range(MAX_PASSKEYS):
        added(services, origin, ana, phone)
    with pytest.raises(TooManyPasskeys):
        added(services, origin, ana, phone)


@pytest.mark.parametrize("has_password", [True, False])
@pytest.mark.parametrize("needs_another", [True, False])
def test_the_last_way_in_stays(
    services: Services, origin: Origin, add_user: AddUser, phone: Authenticator, has_password: bool, needs_another: bool
) -> None:
    user = add_user("eve", **({} if has_password else {"password_hash": None}))
    made = [added(services, origin, user, phone) for _ in range(2)]
    with Transaction(services.engine) as tx:
        remove = services.passkeys.remove
        assert remove(tx, origin, user, made[0].id, needs_another_factor=needs_another)
        if has_password and not needs_another:
            assert remove(tx, origin, user, made[1].id)
        else:
            with pytest.raises(LastPasskey):
                remove(tx, origin, user, made[1].id, needs_another_factor=needs_another)


def test_of_somebody_else_s_passkeys_nothing_can_be_done(
    services: Services, origin: Origin, ana: User, add_user: AddUser, phone: Authenticator
) -> None:
    bora = add_user("bora")
    made = added(services, origin, ana, phone)
    with Transaction(services.engine) as tx:
        assert services.passkeys.find(tx, bora.id, made.id) is None
        assert not services.passkeys.rename(tx, origin, bora.id, made.id, "mine")
        assert not services.passkeys.remove(tx, origin, bora, made.id)
        assert [it.name for it in services.passkeys.list(tx, ana.id)] == ["Phone"]


def test_what_was_added_lately_or_all_of_it_can_be_removed(
    services: Services, origin: Origin, ana: User, phone: Authenticator
) -> None:
    old = added(services, origin, ana, phone)
    tomorrow = later(origin, 86400)
    new = [added(services, later(tomorrow, seconds), ana, phone) for seconds in (0, 1)]
    with Transaction(services.engine) as tx:
        since = services.passkeys.remove_added_since(tx, tomorrow, ana.id, tomorrow.now)
        assert since == len(new)
        assert [it.id for it in services.passkeys.list(tx, ana.id)] == [old.id]
        assert services.passkeys.remove_all(tx, tomorrow, ana.id) == 1
        assert services.passkeys.count(tx, ana.id) == 0


def test_somebody_without_an_account_can_make_the_passkey_first(
    services: Services, origin: Origin, add_user: AddUser, phone: Authenticator
) -> None:
    enrolments = services.passkey_enrolments
    options = enrolments.options_for_new(origin.now, "dana", BROWSER)
    assert (options["user"]["name"], options["excludeCredentials"]) == ("dana", [])
    answer = phone.create(options)
    with Transaction(services.engine) as tx, pytest.raises(ChallengeOver):
        enrolments.check_new(tx, origin.now, "browser two", answer)
    with Transaction(services.engine) as tx:
        made = enrolments.check_new(tx, origin.now, BROWSER, answer)
    dana = add_user("dana", password_hash=None)
    with Transaction(services.engine) as tx:
        services.passkeys.add(tx, origin, dana, made, "Phone")
        again = enrolments.options(tx, origin.now, dana, BROWSER)
    assert again["user"]["id"] == options["user"]["id"]
    assert signed_in(services, origin, phone).user.id == dana.id


@pytest.mark.parametrize(
    "origin_of_pages, host",
    [
        ("https://id.example", "id.example"),
        ("https://id.example:8443", "id.example"),
        ("http://localhost:8000", "localhost"),
        ("http://127.0.0.1:8000", None),
        ("http://[::1]:8000", None),
    ],
)
def test_the_issuer_decides_what_passkeys_are_bound_to(origin_of_pages: str, host: str | None) -> None:
    party = relying_party(origin_of_pages, "MCP Core")
    assert (party and (party.id, party.origin)) == (host and (host, origin_of_pages))


def test_showing_a_page_writes_nothing(services: Services, origin: Origin, ana: User) -> None:
    with Transaction(services.engine) as tx:
        services.passkey_proofs.options_to_sign_in(origin.now, BROWSER)
        services.passkey_enrolments.options(tx, origin.now, ana, BROWSER)
        assert services.replay.purge(tx, origin.now + datetime.timedelta(days=1)) == 0


def test_what_checks_answers_is_not_loaded_before_there_is_one() -> None:
    """It would take a start a tenth of a second, and each process 8 MB that many never need."""
    line = "import sys, provider.application, provider.services; print([it for it in sys.modules if 'webauthn' in it])"
    shown = subprocess.run([sys.executable, "-c", line], capture_output=True, text=True, check=True)
    assert shown.stdout == "[]\n"
