"""Client assertions (RFC 7523 §3; security A-31): what they must say, and that each counts once."""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Engine, select

from database.models import ReplayGuard as GuardRow
from database.transaction import Transaction
from provider.clients.assertions import MAX_CHARACTERS, MAX_JTI, ClientAssertions
from provider.clients.client_keys import ClientKeys
from provider.protocol.client import Client
from provider.protocol.messages import Origin
from provider.security.crypto import Keyring
from provider.security.outbound import Outbound
from provider.security.replay import ReplayGuard
from tests.signing import ALGORITHMS, assertion_claims, client_key, jwks, known_client
from tests.together import at_once

ISSUER = "https://id.example/oauth"
TOKEN_ENDPOINT = f"{ISSUER}/token"
NOW = datetime.datetime(2026, 7, 1, 12, 0, tzinfo=datetime.UTC)
AT = int(NOW.timestamp())
ORIGIN = Origin("192.0.2.10", "pytest", "request-1", NOW)
SECONDS, SKEW = 300, 30
KEY = client_key()
CLIENT = known_client(jwks=jwks(KEY))
Prove = Callable[..., bool]


def build(keyring: Keyring) -> ClientAssertions:
    return ClientAssertions(
        ClientKeys(Outbound()),
        ReplayGuard(keyring),
        audiences=(ISSUER, TOKEN_ENDPOINT),
        seconds=SECONDS,
        skew_seconds=SKEW,
    )


@pytest.fixture
def assertions(keyring: Keyring) -> ClientAssertions:
    return build(keyring)


@pytest.fixture
def prove(assertions: ClientAssertions, sqlite_engine: Engine) -> Prove:
    def call(assertion: str, client: Client = CLIENT, now: datetime.datetime = NOW) -> bool:
        with Transaction(sqlite_engine) as tx:
            return assertions.is_proof(tx, dataclasses.replace(ORIGIN, now=now), client, assertion)

    return call


def assertion(**changes: Any) -> str:
    return KEY.sign(assertion_claims("app_1", ISSUER, NOW, **changes))


# --- what it must say ---

RIGHT: list[tuple[str, dict[str, Any]]] = [
    ("as the SDKs make it", {}),
    ("for the token endpoint", {"aud": TOKEN_ENDPOINT}),
    ("for a list of one", {"aud": [ISSUER]}),
    ("without iat", {"iat": None}),
    ("with nbf", {"nbf": AT}),
    ("valid 8 seconds from now", {"nbf": AT + 8, "iat": AT + 8}),
    ("as far ahead as clocks may differ", {"nbf": AT + SKEW, "iat": AT + SKEW}),
    ("made long ago", {"iat": AT - 86400}),
    ("just not over", {"exp": AT - SKEW + 1}),
    ("as late as it may be", {"exp": AT + SECONDS + SKEW}),
    ("with parts of seconds", {"exp": AT + 60.5, "iat": AT - 0.25}),
    ("with a long jti", {"jti": "j" * MAX_JTI}),
    ("with a jti of any letters", {"jti": "번호 +/=\n"}),
    ("with a claim that nobody knows", {"more": {"a": [1]}}),
]
WRONG: list[tuple[str, dict[str, Any]]] = [
    ("no iss", {"iss": None}),
    ("another iss", {"iss": "app_2"}),
    ("no sub", {"sub": None}),
    ("another sub", {"sub": "app_2"}),
    ("iss and sub of another client", {"iss": "app_2", "sub": "app_2"}),
    ("iss in other letters", {"iss": "APP_1"}),
    ("a sub that is a list", {"sub": ["app_1"]}),
    ("no aud", {"aud": None}),
    ("an empty aud", {"aud": ""}),
    ("an empty list", {"aud": []}),
    ("two audiences", {"aud": [ISSUER, TOKEN_ENDPOINT]}),
    ("us and somebody else", {"aud": [ISSUER, "https://other.example"]}),
    ("the same one twice", {"aud": [ISSUER, ISSUER]}),
    ("a list in a list", {"aud": [[ISSUER]]}),
    ("another server", {"aud": "https://other.example"}),
    ("our host alone", {"aud": "https://id.example"}),
    ("a slash behind", {"aud": ISSUER + "/"}),
    ("the pushed requests' endpoint", {"aud": f"{ISSUER}/par"}),
    ("the introspection endpoint", {"aud": f"{ISSUER}/introspect"}),
    ("the client itself", {"aud": "app_1"}),
    ("a number", {"aud": 5}),
    ("an object", {"aud": {ISSUER: True}}),
    ("no jti", {"jti": None}),
    ("an empty jti", {"jti": ""}),
    ("a jti that is a number", {"jti": 5}),
    ("a jti that is too long", {"jti": "j" * (MAX_JTI + 1)}),
    ("no exp", {"exp": None}),
    ("over", {"exp": AT - SKEW}),
    ("five minutes over", {"exp": AT - 300}),
    ("too far ahead", {"exp": AT + SECONDS + SKEW + 1}),
    ("without end", {"exp": 2**40}),
    ("an exp that is text", {"exp": str(AT + 60)}),
    ("an exp that is true", {"exp": True}),
    ("an exp in milliseconds", {"exp": (AT + 60) * 1000}),
    ("a negative exp", {"exp": -1}),
    ("not valid yet", {"nbf": AT + SKEW + 1}),
    ("an hour before its time", {"nbf": AT + 3600}),
    ("an nbf that is text", {"nbf": str(AT)}),
    ("from the future", {"iat": AT + SKEW + 1}),
    ("an iat that is text", {"iat": "now"}),
    ("an iat that is null", {"iat": [None]}),
]


