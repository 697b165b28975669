"""Token introspection (RFC 7662)."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import update

from database.models import User
from provider.protocol.client import ClientDetails
from tests.endpoints.provider import API, KnownClient, Provider, claims_of
from tests.endpoints.wsgi import FORM

INACTIVE = {"active": False}
GRANT = {"grant_type": "client_credentials"}


@pytest.fixture
def api_client(provider: Provider) -> KnownClient:
    provider.resource()
    return provider.api()


def test_the_api_of_a_token_learns_what_it_is(provider: Provider, api_client: KnownClient) -> None:
    user, client = provider.user(), provider.client("none")
    token = provider.tokens(user, client, ("openid", "profile", "notes:read"), resource=API)["access_token"]
    answer = provider.introspect(api_client, token, token_type_hint="access_token")
    assert answer.status == 200
    assert answer.header("Cache-Control") == "no-store"
    assert answer.json == {"active": True, "token_type": "Bearer", "username": "ada", **claims_of(token)}
    assert {"iss", "sub", "aud", "client_id", "scope", "exp", "iat", "jti"} <= set(answer.json)
    assert isinstance(answer.json["aud"], str)
    assert isinstance(answer.json["scope"], str)


def test_a_machines_token_has_no_user_name_and_nothing_is_null(provider: Provider, api_client: KnownClient) -> None:
    token = provider.token(provider.machine(scope=("notes:read",)), GRANT).json["access_token"]
    answer = provider.introspect(api_client, token).json
    assert "username" not in answer
    assert None not in answer.values()
    assert answer["sub"] == answer["client_id"]


def test_a_client_learns_about_its_own_tokens(provider: Provider) -> None:
    user, client = provider.user(), provider.client()
    tokens = provider.tokens(user, client, ("openid", "profile", "offline_access"))
    assert provider.introspect(client, tokens["access_token"]).json["active"]
    family_end = int(provider.clock.now.timestamp()) + 14 * 86400
    assert provider.introspect(client, tokens["refresh_token"]).json == {
        "active": True, "iss": provider.issuer, "sub": user.id, "client_id": client.client_id, "username": "ada",
        "scope": "openid profile offline_access", "exp": family_end, "token_type": "refresh_token",
    }  # fmt: skip


@pytest.mark.parametrize("scope", [("openid",), ("openid", "email"), ("notes:read",), ("openid", "offline_access")])
def test_the_user_name_follows_the_scope_for_whoever_asks(
    provider: Provider, api_client: KnownClient, scope: tuple[str, ...]
) -> None:
    client = provider.client()
    tokens = provider.tokens(provider.user(), client, scope, resource=API)
    for caller, token in ((client, "access_token"), (client, "refresh_token"), (api_client, "access_token")):
        told = provider.introspect(caller, tokens[token])
        assert told.json["active"] is True
        assert "username" not in told.json
        assert "ada" not in told.text


def test_nobody_else_learns_anything(provider: Provider, api_client: KnownClient) -> None:
    user, client = provider.user(), provider.client()
    token = provider.tokens(user, client, ("notes:read",), resource=API)["access_token"]
    own = provider.tokens(user, client)
    provider.resource("https://other.example.com", ("files:read",))
    strangers = {
        "another application": provider.client(),
        "a machine without an API": provider.machine(),
        "a machine that gets tokens for the API": provider.machine(resource=API, scope=("notes:read",)),
        "another API": provider.api("https://other.example.com"),
        "a user's key for that API": provider.api_key(user, ("notes:read",), resource=API),
    }
    for name, stranger in strangers.items():
        assert provider.introspect(stranger, token).json == INACTIVE, name
        assert provider.introspect(stranger, own["access_token"]).json == INACTIVE, name
        assert provider.introspect(stranger, own["refresh_token"]).json == INACTIVE, name
    assert provider.introspect(api_client, token).json["active"]
    assert provider.introspect(api_client, own["access_token"]).json == INACTIVE
    assert provider.introspect(api_client, own["refresh_token"]).json == INACTIVE


@pytest.mark.parametrize("state", [
    "expired", "revoked", "grant revoked", "user disabled", "user disabled elsewhere", "client disabled", "client deleted",
])  # fmt: skip
def test_a_token_that_does_not_count_is_inactive_and_no_more_is_said(provider_everywhere: Provider, state: str) -> None:
    provider = provider_everywhere
    services, user, client = provider.services, provider.user(), provider.client("none")
    provider.resource()
    api_client = provider.api()
    tokens = provider.tokens(user, client, ("notes:read",), resource=API)
    assert provider.introspect(api_client, tokens["access_token"]).json["active"]
    if state == "expired":
        provider.clock.advance(600)
    elif state == "revoked":
        provider.revoke(client, tokens["access_token"])
    elif state == "grant revoked":
        provider.revoke(client, tokens["refresh_token"])
    with provider.begin() as tx:
        if state == "user disabled":
            services.user_ends.set_active(tx, provider.origin, user.id, False)
        elif state == "user disabled elsewhere":
            tx.execute(update(User).where(User.__table__.c.id == user.id).values(is_active=False))
        elif state == "client disabled":
            services.clients.set_active(tx, provider.origin, client.client_id, False)
        elif state == "client deleted":
            services.clients.delete(tx, provider.origin, client.client_id)
    assert provider.introspect(api_client, tokens["access_token"]).json == INACTIVE


def test_a_mark_that_is_taken_away_counts_no_more(provider: Provider, api_client: KnownClient) -> None:
    token = provider.token(provider.machine(scope=("notes:read",), resource=API), GRANT).json["access_token"]
    assert provider.introspect(api_client, token).json["active"]
    other = provider.api()  # takes its place
    assert provider.introspect(api_client, token).json == INACTIVE
    assert provider.introspect(other, token).json["active"]
    with provider.begin() as tx:
        provider.services.resources.change(tx, provider.origin, API, introspection_clients=())
    assert provider.introspect(other, token).json == INACTIVE
    assert len(provider.events("resource.changed")) == 3


@pytest.mark.parametrize("state", ["used", "idle", "revoked", "user disabled"])
def test_a_refresh_token_that_does_not_count_is_inactive(provider: Provider, state: str) -> None:
    user, client = provider.user(), provider.client(rotate_refresh_tokens=True)
    token = provider.tokens(user, client)["refresh_token"]
    if state == "used":
        provider.refresh(client, token)
    elif state == "idle":
        provider.clock.advance(14 * 86400)
    elif state == "revoked":
        provider.revoke(client, token)
    else:
        with provider.begin() as tx:
            tx.execute(update(User).where(User.__table__.c.id == user.id).values(is_active=False))
    assert provider.introspect(client, token).json == INACTIVE


@pytest.mark.parametrize("hint", ["access_token", "refresh_token", "id_token", "nonsense", ""])
def test_the_hint_is_a_hint(provider: Provider, hint: str) -> None:
    user, client = provider.user(), provider.client()
    tokens = provider.tokens(user, client)
    for kind in ("access_token", "refresh_token"):
        assert provider.introspect(client, tokens[kind], token_type_hint=hint).json["active"], kind


@pytest.mark.parametrize(
    "token", ["x", "a.b.c", "mcp_rt_" + "0" * 49, "mcp_ac_" + "0" * 49, "ü", "💥" * 50, "a" * 50_000]
)
def test_a_token_that_never_was_is_inactive(provider: Provider, token: str) -> None:
    answer = provider.introspect(provider.machine(), token)
    assert (answer.status, answer.json) == (200, INACTIVE)


def test_a_code_is_no_token(provider: Provider) -> None:
    client = provider.client()
    code = provider.code(provider.grant(provider.user(), client))
    assert provider.introspect(client, code).json == INACTIVE
    assert provider.redeem(client, code).status == 200


@pytest.mark.parametrize("fields, error", [
    ([], "invalid_request"),
    ([("token", "")], "invalid_request"),
    ([("token", "a"), ("token", "b")], "invalid_request"),
    ([("token", "a"), ("token_type_hint", "x"), ("token_type_hint", "y")], "invalid_request"),
])  # fmt: skip
def test_a_request_needs_one_token(provider: Provider, fields: list[tuple[str, str]], error: str) -> None:
    assert provider.post(f"{provider.path}/introspect", fields, by=provider.machine()).error == (400, error)


def test_a_token_in_the_address_counts_for_nothing(provider: Provider) -> None:
    client = provider.client()
    token = provider.tokens(provider.user(), client)["access_token"]
    headers = {"Content-Type": FORM, **client.authorization}
    answer = provider.send("POST", f"{provider.path}/introspect", query=f"token={token}", headers=headers)
    assert answer.error == (400, "invalid_request")


def test_a_callers_bearer_token_is_no_credential(provider: Provider) -> None:
    client = provider.client()
    token = provider.tokens(provider.user(), client)["access_token"]
    answer = provider.post(f"{provider.path}/introspect", {"token": token}, {"Authorization": f"Bearer {token}"})
    assert answer.error == (401, "invalid_client")


def test_introspection_sees_what_another_process_has_just_changed(provider: Provider, make_provider: Any) -> None:
    user, client = provider.user(), provider.client()
    other = make_provider(provider.engine)
    token = provider.tokens(user, client)["access_token"]
    assert other.introspect(client, token).json["active"]
    with provider.begin() as tx:
        provider.services.clients.set_active(tx, provider.origin, client.client_id, False)
    assert other.introspect(client, token).error == (401, "invalid_client")


@pytest.mark.parametrize("details", [{}, {"jwks": {"keys": []}, "authentication_methods": ("none", "private_key_jwt")}])
def test_a_mere_client_id_learns_nothing_of_its_own_token(provider: Provider, details: dict[str, Any]) -> None:
    """Not even that of a client whose document offers both to come with a key and without (security A-32)."""
    method = "private_key_jwt" if details else "none"
    client = provider.client(method, details=ClientDetails(**details))
    token = provider.redeem(client, provider.code(provider.grant(provider.user(), client)), client_id=client.client_id)
    assert token.status == 200
    fields = {"token": token.json["access_token"], "client_id": client.client_id}
    assert provider.post(f"{provider.path}/introspect", fields).error == (401, "invalid_client")
