"""What a start of ``mcp-core serve`` costs, beside a Python that only loads the libraries which it stands on.

Usage: python bench/start.py [--rounds 5]

Prints processor time from the start of a process to its first answer, in medians, and the ratio of both. The ratio of one
run is what can be compared with another day or another machine; on a busy one the seconds say nothing.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench.processes import cpu_seconds_of
from tests.serving import ROOT, Server

LIBRARIES = (
    "authlib",
    "cryptography.x509",
    "flask",
    "flask_babel",
    "joserfc.jwt",
    "sqlalchemy",
    "uvicorn",
    "uvloop",
)
_LOAD = f"import time, {', '.join(LIBRARIES)}; print(time.process_time())"


def libraries_alone() -> float:
    command = [sys.executable, "-c", _LOAD]
    return float(subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout)


def to_the_first_answer(server: Server) -> float:
    server.start()
    try:
        return sum(cpu_seconds_of(pid) for pid in server.processes())
    finally:
        server.stop()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    rounds = range(parser.parse_args().rounds)
    with tempfile.TemporaryDirectory() as folder:
        kept = Server(Path(folder) / "kept")
        to_the_first_answer(kept)
        kinds: dict[str, Callable[[int], float]] = {
            "libraries alone": lambda _number: libraries_alone(),
            "first start": lambda number: to_the_first_answer(Server(Path(folder) / str(number))),
            "later start": lambda _number: to_the_first_answer(kept),
        }
        seen: dict[str, list[float]] = {kind: [] for kind in kinds}
        for number in rounds:  # in turns, so that a busy minute hits all of them
            for kind, measure in kinds.items():
                seen[kind].append(measure(number))
    base = statistics.median(seen["libraries alone"])
    for kind, figures in seen.items():
        middle = statistics.median(figures)
        spread = f"{min(figures):.2f} to {max(figures):.2f}"
        print(f"{kind:16} {middle:6.2f} s   {middle / base:5.2f} times the libraries   {spread}")


if __name__ == "__main__":
    main()