@pytest.mark.parametrize("case, changes", RIGHT, ids=[row[0] for row in RIGHT])
def test_an_assertion_that_says_the_right_thing_is_proof(prove: Prove, case: str, changes: dict[str, Any]) -> None:
    assert prove(assertion(**changes))


@pytest.mark.parametrize("case, changes", WRONG, ids=[row[0] for row in WRONG])
def test_an_assertion_with_one_thing_wrong_is_none(
    prove: Prove, sqlite_engine: Engine, case: str, changes: dict[str, Any]
) -> None:
    assert not prove(assertion(**changes))
    with sqlite_engine.connect() as connection:
        assert connection.execute(select(GuardRow.__table__)).all() == [], "and it uses nothing up"


@pytest.mark.parametrize("typ, counts", [
    (None, True), ("JWT", True), ("client-authentication+jwt", True), ("oauth-authz-req+jwt", False),
    ("dpop+jwt", False), ("at+jwt", False), ("logout+jwt", False), ("secevent+jwt", False),
])  # fmt: skip
def test_an_object_of_another_kind_proves_nothing(prove: Prove, typ: str | None, counts: bool) -> None:
    assert prove(KEY.sign(assertion_claims("app_1", ISSUER, NOW), typ=typ)) is counts


@pytest.mark.parametrize("registered", [None, *ALGORITHMS])
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_client_signs_with_its_registered_algorithm_or_with_any_of_ours(
    prove: Prove, algorithm: str, registered: str | None
) -> None:
    key = client_key(algorithm)
    client = known_client(jwks=jwks(key), token_endpoint_auth_signing_alg=registered)
    made = key.sign(assertion_claims("app_1", ISSUER, NOW))
    assert prove(made, client) is (registered in (None, algorithm))


def test_another_clients_key_proves_nothing(prove: Prove) -> None:
    other = client_key(name="other")
    assert not prove(other.sign(assertion_claims("app_1", ISSUER, NOW)))
    assert not prove(other.sign(assertion_claims("app_1", ISSUER, NOW), jwk=other.public))
    assert not prove(assertion(), known_client())


