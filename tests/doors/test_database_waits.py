"""Waits for the database are bounded together: a lock that is held, a server that is frozen, a file that another writes."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import URL, Engine, event, insert, text

from database.breaker import ANSWERS, BREAKERS, SILENT
from database.connection import create_engine_for
from database.models import RateCounter
from database.patience import LOCK_WAIT_SECONDS
from database.transaction import Transaction
from provider.doors.doorway import Doorway
from provider.doors.endpoint import Endpoint
from provider.protocol.messages import ProtocolRequest, ProtocolResponse
from provider.security.crypto import Keyring
from tests.database.test_connection import counter
from tests.database_proxy import DatabaseProxy
from tests.database_servers import MariaDBServer
from tests.doors.test_database_faults import GRANT, is_unavailable, writer_of
from tests.endpoints.provider import Provider, ProviderFactory
from tests.pages.site import PASSWORD, Site, Visitor
from tests.waiting import HANG_SECONDS, eventually, no_hang


@contextlib.contextmanager
def statements(engine: Engine, beginning: str = "") -> Iterator[list[str]]:
    """What is sent to the database meanwhile."""
    seen: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        if statement.startswith(beginning):
            seen.append(statement)

    event.listen(engine, "before_cursor_execute", note)
    yield seen
    event.remove(engine, "before_cursor_execute", note)


@pytest.fixture
def hurried_engine(mariadb_engine: Engine, mariadb_url: URL, monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    """A lock is waited for a second, and a request has less than another second after that."""
    monkeypatch.setattr("database.server_connections.LOCK_WAIT_SECONDS", 1)
    monkeypatch.setattr("database.patience.DATABASE_SECONDS", 2.9)
    monkeypatch.setattr("provider.doors.transactions.LOCK_WAIT_SECONDS", 2)
    engine = create_engine_for(mariadb_url)
    yield engine
    engine.dispose()


@pytest.mark.parametrize("is_bare", [True, False])
def test_a_locked_row_is_waited_for_once(
    hurried_engine: Engine, mariadb_engine: Engine, make_provider: ProviderFactory, *, is_bare: bool
) -> None:
    provider = make_provider(hurried_engine, bare_door=is_bare)
    client = provider.client("none")
    token = provider.tokens(provider.user(), client)["refresh_token"]
    with mariadb_engine.connect() as holder:
        holder.execute(text("SELECT * FROM refresh_tokens FOR UPDATE")).all()
        with no_hang(), statements(hurried_engine, "UPDATE refresh_tokens") as tries:
            assert is_unavailable(provider.refresh(client, token))
    assert len(tries) == 1
    assert BREAKERS[hurried_engine].state == ANSWERS
    assert provider.refresh(client, token).status == 200


def test_five_sign_ins_of_a_locked_user_keep_nobody_waiting_longer_than_one(
    hurried_engine: Engine,
    mariadb_engine: Engine,
    make_provider: ProviderFactory,
    tmp_path: Path,
    migrated_sqlite_file: Path,
    keyring: Keyring,
) -> None:
    make_provider(hurried_engine)  # with keys that are made already
    site = Site(tmp_path / "site", migrated_sqlite_file, keyring, engine=hurried_engine)
    visitors = [Visitor(site) for _ in range(5)]
    site.account("ana")
    tokens = [visitor.token() for visitor in visitors]

    def sign_in(number: int) -> tuple[int, bool]:
        page = visitors[number].post("/login", {"username": "ana", "password": PASSWORD}, token=tokens[number])
        return page.status, "Retry-After" in page.headers

    with mariadb_engine.connect() as holder:
        holder.execute(text("SELECT * FROM users FOR UPDATE")).all()
        with no_hang(), ThreadPoolExecutor(5) as pool:
            assert set(pool.map(sign_in, range(5))) == {(503, True)}


# A server that is frozen


@pytest.fixture
def proxy(mariadb_server: MariaDBServer) -> Iterator[DatabaseProxy]:
    proxy = DatabaseProxy(mariadb_server.port)
    yield proxy
    proxy.close()


@pytest.fixture
def behind_proxy(
    proxy: DatabaseProxy,
    mariadb_engine: Engine,
    mariadb_url: URL,
    make_provider: ProviderFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Provider]:
    monkeypatch.setattr("database.patience.DATABASE_SECONDS", 1.5)
    monkeypatch.setattr("database.breaker.SILENCE_SECONDS", 0.5)
    engine = create_engine_for(mariadb_url.set(port=proxy.port))
    yield make_provider(engine)
    engine.dispose()
    proxy.is_silent = False  # the thread that asks goes on until it has an answer
    eventually(lambda: BREAKERS[engine].state == ANSWERS)


def test_a_frozen_server_is_waited_for_once_and_used_again_when_it_thaws(
    behind_proxy: Provider, proxy: DatabaseProxy
) -> None:
    provider, breaker = behind_proxy, BREAKERS[behind_proxy.engine]
    client = provider.machine()
    assert provider.token(client, GRANT).status == 200
    proxy.is_silent = True
    with no_hang():
        assert is_unavailable(provider.token(client, GRANT))
        eventually(lambda: breaker.state == SILENT)
    with no_hang(), statements(provider.engine) as sent:
        for _ in range(20):
            assert is_unavailable(provider.token(client, GRANT))
            assert provider.get("/login").status in (200, 503)
        assert provider.get("/health").status == 503
        provider.clock.advance(60)
        assert provider.get(f"{provider.path}/jwks").status == 200
        assert provider.get("/.well-known/openid-configuration").status == 200
    assert sent == [], "nobody asked it but the breaker"
    assert not breaker.answers()
    proxy.is_silent = False
    eventually(lambda: breaker.state == ANSWERS)
    assert provider.token(client, GRANT).status == 200
    assert breaker.answers()


def test_connections_that_come_to_nothing_are_not_waited_for_one_after_another(
    behind_proxy: Provider, proxy: DatabaseProxy
) -> None:
    """The first requests after a start, or after all connections were lost."""
    provider, breaker = behind_proxy, BREAKERS[behind_proxy.engine]
    client = provider.machine()
    provider.engine.dispose()
    proxy.is_silent = True
    time.sleep(0.5)  # nobody had an answer for that long
    with no_hang():
        assert is_unavailable(provider.token(client, GRANT))
        eventually(lambda: breaker.state == SILENT)
        for _ in range(20):
            assert is_unavailable(provider.token(client, GRANT))


def test_the_known_keys_are_shown_while_a_frozen_server_is_asked_for_them(
    behind_proxy: Provider, proxy: DatabaseProxy
) -> None:
    """Before anybody knows that it is frozen: nobody waits longer than for one look."""
    provider = behind_proxy
    proxy.is_silent = True
    provider.clock.advance(31)
    with no_hang(), ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: provider.get(f"{provider.path}/jwks").status, range(12)))
    assert set(answers) == {200}


def test_a_slow_statement_is_cut_off_and_keeps_nobody_else_from_the_database(
    mariadb_engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("database.patience.DATABASE_SECONDS", 1.5)
    monkeypatch.setattr("database.breaker.SILENCE_SECONDS", 0.5)
    doorway = Doorway(mariadb_engine)
    tries: list[str] = []

    def handle(request: ProtocolRequest, tx: Transaction) -> ProtocolResponse:
        tries.append(request.path)
        tx.execute(text("SELECT SLEEP(30)" if request.path == "/slow" else "SELECT 1"))
        return ProtocolResponse.json({})

    def ask(path: str) -> int:
        request = doorway.request("GET", path, "", {}, b"", "192.0.2.10")
        return doorway.answer(Endpoint(path, ("GET",), handle), request).status

    with no_hang():
        assert ask("/slow") == 503
        assert tries == ["/slow"], "a wait in vain is not begun again"
        assert ask("/quick") == 200
    assert BREAKERS[mariadb_engine].state == ANSWERS


# A file that another process writes to


def test_who_waits_for_another_process_to_write_waits_once(provider: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("database.patience.DATABASE_SECONDS", 1)
    client = provider.machine()
    writer = writer_of(provider.engine)
    with no_hang(), statements(provider.engine, "INSERT INTO issued_tokens") as tries, ThreadPoolExecutor(5) as pool:
        answers = list(pool.map(lambda _: provider.token(client, GRANT), range(5)))
    assert all(is_unavailable(answer) for answer in answers)
    assert len(tries) <= 5
    writer.execute("ROLLBACK")
    writer.close()
    assert provider.token(client, GRANT).status == 200
    with provider.engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA busy_timeout").scalar() == LOCK_WAIT_SECONDS * 1000


def test_who_has_waited_for_a_turn_waits_for_another_process_only_for_the_rest(sqlite_engine: Engine) -> None:
    first, waits = Transaction(sqlite_engine), threading.Event()
    seen: list[int] = []
    first.execute(insert(RateCounter), counter("first"))

    def second() -> None:
        waits.set()
        with Transaction(sqlite_engine) as tx:
            tx.execute(insert(RateCounter), counter("second"))
            seen.append(tx.execute(text("PRAGMA busy_timeout")).scalar_one())

    thread = threading.Thread(target=second)
    thread.start()
    assert waits.wait(HANG_SECONDS)
    time.sleep(0.3)
    first.commit()
    thread.join(HANG_SECONDS)
    assert seen
    assert seen[0] < LOCK_WAIT_SECONDS * 1000


def test_readers_of_a_file_wait_for_no_writer(provider: Provider) -> None:
    client = provider.client("none")
    token = provider.tokens(provider.user(), client)["access_token"]
    writer: sqlite3.Connection = writer_of(provider.engine)
    assert provider.userinfo(token).status == 200
    writer.close()
