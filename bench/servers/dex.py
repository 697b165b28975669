"""Dex on SQLite, with its own list of passwords. It hashes them by bcrypt."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import ClassVar

from bench.servers.go_programs import GoProgram
from bench.servers.measured import NAME_OF_PERSON, REDIRECT, Client, Measured

# Its module names its releases by their commits. This one is 2.45.1.
PROGRAM = GoProgram(
    "dex", "github.com/dexidp/dex", "v0.0.0-20260303133905-11d2eeb52b42", "github.com/dexidp/dex/cmd/dex"
)
PEOPLE = 64
SECRET = "a-secret-of-the-benchmark-and-of-nothing-else"
PASSWORD_HASH = "$2b$10$qANU4GlXovbjZSMeJggBmO69tp1fQGBTbgnP9NRJnMV2onF4VPS32"
NO_MACHINES = "The release that can be had, 2.45.1, has no client credentials."


class Dex(Measured):
    key = "dex"
    name = "Dex, SQLite"
    stores = "codes and refresh tokens as committed rows; no record of an access token"
    app = Client("app", SECRET)
    app_resource = None
    access_algorithm = "RS256"
    login_fields = ("login", "password")
    has_sessions = False
    has_chains_in_a_session = False
    lacks: ClassVar[Mapping[str, str]] = {
        **dict.fromkeys(("es256", "es256-random", "es256-paced", "rs256"), NO_MACHINES),
        "authorize": "It has no sessions: everybody signs in each time.",
    }

    @property
    def version(self) -> str:
        return "2.45.1"

    def furnish(self) -> None:
        self._program = PROGRAM.built()
        settings = {
            "issuer": self.issuer,
            "storage": {"type": "sqlite3", "config": {"file": str(self.folder / "dex.db")}},
            "web": {"http": f"127.0.0.1:{self.port}"},
            "logger": {"level": "error"},
            "oauth2": {"skipApprovalScreen": True},
            "enablePasswordDB": True,
            "staticPasswords": [
                {"email": address, "hash": PASSWORD_HASH, "username": address, "userID": f"person-{number}"}
                for number, address in enumerate(self.people())
            ],
            "staticClients": [{"id": "app", "name": "app", "secret": SECRET, "redirectURIs": [REDIRECT]}],
        }
        (self.folder / "dex.json").write_text(json.dumps(settings), encoding="utf-8")

    def command(self) -> list[str]:
        return [str(self._program), "serve", "dex.json"]

    def environment(self) -> dict[str, str]:
        """No hash is taken for the name of a variable."""
        return {"DEX_EXPAND_ENV": "false"}

    def machines(self, algorithm: str) -> Sequence[Client]:  # noqa: ARG002 - it has none
        return []

    def introspected(self) -> None:
        return None

    def people(self) -> Sequence[str]:
        """One for each chain of refresh tokens: it keeps one of a person and an application."""
        return [f"{NAME_OF_PERSON}{number}@example.com" for number in range(PEOPLE)]
