"""Turns to ask other servers: who holds up whom, who waits how long, and who is refused at once."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

import pytest

from provider.security.backoff import TooBusy
from provider.security.turns import FETCH_THREADS, PATIENCE_SECONDS, Requester, Share, Standing, Turns, shares_of
from tests.waiting import HANG_SECONDS, eventually, finishes

LONG = 30.0
BEYOND_A_HANG = 10.0 * HANG_SECONDS
STRANGERS = (Standing.NEW, Standing.KNOWN)


def turns_of(turns: int = 2, waiting: int = 2, patience: float = LONG) -> Turns:
    return Turns({standing: Share(turns, waiting, patience) for standing in Standing})


def can_begin(turns: Turns, standing: Standing, host: str, source: str) -> bool:
    try:
        with turns.take(Requester(standing, source), host, is_patient=False):
            return True
    except TooBusy:
        return False


class Waiter:
    """A thread that wants a turn. ``began`` is set when it has one; it gives it back when ``done`` is."""

    def __init__(self, turns: Turns, standing: Standing, host: str, source: str) -> None:
        self.began, self.done = threading.Event(), threading.Event()
        requester = Requester(standing, source)
        before = turns._waiting[standing]
        threading.Thread(target=self._run, args=(turns, requester, host), daemon=True).start()
        eventually(lambda: turns._waiting[standing] != before or self.began.is_set(), "the thread does not come")

    def _run(self, turns: Turns, requester: Requester, host: str) -> None:
        with contextlib.suppress(TooBusy), turns.take(requester, host):
            self.began.set()
            self.done.wait(LONG)


@contextlib.contextmanager
def waiter(turns: Turns, standing: Standing, host: str, source: str) -> Iterator[Waiter]:
    made = Waiter(turns, standing, host, source)
    try:
        yield made
    finally:
        made.done.set()


@pytest.mark.parametrize("standing", Standing)
@pytest.mark.parametrize("host, source, excludes", [
    ("a.example:443", "192.0.2.1", True), ("a.example:443", "192.0.2.2", True), ("b.example:443", "192.0.2.2", False),
    ("a.example:8443", "192.0.2.2", False), ("b.example:443", "192.0.2.1", None),
])  # fmt: skip
def test_a_host_and_a_source_of_strangers_have_one_turn(
    standing: Standing, host: str, source: str, excludes: bool | None
) -> None:
    """Behind one source of vouched clients there may be many servers: None is for them."""
    turns = turns_of(turns=9)
    with turns.take(Requester(standing, "192.0.2.1"), "a.example:443"):
        is_excluded = standing in STRANGERS if excludes is None else excludes
        assert can_begin(turns, standing, host, source) is not is_excluded
    assert can_begin(turns, standing, host, source)


@pytest.mark.parametrize("full", Standing)
def test_who_takes_all_turns_of_one_standing_takes_none_of_the_others(full: Standing) -> None:
    turns = Turns(shares_of(FETCH_THREADS, LONG))
    share = shares_of(FETCH_THREADS, LONG)[full]
    with contextlib.ExitStack() as held:
        for number in range(share.turns):
            held.enter_context(turns.take(Requester(full, f"s{number}"), f"h{number}"))
        for number in range(share.waiting):
            held.enter_context(waiter(turns, full, f"w{number}", f"v{number}"))
        for standing in Standing:
            assert can_begin(turns, standing, "other", "other") is (standing is not full)
            assert can_begin(turns, standing, "h0", "s0") is (standing is not full), "not even of the same host"
    with turns.take(Requester(full, "other"), "other"):
        pass


def test_two_slow_hosts_leave_turns_for_others() -> None:
    share = shares_of(FETCH_THREADS, PATIENCE_SECONDS)[Standing.NEW]
    assert share.turns >= 4
    assert share.turns + share.waiting >= 2 + 14, "fourteen who come at one moment find a place"


def test_several_who_want_what_is_known_wait_for_one_another() -> None:
    assert shares_of(FETCH_THREADS, PATIENCE_SECONDS)[Standing.KNOWN].waiting >= 4


@pytest.mark.parametrize("threads", [*range(1, 65)])
def test_strangers_cannot_take_all_threads(threads: int) -> None:
    shares = shares_of(threads, PATIENCE_SECONDS)
    taken = sum(shares[standing].turns + shares[standing].waiting for standing in STRANGERS)
    assert all(share.turns >= 1 for share in shares.values())
    if threads >= 4:
        assert taken < threads
    if threads >= FETCH_THREADS:
        assert taken <= threads * 3 / 4


def test_who_waits_begins_when_the_other_one_is_done() -> None:
    turns = turns_of()
    with waiter(turns, Standing.NEW, "a", "s1") as first, waiter(turns, Standing.NEW, "a", "s2") as second:
        assert first.began.is_set()
        assert not second.began.is_set()
        first.done.set()
        assert second.began.wait(LONG)


@pytest.mark.parametrize("host, source", [("a", "s9"), ("z", "s1"), ("z", "s9")])
def test_beyond_the_places_to_wait_everybody_is_refused_at_once(host: str, source: str) -> None:
    turns = turns_of(turns=1, waiting=2, patience=BEYOND_A_HANG)
    with contextlib.ExitStack() as held:
        held.enter_context(waiter(turns, Standing.NEW, "a", "s1"))
        for number in (2, 3):
            held.enter_context(waiter(turns, Standing.NEW, host, f"s{number}"))
        with pytest.raises(TooBusy):
            finishes(lambda: turns.take(Requester(Standing.NEW, source), host).__enter__())


def test_nobody_waits_longer_than_patience_lasts() -> None:
    turns = turns_of(turns=1, patience=0.2)
    with waiter(turns, Standing.NEW, "a", "s1") as slow:
        for host in ("a", "z"):
            with pytest.raises(TooBusy), turns.take(Requester(Standing.NEW, "s2"), host):
                pass
        assert not slow.done.is_set()
    assert turns._waiting[Standing.NEW] == 0


def test_turns_of_others_that_begin_meanwhile_prolong_no_wait() -> None:
    turns = turns_of(turns=1, patience=0.2)
    with waiter(turns, Standing.NEW, "a", "s1"):
        turns._running[0].began += BEYOND_A_HANG
        with pytest.raises(TooBusy):
            finishes(lambda: turns.take(Requester(Standing.NEW, "s2"), "z").__enter__())


@pytest.mark.parametrize("host, source", [("a", "s2"), ("z", "s1"), ("z", "s2")])
def test_nobody_waits_for_one_that_keeps_somebody_waiting_for_long_already(host: str, source: str) -> None:
    """So those who ask for what is slow take no places to wait either, but for a moment."""
    turns = turns_of(turns=1, patience=BEYOND_A_HANG)
    with waiter(turns, Standing.NEW, "a", "s1"):
        turns._running[0].began -= BEYOND_A_HANG
        with pytest.raises(TooBusy):
            finishes(lambda: turns.take(Requester(Standing.NEW, source), host).__enter__())


def test_a_turn_is_given_back_whatever_happens_in_it() -> None:
    turns = turns_of(turns=1)
    with pytest.raises(KeyError), turns.take(Requester(Standing.NEW, "s1"), "a"):
        raise KeyError
    assert can_begin(turns, Standing.NEW, "a", "s1")
    assert turns._running == []
