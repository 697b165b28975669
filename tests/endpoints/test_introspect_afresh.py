"""Introspection says what holds now: who asks and what the token rests on are looked up, and neither is remembered."""

from __future__ import annotations

import base64
import dataclasses
import json
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import delete

from database.models import Client as ClientRow
from database.models import GrantRecord, IssuedToken, User
from provider.security.crypto import new_secret
from tests.endpoints.provider import API, KnownClient, Provider, ProviderFactory, claims_of
from tests.statements import statements_of

ACTIVE, INACTIVE, REFUSED = (200, True), (200, False), (401, None)


class Nodes:
    """Two processes on one database, which remember the same token and the same client."""

    def __init__(self, one: Provider, other: Provider) -> None:
        self.one, self.other = one, other
        one.resource()
        self.api = one.api()
        self.app = one.client()
        self.user = one.user()
        self.grant_id = one.grant(self.user, self.app, ("openid", "notes:read"), resource=API)
        self.token = one.redeem(self.app, one.code(self.grant_id)).json["access_token"]
        for node in (one, other):
            assert [self.asked(node, by) for by in (self.api, self.app)] == [ACTIVE, ACTIVE]

    def asked(self, node: Provider, by: KnownClient, token: str = "") -> tuple[int, bool | None]:
        answer = node.introspect(by, token or self.token)
        return answer.status, answer.json.get("active")

    def set(self, model: Any, key: str, **values: Any) -> None:
        column = next(iter(model.__table__.primary_key))
        with self.one.begin() as tx:
            tx.execute(model.__table__.update().where(column == key).values(**values))


@pytest.fixture
def nodes(provider_everywhere: Provider, make_provider: ProviderFactory) -> Nodes:
    other = make_provider(provider_everywhere.engine)
    return Nodes(provider_everywhere, other)


def _with(change: Callable[[Nodes, Any], object]) -> Callable[[Nodes], None]:
    def run(nodes: Nodes) -> None:
        with nodes.one.begin() as tx:
            change(nodes, tx)

    return run


# What one process does between two calls of another, and what the API and the application hear then.
ENDS: dict[str, tuple[Callable[[Nodes], object], tuple[int, bool | None], tuple[int, bool | None]]] = {
    "token revoked": (lambda n: n.one.revoke(n.app, n.token), INACTIVE, INACTIVE),
    "record gone": (
        _with(lambda n, tx: tx.execute(delete(IssuedToken).where(IssuedToken.jti == claims_of(n.token)["jti"]))),
        INACTIVE,
        INACTIVE,
    ),
    "grant revoked": (
        _with(lambda n, tx: n.one.services.grants.revoke(tx, n.one.origin, n.grant_id, "test")),
        INACTIVE,
        INACTIVE,
    ),
    "grant gone": (
        _with(lambda n, tx: tx.execute(delete(GrantRecord).where(GrantRecord.id == n.grant_id))),
        INACTIVE,
        INACTIVE,
    ),
    "user disabled": (lambda n: n.set(User, n.user.id, is_active=False), INACTIVE, INACTIVE),
    "application disabled": (
        _with(lambda n, tx: n.one.services.clients.set_active(tx, n.one.origin, n.app.client_id, False)),
        INACTIVE,
        REFUSED,
    ),
    "application disabled by hand": (lambda n: n.set(ClientRow, n.app.client.id, is_active=False), INACTIVE, REFUSED),
    "application gone": (
        _with(lambda n, tx: n.one.services.clients.delete(tx, n.one.origin, n.app.client_id)),
        INACTIVE,
        REFUSED,
    ),
    "API disabled": (
        _with(lambda n, tx: n.one.services.clients.set_active(tx, n.one.origin, n.api.client_id, False)),
        REFUSED,
        ACTIVE,
    ),
    "secret of the API replaced": (
        _with(lambda n, tx: n.one.services.clients.rotate_secret(tx, n.one.origin, n.api.client_id)),
        REFUSED,
        ACTIVE,
    ),
    "secret of the API replaced by hand": (
        lambda n: n.set(ClientRow, n.api.client.id, secret_hash="0" * 64),
        REFUSED,
        ACTIVE,
    ),
    "API takes another method by hand": (
        lambda n: n.set(ClientRow, n.api.client.id, token_endpoint_auth_method="private_key_jwt"),
        REFUSED,
        ACTIVE,
    ),
}


@pytest.mark.parametrize("end", ENDS)
def test_what_another_process_has_ended_has_ended_here(nodes: Nodes, end: str) -> None:
    change, for_api, for_app = ENDS[end]
    change(nodes)
    for node in (nodes.other, nodes.one):
        assert nodes.asked(node, nodes.api) == for_api
        assert nodes.asked(node, nodes.app) == for_app


def test_who_asks_is_looked_for_first_and_by_the_same_question(nodes: Nodes) -> None:
    unknown = KnownClient(dataclasses.replace(nodes.api.client, client_id="app_unknown"), nodes.api.secret)
    wrong = KnownClient(nodes.api.client, new_secret("cs"))
    seen: list[list[str]] = []
    for by, token in ((nodes.api, nodes.token), (nodes.app, "nonsense"), (unknown, nodes.token), (wrong, nodes.token)):
        with statements_of(nodes.one.engine) as asked:
            nodes.asked(nodes.one, by, token)
        seen.append(asked)
    assert [asked[0] for asked in seen] == [seen[0][0]] * 4
    assert [len(asked) for asked in seen[:2]] == [2, 1], "what nobody has signed is looked for by nobody"
    assert seen[2] == seen[3]


@pytest.mark.parametrize("jti", ["\ud800" * 36, "x" * 36, "0" * 35, "", 1, None, ["a"], {"a": 1}])
def test_an_id_that_nobody_has_signed_for_is_no_id(nodes: Nodes, jti: Any) -> None:
    assert nodes.asked(nodes.one, nodes.api, _claiming(jti)) == INACTIVE


def test_the_id_of_a_token_in_a_token_of_nobody_says_nothing(nodes: Nodes) -> None:
    head, payload, signature = nodes.token.split(".")
    assert nodes.asked(nodes.one, nodes.api, f"{head}.{payload}.{signature[::-1]}") == INACTIVE
    assert nodes.asked(nodes.one, nodes.api, _claiming(claims_of(nodes.token)["jti"])) == INACTIVE
    assert nodes.asked(nodes.one, nodes.api) == ACTIVE


def _claiming(jti: Any) -> str:
    payload = base64.urlsafe_b64encode(json.dumps({"jti": jti}).encode()).rstrip(b"=").decode()
    return f"e30.{payload}.AA"
