"""What a cluster refuses: a COMMIT that lost against another node's, and a node without the others.

The numbers are Galera's and Group Replication's; here they come from the driver, in front of one ordinary server.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pymysql
import pytest
from sqlalchemy import Engine, event

from database.breaker import ANSWERS, FAILS, Breaker
from database.faults import NO_QUORUM
from database.server_connections import Connector
from provider.doors.transactions import DATABASE_TRIES
from provider.security.crypto import Keyring
from tests.doors.test_database_faults import GRANT, is_unavailable
from tests.endpoints.provider import Provider, ProviderFactory
from tests.pages.site import PASSWORD, Site, Visitor

REFUSED = {
    1213: "Deadlock found when trying to get lock",
    3101: "Plugin instructed the server to rollback",
    1205: "Lock",
}


@pytest.fixture
def refusals(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The numbers with which the next COMMITs are refused. Nothing of them is kept."""
    numbers: list[int] = []
    commit = pymysql.connections.Connection.commit

    def refuse(connection: Any) -> None:
        if numbers:
            connection.rollback()
            raise pymysql.err.OperationalError(numbers[0], REFUSED[numbers.pop(0)])
        commit(connection)

    monkeypatch.setattr(pymysql.connections.Connection, "commit", refuse)
    return numbers


@pytest.fixture
def node_without_quorum(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """How many of the next statements are answered as by a node that has lost the others."""
    left = [0]
    query = pymysql.connections.Connection.query

    def answer(connection: Any, sql: Any, unbuffered: bool = False) -> int:
        text = sql if isinstance(sql, str) else bytes(sql).decode(errors="replace")
        if left[0] > 0 and not text.startswith(("SET", "SHOW")):
            left[0] -= 1
            raise pymysql.err.OperationalError(NO_QUORUM, "WSREP has not yet prepared node for application use")
        return query(connection, sql, unbuffered)

    monkeypatch.setattr(pymysql.connections.Connection, "query", answer)
    yield left
    left[0] = 0


@pytest.fixture
def provider(mariadb_engine: Engine, make_provider: ProviderFactory) -> Provider:
    return make_provider(mariadb_engine)


@pytest.fixture
def visitor(provider: Provider, tmp_path: Path, migrated_sqlite_file: Path, keyring: Keyring) -> Visitor:
    site = Site(tmp_path / "site", migrated_sqlite_file, keyring, engine=provider.engine)
    site.account("ana")
    return Visitor(site)


@pytest.mark.parametrize("number", REFUSED)
def test_a_page_is_made_again_when_its_commit_was_refused(visitor: Visitor, refusals: list[int], number: int) -> None:
    token = visitor.token()
    refusals += [number] * (DATABASE_TRIES - 1)
    page = visitor.post("/login", {"username": "ana", "password": PASSWORD}, token=token)
    assert (page.status, refusals) == (303, [])
    started = [row for row in visitor.site.rows("user_audit_log")["user_audit_log"] if "session.started" in row]
    assert len(started) == 1


@pytest.mark.parametrize("number", REFUSED)
def test_a_token_request_is_run_again_when_its_commit_was_refused(
    provider: Provider, refusals: list[int], number: int
) -> None:
    client = provider.client("none")
    code = provider.code(provider.grant(provider.user(), client))
    refusals += [number] * (DATABASE_TRIES - 1)
    assert provider.redeem(client, code).status == 200
    assert refusals == []


def test_a_commit_that_is_refused_again_and_again_is_an_answer_in_the_end(
    provider: Provider, visitor: Visitor, refusals: list[int]
) -> None:
    client, token = provider.machine(), visitor.token()
    refusals += [1213] * DATABASE_TRIES
    assert is_unavailable(provider.token(client, GRANT))
    refusals += [1213] * DATABASE_TRIES
    page = visitor.post("/login", {"username": "ana", "password": PASSWORD}, token=token)
    assert (page.status, page.headers["Retry-After"]) == (503, "5")


def test_a_node_without_quorum_is_a_dead_connection(provider: Provider, node_without_quorum: list[int]) -> None:
    """The next connection may lead to another node."""
    client = provider.machine()
    assert provider.token(client, GRANT).status == 200
    made: list[Any] = []
    event.listen(provider.engine, "connect", lambda connection, _record: made.append(connection))
    node_without_quorum[0] = 1
    assert provider.token(client, GRANT).status == 200
    assert len(made) == 1
    node_without_quorum[0] = 1_000
    assert is_unavailable(provider.token(client, GRANT))
    assert provider.get("/health").status == 503


def test_a_node_without_quorum_is_down_for_health_checks(provider: Provider, node_without_quorum: list[int]) -> None:
    dialect = provider.engine.dialect
    arguments, said = dialect.create_connect_args(provider.engine.url)
    named = {**said, "password": str(said["password"]).encode()}
    moods: list[str] = []

    def note_and_recover(_seconds: float) -> None:
        moods.append(breaker.state)
        node_without_quorum[0] = 0

    breaker = Breaker(
        lambda: Connector(may_be_plain=True).ask(dialect, arguments, named),
        clock=iter(range(0, 1_000, 10)).__next__,
        pause=note_and_recover,
        start=lambda work: work(),
    )
    node_without_quorum[0] = 1
    breaker.answers()
    assert moods == [FAILS]
    assert breaker.state == ANSWERS
