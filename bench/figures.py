"""Numbers of runs, and what is said of several: medians, quantiles, ratios."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Run:
    """One run of one workload on one server. Latencies in milliseconds; ``cpu`` in microseconds for each answer."""

    server: str
    workload: str
    rate: float
    p50: float
    p99: float
    cpu: float


@dataclass(frozen=True)
class Start:
    """Seconds to the first answer, and MiB resident then and when all was over."""

    seconds: float
    fresh_mib: float
    used_mib: float


def quantile(values: Iterable[float], share: float) -> float:
    """The smallest value that at least ``share`` of all do not exceed. Raises ``ValueError`` for no values."""
    ordered = sorted(values)
    if not ordered:
        raise ValueError("no values")
    return ordered[max(0, min(len(ordered) - 1, -int(-len(ordered) * share // 1) - 1))]


def median_run(runs: Sequence[Run], server: str, workload: str) -> Run | None:
    """Each figure's median over the rounds. None where that was never run."""
    own = [run for run in runs if (run.server, run.workload) == (server, workload)]
    if not own:
        return None
    middle = {name: statistics.median(getattr(run, name) for run in own) for name in ("rate", "p50", "p99", "cpu")}
    return Run(server, workload, **middle)


def ratio_text(ratio: float) -> str:
    """Two digits that count: ``0.42``, ``1.3``, ``12``."""
    return f"{ratio:.2f}" if ratio < 1 else f"{ratio:.1f}" if ratio < 10 else f"{ratio:.0f}"
