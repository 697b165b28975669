"""Results as tables: Markdown for people, CSV for programs."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence

from bench.figures import Run, ratio_text
from bench.rounds import Results
from bench.workloads import Workload

BASE = "sqlite"  # what ratios are of: theirs over ours
HEADINGS = (
    *("server", "workload", "cpu_us", "cpu_ratio", "answers_per_second", "p50_ms", "p99_ms"),
    *("cold_start_s", "resident_fresh_mib", "resident_used_mib"),
)


def markdown(results: Results, workloads: Sequence[Workload]) -> str:
    """Processor time first, then rates and latencies, then starts; a sentence for whatever is missing."""
    parts = [
        "Processor time of an answer in µs, database included; in brackets, how many times ours on SQLite.",
        _matrix(results, workloads, lambda run: f"{run.cpu:,.0f}{_ratio(results, run)}"),
        "Answers a second, p50 / p99 in ms.",
        _matrix(results, workloads, lambda run: f"{run.rate:,.0f}, {run.p50:.1f} / {run.p99:.1f}"),
        _starts(results),
    ]
    notes = [f"- {name} is left out: {why}" for name, why in results.absent.items()]
    names = {each.key: each.name for each in workloads}
    for what in (results.lacks, results.broken):
        notes += [f"- {results.names[server]}, {names[key]}: {why}" for (server, key), why in what.items()]
    return "\n\n".join([*parts, *(["\n".join(notes)] if notes else [])]) + "\n"


def comma_separated(results: Results, workloads: Sequence[Workload]) -> str:
    """A line for each server and workload that was measured, medians of all rounds."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(HEADINGS)
    for server, start in results.starts.items():
        for workload in workloads:
            run, base = results.median(server, workload.key), results.median(BASE, workload.key)
            if run is not None:
                ratio = f"{run.cpu / base.cpu:.3f}" if base else ""
                writer.writerow(
                    [results.names[server], workload.name, f"{run.cpu:.1f}", ratio, f"{run.rate:.1f}"]
                    + [f"{value:.3f}" for value in (run.p50, run.p99, start.seconds)]
                    + [f"{value:.1f}" for value in (start.fresh_mib, start.used_mib)]
                )
    return text.getvalue()


def growth(results: Results, workloads: Sequence[Workload], sizes: Mapping[str, Sequence[str]]) -> str:
    """Processor time of an answer by how many rows there are: ``sizes`` has the servers of a database, smallest first."""
    lines = ["| | " + " | ".join(each.name for each in workloads) + " |", "|---|" + "---|" * len(workloads)]
    for servers in sizes.values():
        for server in servers:
            cells = []
            for workload in workloads:
                run, least = results.median(server, workload.key), results.median(servers[0], workload.key)
                ratio = f" ({ratio_text(run.cpu / least.cpu)})" if run and least and server != servers[0] else ""
                cells.append("–" if run is None else f"{run.cpu:,.0f}{ratio}")
            lines.append(f"| {results.names[server]} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def described(found: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {value}" for name, value in found.items() if value)


def _ratio(results: Results, run: Run) -> str:
    base = results.median(BASE, run.workload)
    return "" if base is None or run.server == BASE else f" ({ratio_text(run.cpu / base.cpu)})"


def _matrix(results: Results, workloads: Sequence[Workload], cell: Callable[[Run], str]) -> str:
    servers = list(results.starts)
    lines = ["| | " + " | ".join(results.names[key] for key in servers) + " |", "|---|" + "---|" * len(servers)]
    for workload in workloads:
        runs = [results.median(key, workload.key) for key in servers]
        if any(runs):
            lines.append(f"| {workload.name} | " + " | ".join("–" if run is None else cell(run) for run in runs) + " |")
    return "\n".join(lines)


def _starts(results: Results) -> str:
    lines = ["| | cold start, s | resident, started / after the load, MiB | what it keeps |", "|---|---|---|---|"]
    for key, start in results.starts.items():
        memory = f"{start.fresh_mib:.0f} / {start.used_mib:.0f}"
        lines.append(f"| {results.names[key]} | {start.seconds:.1f} | {memory} | {results.stores[key]} |")
    return "\n".join(lines)
