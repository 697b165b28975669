"""Authlib with Flask and SQLAlchemy, as its documentation shows, under gunicorn."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import ClassVar

from bench.servers.measured import Client, Measured
from tests.serving import ROOT

CLIENTS = 1000
SECRET = "a-secret-of-the-benchmark-and-of-nothing-else"
PATHS = {
    "token_endpoint": "token",
    "authorization_endpoint": "authorize",
    "userinfo_endpoint": "userinfo",
    "introspection_endpoint": "introspect",
    "jwks_uri": "jwks",
}
NOT_DOCUMENTED = "Its documentation leaves this to the reader."


class Authlib(Measured):
    key = "authlib"
    name = "Authlib, SQLite"
    stores = "each token a committed row"
    least_seconds = 2.0
    app = Client("app", SECRET)
    app_scope = "openid offline_access api:read"
    refreshes_id_token = False
    lacks: ClassVar[Mapping[str, str]] = dict.fromkeys(("discovery", "jwks"), NOT_DOCUMENTED)

    @property
    def version(self) -> str:
        return version("authlib")

    def furnish(self) -> None:
        """The first start makes tables, clients and the person."""
        self.start()
        self.stop()

    def command(self) -> list[str]:
        options = ["--bind", f"127.0.0.1:{self.port}", "--worker-class", "gthread", "--threads", "4"]
        options += ["--log-level", "warning", "--no-control-socket"]
        return [sys.executable, "-m", "gunicorn", *options, "bench.servers.authlib_app:application"]

    def environment(self) -> dict[str, str]:
        database = f"sqlite:///{self.folder / 'authlib.db'}"
        known = {"BENCH_ISSUER": self.issuer, "BENCH_DATABASE": database, "BENCH_CLIENTS": str(CLIENTS)}
        return {**known, "PYTHONPATH": str(ROOT)}

    def address(self, name: str) -> str:
        return f"{self.issuer}/{PATHS[name]}"

    def first_url(self) -> str:
        return self.address("jwks_uri")

    def machines(self, algorithm: str) -> Sequence[Client]:  # noqa: ARG002 - any client may ask for both
        return [Client("machine", SECRET), *(Client(f"machine{number}", SECRET) for number in range(CLIENTS))]
