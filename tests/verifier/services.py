"""Runs the example services as their README files say: in processes of their own, on free ports of 127.0.0.1."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.serving import ROOT
from tests.waiting import HANG_SECONDS, eventually

EXAMPLES = ROOT / "examples"


@contextlib.contextmanager
def running(command: Sequence[str], port: int, log: Path, **settings: str) -> Iterator[None]:
    """A process that listens on ``port``, ended afterwards. ``settings`` are added to the environment."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MCP_", "MYSQL_"))}
    environment = {**kept, "PYTHONPATH": str(ROOT / "verifier"), "PYTHONUNBUFFERED": "1", "PORT": str(port), **settings}
    with log.open("ab") as output:
        process = subprocess.Popen(command, env=environment, cwd=log.parent, stdout=output, stderr=output)
    try:
        eventually(lambda: _listens(port) or process.poll() is not None)
        if process.poll() is not None:
            raise RuntimeError(f"{command} did not start:\n{log.read_text()[-4000:]}")
        yield
    finally:
        process.terminate()
        try:
            process.wait(HANG_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(HANG_SECONDS)


def example(path: str, port: int, home: Path, **settings: str) -> contextlib.AbstractContextManager[None]:
    """``examples/{path}``, run by this Python."""
    return running([sys.executable, str(EXAMPLES / path)], port, home / f"{path.replace('/', '-')}.log", **settings)


def _listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False
