"""Refresh tokens at the token endpoint (RFC 6749 §6, RFC 9700 §4.14): rotation, grace, reuse, limits, and death."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
from sqlalchemy import delete, event, update
from sqlalchemy.exc import OperationalError

from database.models import GrantRecord, RefreshToken, Resource, User
from provider.accounts.users import User as KnownUser
from provider.audit import AuditEvent
from tests.endpoints.provider import API, REDIRECT_URI, KnownClient, Provider, claims_of

IDLE_DAYS, FAMILY_DAYS = 14, 30
DAY = 86400
GONE = (400, "invalid_grant")


@pytest.fixture
def user(provider: Provider) -> KnownUser:
    return provider.user()


@pytest.fixture
def client(provider: Provider) -> KnownClient:
    return provider.client("none")


def test_every_use_of_a_public_client_brings_a_new_token(
    provider: Provider, user: KnownUser, client: KnownClient
) -> None:
    tokens = provider.tokens(user, client)
    seen = {tokens["refresh_token"]}
    for _ in range(4):
        answer = provider.refresh(client, tokens["refresh_token"])
        assert answer.header("Cache-Control") == "no-store"
        tokens = answer.json
        assert set(tokens) == {"access_token", "token_type", "expires_in", "scope", "refresh_token", "id_token"}
        assert tokens["refresh_token"] not in seen
        assert provider.is_alive(tokens["access_token"])
        seen.add(tokens["refresh_token"])
    live = [row for row in provider.rows(RefreshToken) if row["used_at"] is None]
    assert [row["generation"] for row in live] == [4]


@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post"])
def test_a_confidential_client_keeps_its_token_unless_it_wants_another(provider: Provider, method: str) -> None:
    user, keeping, rotating = provider.user(), provider.client(method), provider.client(rotate_refresh_tokens=True)
    token = provider.tokens(user, keeping)["refresh_token"]
    assert provider.refresh(keeping, token).json["refresh_token"] == token
    assert provider.refresh(keeping, token).json["refresh_token"] == token
    token = provider.tokens(user, rotating)["refresh_token"]
    assert provider.refresh(rotating, token).json["refresh_token"] != token


def test_a_refreshed_id_token_speaks_of_the_same_sign_in(
    provider: Provider, user: KnownUser, client: KnownClient
) -> None:
    _cookie, session = provider.session(user)
    grant = provider.grant(user, client, ("openid", "offline_access"), session=session)
    first = provider.redeem(client, provider.code(grant, nonce="once")).json
    provider.clock.advance(120)
    again = claims_of(provider.refresh(client, first["refresh_token"]).json["id_token"])
    before = claims_of(first["id_token"])
    for name in ("iss", "sub", "aud", "azp", "auth_time", "sid", "acr", "amr"):
        assert again[name] == before[name], name
    assert again["iat"] == before["iat"] + 120
    assert "nonce" not in again  # OpenID Connect Core §12.2


# Limits in time


@pytest.mark.parametrize("seconds, status", [(IDLE_DAYS * DAY - 1, 200), (IDLE_DAYS * DAY, 400)])
def test_an_idle_token_dies(
    provider: Provider, user: KnownUser, client: KnownClient, seconds: int, status: int
) -> None:
    token = provider.tokens(user, client)["refresh_token"]
    provider.clock.advance(seconds)
    assert provider.refresh(client, token).status == status


def test_a_family_dies_however_busy_it_is(provider: Provider, user: KnownUser, client: KnownClient) -> None:
    token = provider.tokens(user, client)["refresh_token"]
    for _ in range(2):
        provider.clock.advance(10 * DAY)
        token = provider.refresh(client, token).json["refresh_token"]
    provider.clock.advance(10 * DAY - 1)
    token = provider.refresh(client, token).json["refresh_token"]
    provider.clock.advance(1)
    assert provider.refresh(client, token).error == GONE


def test_a_kept_token_has_the_same_two_limits(provider: Provider, user: KnownUser) -> None:
    client = provider.client()
    token = provider.tokens(user, client)["refresh_token"]
    for _ in range(2):
        provider.clock.advance(13 * DAY)
        assert provider.refresh(client, token).status == 200
    provider.clock.advance(4 * DAY - 1)
    assert provider.refresh(client, token).status == 200
    provider.clock.advance(1)
    assert provider.refresh(client, token).error == GONE
    idle = provider.tokens(user, client)["refresh_token"]
    provider.clock.advance(IDLE_DAYS * DAY)
    assert provider.refresh(client, idle).error == GONE


# Grace and reuse


@pytest.mark.parametrize("age", [0, 1, 29.9])
def test_a_lost_answer_can_be_asked_for_again(
    provider: Provider, user: KnownUser, client: KnownClient, age: float
) -> None:
    token = provider.tokens(user, client)["refresh_token"]
    lost = provider.refresh(client, token).json["refresh_token"]
    provider.clock.advance(age)
    again = provider.refresh(client, token)
    assert again.json["refresh_token"] == lost
    assert provider.refresh(client, lost).status == 200
    assert len([row for row in provider.rows(RefreshToken) if row["used_at"] is None]) == 1


@pytest.mark.parametrize("case", ["after the window", "after the successor was used", "two generations old"])
def test_a_retired_token_ends_the_family_and_is_recorded(provider_everywhere: Provider, case: str) -> None:
    provider = provider_everywhere
    user, client = provider.user(), provider.client("none")
    elsewhere = provider.tokens(user, client)
    first = provider.tokens(user, client)
    second = provider.refresh(client, first["refresh_token"]).json
    newest = second
    if case == "after the window":
        provider.clock.advance(30)
    else:
        newest = provider.refresh(client, second["refresh_token"]).json
        if case == "two generations old":
            newest = provider.refresh(client, newest["refresh_token"]).json
    assert provider.refresh(client, first["refresh_token"]).error == GONE
    for tokens in (first, second, newest):
        assert provider.refresh(client, tokens["refresh_token"]).error == GONE
        assert not provider.is_alive(tokens["access_token"])
    assert [(it["outcome"], it["user_id"]) for it in provider.events("refresh_token.reused")] == [("denied", user.id)]
    assert provider.is_alive(elsewhere["access_token"])
    assert provider.refresh(client, elsewhere["refresh_token"]).status == 200


def test_without_a_window_the_previous_token_is_reuse_at_once(
    provider: Provider, make_provider: Any, user: KnownUser, client: KnownClient
) -> None:
    strict = make_provider(provider.engine, refresh_grace_seconds=0)
    token = strict.tokens(user, client)["refresh_token"]
    assert strict.refresh(client, token).status == 200
    assert strict.refresh(client, token).error == GONE


def test_another_client_neither_uses_nor_ends_anything(
    provider: Provider, user: KnownUser, client: KnownClient
) -> None:
    other, confidential = provider.client("none"), provider.client()
    first = provider.tokens(user, client)
    second = provider.refresh(client, first["refresh_token"]).json
    provider.clock.advance(100)
    for thief in (other, confidential):
        for tokens in (first, second):
            assert provider.refresh(thief, tokens["refresh_token"]).error == GONE
    assert provider.is_alive(second["access_token"])
    assert provider.refresh(client, second["refresh_token"]).status == 200


@pytest.mark.parametrize(
    "token", ["x", "mcp_rt_" + "0" * 49, "mcp_ac_" + "0" * 49, "ü" * 40, "a" * 9000, "' OR 1=1 --"]
)
def test_a_token_that_never_was_is_refused(provider: Provider, client: KnownClient, token: str) -> None:
    assert provider.refresh(client, token).error == GONE


def test_near_misses_of_a_token_are_unknown(provider_everywhere: Provider) -> None:
    """No database may find a token by anything but its exact value (PAD SPACE, letter case)."""
    provider = provider_everywhere
    client = provider.client("none")
    token = provider.tokens(provider.user(), client)["refresh_token"]
    for near in (token + " ", " " + token, token.swapcase(), token[:-1], token + "0", token + "\n"):
        assert provider.refresh(client, near).error == GONE
    assert provider.refresh(client, token).status == 200


def test_a_missing_token_is_an_invalid_request(provider: Provider, client: KnownClient) -> None:
    assert provider.token(client, {"grant_type": "refresh_token"}).error == (400, "invalid_request")


# Scope and resource


def test_less_may_be_asked_for_and_the_grant_stays_whole(
    provider: Provider, user: KnownUser, client: KnownClient
) -> None:
    provider.resource()
    everything = ("openid", "notes:read", "notes:write")
    token = provider.tokens(user, client, everything, resource=API)["refresh_token"]
    less = provider.refresh(client, token, scope="notes:read").json
    assert (less["scope"], "id_token" in less) == ("notes:read", False)
    assert claims_of(less["access_token"])["scope"] == "notes:read"
    everything_again = provider.refresh(client, less["refresh_token"], scope=" ".join(everything)).json
    assert everything_again["scope"] == " ".join(everything)
    default = provider.refresh(client, everything_again["refresh_token"]).json
    assert default["scope"] == " ".join(everything)


@pytest.mark.parametrize(
    "scope", ["notes:read notes:write", "notes:delete", "email", "offline_access", 'notes:"read"', "a\\b"]
)
def test_more_is_refused_and_uses_nothing_up(
    provider: Provider, user: KnownUser, client: KnownClient, scope: str
) -> None:
    provider.resource()
    token = provider.tokens(user, client, ("openid", "notes:read"), resource=API)["refresh_token"]
    assert provider.refresh(client, token, scope=scope).error == (400, "invalid_scope")
    assert [row["used_at"] for row in provider.rows(RefreshToken)] == [None]
    assert provider.refresh(client, token).status == 200


def test_the_resource_may_be_repeated_and_not_changed(provider: Provider, user: KnownUser, client: KnownClient) -> None:
    provider.resource()
    provider.resource("https://other.example.com", ("notes:read",))
    token = provider.tokens(user, client, ("notes:read",), resource=API)["refresh_token"]
    for wrong in ("https://other.example.com", provider.issuer, "https://unknown.example.com", "nonsense"):
        assert provider.refresh(client, token, resource=wrong).error == (400, "invalid_target")
    answer = provider.refresh(client, token, resource=API)
    assert claims_of(answer.json["access_token"])["aud"] == API


# What ends a family


@pytest.mark.parametrize("scope", [("openid", "notes:read"), ("openid", "notes:read", "offline_access")])
@pytest.mark.parametrize("end, error", [
    ("user disabled", GONE),
    ("user deleted", GONE),
    ("client disabled", (401, "invalid_client")),
    ("client revoked", (401, "invalid_client")),
    ("client deleted", (401, "invalid_client")),
    ("consent withdrawn", GONE),
    ("revoked by the client", GONE),
])  # fmt: skip
def test_a_family_is_dead_at_once(
    provider: Provider, user: KnownUser, client: KnownClient, end: str, error: tuple[int, str], scope: tuple[str, ...]
) -> None:
    services, api = provider.services, provider.resource()
    with provider.begin() as tx:
        consent_id = services.consents.remember(
            tx, provider.origin, user_id=user.id, client=client.client, resource_uri=api.uri,
            redirect_uri=REDIRECT_URI, scope=scope,
        )  # fmt: skip
    tokens = provider.tokens(user, client, scope, resource=API, consent_id=consent_id)
    assert provider.is_alive(tokens["access_token"])
    with provider.begin() as tx:
        if end == "user disabled":
            services.user_ends.set_active(tx, provider.origin, user.id, False)
        elif end == "user deleted":
            tx.execute(delete(User).where(User.__table__.c.id == user.id))
        elif end == "client disabled":
            services.clients.set_active(tx, provider.origin, client.client_id, False)
        elif end == "client revoked":
            services.clients.revoke(tx, provider.origin, client.client_id, event=AuditEvent.CLIENT_DELETED, actor=None)
        elif end == "client deleted":
            services.clients.delete(tx, provider.origin, client.client_id)
        elif end == "consent withdrawn":
            services.consents.withdraw(tx, provider.origin, user.id, consent_id)
        else:
            tx.rollback()
            assert provider.revoke(client, tokens["refresh_token"]).status == 200
    assert provider.refresh(client, tokens["refresh_token"]).error == error
    assert not provider.is_alive(tokens["access_token"])


@pytest.mark.parametrize("scope, outlives", [(("openid",), False), (("openid", "offline_access"), True)])
def test_the_end_of_the_session_ends_what_is_not_for_offline_use(
    provider: Provider, user: KnownUser, client: KnownClient, scope: tuple[str, ...], outlives: bool
) -> None:
    _cookie, session = provider.session(user)
    tokens = provider.tokens(user, client, scope, session=session)
    with provider.begin() as tx:
        provider.services.sessions.end(tx, provider.origin, session.id, user_id=user.id, reason="sign_out")
    assert provider.is_alive(tokens["access_token"]) is outlives
    assert (provider.refresh(client, tokens["refresh_token"]).status == 200) is outlives


def test_a_user_comes_back_to_no_old_tokens(provider: Provider, user: KnownUser, client: KnownClient) -> None:
    tokens = provider.tokens(user, client)
    for active in (False, True):
        with provider.begin() as tx:
            provider.services.user_ends.set_active(tx, provider.origin, user.id, active)
    assert provider.refresh(client, tokens["refresh_token"]).error == GONE
    assert not provider.is_alive(tokens["access_token"])


def test_a_scope_that_the_api_no_longer_has_is_gone_from_the_next_token(
    provider: Provider, user: KnownUser, client: KnownClient
) -> None:
    provider.resource(scope=("notes:read", "notes:write"))
    token = provider.tokens(user, client, ("openid", "notes:read", "notes:write"), resource=API)["refresh_token"]
    only_that = provider.tokens(user, client, ("notes:write",), resource=API)["refresh_token"]
    with provider.begin() as tx:
        tx.execute(update(Resource).values(scope="notes:read"))
    provider.services.resources.invalidate()
    assert provider.refresh(client, token).json["scope"] == "openid notes:read"
    assert provider.refresh(client, only_that).error == (400, "invalid_scope")


def test_an_administrator_who_is_one_no_more_loses_those_scopes(
    provider: Provider, user: KnownUser, client: KnownClient
) -> None:
    provider.resource(scope=("notes:read", "notes:admin"), admin_scope=("notes:admin",))
    with provider.begin() as tx:
        tx.execute(update(User).where(User.__table__.c.id == user.id).values(is_admin=True))
    tokens = provider.tokens(user, client, ("notes:read", "notes:admin"), resource=API)
    assert tokens["scope"] == "notes:read notes:admin"
    with provider.begin() as tx:
        tx.execute(update(User).where(User.__table__.c.id == user.id).values(is_admin=False))
    assert provider.refresh(client, tokens["refresh_token"]).json["scope"] == "notes:read"


# Old out and new in are one transaction


@pytest.mark.parametrize("moment", ["before", "after"])
def test_an_answer_that_fails_around_the_commit_leaves_one_way_on(provider_everywhere: Provider, moment: str) -> None:
    """Before the commit nothing happened, and the old token still works; after it the lost answer is found out."""
    provider = provider_everywhere
    user, client = provider.user(), provider.client("none")
    token = provider.tokens(user, client)["refresh_token"]
    failed: list[datetime.datetime] = []

    def fail(connection: Any) -> None:
        failed.append(provider.clock.now)
        if moment == "after":
            connection.connection.commit()
        raise OperationalError("COMMIT", None, Exception("the server has gone away"))

    event.listen(provider.engine, "commit", fail)
    try:
        answer = provider.refresh(client, token)
    finally:
        event.remove(provider.engine, "commit", fail)
    assert failed
    if moment == "before":
        assert answer.error == (503, "temporarily_unavailable")
    else:
        assert answer.status == 200
    retried = provider.refresh(client, token)
    assert retried.status == 200
    assert len([row for row in provider.rows(RefreshToken) if row["used_at"] is None]) == 1
    assert provider.refresh(client, retried.json["refresh_token"]).status == 200
    assert [row["revoked_at"] for row in provider.rows(GrantRecord)] == [None]
