"""Refresh tokens: rotation, the grace window, reuse and both limits (RFC 9700 §4.14, OAuth 2.1 §4.3)."""

from __future__ import annotations

import datetime
import threading

import pytest

from database.models import GrantRecord, RefreshToken
from provider.protocol.errors import OAuthError
from provider.protocol.messages import Origin
from provider.security.crypto import is_secret, new_secret
from tests.tokens.conftest import FAMILY_SECONDS, GRACE_SECONDS, IDLE_SECONDS, Events, World, later
from tests.waiting import HANG_SECONDS


def start(world: World, origin: Origin) -> str:
    with world.tokens.transaction() as tx:
        return world.tokens.refresh.start(tx, origin.now, world.grant_id)


def redeem(world: World, origin: Origin, token: str, *, rotate: bool = True) -> str:
    """As the token endpoint does it: what a refusal writes is kept."""
    tx = world.tokens.transaction()
    stored = world.tokens.refresh.find(tx, token)
    assert stored is not None
    try:
        return world.tokens.refresh.redeem(tx, origin, stored, token, rotate=rotate)
    finally:
        tx.commit()


def refusal_of(world: World, origin: Origin, token: str, *, rotate: bool = True) -> str:
    with pytest.raises(OAuthError) as refusal:
        redeem(world, origin, token, rotate=rotate)
    assert refusal.value.error == "invalid_grant"
    return refusal.value.description


def is_revoked(world: World) -> bool:
    (grant,) = world.tokens.rows(GrantRecord)
    return grant["revoked_at"] is not None


EXPIRED, REVOKED, REUSED = (
    "The refresh token has expired.",
    "The authorization was revoked.",
    "The refresh token was already used.",
)


def test_each_use_gives_the_next_token_of_the_same_family(world: World, origin: Origin) -> None:
    token, given = start(world, origin), []
    for step in range(1, 4):
        given.append(token)
        token = redeem(world, later(origin, step * 100), token)
        assert is_secret("rt", token)
    assert len({*given, token}) == 4
    rows = sorted(world.tokens.rows(RefreshToken), key=lambda row: row["generation"])
    assert [row["generation"] for row in rows] == [0, 1, 2, 3]
    assert {row["grant_id"] for row in rows} == {world.grant_id}
    assert {row["family_expires_at"] for row in rows} == {later(origin, FAMILY_SECONDS).now}
    assert [row["used_at"] is None for row in rows] == [False, False, False, True]


def test_the_database_holds_no_refresh_token(world: World, origin: Origin) -> None:
    first = start(world, origin)
    tokens = (first, redeem(world, origin, first))
    for row in world.tokens.rows(RefreshToken):
        assert not any(token in str(value) for token in tokens for value in row.values())


@pytest.mark.parametrize("change", [str.lower, str.upper, lambda token: token + " ", lambda token: token[:-1]])
def test_a_token_that_is_nearly_right_finds_nothing(world: World, origin: Origin, change: object) -> None:
    token = start(world, origin)
    with world.tokens.transaction() as tx:
        assert world.tokens.refresh.find(tx, change(token)) is None  # type: ignore[operator]
        assert world.tokens.refresh.find(tx, new_secret("rt")) is None
        assert world.tokens.refresh.find(tx, new_secret("ac")) is None


@pytest.mark.parametrize("rotate", [True, False])
@pytest.mark.parametrize(
    "uses, at, refusal",
    [
        ((), IDLE_SECONDS - 0.001, None),
        ((), IDLE_SECONDS, EXPIRED),
        ((900,), 900 + IDLE_SECONDS - 0.001, None),  # activity moves the idle limit
        ((900,), 900 + IDLE_SECONDS, EXPIRED),
        ((900, 1800, 2700), FAMILY_SECONDS - 0.001, None),
        ((900, 1800, 2700), FAMILY_SECONDS, EXPIRED),  # and never the absolute one
    ],
)
def test_idle_and_absolute_limits_hold_with_and_without_rotation(
    world: World, origin: Origin, uses: tuple[int, ...], at: float, refusal: str | None, rotate: bool
) -> None:
    token = start(world, origin)
    for seconds in uses:
        token = redeem(world, later(origin, seconds), token, rotate=rotate)
    with world.tokens.transaction() as tx:
        stored = world.tokens.refresh.find(tx, token)
        assert stored is not None
        assert world.tokens.refresh.is_live(stored, later(origin, at).now) is (refusal is None)
    if refusal is None:
        redeem(world, later(origin, at), token, rotate=rotate)
    else:
        assert refusal_of(world, later(origin, at), token, rotate=rotate) == refusal
        assert not is_revoked(world)


def test_without_rotation_the_same_token_goes_on(world: World, origin: Origin) -> None:
    token = start(world, origin)
    for seconds in (10, 500, 1200):
        assert redeem(world, later(origin, seconds), token, rotate=False) == token
    (row,) = world.tokens.rows(RefreshToken)
    assert row["expires_at"] == later(origin, 1200 + IDLE_SECONDS).now
    assert row["used_at"] is None
    redeem(world, later(origin, 2150), token, rotate=False)
    (row,) = world.tokens.rows(RefreshToken)
    assert row["expires_at"] == row["family_expires_at"]


@pytest.mark.parametrize("seconds", [0, 1, GRACE_SECONDS - 0.001])
def test_a_lost_answer_can_be_asked_for_again_within_the_grace_window(
    world: World, origin: Origin, seconds: float
) -> None:
    token = start(world, origin)
    successor = redeem(world, origin, token)
    assert redeem(world, later(origin, seconds), token) == successor
    assert redeem(world, later(origin, seconds), token) == successor
    assert len(world.tokens.rows(RefreshToken)) == 2
    assert not is_revoked(world)
    redeem(world, later(origin, GRACE_SECONDS + 60), successor)


