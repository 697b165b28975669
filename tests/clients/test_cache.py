"""The short cache in front of clients and resources: bounded, short-lived, never ahead of a commit, never behind one."""

from __future__ import annotations

import threading

import pytest
from sqlalchemy import Engine

from database.transaction import Transaction
from provider.clients.cache import ShortCache


class Clock:
    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def tx(sqlite_engine: Engine) -> Transaction:
    return Transaction(sqlite_engine)


@pytest.fixture
def other_tx(sqlite_engine: Engine) -> Transaction:
    return Transaction(sqlite_engine)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def cache(clock: Clock) -> ShortCache[str]:
    return ShortCache(5, 3, clock)


def test_a_value_is_kept_for_its_seconds_and_no_longer(cache: ShortCache[str], clock: Clock, tx: Transaction) -> None:
    assert cache.fill(tx, "a", lambda: "1") == "1"
    clock.seconds += 4.999
    assert cache.get(tx, "a") == "1"
    clock.seconds += 0.001
    assert cache.get(tx, "a") is None


def test_reading_does_not_extend_a_values_life(cache: ShortCache[str], clock: Clock, tx: Transaction) -> None:
    cache.fill(tx, "a", lambda: "1")
    for _ in range(5):
        clock.seconds += 1
        cache.get(tx, "a")
    assert cache.get(tx, "a") is None


def test_a_values_life_begins_before_it_is_read(cache: ShortCache[str], clock: Clock, tx: Transaction) -> None:
    def slow() -> str:
        clock.seconds += 5
        return "old"

    assert cache.fill(tx, "a", slow) == "old"
    assert cache.get(tx, "a") is None


def test_it_is_bounded(cache: ShortCache[str], tx: Transaction) -> None:
    for name in "abcd":
        cache.fill(tx, name, lambda: "1")
    assert len(cache) == 3
    assert cache.get(tx, "a") is None
    assert cache.get(tx, "d") == "1"


def test_what_does_not_exist_is_not_remembered(cache: ShortCache[str], tx: Transaction) -> None:
    cache.fill(tx, "a", lambda: "1")
    assert cache.fill(tx, "a", lambda: None) is None
    assert cache.get(tx, "a") is None
    assert len(cache) == 0


def test_others_see_a_change_once_it_is_committed(
    cache: ShortCache[str], tx: Transaction, other_tx: Transaction
) -> None:
    cache.fill(tx, "a", lambda: "old")
    cache.changed(tx, "a")
    assert cache.get(other_tx, "a") == "old"
    tx.commit()
    assert cache.get(other_tx, "a") is None


def test_who_changes_something_reads_past_the_cache(
    cache: ShortCache[str], tx: Transaction, other_tx: Transaction
) -> None:
    cache.fill(tx, "a", lambda: "old")
    cache.changed(tx, "a")
    assert cache.get(tx, "a") is None
    assert cache.fill(tx, "a", lambda: "uncommitted") == "uncommitted"
    assert cache.get(other_tx, "a") == "old"


def test_a_change_that_was_rolled_back_leaves_nothing_behind(
    cache: ShortCache[str], tx: Transaction, other_tx: Transaction
) -> None:
    cache.changed(tx, "a")
    cache.fill(tx, "a", lambda: "uncommitted")
    tx.rollback()
    assert cache.get(other_tx, "a") is None


def test_what_was_read_before_a_change_does_not_come_in_after_it(
    cache: ShortCache[str], tx: Transaction, other_tx: Transaction
) -> None:
    def overtaken() -> str:
        cache.changed(other_tx, "a")
        other_tx.commit()
        return "old"

    assert cache.fill(tx, "a", overtaken) == "old"
    assert cache.get(tx, "a") is None


def test_threads_may_use_it_together(cache: ShortCache[str], sqlite_engine: Engine) -> None:
    failures: list[BaseException] = []

    def work(number: int) -> None:
        transaction = Transaction(sqlite_engine)
        try:
            for turn in range(500):
                name = "abcdefgh"[(turn + number) % 8]
                assert cache.fill(transaction, name, lambda name=name: name) == name  # type: ignore[misc]
                assert cache.get(transaction, name) in (None, name)
                if turn % 50 == 0:
                    cache.forget(name)
        except BaseException as failure:
            failures.append(failure)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert len(cache) <= 3
