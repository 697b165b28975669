"""Calls of machines whose writes are committed together: one thread takes along whoever has come meanwhile.

Nobody is waited for. While a thread works and commits, others come, and those are the next batch: the busier the server,
the larger its batches. What cannot be done so, or did not come true, is left to a lane. Who has left meanwhile is answered
all the same: to watch for that would cost more than the answer.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from database.faults import DATABASE_ERRORS, is_database_fault
from database.patience import Patience
from database.units import Batch, DoesNotFit, Unit
from provider.doors.line import MACHINE_LINE, PATIENCE_SECONDS, LaneFull, Line
from provider.doors.transactions import may_be_repeated
from provider.protocol.messages import ProtocolResponse
from provider.security import places

log = logging.getLogger("mcp_core.doors")

THREADS = 1  # two make smaller batches of the same calls, and hand the interpreter to and fro
MOST_UNITS = 16
MOST_SECONDS = 0.01  # of gathering: the first of a batch waits for its last

Work = Callable[[Unit], ProtocolResponse]
_Result = ProtocolResponse | SQLAlchemyError | None


@dataclass(eq=False, slots=True)
class _Call:
    """``answer`` belongs to the loop that asked. Its result is None for what a lane has to do."""

    source: str
    work: Work
    answer: asyncio.Future[ProtocolResponse | None]


@dataclass(eq=False, slots=True)
class _Written:
    """A call whose answer waits for the commit of its unit."""

    call: _Call
    unit: Unit
    response: ProtocolResponse


@dataclass(eq=False, slots=True)
class _NoWait:
    """The place of whoever works here: it is not to be lent, since who waits here keeps a whole batch waiting."""

    source: str

    def leave(self) -> None:
        raise DoesNotFit

    def enter(self) -> None:
        raise DoesNotFit


class Gathering:
    """``threads`` of them work at the same time. Sources take turns, and who finds no place in line is refused."""

    def __init__(self, engine: Engine, *, threads: int = THREADS, line: int = MACHINE_LINE) -> None:
        self._engine = engine
        self._threads = threads
        self._crew = ThreadPoolExecutor(threads, "gathering")
        self._lock = threading.Lock()
        self._waiting: Line[_Call] = Line(line)
        self._working = 0

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    async def run(self, source: str, work: Work) -> ProtocolResponse | None:
        """What ``work`` answers, once everything that it has written is committed.

        None when it has to run in a transaction of its own: nothing of it was kept. Raises ``LaneFull``, and a fault of the
        database after which it must not run again.
        """
        loop = asyncio.get_running_loop()
        call = _Call(source, work, loop.create_future())
        with self._lock:
            self._waiting.join(source, call)
            begins = self._working < self._threads
            self._working += begins
        if begins:
            loop.call_soon(self._crew.submit, self._work)  # once all that the loop has just read is in line
        timer = loop.call_later(PATIENCE_SECONDS, self._give_up, call)
        try:
            return await call.answer
        finally:
            timer.cancel()

    def _give_up(self, call: _Call) -> None:
        with self._lock:
            was_waiting = self._waiting.leave(call.source, call)
        if was_waiting and not call.answer.done():
            call.answer.set_exception(LaneFull(is_own_share=False))

    # On a thread

    def _work(self) -> None:
        """One batch after the other, as long as anybody waits."""
        while (call := self._next(may_end=True)) is not None:
            batch = Batch(self._engine)
            try:
                self._gather_and_commit(batch, call)
            finally:
                batch.end()

    def _next(self, *, may_end: bool = False) -> _Call | None:
        with self._lock:
            call = self._waiting.next()
            if call is None and may_end:
                self._working -= 1
            return call

    def _gather_and_commit(self, batch: Batch, first: _Call) -> None:
        loop = first.answer.get_loop()
        answered: list[tuple[_Call, _Result]] = []
        written: list[_Written] = []
        begun = 0
        until = time.monotonic() + MOST_SECONDS
        call: _Call | None = first
        while call is not None or batch.works.are_unfinished:
            if call is None:
                batch.works.go_on()
            else:
                batch.works.begin(partial(_do, call, batch, answered, written))
                begun += 1
            has_room = begun - len(answered) < MOST_UNITS and time.monotonic() < until
            call = self._next() if has_room else None
        _tell(loop, answered)
        if written:
            _tell(loop, _results(batch, written))


def _do(call: _Call, batch: Batch, answered: list[tuple[_Call, _Result]], written: list[_Written]) -> None:
    """Works on a call. Either it is answered, or its answer waits for the commit."""
    unit = batch.unit()
    with places.held(_NoWait(call.source)):
        result = _answer(call, unit, batch)
    if isinstance(result, ProtocolResponse) and unit.has_written:
        written.append(_Written(call, unit, result))
    else:
        unit.was_committed()
        answered.append((call, result))


def _answer(call: _Call, unit: Unit, batch: Batch) -> _Result:
    """What the call answers if its unit is kept. None where it does not fit, or fails: a lane sees it again."""
    result: _Result = None
    try:
        result = call.work(unit)
    except DATABASE_ERRORS as fault:
        batch.end()  # the next one reads by another connection
        result = _after_fault(fault)
    except Exception:
        result = None
    if isinstance(result, ProtocolResponse) and result.status < 500:
        return result
    unit.rollback()
    return result if isinstance(result, SQLAlchemyError) else None


def _results(batch: Batch, written: list[_Written]) -> list[tuple[_Call, _Result]]:
    try:
        outcomes = batch.commit([item.unit for item in written])
    except Exception:
        log.exception("a batch failed, and its calls run alone")
        outcomes = [False] * len(written)
    results: list[tuple[_Call, _Result]] = []
    for item, outcome in zip(written, outcomes, strict=True):
        if isinstance(outcome, SQLAlchemyError):
            results.append((item.call, _after_fault(outcome)))
        else:
            results.append((item.call, item.response if outcome else None))
    return results


def _after_fault(fault: SQLAlchemyError) -> _Result:
    """None where the call may be tried again, alone and with its own time: by the rule for calls that were alone before."""
    if not is_database_fault(fault) or may_be_repeated(fault, 1, Patience()):
        return None
    log.error("the database does not answer: %s", type(fault).__name__)
    return fault


def _tell(loop: asyncio.AbstractEventLoop, results: list[tuple[_Call, _Result]]) -> None:
    if results:
        with contextlib.suppress(RuntimeError):  # the loop has ended, and with it whoever asked
            loop.call_soon_threadsafe(_settle, results)


def _settle(results: list[tuple[_Call, _Result]]) -> None:
    for call, result in results:
        if call.answer.done():  # cancelled: nobody listens
            continue
        if isinstance(result, SQLAlchemyError):
            call.answer.set_exception(result)
        else:
            call.answer.set_result(result)
