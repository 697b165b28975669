"""Signing keys: made once, rotated with overlap, the same for every worker, never shown (OpenID Connect Core §10.1.1)."""

from __future__ import annotations

import contextlib
import dataclasses
import json
from collections.abc import Iterator
from typing import Any

import pytest
from joserfc.jwk import KeySet
from sqlalchemy import Engine, event, update
from sqlalchemy.exc import OperationalError

from database.connection import create_engine_for
from database.models import IssuedToken
from database.models import SigningKey as KeyRow
from database.transaction import Transaction
from provider.protocol.messages import Origin
from provider.security.crypto import DecryptionFailed, Keyring
from provider.tokens.signing_keys import RELOAD_SECONDS, SETTLE_SECONDS
from tests.database_servers import MariaDBServer, create_migrated_database
from tests.tokens.conftest import PUBLISH_SECONDS, RETIRE_SECONDS, Events, Tokens, World, later

ALL = ("RS256", "ES256", "EdDSA")
PUBLIC_MEMBERS = {"RSA": {"n", "e"}, "EC": {"crv", "x", "y"}, "OKP": {"crv", "x"}}


@pytest.fixture
def worker(tokens: Tokens) -> Tokens:
    """Another process on the same database, with what it remembers of its own."""
    return Tokens(tokens.engine, tokens.keyring)


def ensured(tokens: Tokens, origin: Origin) -> list[str]:
    with tokens.transaction() as tx:
        return tokens.keys.ensure(tx, origin.now)


def rotated(tokens: Tokens, origin: Origin, **how: bool) -> str:
    with tokens.transaction() as tx:
        (kid,) = tokens.keys.rotate(tx, origin, **how)
        return kid


def current(tokens: Tokens, origin: Origin, algorithm: str = "ES256") -> str:
    with tokens.transaction() as tx:
        return tokens.keys.current(tx, algorithm, origin.now).kid


def published(tokens: Tokens, origin: Origin) -> list[str]:
    with tokens.transaction() as tx:
        return [key["kid"] for key in json.loads(tokens.keys.jwks(tx, origin.now).body)["keys"]]


