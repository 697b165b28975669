"""Removal while a token is being made, on servers: threads, each with a transaction of its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest

from database.transaction import Transaction
from provider.accounts.groups import Group
from provider.accounts.users import User
from provider.tokens.authorization import Authorization
from provider.tokens.token_records import AuthorizationGone
from tests.endpoints.provider import API, KnownClient, Provider, ProviderFactory, claims_of
from tests.together import at_once

SCOPE = ("openid", "groups", "notes:read", "notes:write", "offline_access")


@dataclass
class World:
    provider: Provider
    ada: User
    group: Group
    client: KnownClient

    def authorization(self, tx: Transaction) -> Authorization:
        """What a refresh reads before it makes a token."""
        services = self.provider.services
        return Authorization(
            client=self.client.client,
            grant_type="refresh_token",
            scope=SCOPE,
            resource=services.resources.get(tx, API),
            user_id=self.ada.id,
            grant_id=self.grant_id,
            membership=services.groups.membership(tx, self.ada.id),
        )

    def __post_init__(self) -> None:
        self.grant_id = self.provider.grant(self.ada, self.client, SCOPE, resource=API)

    def change(self, change: Callable[..., Any]) -> Callable[[Transaction], Any]:
        return lambda tx: change(tx, self.provider.origin, self.group, self.ada)


@pytest.fixture(params=["mariadb", "mysql"])
def world(request: pytest.FixtureRequest, make_provider: ProviderFactory) -> World:
    provider = make_provider(request.getfixturevalue(f"{request.param}_engine"))
    ada = provider.user()
    group = provider.group("developers", ada)
    provider.resource(groups_claim=True, scope_groups={"notes:write": (group.id,)})
    return World(provider, ada, group, provider.client("none", only_groups=[group.id]))


def test_a_removal_after_the_reading_is_seen_by_the_statement_that_mints(world: World) -> None:
    """Also by a transaction whose other statements see the database as it was when it began."""
    issuer, now = world.provider.services.token_issuer, world.provider.clock.now
    with world.provider.begin() as tx:
        read = world.authorization(tx)
        assert read.membership is not None
        world.provider.leave(world.group, world.ada)
        with pytest.raises(AuthorizationGone):
            issuer.issue_access_token(tx, read, now)
        unchecked = replace(read, membership=replace(read.membership, version=read.membership.version + 1))
        assert issuer.issue_access_token(tx, unchecked, now).token, "nothing else is in the way"


def test_refreshes_and_removals_at_one_moment_leave_no_token_that_says_two_things(world: World) -> None:
    groups = world.provider.services.groups
    for number in range(3):
        tokens = [world.provider.refresh_token(world.grant_id) for _ in range(3)]
        calls: list[Any] = [lambda _tx, token=token: world.provider.refresh(world.client, token) for token in tokens]
        answers = at_once(world.provider.engine, [*calls, world.change(groups.remove)])
        assert answers[3] is True
        for answer in answers[:3]:
            assert answer.status in (200, 400), answer
            if answer.status == 200:
                said = [claims_of(answer.json[name])["groups"] for name in ("id_token", "access_token")]
                assert said == [["developers"], ["developers"]], number
                assert "notes:write" in answer.json["scope"]
            else:
                assert answer.error == (400, "invalid_grant")
        assert world.provider.refresh(world.client, tokens[0]).error == (400, "invalid_grant")
        with world.provider.begin() as tx:
            assert world.change(groups.add)(tx)
