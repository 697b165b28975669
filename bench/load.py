"""``wrk`` as this benchmark runs it: one script against one address, and what it says at its end."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bench.processes import on_cores

SCRIPTS = Path(__file__).resolve().parent / "wrk"
CONNECTIONS = 16
_RESULT = re.compile(r"RESULT right=(\d+) wrong=(\d+) took_us=(\d+) p50_us=(\d+) p99_us=(\d+) broken=(\d+)")
_WRONG = re.compile(r"^WRONG (.*)$", re.MULTILINE)


class BrokenRun(Exception):
    """An answer was missing, refused or not what it has to be. The text is the first such answer."""


@dataclass(frozen=True)
class Load:
    """What ``wrk`` does: a script of ``wrk/``, the address, and what the script reads from its environment."""

    script: str
    url: str
    environment: Mapping[str, str]


@dataclass(frozen=True)
class Seen:
    """``answers``, each looked at and found right, in ``seconds``. Latencies in ms. ``answer`` is the last body."""

    answers: int
    seconds: float
    p50: float
    p99: float
    answer: str
    kept: str


def run(load: Load, seconds: float, folder: Path, *, core: int, rate: float | None = None) -> Seen:
    """Runs for ``seconds``, or until the script has nothing left. Raises ``BrokenRun`` for a single wrong answer.

    ``rate`` is how many requests a second are begun; without it each connection asks again as soon as it is answered.
    """
    answer, kept = folder / "answer", folder / "kept"
    environment = {
        **os.environ,
        "WRK_FOLDER": str(SCRIPTS),
        "WRK_ANSWER": str(answer),
        "WRK_KEPT": str(kept),
        **({"WRK_RATE": f"{rate:.3f}"} if rate else {}),
        **load.environment,
    }
    options = ["-t1", f"-c{CONNECTIONS}", f"-d{max(1, round(seconds))}s", "--timeout", "10s"]
    command = [*on_cores([core]), "wrk", *options, "-s", str(SCRIPTS / f"{load.script}.lua"), load.url]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    right, wrong, micros, p50, p99, broken = parsed(done.stdout, done.stderr)
    if wrong or broken or not right:
        fault = _WRONG.search(done.stdout)
        raise BrokenRun(f"{wrong} answers wrong, {broken} broken, {right} right. {fault[1] if fault else ''}".strip())
    texts = (path.read_text(encoding="utf-8") for path in (answer, kept))
    return Seen(right, micros / 1e6, p50 / 1000, p99 / 1000, *texts)


def parsed(said: str, complained: str = "") -> tuple[int, ...]:
    """The numbers of the line that ``wrk/report.lua`` writes. Raises ``BrokenRun`` where there is none."""
    found = _RESULT.search(said)
    if found is None:
        raise BrokenRun(f"wrk said nothing: {said[-2000:]}{complained[-2000:]}")
    return tuple(map(int, found.groups()))
