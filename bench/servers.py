"""The servers that are measured, each on one core: ``mcp-core serve`` on two databases, and npm's oidc-provider."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import requests

from tests.database_servers import MariaDBServer, create_database, free_port
from tests.serving import Server

HERE = Path(__file__).resolve().parent
PEER = "oidc-provider"
PEER_PACKAGE = "oidc-provider@9"
START_SECONDS = 60
STOP_SECONDS = 20


class NotHere(Exception):
    """A program that the benchmark needs is missing. The text says how to get it."""


class Measured(Protocol):
    name: str
    issuer: str
    cold_start_seconds: float

    def resident_kib(self) -> int: ...

    def cpu_seconds(self) -> float: ...

    def basic(self) -> str: ...

    def app(self) -> str: ...

    def take_tokens(self, count: int) -> list[str]: ...


def on_core(core: int) -> list[str]:
    return ["taskset", "-c", str(core)]


@dataclass
class Ours:
    """``mcp-core serve`` as an operator starts it: one worker, default settings, durable rows."""

    name: str
    server: Server
    helpers: list[int] = field(default_factory=list)  # processes that work for it: a database server
    seeded: dict[str, Any] = field(default_factory=dict)
    cold_start_seconds: float = 0.0

    @property
    def issuer(self) -> str:
        return self.server.issuer

    def start(self, chains: int) -> None:
        """Twice: the first start makes keys and tables, the second is timed."""
        self.server.start()
        done = subprocess.run(
            [sys.executable, str(HERE / "seed.py"), str(chains)],
            env=self.server.environment,
            cwd=self.server.home,
            check=True,
            capture_output=True,
            text=True,
        )
        self.seeded = json.loads(done.stdout.splitlines()[-1])
        self.server.stop()
        began = time.monotonic()
        self.server.start()
        self.cold_start_seconds = time.monotonic() - began

    def resident_kib(self) -> int:
        return self.server.resident_kib()

    def cpu_seconds(self) -> float:
        return sum(cpu_seconds_of(pid) for pid in (*self.server.processes(), *self.helpers))

    def basic(self) -> str:
        return _base64(f"{self.seeded['machine']}:{self.seeded['secret']}")

    def app(self) -> str:
        return str(self.seeded["app"])

    def take_tokens(self, count: int) -> list[str]:
        return _take(self.seeded["refresh_tokens"], count)


@dataclass
class Peer:
    """oidc-provider, everything in its process's memory: nothing that it answers outlives it."""

    folder: Path
    core: int
    name: str = PEER
    port: int = field(default_factory=free_port)
    cold_start_seconds: float = 0.0

    @property
    def issuer(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def version(self) -> str:
        package = self.folder / "node_modules" / "oidc-provider" / "package.json"
        return str(json.loads(package.read_text(encoding="utf-8"))["version"])

    def install(self) -> None:
        """Into ``folder``, which is not this tree. Raises ``NotHere``."""
        if shutil.which("node") is None or shutil.which("npm") is None:
            raise NotHere("node and npm are not here: apt-get install nodejs npm")
        self.folder.mkdir(parents=True, exist_ok=True)
        if not (self.folder / "node_modules" / "oidc-provider").exists():
            (self.folder / "package.json").write_text('{"private": true, "type": "module"}\n', encoding="utf-8")
            command = ["npm", "install", "--no-package-lock", "--no-audit", "--no-fund", "--silent", PEER_PACKAGE]
            subprocess.run(command, cwd=self.folder, check=True)
        shutil.copy(HERE / "oidc_provider" / "server.mjs", self.folder / "server.mjs")

    def start(self, chains: int) -> None:
        began = time.monotonic()
        self._process = subprocess.Popen(
            [*on_core(self.core), "node", "server.mjs", str(self.port), str(chains)],
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=(self.folder / "server.log").open("w"),
            env={**_environment(), "NODE_ENV": "production"},
            text=True,
        )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.name} did not start:\n{(self.folder / 'server.log').read_text()[-2000:]}")
        _wait_for(f"{self.issuer}/.well-known/openid-configuration")
        self.cold_start_seconds = time.monotonic() - began
        self._tokens: list[str] = json.loads(line)["refresh_tokens"]

    def stop(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def resident_kib(self) -> int:
        status = Path(f"/proc/{self._process.pid}/status").read_text(encoding="ascii")
        found = re.search(r"VmRSS:\s+(\d+)", status)
        return int(found[1]) if found else 0

    def cpu_seconds(self) -> float:
        return cpu_seconds_of(self._process.pid)

    def basic(self) -> str:
        return _base64("machine:a-secret-of-the-benchmark-and-of-nothing-else")

    def app(self) -> str:
        return "app"

    def take_tokens(self, count: int) -> list[str]:
        return _take(self._tokens, count)


@contextlib.contextmanager
def running(folder: Path, node_folder: Path, names: list[str], *, core: int, chains: int) -> Iterator[list[Measured]]:
    """The servers ``names``, started and furnished; the peer is the first. Stopped at the end."""
    with contextlib.ExitStack() as stack:
        peer = Peer(node_folder, core)
        peer.install()
        peer.start(chains)
        stack.callback(peer.stop)
        started: list[Measured] = [peer]
        for name in names:
            database, helpers = {}, []
            if name == "mariadb":
                mariadb = MariaDBServer()
                stack.callback(mariadb.close)
                helpers = [mariadb_pid(mariadb)]
                pin = ["taskset", "-a", "-c", "-p", str(core), str(helpers[0])]
                subprocess.run(pin, check=True, capture_output=True)
                create_database(mariadb.url(), "bench")
                database = mariadb.environment("bench")
            server = Server(folder / name, host="127.0.0.1", database=database, prefix=on_core(core))
            stack.callback(server.stop)
            ours = Ours(f"mcp-core, {name}", server, helpers)
            ours.start(chains)
            started.append(ours)
        yield started


def mariadb_pid(server: MariaDBServer) -> int:
    """The server's process, from the file that it writes."""
    return int(server.socket.with_suffix(".pid").read_text(encoding="ascii"))


def cpu_seconds_of(pid: int) -> float:
    """What all threads of a process have computed so far, in user and system mode (proc(5))."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith(("MCP_", "MYSQL_", "NODE_"))}


def _wait_for(url: str) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        with contextlib.suppress(requests.RequestException):
            if requests.get(url, timeout=5).status_code == 200:
                return
        if time.monotonic() > deadline:
            raise RuntimeError(f"{url} does not answer")
        time.sleep(0.02)


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def _take(tokens: list[str], count: int) -> list[str]:
    taken, tokens[:count] = tokens[:count], []
    assert len(taken) == count, "not enough refresh tokens were made"
    return taken
