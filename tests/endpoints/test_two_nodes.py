"""Two servers of ours on two nodes of a Galera cluster: what works once works once on both together."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest
from sqlalchemy import Engine

from database.connection import create_engine_for
from database.init_db import migrate
from tests.accounts.conftest import later
from tests.accounts.test_login import enrolled
from tests.accounts.test_races import kinds
from tests.database.test_migrations import FILES
from tests.database_servers import create_database, empty_tables
from tests.endpoints.provider import Provider, ProviderFactory
from tests.endpoints.test_par import pushed_uri
from tests.endpoints.test_private_key_jwt import assertion, call, signing_client
from tests.endpoints.wsgi import Answer
from tests.galera import GaleraNode, need_galera
from tests.signing import with_assertion
from tests.together import at_once
from tests.waiting import HANG_SECONDS, eventually

ROUNDS = 4
Cluster = tuple[GaleraNode, GaleraNode]
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    need_galera()
    first = GaleraNode()
    try:
        second = GaleraNode(first)
        create_database(first.url(), "mcp_core")
        yield first, second
        second.close()
    finally:
        first.close()


@pytest.fixture(scope="module")
def engines(cluster: Cluster) -> Iterator[list[Engine]]:
    """One engine on each node. Both migrate at once what neither has."""
    made = [create_engine_for(node.url("mcp_core")) for node in cluster]
    with ThreadPoolExecutor(2) as pool:
        reports = list(pool.map(migrate, made))
    assert sorted(report.applied for report in reports) == [[], FILES]
    assert sorted(report.current for report in reports) == [[], FILES]
    yield made
    for engine in made:
        engine.dispose()


@pytest.fixture
def both(cluster: Cluster, engines: list[Engine], make_provider: ProviderFactory) -> tuple[Provider, Provider]:
    """A provider on each node, with one set of keys."""
    empty_tables(engines[0])
    one = make_provider(engines[0], rate_limits=False)
    cluster[1].catch_up()
    return one, make_provider(engines[1], rate_limits=False)


def at_both(*calls: Callable[[], Answer]) -> list[Answer]:
    with ThreadPoolExecutor(len(calls)) as pool:
        return [future.result() for future in [pool.submit(call) for call in calls]]


def statuses(answers: list[Answer]) -> list[int]:
    return sorted(answer.status for answer in answers)


def test_one_code_is_redeemed_at_one_node(cluster: Cluster, both: tuple[Provider, Provider]) -> None:
    one, other = both
    client, user = one.client(), one.user()
    for _ in range(ROUNDS):
        code = one.code(one.grant(user, client))
        cluster[1].catch_up()
        answers = at_both(partial(one.redeem, client, code), partial(other.redeem, client, code))
        assert statuses(answers) == [200, 400]
        (given,) = [answer.json for answer in answers if answer.status == 200]
        cluster[0].catch_up()
        assert not one.is_alive(given["access_token"]), "redeemed twice, so everything of it ends"


def test_one_refresh_token_has_one_successor(cluster: Cluster, both: tuple[Provider, Provider]) -> None:
    one, other = both
    client = one.client()
    token = one.tokens(one.user(), client)["refresh_token"]
    for _ in range(ROUNDS):
        cluster[1].catch_up()
        answers = at_both(partial(one.refresh, client, token), partial(other.refresh, client, token))
        assert set(statuses(answers)) <= {200, 400}
        (token,) = {answer.json["refresh_token"] for answer in answers if answer.status == 200}
        cluster[0].catch_up()


def test_one_assertion_is_accepted_at_one_node(cluster: Cluster, both: tuple[Provider, Provider]) -> None:
    one = both[0]
    client = signing_client(one)
    cluster[1].catch_up()
    for _ in range(ROUNDS):
        fields = with_assertion(assertion(one, client))
        answers = at_both(*(partial(call, provider, "token", client, fields) for provider in both))
        assert statuses(answers) == [200, 401]


def test_one_pushed_request_is_used_at_one_node(
    cluster: Cluster, engines: list[Engine], both: tuple[Provider, Provider]
) -> None:
    one = both[0]
    client = one.client()
    pushed, now = one.services.pushed_requests, one.clock.now
    for _ in range(ROUNDS):
        uri = pushed_uri(one, client)
        with one.begin() as tx:
            found = pushed.find(tx, now, client.client.id, uri)
        assert found is not None
        cluster[1].catch_up()
        used = at_once(engines, [partial(pushed.consume, now=now, handle_hash=found.handle_hash)] * 4)
        assert sorted(used) == [False, False, False, True]


def test_one_totp_code_lets_in_at_one_node(
    cluster: Cluster, engines: list[Engine], both: tuple[Provider, Provider]
) -> None:
    one = both[0]
    services, user = one.services, one.user()
    generator = enrolled(services, one.origin, user)
    for number in range(1, ROUNDS + 1):
        moment = later(one.origin, 600 * number)
        with one.begin() as tx:
            steps = [services.login.begin_second_factor(tx, moment, user) for _ in range(4)]
        cluster[1].catch_up()
        code = generator.at(moment.now)
        calls = [
            lambda tx, moment=moment, step=step, code=code: services.login.check_second_factor(tx, moment, step, code)
            for step in steps
        ]
        assert kinds(at_once(engines, calls)) == {"CompletedLogin": 1, "WrongCode": 3}


def test_what_is_revoked_at_one_node_is_dead_at_the_other(cluster: Cluster, both: tuple[Provider, Provider]) -> None:
    """Also while the other lags behind: its sessions wait until it has applied what was committed (wsrep_sync_wait)."""
    one, other = both
    client = one.client()
    token = one.tokens(one.user(), client)["access_token"]
    cluster[1].catch_up()
    assert other.is_alive(token)
    with cluster[1].connect("mcp_core") as lagging, lagging.cursor() as cursor:
        cursor.execute("FLUSH TABLES WITH READ LOCK")  # nothing is applied here meanwhile
        assert one.revoke(client, token).status == 200
        with ThreadPoolExecutor(1) as pool:
            is_alive = pool.submit(other.is_alive, token)
            with contextlib.suppress(TimeoutError):
                is_alive.result(timeout=1)
            cursor.execute("UNLOCK TABLES")
            assert is_alive.result(timeout=HANG_SECONDS) is False


def test_without_a_quorum_nothing_is_given_and_health_says_so(
    cluster: Cluster, both: tuple[Provider, Provider]
) -> None:
    """The last test: one of two nodes is lost, and the other cannot know that it is not the one that was cut off."""
    one, _ = both
    client = one.machine()
    assert one.get("/health").status == 200
    cluster[1].kill()
    eventually(lambda: cluster[0].status("wsrep_cluster_status") != "Primary")
    assert one.get("/health").status == 503
    assert one.token(client, {"grant_type": "client_credentials"}).status == 503
