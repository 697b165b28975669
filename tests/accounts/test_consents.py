"""Consents: exactly what was shown and allowed, and nothing that differs from it."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from sqlalchemy import Engine, insert, select, update

from database.models import Client as ClientRow
from database.models import Consent as ConsentRow
from database.models.columns import new_id
from database.transaction import Transaction
from provider.accounts.users import User
from provider.protocol.client import Client
from provider.protocol.messages import Origin
from provider.services import Services
from tests.accounts.conftest import AddUser, Events, later
from tests.granting import add_grant

API = "https://api.example/mcp"
CALLBACK = "https://app.example/cb"
TABLE = ConsentRow.__table__


def register(services: Services, tx: Transaction, origin: Origin) -> Client:
    return services.clients.register(
        tx,
        origin,
        kind="application",
        name="App",
        token_endpoint_auth_method="client_secret_basic",
        redirect_uris=(CALLBACK, "https://app.example/other"),
    )[0]


@pytest.fixture
def client(services: Services, engine: Engine, origin: Origin) -> Client:
    with Transaction(engine) as tx:
        return register(services, tx, origin)


@pytest.fixture
def asked(ana: User, client: Client) -> dict[str, Any]:
    return {
        "user_id": ana.id,
        "client": client,
        "resource_uri": API,
        "redirect_uri": CALLBACK,
        "scope": ("openid", "mcp:read"),
    }


@pytest.fixture
def consent_id(services: Services, engine: Engine, origin: Origin, asked: dict[str, Any]) -> str:
    with Transaction(engine) as tx:
        return services.consents.remember(tx, origin, **asked)


@pytest.mark.parametrize("scope", [("openid", "mcp:read"), ("mcp:read", "openid"), ("mcp:read",), ()])
def test_the_same_or_less_is_not_asked_again(
    services: Services, tx: Transaction, asked: dict[str, Any], consent_id: str, scope: tuple[str, ...]
) -> None:
    assert services.consents.find_covering(tx, **{**asked, "scope": scope}) == consent_id


def test_nothing_is_covered_before_it_was_allowed(services: Services, tx: Transaction, asked: dict[str, Any]) -> None:
    assert services.consents.find_covering(tx, **asked) is None
    assert services.consents.find_covering(tx, **{**asked, "scope": ()}) is None


@pytest.mark.parametrize(
    "change",
    [
        {"scope": ("openid", "mcp:read", "mcp:write")},
        {"scope": ("mcp:write",)},
        {"scope": ("mcp",)},
        {"resource_uri": "https://api.example/other"},
        {"resource_uri": API + "/"},
        {"redirect_uri": "https://app.example/other"},
        {"redirect_uri": CALLBACK + "?x=1"},
    ],
    ids=str,
)
def test_anything_else_is_asked_for(
    services: Services, tx: Transaction, asked: dict[str, Any], consent_id: str, change: dict[str, Any]
) -> None:
    assert services.consents.find_covering(tx, **{**asked, **change}) is None


@pytest.mark.parametrize(
    "change",
    [
        {"name": "Another app"},
        {"redirect_uris": (CALLBACK, "https://app.example/other", "https://app.example/third")},
        {"redirect_uris": (CALLBACK,)},
        {"token_endpoint_auth_method": "none"},
    ],
    ids=str,
)
def test_a_client_that_shows_itself_differently_is_asked_about_again(
    services: Services, tx: Transaction, asked: dict[str, Any], consent_id: str, change: dict[str, Any]
) -> None:
    client = dataclasses.replace(asked["client"], **change)
    assert services.consents.find_covering(tx, **{**asked, "client": client}) is None


def test_the_order_of_redirect_uris_shows_nothing_new(
    services: Services, tx: Transaction, asked: dict[str, Any], consent_id: str
) -> None:
    client = dataclasses.replace(asked["client"], redirect_uris=asked["client"].redirect_uris[::-1])
    assert services.consents.find_covering(tx, **{**asked, "client": client}) == consent_id


def test_another_user_and_another_client_of_the_same_name_are_asked(
    services: Services, tx: Transaction, origin: Origin, asked: dict[str, Any], consent_id: str, add_user: AddUser
) -> None:
    assert services.consents.find_covering(tx, **{**asked, "user_id": add_user("bora").id}) is None
    twin = register(services, tx, origin)
    assert services.consents.find_covering(tx, **{**asked, "client": twin}) is None


def test_a_second_decision_adds_to_the_first(
    services: Services, engine: Engine, origin: Origin, asked: dict[str, Any], consent_id: str, events: Events
) -> None:
    with Transaction(engine) as tx:
        more = {**asked, "scope": ("mcp:write", "openid")}
        assert services.consents.remember(tx, later(origin, 60), **more) == consent_id
        (known,) = services.consents.list(tx, asked["user_id"])
    assert known.scope == ("openid", "mcp:read", "mcp:write")
    assert (known.created_at, known.updated_at) == (origin.now, later(origin, 60).now)
    assert [row["metadata"]["scope"] for row in events("consent.given")] == [
        ["openid", "mcp:read"],
        ["mcp:write", "openid"],
    ]


def grant(services: Services, tx: Transaction, origin: Origin, asked: dict[str, Any], consent_id: str | None) -> str:
    return add_grant(
        tx,
        origin.now,
        user_id=asked["user_id"],
        client_row_id=asked["client"].id,
        session_id=None,
        consent_id=consent_id,
        scope=("offline_access",),
        resource_uri=API,
        authenticated_at=origin.now,
        amr=("pwd",),
        acr="urn:mcp-core:password",
    )


def test_taking_it_back_ends_what_rests_on_it_and_asks_again(
    services: Services, engine: Engine, origin: Origin, asked: dict[str, Any], consent_id: str, events: Events
) -> None:
    with Transaction(engine) as tx:
        resting = grant(services, tx, origin, asked, consent_id)
        other = grant(services, tx, origin, asked, None)
    with Transaction(engine) as tx:
        assert services.consents.withdraw(tx, origin, asked["user_id"], consent_id)
        assert not services.consents.withdraw(tx, origin, asked["user_id"], consent_id)
    with Transaction(engine) as tx:
        assert services.consents.find_covering(tx, **asked) is None
        assert services.consents.list(tx, asked["user_id"]) == []
        ended, alive = services.grants.find(tx, resting), services.grants.find(tx, other)
        again = services.consents.remember(tx, origin, **asked)
        assert services.consents.find_covering(tx, **asked) == again
    assert ended is not None
    assert alive is not None
    assert ended.revoked_at is not None
    assert alive.revoked_at is None
    assert again != consent_id
    assert len(events("consent.withdrawn")) == 1


@pytest.fixture
def twins(engine: Engine, services: Services, origin: Origin, asked: dict[str, Any], consent_id: str) -> list[str]:
    """The consent twice, as two decisions at the same moment leave it, and a third from before the client's new name."""
    made = [consent_id]
    with Transaction(engine) as tx:
        first = tx.execute(select(TABLE)).mappings().one()
        for seconds, scope, metadata in ((1, "mcp:write", first["metadata_hash"]), (2, "openid", "0" * 64)):
            at = later(origin, seconds).now
            made.append(new_id(at))
            row = {"id": made[-1], "scope": scope, "metadata_hash": metadata, "created_at": at, "updated_at": at}
            tx.execute(insert(ConsentRow), {**first, **row})
    return made


