"""API keys: never more than their owner, over with their owner, and what ``users.api_key`` means."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import Engine, delete, select, update

from database.models import Client as ClientRow
from database.models import User as UserRow
from database.transaction import Transaction
from provider.accounts.api_keys import SecondFactorNeeded
from provider.accounts.users import User
from provider.protocol.client import Client, Resource
from provider.protocol.errors import OAuthError
from provider.protocol.messages import Origin
from provider.protocol.scopes import CLOUD_CREDENTIALS
from provider.security.crypto import is_secret
from provider.services import Services
from provider.tokens.authorization import Authorization
from provider.tokens.token_records import AuthorizationGone
from tests.accounts.conftest import AddUser, Events, later

API = "https://api.example/mcp"
OTHER_API = "https://other.example/mcp"
DAY = 86400


@pytest.fixture
def apis(services: Services, engine: Engine, origin: Origin) -> dict[str, Resource]:
    with Transaction(engine) as tx:
        first = services.resources.add(
            tx, origin, uri=API, name="API", scope=("mcp:read", "mcp:write", "mcp:admin"), admin_scope=("mcp:admin",)
        )
        second = services.resources.add(tx, origin, uri=OTHER_API, name="Other", scope=("files:read",))
    return {API: first, OTHER_API: second}


def create(services: Services, origin: Origin, owner: User, **changes: Any) -> tuple[Client, str]:
    asked = {"name": "Key", "scope": None, "expires_in_days": None, "resource": None, **changes}
    with Transaction(services.engine) as tx:
        return services.api_keys.create(tx, origin, owner, **asked)


def mint(services: Services, origin: Origin, key: Client, api: Resource, *scope: str) -> str:
    with Transaction(services.engine) as tx:
        services.signing_keys.ensure(tx, origin.now)
    authorization = Authorization(client=key, grant_type="client_credentials", scope=scope, resource=api)
    with Transaction(services.engine) as tx:
        return services.token_issuer.issue_access_token(tx, authorization, origin.now).token


def lives(services: Services, origin: Origin, token: str) -> bool:
    with Transaction(services.engine) as tx:
        return services.token_verifier.verify_access_token(tx, token, origin.now) is not None


def named_key(services: Services, user: User) -> str | None:
    with Transaction(services.engine) as tx:
        found = services.users.find(tx, user.id)
    assert found is not None
    return found.api_key


def test_a_key_is_a_client_whose_secret_is_shown_once(
    services: Services, engine: Engine, origin: Origin, ana: User, apis: dict[str, Resource], events: Events
) -> None:
    key, secret = create(services, origin, ana, name="  Backups  ")
    assert is_secret("ak", secret)
    assert key.client_id.startswith("key_")
    assert (key.kind, key.name, key.owner_user_id) == ("api_key", "Backups", ana.id)
    assert key.grant_types == ("client_credentials",)
    assert not key.redirect_uris
    assert not key.is_public
    with engine.connect() as connection:
        tables = [ClientRow.__table__, UserRow.__table__]
        stored = [str(connection.execute(select(table)).all()) for table in tables]
    assert not [text for text in (*stored, str(events())) if secret in text]
    (record,) = events("api_key.created")
    assert (record["user_id"], record["resource_id"], record["metadata"]) == (
        ana.id,
        key.client_id,
        {"name": "Backups"},
    )
    assert events("client.created") == []


@pytest.mark.parametrize(
    "is_admin, asked, resource, granted",
    [
        (False, None, None, {"mcp:read", "mcp:write", "files:read"}),
        (True, None, None, {"mcp:read", "mcp:write", "mcp:admin", "files:read"}),
        (False, None, API, {"mcp:read", "mcp:write"}),
        (True, None, API, {"mcp:read", "mcp:write", "mcp:admin"}),
        (False, None, OTHER_API, {"files:read"}),
        (False, ("mcp:read",), None, {"mcp:read"}),
        (False, ("mcp:read",), API, {"mcp:read"}),
        (True, ("mcp:admin",), API, {"mcp:admin"}),
    ],
)
def test_a_key_gets_what_was_asked_of_what_its_owner_has(
    services: Services,
    origin: Origin,
    add_user: AddUser,
    apis: dict[str, Resource],
    is_admin: bool,
    asked: tuple[str, ...] | None,
    resource: str | None,
    granted: set[str],
) -> None:
    key, _secret = create(services, origin, add_user("bora", is_admin=is_admin), scope=asked, resource=resource)
    assert set(key.scope) == granted
    assert key.resource == resource


@pytest.mark.parametrize(
    "asked, resource",
    [
        (("mcp:admin",), None),
        (("mcp:read", "mcp:admin"), API),
        (("files:read",), API),
        (("unknown",), None),
        (("openid",), None),
        (("mcp:read", "offline_access"), None),
        (("MCP:READ",), None),
    ],
)
def test_a_key_cannot_have_more_than_its_owner(
    services: Services,
    origin: Origin,
    ana: User,
    apis: dict[str, Resource],
    asked: tuple[str, ...],
    resource: str | None,
    events: Events,
) -> None:
    with pytest.raises(OAuthError) as refusal:
        create(services, origin, ana, scope=asked, resource=resource)
    assert refusal.value.error == "invalid_scope"
    assert events("api_key.created") == []
    assert named_key(services, ana) is None


def test_a_key_for_an_unknown_api_is_refused(
    services: Services, origin: Origin, ana: User, apis: dict[str, Resource]
) -> None:
    with pytest.raises(OAuthError) as refusal:
        create(services, origin, ana, resource="https://unknown.example/mcp")
    assert refusal.value.error == "invalid_target"


@pytest.mark.parametrize("name", ["", "   ", "x" * 101, "a\nb", "a\x1b[31m", "a\u202eb"])
def test_a_key_needs_a_printable_name(services: Services, origin: Origin, ana: User, name: str) -> None:
    with pytest.raises(ValueError, match="name"):
        create(services, origin, ana, name=name)


@pytest.mark.parametrize("days", [0, -1, 367, 10**9])
def test_a_key_lives_at_most_a_year(services: Services, origin: Origin, ana: User, days: int) -> None:
    with pytest.raises(ValueError, match="days"):
        create(services, origin, ana, expires_in_days=days)


def test_a_key_ends_by_the_clock(services: Services, origin: Origin, ana: User, apis: dict[str, Resource]) -> None:
    key, _secret = create(services, origin, ana, expires_in_days=1)
    assert key.is_usable(later(origin, DAY - 1).now)
    assert not key.is_usable(later(origin, DAY).now)
    assert mint(services, later(origin, DAY - 1), key, apis[API], "mcp:read")
    with pytest.raises(AuthorizationGone):
        mint(services, later(origin, DAY), key, apis[API], "mcp:read")


def test_a_revoked_key_and_its_tokens_are_dead_at_once(
    services: Services, engine: Engine, origin: Origin, ana: User, apis: dict[str, Resource], events: Events
) -> None:
    key, _secret = create(services, origin, ana)
    token = mint(services, origin, key, apis[API], "mcp:read")
    assert lives(services, origin, token)
    with Transaction(engine) as tx:
        assert services.api_keys.revoke(tx, origin, ana.id, key.id, actor="operator")
        assert not services.api_keys.revoke(tx, origin, ana.id, key.id)
    assert not lives(services, origin, token)
    with pytest.raises(AuthorizationGone):
        mint(services, origin, key, apis[API], "mcp:read")
    (record,) = events("api_key.revoked")
    assert (record["user_id"], record["actor"], record["resource_id"]) == (ana.id, "operator", key.client_id)
    with Transaction(engine) as tx:
        assert [found.revoked_at for found in services.api_keys.list(tx, ana.id)] == [origin.now]


def test_a_key_dies_with_its_owner(
    services: Services, engine: Engine, origin: Origin, ana: User, apis: dict[str, Resource]
) -> None:
    key, _secret = create(services, origin, ana)
    token = mint(services, origin, key, apis[API], "mcp:read")
    with Transaction(engine) as tx:
        services.user_ends.set_active(tx, origin, ana.id, False)
    assert not lives(services, origin, token)
    with pytest.raises(AuthorizationGone):
        mint(services, origin, key, apis[API], "mcp:read")


def test_a_key_goes_when_the_row_of_its_owner_goes(
    services: Services, engine: Engine, origin: Origin, ana: User, apis: dict[str, Resource]
) -> None:
    key, _secret = create(services, origin, ana)
    token = mint(services, origin, key, apis[API], "mcp:read")
    with Transaction(engine) as tx:
        tx.execute(delete(UserRow))
    assert not lives(services, origin, token)
    with pytest.raises(AuthorizationGone):
        mint(services, origin, key, apis[API], "mcp:read")


def test_a_key_shrinks_with_its_owner(
    services: Services, engine: Engine, origin: Origin, add_user: AddUser, apis: dict[str, Resource]
) -> None:
    bora = add_user("bora", is_admin=True)
    key, _secret = create(services, origin, bora)
    assert mint(services, origin, key, apis[API], "mcp:read", "mcp:admin")
    with Transaction(engine) as tx:
        tx.execute(update(UserRow).values(is_admin=False))
    with pytest.raises(AuthorizationGone):
        mint(services, origin, key, apis[API], "mcp:read", "mcp:admin")
    assert mint(services, origin, key, apis[API], "mcp:read")


def test_nobody_sees_or_ends_another_persons_keys(
    services: Services, engine: Engine, origin: Origin, ana: User, add_user: AddUser, apis: dict[str, Resource]
) -> None:
    bora = add_user("bora")
    key, _secret = create(services, origin, ana)
    app, _ = create(services, origin, bora)
    with Transaction(engine) as tx:
        assert [found.id for found in services.api_keys.list(tx, bora.id)] == [app.id]
        assert {found.id for found in services.api_keys.list(tx)} == {key.id, app.id}
        assert not services.api_keys.revoke(tx, origin, bora.id, key.id)
        assert not services.api_keys.revoke(tx, origin, bora.id, "0" * 36)
    assert mint(services, origin, key, apis[API], "mcp:read")


def test_an_application_is_no_key(services: Services, engine: Engine, origin: Origin, ana: User) -> None:
    with Transaction(engine) as tx:
        app, _secret = services.clients.register(
            tx,
            origin,
            kind="application",
            name="App",
            token_endpoint_auth_method="client_secret_basic",
            owner_user_id=ana.id,
        )
        assert services.api_keys.list(tx, ana.id) == []
        assert not services.api_keys.revoke(tx, origin, ana.id, app.id)


def test_the_users_row_names_the_newest_living_key_and_never_a_secret(
    services: Services, engine: Engine, origin: Origin, ana: User, apis: dict[str, Resource]
) -> None:
    assert named_key(services, ana) is None
    keys = [create(services, later(origin, number), ana, name=f"Key {number}") for number in range(3)]
    first, second, third = (key for key, _secret in keys)
    assert named_key(services, ana) == third.client_id
    assert named_key(services, ana) not in [secret for _key, secret in keys]

    def revoke(key: Client) -> str | None:
        with Transaction(engine) as tx:
            assert services.api_keys.revoke(tx, later(origin, 60), ana.id, key.id)
        return named_key(services, ana)

    assert revoke(second) == third.client_id
    assert revoke(third) == first.client_id
    assert revoke(first) is None


def test_the_users_row_passes_over_a_key_that_has_expired(
    services: Services, engine: Engine, origin: Origin, ana: User, apis: dict[str, Resource]
) -> None:
    lasting, _ = create(services, origin, ana, name="Lasting")
    create(services, later(origin, 1), ana, name="Short", expires_in_days=1)
    newest, _ = create(services, later(origin, 2), ana, name="Newest")
    with Transaction(engine) as tx:
        services.api_keys.revoke(tx, later(origin, 2 * DAY), ana.id, newest.id)
    assert named_key(services, ana) == lasting.client_id


def test_the_users_row_is_put_right_once_its_key_has_ended_by_itself(
    services: Services, origin: Origin, ana: User, add_user: AddUser, apis: dict[str, Resource]
) -> None:
    bora, cem = add_user("bora"), add_user("cem")
    forever = create(services, origin, ana)[0]
    create(services, later(origin, 1), ana, expires_in_days=1)
    week = create(services, later(origin, 2), ana, expires_in_days=7)[0]
    only = create(services, origin, bora, expires_in_days=7)[0]
    disabled = create(services, origin, cem)[0]

    def corrected(seconds: int, limit: int = 1000) -> int:
        with Transaction(services.engine) as tx:
            return services.api_keys.renew_names(tx, later(origin, seconds).now, limit)

    assert corrected(7 * DAY - 1) == 0
    assert (named_key(services, ana), named_key(services, bora)) == (week.client_id, only.client_id)
    with Transaction(services.engine) as tx:
        services.clients.set_active(tx, origin, disabled.client_id, active=False)
    assert [corrected(7 * DAY + 2, limit=2) for _ in range(3)] == [2, 1, 0]
    assert [named_key(services, user) for user in (ana, bora, cem)] == [forever.client_id, None, None]


def test_a_key_for_clouds_is_for_nothing_else_and_wants_a_second_factor(
    services: Services, origin: Origin, ana: User, apis: dict[str, Resource]
) -> None:
    clouds = {"scope": (CLOUD_CREDENTIALS,), "proved_second_factor": True}
    issuer = services.resources.default().uri
    for resource in (None, issuer):
        key, _secret = create(services, origin, ana, **clouds, name=f"for {resource}", resource=resource)
        assert (key.scope, key.resource) == ((CLOUD_CREDENTIALS,), issuer)
    with pytest.raises(SecondFactorNeeded):
        create(services, origin, ana, **{**clouds, "proved_second_factor": False})
    for wrong in ({"scope": (CLOUD_CREDENTIALS, "mcp:read")}, {"resource": API}, {"scope": ("account:read",)}):
        with pytest.raises(OAuthError):
            create(services, origin, ana, **{**clouds, **wrong})
    everything, _secret = create(services, origin, ana, proved_second_factor=True, name="everything")
    assert CLOUD_CREDENTIALS not in everything.scope
    own, _secret = create(services, origin, ana, proved_second_factor=True, name="own", resource=issuer)
    assert own.scope == (), "all that the owner has here is nothing"


def test_an_api_that_calls_a_scope_like_ours_opens_no_cloud(services: Services, origin: Origin, ana: User) -> None:
    with Transaction(services.engine) as tx:
        services.resources.add(tx, origin, uri=API, name="API", scope=(CLOUD_CREDENTIALS,))
    with pytest.raises(SecondFactorNeeded):
        create(services, origin, ana, scope=(CLOUD_CREDENTIALS,), resource=API)
    with pytest.raises(OAuthError):
        create(services, origin, ana, scope=(CLOUD_CREDENTIALS,), resource=API, proved_second_factor=True)
