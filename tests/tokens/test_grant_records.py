"""Grant records: what a revocation ends, and what it leaves alone."""

from __future__ import annotations

import datetime
from collections.abc import Callable

import pytest
from sqlalchemy import insert, update

from database.models import AuthorizationCode, IssuedToken, RefreshToken, UserSession
from database.models import GrantRecord as GrantRow
from database.models.columns import new_id
from database.transaction import Transaction
from provider.protocol.errors import OAuthError
from provider.protocol.messages import Origin
from tests.tokens.conftest import API, Events, Tokens, World, later, make_client, make_grant, make_user

SESSION, OTHER_SESSION = "01900000-0000-7000-8000-00000000000a", "01900000-0000-7000-8000-00000000000b"
CONSENT = "01900000-0000-7000-8000-00000000000c"


def test_a_grant_keeps_what_was_authorized(tokens: Tokens, origin: Origin) -> None:
    authenticated_at = origin.now - datetime.timedelta(seconds=90, microseconds=7)
    with tokens.transaction() as tx:
        user, client = make_user(tokens, tx, origin), make_client(tokens, tx, origin)
        grant_id = make_grant(
            tokens,
            tx,
            origin.now,
            user,
            client,
            session_id=SESSION,
            consent_id=CONSENT,
            scope=("openid", "mcp:read", "offline_access"),
            authenticated_at=authenticated_at,
            amr=("pwd", "otp", "mfa"),
            acr="urn:mcp-core:two-factor",
        )
    with tokens.transaction() as tx:
        grant = tokens.grants.find(tx, grant_id)
        assert tokens.grants.find(tx, new_id(origin.now)) is None
    assert grant is not None
    assert (grant.user_id, grant.client_row_id, grant.session_id, grant.consent_id) == (
        user.id,
        client.id,
        SESSION,
        CONSENT,
    )
    assert grant.scope == ("openid", "mcp:read", "offline_access")
    assert (grant.resource, grant.authenticated_at, grant.created_at) == (API.uri, authenticated_at, origin.now)
    assert (grant.amr, grant.acr, grant.revoked_at) == (("pwd", "otp", "mfa"), "urn:mcp-core:two-factor", None)


Revoke = Callable[[Tokens, Transaction, Origin, dict[str, str]], int]
REVOCATIONS: list[tuple[str, Revoke, set[str]]] = [
    ("one grant", lambda t, tx, o, ids: t.grants.revoke(tx, o, ids["plain"], "test"), {"plain"}),
    (
        "all of a user",
        lambda t, tx, o, ids: t.grants.revoke_for_user(tx, o, ids["user"], "test"),
        {"plain", "offline", "offline first", "lookalike", "other session", "other client", "consent"},
    ),
    (
        "all of a client",
        lambda t, tx, o, ids: t.grants.revoke_for_client(tx, o, ids["client"], "test"),
        {"plain", "offline", "offline first", "lookalike", "other session", "other user", "consent"},
    ),
    (
        "what a consent allowed",
        lambda t, tx, o, ids: t.grants.revoke_for_consent(tx, o, ids["user"], CONSENT, "test"),
        {"consent"},
    ),
    (
        "what rests on a session, except for offline access",
        lambda t, tx, o, ids: t.grants.revoke_for_session(tx, o, SESSION, "test"),
        {"plain", "lookalike", "other user"},
    ),
]


@pytest.mark.parametrize("revoke, ended", [row[1:] for row in REVOCATIONS], ids=[row[0] for row in REVOCATIONS])
def test_a_revocation_ends_what_it_names_and_nothing_else(
    tokens: Tokens, origin: Origin, events: Events, revoke: Revoke, ended: set[str]
) -> None:
    with tokens.transaction() as tx:
        user, other = make_user(tokens, tx, origin), make_user(tokens, tx, origin, "bob")
        client, second = make_client(tokens, tx, origin), make_client(tokens, tx, origin)
        made = {
            "plain": (user, client, {"session_id": SESSION}),
            "offline": (user, client, {"session_id": SESSION, "scope": ("openid", "offline_access")}),
            "offline first": (user, client, {"session_id": SESSION, "scope": ("offline_access", "openid")}),
            "lookalike": (user, client, {"session_id": SESSION, "scope": ("offline_access2", "x:offline_access")}),
            "other session": (user, client, {"session_id": OTHER_SESSION}),
            "other user": (other, client, {"session_id": SESSION}),
            "other client": (user, second, {}),
            "consent": (user, client, {"consent_id": CONSENT}),
            "other user's consent": (other, second, {"consent_id": CONSENT}),
        }
        ids = {name: make_grant(tokens, tx, origin.now, *who, **more) for name, (*who, more) in made.items()}  # type: ignore[arg-type]
    names = {**ids, "user": user.id, "client": client.id}
    with tokens.transaction() as tx:
        assert int(revoke(tokens, tx, origin, names)) == len(ended)
    assert {row["id"] for row in tokens.rows(GrantRow) if row["revoked_at"]} == {ids[name] for name in ended}
    assert {row["revoke_reason"] for row in tokens.rows(GrantRow) if row["revoked_at"]} == {"test"}
    assert events().count(("grant.revoked", "test")) == 1
    with tokens.transaction() as tx:
        assert int(revoke(tokens, tx, origin, names)) == 0
    assert events().count(("grant.revoked", "test")) == 1


