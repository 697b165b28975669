"""The sweep of clients that registered themselves: what goes, and what has to stay."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Engine, update

from database.models import AuthorizationRequest
from database.models import Client as ClientRow
from database.transaction import Transaction
from provider.clients.registry import Clients
from provider.protocol.client import Client
from provider.protocol.messages import Origin
from provider.security.crypto import Keyring, new_secret
from provider.tokens.grant_records import GrantRecords
from provider.tokens.one_time import AuthorizationRequests

CALLBACK = "https://app.example/callback"


@pytest.fixture
def register(clients: Clients, engine: Engine, origin: Origin) -> Callable[..., Client]:
    def make(**options: Any) -> Client:
        made = {
            "kind": "dynamic", "name": "App", "token_endpoint_auth_method": "none", "redirect_uris": (CALLBACK,),
            "grant_types": ("authorization_code",), "is_vouched": False, **options,
        }  # fmt: skip
        with Transaction(engine) as tx:
            return clients.register(tx, origin, **made)[0]

    return make


def left(clients: Clients, engine: Engine) -> set[str]:
    with Transaction(engine) as tx:
        return {client.id for client in clients.list(tx)}


def sweep(clients: Clients, engine: Engine, before: datetime.datetime, limit: int = 1000) -> int:
    with Transaction(engine) as tx:
        return clients.purge_unused(tx, before, limit)


def test_only_those_go_that_nobody_vouches_for_and_nobody_used(
    clients: Clients, register: Callable[..., Client], engine: Engine, origin: Origin
) -> None:
    register()
    register(kind="metadata_document", client_id="https://app.example/client.json")
    kept = {
        register(is_vouched=True).id,
        register(kind="application", is_vouched=True).id,
        register(kind="application").id,
    }
    assert sweep(clients, engine, origin.now) == 2
    assert left(clients, engine) == kept
    assert sweep(clients, engine, origin.now) == 0


def test_age_counts_to_the_moment(
    clients: Clients, register: Callable[..., Client], engine: Engine, origin: Origin
) -> None:
    register()
    assert sweep(clients, engine, origin.now - datetime.timedelta(microseconds=1)) == 0
    assert sweep(clients, engine, origin.now) == 1


def test_a_client_that_was_used_stays(
    clients: Clients, register: Callable[..., Client], engine: Engine, origin: Origin
) -> None:
    client = register()
    with Transaction(engine) as tx:
        clients.touch(tx, client, origin.now)
    assert sweep(clients, engine, origin.now) == 0


def test_a_client_that_was_allowed_something_stays(
    clients: Clients, register: Callable[..., Client], engine: Engine, origin: Origin, owner_id: str
) -> None:
    client = register()
    with Transaction(engine) as tx:
        GrantRecords(clients._audit).create(
            tx, origin.now, user_id=owner_id, client_row_id=client.id, session_id=None, consent_id=None, scope=("openid",),
            resource_uri="r", authenticated_at=origin.now, amr=("pwd",), acr="a",
        )  # fmt: skip
    assert sweep(clients, engine, origin.now) == 0


def test_a_client_that_somebody_is_about_to_allow_stays(
    clients: Clients, register: Callable[..., Client], engine: Engine, origin: Origin, keyring: Keyring
) -> None:
    client, requests = register(), AuthorizationRequests(keyring, 1800)
    with Transaction(engine) as tx:
        requests.store(tx, origin.now, client_row_id=client.id, browser=new_secret("browser"), parameters={})
    assert sweep(clients, engine, origin.now) == 0
    with Transaction(engine) as tx:
        tx.execute(update(AuthorizationRequest).values(expires_at=origin.now))
        requests.purge(tx, origin.now)
    assert sweep(clients, engine, origin.now) == 1


@pytest.mark.parametrize(
    "values", [{"is_active": False}, {"revoked_at": datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)}]
)
def test_what_an_operator_has_stopped_stays_stopped(
    clients: Clients, register: Callable[..., Client], engine: Engine, origin: Origin, values: dict[str, Any]
) -> None:
    client = register(kind="metadata_document", client_id="https://app.example/client.json")
    with Transaction(engine) as tx:
        tx.execute(update(ClientRow).values(**values))
    assert sweep(clients, engine, origin.now) == 0
    assert left(clients, engine) == {client.id}


def test_a_sweep_goes_in_batches_and_forgets_what_is_gone(
    clients: Clients, register: Callable[..., Client], engine: Engine, origin: Origin
) -> None:
    made = [register() for _ in range(5)]
    with Transaction(engine) as tx:
        assert clients.find(tx, made[0].client_id) is not None
    assert [sweep(clients, engine, origin.now, 2) for _ in range(3)] == [2, 2, 1]
    with Transaction(engine) as tx:
        assert clients.find(tx, made[0].client_id) is None
