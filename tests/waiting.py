"""How tests wait: until something has come about, however slow the machine is.

The only clock of the tests. A limit here ends a hang and says nothing of speed: that is judged in ``bench/``, by ratios
of one run. What seems to need a stop-watch is mostly another property: that an answer came while the other side had not
finished, that nothing was asked of the database, that as much was computed for the one as for the other.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from threading import Thread
from typing import TypeVar

HANG_SECONDS = 120
Result = TypeVar("Result")


def eventually(
    holds: Callable[[], Result | None], otherwise: str | Callable[[], str] = "it does not come about"
) -> Result:
    """What ``holds`` returns as soon as that is true. An ``AssertionError`` in it ends the wait at once."""
    deadline = time.monotonic() + HANG_SECONDS
    while not (result := holds()):
        assert time.monotonic() < deadline, otherwise() if callable(otherwise) else otherwise
        time.sleep(0.01)
    return result


def finishes(call: Callable[[], Result]) -> Result:
    """What ``call`` returns or raises. One that goes on for longer than any machine needs fails with ``TimeoutError``."""
    outcome: Future[Result] = Future()

    def run() -> None:
        try:
            outcome.set_result(call())
        except BaseException as error:
            outcome.set_exception(error)

    Thread(target=run, daemon=True).start()
    return outcome.result(HANG_SECONDS)


@contextlib.contextmanager
def no_hang() -> Iterator[None]:
    """The block is over in time, or an alarm ends it with ``TimeoutError``. For the main thread alone."""

    def give_up(_number: int, _frame: object) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(HANG_SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def far_deadline() -> float:
    """A moment of ``time.monotonic`` for what is told when to give up."""
    return time.monotonic() + HANG_SECONDS


async def stays() -> None:
    """Somebody who asked and does not leave."""
    await asyncio.Event().wait()
