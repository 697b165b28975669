"""What every server that is measured has in common: how it is started, asked, and looked at from outside."""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import requests

from bench.processes import cpu_seconds, group_of, on_cores, resident_kib
from tests.database_servers import free_port

START_SECONDS = 300
STOP_SECONDS = 20
REDIRECT = "https://app.example/callback"
NAME_OF_PERSON = "bench"
PASSWORD = "violet kettle 71 harbour paints"
RESOURCES = {"RS256": "https://rs256.example/api", "ES256": "https://es256.example/api"}
CLAIMS = ("iss", "sub", "aud", "exp", "iat")


class NotHere(Exception):
    """A program that the benchmark needs is missing. The text is one sentence that says what and how to get it."""


@dataclass(frozen=True)
class Client:
    """``secret`` is None for a public client."""

    id: str
    secret: str | None = None


@dataclass(frozen=True)
class Ask:
    """A form for a token endpoint, and what its answer holds: the algorithm of a JWT, or None for an opaque token."""

    client: Client
    form: Mapping[str, str]
    algorithm: str | None
    claims: Sequence[str] = CLAIMS


class Measured(ABC):
    """One server. ``key`` names it on the command line, ``name`` in tables.

    ``lacks`` says for each workload that it cannot do why that is so. Attributes below are what most servers share.
    """

    key: str
    name: str
    stores: str = ""
    lacks: ClassVar[Mapping[str, str]] = {}
    warm_up_seconds = 1.0
    least_seconds = 1.0  # of a run: a slow server has to have answered several times
    login_fields = ("username", "password")
    consent_button: str | None = None  # its name or words; None: the first
    publishes_keys = True
    has_sessions = True  # whoever signed in once gets further codes without a page
    pages_elsewhere: str | None = (
        None  # addresses that begin so are an operator's own pages, which ``accepted`` answers for
    )
    has_chains_in_a_session = True  # and several refresh tokens, of which none disturbs the others
    app: Client
    app_scope = "openid offline_access"
    access_algorithm: str | None = "ES256"  # of the access tokens that codes and refresh tokens give
    id_algorithm: str | None = "RS256"
    refreshes_id_token = True
    app_resource: str | None = RESOURCES["ES256"]
    offline_prompt: str | None = "consent"  # what an application has to ask for with offline_access

    def __init__(self, folder: Path, cores: Sequence[int]) -> None:
        self.folder = folder
        self.cores = cores
        self.port = free_port()
        self.cold_start_seconds = 0.0
        self._process: subprocess.Popen[bytes] | None = None
        self._known: dict[str, Any] | None = None
        folder.mkdir(parents=True, exist_ok=True)

    @property
    def issuer(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def discovery_url(self) -> str:
        return f"{self.issuer}/.well-known/openid-configuration"

    @property
    def version(self) -> str:
        """As its makers count."""
        return ""

    def address(self, name: str) -> str:
        """An endpoint by its name in the metadata, ``token_endpoint`` for example."""
        if self._known is None:
            self._known = requests.get(self.discovery_url, timeout=10).json()
        return str(self._known[name])

    @abstractmethod
    def furnish(self) -> None:
        """Everything that is done once, before the start that is timed: installing, tables, keys, clients, people."""

    @abstractmethod
    def command(self) -> list[str]:
        """The program that serves, with its arguments."""

    def environment(self) -> dict[str, str]:
        return {}

    def start(self) -> None:
        """Starts what ``command`` names, pinned, and waits for its first answer. Raises ``RuntimeError`` with its log."""
        kept = {name: text for name, text in os.environ.items() if not name.startswith(("MCP_", "MYSQL_", "NODE_"))}
        began = time.monotonic()
        with (self.folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                [*on_cores(self.cores), *self.command()],
                cwd=self.folder,
                env={**kept, **self.environment()},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._wait()
        self.cold_start_seconds = time.monotonic() - began

    def stop(self) -> None:
        if self._process is None:
            return
        self._process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(STOP_SECONDS)
        for pid in group_of(self._process.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, 9)
        self._process.wait(STOP_SECONDS)
        self._process = None

    def processes(self) -> list[int]:
        """The server's process and its children."""
        return group_of(self._process.pid) if self._process else []

    def helpers(self) -> list[int]:
        """Processes that work for it: a database server."""
        return []

    def cpu_seconds(self) -> float:
        return cpu_seconds((*self.processes(), *self.helpers()))

    def resident_kib(self) -> int:
        return resident_kib(self.processes())

    def machine(self, algorithm: str) -> Ask:
        """Client credentials for a token that is signed by ``algorithm``."""
        form = {"grant_type": "client_credentials", "resource": RESOURCES[algorithm], "scope": "api:read"}
        return Ask(self.machines(algorithm)[0], form, algorithm)

    @abstractmethod
    def machines(self, algorithm: str) -> Sequence[Client]:
        """All clients that may ask like that."""

    def introspected(self) -> Ask | None:
        """How a machine gets a token that it can ask about itself. None: the application asks about one of its own."""
        return self.machine("ES256")

    def people(self) -> Sequence[str]:
        """Names of those who can sign in with ``PASSWORD``."""
        return [NAME_OF_PERSON]

    def accepted(self, url: str) -> str:
        """Where somebody goes on who did what the page ``url`` of ``pages_elsewhere`` asks for."""
        raise NotImplementedError

    def _wait(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while True:
            with contextlib.suppress(requests.RequestException):
                if requests.get(self.first_url(), timeout=5).status_code == 200:
                    return
            ended = self._process is None or self._process.poll() is not None
            if ended or time.monotonic() > deadline:
                log = (self.folder / "server.log").read_text(encoding="utf-8", errors="replace")
                self.stop()
                raise RuntimeError(f"{self.name} did not start:\n{log[-3000:]}")
            time.sleep(0.02)

    def first_url(self) -> str:
        """What is asked for until there is an answer."""
        return self.discovery_url
