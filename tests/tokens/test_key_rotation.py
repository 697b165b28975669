"""Rotation: published before it signs, kept until nothing needs it, and taken away when it has leaked."""

from __future__ import annotations

import dataclasses

import pytest

from database.models import SigningKey as KeyRow
from provider.protocol.messages import Origin
from provider.tokens.signing_keys import RELOAD_SECONDS, SETTLE_SECONDS
from tests.tokens.conftest import PUBLISH_SECONDS, RETIRE_SECONDS, Events, Tokens, World, later
from tests.tokens.test_signing_keys import current, ensured, published, rotated


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
