"""A database that is away, busy or in a deadlock: a clear answer, another try, and a full recovery without a restart."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import Engine, event, text

from database.connection import create_engine_for
from database.transaction import Transaction
from provider.doors.doorway import Doorway
from provider.doors.endpoint import Endpoint
from provider.doors.transactions import DATABASE_TRIES
from provider.protocol.messages import ProtocolRequest, ProtocolResponse
from tests.database_servers import MariaDBServer, create_migrated_database
from tests.endpoints.provider import Provider, ProviderFactory
from tests.endpoints.wsgi import Answer
from tests.waiting import HANG_SECONDS

GRANT = {"grant_type": "client_credentials"}


def is_unavailable(answer: Answer) -> bool:
    assert answer.error == (503, "temporarily_unavailable")
    assert int(answer.header("Retry-After") or 0) > 0
    assert answer.header("Cache-Control") == "no-store"
    assert answer.reason.upper() == "SERVICE UNAVAILABLE"
    return True


@pytest.fixture
def own_server() -> Iterator[MariaDBServer]:
    server = MariaDBServer()
    yield server
    server.close()


@pytest.fixture(params=["wsgi", "asynchronous"])
def on_own_server(
    request: pytest.FixtureRequest, own_server: MariaDBServer, make_provider: ProviderFactory
) -> Iterator[Provider]:
    engine = create_engine_for(create_migrated_database(own_server.url(), "faults"))
    yield make_provider(engine, door=request.param)
    engine.dispose()


@pytest.mark.slow
def test_the_server_goes_and_comes_back(on_own_server: Provider, own_server: MariaDBServer) -> None:
    provider = on_own_server
    client, public = provider.machine(), provider.client("none")
    tokens = provider.tokens(provider.user(), public)
    assert provider.token(client, GRANT).status == 200
    own_server.kill()
    for _ in range(2):
        assert is_unavailable(provider.token(client, GRANT))
        assert is_unavailable(provider.refresh(public, tokens["refresh_token"]))
        assert is_unavailable(provider.introspect(client, tokens["access_token"]))
        assert is_unavailable(provider.revoke(public, tokens["refresh_token"]))
        assert is_unavailable(provider.userinfo(tokens["access_token"]))
    # Verifiers go on: the keys and the metadata are still there, even when it is time to read the keys again.
    provider.clock.advance(31)
    assert provider.get(f"{provider.path}/jwks").status == 200
    assert provider.get("/.well-known/openid-configuration").status == 200
    assert provider.get("/health").status == 503
    own_server.start()
    assert provider.token(client, GRANT).status == 200
    assert provider.refresh(public, tokens["refresh_token"]).status == 200
    assert provider.userinfo(tokens["access_token"]).status == 200
    assert provider.get("/health").status == 200


@pytest.mark.slow
def test_the_server_restarts_between_two_requests_and_nobody_notices(
    on_own_server: Provider, own_server: MariaDBServer
) -> None:
    provider = on_own_server
    client = provider.machine()
    assert provider.token(client, GRANT).status == 200
    own_server.kill()
    own_server.start()
    assert provider.token(client, GRANT).status == 200


@pytest.mark.slow
@pytest.mark.parametrize("on_own_server", ["wsgi"], indirect=True)
def test_a_server_that_dies_in_the_middle_leaves_the_old_token(
    on_own_server: Provider, own_server: MariaDBServer
) -> None:
    """Everything was written but the commit: after the crash the old refresh token works, and there is one chain."""
    provider = on_own_server
    client = provider.client("none")
    token = provider.tokens(provider.user(), client)["refresh_token"]

    def crash(_connection: Any) -> None:
        own_server.kill()

    event.listen(provider.engine, "commit", crash)
    answer = provider.refresh(client, token)
    event.remove(provider.engine, "commit", crash)
    assert is_unavailable(answer)
    own_server.start()
    first = provider.refresh(client, token)
    assert first.status == 200
    assert provider.refresh(client, first.json["refresh_token"]).status == 200


@pytest.mark.slow
@pytest.mark.parametrize("on_own_server", ["wsgi"], indirect=True)
def test_a_connection_that_the_server_has_closed_is_replaced(
    on_own_server: Provider, own_server: MariaDBServer
) -> None:
    """In the middle of a request as well, where the pool's own check comes too late."""
    provider = on_own_server
    client = provider.machine()
    killed: list[int] = []

    def kill(connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        if statement.startswith("INSERT INTO issued_tokens") and not killed:
            killed.append(connection.connection.thread_id())
            with own_server.connect() as other, other.cursor() as cursor:
                cursor.execute(f"KILL {killed[0]}")

    event.listen(provider.engine, "before_cursor_execute", kill)
    answer = provider.token(client, GRANT)
    event.remove(provider.engine, "before_cursor_execute", kill)
    assert killed
    assert answer.status == 200


def test_the_loser_of_a_deadlock_tries_again(server_engine: Engine, make_provider: ProviderFactory) -> None:
    """A real one: each holds the row that the other wants next. The heavier transaction wins it, so the request loses."""
    with server_engine.begin() as connection:
        connection.execute(text("DROP TABLE IF EXISTS deadlock"))
        connection.execute(text("CREATE TABLE deadlock (id INT PRIMARY KEY, n INT NOT NULL) ENGINE=InnoDB"))
        connection.execute(text("INSERT INTO deadlock VALUES (1, 0), (2, 0)"))
    both_hold_one, attempts = threading.Barrier(2, timeout=HANG_SECONDS), []
    step = text("UPDATE deadlock SET n = n + 1 WHERE id = :id")

    def handle(_request: ProtocolRequest, tx: Transaction) -> ProtocolResponse:
        attempts.append(1)
        tx.execute(step, {"id": 1})
        if len(attempts) == 1:
            both_hold_one.wait()
        tx.execute(step, {"id": 2})
        return ProtocolResponse.json({})

    def rival() -> None:
        with server_engine.begin() as connection:
            connection.execute(
                text("INSERT INTO deadlock VALUES (:id, 0)"), [{"id": number} for number in range(10, 500)]
            )
            connection.execute(step, {"id": 2})
            both_hold_one.wait()
            connection.execute(step, {"id": 1})

    thread = threading.Thread(target=rival)
    thread.start()
    try:
        doorway = Doorway(server_engine)
        endpoint = Endpoint("/x", ("GET",), handle)
        request = doorway.request("GET", "/x", "", {}, b"", "192.0.2.10")
        answer = doorway.answer(endpoint, request)
    finally:
        thread.join()
    assert (answer.status, len(attempts)) == (200, 2)
    with server_engine.begin() as connection:
        assert connection.execute(text("SELECT n FROM deadlock WHERE id < 3")).scalars().all() == [2, 2]
        connection.execute(text("DROP TABLE deadlock"))


def writer_of(engine: Engine) -> sqlite3.Connection:
    """Another process that is writing: SQLite has one writer at a time."""
    assert engine.url.database
    connection = sqlite3.connect(engine.url.database, isolation_level=None, check_same_thread=False)
    connection.execute("BEGIN IMMEDIATE")
    return connection


@pytest.fixture
def impatient(provider: Provider) -> Provider:
    """A provider that waits for another writer for a twentieth of a second only."""
    provider.engine.dispose()
    event.listen(provider.engine, "connect", lambda connection, _record: connection.execute("PRAGMA busy_timeout=50"))
    return provider


def test_a_locked_file_is_a_passing_fault(impatient: Provider) -> None:
    client = impatient.machine()
    writer = writer_of(impatient.engine)
    assert is_unavailable(impatient.token(client, GRANT))
    writer.execute("ROLLBACK")
    writer.close()
    assert impatient.token(client, GRANT).status == 200


def test_a_lock_that_ends_meanwhile_is_never_noticed(impatient: Provider) -> None:
    client = impatient.machine()
    writer = writer_of(impatient.engine)
    tries: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        if statement.startswith("INSERT INTO issued_tokens"):
            tries.append(statement)
            if len(tries) == DATABASE_TRIES:
                writer.execute("ROLLBACK")

    event.listen(impatient.engine, "before_cursor_execute", note)
    answer = impatient.token(client, GRANT)
    event.remove(impatient.engine, "before_cursor_execute", note)
    writer.close()
    assert (answer.status, len(tries)) == (200, DATABASE_TRIES)
