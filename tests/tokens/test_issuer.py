"""The mint: what tokens say, and that none is made once anything it rests on has changed (RFC 9068)."""

from __future__ import annotations

import base64
import dataclasses
import datetime
import hashlib
import json
from collections.abc import Callable
from typing import Any

import pytest
from joserfc import jwt
from sqlalchemy import delete

from database.models import Client as ClientRow
from database.models import GrantRecord, IssuedToken, RefreshToken
from database.models import User as UserRow
from provider.protocol.messages import Origin
from provider.tokens.issuer import token_hash
from provider.tokens.key_pairs import REGISTRY
from provider.tokens.token_records import AuthorizationGone
from tests.tokens.conftest import API, ISSUER, Tokens, World, later, make_client, make_grant, make_user

ES256_API = dataclasses.replace(API, token_alg="ES256")


def decoded(world: World, origin: Origin, token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    with world.tokens.transaction() as tx:
        read = jwt.decode(token, world.tokens.keys.verification_keys(tx, origin.now), registry=REGISTRY)
    return dict(read.header), dict(read.claims)


def test_an_access_token_of_a_user_says_exactly_this(world: World, origin: Origin) -> None:
    moment = later(origin, 0.75)
    with world.tokens.transaction() as tx:
        issued = world.tokens.issuer.issue_access_token(tx, world.authorization(origin), moment.now)
    header, claims = decoded(world, origin, issued.token)
    seconds = int(origin.now.timestamp())
    assert (header["alg"], header["typ"], set(header)) == ("ES256", "at+jwt", {"alg", "typ", "kid"})
    assert claims == {
        "iss": ISSUER,
        "sub": world.user.id,
        "aud": API.uri,
        "client_id": world.client.client_id,
        "scope": "openid mcp:read",
        "iat": seconds,
        "exp": seconds + 600,
        "jti": issued.jti,
        "auth_time": seconds - 90,
        "acr": "urn:mcp-core:two-factor",
        "amr": ["pwd", "otp"],
        "sid": "01900000-0000-7000-8000-00000000000a",
    }
    assert (issued.expires_in, issued.scope) == (600, ("openid", "mcp:read"))
    (row,) = world.tokens.rows(IssuedToken)
    assert row == {
        "jti": issued.jti,
        "client_id": world.client.id,
        "grant_id": world.grant_id,
        "user_id": world.user.id,
        "grant_type": "authorization_code",
        "scope": "openid mcp:read",
        "audience": API.uri,
        "ip_address": "192.0.2.10",
        "issued_at": moment.now,
        "expires_at": later(moment, 600).now,
        "revoked_at": None,
        "subject": None,
        "client_epoch": 0,
        "groups_digest": None,
    }


def machine(world: World, origin: Origin, **changes: Any) -> Any:
    """A client's own authorization."""
    return world.authorization(
        origin, grant_type="client_credentials", user_id=None, grant_id=None, session_id=None, **changes
    )


def test_a_client_in_its_own_name_is_the_subject_and_nobody_signed_in(world: World, origin: Origin) -> None:
    with world.tokens.transaction() as tx:
        issued = world.tokens.issuer.issue_access_token(tx, machine(world, origin), origin.now)
    _, claims = decoded(world, origin, issued.token)
    assert claims["sub"] == claims["client_id"] == world.client.client_id
    assert not {"auth_time", "acr", "amr", "sid", "owner"} & set(claims)
    (row,) = world.tokens.rows(IssuedToken)
    assert (row["user_id"], row["grant_id"]) == (None, None)


def test_a_token_of_an_api_key_names_the_owner_beside_the_subject(world: World, origin: Origin) -> None:
    with world.tokens.transaction() as tx:
        key = make_client(world.tokens, tx, origin, kind="api_key", owner_user_id=world.user.id)
        issued = world.tokens.issuer.issue_access_token(tx, machine(world, origin, client=key), origin.now)
    _, claims = decoded(world, origin, issued.token)
    assert (claims["sub"], claims["owner"]) == (key.client_id, world.user.id)


def test_the_resource_decides_signature_and_life(engine: Any, keyring: Any, origin: Origin) -> None:
    tokens = Tokens(engine, keyring, ("RS256", "ES256", "EdDSA"))
    with tokens.transaction() as tx:
        tokens.keys.ensure(tx, origin.now)
        user, client = make_user(tokens, tx, origin), make_client(tokens, tx, origin)
        world = World(tokens, user, client, make_grant(tokens, tx, origin.now, user, client))
        for algorithm, seconds in (("RS256", 30), ("ES256", 900), ("EdDSA", None)):
            resource = dataclasses.replace(API, token_alg=algorithm, access_token_seconds=seconds)
            known = world.authorization(origin, resource=resource)
            issued = tokens.issuer.issue_access_token(tx, known, origin.now)
            header, claims = decoded(world, origin, issued.token)
            assert header["alg"] == algorithm
            assert claims["exp"] - claims["iat"] == issued.expires_in == (seconds or 600)
            client = dataclasses.replace(world.client, id_token_signed_response_alg=algorithm)
            id_token = tokens.issuer.id_token(tx, world.authorization(origin, client=client), origin.now)
            assert decoded(world, origin, id_token)[0]["alg"] == algorithm


Change = Callable[[World, Origin], None]


def _set(model: Any, **values: Any) -> Change:
    def change(world: World, origin: Origin) -> None:
        key = {ClientRow: world.client.id, UserRow: world.user.id, GrantRecord: world.grant_id}[model]
        made = {name: value(origin) if callable(value) else value for name, value in values.items()}
        world.tokens.set(model, key, **made)

    return change


def _delete(model: Any) -> Change:
    def change(world: World, origin: Origin) -> None:
        key = {ClientRow: world.client.id, UserRow: world.user.id, GrantRecord: world.grant_id}[model]
        with world.tokens.transaction() as tx:
            tx.execute(delete(model).where(next(iter(model.__table__.primary_key)) == key))

    return change


CLIENT_CHANGES = {
    "client disabled": _set(ClientRow, is_active=False),
    "client revoked": _set(ClientRow, revoked_at=lambda origin: origin.now),
    "client expired": _set(ClientRow, expires_at=lambda origin: origin.now),
    "client changed": _set(ClientRow, updated_at=lambda origin: later(origin, 0.000001).now),
    "client deleted": _delete(ClientRow),
}
USER_CHANGES = {
    "user disabled": _set(UserRow, is_active=False),
    "user deleted": _delete(UserRow),
    "grant revoked": _set(GrantRecord, revoked_at=lambda origin: origin.now),
    "grant deleted": _delete(GrantRecord),
}


@pytest.mark.parametrize("change", [*CLIENT_CHANGES, *USER_CHANGES])
def test_no_token_is_made_once_what_it_rests_on_is_gone(world: World, origin: Origin, change: str) -> None:
    (CLIENT_CHANGES | USER_CHANGES)[change](world, origin)
    with world.tokens.transaction() as tx, pytest.raises(AuthorizationGone):
        world.tokens.issuer.issue_access_token(tx, world.authorization(origin), origin.now)
    assert world.tokens.rows(IssuedToken) == []


@pytest.mark.parametrize("change", CLIENT_CHANGES)
def test_nor_for_the_client_itself(world: World, origin: Origin, change: str) -> None:
    CLIENT_CHANGES[change](world, origin)
    with world.tokens.transaction() as tx, pytest.raises(AuthorizationGone):
        world.tokens.issuer.issue_access_token(tx, machine(world, origin), origin.now)
    assert world.tokens.rows(IssuedToken) == []


def test_a_client_works_until_it_expires(world: World, origin: Origin) -> None:
    world.tokens.set(ClientRow, world.client.id, expires_at=later(origin, 0.001).now)
    with world.tokens.transaction() as tx:
        world.tokens.issuer.issue_access_token(tx, machine(world, origin), origin.now)


@pytest.mark.parametrize("left, seconds", [(1, 1), (29.5, 29), (599, 599), (600, 600), (601, 600), (None, 600)])
@pytest.mark.parametrize("fraction", [0, 0.75])
def test_what_is_issued_never_outlives_its_client(
    world: World, origin: Origin, left: float | None, seconds: int, fraction: float
) -> None:
    end = None if left is None else later(origin, left).now
    now = later(origin, fraction if left != 1 else 0).now
    with world.tokens.transaction() as tx:
        client = make_client(world.tokens, tx, origin, expires_at=end)
        grant_id = make_grant(world.tokens, tx, origin.now, world.user, client)
        known = world.authorization(origin, client=client, grant_id=grant_id)
        issued = world.tokens.issuer.issue_access_token(tx, known, now)
        claims = decoded(world, origin, issued.token)[1]
        id_claims = decoded(world, origin, world.tokens.issuer.id_token(tx, known, now))[1]
        world.tokens.refresh.start(tx, now, grant_id, client_ends_at=client.expires_at)
    assert issued.expires_in == claims["exp"] - claims["iat"] == seconds
    assert id_claims["exp"] - id_claims["iat"] == min(seconds, 300)
    (refresh_row,) = world.tokens.rows(RefreshToken)
    assert end is None or max(claims["exp"], id_claims["exp"]) <= end.timestamp()
    assert end is None or max(refresh_row["expires_at"], refresh_row["family_expires_at"]) <= end


@pytest.mark.parametrize("left", [0.001, 0.999])
def test_in_its_last_second_a_client_gets_nothing_that_would_be_over_at_once(
    world: World, origin: Origin, left: float
) -> None:
    with world.tokens.transaction() as tx:
        client = make_client(world.tokens, tx, origin, expires_at=later(origin, left).now)
        with pytest.raises(AuthorizationGone):
            world.tokens.issuer.issue_access_token(tx, machine(world, origin, client=client), origin.now)
    assert world.tokens.rows(IssuedToken) == []


def test_a_grant_makes_no_token_for_another_client(world: World, origin: Origin) -> None:
    with world.tokens.transaction() as tx:
        other = make_client(world.tokens, tx, origin)
        with pytest.raises(AuthorizationGone):
            world.tokens.issuer.issue_access_token(tx, world.authorization(origin, client=other), origin.now)


@pytest.mark.parametrize(
    "is_admin, is_active, is_minted", [(True, True, True), (False, True, False), (True, False, False)]
)
@pytest.mark.parametrize("whose", ["user", "owner of a key"])
def test_an_admin_scope_needs_somebody_who_is_an_administrator_now(
    world: World, origin: Origin, whose: str, is_admin: bool, is_active: bool, is_minted: bool
) -> None:
    world.tokens.set(UserRow, world.user.id, is_admin=is_admin, is_active=is_active)
    with world.tokens.transaction() as tx:
        known = world.authorization(origin, scope=("mcp:admin",))
        if whose != "user":
            key = make_client(world.tokens, tx, origin, kind="api_key", owner_user_id=world.user.id)
            known = machine(world, origin, client=key, scope=("mcp:admin",))
        if is_minted:
            world.tokens.issuer.issue_access_token(tx, known, origin.now)
        else:
            with pytest.raises(AuthorizationGone):
                world.tokens.issuer.issue_access_token(tx, known, origin.now)


def test_a_key_of_a_disabled_owner_mints_nothing_whatever_its_scope(world: World, origin: Origin) -> None:
    with world.tokens.transaction() as tx:
        key = make_client(world.tokens, tx, origin, kind="api_key", owner_user_id=world.user.id)
        world.tokens.issuer.issue_access_token(tx, machine(world, origin, client=key), origin.now)
    world.tokens.set(UserRow, world.user.id, is_active=False)
    with world.tokens.transaction() as tx, pytest.raises(AuthorizationGone):
        world.tokens.issuer.issue_access_token(tx, machine(world, origin, client=key), origin.now)


def test_a_token_without_its_committed_record_never_counts(world: World, origin: Origin) -> None:
    tx = world.tokens.transaction()
    issued = world.tokens.issuer.issue_access_token(tx, world.authorization(origin), origin.now)
    assert world.tokens.verifier.verify_access_token(tx, issued.token, origin.now) is not None
    tx.rollback()
    with world.tokens.transaction() as tx:
        assert world.tokens.verifier.verify_access_token(tx, issued.token, origin.now) is None


PROTOCOL_CLAIMS = (
    *("iss", "sub", "aud", "azp", "exp", "iat", "nbf", "jti", "nonce", "auth_time", "acr", "amr", "sid"),
    *("at_hash", "c_hash", "s_hash", "act", "may_act", "cnf", "client_id", "scope", "events", "typ"),
)


@pytest.mark.parametrize("is_bare", [False, True])
def test_profile_claims_never_take_the_place_of_the_protocols(world: World, origin: Origin, is_bare: bool) -> None:
    hostile = dict.fromkeys(PROTOCOL_CLAIMS, "forged")
    known = world.authorization(origin, nonce=None)
    if is_bare:
        known = dataclasses.replace(known, authenticated_at=None, amr=(), acr=None, session_id=None)
    with world.tokens.transaction() as tx:
        token = world.tokens.issuer.id_token(
            tx, known, origin.now, subject_claims={**hostile, "name": "Ada", "email": "ada@example.com"}
        )
    _, claims = decoded(world, origin, token)
    assert "forged" not in claims.values()
    assert (claims["name"], claims["email"], claims["sub"]) == ("Ada", "ada@example.com", world.user.id)


def test_an_id_token_says_exactly_this(world: World, origin: Origin) -> None:
    nonce = "n" * 64 + "é %20+"
    with world.tokens.transaction() as tx:
        token = world.tokens.issuer.id_token(
            tx, world.authorization(origin, nonce=nonce), origin.now, access_token="an.access.token"
        )
    header, claims = decoded(world, origin, token)
    seconds = int(origin.now.timestamp())
    digest = hashlib.sha256(b"an.access.token").digest()[:16]
    assert header["typ"] == "JWT"
    assert claims == {
        "iss": ISSUER,
        "sub": world.user.id,
        "aud": world.client.client_id,
        "azp": world.client.client_id,
        "iat": seconds,
        "exp": seconds + 300,
        "nonce": nonce,
        "auth_time": seconds - 90,
        "acr": "urn:mcp-core:two-factor",
        "amr": ["pwd", "otp"],
        "sid": "01900000-0000-7000-8000-00000000000a",
        "at_hash": base64.urlsafe_b64encode(digest).rstrip(b"=").decode(),
    }


def test_an_id_token_makes_up_no_nonce_and_no_hash(world: World, origin: Origin) -> None:
    with world.tokens.transaction() as tx:
        token = world.tokens.issuer.id_token(tx, world.authorization(origin), origin.now)
    assert not {"nonce", "at_hash"} & set(decoded(world, origin, token)[1])


@pytest.mark.parametrize(
    "algorithm, token, expected",
    [
        # OpenID Connect Core appendix A.3: the example of the specification.
        ("RS256", "jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y", "77QmUPtjPfzWtF2AnpK9RQ"),
        ("ES256", "jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y", "77QmUPtjPfzWtF2AnpK9RQ"),
    ],
)
def test_the_hash_of_an_access_token_is_that_of_the_specification(algorithm: str, token: str, expected: str) -> None:
    assert token_hash(algorithm, token) == expected
    assert len(base64.urlsafe_b64decode(token_hash("EdDSA", token) + "==")) == 32


def test_times_are_whole_seconds_and_json_is_plain(world: World, origin: Origin) -> None:
    known = world.authorization(origin, authenticated_at=origin.now - datetime.timedelta(microseconds=1))
    with world.tokens.transaction() as tx:
        issued = world.tokens.issuer.issue_access_token(tx, known, later(origin, 0.999999).now)
    payload = issued.token.split(".")[1]
    claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    assert all(isinstance(claims[name], int) for name in ("iat", "exp", "auth_time"))
    assert None not in claims.values()
