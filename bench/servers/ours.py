"""``mcp-core serve`` as an operator starts it: default settings, on SQLite, MariaDB or MySQL, with one worker or several."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, overload

from bench.processes import on_cores, pin
from bench.servers.measured import NAME_OF_PERSON, Client, Measured, NotHere
from tests.database_servers import DatabaseServer, MariaDBServer, ServerMissing, create_database
from tests.mysql_server import FOLDER, MySQLServer
from tests.serving import Server

SEED_SECONDS = 1200
SEED = Path(__file__).resolve().parents[1] / "seed.py"
# Durable at each commit, and not short of memory: the tests' servers are neither.
DURABLE = ("--innodb-flush-log-at-trx-commit=1", "--innodb-flush-method=fsync", "--innodb-buffer-pool-size=1G")
DATABASES = {"sqlite": "SQLite", "mariadb": "MariaDB", "mysql": "MySQL"}


def database_server(kind: str) -> DatabaseServer:
    """A new one that flushes at every commit. Raises ``NotHere``."""
    if kind == "mysql":
        if not (FOLDER / "bin/mysqld").is_file():
            raise NotHere("MySQL is not here: .ci/mysql-server unpacks it.")
        return MySQLServer(*DURABLE, "--sync-binlog=1", "--innodb-redo-log-capacity=512M")
    try:
        return MariaDBServer(*DURABLE, "--innodb-log-file-size=512M")
    except ServerMissing as missing:
        raise NotHere(str(missing)) from None


@dataclass(frozen=True)
class Size:
    """How many clients and people there are; ``rows`` of each kind in all, where growth is measured."""

    clients: int = 1000
    people: int = 100
    rows: int = 0


class Machines(Sequence[Client]):
    """All of them without a million objects: the first, and its copies by number, with one secret."""

    def __init__(self, first: str, secret: str, copies: int) -> None:
        self._first, self._secret, self._copies = first, secret, copies

    def __len__(self) -> int:
        return 1 + self._copies

    @overload
    def __getitem__(self, index: int) -> Client: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[Client]: ...

    def __getitem__(self, index: int | slice) -> Client | Sequence[Client]:
        if isinstance(index, slice):
            return [self[number] for number in range(*index.indices(len(self)))]
        if not 0 <= index < len(self):
            raise IndexError(index)
        return Client(f"app_bench{index - 1}" if index else self._first, self._secret)


class Ours(Measured):
    app_scope = "openid offline_access api:read"
    consent_button = "allow"

    def __init__(
        self, folder: Path, cores: Sequence[int], kind: str, *, workers: int = 1, size: Size | None = None
    ) -> None:
        super().__init__(folder, cores)
        self.key = f"{kind}-{workers}" if workers > 1 else kind
        self.name = f"mcp-core, {DATABASES[kind]}" + (f", {workers} workers" if workers > 1 else "")
        if size is not None and size.rows:
            self.key, self.name = f"{kind}, {size.rows}", f"{DATABASES[kind]}, {size.rows:,} rows"
        self.stores = "each token a committed row"
        self._kind = kind
        self._workers = workers
        self._size = size or Size()
        self._database: DatabaseServer | None = None
        self._seeded: dict[str, Any] = {}
        self._server: Server

    @property
    def version(self) -> str:
        """Of the database, since ours stands among the libraries."""
        if self._database is None:
            return sqlite3.sqlite_version
        with contextlib.closing(self._database.connect()) as connection, connection.cursor() as cursor:
            cursor.execute("SELECT VERSION()")
            found = cursor.fetchone()
        return str(found[0]) if found else ""

    @property
    def issuer(self) -> str:
        return self._server.issuer

    def furnish(self) -> None:
        """The first start makes keys and tables."""
        environment: Mapping[str, str] = {}
        if self._kind != "sqlite":
            self._database = database_server(self._kind)
            create_database(self._database.url(), "bench")
            environment = self._database.environment("bench")
            pin(self.helpers()[0], self.cores)
        self._server = Server(
            self.folder,
            host="127.0.0.1",
            database=environment,
            workers=self._workers,
            prefix=on_cores(self.cores),
            port=self.port,
        )
        self._server.start()
        size = self._size
        amounts = ("--clients", size.clients, "--people", size.people, "--rows", size.rows)
        try:
            done = subprocess.run(
                [sys.executable, str(SEED), *map(str, amounts)],
                env=self._server.environment,
                cwd=self._server.home,
                check=False,
                capture_output=True,
                text=True,
                timeout=SEED_SECONDS,
            )
        except subprocess.TimeoutExpired:
            raise NotHere(f"{size.rows:,} rows were not written within {SEED_SECONDS // 60} minutes.") from None
        if done.returncode:
            raise RuntimeError(f"seed.py failed: {done.stderr[-3000:]}")
        self._seeded = json.loads(done.stdout.splitlines()[-1])
        self.app = Client(self._seeded["app"], self._seeded["secret_of_app"])
        self._server.stop()

    def command(self) -> list[str]:
        raise NotImplementedError("tests.serving starts it")

    def start(self) -> None:
        began = time.monotonic()
        self._server.start()
        self.cold_start_seconds = time.monotonic() - began

    def stop(self) -> None:
        with contextlib.suppress(AttributeError):  # nothing was furnished
            self._server.stop()
        if self._database is not None:
            self._database.close()

    def processes(self) -> list[int]:
        return self._server.processes()

    def helpers(self) -> list[int]:
        if self._database is None:
            return []
        return [int(self._database.socket.with_suffix(".pid").read_text(encoding="ascii"))]

    def machines(self, algorithm: str) -> Sequence[Client]:  # noqa: ARG002 - any client may ask for both
        return Machines(self._seeded["machine"], self._seeded["secret"], max(self._size.clients, self._size.rows))

    def people(self) -> Sequence[str]:
        return [f"{NAME_OF_PERSON}{number}" for number in range(self._size.people)]
