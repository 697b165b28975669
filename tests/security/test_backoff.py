"""Pauses after failures: how they grow, what ends them, and that strangers fill no memory with them."""

from __future__ import annotations

import pytest

from provider.security.backoff import LONGEST_SECONDS, REMEMBERED, Backoff, TooBusy


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def pauses(clock: Clock) -> Backoff:
    return Backoff(clock=clock)


def is_pausing(pauses: Backoff, name: str) -> bool:
    try:
        pauses.check(name)
    except TooBusy:
        return True
    return False


def test_each_failure_in_a_row_pauses_twice_as_long_up_to_a_minute(pauses: Backoff, clock: Clock) -> None:
    for seconds in (1, 2, 4, 8, 16, 32, 60, 60, LONGEST_SECONDS):
        pauses.begin("a")
        pauses.failed("a")
        clock.now += seconds - 0.01
        with pytest.raises(TooBusy):
            pauses.begin("a")
        clock.now += 0.01
    assert not is_pausing(pauses, "a")


def test_a_failure_is_counted_before_anything_is_tried(pauses: Backoff, clock: Clock) -> None:
    for seconds in (1, 2, 4):
        pauses.begin("a")  # and whoever began never comes back
        clock.now += seconds - 0.01
        assert is_pausing(pauses, "a")
        clock.now += 0.01


def test_a_pause_begins_when_the_failure_is_known(pauses: Backoff, clock: Clock) -> None:
    pauses.begin("a")
    clock.now += 5
    pauses.failed("a")
    clock.now += 0.99
    assert is_pausing(pauses, "a")
    clock.now += 0.01
    assert not is_pausing(pauses, "a")


def test_a_success_takes_back_what_was_counted(pauses: Backoff, clock: Clock) -> None:
    for _ in range(3):
        for _ in range(3):
            pauses.begin("a", "b")
            pauses.failed("a", "b")
            clock.now += 60
        pauses.begin("a", "b")
        pauses.succeeded("a")
        assert not is_pausing(pauses, "a")
        assert is_pausing(pauses, "b")
        clock.now += 60
        pauses.begin("a")
        clock.now += 1
        assert not is_pausing(pauses, "a"), "it counts from one again"


def test_while_one_name_pauses_nothing_is_counted_for_the_other(pauses: Backoff, clock: Clock) -> None:
    pauses.begin("a")
    with pytest.raises(TooBusy):
        pauses.begin("a", "b")
    assert not is_pausing(pauses, "b")


def test_what_failed_longest_ago_is_forgotten_first(pauses: Backoff) -> None:
    for number in range(REMEMBERED):
        pauses.begin(str(number))
    pauses.failed("0")
    pauses.begin("one more")
    assert [is_pausing(pauses, name) for name in ("0", "1", "2", "one more")] == [True, False, True, True]
    assert len(pauses._pauses) == REMEMBERED
