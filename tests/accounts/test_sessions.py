"""Sessions: found by a hash, ended by two clocks, and over for good once they ended."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Engine, func, select, update

from database.models import UserSession
from database.transaction import Transaction
from provider.accounts.users import User
from provider.protocol.messages import Origin
from provider.security.crypto import is_secret, new_secret
from provider.services import Services
from provider.sign_in.assurance import PASSWORD, TWO_FACTOR
from provider.sign_in.sessions import Session
from tests.accounts.conftest import AddUser, Events, later
from tests.granting import add_grant

TABLE = UserSession.__table__
HOUR, DAY = 3600, 86400
Find = Callable[..., Session | None]


@pytest.fixture
def find(services: Services, engine: Engine, origin: Origin) -> Find:
    """The living session of a cookie some seconds from now."""

    def look(token: str, seconds: float = 0) -> Session | None:
        with Transaction(engine) as tx:
            found = services.sessions.find(tx, later(origin, seconds).now, token)
        return found[0] if found else None

    return look


@pytest.fixture
def token(services: Services, engine: Engine, origin: Origin, ana: User) -> str:
    with Transaction(engine) as tx:
        return services.sessions.start(tx, origin, ana.id, ("pwd",))


def grant(services: Services, tx: Transaction, origin: Origin, session: Session, scope: tuple[str, ...]) -> str:
    client, _secret = services.clients.register(
        tx, origin, kind="application", name="App", token_endpoint_auth_method="none"
    )
    return add_grant(
        tx,
        origin.now,
        user_id=session.user_id,
        client_row_id=client.id,
        session_id=session.id,
        consent_id=None,
        scope=scope,
        resource_uri="https://id.example/oauth",
        authenticated_at=session.authenticated_at,
        amr=session.amr,
        acr=session.acr,
    )


def test_the_cookie_is_random_and_only_its_hash_is_stored(
    services: Services, engine: Engine, origin: Origin, ana: User, token: str, events: Events
) -> None:
    assert is_secret("session", token)
    with Transaction(engine) as tx:
        assert services.sessions.start(tx, origin, ana.id, ("pwd",)) != token
        rows = [str(dict(row)) for row in tx.execute(select(TABLE)).mappings()]
    assert len(rows) == 2
    assert not [row for row in (*rows, *map(str, events())) if token in row or token[-30:] in row]


def test_a_session_knows_its_person_and_methods(
    services: Services, engine: Engine, origin: Origin, ana: User, token: str
) -> None:
    with Transaction(engine) as tx:
        found = services.sessions.find(tx, origin.now, token)
        strong = services.sessions.find(
            tx, origin.now, services.sessions.start(tx, origin, ana.id, ("pwd", "otp", "mfa"))
        )
    assert found is not None
    assert strong is not None
    session, user = found
    assert user == ana
    assert (session.amr, session.acr, session.authenticated_at) == (("pwd",), PASSWORD, origin.now)
    assert (session.ip_address, session.user_agent) == (origin.source, origin.user_agent)
    assert (strong[0].amr, strong[0].acr) == (("pwd", "otp", "mfa"), TWO_FACTOR)


def altered(token: str) -> list[str]:
    return [
        "",
        token[:-1],
        token + "a",
        token + " ",
        " " + token,
        token.swapcase(),
        token.replace("session", "step"),
        token[:20] + ("a" if token[20] != "a" else "b") + token[21:],
        new_secret("session"),
    ]


def test_another_cookie_finds_nothing(find: Find, token: str) -> None:
    assert find(token) is not None
    assert not [text for text in altered(token) if find(text) is not None]


@pytest.mark.parametrize(
    "seconds, alive", [(0, True), (HOUR - 1, True), (HOUR, False), (HOUR + 1, False), (DAY, False), (365 * DAY, False)]
)
def test_a_session_without_activity_ends_after_an_hour(find: Find, token: str, seconds: int, alive: bool) -> None:
    assert (find(token, seconds) is not None) is alive


def test_activity_holds_off_the_idle_limit_but_never_the_absolute_one(find: Find, token: str) -> None:
    for seconds in range(0, DAY, HOUR // 2):
        assert find(token, seconds) is not None
    assert find(token, DAY - 1) is not None
    assert find(token, DAY) is None
    assert find(token, DAY + 1) is None


def test_an_ended_idle_session_does_not_come_back_by_being_asked_for(find: Find, token: str) -> None:
    assert find(token, HOUR + 60) is None
    assert find(token, HOUR + 61) is None


def test_activity_is_noted_to_the_minute(find: Find, token: str, engine: Engine, origin: Origin) -> None:
    def last_seen() -> datetime.datetime:
        with engine.connect() as connection:
            seen: datetime.datetime = connection.execute(select(TABLE.c.last_seen_at)).scalar_one()
        return seen

    find(token, 59)
    assert last_seen() == origin.now
    find(token, 60)
    assert last_seen() == later(origin, 60).now


def test_rotation_keeps_the_session_and_ends_the_old_cookie(
    services: Services, engine: Engine, origin: Origin, token: str, find: Find, events: Events
) -> None:
    session = find(token)
    assert session is not None
    with Transaction(engine) as tx:
        renewed = services.sessions.rotate(tx, later(origin, 600), session, ("pwd", "otp", "mfa"))
    assert find(token, 600) is None
    again = find(renewed, 600)
    assert again is not None
    assert (again.id, again.expires_at, again.created_at) == (session.id, session.expires_at, session.created_at)
    assert again.authenticated_at == later(origin, 600).now
    assert again.acr == TWO_FACTOR
    assert find(renewed, 600 + HOUR) is None, "idle again"
    assert [row["resource_id"] for row in events("login.reauthenticated")] == [session.id]


def test_rotation_does_not_move_the_absolute_limit(
    services: Services, engine: Engine, origin: Origin, token: str, find: Find
) -> None:
    seconds = 0
    while seconds < DAY - 1800:
        seconds += 1800
        session = find(token, seconds)
        assert session is not None
        with Transaction(engine) as tx:
            token = services.sessions.rotate(tx, later(origin, seconds), session, ("pwd",))
    assert find(token, DAY - 1) is not None
    assert find(token, DAY) is None


def test_an_ended_session_never_works_again_not_even_rotated(
    services: Services, engine: Engine, origin: Origin, ana: User, token: str, find: Find, events: Events
) -> None:
    session = find(token)
    assert session is not None
    with Transaction(engine) as tx:
        assert services.sessions.end(tx, origin, session.id, user_id=ana.id, reason="sign_out")
        assert not services.sessions.end(tx, origin, session.id, user_id=ana.id, reason="sign_out")
        renewed = services.sessions.rotate(tx, origin, session, ("pwd",))
    assert find(token) is None
    assert find(renewed) is None
    (record,) = events("session.ended")
    assert (record["user_id"], record["resource_id"], record["metadata"]) == (
        ana.id,
        session.id,
        {"reason": "sign_out"},
    )


def test_nobody_ends_another_persons_session(
    services: Services, tx: Transaction, origin: Origin, token: str, find: Find, add_user: AddUser
) -> None:
    session, bora = find(token), add_user("bora")
    assert session is not None
    assert not services.sessions.end(tx, origin, session.id, user_id=bora.id, reason="sign_out")
    assert not services.sessions.end(tx, origin, "0" * 36, user_id=bora.id, reason="sign_out")
    assert find(token) is not None


def test_a_cookie_ends_its_session_also_when_it_is_over_already(
    services: Services, engine: Engine, origin: Origin, token: str, find: Find
) -> None:
    with Transaction(engine) as tx:
        assert not [text for text in altered(token) if services.sessions.end_by_token(tx, origin, text, "replaced")]
        assert services.sessions.end_by_token(tx, later(origin, 2 * DAY), token, "replaced")
    assert find(token) is None


def test_all_sessions_of_one_person_end_but_the_one_at_hand(
    services: Services, engine: Engine, origin: Origin, ana: User, token: str, find: Find, add_user: AddUser
) -> None:
    bora = add_user("bora")
    with Transaction(engine) as tx:
        tokens = [services.sessions.start(tx, origin, ana.id, ("pwd",)) for _ in range(3)]
        foreign = services.sessions.start(tx, origin, bora.id, ("pwd",))
    kept = find(token)
    assert kept is not None
    with Transaction(engine) as tx:
        reason = "second_factor_changed"
        assert services.sessions.end_all(tx, origin, ana.id, except_id=kept.id, reason=reason) == 3
    assert [find(other) for other in tokens] == [None] * 3
    assert find(token) is not None
    assert find(foreign) is not None
    with Transaction(engine) as tx:
        assert services.sessions.end_all(tx, origin, ana.id, reason=reason) == 1
    assert find(token) is None
    assert find(foreign) is not None


@pytest.mark.parametrize(
    "scope, outlives",
    [
        (("openid",), False),
        ((), False),
        (("openid", "offline_access"), True),
        (("offline_access",), True),
        (("offline_access", "profile"), True),
        (("xoffline_access",), False),
        (("offline_access_x",), False),
        (("offlineXaccess",), False),
        (("OFFLINE_ACCESS",), False),
    ],
)
@pytest.mark.parametrize("how", ["end", "end_all", "end_by_token"])
def test_grants_of_a_session_end_with_it_unless_they_are_for_offline_access(
    services: Services,
    engine: Engine,
    origin: Origin,
    token: str,
    find: Find,
    scope: tuple[str, ...],
    outlives: bool,
    how: str,
) -> None:
    session = find(token)
    assert session is not None
    ends: dict[str, Callable[[Transaction], Any]] = {
        "end": lambda tx: services.sessions.end(tx, origin, session.id, user_id=session.user_id, reason="x"),
        "end_all": lambda tx: services.sessions.end_all(tx, origin, session.user_id, reason="x"),
        "end_by_token": lambda tx: services.sessions.end_by_token(tx, origin, token, "x"),
    }
    with Transaction(engine) as tx:
        grant_id = grant(services, tx, origin, session, scope)
        assert ends[how](tx)
    with Transaction(engine) as tx:
        found = services.grants.find(tx, grant_id)
    assert found is not None
    assert (found.revoked_at is None) is outlives


def test_a_grant_of_another_session_goes_on(
    services: Services, engine: Engine, origin: Origin, ana: User, token: str, find: Find
) -> None:
    session = find(token)
    with Transaction(engine) as tx:
        other = services.sessions.find(tx, origin.now, services.sessions.start(tx, origin, ana.id, ("pwd",)))
        assert session is not None
        assert other is not None
        grant_id = grant(services, tx, origin, other[0], ("openid",))
        services.sessions.end(tx, origin, session.id, user_id=ana.id, reason="sign_out")
        found = services.grants.find(tx, grant_id)
    assert found is not None
    assert found.revoked_at is None


def test_people_see_their_living_sessions_the_last_used_first(
    services: Services, engine: Engine, origin: Origin, ana: User, token: str, find: Find, add_user: AddUser
) -> None:
    bora = add_user("bora")
    with Transaction(engine) as tx:
        second = services.sessions.start(tx, later(origin, 60), ana.id, ("pwd",))
        ended = services.sessions.start(tx, later(origin, 60), ana.id, ("pwd",))
        services.sessions.start(tx, origin, bora.id, ("pwd",))
        services.sessions.end_by_token(tx, origin, ended, "sign_out")
    expected = [find(second, 60), find(token, 0)]
    assert None not in expected
    with Transaction(engine) as tx:
        assert services.sessions.list(tx, later(origin, 60).now, ana.id) == expected
        assert services.sessions.list(tx, later(origin, HOUR + 30).now, ana.id) == expected[:1]
        assert services.sessions.list(tx, later(origin, DAY + 60).now, ana.id) == []


def test_sessions_are_purged_thirty_days_after_their_end(
    services: Services, engine: Engine, origin: Origin, ana: User, token: str
) -> None:
    with Transaction(engine) as tx:
        services.sessions.start(tx, later(origin, DAY), ana.id, ("pwd",))
        assert services.sessions.purge(tx, later(origin, 31 * DAY - 1).now) == 0
        assert services.sessions.purge(tx, later(origin, 31 * DAY).now) == 1
        assert tx.execute(select(func.count()).select_from(TABLE)).scalar_one() == 1


def test_a_hostile_browser_name_is_kept_harmless(services: Services, engine: Engine, origin: Origin, ana: User) -> None:
    hostile = Origin("203.0.113.7" * 9, "Moz\r\n\x1b[31milla \u202e" + "🦆" * 600, "r", origin.now)
    with Transaction(engine) as tx:
        found = services.sessions.find(tx, origin.now, services.sessions.start(tx, hostile, ana.id, ("pwd",)))
    assert found is not None
    assert found[0].user_agent is not None
    assert found[0].user_agent.isprintable()
    assert 508 < len(found[0].user_agent.encode()) <= 512
    assert len(found[0].ip_address or "") == 45


def test_a_cookie_is_found_by_its_stored_hash_alone(
    services: Services, engine: Engine, origin: Origin, ana: User, token: str, find: Find
) -> None:
    with Transaction(engine) as tx:
        tx.execute(update(UserSession).values(session_token="0" * 64))
    assert find(token) is None