def test_it_says_whom_it_is_from_and_nothing_is_believed_of_it(assertions: ClientAssertions) -> None:
    assert assertions.claimed_client_id(client_key(name="other").sign({"sub": "app_1"})) == "app_1"
    for text in ("", "x", "a.b.c", KEY.sign({}), KEY.sign({"sub": 5}), KEY.sign({"sub": "\ud800"})):
        assert assertions.claimed_client_id(text) is None
    long = KEY.sign({"sub": "app_1", "more": "x" * MAX_CHARACTERS})
    assert assertions.claimed_client_id(long) is None


# --- once ---


def test_an_assertion_counts_once(prove: Prove) -> None:
    made = assertion()
    assert prove(made)
    assert not prove(made)
    assert not prove(made, now=NOW + datetime.timedelta(seconds=SECONDS + SKEW - 1))
    same = assertion(jti="the-same")
    assert prove(same)
    assert not prove(assertion(jti="the-same", exp=AT + 200, aud=TOKEN_ENDPOINT)), "it is the jti that counts once"
    first, claims, signature = assertion().split(".")
    assert prove(f"{first}.{claims}.{signature}")
    assert not prove(KEY.resigned({"alg": "ES256"}, claims)), "however it is signed"


def test_two_clients_may_have_the_same_jti(prove: Prove) -> None:
    assert prove(assertion(jti="1"))
    other = dataclasses.replace(CLIENT, id="01900000-0000-7000-8000-000000000002", client_id="app_2")
    assert prove(KEY.sign(assertion_claims("app_2", ISSUER, NOW, jti="1")), other)


def test_a_jti_is_remembered_as_long_as_its_assertion_could_count(
    prove: Prove, sqlite_engine: Engine, keyring: Keyring
) -> None:
    made = assertion(exp=AT + SECONDS)
    assert prove(made)
    last = NOW + datetime.timedelta(seconds=SECONDS + SKEW)
    for moment in (NOW, last - datetime.timedelta(microseconds=1)):
        with Transaction(sqlite_engine) as tx:
            assert ReplayGuard(keyring).purge(tx, moment) == 0
        assert not prove(made, now=moment), "still in time, but used"
    assert not prove(made, now=last), "not in time any more"
    with Transaction(sqlite_engine) as tx:
        assert ReplayGuard(keyring).purge(tx, last + datetime.timedelta(seconds=2)) == 1


def test_the_database_learns_no_jti(prove: Prove, sqlite_engine: Engine) -> None:
    prove(assertion(jti="a-name-to-look-for"))
    with sqlite_engine.connect() as connection:
        row = connection.execute(select(GuardRow.__table__)).one()
    assert "a-name-to-look-for" not in str(row)


@pytest.mark.parametrize("processes", [1, 2])
def test_of_many_at_one_moment_one_is_proof(engine: Engine, keyring: Keyring, processes: int) -> None:
    """Decided by the database, so that it holds between processes as well."""
    services, made = [build(keyring) for _ in range(processes)], assertion()
    for _round in range(5):
        made = assertion()
        calls = [
            lambda tx, service=services[number % processes], made=made: service.is_proof(tx, ORIGIN, CLIENT, made)
            for number in range(8)
        ]
        assert sorted(at_once(engine, calls, tries=8)) == [False] * 7 + [True]


def test_what_is_undone_was_not_used_up(assertions: ClientAssertions, engine: Engine) -> None:
    """Whose transaction fails gets no token, and may send the assertion again: the edge repeats a call after a deadlock."""
    made, tx = assertion(), Transaction(engine)
    assert assertions.is_proof(tx, ORIGIN, CLIENT, made)
    tx.rollback()
    with Transaction(engine) as tx:
        assert assertions.is_proof(tx, ORIGIN, CLIENT, made)
        assert not assertions.is_proof(tx, ORIGIN, CLIENT, made), "and a refusal leaves the transaction usable"
        assert assertions.is_proof(tx, ORIGIN, CLIENT, assertion())
