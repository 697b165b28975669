"""The machine that a result comes from, what ran on it, and how much others had of it meanwhile."""

from __future__ import annotations

import datetime
import os
import platform
import re
import resource
from importlib.metadata import version
from pathlib import Path

LIBRARIES = ("mcp-core", "uvicorn", "uvloop", "authlib", "joserfc", "sqlalchemy", "pymysql", "cryptography")
BUSY = 0.1
_COUNTED = range(8)  # user, nice, system, idle, iowait, irq, softirq, steal (proc(5))
_IDLE, _IOWAIT, _STEAL = 3, 4, 7


def machine() -> dict[str, str]:
    found = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text(encoding="utf-8"))
    built = platform.python_compiler().split("(")[0].strip()
    return {
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d"),
        "machine": f"{os.cpu_count()} cores, {found[1] if found else platform.machine()}",
        "system": f"Linux {platform.release().split('-')[0]}",
        "python": f"{platform.python_version()} ({built})",
        **{name: version(name) for name in LIBRARIES},
    }


class Others:
    """What other programs compute, and what the host of this machine takes, as shares of all cores."""

    def __init__(self, own_seconds: float) -> None:
        """``own_seconds`` is what the servers that run already have computed so far."""
        self._load_average = os.getloadavg()[0]
        self._own = own_seconds + _here()
        self._ticks = _ticks()

    def share(self, own_seconds: float) -> dict[str, float]:
        """Since this was made. ``own_seconds`` of the same servers, now."""
        ticks = [now - before for now, before in zip(_ticks(), self._ticks, strict=True)]
        every = sum(ticks) or 1
        busy = every - ticks[_IDLE] - ticks[_IOWAIT] - ticks[_STEAL]
        own = (own_seconds + _here() - self._own) * os.sysconf("SC_CLK_TCK")
        return {
            "load_average_before": round(self._load_average, 2),
            "others": round(max(0.0, busy - own) / every, 3),
            "stolen": round(ticks[_STEAL] / every, 3),
        }


def _here() -> float:
    """This process and what it has waited for: wrk."""
    kinds = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return sum(used.ru_utime + used.ru_stime for used in map(resource.getrusage, kinds))


def _ticks() -> list[int]:
    line = Path("/proc/stat").read_text(encoding="ascii").partition("\n")[0].split()
    return [int(line[number + 1]) for number in _COUNTED]
