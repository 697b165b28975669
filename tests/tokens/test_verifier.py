"""Which of our own tokens count: their times, what they rest on, and their revocation."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import delete

from database.models import AuditRecord, GrantRecord, IssuedToken
from database.models import Client as ClientRow
from database.models import Resource as ResourceRow
from database.models import User as UserRow
from provider.protocol.messages import Origin
from provider.tokens.signed_tokens import MAX_TOKEN_CHARACTERS
from tests.statements import statements_of
from tests.tokens.conftest import API, PUBLISH_SECONDS, RETIRE_SECONDS, SKEW_SECONDS, World, later, make_client
from tests.tokens.forging import issue, read, resigned, verify


def test_a_token_of_ours_is_known_with_all_that_it_stands_for(world: World, origin: Origin) -> None:
    token = issue(world, origin)
    verified = verify(world, origin, token)
    assert verified is not None
    assert verified.claims == read(token)[1]
    assert (verified.jti, verified.client_row_id, verified.grant_id) == (
        read(token)[1]["jti"],
        world.client.id,
        world.grant_id,
    )
    assert (verified.user_id, verified.username) == (world.user.id, "ada")
    assert (verified.scope, verified.audience) == (("openid", "mcp:read"), API.uri)
    assert verify(world, origin, resigned(world, origin, token)) is not None, "the forger of these tests is wrong"


@pytest.mark.parametrize(
    "seconds, is_accepted", [(9, True), (11, True), (SKEW_SECONDS, True), (SKEW_SECONDS + 1, False), (61, False)]
)
def test_a_token_from_a_clock_ahead_is_accepted_within_the_skew(
    world: World, origin: Origin, seconds: int, is_accepted: bool
) -> None:
    token = issue(world, later(origin, seconds))
    assert (verify(world, origin, token) is not None) is is_accepted


@pytest.mark.parametrize("seconds, is_accepted", [(0, True), (599.999, True), (600, False), (601, False), (700, False)])
def test_a_token_counts_until_its_expiry_and_not_a_moment_longer(
    world: World, origin: Origin, seconds: float, is_accepted: bool
) -> None:
    token = issue(world, origin)
    assert (verify(world, later(origin, seconds), token) is not None) is is_accepted


def _delete_record(world: World, token: str) -> None:
    with world.tokens.transaction() as tx:
        tx.execute(delete(IssuedToken).where(IssuedToken.__table__.c.jti == read(token)[1]["jti"]))


def _delete_row(model: Any, key: Callable[[World], str]) -> Callable[[World, str], None]:
    def change(world: World, _token: str) -> None:
        with world.tokens.transaction() as tx:
            tx.execute(delete(model).where(next(iter(model.__table__.primary_key)) == key(world)))

    return change


EVENTS: dict[str, Callable[[World, str], None]] = {
    "token revoked": lambda w, t: w.tokens.set(IssuedToken, read(t)[1]["jti"], revoked_at=w.user.created_at),
    "record gone": _delete_record,
    "grant revoked": lambda w, _: w.tokens.set(GrantRecord, w.grant_id, revoked_at=w.user.created_at),
    "grant gone": _delete_row(GrantRecord, lambda w: w.grant_id),
    "user disabled": lambda w, _: w.tokens.set(UserRow, w.user.id, is_active=False),
    "user gone": _delete_row(UserRow, lambda w: w.user.id),
    "client disabled": lambda w, _: w.tokens.set(ClientRow, w.client.id, is_active=False),
    "client revoked": lambda w, _: w.tokens.set(ClientRow, w.client.id, revoked_at=w.user.created_at),
    "client expired": lambda w, _: w.tokens.set(ClientRow, w.client.id, expires_at=w.user.created_at),
    "epoch of the client over": lambda w, _: w.tokens.set(ClientRow, w.client.id, epoch=1),
    "API removed": _delete_row(ResourceRow, lambda w: w.tokens.rows(ResourceRow)[0]["id"]),
    "API added later": lambda w, t: w.tokens.set(
        ResourceRow, w.tokens.rows(ResourceRow)[0]["id"], created_at=w.user.created_at + datetime.timedelta(seconds=1)
    ),
    "client gone": _delete_row(ClientRow, lambda w: w.client.id),
}


@pytest.mark.parametrize("event", EVENTS)
def test_a_token_dies_at_once_with_what_it_rests_on(world: World, origin: Origin, event: str) -> None:
    token = issue(world, origin)
    assert verify(world, origin, token) is not None
    EVENTS[event](world, token)
    assert verify(world, origin, token) is None


def test_a_key_of_a_disabled_owner_is_dead(world: World, origin: Origin) -> None:
    with world.tokens.transaction() as tx:
        key = make_client(world.tokens, tx, origin, kind="api_key", owner_user_id=world.user.id)
    token = issue(
        world, origin, client=key, user_id=None, grant_id=None, session_id=None, grant_type="client_credentials"
    )
    verified = verify(world, origin, token)
    assert verified is not None
    assert (verified.user_id, verified.username) == (None, None)
    world.tokens.set(UserRow, world.user.id, is_active=False)
    assert verify(world, origin, token) is None


def test_an_access_token_and_an_id_token_never_pass_for_one_another(world: World, origin: Origin) -> None:
    access = issue(world, origin)
    with world.tokens.transaction() as tx:
        id_token = world.tokens.issuer.id_token(tx, world.authorization(origin), origin.now)
        assert world.tokens.verifier.verify_id_token_hint(tx, access, origin.now) is None
        assert world.tokens.verifier.verify_access_token(tx, id_token, origin.now) is None


def test_a_hint_may_have_expired_but_not_be_altered(world: World, origin: Origin) -> None:
    with world.tokens.transaction() as tx:
        token = world.tokens.issuer.id_token(tx, world.authorization(origin), origin.now)
        hint = world.tokens.verifier.verify_id_token_hint(tx, token, later(origin, 86400).now)
        assert hint is not None
        assert (hint["sub"], hint["aud"]) == (world.user.id, world.client.client_id)
        changes: list[dict[str, Any]] = [{"aud": None}, {"aud": [world.client.client_id]}, {"sub": None}, {"sub": 1}]
        for claims in [*changes, {"iss": "https://evil.example"}, {"iat": None}]:
            altered = resigned(world, origin, token, **claims)
            assert world.tokens.verifier.verify_id_token_hint(tx, altered, origin.now) is None


def test_a_hint_outlives_the_key_that_signed_it_by_a_day_and_an_access_token_does_not(
    world: World, origin: Origin
) -> None:
    verifier = world.tokens.verifier
    far = later(origin, 10 * 86400).now
    access = resigned(world, origin, issue(world, origin), exp=int(far.timestamp()))
    world.tokens.set(IssuedToken, read(access)[1]["jti"], expires_at=far)
    with world.tokens.transaction() as tx:
        hint = world.tokens.issuer.id_token(tx, world.authorization(origin), origin.now)
        world.tokens.keys.rotate(tx, origin)
    over = later(origin, PUBLISH_SECONDS + RETIRE_SECONDS)
    with world.tokens.transaction() as tx:
        assert verifier.verify_access_token(tx, access, later(over, -1).now) is not None
        for seconds, is_read in ((-1, True), (0, True), (86399, True), (86400, False)):
            moment = later(over, seconds).now
            assert (verifier.verify_id_token_hint(tx, hint, moment) is not None) is is_read, seconds
            assert seconds < 0 or verifier.verify_access_token(tx, access, moment) is None


@pytest.mark.parametrize("padding, is_read", [(0, True), (1, False), (5_000_000, False)])
def test_a_token_is_read_up_to_a_limit(world: World, origin: Origin, padding: int, is_read: bool) -> None:
    token = issue(world, origin)
    best = resigned(world, origin, token, filler="")
    missing = MAX_TOKEN_CHARACTERS - len(best)
    for size in range(missing * 3 // 4 - 8, missing * 3 // 4 + 8):  # the filler is encoded: four characters for three
        made = resigned(world, origin, token, filler="x" * size)
        if len(made) <= MAX_TOKEN_CHARACTERS:
            best = made
    assert MAX_TOKEN_CHARACTERS - len(best) < 3
    if padding:
        best = resigned(world, origin, token, filler="x" * (missing * 3 // 4 + 8 + padding))
        assert len(best) > MAX_TOKEN_CHARACTERS
    with statements_of(world.tokens.engine) as asked:
        assert (verify(world, origin, best) is not None) is is_read
    assert bool(asked) is is_read, "what is too long is not even looked at"


def test_revoking_ends_one_token_once_and_is_recorded(world: World, origin: Origin) -> None:
    token, untouched = issue(world, origin), issue(world, origin)
    verified = verify(world, origin, token)
    assert verified is not None
    with world.tokens.transaction() as tx:
        assert world.tokens.verifier.revoke(tx, origin, verified)
        assert not world.tokens.verifier.revoke(tx, origin, verified)
    assert verify(world, origin, token) is None
    assert verify(world, origin, untouched) is not None
    (record,) = [row for row in world.tokens.rows(AuditRecord) if row["action"] == "token.revoked"]
    assert (record["user_id"], record["actor"], record["resource_id"]) == (
        world.user.id,
        world.client.client_id,
        verified.jti,
    )


def test_records_are_purged_a_day_after_their_token_expired(world: World, origin: Origin) -> None:
    for _ in range(3):
        issue(world, origin)
    over = later(origin, 600 + 86400)
    with world.tokens.transaction() as tx:
        purge = world.tokens.verifier.purge
        assert purge(tx, later(over, -0.001).now) == 0
        assert purge(tx, over.now, limit=2) == 2
        assert purge(tx, over.now) == 1
    assert world.tokens.rows(IssuedToken) == []