def test_after_the_grace_window_an_old_token_ends_the_family(world: World, origin: Origin, events: Events) -> None:
    token = start(world, origin)
    successor = redeem(world, origin, token)
    assert refusal_of(world, later(origin, GRACE_SECONDS), token) == REUSED
    assert is_revoked(world)
    assert refusal_of(world, later(origin, GRACE_SECONDS), successor) == REVOKED
    seen = events()
    assert (
        seen.count(("grant.revoked", "refresh_token_reused")),
        seen.count(("refresh_token.reused", "replayed")),
    ) == (1, 1)


def test_once_the_successor_was_used_the_old_token_ends_the_family(world: World, origin: Origin) -> None:
    first = start(world, origin)
    second = redeem(world, origin, first)
    third = redeem(world, later(origin, 1), second)
    assert refusal_of(world, later(origin, 2), first) == REUSED
    assert refusal_of(world, later(origin, 2), third) == REVOKED


def test_an_older_generation_counts_as_reuse_even_within_the_window(world: World, origin: Origin) -> None:
    tokens = [start(world, origin)]
    for step in range(3):
        tokens.append(redeem(world, later(origin, step), tokens[-1]))
    assert refusal_of(world, later(origin, 4), tokens[1]) == REUSED
    assert is_revoked(world)


def test_a_used_token_of_a_client_that_stopped_rotating_still_counts_as_used(world: World, origin: Origin) -> None:
    token = start(world, origin)
    successor = redeem(world, origin, token)
    assert redeem(world, later(origin, 1), token, rotate=False) == successor
    assert refusal_of(world, later(origin, GRACE_SECONDS), token, rotate=False) == REUSED


def test_the_grace_window_does_not_outlast_the_family(world: World, origin: Origin) -> None:
    token = start(world, origin)
    for seconds in (900, 1800, 2700):
        token = redeem(world, later(origin, seconds), token)
    redeem(world, later(origin, FAMILY_SECONDS - 5), token)
    assert refusal_of(world, later(origin, FAMILY_SECONDS + 1), token) == EXPIRED


@pytest.mark.parametrize("rotate", [True, False])
def test_a_revoked_grant_takes_its_refresh_tokens_along(world: World, origin: Origin, rotate: bool) -> None:
    token = start(world, origin)
    with world.tokens.transaction() as tx:
        world.tokens.grants.revoke(tx, origin, world.grant_id, "test")
    assert refusal_of(world, origin, token, rotate=rotate) == REVOKED
    with world.tokens.transaction() as tx:
        stored = world.tokens.refresh.find(tx, token)
        assert stored is not None
        assert not world.tokens.refresh.is_live(stored, origin.now)


def test_old_out_and_new_in_are_one_transaction(world: World, origin: Origin) -> None:
    token = start(world, origin)
    tx = world.tokens.transaction()
    stored = world.tokens.refresh.find(tx, token)
    assert stored is not None
    world.tokens.refresh.redeem(tx, origin, stored, token, rotate=True)
    tx.rollback()  # a crash before the commit
    assert [row["used_at"] for row in world.tokens.rows(RefreshToken)] == [None]
    redeem(world, later(origin, GRACE_SECONDS + 60), token)


def test_two_that_found_the_token_unused_get_the_same_successor(world: World, origin: Origin) -> None:
    token = start(world, origin)
    first, second = world.tokens.transaction(), world.tokens.transaction()
    stored = [world.tokens.refresh.find(tx, token) for tx in (first, second)]
    given = []
    for tx, found in zip((first, second), stored, strict=True):
        assert found is not None
        given.append(world.tokens.refresh.redeem(tx, origin, found, token, rotate=True))
        tx.commit()
    assert given[0] == given[1]
    assert not is_revoked(world)


def test_parallel_refreshes_leave_one_live_chain(world: World, origin: Origin) -> None:
    token, together = start(world, origin), threading.Barrier(6)
    given: list[str] = []

    def refresh() -> None:
        together.wait(HANG_SECONDS)
        given.append(redeem(world, origin, token))

    threads = [threading.Thread(target=refresh) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(HANG_SECONDS)
    assert len(given) == 6
    assert len(set(given)) == 1
    assert [row["used_at"] for row in world.tokens.rows(RefreshToken)].count(None) == 1
    assert not is_revoked(world)


def test_families_are_purged_once_they_are_over(world: World, origin: Origin) -> None:
    redeem(world, origin, start(world, origin))
    with world.tokens.transaction() as tx:
        assert world.tokens.refresh.purge(tx, later(origin, FAMILY_SECONDS - 1).now) == 0
        assert world.tokens.refresh.purge(tx, later(origin, FAMILY_SECONDS).now, limit=1) == 1
        assert world.tokens.refresh.purge(tx, later(origin, FAMILY_SECONDS).now) == 1


def test_the_idle_limit_of_a_successor_never_exceeds_the_family(world: World, origin: Origin) -> None:
    token = start(world, origin)
    for seconds in (900, 1800, 2700):
        token = redeem(world, later(origin, seconds), token)
    newest = max(world.tokens.rows(RefreshToken), key=lambda row: row["generation"])
    assert (
        newest["expires_at"] == newest["family_expires_at"] == origin.now + datetime.timedelta(seconds=FAMILY_SECONDS)
    )
