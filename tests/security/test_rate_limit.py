"""Counting in windows: exact for everybody at once, and always over some time."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from functools import partial

import pytest
from sqlalchemy import Engine, func, select

from database.models import RateCounter
from database.transaction import Transaction
from provider.security.crypto import Keyring
from provider.security.rate_limit import Limit, RateLimiter
from tests.together import at_once

TABLE = RateCounter.__table__
THREE = Limit("test", 3, 60)
PHASE = RateLimiter._phase  # before windows stand still for all tests


@pytest.fixture
def limiter(keyring: Keyring) -> RateLimiter:
    return RateLimiter(keyring)


@pytest.fixture
def tx(engine: Engine) -> Iterator[Transaction]:
    transaction = Transaction(engine)
    yield transaction
    transaction.rollback()


def seconds(count: float) -> datetime.timedelta:
    return datetime.timedelta(seconds=count)


def test_the_limit_itself_is_allowed_and_one_more_is_not(
    limiter: RateLimiter, tx: Transaction, now: datetime.datetime
) -> None:
    assert [limiter.hit(tx, THREE, "ana", now) for _ in range(3)] == [None] * 3
    until = limiter.hit(tx, THREE, "ana", now)
    assert until is not None
    assert now < until <= now + seconds(60)
    assert limiter.hit(tx, THREE, "ana", now) == until


def test_the_window_ends_when_it_was_said_to_end(limiter: RateLimiter, tx: Transaction, now: datetime.datetime) -> None:
    for _ in range(50):
        until = limiter.hit(tx, THREE, "ana", now)
    assert until is not None
    assert limiter.hit(tx, THREE, "ana", until - seconds(1)) == until
    assert limiter.blocked_until(tx, THREE, "ana", until - seconds(0.001)) == until
    assert limiter.blocked_until(tx, THREE, "ana", until) is None
    assert limiter.hit(tx, THREE, "ana", until) is None, "however many there were before"


def test_windows_are_as_long_as_the_limit_says_and_do_not_end_together(
    limiter: RateLimiter, tx: Transaction, now: datetime.datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(RateLimiter, "_phase", PHASE)
    ends = set()
    for number in range(20):
        key = f"key {number}"
        for _ in range(4):
            first = limiter.hit(tx, THREE, key, now)
        assert first is not None
        for _ in range(4):
            second = limiter.hit(tx, THREE, key, first)
        assert second == first + seconds(60)
        ends.add(first)
    assert len(ends) > 5


@pytest.mark.parametrize(
    "limit, key",
    [
        (THREE, "bora"),
        (THREE, "ana "),
        (THREE, "Ana"),
        (THREE, ""),
        (Limit("other", 3, 60), "ana"),
        (Limit("test", 3, 61), "ana"),
    ],
)
def test_counters_are_apart_by_name_length_and_key(
    limiter: RateLimiter, tx: Transaction, now: datetime.datetime, limit: Limit, key: str
) -> None:
    for _ in range(5):
        limiter.hit(tx, THREE, "ana", now)
    assert limiter.blocked_until(tx, limit, key, now) is None
    assert limiter.hit(tx, limit, key, now) is None


def test_asking_counts_nothing(limiter: RateLimiter, tx: Transaction, now: datetime.datetime) -> None:
    for _ in range(9):
        assert limiter.blocked_until(tx, THREE, "ana", now) is None
    for count in range(3):
        assert (limiter.blocked_until(tx, THREE, "ana", now) is not None) is (count == 3)
        limiter.hit(tx, THREE, "ana", now)
    assert limiter.blocked_until(tx, THREE, "ana", now) is not None


def test_a_success_clears_one_counter(limiter: RateLimiter, tx: Transaction, now: datetime.datetime) -> None:
    for _ in range(4):
        limiter.hit(tx, THREE, "ana", now)
        limiter.hit(tx, THREE, "bora", now)
    limiter.clear(tx, THREE, "ana", now)
    limiter.clear(tx, THREE, "nobody", now)
    assert limiter.blocked_until(tx, THREE, "ana", now) is None
    assert limiter.blocked_until(tx, THREE, "bora", now) is not None


def test_a_limiter_that_is_off_touches_no_database(keyring: Keyring, tx: Transaction, now: datetime.datetime) -> None:
    limiter = RateLimiter(keyring, enabled=False)
    for _ in range(9):
        assert limiter.hit(tx, THREE, "ana", now) is None
    assert limiter.blocked_until(tx, THREE, "ana", now) is None
    limiter.clear(tx, THREE, "ana", now)
    assert not tx.is_open


def test_counters_name_nobody_and_are_purged(limiter: RateLimiter, engine: Engine, now: datetime.datetime) -> None:
    with Transaction(engine) as tx:
        for number in range(5):
            limiter.hit(tx, THREE, f"ana{number}@example.com", now)
        limiter.hit(tx, THREE, "later", now + seconds(3600))
        assert "ana" not in str(tx.execute(select(TABLE)).all())
        assert limiter.purge(tx, now - seconds(60)) == 0
        assert limiter.purge(tx, now + seconds(60), limit=2) == 2
        assert limiter.purge(tx, now + seconds(60)) == 3
        assert tx.execute(select(func.count()).select_from(TABLE)).scalar_one() == 1


def test_counts_that_were_rolled_back_do_not_count(
    limiter: RateLimiter, engine: Engine, now: datetime.datetime
) -> None:
    for _ in range(5):
        tx = Transaction(engine)
        limiter.hit(tx, THREE, "ana", now)
        tx.rollback()
    with Transaction(engine) as tx:
        assert limiter.blocked_until(tx, THREE, "ana", now) is None


@pytest.mark.parametrize("callers", [2, 12])
def test_many_who_begin_a_window_at_once_are_all_counted(
    limiter: RateLimiter, engine: Engine, now: datetime.datetime, callers: int
) -> None:
    limit = Limit("parallel", callers - 1, 60)
    for number in range(8):
        answers = at_once(engine, [partial(limiter.hit, limit=limit, key=f"key {number}", now=now)] * callers, tries=1)
        assert [answer for answer in answers if isinstance(answer, Exception)] == [], "nobody is in another's way"
        assert [answer is None for answer in answers].count(True) == callers - 1
    with engine.connect() as connection:
        assert set(connection.execute(select(TABLE.c.count)).scalars()) == {callers}


def test_many_who_count_two_keys_in_their_own_order_are_all_counted(
    limiter: RateLimiter, engine: Engine, now: datetime.datetime
) -> None:
    def both(tx: Transaction, first: str, second: str) -> None:
        limiter.hit(tx, THREE, first, now)
        limiter.hit(tx, THREE, second, now)

    pairs = [("source", "ana"), ("ana", "source")] * 3
    answers = at_once(engine, [partial(both, first=first, second=second) for first, second in pairs], tries=10)
    assert answers == [None] * 6
    with engine.connect() as connection:
        assert connection.execute(select(TABLE.c.count)).scalars().all() == [6, 6]


def test_an_attempt_that_is_taken_back_counts_no_more(
    tx: Transaction, keyring: Keyring, now: datetime.datetime
) -> None:
    limiter, limit = RateLimiter(keyring), Limit("attempts", 2, 60)
    for _ in range(5):
        assert limiter.hit(tx, limit, "192.0.2.1", now) is None
        limiter.take_back(tx, limit, "192.0.2.1", now)
    limiter.take_back(tx, limit, "192.0.2.1", now)
    assert limiter.hit(tx, limit, "192.0.2.1", now) is None
    assert limiter.hit(tx, limit, "192.0.2.1", now) is None
    assert limiter.hit(tx, limit, "192.0.2.1", now) is not None


NEIGHBOURS = [(("household 1", 1), ("street", 2), ("town", 3)), (("household 2", 1), ("street", 2), ("town", 3))]
ELSEWHERE = (("household 9", 1), ("other street", 2), ("town", 3))


def counters(tx: Transaction) -> int:
    return int(tx.execute(select(func.count()).select_from(TABLE)).scalar_one())


def test_a_household_that_is_over_its_limit_uses_nothing_of_its_neighbours_up(
    limiter: RateLimiter, tx: Transaction, now: datetime.datetime
) -> None:
    first, second = NEIGHBOURS
    answers = [limiter.hit_source(tx, THREE, first, now) for _ in range(20)]
    assert answers[:3] == [None] * 3
    assert None not in answers[3:]
    assert [limiter.hit_source(tx, THREE, second, now) for _ in range(3)] == [None] * 3


def test_all_households_of_a_network_have_so_many_times_the_limit_together(
    limiter: RateLimiter, tx: Transaction, now: datetime.datetime
) -> None:
    streets = [((f"household {number}", 1), ("street", 2), ("town", 3)) for number in range(10)]
    passed = [limiter.hit_source(tx, THREE, street, now) is None for street in streets for _ in range(2)]
    assert sum(passed) == 2 * THREE.times
    assert limiter.hit_source(tx, THREE, ELSEWHERE, now) is None
    until = limiter.hit_source(tx, THREE, streets[0], now)
    assert until is not None
    assert limiter.hit_source(tx, THREE, streets[0], until + seconds(60)) is None


def test_a_network_that_is_full_gets_no_more_counters(
    limiter: RateLimiter, tx: Transaction, now: datetime.datetime
) -> None:
    def come(number: int) -> datetime.datetime | None:
        return limiter.hit_source(tx, THREE, ((f"household {number}", 1), ("street", 2), ("town", 3)), now)

    full = [come(number) for number in range(6)]
    assert full == [None] * 6
    before = counters(tx)
    assert all(come(number) is not None for number in range(6, 100))
    assert counters(tx) <= before


def test_what_an_attempt_is_about_is_counted_apart(
    limiter: RateLimiter, tx: Transaction, now: datetime.datetime
) -> None:
    for about in ("", "app.example", "other.example"):
        answers = [limiter.hit_source(tx, THREE, ELSEWHERE, now, about=about) is None for _ in range(4)]
        assert answers == [True, True, True, False]


@pytest.mark.parametrize(
    "weights, allowed",
    [([1, 1, 1, 1], [1, 1, 1, 0]), ([3, 1], [1, 0]), ([2, 1, 1], [1, 1, 0]), ([2, 2, 1], [1, 0, 0]), ([4], [0])],
)
def test_an_attempt_may_weigh_more_than_one(
    limiter: RateLimiter, tx: Transaction, now: datetime.datetime, weights: list[int], allowed: list[int]
) -> None:
    assert [limiter.hit(tx, THREE, "ana", now, weight=weight) is None for weight in weights] == list(map(bool, allowed))
