"""The threads that hash passwords: few, behind a short line, and last in the queue for the processor.

A hash keeps a processor busy for tens of milliseconds. A crowd of sign-ins must cost others neither their thread nor their
share of the processor, and one source must not keep everybody else from signing in.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import os
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from typing import TypeVar

from provider.security import places

LINE = 16
PATIENCE_SECONDS = 2.0
# A hash that has begun ends by itself; this bounds a machine that has come to a standstill.
LONGEST_SECONDS = 30.0
_MORE_NICENESS = 10
Result = TypeVar("Result")


class HashingBusy(Exception):
    """Too many passwords are being hashed at this moment. Nothing was decided about this one."""


class HashingPool:
    """``threads`` hashes at the same time, and sixteen that wait; of both, one source has no more than half."""

    def __init__(self, threads: int) -> None:
        self._threads = threads
        self._executor = concurrent.futures.ThreadPoolExecutor(threads, "hashing", initializer=_step_back)
        self._lock = threading.Lock()
        self._asked = 0
        self._asked_by: Counter[str] = Counter()

    def run(self, work: Callable[[], Result]) -> Result:
        """What ``work`` returns. The caller's place in its lane is another's meanwhile. Raises ``HashingBusy``."""
        with self._counted(places.source_at_work()), places.lent():
            asked = self._executor.submit(work)
            try:
                return asked.result(PATIENCE_SECONDS)
            except concurrent.futures.TimeoutError:
                if asked.cancel():
                    raise HashingBusy from None
            return asked.result(LONGEST_SECONDS)

    @contextlib.contextmanager
    def _counted(self, source: str) -> Iterator[None]:
        most = self._threads + LINE
        with self._lock:
            if self._asked >= most or (source and self._asked_by[source] >= most // 2):
                raise HashingBusy
            self._asked += 1
            self._asked_by[source] += 1
        try:
            yield
        finally:
            with self._lock:
                self._asked -= 1
                self._asked_by[source] -= 1
                if not self._asked_by[source]:
                    del self._asked_by[source]


def _step_back() -> None:
    """Lets every other thread of the server go first, however nice that is. On Linux alone a thread has a niceness."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            os.nice(_MORE_NICENESS)
