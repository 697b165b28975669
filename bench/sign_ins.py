"""Whole sign-ins: from the application's request by the pages for name, password and consent to its tokens."""

from __future__ import annotations

import itertools
import threading
import time

from bench.figures import quantile
from bench.load import BrokenRun, Seen
from bench.servers.measured import Measured
from bench.visits import Visitor

AT_ONCE = 4


def sign_ins(server: Measured, seconds: float) -> Seen:
    """Four people at once, each with a new browser and another name each time. Raises ``BrokenRun``."""
    names, until = itertools.cycle(server.people()), time.monotonic() + seconds
    took: list[float] = []
    faults: list[str] = []

    def visit() -> None:
        while time.monotonic() < until and not faults:
            began = time.monotonic()
            try:
                tokens = Visitor(server, next(names)).tokens("openid", server.app_resource)
            except Exception as fault:
                faults.append(repr(fault))
                return
            took.append(time.monotonic() - began)
            if not tokens.get("id_token" if server.id_algorithm else "access_token"):
                faults.append(f"no ID token in {sorted(tokens)}")

    threads = [threading.Thread(target=visit) for _ in range(AT_ONCE)]
    began = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if faults or not took:
        raise BrokenRun(faults[0] if faults else "nobody got in")
    return Seen(len(took), time.monotonic() - began, quantile(took, 0.5) * 1e3, quantile(took, 0.99) * 1e3, "", "")
