"""Tokens for clouds at the moment in which what they rest on ends, on servers that run transactions side by side."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from database.models import IssuedToken
from database.transaction import Transaction
from provider.security.crypto import Keyring
from provider.tokens.token_records import AuthorizationGone
from provider.vault.cloud_tokens import Asker
from provider.vault.credentials import Given
from tests.endpoints.provider import claims_of
from tests.together import Call, at_once
from tests.vault.cloud_world import ROLE, CloudWorld

ROUNDS, TRIES = 3, 8


@pytest.fixture(params=["mariadb", "mysql"])
def on_server(request: pytest.FixtureRequest, keyring: Keyring) -> CloudWorld:
    return CloudWorld.build(request.getfixturevalue(f"{request.param}_engine"), keyring)


class Askers:
    """An application, an API key and a page, all of the account's owner; and how each thing ends that they rest on."""

    def __init__(self, world: CloudWorld) -> None:
        self.world = world
        self.application, self.client, self.grant_id = world.application()
        self.key, self.key_client = world.key()
        self.page = world.page()

    def end(self, what: str) -> tuple[Callable[[Transaction], Any], list[Asker]]:
        """What ends it, and those who get nothing any more."""
        services, origin, account = self.world.provider.services, self.world.provider.origin, self.world.account
        owner, everybody = self.world.ada.id, [self.application, self.key, self.page]
        said = {"role_arn": f"{ROLE}-2"}
        ends: dict[str, tuple[Callable[[Transaction], Any], list[Asker]]] = {
            "the grant": (lambda tx: services.grants.revoke(tx, origin, self.grant_id, "test"), [self.application]),
            "the client": (
                lambda tx: services.clients.set_active(tx, origin, self.client.client_id, False),
                [self.application],
            ),
            "the key": (lambda tx: services.api_keys.revoke(tx, origin, owner, self.key_client.client.id), [self.key]),
            "the session": (
                lambda tx: services.sessions.end(tx, origin, str(self.page.session_id), user_id=owner, reason="test"),
                [self.page],
            ),
            "the owner": (lambda tx: services.user_ends.set_active(tx, origin, owner, False), everybody),
            "the account": (lambda tx: services.cloud_accounts.remove(tx, origin, account), everybody),
            "what it was": (lambda tx: services.cloud_accounts.replace(tx, origin, account, said), everybody),
        }
        return ends[what]

    def giving(self, who: Asker) -> Call:
        services, origin = self.world.provider.services, self.world.provider.origin
        return lambda tx: services.cloud_credentials.give(tx, origin, self.world.account, who, "a race", "assertion")


ENDS = ("the grant", "the client", "the key", "the session", "the owner", "the account", "what it was")


@pytest.mark.parametrize("what", ENDS)
def test_what_is_handed_out_was_recorded_and_nothing_is_after_the_end(on_server: CloudWorld, what: str) -> None:
    world, tokens = on_server, 0
    for number in range(ROUNDS):
        askers = Askers(world)
        end, losers = askers.end(what)
        calls = [askers.giving(it) for it in (askers.application, askers.key, askers.page)]
        outcomes = at_once(world.provider.engine, [*calls, end, *calls], tries=TRIES)
        assert not isinstance(outcomes.pop(3), Exception)
        for outcome in outcomes:
            assert isinstance(outcome, (Given, AuthorizationGone)), outcome
        given = [str(it.assertion) for it in outcomes if isinstance(it, Given)]
        tokens += len(given)
        recorded = {row["jti"] for row in world.provider.rows(IssuedToken) if row["grant_type"] == "cloud"}
        assert {claims_of(token)["jti"] for token in given} <= recorded
        assert len(recorded) == tokens, "and nothing is recorded that was not handed out"
        assert len(world.provider.events("cloud.credentials_given")) == tokens
        for loser in losers:
            with pytest.raises(AuthorizationGone):
                world.give(loser, want="assertion")
        if what in ("the owner", "the account", "what it was"):
            with world.provider.begin() as tx:
                world.provider.services.user_ends.set_active(tx, world.provider.origin, world.ada.id, True)
            world.account = world.connect(f"again-{number}")
