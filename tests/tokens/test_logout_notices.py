"""The outbox of back-channel logout: who is to be told of a session's end, by whom, and when again."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
from sqlalchemy import insert

from database.models import Client as ClientRow
from database.models import LogoutNotice, UserSession
from provider.deliveries.logout_notices import KEPT_DAYS, LEASE_SECONDS, RETRY_SECONDS, Notice
from provider.protocol.client import Client, ClientDetails
from provider.protocol.messages import Origin
from tests.together import at_once
from tests.tokens.conftest import Events, World, later, make_client, make_grant

URI = "https://app.example/backchannel"
SESSION = "01900000-0000-7000-8000-00000000000a"
OTHER_SESSION = "01900000-0000-7000-8000-00000000000b"


def listening_client(world: World, origin: Origin, uri: str | None = URI, **details: Any) -> Client:
    with world.tokens.transaction() as tx:
        return make_client(
            world.tokens,
            tx,
            origin,
            redirect_uris=("https://app.example/callback",),
            details=ClientDetails(backchannel_logout_uri=uri, **details),
        )


def granted(world: World, origin: Origin, client: Client, **changes: Any) -> str:
    with world.tokens.transaction() as tx:
        return make_grant(
            world.tokens, tx, origin.now, world.user, client, **{"session_id": SESSION, "scope": ("openid",), **changes}
        )


def enqueued(world: World, origin: Origin, session_id: str = SESSION) -> int:
    with world.tokens.transaction() as tx:
        return world.tokens.notices.enqueue(tx, origin, session_id, world.user.id)


def notices(world: World) -> list[dict[str, Any]]:
    return world.tokens.rows(LogoutNotice)


def claim(world: World, now: datetime.datetime, limit: int = 10, **more: Any) -> list[Notice]:
    with world.tokens.transaction() as tx:
        return world.tokens.notices.claim(tx, now, limit, **{"is_vouched": True, **more})


@pytest.mark.parametrize(
    "changes, told",
    [
        ({}, True),
        ({"scope": ("email", "openid", "offline_access")}, True),
        ({"scope": ("mcp:read",)}, False),
        ({"scope": ("openidx", "x-openid", "OPENID")}, False),
        ({"session_id": OTHER_SESSION}, False),
        ({"session_id": None}, False),
    ],
)
def test_who_was_granted_openid_in_the_session_is_told(
    world: World, origin: Origin, changes: dict[str, Any], told: bool
) -> None:
    client = listening_client(world, origin)
    granted(world, origin, client, **changes)
    assert enqueued(world, origin) == int(told)
    if told:
        (row,) = notices(world)
        assert (row["client_id"], row["uri"], row["subject"]) == (client.id, URI, world.user.id)
        assert (row["session_id"], row["attempts"], row["next_attempt_at"]) == (SESSION, 0, origin.now)
        assert (row["delivered_at"], row["failed_at"], row["last_problem"]) == (None, None, None)


def test_a_grant_that_was_revoked_before_still_counts(world: World, origin: Origin) -> None:
    """The application may have a session of its own by it."""
    grant_id = granted(world, origin, listening_client(world, origin))
    with world.tokens.transaction() as tx:
        world.tokens.grants.revoke(tx, origin, grant_id, "test")
    assert enqueued(world, origin) == 1


def test_several_grants_of_one_client_are_one_notice(world: World, origin: Origin) -> None:
    client = listening_client(world, origin)
    for _ in range(3):
        granted(world, origin, client)
    granted(world, origin, listening_client(world, origin, "https://other.example/out"))
    granted(world, origin, listening_client(world, origin, None))
    assert enqueued(world, origin) == 2
    assert sorted(row["uri"] for row in notices(world)) == [URI, "https://other.example/out"]


@pytest.mark.parametrize("values", [{"is_active": False}, {"revoked_at": True}, {"expires_at": True}])
def test_a_client_that_is_out_of_use_is_not_told(world: World, origin: Origin, values: dict[str, Any]) -> None:
    client = listening_client(world, origin)
    granted(world, origin, client)
    made = {name: origin.now if value is True else value for name, value in values.items()}
    world.tokens.set(ClientRow, client.id, **made)
    assert enqueued(world, origin) == 0


def test_a_client_with_pairwise_subjects_is_told_of_its_own(world: World, origin: Origin) -> None:
    client = listening_client(world, origin, subject_type="pairwise")
    granted(world, origin, client)
    enqueued(world, origin)
    (row,) = notices(world)
    assert row["subject"] == world.tokens.subjects.of(client, world.user.id) != world.user.id


def _session(world: World, origin: Origin, session_id: str = SESSION) -> None:
    row = {
        "id": session_id,
        "session_token": session_id[-1] * 64,
        "user_id": world.user.id,
        "authenticated_at": origin.now,
        "amr": "pwd",
        "acr": "urn:mcp-core:password",
        "created_at": origin.now,
        "last_seen_at": origin.now,
        "expires_at": later(origin, 86400).now,
    }
    with world.tokens.transaction() as tx:
        tx.execute(insert(UserSession), row)


def test_a_session_that_ends_twice_is_told_of_once(world: World, origin: Origin) -> None:
    _session(world, origin)
    granted(world, origin, listening_client(world, origin))
    end = lambda tx: world.tokens.ends.end(tx, origin, SESSION, user_id=world.user.id, reason="x")  # noqa: E731
    assert sorted(map(str, at_once(world.tokens.engine, [end, end]))) == ["False", "True"]
    assert len(notices(world)) == 1


def test_the_end_of_a_session_that_is_rolled_back_tells_nobody(world: World, origin: Origin) -> None:
    _session(world, origin)
    granted(world, origin, listening_client(world, origin))
    told: list[str] = []
    world.tokens.notices.listen(lambda: told.append(""))
    tx = world.tokens.transaction()
    assert world.tokens.ends.end(tx, origin, SESSION, user_id=world.user.id, reason="x")
    tx.rollback()
    assert (notices(world), told) == ([], [])
    with world.tokens.transaction() as tx:
        assert world.tokens.ends.end(tx, origin, SESSION, user_id=world.user.id, reason="x")
        assert told == [], "before the commit"
    assert (len(notices(world)), told) == (1, [""])


def test_a_disabled_users_sessions_are_told_of_each(world: World, origin: Origin) -> None:
    for session_id in (SESSION, OTHER_SESSION):
        _session(world, origin, session_id)
        granted(world, origin, listening_client(world, origin), session_id=session_id)
    with world.tokens.transaction() as tx:
        assert world.tokens.user_ends.set_active(tx, origin, world.user.id, False)
    assert sorted(row["session_id"] for row in notices(world)) == [SESSION, OTHER_SESSION]


def test_a_claimed_notice_is_nobody_elses_until_the_claim_runs_out(world: World, origin: Origin) -> None:
    granted(world, origin, listening_client(world, origin))
    enqueued(world, origin)
    (first,) = claim(world, origin.now)
    assert (first.attempts, first.uri, first.session_id) == (1, URI, SESSION)
    assert claim(world, later(origin, LEASE_SECONDS - 1).now) == []
    (again,) = claim(world, later(origin, LEASE_SECONDS).now)
    assert (again.id, again.attempts) == (first.id, 2)


def test_two_who_claim_at_once_never_get_the_same(world: World, origin: Origin) -> None:
    for _ in range(4):
        granted(world, origin, listening_client(world, origin))
    enqueued(world, origin)
    found = at_once(
        world.tokens.engine, [lambda tx: world.tokens.notices.claim(tx, origin.now, 4, is_vouched=True)] * 4
    )
    taken = [notice.id for one in found if isinstance(one, list) for notice in one]
    assert len(taken) == len(set(taken)) > 0
    assert {row["attempts"] for row in notices(world)} <= {0, 1}


def test_a_claim_takes_one_notice_of_each_client_and_none_of_busy_ones(world: World, origin: Origin) -> None:
    clients = [listening_client(world, origin) for _ in range(3)]
    for number, client in enumerate(clients):
        for session_id in (SESSION, OTHER_SESSION):
            granted(world, later(origin, number), client, session_id=session_id)
    enqueued(world, origin)
    enqueued(world, later(origin, 1), OTHER_SESSION)
    taken = claim(world, later(origin, 1).now, except_clients=[clients[0].id])
    assert {notice.client_row_id for notice in taken} == {clients[1].id, clients[2].id}
    assert {notice.session_id for notice in taken} == {SESSION}, "the older ones come first"
    assert len(claim(world, later(origin, 1).now, 1)) == 1


def test_a_failed_notice_waits_longer_each_time_and_is_given_up_in_the_end(
    world: World, origin: Origin, events: Events
) -> None:
    client = listening_client(world, origin)
    granted(world, origin, client)
    enqueued(world, origin)
    now = origin.now
    for seconds in (*RETRY_SECONDS, None):
        (notice,) = claim(world, now)
        with world.tokens.transaction() as tx:
            assert world.tokens.notices.failed(tx, now, notice, "status 500") is (seconds is None)
        if seconds is not None:
            assert claim(world, now + datetime.timedelta(seconds=seconds, microseconds=-1)) == []
            assert "logout_notice.failed" not in dict(events())
            now += datetime.timedelta(seconds=seconds)
    (row,) = notices(world)
    assert (row["next_attempt_at"], row["failed_at"], row["last_problem"]) == (None, now, "status 500")
    assert row["attempts"] == len(RETRY_SECONDS) + 1
    assert claim(world, now + datetime.timedelta(days=1)) == []
    assert [name for name, _ in events()].count("logout_notice.failed") == 1


def test_a_notice_that_is_refused_is_given_up_at_once(world: World, origin: Origin, events: Events) -> None:
    granted(world, origin, listening_client(world, origin))
    enqueued(world, origin)
    (notice,) = claim(world, origin.now)
    with world.tokens.transaction() as tx:
        assert world.tokens.notices.failed(tx, origin.now, notice, "status 400", for_good=True)
    assert notices(world)[0]["next_attempt_at"] is None
    assert ("logout_notice.failed", None) in events()


def test_who_comes_back_too_late_undoes_nothing(world: World, origin: Origin) -> None:
    granted(world, origin, listening_client(world, origin))
    enqueued(world, origin)
    (slow,) = claim(world, origin.now)
    after = later(origin, LEASE_SECONDS).now
    (quick,) = claim(world, after)
    with world.tokens.transaction() as tx:
        assert not world.tokens.notices.failed(tx, after, slow, "too late", for_good=True)
    assert notices(world)[0]["next_attempt_at"] == after + datetime.timedelta(seconds=LEASE_SECONDS)
    with world.tokens.transaction() as tx:
        world.tokens.notices.delivered(tx, after, quick)
        assert not world.tokens.notices.failed(tx, after, quick, "too late", for_good=True)
    (row,) = notices(world)
    assert (row["delivered_at"], row["failed_at"], row["next_attempt_at"]) == (after, None, None)


def test_what_is_done_goes_after_a_week_and_what_waits_stays(world: World, origin: Origin) -> None:
    for uri in (URI, "https://b.example/", "https://c.example/"):
        granted(world, origin, listening_client(world, origin, uri))
    enqueued(world, origin)
    done, given_up, _waiting = claim(world, origin.now)
    with world.tokens.transaction() as tx:
        world.tokens.notices.delivered(tx, origin.now, done)
        world.tokens.notices.failed(tx, origin.now, given_up, "x", for_good=True)
    week = later(origin, KEPT_DAYS * 86400)
    with world.tokens.transaction() as tx:
        assert world.tokens.notices.purge(tx, later(week, -1).now) == 0
        assert world.tokens.notices.purge(tx, week.now, 1) == 1
        assert world.tokens.notices.purge(tx, week.now) == 1
    assert len(notices(world)) == 1


def test_a_deleted_clients_notices_go_with_it(world: World, origin: Origin) -> None:
    client = listening_client(world, origin)
    granted(world, origin, client)
    enqueued(world, origin)
    with world.tokens.transaction() as tx:
        assert world.tokens.clients.delete(tx, origin, client.client_id)
    assert notices(world) == []
