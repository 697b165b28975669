"""What processes cost and where they run: processor time, resident memory, cores. Linux (proc(5), sched_setaffinity(2))."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path

_SCHEDULED = 2  # the third bit of a clock of a process: what the scheduler counted, in nanoseconds


def on_cores(cores: Collection[int]) -> list[str]:
    """What stands before a command, so that it and its children run on ``cores`` alone."""
    return ["taskset", "-c", ",".join(map(str, cores))]


def pin(pid: int, cores: Collection[int]) -> None:
    """All threads of a process that runs already, and what they start from now on."""
    for thread in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(ProcessLookupError):
            os.sched_setaffinity(int(thread.name), cores)


def group_of(leader: int) -> list[int]:
    """A process that was started as the leader of a group, and every process of that group: its children and theirs."""
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError, ValueError):
            if entry.name.isdigit() and os.getpgid(int(entry.name)) == leader:
                found.append(int(entry.name))
    return found


def run_to_its_end(
    command: Sequence[object], seconds: float, *, folder: Path, environment: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    """What a program did and said. Raises ``subprocess.TimeoutExpired`` after ``seconds``; its children end with it."""
    words = list(map(str, command))
    pipe = subprocess.PIPE
    process = subprocess.Popen(
        words, cwd=folder, env=environment, stdout=pipe, stderr=pipe, text=True, start_new_session=True
    )
    try:
        said, complained = process.communicate(timeout=seconds)
    except BaseException:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        raise
    return subprocess.CompletedProcess(words, process.returncode, said, complained)


def cpu_seconds_of(pid: int) -> float:
    """What all threads of a process have computed so far, in user and system mode, to the nanosecond.

    The clock's number is made as clock_getcpuclockid(3) makes it. Raises ``OSError`` for a process that is gone.
    """
    return time.clock_gettime((~pid << 3) | _SCHEDULED)


def cpu_seconds(pids: Iterable[int]) -> float:
    return sum(cpu_seconds_of(pid) for pid in pids)


def resident_kib(pids: Iterable[int]) -> int:
    """What is in memory, pages that several of them share counted for each."""
    total = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            found = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text(encoding="ascii"))
            total += int(found[1]) if found else 0
    return total
