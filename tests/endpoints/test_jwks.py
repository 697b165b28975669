"""The public keys (RFC 7517 §5): what they show, how they change, and that a stale copy always suffices."""

from __future__ import annotations

import json
from typing import Any

import pytest
from joserfc import jws
from joserfc.jwk import KeySet
from sqlalchemy import update

from database.models import SigningKey
from provider.tokens.key_pairs import REGISTRY
from provider.tokens.signing_keys import SETTLE_SECONDS
from tests.endpoints.provider import API, Provider, claims_of, header_of

MAX_AGE = 300
GRANT = {"grant_type": "client_credentials"}
PRIVATE_MEMBERS = {"d", "p", "q", "dp", "dq", "qi", "oth", "k"}


def jwks(provider: Provider) -> dict[str, Any]:
    answer = provider.get(f"{provider.path}/jwks")
    assert answer.status == 200
    return {key["kid"]: key for key in answer.json["keys"]}


def verifies(keys: dict[str, Any], token: str) -> Any:
    """As a resource server does: by the key whose kid the token names."""
    chosen = keys[header_of(token)["kid"]]
    assert chosen["alg"] == header_of(token)["alg"]
    key = KeySet.import_key_set({"keys": [chosen]}).keys[0]
    return json.loads(jws.deserialize_compact(token.encode(), key, registry=REGISTRY).payload or b"")


def rotate(provider: Provider, **options: bool) -> list[str]:
    with provider.begin() as tx:
        return provider.services.signing_keys.rotate(tx, provider.origin, **options)


def test_the_public_half_of_every_key_is_shown_and_nothing_of_the_private_one(provider: Provider) -> None:
    keys = jwks(provider)
    by_algorithm = {key["alg"]: key for key in keys.values()}
    assert set(by_algorithm) == {"RS256", "ES256", "EdDSA"}
    assert set(by_algorithm["RS256"]) == {"kty", "n", "e", "kid", "use", "alg"}
    assert set(by_algorithm["ES256"]) == {"kty", "crv", "x", "y", "kid", "use", "alg"}
    assert set(by_algorithm["EdDSA"]) == {"kty", "crv", "x", "kid", "use", "alg"}
    for key in keys.values():
        assert not set(key) & PRIVATE_MEMBERS
        assert key["use"] == "sig"
        assert isinstance(key["kid"], str)
    assert len(by_algorithm["RS256"]["n"]) >= 342  # 2048 bits
    assert (by_algorithm["ES256"]["crv"], by_algorithm["EdDSA"]["crv"]) == ("P-256", "Ed25519")


def test_private_keys_are_stored_encrypted(provider: Provider) -> None:
    for row in provider.rows(SigningKey):
        assert row["private_key_encrypted"].startswith("v2.test.")
        assert not set(row["public_jwk"]) & PRIVATE_MEMBERS


def test_any_verifier_can_check_what_we_sign(provider: Provider) -> None:
    user = provider.user()
    for algorithm in ("RS256", "ES256", "EdDSA"):
        client = provider.client(id_token_signed_response_alg=algorithm)
        tokens = provider.tokens(user, client)
        assert header_of(tokens["id_token"])["alg"] == algorithm
        assert verifies(jwks(provider), tokens["id_token"])["sub"] == user.id
        assert verifies(jwks(provider), tokens["access_token"])["aud"] == provider.issuer


def test_verifiers_may_keep_a_copy_and_ask_whether_it_is_new(provider: Provider) -> None:
    path = f"{provider.path}/jwks"
    first = provider.get(path)
    etag = first.header("ETag")
    assert etag is not None
    assert first.header("Cache-Control") == f"public, max-age={MAX_AGE}"
    again = provider.get(path, {"If-None-Match": etag})
    assert (again.status, again.body, again.header("ETag")) == (304, b"", etag)
    assert again.header("Cache-Control") == f"public, max-age={MAX_AGE}"
    rotate(provider)
    changed = provider.get(path, {"If-None-Match": etag})
    assert changed.status == 200
    assert changed.header("ETag") != etag


