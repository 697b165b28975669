"""The measuring itself: servers take turns, A B A B, so that a busy minute of the machine hits all of them."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from bench.answers import check
from bench.catalogue import Make
from bench.figures import Run, Start, median_run
from bench.load import BrokenRun
from bench.servers.measured import Measured, NotHere
from bench.workloads import Desk, Workload

PAUSE_SECONDS = 0.2


@dataclass(frozen=True)
class Plan:
    """``cores`` serve, ``core`` asks. ``warm_up`` None: as long as each server wants."""

    rounds: int
    seconds: float
    warm_up: float | None
    cores: Sequence[int]
    core: int


@dataclass
class Results:
    """``starts`` has the servers in order. ``absent`` says why a server is not there, ``lacks`` why a cell is empty."""

    runs: list[Run] = field(default_factory=list)
    names: dict[str, str] = field(default_factory=dict)
    stores: dict[str, str] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    starts: dict[str, Start] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)
    lacks: dict[tuple[str, str], str] = field(default_factory=dict)
    broken: dict[tuple[str, str], str] = field(default_factory=dict)
    load: dict[str, float] = field(default_factory=dict)
    failed: bool = False

    def median(self, server: str, workload: str) -> Run | None:
        return median_run(self.runs, server, workload)


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


@contextlib.contextmanager
def running(makers: Mapping[str, Make], folder: Path, plan: Plan, results: Results) -> Iterator[list[Measured]]:
    """All that can be had, furnished and started. Stopped at the end."""
    with contextlib.ExitStack() as stack:
        started = []
        for key, make in makers.items():
            say(f"{key}: getting ready")
            server = make(folder / key, plan.cores)
            stack.callback(server.stop)
            try:
                server.furnish()
                server.start()
            except NotHere as missing:
                results.absent[server.name] = str(missing)
                say(f"{key} is left out. {missing}")
                continue
            except RuntimeError as fault:
                results.absent[server.name] = "It did not start."
                results.failed = True
                say(f"{key} is left out. {fault}")
                continue
            results.names[key], results.stores[key] = server.name, server.stores
            results.versions[key] = server.version
            results.starts[key] = Start(server.cold_start_seconds, server.resident_kib() / 1024, 0.0)
            started.append(server)
        yield started


def measure(
    servers: Sequence[Measured], workloads: Sequence[Workload], plan: Plan, folder: Path, into: Results
) -> None:
    """Warms all of them up, then runs each workload on each of them in every round. A cell that breaks is not run again.

    Ctrl-C ends it with what there is so far.
    """
    with contextlib.suppress(KeyboardInterrupt):
        _take_turns(_cells(servers, workloads, into), plan, folder, into)
    for server in servers:
        into.starts[server.key] = replace(into.starts[server.key], used_mib=server.resident_kib() / 1024)


def _cells(
    servers: Sequence[Measured], workloads: Sequence[Workload], results: Results
) -> list[tuple[Workload, Measured]]:
    cells = []
    for workload in workloads:
        for server in servers:
            if workload.key in server.lacks:
                results.lacks[server.key, workload.key] = server.lacks[workload.key]
            else:
                cells.append((workload, server))
    return cells


def _take_turns(cells: Sequence[tuple[Workload, Measured]], plan: Plan, folder: Path, into: Results) -> None:
    for workload, server in cells:
        seconds = plan.warm_up if plan.warm_up is not None else server.warm_up_seconds
        say(f"warming up  {server.name:28} {workload.name}")
        _tried(server, workload, Desk(folder, plan.core, seconds), Results())  # what breaks here breaks below as well
    began, total = time.monotonic(), plan.rounds * len(cells)
    for number in range(total):
        workload, server = cells[number % len(cells)]
        if (server.key, workload.key) in into.broken:
            continue
        time.sleep(PAUSE_SECONDS)
        run = _tried(server, workload, Desk(folder, plan.core, plan.seconds), into)
        if run is not None:
            into.runs.append(run)
            left = (time.monotonic() - began) / (number + 1) * (total - number - 1)
            figures = f"{run.rate:10,.0f}/s {run.cpu:8,.0f} µs"
            say(f"{number + 1:4}/{total}, {left / 60:3.0f} min left  {server.name:28} {workload.name:50} {figures}")


def _tried(server: Measured, workload: Workload, desk: Desk, results: Results) -> Run | None:
    desk = replace(desk, seconds=max(desk.seconds, server.least_seconds))
    try:
        if workload.paced is not None:
            desk = replace(desk, rate=workload.paced * _top_rate(server, workload, desk, results))
        return _run(server, workload, desk)
    except (BrokenRun, RuntimeError, AssertionError, LookupError, OSError) as fault:  # a page or answer of another kind
        results.broken[server.key, workload.key] = str(fault)
        results.failed = True
        say(f"BROKEN      {server.name:28} {workload.name}: {fault}")
        return None


def _run(server: Measured, workload: Workload, desk: Desk) -> Run:
    ready = workload.prepare(server, desk)
    before = server.cpu_seconds()
    seen = ready()
    computed = server.cpu_seconds() - before
    check(server, seen.answer)
    return Run(server.key, workload.key, seen.answers / seen.seconds, seen.p50, seen.p99, computed * 1e6 / seen.answers)


def _top_rate(server: Measured, workload: Workload, desk: Desk, results: Results) -> float:
    """What the server could so far, of the workload that this one is a share of; measured now where it was not yet."""
    known = results.median(server.key, workload.key.removesuffix("-paced"))
    return known.rate if known is not None else _run(server, replace(workload, paced=None), desk).rate