def test_a_consent_that_was_kept_twice_is_shown_once_with_all_that_it_allows(
    services: Services, tx: Transaction, origin: Origin, asked: dict[str, Any], twins: list[str]
) -> None:
    other = services.consents.remember(tx, origin, **{**asked, "redirect_uri": "https://app.example/other"})
    newest, elsewhere = services.consents.list(tx, asked["user_id"])
    assert (newest.id, newest.scope) == (twins[2], ("openid", "mcp:write", "mcp:read"))
    assert (newest.created_at, newest.updated_at) == (origin.now, later(origin, 2).now)
    assert (elsewhere.id, elsewhere.scope) == (other, asked["scope"])


@pytest.mark.parametrize("which", [0, 1, 2])
def test_taking_one_back_takes_back_its_twins_and_nothing_else(
    services: Services,
    tx: Transaction,
    origin: Origin,
    asked: dict[str, Any],
    twins: list[str],
    which: int,
    add_user: AddUser,
) -> None:
    bora = add_user("bora")
    resting = [grant(services, tx, origin, asked, twin) for twin in twins]
    changes = (
        {"redirect_uri": "https://app.example/other"},
        {"resource_uri": API + "/other"},
        {"user_id": bora.id},
        {"client": register(services, tx, origin)},
    )
    others = [{**asked, **change} for change in changes]
    for other in others:
        services.consents.remember(tx, origin, **other)
    assert services.consents.withdraw(tx, origin, asked["user_id"], twins[which])
    assert not any(services.consents.withdraw(tx, origin, asked["user_id"], twin) for twin in twins)
    assert services.consents.find_covering(tx, **asked) is None
    assert all(services.consents.find_covering(tx, **other) for other in others)
    ended = [services.grants.find(tx, grant_id) for grant_id in resting]
    assert all(found is not None and found.revoked_at is not None for found in ended)


def test_a_consent_goes_a_year_after_it_was_taken_back(
    services: Services, tx: Transaction, origin: Origin, asked: dict[str, Any], consent_id: str
) -> None:
    year, long_after = later(origin, 365 * 86400).now, later(origin, 1000 * 86400).now
    assert services.consents.purge(tx, long_after) == 0
    services.consents.withdraw(tx, origin, asked["user_id"], consent_id)
    living = services.consents.remember(tx, origin, **asked)
    assert services.consents.purge(tx, later(origin, 365 * 86400 - 1).now) == 0
    assert services.consents.purge(tx, year) == 1
    assert tx.execute(select(TABLE.c.id)).scalars().all() == [living]


def test_nobody_takes_back_another_persons_consent(
    services: Services, tx: Transaction, origin: Origin, asked: dict[str, Any], consent_id: str, add_user: AddUser
) -> None:
    assert not services.consents.withdraw(tx, origin, add_user("bora").id, consent_id)
    assert not services.consents.withdraw(tx, origin, asked["user_id"], "0" * 36)
    assert services.consents.find_covering(tx, **asked) == consent_id


def test_addresses_and_metadata_are_kept_as_keyed_hashes(engine: Engine, consent_id: str) -> None:
    with engine.connect() as connection:
        row = connection.execute(select(TABLE)).mappings().one()
    assert "app.example" not in str(dict(row))
    assert len(row["redirect_uri_hash"]) == len(row["metadata_hash"]) == 64


def test_a_change_of_the_stored_client_is_seen(
    services: Services, engine: Engine, origin: Origin, asked: dict[str, Any], consent_id: str
) -> None:
    with Transaction(engine) as tx:
        row = ClientRow.__table__
        tx.execute(update(ClientRow).where(row.c.id == asked["client"].id).values(name="Bank of Trust"))
        client = services.clients.get_by_row(tx, asked["client"].id)
        assert services.consents.find_covering(tx, **{**asked, "client": client}) is None
