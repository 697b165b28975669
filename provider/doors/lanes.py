"""Lanes: how many calls of one kind work at the same time, how many wait in line, and whose turn is next.

What is slow for one kind of call (a locked row, a crowd of sign-ins) fills its own lane and no other. Within a lane no
source has more than its share, and sources take turns: who asks much waits behind itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import Counter, OrderedDict, deque
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, TypeVar

from provider.security import places

DEFAULT_THREADS = 4
PATIENCE_SECONDS = 2.0
MACHINE_LINE = 256
PAGE_LINE = 64
# Calls that have lent their place still need a thread: hashing and outbound requests bound how many there can be.
LENT_PLACES = 80
Result = TypeVar("Result")


class LaneFull(Exception):
    """Nobody can wait here at this moment. ``is_own_share``: because of what the same source has waiting already."""

    def __init__(self, *, is_own_share: bool) -> None:
        super().__init__(is_own_share)
        self.is_own_share = is_own_share


class ClientLeft(Exception):
    """Whoever asked does not wait for the answer any more. The call was not begun."""


class Lane:
    """``places`` calls work at the same time on threads of ``crew``; ``line`` more wait, for two seconds at most.

    A source may hold three quarters of the places, and half of the line.
    """

    def __init__(self, crew: ThreadPoolExecutor, *, places: int, line: int) -> None:
        self._crew = crew
        self._places, self._line = places, line
        self._share = max(1, places * 3 // 4)
        self._lock = threading.Lock()
        self._working = 0
        self._working_for: Counter[str] = Counter()
        self._waiting: OrderedDict[str, deque[_Call[object]]] = OrderedDict()
        self._in_line = 0

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
                self._join(call)
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

    def _join(self, call: _Call[Result]) -> None:
        own = self._waiting.get(call.source)
        if self._in_line >= self._line:
            raise LaneFull(is_own_share=False)
        if own is not None and len(own) >= max(1, self._line // 2):
            raise LaneFull(is_own_share=True)
        self._waiting.setdefault(call.source, deque()).append(call)  # type: ignore[arg-type]
        self._in_line += 1

    def _leave_line(self, call: _Call[Result]) -> bool:
        """Whether it was still waiting."""
        with self._lock:
            own = self._waiting.get(call.source)
            if own is None or call not in own:
                return False
            own.remove(call)  # type: ignore[arg-type]
            self._in_line -= 1
            if not own:
                del self._waiting[call.source]
            return True

    def _next(self) -> _Call[object] | None:
        """The first call of the source that has waited longest for a turn and may have one more place."""
        if self._working >= self._places:
            return None
        for source, own in self._waiting.items():
            if self._working_for[source] < self._share:
                call = own.popleft()
                self._in_line -= 1
                del self._waiting[source]
                if own:
                    self._waiting[source] = own  # behind the others
                self._begin(source)
                return call
        return None

    def give_place(self, source: str) -> _Call[object] | None:
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

    def begin_on_another_thread(self, call: _Call[object]) -> None:
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
        call: _Call[object] | None = self  # type: ignore[assignment]
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
