"""The troubles that ``starve.py`` makes, each a context manager that begins it and ends it. They come from 127.0.0.2."""

from __future__ import annotations

import base64
import contextlib
import datetime
import http.client
import itertools
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

from requests.adapters import HTTPAdapter

from tests.browser import Browser
from tests.database_servers import MariaDBServer
from tests.journeys.person import Person
from tests.serving import Server
from tests.signing import assertion_claims, client_key, with_assertion

ELSEWHERE = "127.0.0.2"
BOTH = ("sqlite", "mariadb")
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@dataclass(frozen=True)
class Stage:
    server: Server
    mariadb: MariaDBServer | None
    person: Person
    client_id: str
    secret: str
    slow_ports: tuple[int, ...]

    @property
    def basic(self) -> str:
        return "Basic " + base64.b64encode(f"{self.client_id}:{self.secret}".encode()).decode()


@dataclass(frozen=True)
class Trouble:
    begin: Callable[[Stage], contextlib.AbstractContextManager[None]]
    databases: tuple[str, ...] = BOTH

    def fits(self, database: str) -> bool:
        return database in self.databases

    def __call__(self, stage: Stage) -> contextlib.AbstractContextManager[None]:
        return self.begin(stage)


@contextlib.contextmanager
def nothing(_stage: Stage) -> Iterator[None]:
    yield


def connect(stage: Stage) -> socket.socket:
    return socket.create_connection(("127.0.0.1", stage.server.port), timeout=30, source_address=(ELSEWHERE, 0))


