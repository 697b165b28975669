"""A steady load and what becomes of it: tokens and pages in a closed loop, keys and health looked at all the time."""

from __future__ import annotations

import http.client
import threading
import time
from dataclasses import dataclass, field
from typing import Any

LOOPS = {"token": 2, "page": 2}
PROBE_SECONDS = 0.02
ANSWER_SECONDS = 40.0


@dataclass(frozen=True)
class Seen:
    """One answer: when it was asked for (``time.monotonic``), how long it took, its status (0 for none)."""

    kind: str
    at: float
    seconds: float
    status: int


@dataclass(frozen=True)
class Call:
    method: str
    path: str
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


class Steady:
    """Calls ``token`` and ``page`` without a pause on two connections each, ``keys`` and ``health`` fifty times a second."""

    def __init__(self, port: int, calls: dict[str, Call]) -> None:
        self._port = port
        self._calls = calls
        self._seen: list[Seen] = []
        self._stopping = threading.Event()
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Steady:
        for kind, call in self._calls.items():
            for _ in range(LOOPS.get(kind, 1)):
                pause = 0.0 if kind in LOOPS else PROBE_SECONDS
                self._threads.append(threading.Thread(target=self._run, args=(kind, call, pause), daemon=True))
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join(ANSWER_SECONDS)

    def between(self, begin: float, end: float) -> list[Seen]:
        """What was asked for in that time, answered or not by now."""
        return [seen for seen in list(self._seen) if begin <= seen.at < end]

    def _run(self, kind: str, call: Call, pause: float) -> None:
        connection: Any = None
        while not self._stopping.is_set():
            began = time.monotonic()
            try:
                if connection is None:
                    connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=ANSWER_SECONDS)
                connection.request(call.method, call.path, call.body or None, call.headers)
                answer = connection.getresponse()
                answer.read()
                status = answer.status
            except (OSError, http.client.HTTPException):
                connection, status = None, 0
            self._seen.append(Seen(kind, began, time.monotonic() - began, status))
            if pause or not status:
                self._stopping.wait(pause or 0.01)


@dataclass(frozen=True)
class Figures:
    """Rates in answers a second, latencies in milliseconds. ``refused``: statuses that are no success, by kind."""

    rates: dict[str, float]
    p95: dict[str, float]
    p99: dict[str, float]
    refused: dict[str, int]


def figures(seen: list[Seen], seconds: float) -> Figures:
    kinds = sorted({item.kind for item in seen})
    took = {kind: sorted(item.seconds * 1000 for item in seen if item.kind == kind) for kind in kinds}
    good = {kind: sum(1 for item in seen if item.kind == kind and item.status == 200) for kind in kinds}
    return Figures(
        rates={kind: good[kind] / seconds for kind in kinds},
        p95={kind: _quantile(took[kind], 0.95) for kind in kinds},
        p99={kind: _quantile(took[kind], 0.99) for kind in kinds},
        refused={kind: len(took[kind]) - good[kind] for kind in kinds if len(took[kind]) > good[kind]},
    )


def _quantile(ordered: list[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else float("nan")


def back_to_normal(seen: list[Seen], end: float, usual: float, until: float) -> float | None:
    """Seconds from ``end`` to the first half second with nine tenths of the ``usual`` tokens. None: not by ``until``."""
    step = 0.5
    moment = end
    while moment + step <= until:
        count = sum(
            1 for item in seen if item.kind == "token" and item.status == 200 and moment <= item.at < moment + step
        )
        if count / step >= 0.9 * usual:
            return moment - end
        moment += step / 5
    return None
