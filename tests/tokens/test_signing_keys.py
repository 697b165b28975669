"""Signing keys: made once, rotated with overlap, the same for every worker, never shown (OpenID Connect Core §10.1.1)."""

from __future__ import annotations

import contextlib
import json
import secrets
import threading
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
from provider.protocol.errors import OAuthError
from provider.protocol.messages import Origin
from provider.security.crypto import DecryptionFailed, Keyring
from provider.security.sealed_columns import SIGNING_KEY
from provider.tokens.key_pairs import generate_key
from provider.tokens.signing_key import SigningKey
from provider.tokens.signing_keys import KNOWN_SECONDS, RELOAD_SECONDS, SETTLE_SECONDS
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


def listed(tokens: Tokens, origin: Origin) -> tuple[SigningKey, ...]:
    with tokens.transaction() as tx:
        return tokens.keys.list(tx, origin.now)


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
    with tokens.transaction() as tx, pytest.raises(OAuthError, match="temporarily_unavailable"):
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
        parts = [str(key.key.as_dict(private=True)["d"]) for key in tokens.keys.list(tx, origin.now)]
    rows = tokens.rows(KeyRow)
    assert not any(part in str(value) for part in parts for row in rows for value in row.values())
    moved = [row["private_key_encrypted"] for row in reversed(rows)]
    with tokens.transaction() as tx:
        for row, foreign in zip(rows, moved, strict=True):
            key = KeyRow.__table__.c.kid == row["kid"]
            tx.execute(update(KeyRow).where(key).values(private_key_encrypted=foreign))
    other = Tokens(engine, keyring, ("ES256", "EdDSA"))
    with other.transaction() as tx:
        with pytest.raises(DecryptionFailed):
            other.keys.list(tx, origin.now)
        assert json.loads(other.keys.jwks(tx, origin.now).body) == {"keys": []}
        assert set(other.keys.unreadable(tx, origin.now)) == {row["kid"] for row in rows}


def spoil(tokens: Tokens, kid: str, how: str) -> None:
    """Makes a stored key one that does not open."""
    (row,) = [row for row in tokens.rows(KeyRow) if row["kid"] == kid]
    value = row["private_key_encrypted"]
    foreign = Keyring(b"h" * 32, [("gone", secrets.token_bytes(32))]).encrypt(b"{}", SIGNING_KEY.context(kid))
    text = {"altered": value[:-4] + value[-4:].swapcase()[::-1], "cut": value[:-8], "under a key that is gone": foreign}
    changes = {"of another algorithm": {"algorithm": "RS256"}}.get(how) or {"private_key_encrypted": text[how]}
    tokens.set(KeyRow, kid, **changes)


SPOILT = ("altered", "cut", "under a key that is gone", "of another algorithm")


@pytest.mark.parametrize("how", SPOILT)
def test_a_key_that_does_not_open_stops_no_other_one(
    engine: Engine, keyring: Keyring, origin: Origin, events: Events, caplog: pytest.LogCaptureFixture, how: str
) -> None:
    made = Tokens(engine, keyring, ALL)
    ensured(made, origin)
    kids = {key.algorithm: key.kid for key in listed(made, origin)}
    spoil(made, kids["EdDSA"], how)
    tokens = Tokens(engine, keyring, ALL)
    assert set(published(tokens, origin)) == {kids["RS256"], kids["ES256"]}
    assert current(tokens, origin, "ES256") == kids["ES256"]
    with tokens.transaction() as tx:
        assert tokens.keys.unreadable(tx, origin.now) == (kids["EdDSA"],)
        assert tokens.keys.find(tx, kids["EdDSA"], later(origin, 5).now) is None
        with pytest.raises(OAuthError) as refusal:
            tokens.keys.current(tx, "EdDSA", origin.now)
    assert (refusal.value.error, refusal.value.status) == ("temporarily_unavailable", 503)
    assert caplog.text.count(f"do not open, and the others go on without them: {kids['EdDSA']}") == 1
    assert events().count(("decryption.failed", None)) == 0, "what only looks writes nothing"
    (new,) = ensured(tokens, origin)
    assert current(tokens, origin, "EdDSA") == new
    assert ensured(tokens, origin) == []
    assert events().count(("decryption.failed", None)) == 1


def test_another_key_of_the_algorithm_signs_in_place_of_one_that_does_not_open(
    tokens: Tokens, worker: Tokens, origin: Origin, events: Events
) -> None:
    (old,) = ensured(tokens, origin)
    assert published(worker, origin) == [old]
    new = rotated(tokens, origin)
    spoil(tokens, new, "altered")
    moment = later(origin, PUBLISH_SECONDS)
    assert current(worker, moment) == old
    assert published(worker, moment) == [old]
    for seconds in (RELOAD_SECONDS, 2 * RELOAD_SECONDS):
        assert published(worker, later(moment, seconds)) == [old]
        assert events().count(("decryption.failed", None)) == 1, "a server that runs puts it on record, once an hour"


