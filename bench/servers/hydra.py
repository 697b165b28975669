"""Ory Hydra on SQLite. It has no pages: where it would send people, its admin interface is told what they did."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit

import requests

from bench.servers.go_programs import GoProgram
from bench.servers.measured import NAME_OF_PERSON, REDIRECT, RESOURCES, Ask, Client, Measured
from tests.database_servers import free_port

PROGRAM = GoProgram(
    "hydra",
    "github.com/ory/hydra/v2",
    "v2.3.0",
    "github.com/ory/hydra/v2",
    tags="sqlite",
    replaced={"github.com/gobuffalo/pop/v6": "github.com/ory/pop/v6@v6.2.1-0.20241121111754-e5dfc0f3344b"},
)
SECRET = "a-secret-of-the-benchmark-and-of-nothing-else"
PRAGMAS = "_fk=true&_journal_mode=WAL"
ELSEWHERE = "https://pages.example/"
ONE_ALGORITHM = "All of its tokens are signed alike: RS256 (with 4,096 bits), as it comes."


class Hydra(Measured):
    key = "hydra"
    name = "Hydra, SQLite"
    stores = "grants, codes and tokens as committed rows"
    least_seconds = 8.0
    app = Client("app", SECRET)
    app_scope = "openid offline_access api:read"
    app_resource = None
    access_algorithm = "RS256"
    pages_elsewhere = ELSEWHERE
    has_sessions = False
    lacks: ClassVar[Mapping[str, str]] = {
        "es256": ONE_ALGORITHM,
        "es256-random": ONE_ALGORITHM,
        "es256-paced": ONE_ALGORITHM,
        "authorize": "It asks an application of the operator's at each authorization.",
        "code": "On SQLite it refuses some of the codes that come at once: the database is locked.",
        "sign-in": "It has no sign-in of its own.",
    }

    def __init__(self, folder: Path, cores: Sequence[int]) -> None:
        super().__init__(folder, cores)
        self._admin_port = free_port()
        self._program: Path

    @property
    def version(self) -> str:
        return PROGRAM.version

    def furnish(self) -> None:
        self._program = PROGRAM.built()
        settings = {
            "dsn": f"sqlite://{self.folder / 'hydra.db'}?{PRAGMAS}",
            "serve": {
                "public": {"host": "127.0.0.1", "port": self.port},
                "admin": {"host": "127.0.0.1", "port": self._admin_port},
            },
            "urls": {
                "self": {"issuer": self.issuer},
                "login": f"{ELSEWHERE}login",
                "consent": f"{ELSEWHERE}consent",
                "error": f"{ELSEWHERE}error",
            },
            "strategies": {"access_token": "jwt"},
            "secrets": {"system": [SECRET]},
            "log": {"level": "error"},
        }
        (self.folder / "hydra.json").write_text(json.dumps(settings), encoding="utf-8")
        migrate = [self._program, "migrate", "sql", "up", "-e", "--yes", "-c", "hydra.json"]
        environment = {"DSN": str(settings["dsn"])}
        subprocess.run(list(map(str, migrate)), cwd=self.folder, env=environment, check=True, capture_output=True)
        self.start()
        machine = {"client_id": "machine", "grant_types": ["client_credentials"], "audience": list(RESOURCES.values())}
        app = {"client_id": "app", "grant_types": ["authorization_code", "refresh_token"], "redirect_uris": [REDIRECT]}
        for client in (machine, app):
            self._told(
                "POST", "clients", {**client, "client_secret": SECRET, "scope": "openid offline_access api:read"}
            )
        self.stop()

    def command(self) -> list[str]:
        """In development mode, without which it serves no issuer on plain HTTP."""
        return [str(self._program), "serve", "all", "--dev", "--sqa-opt-out", "-c", "hydra.json"]

    def machine(self, algorithm: str) -> Ask:
        form = {"grant_type": "client_credentials", "audience": RESOURCES["RS256"], "scope": "api:read"}
        return Ask(self.machines(algorithm)[0], form, "RS256")

    def machines(self, algorithm: str) -> Sequence[Client]:  # noqa: ARG002 - it has one of them
        return [Client("machine", SECRET)]

    def address(self, name: str) -> str:
        if name == "introspection_endpoint":
            return f"http://127.0.0.1:{self._admin_port}/admin/oauth2/introspect"
        return super().address(name)

    def accepted(self, url: str) -> str:
        """Tells it that somebody has signed in, or agreed, and returns where they go on."""
        query = parse_qs(urlsplit(url).query)
        for step in ("login", "consent"):
            challenge = query.get(f"{step}_challenge")
            if challenge is not None:
                said: dict[str, Any] = {"subject": NAME_OF_PERSON, "remember": True, "remember_for": 3600}
                if step == "consent":
                    said = {"grant_scope": ["openid", "offline_access", "api:read"], "remember": False}
                answer = self._told("PUT", f"oauth2/auth/requests/{step}/accept?{step}_challenge={challenge[0]}", said)
                return str(answer["redirect_to"])
        raise RuntimeError(f"Hydra sends people to {url}")

    def _told(self, method: str, path: str, what: dict[str, Any]) -> dict[str, Any]:
        url = f"http://127.0.0.1:{self._admin_port}/admin/{path}"
        answer = requests.request(method, url, json=what, timeout=60)
        if answer.status_code >= 300:
            raise RuntimeError(f"Hydra's admin interface answered {answer.status_code}: {answer.text[:500]}")
        found: dict[str, Any] = answer.json()
        return found