def test_a_new_key_is_published_long_before_it_signs_and_the_old_one_stays(provider: Provider) -> None:
    """A verifier's copy of the keys, as old as it may be, verifies every token at every moment."""
    client = provider.machine()
    before = set(jwks(provider))
    made = set(rotate(provider))
    assert set(jwks(provider)) == before | made  # published at once
    copies = [(provider.clock.now, jwks(provider))]
    tokens: list[str] = []
    signed_by: list[bool] = []
    for _ in range(75):  # two and a half hours, with a token and a new copy every two minutes
        provider.clock.advance(120)
        copies.append((provider.clock.now, jwks(provider)))
        tokens.append(provider.token(client, GRANT).json["access_token"])
        signed_by.append(header_of(tokens[-1])["kid"] in made)
        oldest = [keys for at, keys in copies if (provider.clock.now - at).total_seconds() <= 2 * MAX_AGE]
        for token in tokens[-5:]:
            if claims_of(token)["exp"] > provider.clock.now.timestamp():
                assert all(verifies(keys, token) for keys in oldest)
    assert signed_by == sorted(signed_by)  # the old key, then the new one
    assert signed_by.index(True) == 59  # two hours later
    assert set(jwks(provider)) == made


@pytest.mark.parametrize("immediately", [False, True])
@pytest.mark.parametrize("resource, life", [(None, 600), (API, 900)])
def test_the_old_key_stays_until_its_last_token_has_expired(
    provider: Provider, immediately: bool, resource: str | None, life: int
) -> None:
    provider.resource(access_token_seconds=900)
    client = provider.machine(resource=resource)
    made = rotate(provider, immediately=immediately)
    provider.clock.advance((SETTLE_SECONDS if immediately else 7200) - 1)
    token = provider.token(client, GRANT).json["access_token"]
    assert header_of(token)["kid"] not in made
    provider.clock.advance(life - 1)
    assert verifies(jwks(provider), token)
    assert provider.is_alive(token)
    provider.clock.advance(1)
    assert not provider.is_alive(token)


def test_a_token_of_the_longest_life_outlives_an_immediate_rotation(provider: Provider) -> None:
    provider.resource(access_token_seconds=900)
    token = provider.token(provider.machine(resource=API), GRANT).json["access_token"]
    rotate(provider, immediately=True)
    provider.clock.advance(899)
    assert verifies(jwks(provider), token)
    assert provider.is_alive(token)


def test_processes_agree_within_seconds_and_without_a_restart(provider: Provider, make_provider: Any) -> None:
    other = make_provider(provider.engine)
    client = provider.machine()
    old = set(jwks(other))
    made = set(rotate(provider))
    other.clock.advance(30)
    assert set(jwks(other)) == old | made
    for moment in (7199, 7200, 7201):
        provider.clock.now = other.clock.now = provider.origin.now.replace(hour=14, minute=0, second=0)
        provider.clock.advance(moment - 7200)
        other.clock.advance(moment - 7200)
        kids = {header_of(it.token(client, GRANT).json["access_token"])["kid"] for it in (provider, other)}
        assert len(kids) == 1
        assert (kids <= made) is (moment >= 7200)


def test_a_token_of_a_key_that_this_process_has_not_read_yet_is_known(provider: Provider, make_provider: Any) -> None:
    client = provider.client()
    other = make_provider(provider.engine)
    assert len(jwks(other)) == 3
    rotate(provider, revoke=True)
    provider.clock.advance(2)
    other.clock.advance(2)
    token = provider.tokens(provider.user(), client)["access_token"]
    assert other.introspect(client, token).json["active"]


def test_a_new_key_that_does_not_open_costs_its_algorithm_alone_and_no_code(
    provider: Provider, make_provider: Any
) -> None:
    other = make_provider(provider.engine)
    jwks(provider)
    user, client = provider.user(), provider.client(id_token_signed_response_alg="EdDSA")
    made = rotate(other, revoke=True)
    with provider.begin() as tx:
        spoilt = update(SigningKey).where(SigningKey.algorithm == "EdDSA", SigningKey.revoked_at.is_(None))
        assert tx.execute(spoilt.values(private_key_encrypted="v2.test.AAAA.AAAA.AAAA")).rowcount == 1
    provider.clock.advance(31)
    shown = jwks(provider)
    assert (set(shown) < set(made), {key["alg"] for key in shown.values()}) == (True, {"RS256", "ES256"})
    (record,) = provider.events("decryption.failed")
    assert record["resource_type"] == "signing_keys"
    assert record["resource_id"] not in shown
    assert provider.tokens(user, provider.client())["id_token"]
    code = provider.code(provider.grant(user, client, ("openid",)))
    refused = provider.redeem(client, code)
    assert (refused.status, refused.json["error"]) == (503, "temporarily_unavailable")
    rotate(provider)
    answer = provider.redeem(client, code)
    assert answer.status == 200, "nothing was used up"
    assert header_of(answer.json["id_token"])["alg"] == "EdDSA"
    assert len(provider.events("decryption.failed")) == 1
