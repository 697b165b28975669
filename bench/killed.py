"""Kills the server again and again while it commits, and looks whether anything that was answered is missing.

Usage: python bench/killed.py [--database sqlite|mariadb|mysql] [--times 20] [--kill-database TIMES]
Sixteen clients ask for tokens without a pause, half of them by refresh tokens. Then comes SIGKILL, to the server or to its
database, at no particular moment. Needs nothing but what tests need.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import json
import sys
import tempfile
import threading
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import requests
from sqlalchemy import text

from database.connection import create_engine_for
from tests.database_servers import MariaDBServer, create_database
from tests.journeys.application import Application, Storm
from tests.journeys.person import Person
from tests.mysql_server import MySQLServer
from tests.serving import Server
from tests.waiting import HANG_SECONDS, eventually

CLIENTS = 16
SECONDS_BEFORE = (0.4, 1.1)  # of load before each kill, from one end to the other


class Askers:
    """Clients that ask without a pause, the even ones for a machine, the others by refresh tokens. ``given`` are the ids
    of access tokens that were answered."""

    def __init__(self, app: Application, machine: tuple[str, str]) -> None:
        self._app, self._machine = app, machine
        self._lock = threading.Lock()
        self._session = threading.local()
        self.held = {number: app.tokens()["refresh_token"] for number in range(1, CLIENTS, 2)}
        self.given: set[str] = set()
        self.unanswered = 0

    def step(self, number: int) -> None:
        form = {"grant_type": "client_credentials"}
        if number in self.held:
            form = {
                "grant_type": "refresh_token",
                "refresh_token": self.held[number],
                "client_id": self._app.client_id,
            }
        try:
            answer = self._post(form, None if number in self.held else self._machine)
        except requests.RequestException:
            self.unanswered += 1
            self._session.__dict__.clear()
            time.sleep(0.02)
            return
        if answer.status_code == 503:  # the database is away
            time.sleep(0.05)
            return
        assert answer.status_code == 200, answer.text
        fields = answer.json()
        with self._lock:
            self.given.add(jti_of(fields["access_token"]))
        if number in self.held:
            self.held[number] = fields["refresh_token"]

    def _post(self, form: dict[str, str], auth: tuple[str, str] | None) -> requests.Response:
        if not hasattr(self._session, "http"):
            self._session.http = requests.Session()
        made: requests.Response = self._session.http.post(
            f"{self._app.server.issuer}/token", data=form, auth=auth, timeout=HANG_SECONDS
        )
        return made


def jti_of(token: str) -> str:
    part = token.split(".")[1]
    return str(json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))["jti"])


def missing_and_forked(url: str, given: set[str]) -> tuple[int, int]:
    """How many of the tokens that were given have no record, and how many families have other than one living end."""
    engine = create_engine_for(url)
    with engine.connect() as connection:
        kept = {jti for (jti,) in connection.execute(text("SELECT jti FROM issued_tokens"))}
        rows = connection.execute(text("SELECT grant_id, generation, used_at FROM refresh_tokens"))
        families: dict[str, list[tuple[int, bool]]] = defaultdict(list)
        for grant_id, generation, used_at in rows:
            families[grant_id].append((generation, used_at is not None))
        revoked = connection.execute(text("SELECT COUNT(*) FROM oauth_grants WHERE revoked_at IS NOT NULL")).scalar()
    engine.dispose()
    forked = sum(
        sorted(family) != [(n, n < len(family) - 1) for n in range(len(family))] for family in families.values()
    )
    return len(given - kept), forked + int(revoked or 0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--database", choices=["sqlite", "mariadb", "mysql"], default="sqlite")
    parser.add_argument("--times", type=int, default=20)
    parser.add_argument("--kill-database", type=int, default=0, metavar="TIMES", help="MariaDB's process, afterwards")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="mcp-core-killed-") as name, contextlib.ExitStack() as stack:
        home, database, url, store = Path(name), {}, "", None
        if asked.database != "sqlite":
            store = MariaDBServer() if asked.database == "mariadb" else MySQLServer()
            stack.callback(store.close)
            create_database(store.url(), "killed")
            database, url = store.environment("killed"), _address(store)
        server = Server(home, database=database)
        stack.callback(server.kill)
        server.start()
        report(asked, server, url or f"sqlite:///{home / 'instance' / 'mcp-core.db'}", store)


def _address(store: Any) -> str:
    return str(store.url("killed").render_as_string(hide_password=False))


def report(asked: argparse.Namespace, server: Server, url: str, store: Any) -> None:
    made = server.mcp_core_json("client", "create", "--name", "Machine", "--grant", "client_credentials")
    askers = Askers(Application(server, Person("rosa")), (made["client_id"], made["client_secret"]))
    first, last = SECONDS_BEFORE
    with Storm(CLIENTS, askers.step):
        for number in range(asked.times + asked.kill_database):
            before = len(askers.given)
            eventually(lambda before=before: len(askers.given) > before + CLIENTS)  # type: ignore[misc]
            time.sleep(first + (last - first) * number / (asked.times + asked.kill_database))
            if number < asked.times:
                server.kill()
                server.start()
            else:
                store.kill()
                time.sleep(1)
                store.start()
        before = len(askers.given)
        eventually(lambda: len(askers.given) > before + CLIENTS)
    missing, forked = missing_and_forked(url, askers.given)
    print(
        f"{asked.database}: {asked.times} kills of the server, {asked.kill_database} of the database; "
        f"{len(askers.given)} tokens answered, {askers.unanswered} requests without an answer; "
        f"{missing} answered tokens without a record, {forked} families forked or lost"
    )
    sys.exit(bool(missing or forked))


if __name__ == "__main__":
    main()
