"""The real server: ``mcp-core serve`` in a process of its own, on a free port of 127.0.0.1, with its own folder.

Everything a caller does goes through HTTP or a command. What is started here is stopped here, by its id.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests

from tests import terminal
from tests.database_servers import free_port
from tests.waiting import HANG_SECONDS, eventually

ROOT = Path(__file__).resolve().parents[1]
_COMMAND = (sys.executable, "-c", "from provider.cli.console import main; raise SystemExit(main())")


def listens(port: int) -> bool:
    """Whether somebody takes connections on ``port`` of loopback. Asking costs a fiftieth of a request."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def answers(url: str, authority: Path | None = None) -> bool:
    """Whether something at ``url`` says that all is well. ``authority`` signed its certificate."""
    try:
        return requests.get(url, timeout=HANG_SECONDS, verify=str(authority) if authority else True).status_code == 200
    except requests.ConnectionError:
        return False


class CommandFailed(Exception):
    """``mcp-core`` ended with ``code``; ``words`` is what it said."""

    def __init__(self, code: int, words: str) -> None:
        super().__init__(code, words)
        self.code, self.words = code, words


@dataclass
class Server:
    """``path`` is the issuer's path, empty for a bare-host issuer. ``database`` are ``MYSQL_*`` variables, if any.

    ``program`` is the ``mcp-core`` of another installation, which then knows nothing of this checkout.
    """

    home: Path
    path: str = "/oauth"
    host: str = "localhost"
    database: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, str] = field(default_factory=dict)
    workers: int = 1
    threads: int | None = None
    prefix: Sequence[str] = ()
    program: Path | None = None
    port: int = field(default_factory=free_port)

    def __post_init__(self) -> None:
        self.home.mkdir(parents=True, exist_ok=True)
        self.origin = f"http://{self.host}:{self.port}"
        self.issuer = self.origin + self.path
        self.log = self.home / "server.log"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("MCP_", "MYSQL_"))}
        return {
            **kept,
            **({} if self.program else {"PYTHONPATH": str(ROOT)}),
            "PYTHONUNBUFFERED": "1",
            "MCP_HOME": str(self.home / "instance"),
            "MCP_ISSUER": self.issuer,
            **self.database,
            **self.settings,
        }

    def start(self) -> None:
        """Returns when the server answers. Raises ``RuntimeError`` with its log when it does not."""
        arguments = ["serve", "--port", str(self.port), "--workers", str(self.workers)]
        if self.threads is not None:
            arguments += ["--threads", str(self.threads)]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [*self.prefix, *((self.program,) if self.program else _COMMAND), *arguments],
                cwd=self.home,
                env=self.environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        try:
            eventually(lambda: self.has_ended or listens(self.port), self.log_text)
            eventually(lambda: self.has_ended or answers(f"{self.origin}/health"), self.log_text)
            if self.has_ended:
                raise RuntimeError(f"the server did not start:\n{self.log_text()[-4000:]}")
        except BaseException:
            self.kill()
            raise

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def has_ended(self) -> bool:
        return self._process is None or self._process.poll() is not None

    def processes(self) -> list[int]:
        """The server's process and its workers."""
        found = []
        for entry in Path("/proc").iterdir():
            with contextlib.suppress(OSError, ValueError):
                if entry.name.isdigit() and os.getpgid(int(entry.name)) == self.pid:
                    found.append(int(entry.name))
        return found

    def processor_ticks(self) -> int:
        """How much its processes have worked so far: from outside, the sign that a request is in hand."""
        ticks = 0
        for pid in self.processes():
            with contextlib.suppress(OSError):
                fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
                ticks += int(fields[11]) + int(fields[12])
        return ticks

    def resident_kib(self) -> int:
        total = 0
        for pid in self.processes():
            with contextlib.suppress(OSError):
                status = Path(f"/proc/{pid}/status").read_text()
                total += int(match[1]) if (match := re.search(r"VmRSS:\s+(\d+)", status)) else 0
        return total

    def stop(self) -> int | None:
        """As an operator stops it: SIGTERM, and a bounded wait. The exit code; None if it had ended or did not end."""
        code = None
        if self._process is not None:
            self._process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                code = self._process.wait(HANG_SECONDS)
        self.kill()
        return code

    def kill(self) -> None:
        """SIGKILL to the server and its workers, whatever they are doing."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(HANG_SECONDS)
        self._process = None

    def log_text(self) -> str:
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    @property
    def traces(self) -> str:
        """What the log says from the first unforeseen error on. Empty when there was none."""
        _, found, after = self.log_text().partition("Traceback")
        return found + after[:4000]

    @property
    def setup_link(self) -> str:
        """The link that the first start printed."""
        found = re.findall(r"https?://\S+/setup/\S+", self.log_text())
        assert found, f"no setup link:\n{self.log_text()}"
        link: str = found[-1]
        return link

    def mcp_core(self, *arguments: str, given: str | None = None) -> str:
        """What ``mcp-core …`` prints, within this process. Raises ``CommandFailed``."""
        done = terminal.run(arguments, given=given, environment=self.environment, folder=self.home)
        if done.exit_code:
            raise CommandFailed(done.exit_code, done.output)
        return done.stdout

    def mcp_core_json(self, *arguments: str, given: str | None = None) -> Any:
        return json.loads(self.mcp_core(*arguments, "--json", given=given))

    def user(self, name: str, password: str, *options: str) -> Any:
        return self.mcp_core_json(
            *("user", "create", "--username", name, "--email", f"{name}@example.com", *options, "--password-stdin"),
            given=password + "\n",
        )


@contextlib.contextmanager
def serving(home: Path, **options: Any) -> Iterator[Server]:
    """A running ``Server``, stopped at the end."""
    server = Server(home, **options)
    server.start()
    try:
        yield server
    finally:
        server.stop()
