"""Lanes: how many calls of one kind work at the same time, how many wait in line, and whose turn is next.

What is slow for one kind of call (a locked row, a crowd of sign-ins) fills its own lane and no other. Within a lane no
source has more than its share, and sources take turns: who asks much waits behind itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import Counter
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Generic, TypeVar

from provider.doors.line import MACHINE_LINE, PAGE_LINE, PATIENCE_SECONDS, LaneFull, Line
from provider.security import places

DEFAULT_THREADS = 4
# Calls that have lent their place still need a thread: hashing and outbound requests bound how many there can be.
LENT_PLACES = 80
Result = TypeVar("Result")


class ClientLeft(Exception):
    """Whoever asked does not wait for the answer any more. The call was not begun."""


class Lane:
    """``places`` calls work at the same time on threads of ``crew``; ``line`` more wait, for two seconds at most.

    A source may hold three quarters of the places, and half of the line.
    """

    def __init__(self, crew: ThreadPoolExecutor, *, places: int, line: int) -> None:
        self._crew = crew
        self._places = places
        self._share = max(1, places * 3 // 4)
        self._lock = threading.Lock()
        self._working = 0
        self._working_for: Counter[str] = Counter()
        self._waiting: Line[_Call[Any]] = Line(line)

    async def run(
        self, source: str, work: Callable[[], Result], client_leaves: Callable[[], Awaitable[None]]
    ) -> Result:
        """What ``work`` returns, on a thread. ``client_leaves`` is awaited while the call is in line.

        Raises ``LaneFull``, ``ClientLeft`` and what ``work`` raises.
        """
        call = _Call(self, source, work)
        with self._lock:
            begins = self._may_begin(source)
            if begins:
                self._begin(source)
            else:
                self._waiting.join(source, call)
        if begins:
            self._crew.submit(call.perform)
        else:
            await self._in_turn(call, client_leaves)
        return await call.answer

    async def _in_turn(self, call: _Call[Result], client_leaves: Callable[[], Awaitable[None]]) -> None:
        """Returns once the call is on a thread."""
        leaving = asyncio.ensure_future(client_leaves())
        try:
            first: set[asyncio.Future[None]] = {call.begun, leaving}
            await asyncio.wait(first, timeout=PATIENCE_SECONDS, return_when=asyncio.FIRST_COMPLETED)
            if self._leave_line(call):
                if leaving.done():
                    raise ClientLeft
                raise LaneFull(is_own_share=False)
        finally:
            leaving.cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await leaving

    # All below is called with the lock held, or takes it.

    def _may_begin(self, source: str) -> bool:
        return self._working < self._places and self._working_for[source] < self._share

    def _begin(self, source: str) -> None:
        self._working += 1
        self._working_for[source] += 1

    def _leave_line(self, call: _Call[Result]) -> bool:
        """Whether it was still waiting."""
        with self._lock:
            return self._waiting.leave(call.source, call)

    def _next(self) -> _Call[Any] | None:
        """Who comes next, and may have one more place."""
        if self._working >= self._places:
            return None
        call = self._waiting.next(lambda source: self._working_for[source] < self._share)
        if call is not None:
            self._begin(call.source)
        return call

    def give_place(self, source: str) -> _Call[Any] | None:
        """Ends one's own and returns who comes next, on whose behalf it is taken."""
        with self._lock:
            self._working -= 1
            self._working_for[source] -= 1
            if not self._working_for[source]:
                del self._working_for[source]
            return self._next()

    def take_back(self, source: str) -> None:
        with self._lock:
            self._begin(source)

    def begin_on_another_thread(self, call: _Call[Any]) -> None:
        self._crew.submit(call.perform)


def machine_and_page_lanes(threads: int) -> tuple[Lane, Lane]:
    """``threads`` calls of machines at once, and twice as many of people: a page asks the database more often, and waits."""
    crew = ThreadPoolExecutor(3 * threads + LENT_PLACES, "lane")
    return Lane(crew, places=threads, line=MACHINE_LINE), Lane(crew, places=2 * threads, line=PAGE_LINE)


class _Call(Generic[Result]):
    """One piece of work and its place. ``answer`` and ``begun`` belong to the loop that asked."""

    def __init__(self, lane: Lane, source: str, work: Callable[[], Result]) -> None:
        self._lane = lane
        self.source = source
        self._work = work
        self._loop = asyncio.get_running_loop()
        self.answer: asyncio.Future[Result] = self._loop.create_future()
        self.begun: asyncio.Future[None] = self._loop.create_future()

    def perform(self) -> None:
        """Does the work, and then that of whoever comes next: all on this thread."""
        call: _Call[Any] | None = self
        while call is not None:
            call.do()
            call = self._lane.give_place(call.source)
            if call is not None:
                call.tell(_settle, call.begun, None)

    def do(self) -> None:
        try:
            with places.held(self):
                result = self._work()
        except BaseException as error:
            self.tell(_settle, self.answer, error)
        else:
            self.tell(_settle, self.answer, None, result)

    def tell(self, action: Callable[..., object], *values: object) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended, and with it whoever asked
            self._loop.call_soon_threadsafe(action, *values)

    def leave(self) -> None:
        following = self._lane.give_place(self.source)
        if following is not None:
            following.tell(_settle, following.begun, None)
            self._lane.begin_on_another_thread(following)

    def enter(self) -> None:
        self._lane.take_back(self.source)


def _settle(answer: asyncio.Future[object], error: BaseException | None, result: object = None) -> None:
    if answer.done():  # cancelled: nobody listens
        return
    if error is not None:
        answer.set_exception(error)
    else:
        answer.set_result(result)
