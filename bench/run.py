"""Measures mcp-core beside the servers that people would pick, in turns on the same core. ``make bench`` runs it.

Usage: python bench/run.py [--only NAME …] [--rounds 3] [--seconds 5] [--sizes 1000 100000 1000000] [--out build/bench]
``--only`` takes names of servers and of workloads, and ``growth``; a wrong name prints all of them. One core serves, the
other asks with wrk. Everything stays on loopback. What peers need is unpacked into the user's cache folder.
Writes table.md, table.csv, chart.svg and result.json. Ends with 1 where a single answer was not what it has to be, or a
server did not start.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench.catalogue import GROWTH, Chosen, UnknownName, choose
from bench.chart import chart
from bench.growth import Growth
from bench.rounds import Plan, Results, measure, running, say
from bench.servers.measured import NotHere
from bench.surroundings import BUSY, Others, machine
from bench.table import comma_separated, described, markdown

MOST_ROUNDS, MOST_SECONDS = 100, 600


def arguments(given: Sequence[str] | None = None) -> tuple[argparse.Namespace, Chosen]:
    """Exits with 2 and a sentence for what cannot be."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", action="extend", default=[], metavar="NAME", help="servers and workloads")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=5, help="of one run")
    parser.add_argument("--warm-up", type=int, help="seconds for each server and workload; default: what each wants")
    parser.add_argument("--sizes", type=int, nargs="+", default=[1_000, 100_000, 1_000_000], help=f"rows of {GROWTH}")
    parser.add_argument("--out", type=Path, default=Path("build/bench"))
    asked = parser.parse_args(given)
    if not (1 <= asked.rounds <= MOST_ROUNDS and 1 <= asked.seconds <= MOST_SECONDS):
        parser.error(f"--rounds goes from 1 to {MOST_ROUNDS}, --seconds from 1 to {MOST_SECONDS}")
    if any(not 100 <= size <= 10_000_000 for size in asked.sizes):
        parser.error("--sizes go from 100 to 10,000,000")
    try:
        return asked, choose(asked.only)
    except UnknownName as unknown:
        parser.error(str(unknown))


def cores() -> tuple[list[int], int]:
    """The cores that serve, and the one that asks. Raises ``NotHere``."""
    for name, package in (("wrk", "wrk"), ("taskset", "util-linux")):
        if shutil.which(name) is None:
            raise NotHere(f"{name} is not here: apt-get install {package}")
    usable = sorted(os.sched_getaffinity(0))
    if len(usable) < 2:
        raise NotHere("The benchmark needs two cores, one for the server and one for the load.")
    return usable[:1], usable[1]


def main() -> int:
    asked, chosen = arguments()
    try:
        serving, asking = cores()
    except NotHere as missing:
        sys.exit(str(missing))
    os.sched_setaffinity(0, {asking})
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # servers are stopped by that, too
    plan = Plan(asked.rounds, asked.seconds, asked.warm_up, serving, asking)
    asked.out.mkdir(parents=True, exist_ok=True)
    results, grown = Results(), Growth()
    with tempfile.TemporaryDirectory(prefix="mcp-core-bench-") as name:
        if chosen.servers:
            measure_all(chosen, plan, Path(name), results)
            write(asked.out, results, grown, chosen, plan)  # whatever becomes of growth
        if chosen.growth:
            grown.measure(asked.sizes, plan, Path(name) / GROWTH)
    print(write(asked.out, results, grown, chosen, plan))
    say(f"Written to {asked.out}")
    return 1 if results.failed or grown.results.failed else 0


def measure_all(chosen: Chosen, plan: Plan, folder: Path, results: Results) -> None:
    with running(chosen.servers, folder, plan, results) as servers:
        others = Others(sum(server.cpu_seconds() for server in servers))
        measure(servers, chosen.workloads, plan, folder, results)
        results.load = others.share(sum(server.cpu_seconds() for server in servers))


def write(out: Path, results: Results, grown: Growth, chosen: Chosen, plan: Plan) -> str:
    """Writes what there is in each form, and returns the table."""
    found = machine() | {results.names[key]: text for key, text in results.versions.items() if text}
    parts = [f"{described(found)}. {plan.rounds} rounds of {plan.seconds:.0f} s."]
    if results.runs:
        parts += [meanwhile(results.load), markdown(results, chosen.workloads).rstrip()]
    if grown.results.runs:
        parts += [grown.markdown(), meanwhile(grown.results.load)]
    table = "\n\n".join(parts) + "\n"
    content = {
        "machine": found,
        "load": results.load,
        "rounds": plan.rounds,
        "seconds": plan.seconds,
        "runs": [asdict(run) for run in results.runs],
        "starts": {results.names[key]: asdict(start) for key, start in results.starts.items()},
        "absent": results.absent,
        "growth": [asdict(run) for run in grown.results.runs],
    }
    texts = {"table.md": table, "result.json": json.dumps(content, indent=1) + "\n"}
    if results.runs:
        texts["table.csv"] = comma_separated(results, chosen.workloads)
        texts["chart.svg"] = chart(results, chosen.workloads)
    for name, text in texts.items():
        (out / name).write_text(text, encoding="utf-8")
    return table


def meanwhile(load: dict[str, float]) -> str:
    text = f"Others had {load['others']:.0%} of all cores meanwhile, and {load['stolen']:.0%} were taken by the host."
    return text + (" Believe the processor times, not the rates." if load["others"] > BUSY else "")


if __name__ == "__main__":
    raise SystemExit(main())
