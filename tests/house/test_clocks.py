"""Tests judge no speed, so that they say the same on every machine: only ``tests/waiting.py`` has a stop-watch."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
# The runs of the OpenID Foundation's suite are programs, which wait for their peer and judge nothing by the clock.
NO_TESTS = ROOT / "tests/conformance"
OWNER = ROOT / "tests/waiting.py"
TESTS = sorted(path for path in (ROOT / "tests").rglob("*.py") if NO_TESTS not in path.parents and path != OWNER)
STOP_WATCHES = {
    "time": {
        "time", "time_ns", "monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns", "process_time",
        "process_time_ns", "thread_time", "thread_time_ns", "clock_gettime", "clock_gettime_ns",
    },
    "os": {"times", "getloadavg", "wait3", "wait4"},
    "resource": {"getrusage"},
}  # fmt: skip
WHOLE_MODULES = {"timeit", "psutil", "cProfile", "pytest_benchmark"}

# What a file has to contain before it is worth the parsing.
SIGN = re.compile(
    rf"(?:import|from) time\b|{'|'.join({*STOP_WATCHES['os'], *STOP_WATCHES['resource'], *WHOLE_MODULES})}"
)


def stop_watches(source: str) -> Iterator[str]:
    """What in ``source`` could measure how long something takes, with its line."""
    if not SIGN.search(source):
        return
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names if alias.name.partition(".")[0] in WHOLE_MODULES]
            renamed = [alias.name for alias in node.names if alias.name in STOP_WATCHES and alias.asname]
            found = [*names, *renamed]
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            found = [module] if module.partition(".")[0] in WHOLE_MODULES else []
            found += [alias.name for alias in node.names if alias.name in STOP_WATCHES.get(module, ())]
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            found = [node.attr] if node.attr in STOP_WATCHES.get(node.value.id, ()) else []
        else:
            continue
        yield from (f"{node.lineno}: {name}" for name in found)


def test_no_test_measures_how_long_something_takes() -> None:
    """What is slow only on a slow machine is no fault. Wait by ``tests.waiting``; judge speed in ``bench/``."""
    places = [f"{path.relative_to(ROOT)}:{found}" for path in TESTS for found in stop_watches(path.read_text("utf-8"))]
    assert places == []


@pytest.mark.parametrize(
    "source",
    [
        "import time\nassert time.monotonic() - started < 1",
        "import time\nbegan = time.process_time()",
        "from time import perf_counter",
        "import time as clock",
        "import os\nos.getloadavg()",
        "import os\nclock = os.times",
        "import resource\nresource.getrusage(0)",
        "import psutil",
        "from timeit import timeit",
        "def late():\n    from time import monotonic as now",
    ],
)
def test_every_kind_of_stop_watch_is_seen(source: str) -> None:
    assert list(stop_watches(source))


def test_a_pause_and_a_date_are_no_stop_watch() -> None:
    assert (
        list(stop_watches("import time, datetime\ntime.sleep(1)\ndatetime.datetime.now(datetime.UTC)\nself.time()"))
        == []
    )
