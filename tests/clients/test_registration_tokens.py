"""Initial access tokens: made, found, counted and ended."""

from __future__ import annotations

import datetime
from dataclasses import replace

import pytest
from sqlalchemy import Engine, select

from database.models import RegistrationToken as TokenRow
from database.transaction import Transaction
from provider.audit import AuditRecorder
from provider.clients.registration_tokens import RegistrationTokens
from provider.protocol.messages import Origin
from provider.security.crypto import Keyring, is_secret, new_secret
from tests.clients.conftest import Events
from tests.together import at_once


@pytest.fixture
def tokens(keyring: Keyring) -> RegistrationTokens:
    return RegistrationTokens(keyring, AuditRecorder())


def test_a_token_is_found_by_its_value_which_is_not_stored(
    tokens: RegistrationTokens, engine: Engine, origin: Origin, events: Events
) -> None:
    with Transaction(engine) as tx:
        made, value = tokens.create(
            tx, origin, name=" build team ", expires_in_days=30, uses=5, require_pkce=False, actor="cli:ana"
        )
    assert is_secret("init", value)
    with Transaction(engine) as tx:
        found = tokens.find(tx, origin.now, value)
        assert found == made
        assert tokens.list(tx) == [made]
        stored = dict(tx.execute(select(TokenRow.__table__)).mappings().one())
    assert value not in str(stored)
    assert (made.name, made.uses_left, made.require_pkce) == ("build team", 5, False)
    assert made.expires_at == origin.now + datetime.timedelta(days=30)
    (record,) = events()
    assert (record["action"], record["resource_id"], record["actor"]) == (
        "registration_token.created",
        made.id,
        "cli:ana",
    )
    assert value not in str(record)


@pytest.mark.parametrize("value", ["", "x", "mcp_init_x", "mcp_init_" + "0" * 49])
def test_what_is_no_token_is_not_found(
    tokens: RegistrationTokens, sqlite_engine: Engine, origin: Origin, value: str
) -> None:
    with Transaction(sqlite_engine) as tx:
        tokens.create(tx, origin, name="a", expires_in_days=1, uses=None)
        assert tokens.find(tx, origin.now, value) is None
        assert tokens.find(tx, origin.now, new_secret("init")) is None
        assert tokens.find(tx, origin.now, new_secret("reg")) is None


def test_a_token_ends_with_its_uses_its_time_or_by_hand(
    tokens: RegistrationTokens, engine: Engine, origin: Origin
) -> None:
    with Transaction(engine) as tx:
        made, value = tokens.create(tx, origin, name="a", expires_in_days=1, uses=2)
        assert tokens.use(tx, origin.now, made)
        again = tokens.find(tx, origin.now, value)
        assert again is not None
        assert again.uses_left == 1
        assert tokens.use(tx, origin.now, again)
        assert not tokens.use(tx, origin.now, again), "what was read before the last use"
        assert tokens.find(tx, origin.now, value) is None

        endless, value = tokens.create(tx, origin, name="b", expires_in_days=None, uses=None)
        century = origin.now + datetime.timedelta(days=36500)
        assert all(tokens.use(tx, century, endless) for _ in range(3))

        _, value = tokens.create(tx, origin, name="c", expires_in_days=1, uses=None)
        assert tokens.find(tx, origin.now + datetime.timedelta(hours=23, minutes=59), value) is not None
        assert tokens.find(tx, origin.now + datetime.timedelta(days=1), value) is None


@pytest.mark.parametrize("uses", [None, 3])
def test_a_revoked_token_counts_no_more_even_where_it_was_read_before(
    tokens: RegistrationTokens, engine: Engine, origin: Origin, events: Events, uses: int | None
) -> None:
    with Transaction(engine) as tx:
        made, value = tokens.create(tx, origin, name="a", expires_in_days=1, uses=uses)
    with Transaction(engine) as tx:
        assert tokens.revoke(tx, origin, made.id, actor="cli:ana")
        assert not tokens.revoke(tx, origin, made.id)
        assert not tokens.revoke(tx, origin, "unknown")
    with Transaction(engine) as tx:
        assert tokens.find(tx, origin.now, value) is None
        assert not tokens.use(tx, origin.now, made)
        assert [token.revoked_at for token in tokens.list(tx)] == [origin.now]
    assert [event["action"] for event in events()] == ["registration_token.created", "registration_token.revoked"]


def test_parallel_uses_are_counted_one_by_one(tokens: RegistrationTokens, engine: Engine, origin: Origin) -> None:
    with Transaction(engine) as tx:
        made, value = tokens.create(tx, origin, name="a", expires_in_days=1, uses=3)
    used = at_once(engine, [lambda tx: tokens.use(tx, origin.now, made)] * 8)
    assert sorted(used) == [False] * 5 + [True] * 3
    with Transaction(engine) as tx:
        assert tokens.find(tx, origin.now, value) is None


@pytest.mark.parametrize(
    "changes",
    [
        {"name": ""},
        {"name": "  "},
        {"name": "a\nb"},
        {"name": "x" * 256},
        {"expires_in_days": 0},
        {"expires_in_days": 367},
        {"uses": 0},
        {"uses": 1_000_001},
    ],
)
def test_a_token_that_makes_no_sense_is_refused(
    tokens: RegistrationTokens, sqlite_engine: Engine, origin: Origin, changes: dict[str, object]
) -> None:
    with Transaction(sqlite_engine) as tx:
        with pytest.raises(ValueError, match="registration token"):
            tokens.create(tx, origin, **{"name": "a", "expires_in_days": 1, "uses": 1, **changes})  # type: ignore[arg-type]
        assert tokens.list(tx) == []


def test_a_token_that_was_changed_elsewhere_is_read_anew(
    tokens: RegistrationTokens, sqlite_engine: Engine, origin: Origin
) -> None:
    with Transaction(sqlite_engine) as tx:
        made, _ = tokens.create(tx, origin, name="a", expires_in_days=1, uses=1)
        assert tokens.use(tx, origin.now, replace(made, uses_left=999)), "the database counts, not the copy"
        assert not tokens.use(tx, origin.now, replace(made, uses_left=999))
