"""What ``mcp-core doctor`` says of a server that is one node of several: Galera, or MySQL's Group Replication."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError

Remark = tuple[str, str]  # how bad it is, in doctor's words (ok, warn, fail), and a sentence
_FOLLOWS = ("Synced", "Donor/Desynced")
_STALE_READS = ("EVENTUAL", "BEFORE_ON_PRIMARY_FAILOVER")
_STALE = (
    "what was just made at one node may be unknown at another, and what was revoked alive. Right only where every "
    "process of this server uses the same node"
)
_CONSISTENCY = "SHOW VARIABLES LIKE 'group\\_replication\\_consistency'"
_MEMBERS = text(
    "SELECT member_id = @@server_uuid, member_state, member_role FROM performance_schema.replication_group_members "
    "WHERE member_id <> ''"
)


def check_cluster(engine: Engine) -> list[Remark]:
    """Remarks on the node that ``engine`` leads to. None for a server that stands alone."""
    if engine.dialect.name == "sqlite":
        return []
    with engine.connect() as connection:
        variables = {**_named(connection, "SHOW VARIABLES LIKE 'wsrep\\_%'"), **_named(connection, _CONSISTENCY)}
        if variables.get("wsrep_on") == "ON":
            status = _named(connection, "SHOW STATUS LIKE 'wsrep\\_%'")
            return list(galera_remarks(status, variables.get("wsrep_sync_wait", "0")))
        return list(group_remarks(_members(connection), variables.get("group_replication_consistency", "")))


def galera_remarks(status: Mapping[str, str], sync_wait: str) -> Iterator[Remark]:
    """``status`` as ``SHOW STATUS`` gives it, ``sync_wait`` as this program's sessions have it."""
    quorum, state = status.get("wsrep_cluster_status", "unknown"), status.get("wsrep_local_state_comment", "unknown")
    if quorum != "Primary":
        yield "fail", f"this Galera node has no quorum (wsrep_cluster_status {quorum}): it refuses every statement"
        return
    if state not in _FOLLOWS:
        yield "warn", f"this Galera node does not follow the others (wsrep_local_state_comment {state})"
    if sync_wait == "0":
        yield "warn", f"sessions do not wait for the other Galera nodes (MYSQL_WSREP_SYNC_WAIT is 0): {_STALE}"
    yield "ok", f"one Galera node of {status.get('wsrep_cluster_size', '?')}, {quorum}, wsrep_sync_wait {sync_wait}"


def group_remarks(members: list[tuple[bool, str, str]], consistency: str) -> Iterator[Remark]:
    """``members`` of the replication group: whether it is this server, its state, its role."""
    own = next(((state, role) for is_own, state, role in members if is_own), None)
    if own is None:
        return
    state, role = own
    if state != "ONLINE":
        yield "fail", f"this member of a replication group is {state}"
    elif role != "PRIMARY":
        yield "fail", "this member of a replication group takes no writes: MYSQL_HOST must lead to the primary one"
    if sum(role == "PRIMARY" for _, _, role in members) > 1 and consistency in _STALE_READS:
        yield "warn", f"several members take writes, and group_replication_consistency is {consistency}: {_STALE}"
    yield "ok", f"one member of a replication group of {len(members)}, {state}, {role}"


def _named(connection: Connection, question: str) -> dict[str, str]:
    return {str(name): str(value) for name, value in connection.exec_driver_sql(question.replace("%", "%%"))}


def _members(connection: Connection) -> list[tuple[bool, str, str]]:
    if getattr(connection.dialect, "is_mariadb", False):
        return []
    try:
        return [(bool(is_own), state, role) for is_own, state, role in connection.execute(_MEMBERS)]
    except DBAPIError:  # the user may not look, which is no fault
        return []
