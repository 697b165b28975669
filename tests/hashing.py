"""A server that has no thread left for hashing."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

from provider.sign_in.passwords import Passwords

HANG_SECONDS = 60


@contextlib.contextmanager
def every_thread_hashing(passwords: Passwords) -> Iterator[None]:
    """Inside the block all threads of the pool are at work, and nothing else is begun."""
    pool, over = passwords._pool, threading.Event()
    begun = threading.Semaphore(0)

    def work() -> None:
        begun.release()
        over.wait(HANG_SECONDS)

    held = [pool._executor.submit(work) for _ in range(pool._threads)]
    for _ in held:
        assert begun.acquire(timeout=HANG_SECONDS)
    try:
        yield
    finally:
        over.set()
        for one in held:
            one.result(HANG_SECONDS)
