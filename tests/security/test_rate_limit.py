"""Counting in windows: exact for everybody at once, and always over some time."""

from __future__ import annotations

import datetime
from collections.abc import Iterator

import pytest
from sqlalchemy import Engine, func, select

from database.models import RateCounter
from database.transaction import Transaction
from provider.security.crypto import Keyring
from provider.security.rate_limit import Limit, RateLimiter
from tests.together import at_once

TABLE = RateCounter.__table__
THREE = Limit("test", 3, 60)


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
    limiter: RateLimiter, tx: Transaction, now: datetime.datetime
) -> None:
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
        answers = at_once(engine, [lambda tx, key=f"key {number}": limiter.hit(tx, limit, key, now)] * callers, tries=1)
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
    answers = at_once(engine, [lambda tx, pair=pair: both(tx, *pair) for pair in pairs], tries=10)
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
