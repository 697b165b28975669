"""The sweep of clients that registered themselves: what goes, and what has to stay."""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Engine, update

from database.models import AuthorizationRequest
from database.models import Client as ClientRow
from database.transaction import Transaction
from provider.clients import unused_clients
from provider.clients.registry import Clients
from provider.clients.unused_clients import UnusedClients
from provider.protocol.client import Client
from provider.protocol.messages import Origin
from provider.security.crypto import Keyring, new_secret
from provider.tokens.one_time import AuthorizationRequests
from tests.granting import add_grant

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
        return UnusedClients(clients, days=30).purge(tx, before + datetime.timedelta(days=30), limit)


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
        add_grant(
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


HOUR, MINUTES = datetime.timedelta(hours=1), datetime.timedelta(minutes=5)


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small numbers for the same rules."""
    monkeypatch.setattr(unused_clients, "MOST_UNUSED", ((2, HOUR), (5, MINUTES)))


def make_room(clients: Clients, engine: Engine, now: datetime.datetime, limit: int = 1000) -> int:
    with Transaction(engine) as tx:
        return UnusedClients(clients, days=30).purge_surplus(tx, now, limit)


@pytest.mark.parametrize("kind", ["dynamic", "metadata_document"])
@pytest.mark.parametrize("age, stay", [(MINUTES / 2, 8), (MINUTES, 5), (HOUR / 2, 5), (HOUR, 2), (24 * HOUR, 2)])
def test_of_too_many_the_newest_stay_and_none_goes_at_once(
    clients: Clients, engine: Engine, origin: Origin, few: None, kind: str, age: datetime.timedelta, stay: int
) -> None:
    """An hour to be used in, and five minutes in a flood that fills an hour."""
    made = []
    with Transaction(engine) as tx:
        for number in range(8):
            born = dataclasses.replace(origin, now=origin.now + datetime.timedelta(seconds=number))
            url = f"https://app.example/{number}" if kind == "metadata_document" else None
            client, _ = clients.register(
                tx, born, kind=kind, name="App", token_endpoint_auth_method="none", is_vouched=False, client_id=url
            )
            made.append(client.id)
    now = origin.now + datetime.timedelta(seconds=7) + age
    assert make_room(clients, engine, now) == 8 - stay
    assert left(clients, engine) == set(made[8 - stay :])
    assert make_room(clients, engine, now) == 0


def test_what_is_used_counts_for_none_of_too_many_and_stays(
    clients: Clients, register: Callable[..., Client], engine: Engine, origin: Origin, few: None
) -> None:
    used = [register() for _ in range(4)]
    with Transaction(engine) as tx:
        for client in used:
            clients.touch(tx, client, origin.now)
    kept = {client.id for client in used} | {register().id, register(is_vouched=True).id}
    assert make_room(clients, engine, origin.now + 2 * HOUR) == 0
    assert left(clients, engine) == kept


def test_room_is_made_in_batches(
    clients: Clients, register: Callable[..., Client], engine: Engine, origin: Origin, few: None
) -> None:
    for _ in range(7):
        register()
    assert [make_room(clients, engine, origin.now + 2 * HOUR, 2) for _ in range(4)] == [2, 2, 1, 0]