DAY = 86400


@pytest.mark.parametrize(
    "live, given, goes",
    [
        ("", 30 * DAY, True),
        ("", 30 * DAY - 1, False),
        ("revoked", 30 * DAY, True),
        ("revoked, refresh token, access token", 30 * DAY, True),
        ("revoked", 30 * DAY - 1, False),
        ("code", 30 * DAY, False),
        ("refresh token", 400 * DAY, False),
        ("access token", 30 * DAY, False),
        ("session", 30 * DAY, False),
        ("revoked, session", 30 * DAY, False),
        ("session that ended", 30 * DAY, True),
    ],
)
def test_a_grant_goes_30_days_later_when_nothing_of_it_works(
    world: World, origin: Origin, live: str, given: int, goes: bool
) -> None:
    tokens, then = world.tokens, later(origin, given)
    with tokens.transaction() as tx:
        session_id = new_id(origin.now)
        grant_id = make_grant(tokens, tx, origin.now, world.user, world.client, session_id=session_id)
        tokens.refresh.start(tx, origin.now, grant_id)
        tokens.codes.issue(tx, origin.now, grant_id=grant_id, redirect_uri="", code_challenge=None, nonce=None)
        tokens.issuer.issue_access_token(tx, world.authorization(origin, grant_id=grant_id), origin.now)
        row = {"id": session_id, "session_token": "x", "user_id": world.user.id, "amr": "pwd", "acr": "x"}
        times = dict.fromkeys(("authenticated_at", "created_at", "last_seen_at", "expires_at"), origin.now)
        tx.execute(insert(UserSession), {**row, **times})
    over, soon = {"expires_at": then.now}, {"expires_at": later(then, 1).now}
    with tokens.transaction() as tx:
        for name, model in (
            ("code", AuthorizationCode),
            ("refresh token", RefreshToken),
            ("access token", IssuedToken),
        ):
            mine = model.__table__.c.grant_id == grant_id
            tx.execute(update(model).where(mine).values(soon if name in live else over))
        ended_at = origin.now if "ended" in live else None
        tx.execute(update(UserSession).values({**(soon if "session" in live else over), "ended_at": ended_at}))
        if "revoked" in live:
            tokens.grants.revoke(tx, origin, grant_id, "test")
    tokens.set(GrantRow, world.grant_id, created_at=later(then, -1).now)
    with tokens.transaction() as tx:
        assert tokens.grants.purge(tx, then.now) == goes
        assert tokens.grants.purge(tx, then.now) == 0
    left = {world.grant_id} if goes else {world.grant_id, grant_id}
    assert {row["id"] for row in tokens.rows(GrantRow)} == left
    for model in (AuthorizationCode, RefreshToken):
        assert [row["grant_id"] for row in tokens.rows(model)] == ([] if goes else [grant_id])


def test_grants_go_in_batches(world: World, origin: Origin) -> None:
    with world.tokens.transaction() as tx:
        for _ in range(4):
            make_grant(world.tokens, tx, origin.now, world.user, world.client)
    then = later(origin, 40 * DAY).now
    with world.tokens.transaction() as tx:
        assert [world.tokens.grants.purge(tx, then, 2) for _ in range(4)] == [2, 2, 1, 0]


def test_a_revocation_that_is_rolled_back_leaves_neither_change_nor_record(
    tokens: Tokens, origin: Origin, events: Events
) -> None:
    with tokens.transaction() as tx:
        grant_id = make_grant(tokens, tx, origin.now, make_user(tokens, tx, origin), make_client(tokens, tx, origin))
    before = events()
    tx = tokens.transaction()
    assert tokens.grants.revoke(tx, origin, grant_id, "test")
    tx.rollback()
    assert events() == before
    assert tokens.rows(GrantRow)[0]["revoked_at"] is None


def test_a_grant_for_offline_access_outlives_its_session_once_its_code_was_redeemed(
    tokens: Tokens, origin: Origin
) -> None:
    offline = {"session_id": SESSION, "scope": ("openid", "offline_access")}
    with tokens.transaction() as tx:
        user, client = make_user(tokens, tx, origin), make_client(tokens, tx, origin)
        redeemed, waiting = (make_grant(tokens, tx, origin.now, user, client, **offline) for _ in range(2))
        elsewhere = make_grant(tokens, tx, origin.now, user, client, **{**offline, "session_id": OTHER_SESSION})
        codes = [
            tokens.codes.issue(tx, origin.now, grant_id=it, redirect_uri="", code_challenge=None, nonce=None)
            for it in (redeemed, waiting, elsewhere)
        ]
    with tokens.transaction() as tx:
        stored = tokens.codes.find(tx, codes[0])
        assert stored is not None
        tokens.codes.claim(tx, origin, stored)
    with tokens.transaction() as tx:
        assert tokens.grants.revoke_for_session(tx, origin, SESSION, "session_ended") == 1
    assert {row["id"] for row in tokens.rows(GrantRow) if row["revoked_at"]} == {waiting}
    with tokens.transaction() as tx:
        stored = tokens.codes.find(tx, codes[1])
        assert stored is not None
        with pytest.raises(OAuthError) as refused:
            tokens.codes.claim(tx, origin, stored)
    assert refused.value.description == "The authorization was revoked."