@contextlib.contextmanager
def repeated(count: int, work: Callable[[], object]) -> Iterator[None]:
    """``work`` in ``count`` threads, over and over until the end."""
    stopping = threading.Event()

    def run() -> None:
        while not stopping.is_set():
            with contextlib.suppress(Exception):
                work()
            stopping.wait(0.05)

    threads = [threading.Thread(target=run, daemon=True) for _ in range(count)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stopping.set()
        for thread in threads:
            thread.join(0.2)


def slow_bodies(count: int) -> Callable[[Stage], contextlib.AbstractContextManager[None]]:
    @contextlib.contextmanager
    def begin(stage: Stage) -> Iterator[None]:
        """A byte a second on each connection, to the token endpoint and to the sign-in page in turns."""
        paths = (f"{stage.server.path}/token", "/login")
        senders: list[socket.socket] = []

        def begin_one(number: int) -> socket.socket:
            sender = connect(stage)
            sender.sendall(
                f"POST {paths[number % 2]} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n"
                "Content-Type: application/x-www-form-urlencoded\r\n\r\n".encode()
            )
            return sender

        def drip() -> None:
            for number, sender in enumerate(senders):
                try:
                    sender.sendall(b"x")
                except OSError:  # was told that it took too long
                    sender.close()
                    senders[number] = begin_one(number)
            time.sleep(1)

        senders.extend(begin_one(number) for number in range(count))
        with repeated(1, drip):
            yield
        for sender in senders:
            sender.close()

    return begin


@contextlib.contextmanager
def slow_readers(stage: Stage) -> Iterator[None]:
    """Two hundred that ask for more than their sockets can hold, and read nothing of it."""
    with contextlib.ExitStack() as stack:
        for _ in range(200):
            reader = stack.enter_context(connect(stage))
            reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
            reader.sendall(b"GET /static/site.css HTTP/1.1\r\nHost: localhost\r\n\r\n" * 20)
        time.sleep(2)  # what fits has been written
        yield


@contextlib.contextmanager
def idle_connections(stage: Stage) -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        for _ in range(1000):
            stack.enter_context(connect(stage))
        yield


class _FromElsewhere(HTTPAdapter):
    def init_poolmanager(self, *arguments: object, **named: object) -> None:
        super().init_poolmanager(*arguments, source_address=(ELSEWHERE, 0), **named)  # type: ignore[arg-type]


def _browser_elsewhere() -> Browser:
    browser = Browser()
    browser.session.mount("http://", _FromElsewhere())
    return browser


@contextlib.contextmanager
def wrong_passwords(stage: Stage) -> Iterator[None]:
    """The form is fetched once, so that guessing costs next to nothing."""
    browser = _browser_elsewhere()
    page = browser.get(f"{stage.server.origin}/login")
    fields = {name: values[0] for name, values in page.form("password").fields.items() if values}
    body = urlencode({**fields, "username": stage.person.username, "password": "not the password of ana"})
    cookie = "; ".join(f"{name}={value}" for name, value in browser.session.cookies.items())
    headers = {**FORM, "Cookie": cookie, "Origin": stage.server.origin, "Sec-Fetch-Site": "same-origin"}

    def guess() -> None:
        connection = http.client.HTTPConnection(
            "127.0.0.1", stage.server.port, timeout=30, source_address=(ELSEWHERE, 0)
        )
        with contextlib.closing(connection):
            connection.request("POST", "/login", body, headers)
            connection.getresponse().read()

    with repeated(40, guess):
        yield


@contextlib.contextmanager
def locked_row(stage: Stage) -> Iterator[None]:
    """Somebody holds the row of one user, who signs in five times at once."""

    def sign_in() -> None:
        browser = _browser_elsewhere()
        browser.get(f"{stage.server.origin}/login")
        browser.fill({"username": stage.person.username, "password": stage.person.password})

    with contextlib.ExitStack() as stack:
        if stage.mariadb is not None:
            holder = stage.mariadb.connect("starve")
            stack.callback(holder.close)
            holder.begin()
            with holder.cursor() as cursor:
                cursor.execute("SELECT id FROM users WHERE username = %s FOR UPDATE", (stage.person.username,))
        stack.enter_context(repeated(5, sign_in))
        yield


@contextlib.contextmanager
def writer_elsewhere(stage: Stage) -> Iterator[None]:
    """Another process holds SQLite's write lock for four seconds, twice."""
    file = stage.server.home / "instance" / "mcp-core.db"
    code = (
        "import sqlite3, sys, time\nc = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=9)\n"
        "for _ in range(2):\n    c.execute('BEGIN IMMEDIATE'); time.sleep(4); c.execute('ROLLBACK'); time.sleep(0.5)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code, str(file)])
    try:
        yield
    finally:
        process.wait(20)


@contextlib.contextmanager
def slow_hosts(stage: Stage) -> Iterator[None]:
    """Two hosts that say nothing, and twenty who prove themselves by keys that are there, over and over."""
    with contextlib.ExitStack() as stack:
        clients = []
        for port in stage.slow_ports:
            stack.enter_context(socket.create_server(("127.0.0.1", port), backlog=64))
            made = stage.server.mcp_core_json(
                *("client", "create", "--name", f"Slow {port}", "--grant", "client_credentials"),
                *("--auth-method", "private_key_jwt", "--jwks-uri", f"https://127.0.0.1:{port}/jwks"),
                *("--resource", "https://api.example/", "--scope", "api:read"),
            )
            clients.append(made["client_id"])
        turns = itertools.cycle(clients)
        key = client_key()

        def ask() -> None:
            claims = assertion_claims(next(turns), stage.server.issuer, datetime.datetime.now(datetime.UTC))
            form = {"grant_type": "client_credentials", **with_assertion(key.sign(claims))}
            connection = http.client.HTTPConnection(
                "127.0.0.1", stage.server.port, timeout=30, source_address=(ELSEWHERE, 0)
            )
            with contextlib.closing(connection):
                connection.request("POST", f"{stage.server.path}/token", urlencode(form), FORM)
                connection.getresponse().read()

        stack.enter_context(repeated(20, ask))
        yield


def _mariadb_pid(stage: Stage) -> int:
    assert stage.mariadb is not None
    return int(Path(stage.mariadb.socket).with_suffix(".pid").read_text(encoding="ascii"))


@contextlib.contextmanager
def frozen_database(stage: Stage) -> Iterator[None]:
    pid = _mariadb_pid(stage)
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


@contextlib.contextmanager
def killed_database(stage: Stage) -> Iterator[None]:
    assert stage.mariadb is not None
    stage.mariadb.kill()
    try:
        yield
    finally:
        stage.mariadb.start()


TROUBLES = {
    "nothing": Trouble(nothing),
    "12 slow bodies": Trouble(slow_bodies(12)),
    "200 slow bodies": Trouble(slow_bodies(200)),
    "200 slow readers": Trouble(slow_readers),
    "1,000 idle connections": Trouble(idle_connections),
    "40 wrong passwords at once": Trouble(wrong_passwords),
    "a locked row and five sign-ins": Trouble(locked_row, ("mariadb",)),
    "another process holds the write lock": Trouble(writer_elsewhere, ("sqlite",)),
    "two slow outbound hosts": Trouble(slow_hosts),
    "frozen database": Trouble(frozen_database, ("mariadb",)),
    "killed database": Trouble(killed_database, ("mariadb",)),
}
