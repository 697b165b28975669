"""Pushed authorization requests as they are kept (RFC 9126 §2.2, §4, §7; security A-44)."""

from __future__ import annotations

import datetime

import pytest

from database.models import PushedRequest
from database.transaction import Transaction
from provider.protocol.messages import Origin
from provider.security.crypto import new_secret
from provider.tokens.pushed_requests import PushedRequests
from tests.together import at_once
from tests.tokens.conftest import Tokens, World, make_client

SECONDS = 90
ANSWER_SECONDS = 1800
PARAMETERS = {"client_id": ["app"], "state": ["글 +%25&"], "resource": ["https://a.example", "https://b.example"]}
PREFIX = "urn:ietf:params:oauth:request_uri:"


@pytest.fixture
def pushed(tokens: Tokens) -> PushedRequests:
    return PushedRequests(tokens.keyring, SECONDS, ANSWER_SECONDS)


def store(world: World, pushed: PushedRequests, origin: Origin) -> str:
    with world.tokens.transaction() as tx:
        return pushed.store(tx, origin.now, world.client.id, PARAMETERS)


def test_it_is_found_by_its_client_as_often_as_it_looks(world: World, pushed: PushedRequests, origin: Origin) -> None:
    uri = store(world, pushed, origin)
    with world.tokens.transaction() as tx:
        for _ in range(3):
            found = pushed.find(tx, origin.now, world.client.id, uri)
            assert found is not None
            assert found.parameters == PARAMETERS


def test_nobody_else_finds_it(world: World, pushed: PushedRequests, origin: Origin) -> None:
    uri = store(world, pushed, origin)
    with world.tokens.transaction() as tx:
        other = make_client(world.tokens, tx, origin)
        assert pushed.find(tx, origin.now, other.id, uri) is None
        assert pushed.find(tx, origin.now, world.client.id.upper(), uri) is None
        assert pushed.find(tx, origin.now, "", uri) is None
        for text in ("", PREFIX, uri + "a", uri[:-1], uri.upper(), PREFIX + new_secret("par"), uri + " ", f"{uri}\n"):
            assert pushed.find(tx, origin.now, world.client.id, text) is None, text


def test_its_name_cannot_be_guessed_and_is_not_kept(world: World, pushed: PushedRequests, origin: Origin) -> None:
    first, second = store(world, pushed, origin), store(world, pushed, origin)
    assert first != second
    assert first.startswith(PREFIX)
    handle = first.removeprefix(PREFIX)
    assert len(handle) == len("mcp_par_") + 49
    assert handle not in str(world.tokens.rows(PushedRequest))


@pytest.mark.parametrize("seconds, is_found", [(0, True), (SECONDS - 0.001, True), (SECONDS, False), (86400, False)])
def test_it_is_found_until_it_expires(
    world: World, pushed: PushedRequests, origin: Origin, seconds: float, is_found: bool
) -> None:
    uri, later = store(world, pushed, origin), origin.now + datetime.timedelta(seconds=seconds)
    with world.tokens.transaction() as tx:
        assert (pushed.find(tx, later, world.client.id, uri) is not None) is is_found


def test_it_is_used_up_once_and_for_good(world: World, pushed: PushedRequests, origin: Origin) -> None:
    uri, other = store(world, pushed, origin), store(world, pushed, origin)
    with world.tokens.transaction() as tx:
        found = pushed.find(tx, origin.now, world.client.id, uri)
        assert found is not None
        assert pushed.consume(tx, origin.now, found.handle_hash)
        assert not pushed.consume(tx, origin.now, found.handle_hash)
        assert not pushed.consume(tx, origin.now, "0" * 64)
        assert pushed.find(tx, origin.now, world.client.id, uri) is None
        assert pushed.find(tx, origin.now, world.client.id, other) is not None


def test_of_many_at_one_moment_one_uses_it_up(world: World, pushed: PushedRequests, origin: Origin) -> None:
    uri = store(world, pushed, origin)
    with world.tokens.transaction() as tx:
        found = pushed.find(tx, origin.now, world.client.id, uri)
    assert found is not None

    def use(tx: Transaction) -> bool:
        return pushed.consume(tx, origin.now, found.handle_hash)

    assert sorted(at_once(world.tokens.engine, [use] * 6)) == [False] * 5 + [True]


def test_what_is_undone_was_not_used_up(world: World, pushed: PushedRequests, origin: Origin) -> None:
    uri = store(world, pushed, origin)
    tx = world.tokens.transaction()
    found = pushed.find(tx, origin.now, world.client.id, uri)
    assert found is not None
    assert pushed.consume(tx, origin.now, found.handle_hash)
    tx.rollback()
    with world.tokens.transaction() as tx:
        assert pushed.consume(tx, origin.now, found.handle_hash)


def test_it_can_be_answered_as_long_as_a_person_may_take(world: World, pushed: PushedRequests, origin: Origin) -> None:
    """It expires before its person has signed in; the row has to be there until the longest sign-in is over."""
    assert pushed.kept_seconds > SECONDS + ANSWER_SECONDS
    uri = store(world, pushed, origin)
    with world.tokens.transaction() as tx:
        found = pushed.find(tx, origin.now, world.client.id, uri)
        assert found is not None
        end = origin.now + datetime.timedelta(seconds=pushed.kept_seconds)
        assert pushed.purge(tx, end - datetime.timedelta(seconds=1)) == 0
        assert pushed.consume(tx, end - datetime.timedelta(seconds=1), found.handle_hash)
        assert pushed.purge(tx, end) == 1
    assert world.tokens.rows(PushedRequest) == []


def test_it_goes_with_its_client(world: World, pushed: PushedRequests, origin: Origin) -> None:
    store(world, pushed, origin)
    with world.tokens.transaction() as tx:
        assert world.tokens.clients.delete(tx, origin, world.client.client_id)
    assert world.tokens.rows(PushedRequest) == []
