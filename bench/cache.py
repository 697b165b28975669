"""The folder of the user's in which peers lie, unpacked once for every checkout. Nothing of them is in this tree."""

from __future__ import annotations

import contextlib
import fcntl
import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from bench.processes import run_to_its_end
from bench.servers.measured import NotHere

INSTALL_SECONDS = 1800


@contextlib.contextmanager
def unpacked(name: str) -> Iterator[tuple[Path, bool]]:
    """The folder for ``name``, and whether it is complete. It counts as complete once the block ends without an error.

    ``name`` has the versions in it, so that another one is another folder. One process unpacks, others wait.
    """
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mcp-core" / "bench"
    folder, mark = base / name, base / f"{name}.complete"
    folder.mkdir(parents=True, exist_ok=True)
    with (base / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield folder, mark.exists()
        mark.touch()


def install(command: Sequence[object], folder: Path, missing: str, **environment: str) -> None:
    """Runs a package client in ``folder``. Raises ``NotHere`` with ``missing`` and the client's last line."""
    surroundings: Mapping[str, str] = {**os.environ, **environment}
    try:
        done = run_to_its_end(command, INSTALL_SECONDS, folder=folder, environment=surroundings)
    except (OSError, subprocess.TimeoutExpired) as fault:
        raise NotHere(f"{missing}: {fault}") from fault
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines() or ["nothing was said"]
        raise NotHere(f"{missing}: {said[-1]}")
