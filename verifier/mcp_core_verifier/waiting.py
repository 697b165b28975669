"""The same steps for threads and for event loops.

What may have to wait is a generator that yields the future it waits for and looks at the outcome itself afterwards. Rules
are written once; the two drivers differ in nothing but how they wait.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
from collections.abc import Generator
from typing import Any, TypeVar

_Result = TypeVar("_Result")
Steps = Generator["concurrent.futures.Future[Any]", None, _Result]


def run(steps: Steps[_Result]) -> _Result:
    """Blocks this thread while it waits."""
    try:
        while True:
            concurrent.futures.wait([next(steps)])
    except StopIteration as end:
        result: _Result = end.value
        return result


async def run_async(steps: Steps[_Result]) -> _Result:
    """Lets the event loop go on while it waits. A caller that is cancelled leaves what others wait for alone."""
    try:
        while True:
            await asyncio.wait([asyncio.wrap_future(next(steps))])
    except StopIteration as end:
        result: _Result = end.value
        return result
