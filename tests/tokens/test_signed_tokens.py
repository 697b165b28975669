"""Signatures are checked once, and nothing else is: what a token was worth a moment ago says nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from joserfc import jws

from database.models import GrantRecord, IssuedToken
from database.models import SigningKey as KeyRow
from provider.protocol.messages import Origin
from provider.tokens import signed_tokens
from provider.tokens.signing_keys import RELOAD_SECONDS
from provider.tokens.verifier import TokenVerifier
from tests.tokens.conftest import PUBLISH_SECONDS, RETIRE_SECONDS, SKEW_SECONDS, Tokens, World, later
from tests.tokens.forging import issue, read, resigned, verify


@pytest.fixture
def checked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The tokens whose signature is checked, in their order."""
    seen: list[str] = []
    check = jws.deserialize_compact

    def note(value: bytes, *rest: Any, **more: Any) -> Any:
        seen.append(value.decode())
        return check(value, *rest, **more)

    monkeypatch.setattr(jws, "deserialize_compact", note)
    return seen


def test_the_signature_of_a_token_is_checked_once(world: World, origin: Origin, checked: list[str]) -> None:
    one, other = issue(world, origin), issue(world, origin)
    first = verify(world, origin, one)
    assert first is not None
    assert verify(world, origin, other) is not None
    assert verify(world, later(origin, 1), one) == first
    assert checked == [one, other]


def test_one_character_makes_another_token(world: World, origin: Origin, checked: list[str]) -> None:
    token = issue(world, origin)
    assert verify(world, origin, token) is not None
    head, payload, signature = token.split(".")
    replaced = "A" if signature[10] != "A" else "B"
    for forged in (f"{head}.{payload}.{signature[:10]}{replaced}{signature[11:]}", f"{token}=", f"{token} "):
        assert verify(world, origin, forged) is None
    assert verify(world, origin, token) is not None
    assert checked[0] == token
    assert token not in checked[1:]


def _rotate(world: World, origin: Origin, **how: bool) -> None:
    with world.tokens.transaction() as tx:
        world.tokens.keys.rotate(tx, origin, **how)


def _revoke_elsewhere(world: World, origin: Origin) -> None:
    other = Tokens(world.tokens.engine, world.tokens.keyring)
    with other.transaction() as tx:
        other.keys.rotate(tx, origin, revoke=True)


# What happens between two calls, and how many seconds later the second one comes.
ENDS: dict[str, tuple[Callable[[World, Origin], None], float]] = {
    "expired": (lambda _world, _origin: None, 600),
    "key revoked": (lambda world, origin: _rotate(world, origin, revoke=True), 0),
    "key revoked by another process": (_revoke_elsewhere, RELOAD_SECONDS),
    "key gone from the table": (
        lambda world, origin: world.tokens.set(
            KeyRow, world.tokens.rows(KeyRow)[0]["kid"], retires_at=origin.now, revoked_at=origin.now
        ),
        RELOAD_SECONDS,
    ),
    "clock set back": (lambda _world, _origin: None, -SKEW_SECONDS - 1),
}


@pytest.mark.parametrize("end", ENDS)
def test_a_token_that_is_remembered_ends_in_its_moment(
    world: World, origin: Origin, checked: list[str], end: str
) -> None:
    change, seconds = ENDS[end]
    token = issue(world, origin)
    assert verify(world, origin, token) is not None
    change(world, origin)
    assert verify(world, later(origin, seconds), token) is None
    assert checked == [token]


def test_a_key_that_has_retired_signs_for_nothing_that_is_remembered(world: World, origin: Origin) -> None:
    far = later(origin, PUBLISH_SECONDS + RETIRE_SECONDS)
    token = resigned(world, origin, issue(world, origin), exp=int(later(far, 900).now.timestamp()))
    world.tokens.set(IssuedToken, read(token)[1]["jti"], expires_at=later(far, 900).now)
    assert verify(world, origin, token) is not None
    _rotate(world, origin)
    assert verify(world, later(far, -1), token) is not None
    assert verify(world, far, token) is None


@pytest.mark.parametrize(
    "change", [{"scope": "openid"}, {"audience": "https://issuer.example/oauth"}, {"subject": "0" * 64}]
)
def test_a_record_that_says_something_else_by_now_is_compared_anew(
    world: World, origin: Origin, change: dict[str, str]
) -> None:
    token = issue(world, origin)
    assert verify(world, origin, token) is not None
    jti = read(token)[1]["jti"]
    before = next(row for row in world.tokens.rows(IssuedToken) if row["jti"] == jti)
    world.tokens.set(IssuedToken, jti, **change)
    assert verify(world, origin, token) is None
    world.tokens.set(IssuedToken, jti, **{name: before[name] for name in change})
    assert verify(world, origin, token) is not None


def test_what_its_grant_asks_for_is_that_of_now(world: World, origin: Origin) -> None:
    token = issue(world, origin)
    known = verify(world, origin, token)
    assert known is not None
    assert known.requested_claims.userinfo == ()
    world.tokens.set(GrantRecord, world.grant_id, claims={"userinfo": ["email"]})
    known = verify(world, origin, token)
    assert known is not None
    assert known.requested_claims.userinfo == ("email",)


def test_another_issuer_takes_none_of_them(world: World, origin: Origin) -> None:
    token = issue(world, origin)
    other = TokenVerifier("https://other.example", world.tokens.keys, world.tokens.audit, clock_skew_seconds=0)
    for _ in range(2):
        assert verify(world, origin, token) is not None
        with world.tokens.transaction() as tx:
            assert other.verify_access_token(tx, token, origin.now) is None


def test_a_hint_that_is_remembered_is_no_access_token(world: World, origin: Origin) -> None:
    with world.tokens.transaction() as tx:
        hint = world.tokens.issuer.id_token(tx, world.authorization(origin), origin.now)
        access = world.tokens.issuer.issue_access_token(tx, world.authorization(origin), origin.now).token
        for _ in range(2):
            assert world.tokens.verifier.verify_id_token_hint(tx, hint, origin.now) is not None
            assert world.tokens.verifier.verify_access_token(tx, hint, origin.now) is None
            assert world.tokens.verifier.verify_access_token(tx, access, origin.now) is not None
            assert world.tokens.verifier.verify_id_token_hint(tx, access, origin.now) is None


def test_few_are_remembered_and_none_in_clear(
    world: World, origin: Origin, checked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(signed_tokens, "REMEMBERED", 2)
    issued = [issue(world, origin) for _ in range(3)]
    for token in issued:
        assert verify(world, origin, token) is not None
    remembered = world.tokens.verifier._tokens._remembered
    assert len(remembered) == 2
    assert {(type(name), len(name)) for name in remembered} == {(bytes, 32)}
    for token in reversed(issued):
        assert verify(world, origin, token) is not None
    assert checked == [*issued, issued[0]]
