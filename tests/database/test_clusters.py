"""One node of several: what sessions wait for, and what ``doctor`` says."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import Engine

from database.cluster_checks import check_cluster, galera_remarks, group_remarks
from database.connection import ConfigurationError, create_engine_for, database_url_from_environment
from database.server_connections import wait_for_other_nodes
from tests.database_servers import MariaDBServer

NODE = {"wsrep_cluster_status": "Primary", "wsrep_cluster_size": "3", "wsrep_local_state_comment": "Synced"}


class Node:
    """A connection to a server, with its cursor, that says ``wsrep_on`` as told. None: it has never heard of it."""

    def __init__(self, wsrep_on: str | None) -> None:
        self._wsrep_on = wsrep_on
        self.was_set: list[object] = []

    def cursor(self) -> Node:
        return self

    def __enter__(self) -> Node:
        return self

    def __exit__(self, *_error: object) -> None:
        pass

    def execute(self, statement: str, values: tuple[object, ...] = ()) -> None:
        if statement.startswith("SET SESSION wsrep_sync_wait"):
            self.was_set += values

    def fetchone(self) -> tuple[str, str] | None:
        return None if self._wsrep_on is None else ("wsrep_on", self._wsrep_on)


@pytest.mark.parametrize(
    "wsrep_on,level,was_set", [("ON", "1", [1]), ("ON", "7", [7]), ("OFF", "1", []), (None, "1", [])]
)
def test_sessions_wait_for_other_nodes_where_there_are_any(
    wsrep_on: str | None, level: str, was_set: list[object]
) -> None:
    node = Node(wsrep_on)
    wait_for_other_nodes(node, level)
    assert node.was_set == was_set


@pytest.mark.parametrize("said,asked", [(None, True), ("1", True), ("3", True), ("0", False), ("00", False)])
def test_whether_sessions_wait_is_a_setting(
    mariadb_server: MariaDBServer, monkeypatch: pytest.MonkeyPatch, said: str | None, *, asked: bool
) -> None:
    levels: list[str] = []
    monkeypatch.setattr("database.engines.wait_for_other_nodes", lambda _connection, level: levels.append(level))
    variables = {**mariadb_server.environment("mysql"), **({"MYSQL_WSREP_SYNC_WAIT": said} if said else {})}
    engine = create_engine_for(database_url_from_environment(variables))
    engine.connect().close()
    engine.dispose()
    assert levels == ([said or "1"] if asked else [])


@pytest.mark.parametrize("said", ["yes", "-1", "16", "1.0", "١"])
def test_what_is_no_level_of_waiting_is_refused(said: str) -> None:
    variables = {"MYSQL_HOST": "db", "MYSQL_USER": "u", "MYSQL_DATABASE": "d", "MYSQL_WSREP_SYNC_WAIT": said}
    with pytest.raises(ConfigurationError, match="MYSQL_WSREP_SYNC_WAIT"):
        database_url_from_environment(variables)


def test_an_ordinary_server_is_no_cluster(engine: Engine) -> None:
    assert check_cluster(engine) == []


@pytest.mark.parametrize(
    "changes,sync_wait,states",
    [
        ({}, "1", ["ok"]),
        ({}, "0", ["warn", "ok"]),
        ({"wsrep_local_state_comment": "Donor/Desynced"}, "1", ["ok"]),
        ({"wsrep_local_state_comment": "Joining"}, "1", ["warn", "ok"]),
        ({"wsrep_cluster_status": "non-Primary"}, "1", ["fail"]),
        ({"wsrep_cluster_status": "Disconnected"}, "0", ["fail"]),
    ],
)
def test_a_galera_node_is_described(changes: dict[str, str], sync_wait: str, states: list[str]) -> None:
    assert [state for state, _ in galera_remarks({**NODE, **changes}, sync_wait)] == states


OWN, OTHER = (True, "ONLINE", "PRIMARY"), (False, "ONLINE", "SECONDARY")


@pytest.mark.parametrize(
    "members,consistency,states",
    [
        ([], "", []),
        ([OTHER], "EVENTUAL", []),
        ([OWN, OTHER], "EVENTUAL", ["ok"]),
        ([(True, "ONLINE", "SECONDARY"), (False, "ONLINE", "PRIMARY")], "EVENTUAL", ["fail", "ok"]),
        ([(True, "RECOVERING", "SECONDARY"), OTHER], "EVENTUAL", ["fail", "ok"]),
        ([OWN, (False, "ONLINE", "PRIMARY")], "EVENTUAL", ["warn", "ok"]),
        ([OWN, (False, "ONLINE", "PRIMARY")], "BEFORE", ["ok"]),
        ([OWN, (False, "ONLINE", "PRIMARY")], "BEFORE_AND_AFTER", ["ok"]),
    ],
)
def test_a_member_of_a_replication_group_is_described(members: list[Any], consistency: str, states: list[str]) -> None:
    assert [state for state, _ in group_remarks(members, consistency)] == states
