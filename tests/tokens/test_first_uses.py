"""What works once works once, alone or in a batch, where a server takes one statement for all of it."""

from __future__ import annotations

import datetime
from collections.abc import Sequence

import pytest

from database.models import RefreshToken
from database.units import Batch
from provider.protocol.errors import OAuthError
from provider.protocol.messages import Origin
from tests.statements import sent_to
from tests.tokens.conftest import World, later

# Which tokens are redeemed in one batch (by their number), and which of the units come true. 3 is used before.
BATCHES: list[tuple[Sequence[int], list[bool]]] = [
    ([0], [True]),
    ([0, 1, 2], [True, True, True]),
    ([0, 3], [True, False]),
    ([3, 1, 0], [False, True, True]),
    ([0, 1, 0], [True, True, False]),
    ([3, 3], [False, False]),
]


@pytest.fixture
def chain(world: World, origin: Origin) -> list[str]:
    with world.tokens.transaction() as tx:
        made = [world.tokens.refresh.start(tx, origin.now, world.grant_id) for _ in range(4)]
    with world.tokens.transaction() as tx:
        stored = world.tokens.refresh.find(tx, made[3])
        assert stored is not None
        world.tokens.refresh.redeem(tx, origin, stored, made[3], rotate=True)
    return made


def _used(world: World, tokens: list[str]) -> list[datetime.datetime | None]:
    known = {row["token_hash"]: row["used_at"] for row in world.tokens.rows(RefreshToken)}
    return [known[world.tokens.refresh._hash(token)] for token in tokens]


@pytest.mark.parametrize("redeemed, come_true", BATCHES)
def test_each_is_used_once_and_at_its_own_moment(
    world: World, origin: Origin, chain: list[str], redeemed: Sequence[int], come_true: list[bool]
) -> None:
    batch, units = Batch(world.tokens.engine), []
    for step, number in enumerate(redeemed):
        unit, moment = batch.unit(), later(origin, 1 + step)
        stored = world.tokens.refresh.find(unit, chain[number])
        assert stored is not None
        world.tokens.refresh.redeem(unit, moment, stored, chain[number], rotate=True)
        units.append(unit)
    assert batch.commit(units) == come_true
    batch.end()
    expected: list[datetime.datetime | None] = [None, None, None, origin.now]
    for step, (number, has) in enumerate(zip(redeemed, come_true, strict=True)):
        if has:
            expected[number] = later(origin, 1 + step).now
    assert _used(world, chain) == expected


def test_a_batch_of_first_uses_is_one_statement_on_a_server(world: World, origin: Origin, chain: list[str]) -> None:
    batch, units = Batch(world.tokens.engine), []
    for token in chain[:3]:
        unit = batch.unit()
        stored = world.tokens.refresh.find(unit, token)
        assert stored is not None
        world.tokens.refresh.redeem(unit, origin, stored, token, rotate=True)
        units.append(unit)
    with sent_to(world.tokens.engine) as sent:
        assert batch.commit(units) == [True] * 3
    batch.end()
    if world.tokens.engine.dialect.name != "sqlite":
        assert len([statement for statement in sent if statement.startswith("UPDATE")]) == 1


def test_what_is_used_in_a_batch_is_used_for_whoever_comes_alone(
    world: World, origin: Origin, chain: list[str]
) -> None:
    test_a_batch_of_first_uses_is_one_statement_on_a_server(world, origin, chain)
    with world.tokens.transaction() as tx:
        stored = world.tokens.refresh.find(tx, chain[0])
        assert stored is not None
        with pytest.raises(OAuthError):
            world.tokens.refresh.redeem(tx, later(origin, 100), stored, chain[0], rotate=True)
