"""Several callers at one moment: real threads, each with a transaction of its own."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from sqlalchemy import Engine

from database.faults import DATABASE_ERRORS, is_passing_fault
from database.transaction import Transaction
from tests.waiting import HANG_SECONDS

TRIES = 3
Call = Callable[[Transaction], Any]


def at_once(engine: Engine | Sequence[Engine], calls: Sequence[Call], *, tries: int = TRIES) -> list[Any]:
    """What each call returned or raised, in their order. All begin at the same moment; several engines take turns.

    Each ends as a page does: committed also when it refuses, and tried again after a deadlock, up to ``tries`` times.
    """
    barrier = threading.Barrier(len(calls))
    engines = itertools.cycle([engine] if isinstance(engine, Engine) else engine)

    def run(engine: Engine, call: Call) -> Any:
        barrier.wait(timeout=HANG_SECONDS)
        for attempt in range(1, tries + 1):
            tx = Transaction(engine)
            try:
                answer = call(tx)
                tx.commit()
            except DATABASE_ERRORS as fault:
                tx.rollback()
                if attempt == tries or not is_passing_fault(fault):
                    return fault
            except Exception as refusal:
                tx.commit()
                return refusal
            else:
                return answer
        raise AssertionError("the last attempt returns")

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(run, engines, calls))
