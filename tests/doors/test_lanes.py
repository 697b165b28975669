"""Lanes: a bound on what works at once and on what waits, shares for each source, and places that are lent."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest

from provider.doors import lanes
from provider.doors.lanes import ClientLeft, Lane
from provider.doors.line import LaneFull
from provider.security import places
from tests.waiting import stays

HANG_SECONDS = 30


@pytest.fixture
def crew() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(16) as made:
        yield made


class Gate:
    """Work that lasts until it is let go. ``order`` is who has begun."""

    def __init__(self) -> None:
        self.order: list[str] = []
        self._open = threading.Event()
        self._begun = threading.Semaphore(0)

    def work(self, name: str) -> Callable[[], str]:
        def wait() -> str:
            self.order.append(name)
            self._begun.release()
            assert self._open.wait(HANG_SECONDS)
            return name

        return wait

    async def until_begun(self, count: int) -> None:
        for _ in range(count):
            await asyncio.to_thread(self._begun.acquire, timeout=HANG_SECONDS)

    def open(self) -> None:
        self._open.set()


async def _leaves() -> None:
    return


async def _settled() -> None:
    """Everything that is ready has had its turn on the loop."""
    for _ in range(10):
        await asyncio.sleep(0)


def _ask(lane: Lane, source: str, work: Callable[[], Any], leaves: Any = stays) -> asyncio.Task[Any]:
    return asyncio.ensure_future(lane.run(source, work, leaves))


def test_what_work_returns_and_raises_reaches_whoever_asked(crew: ThreadPoolExecutor) -> None:
    lane = Lane(crew, places=2, line=2)

    async def story() -> None:
        assert await lane.run("a", lambda: 41 + 1, stays) == 42
        with pytest.raises(ZeroDivisionError):
            await lane.run("a", lambda: 1 // 0, stays)
        assert await lane.run("a", threading.get_ident, stays) != threading.get_ident()

    asyncio.run(story())


def test_no_more_work_at_once_than_there_are_places_and_nobody_waits_beyond_the_line(crew: ThreadPoolExecutor) -> None:
    lane, gate = Lane(crew, places=2, line=3), Gate()

    async def story() -> None:
        asked = [_ask(lane, f"source {number}", gate.work(str(number))) for number in range(5)]
        await gate.until_begun(2)
        with pytest.raises(LaneFull) as full:
            await lane.run("source 9", gate.work("too many"), stays)
        assert not full.value.is_own_share
        assert gate.order == ["0", "1"]
        gate.open()
        assert await asyncio.gather(*asked) == ["0", "1", "2", "3", "4"]

    asyncio.run(story())


@pytest.mark.parametrize("places_, share", [(1, 1), (2, 1), (4, 3), (8, 6)])
def test_one_source_never_has_all_places(crew: ThreadPoolExecutor, places_: int, share: int) -> None:
    lane, gate = Lane(crew, places=places_, line=64), Gate()

    async def story() -> None:
        asked = [_ask(lane, "greedy", gate.work("greedy")) for _ in range(places_ + 4)]
        await gate.until_begun(share)
        if share < places_:
            asked.append(_ask(lane, "modest", gate.work("modest")))
            await gate.until_begun(1)
            assert gate.order == ["greedy"] * share + ["modest"]
        gate.open()
        await asyncio.gather(*asked)

    asyncio.run(story())


def test_one_source_fills_half_of_the_line_and_is_told_that_it_is_its_own_doing(crew: ThreadPoolExecutor) -> None:
    lane, gate = Lane(crew, places=1, line=4), Gate()

    async def story() -> None:
        asked = [_ask(lane, "greedy", gate.work("greedy")) for _ in range(3)]
        await gate.until_begun(1)
        with pytest.raises(LaneFull) as full:
            await lane.run("greedy", gate.work("greedy"), stays)
        assert full.value.is_own_share
        asked.append(_ask(lane, "modest", gate.work("modest")))
        await _settled()
        gate.open()
        await asyncio.gather(*asked)

    asyncio.run(story())


def test_sources_take_turns(crew: ThreadPoolExecutor) -> None:
    lane, gate = Lane(crew, places=1, line=64), Gate()

    async def story() -> None:
        asked = [_ask(lane, "first", gate.work("first"))]
        await gate.until_begun(1)
        for source in ("greedy", "greedy", "greedy", "modest", "other", "modest"):
            asked.append(_ask(lane, source, gate.work(source)))
            await _settled()
        gate.open()
        await asyncio.gather(*asked)
        assert gate.order == ["first", "greedy", "modest", "other", "greedy", "modest", "greedy"]

    asyncio.run(story())


def test_who_leaves_the_line_is_not_served_and_makes_room(crew: ThreadPoolExecutor) -> None:
    lane, gate = Lane(crew, places=1, line=1), Gate()

    async def story() -> None:
        first = _ask(lane, "a", gate.work("first"))
        await gate.until_begun(1)
        with pytest.raises(ClientLeft):
            await lane.run("b", gate.work("gone"), _leaves)
        later = _ask(lane, "b", gate.work("later"))
        await _settled()
        gate.open()
        await asyncio.gather(first, later)
        assert gate.order == ["first", "later"]

    asyncio.run(story())


def test_nobody_waits_in_line_for_ever(crew: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lanes, "PATIENCE_SECONDS", 0.05)
    lane, gate = Lane(crew, places=1, line=1), Gate()

    async def story() -> None:
        first = _ask(lane, "a", gate.work("first"))
        await gate.until_begun(1)
        with pytest.raises(LaneFull):
            await lane.run("b", gate.work("too late"), stays)
        gate.open()
        await first
        assert gate.order == ["first"]

    asyncio.run(story())


def test_a_place_that_is_lent_lets_the_next_one_in_and_its_holder_comes_back_without_waiting(
    crew: ThreadPoolExecutor,
) -> None:
    lane, gate, outside = Lane(crew, places=1, line=8), Gate(), threading.Event()
    sources: list[str] = []

    def waits_elsewhere() -> str:
        sources.append(places.source_at_work())
        with places.lent(), places.lent():
            sources.append(places.source_at_work())
            assert outside.wait(HANG_SECONDS)
        sources.append(places.source_at_work())
        return "back"

    async def story() -> None:
        slow = _ask(lane, "slow", waits_elsewhere)
        other = _ask(lane, "other", gate.work("other"))
        await gate.until_begun(1)  # the only place is the slow one's, and it has lent it
        third = _ask(lane, "third", gate.work("third"))
        outside.set()
        assert await slow == "back"  # although the place is taken
        assert gate.order == ["other"]
        gate.open()
        assert list(await asyncio.gather(other, third)) == ["other", "third"]
        await asyncio.gather(*(lane.run("again", lambda: None, stays) for _ in range(4)))  # the counts are right

    asyncio.run(story())
    assert sources == ["slow", "", "slow"]


def test_without_a_lane_there_is_nothing_to_lend() -> None:
    with places.lent():
        assert places.source_at_work() == ""


def test_many_calls_from_many_sources_are_all_answered(crew: ThreadPoolExecutor) -> None:
    lane, at_once, most = Lane(crew, places=3, line=400), 0, 0
    lock = threading.Lock()

    def work(number: int) -> int:
        nonlocal at_once, most
        with lock:
            at_once += 1
            most = max(most, at_once)
        if number % 7 == 0:
            with lock:
                at_once -= 1
            with places.lent():
                pass
            with lock:
                at_once += 1
        with lock:
            at_once -= 1
        return number

    async def story() -> list[int]:
        return await asyncio.gather(
            *(lane.run(f"source {number % 5}", partial(work, number), stays) for number in range(300))
        )

    assert asyncio.run(story()) == list(range(300))