def test_a_key_in_memory_goes_on_when_its_row_is_damaged_and_retires_in_time(tokens: Tokens, origin: Origin) -> None:
    (old,) = ensured(tokens, origin)
    assert published(tokens, origin) == [old]
    new = rotated(Tokens(tokens.engine, tokens.keyring), origin)
    spoil(tokens, old, "altered")
    soon, over = later(origin, RELOAD_SECONDS), later(origin, PUBLISH_SECONDS + RETIRE_SECONDS)
    assert current(tokens, soon) == old
    assert set(published(tokens, soon)) == {old, new}
    assert published(tokens, over) == [new]


def test_where_none_opens_no_new_one_is_made_unless_the_old_ones_are_given_up(tokens: Tokens, origin: Origin) -> None:
    """The master keys are another database's then, and nothing must be sealed with them."""
    ensured(tokens, origin)
    stranger = Tokens(tokens.engine, Keyring(b"h" * 32, [("other", secrets.token_bytes(32))]))
    with stranger.transaction() as tx:
        with pytest.raises(DecryptionFailed):
            stranger.keys.ensure(tx, origin.now)
        with pytest.raises(DecryptionFailed):
            stranger.keys.rotate(tx, origin)
    assert len(tokens.rows(KeyRow)) == 1
    new = rotated(stranger, origin, revoke=True)
    assert published(stranger, origin) == [new]


def test_the_public_part_follows_from_the_private_one(tokens: Tokens, origin: Origin) -> None:
    (kid,) = ensured(tokens, origin)
    theirs = generate_key("ES256").as_dict(private=False)
    tokens.set(KeyRow, kid, public_jwk={**theirs, "kid": kid, "use": "sig", "alg": "ES256"})
    fresh = Tokens(tokens.engine, tokens.keyring)
    with fresh.transaction() as tx:
        (shown,) = json.loads(fresh.keys.jwks(tx, origin.now).body)["keys"]
    assert shown["x"] != theirs["x"]


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


def test_known_keys_go_on_for_an_hour_and_no_longer(tokens: Tokens, origin: Origin) -> None:
    """A process that is cut off must not show a key for ever that may have been revoked meanwhile."""
    (kid,) = ensured(tokens, origin)
    assert published(tokens, origin) == [kid]
    with statements(tokens.engine, fail=True):
        assert published(tokens, later(origin, KNOWN_SECONDS)) == [kid]
        with tokens.transaction() as tx, pytest.raises(OperationalError):
            tokens.keys.jwks(tx, later(origin, KNOWN_SECONDS + 1).now)


def test_an_unknown_key_id_is_no_wrong_one_while_the_database_is_away(tokens: Tokens, origin: Origin) -> None:
    ensured(tokens, origin)
    current(tokens, origin)
    with statements(tokens.engine, fail=True), tokens.transaction() as tx, pytest.raises(OperationalError):
        tokens.keys.find(tx, "unknown", later(origin, 10).now)


@pytest.mark.parametrize("seconds,waits", [(RELOAD_SECONDS, False), (SETTLE_SECONDS, True)])
def test_while_one_thread_reads_the_keys_the_others_wait_only_where_a_new_one_might_be_missed(
    tokens: Tokens, worker: Tokens, origin: Origin, seconds: int, *, waits: bool
) -> None:
    """After ``SETTLE_SECONDS`` every process shows a new key, one that had nothing to do for long as well."""
    (old,) = ensured(tokens, origin)
    assert published(tokens, origin) == [old]
    new, moment = rotated(worker, origin), later(origin, seconds)
    is_reading, may_go_on, seen = threading.Event(), threading.Event(), []

    def hold(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        if "FROM signing_keys" in statement:
            is_reading.set()
            assert may_go_on.wait(10)

    event.listen(tokens.engine, "before_cursor_execute", hold)
    threads = [threading.Thread(target=lambda: seen.append(set(published(tokens, moment)))) for _ in range(2)]
    threads[0].start()
    assert is_reading.wait(10)
    threads[1].start()
    threads[1].join(0.3)
    was_waiting = threads[1].is_alive()
    may_go_on.set()
    for thread in threads:
        thread.join(10)
    event.remove(tokens.engine, "before_cursor_execute", hold)
    assert was_waiting == waits
    assert seen == ([{old, new}, {old, new}] if waits else [{old}, {old, new}])


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