@contextlib.contextmanager
def statements(engine: Engine, *, fail: bool = False) -> Iterator[list[str]]:
    """The statements about signing keys. ``fail`` has each of them end as if the connection had been lost."""
    seen: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        if "FROM signing_keys" in statement:
            seen.append(statement)
            if fail:
                raise OperationalError(statement, {}, Exception("the connection was lost"))

    event.listen(engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        event.remove(engine, "before_cursor_execute", note)


def test_a_key_is_made_once_for_each_algorithm_and_signs_at_once(
    engine: Engine, keyring: Keyring, origin: Origin, events: Events
) -> None:
    tokens = Tokens(engine, keyring, ALL)
    made = ensured(tokens, origin)
    assert len(set(made)) == 3
    assert ensured(tokens, origin) == []
    assert ensured(Tokens(engine, keyring, ALL), later(origin, 86400)) == []
    assert {current(tokens, origin, name) for name in ALL} == set(made)
    assert events().count(("keys.created", None)) == 1


def test_only_the_algorithm_that_is_missing_gets_a_key(engine: Engine, keyring: Keyring, origin: Origin) -> None:
    first = ensured(Tokens(engine, keyring, ("ES256",)), origin)
    tokens = Tokens(engine, keyring, ("ES256", "EdDSA"))
    (second,) = ensured(tokens, later(origin, 60))
    assert [current(tokens, later(origin, 60), name) for name in ("ES256", "EdDSA")] == [*first, second]
    with tokens.transaction() as tx, pytest.raises(LookupError):
        tokens.keys.current(tx, "RS256", origin.now)


def test_the_jwks_shows_public_members_only_and_reads_back(engine: Engine, keyring: Keyring, origin: Origin) -> None:
    tokens = Tokens(engine, keyring, ALL)
    kids = ensured(tokens, origin)
    with tokens.transaction() as tx:
        body = tokens.keys.jwks(tx, origin.now).body
    document = json.loads(body)
    assert {key["kid"] for key in document["keys"]} == set(kids)
    assert {key["alg"] for key in document["keys"]} == set(ALL)
    for key in document["keys"]:
        assert set(key) == {"kty", "kid", "use", "alg"} | PUBLIC_MEMBERS[key["kty"]]
        assert key["use"] == "sig"
    assert not any(key.is_private for key in KeySet.import_key_set(document))


def test_private_keys_are_encrypted_and_open_only_in_their_own_row(
    engine: Engine, keyring: Keyring, origin: Origin
) -> None:
    tokens = Tokens(engine, keyring, ("ES256", "EdDSA"))
    ensured(tokens, origin)
    with tokens.transaction() as tx:
        secrets = [key.key.as_dict(private=True)["d"] for key in tokens.keys.list(tx, origin.now)]
    rows = tokens.rows(KeyRow)
    assert not any(secret in str(value) for secret in secrets for row in rows for value in row.values())
    moved = [row["private_key_encrypted"] for row in reversed(rows)]
    with tokens.transaction() as tx:
        for row, foreign in zip(rows, moved, strict=True):
            key = KeyRow.__table__.c.kid == row["kid"]
            tx.execute(update(KeyRow).where(key).values(private_key_encrypted=foreign))
    other = Tokens(engine, keyring, ("ES256", "EdDSA"))
    with other.transaction() as tx, pytest.raises(DecryptionFailed):
        other.keys.list(tx, origin.now)


def test_a_rotation_publishes_first_signs_later_and_keeps_the_old_key_until_its_tokens_are_over(
    tokens: Tokens, origin: Origin
) -> None:
    (old,) = ensured(tokens, origin)
    new = rotated(tokens, origin)
    start, over = PUBLISH_SECONDS, PUBLISH_SECONDS + RETIRE_SECONDS
    for seconds, signs, shown in (
        (0, old, {old, new}),
        (start - 0.001, old, {old, new}),
        (start, new, {old, new}),
        (over - 0.001, new, {old, new}),
        (over, new, {new}),
    ):
        moment = later(origin, seconds)
        assert (current(tokens, moment), set(published(tokens, moment))) == (signs, shown), seconds
    with tokens.transaction() as tx:
        states = {
            key.kid: key.state(later(origin, start).now) for key in tokens.keys.list(tx, later(origin, start).now)
        }
        assert states == {old: "retiring", new: "active"}
        assert tokens.keys.find(tx, old, later(origin, over).now) is None


def test_what_was_signed_last_by_the_old_key_is_valid_to_its_end(world: World, origin: Origin) -> None:
    rotated(world.tokens, origin)
    moment = later(origin, PUBLISH_SECONDS - 0.001)
    longest = dataclasses.replace(world.authorization(origin).resource, access_token_seconds=900)
    with world.tokens.transaction() as tx:
        known = world.authorization(origin, resource=longest)
        issued = world.tokens.issuer.issue_access_token(tx, known, moment.now)
        verify = world.tokens.verifier.verify_access_token
        assert verify(tx, issued.token, later(moment, 899).now) is not None
        assert verify(tx, issued.token, later(moment, 900).now) is None


def test_a_rotation_in_an_emergency_signs_once_every_worker_publishes_the_new_key(
    tokens: Tokens, origin: Origin, events: Events
) -> None:
    (old,) = ensured(tokens, origin)
    emergency = later(origin, 100)
    workers = [Tokens(tokens.engine, tokens.keyring) for _ in range(RELOAD_SECONDS + 5)]
    for step, worker in enumerate(workers):  # the last ones look while the new key is written
        assert current(worker, later(emergency, step - RELOAD_SECONDS)) == old
    new = rotated(tokens, emergency, immediately=True)
    for seconds in range(5, SETTLE_SECONDS + 5):
        moment = later(emergency, seconds)
        signed = {current(worker, moment) for worker in (tokens, *workers)}
        assert signed == ({old} if seconds < SETTLE_SECONDS else {new})
        assert all(signed <= set(published(worker, moment)) for worker in workers), seconds
    over = SETTLE_SECONDS + RETIRE_SECONDS
    assert set(published(tokens, later(emergency, over - 1))) == {old, new}
    assert published(tokens, later(emergency, over)) == [new]
    assert events().count(("keys.rotated", None)) == 1


@pytest.mark.parametrize("how", [{}, {"immediately": True}, {"revoke": True}], ids=str)
def test_the_first_key_of_an_algorithm_signs_at_once(tokens: Tokens, origin: Origin, how: dict[str, bool]) -> None:
    first = rotated(tokens, origin, **how)
    assert current(tokens, origin) == first
    assert ensured(tokens, origin) == []


def test_a_rotation_that_revokes_ends_the_old_keys_and_what_they_signed(world: World, origin: Origin) -> None:
    tokens = world.tokens
    with tokens.transaction() as tx:
        access = tokens.issuer.issue_access_token(tx, world.authorization(origin), origin.now).token
        hint = tokens.issuer.id_token(tx, world.authorization(origin), origin.now)
        worker = Tokens(tokens.engine, tokens.keyring)
        assert worker.verifier.verify_access_token(tx, access, origin.now) is not None
    rotated(tokens, origin)  # retiring keys and those to come are ended too
    new = rotated(tokens, later(origin, 1), revoke=True)
    assert (current(tokens, later(origin, 1)), published(tokens, later(origin, 1))) == (new, [new])
    for process, seconds in ((tokens, 1), (worker, RELOAD_SECONDS)):
        moment = later(origin, seconds)
        assert published(process, moment) == [new]
        with tokens.transaction() as tx:
            assert process.verifier.verify_access_token(tx, access, moment.now) is None
            assert process.verifier.verify_id_token_hint(tx, hint, moment.now) is None
    with tokens.transaction() as tx:
        assert tokens.keys.purge(tx, later(origin, 86401).now) == 2
    assert [row["kid"] for row in tokens.rows(KeyRow)] == [new]


@pytest.mark.parametrize("seconds", [1, 3600, PUBLISH_SECONDS - 300, PUBLISH_SECONDS - 1])
def test_a_key_that_was_replaced_before_it_began_never_signs_in_place_of_the_newer_one(
    tokens: Tokens, origin: Origin, seconds: int
) -> None:
    ensured(tokens, origin)
    rotated(tokens, origin)
    emergency = later(origin, seconds)
    newest = rotated(tokens, emergency, immediately=True)
    for after in (SETTLE_SECONDS, 299, 301, RETIRE_SECONDS - 1, RETIRE_SECONDS, PUBLISH_SECONDS, 2 * PUBLISH_SECONDS):
        assert current(tokens, later(emergency, after)) == newest, after


def test_rotations_on_top_of_one_another_leave_a_key_at_every_moment(tokens: Tokens, origin: Origin) -> None:
    ensured(tokens, origin)
    rotated(tokens, origin)
    rotated(tokens, later(origin, 1000))
    newest = rotated(tokens, later(origin, 7000))
    for seconds in range(7000, 7000 + 2 * PUBLISH_SECONDS, 200):
        moment = later(origin, seconds)
        assert current(tokens, moment) in published(tokens, moment)
    end = later(origin, 7000 + PUBLISH_SECONDS + RETIRE_SECONDS)
    assert (current(tokens, end), published(tokens, end)) == (newest, [newest])


def test_keys_are_purged_a_day_after_they_retired(tokens: Tokens, origin: Origin) -> None:
    (old,) = ensured(tokens, origin)
    new = rotated(tokens, origin, immediately=True)
    over = later(origin, SETTLE_SECONDS + RETIRE_SECONDS + 86400)
    with tokens.transaction() as tx:
        assert tokens.keys.purge(tx, later(over, -0.001).now) == 0
        assert tokens.keys.purge(tx, over.now) == 1
        assert tokens.keys.purge(tx, later(over, 10**8).now) == 0
    assert [row["kid"] for row in tokens.rows(KeyRow)] == [new]
    assert old != new


def test_two_workers_that_start_together_agree_on_the_key_that_signs(
    tokens: Tokens, worker: Tokens, origin: Origin
) -> None:
    first, second = tokens.transaction(), worker.transaction()
    for keys, tx in ((tokens.keys, first), (worker.keys, second)):
        assert keys.list(tx, origin.now) == ()  # neither sees the other's key yet
    made = tokens.keys.ensure(first, origin.now)
    first.commit()
    made.append(worker.keys._create(second, "ES256", origin.now, origin.now))
    second.commit()
    soon = later(origin, RELOAD_SECONDS)
    assert current(tokens, soon) == current(worker, soon)
    assert set(published(tokens, soon)) == set(published(worker, soon)) == set(made)


def test_a_worker_learns_of_a_rotation_in_time_and_knows_the_other_ones_tokens_at_once(
    world: World, worker: Tokens, origin: Origin
) -> None:
    old = current(worker, origin)
    new = rotated(world.tokens, origin, revoke=True)
    assert current(worker, later(origin, RELOAD_SECONDS - 1)) == old
    with world.tokens.transaction() as tx:
        token = world.tokens.issuer.issue_access_token(tx, world.authorization(origin), origin.now).token
    with worker.transaction() as tx:
        assert worker.verifier.verify_access_token(tx, token, later(origin, 2).now) is not None
    another = Tokens(world.tokens.engine, world.tokens.keyring)
    current(another, origin)
    assert current(another, later(origin, RELOAD_SECONDS)) == new


def test_an_unknown_key_id_asks_the_database_at_most_once_a_second(tokens: Tokens, origin: Origin) -> None:
    ensured(tokens, origin)
    current(tokens, origin)
    with statements(tokens.engine) as seen, tokens.transaction() as tx:
        for step in range(40):
            assert tokens.keys.find(tx, f"unknown-{step}", later(origin, step * 0.1).now) is None
    assert len(seen) in (3, 4)


def test_known_keys_ask_the_database_twice_a_minute(tokens: Tokens, origin: Origin) -> None:
    (kid,) = ensured(tokens, origin)
    with statements(tokens.engine) as seen, tokens.transaction() as tx:
        for step in range(60):
            assert tokens.keys.find(tx, kid, later(origin, step).now) is not None
            tokens.keys.jwks(tx, later(origin, step).now)
    assert len(seen) == 2


def test_the_etag_is_the_documents_own(tokens: Tokens, origin: Origin) -> None:
    ensured(tokens, origin)
    with tokens.transaction() as tx:
        first, again = (tokens.keys.jwks(tx, later(origin, seconds).now) for seconds in (0, 600))
    rotated(tokens, origin)
    with tokens.transaction() as tx:
        changed = tokens.keys.jwks(tx, origin.now)
    assert first == again
    assert changed.etag != first.etag
    assert first.etag.startswith('"')


def test_a_look_at_the_keys_alone_holds_no_connection(tokens: Tokens, origin: Origin) -> None:
    ensured(tokens, origin)
    tx = Transaction(tokens.engine)
    tokens.keys.jwks(tx, later(origin, 60).now)
    assert not tx.is_open


def test_with_the_database_away_the_known_keys_go_on(tokens: Tokens, origin: Origin) -> None:
    (kid,) = ensured(tokens, origin)
    assert published(tokens, origin) == [kid]
    with statements(tokens.engine, fail=True) as seen:
        for seconds in (60, 61, 90, 3600):
            assert published(tokens, later(origin, seconds)) == [kid]
            assert current(tokens, later(origin, seconds)) == kid
    assert 2 <= len(seen) <= 4
    new = rotated(tokens, later(origin, 3600))
    assert set(published(tokens, later(origin, 3610))) == {kid, new}


def test_without_a_database_and_nothing_known_the_fault_is_reported(tokens: Tokens, origin: Origin) -> None:
    ensured(tokens, origin)
    fresh = Tokens(tokens.engine, tokens.keyring)
    with (
        statements(tokens.engine, fail=True),
        fresh.transaction() as tx,
        pytest.raises(OperationalError),
    ):
        fresh.keys.jwks(tx, origin.now)


def test_no_token_is_signed_when_its_record_was_lost_with_the_connection(world: World, origin: Origin) -> None:
    current(world.tokens, origin)
    moment = later(origin, RELOAD_SECONDS)  # the keys are due to be read again, inside of the open transaction
    tx = world.tokens.transaction()
    with statements(world.tokens.engine, fail=True), pytest.raises(OperationalError):
        world.tokens.issuer.issue_access_token(tx, world.authorization(origin), moment.now)
    tx.rollback()
    assert world.tokens.rows(IssuedToken) == []


def test_a_server_that_is_gone_stops_no_jwks(keyring: Keyring, origin: Origin) -> None:
    server = MariaDBServer()
    try:
        engine = create_engine_for(create_migrated_database(server.url(), "key_rows"))
        tokens = Tokens(engine, keyring)
        (kid,) = ensured(tokens, origin)
        assert published(tokens, origin) == [kid]
        server.kill()
        for seconds in (60, 120, 180):
            assert published(tokens, later(origin, seconds)) == [kid]
        server.start()
        assert set(published(tokens, later(origin, 240))) == {kid}
        new = rotated(tokens, later(origin, 240))
        assert set(published(tokens, later(origin, 300))) == {kid, new}
        engine.dispose()
    finally:
        server.close()
