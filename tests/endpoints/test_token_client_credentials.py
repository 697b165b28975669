"""Client credentials at the token endpoint (RFC 6749 §4.4): applications and API keys in their own name."""

from __future__ import annotations

import pytest
from sqlalchemy import update

from database.models import User
from tests.endpoints.provider import API, Provider, claims_of, header_of

GRANT = {"grant_type": "client_credentials"}
OTHER = "https://other.example.com"


@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post"])
def test_a_machine_gets_an_access_token_and_nothing_else(provider: Provider, method: str) -> None:
    provider.resource()
    client = provider.machine(token_endpoint_auth_method=method, scope=("notes:read",))
    answer = provider.token(client, GRANT)
    assert answer.status == 200
    assert answer.header("Cache-Control") == "no-store"
    tokens = answer.json
    assert {**tokens, "access_token": ""} == {
        "access_token": "", "token_type": "Bearer", "expires_in": 600, "scope": "notes:read",
    }  # fmt: skip
    claims = claims_of(tokens["access_token"])
    assert claims.pop("jti")
    now = int(provider.clock.now.timestamp())
    assert claims == {
        "iss": provider.issuer, "sub": client.client_id, "aud": API, "client_id": client.client_id,
        "scope": "notes:read", "iat": now, "exp": now + 600,
    }  # fmt: skip
    assert header_of(tokens["access_token"])["typ"] == "at+jwt"


def test_an_api_key_gets_a_token_that_names_its_owner(provider: Provider) -> None:
    provider.resource()
    owner = provider.user()
    key = provider.api_key(owner)
    tokens = provider.token(key, GRANT).json
    claims = claims_of(tokens["access_token"])
    assert (claims["sub"], claims["client_id"], claims["owner"]) == (key.client_id, key.client_id, owner.id)
    assert claims["sub"] != owner.id
    assert tokens["scope"] == "notes:read notes:write"


@pytest.mark.parametrize("grant_type, options, error", [
    ("client_credentials", {}, "unauthorized_client"),
    ("client_credentials", {"method": "none"}, "unauthorized_client"),
    # Registered by mistake: a public client still may not (OAuth 2.1 §4.2).
    ("client_credentials", {"method": "none", "grant_types": ("client_credentials",)}, "unauthorized_client"),
    ("authorization_code", {"grant_types": ("client_credentials",)}, "unauthorized_client"),
    ("refresh_token", {"grant_types": ("client_credentials",)}, "unauthorized_client"),
    ("refresh_token", {"grant_types": ("authorization_code",)}, "unauthorized_client"),
    ("password", {}, "unsupported_grant_type"),
    ("implicit", {}, "unsupported_grant_type"),
    ("urn:ietf:params:oauth:grant-type:jwt-bearer", {}, "unsupported_grant_type"),
    ("urn:ietf:params:oauth:grant-type:token-exchange", {}, "unsupported_grant_type"),
    ("urn:ietf:params:oauth:grant-type:device_code", {}, "unsupported_grant_type"),
    ("CLIENT_CREDENTIALS", {}, "unsupported_grant_type"),
    ("client_credentials ", {}, "unsupported_grant_type"),
    ("", {}, "invalid_request"),
])  # fmt: skip
def test_a_client_has_the_grants_that_it_is_registered_for(
    provider: Provider, grant_type: str, options: dict[str, object], error: str
) -> None:
    client = provider.client(**options)  # type: ignore[arg-type]
    fields = {"grant_type": grant_type, "code": "x", "refresh_token": "x", "username": "ada", "password": "x"}
    assert provider.token(client, fields).error == (400, error)


@pytest.mark.parametrize("scope, granted", [
    (None, "notes:read"),
    ("", "notes:read"),
    ("notes:read", "notes:read"),
    ("notes:read notes:write", "notes:read"),  # cut down to what the client has
    ("openid notes:read profile offline_access", "notes:read"),
])  # fmt: skip
def test_scopes_are_cut_down_to_what_the_client_has(provider: Provider, scope: str | None, granted: str) -> None:
    provider.resource()
    client = provider.machine(scope=("notes:read",))
    tokens = provider.token(client, GRANT if scope is None else {**GRANT, "scope": scope}).json
    assert (tokens["scope"], "id_token" in tokens, "refresh_token" in tokens) == (granted, False, False)


@pytest.mark.parametrize(
    "scope", ["notes:write", "openid", "offline_access email", "unknown", 'with"quote', "with\\slash"]
)
def test_scopes_that_the_client_does_not_have_are_refused(provider: Provider, scope: str) -> None:
    provider.resource()
    assert provider.token(provider.machine(scope=("notes:read",)), {**GRANT, "scope": scope}).error == (
        400, "invalid_scope",
    )  # fmt: skip


def test_no_scope_is_said_where_there_is_none(provider: Provider) -> None:
    tokens = provider.token(provider.machine(), GRANT).json
    assert set(tokens) == {"access_token", "token_type", "expires_in"}
    assert claims_of(tokens["access_token"])["aud"] == provider.issuer


def test_a_machine_without_an_owner_gets_no_scope_of_administrators_by_default(provider: Provider) -> None:
    provider.resource(scope=("notes:read", "notes:admin"), admin_scope=("notes:admin",))
    assert provider.token(provider.machine(resource=API), GRANT).json["scope"] == "notes:read"
    asked = {**GRANT, "scope": "notes:admin"}
    assert provider.token(provider.machine(resource=API), asked).error == (400, "invalid_scope")
    given = provider.machine(resource=API, scope=("notes:admin",))  # an operator has given it
    assert provider.token(given, asked).json["scope"] == "notes:admin"


@pytest.mark.parametrize("own, scope, named, outcome", [
    (None, "notes:read", API, API),
    (None, "notes:read", "HTTPS://API.EXAMPLE.COM/mcp", API),
    (None, "notes:read", None, API),  # the only one that has such a scope
    (None, "shared", None, "invalid_target"),  # two of them have it
    (None, "shared", OTHER, OTHER),
    (None, "shared", OTHER + "/", OTHER),
    (API, "shared", None, API),
    (API, "shared", API, API),
    (API, "shared", OTHER, "invalid_target"),
    (None, "shared", "https://unknown.example.com", "invalid_target"),
    (None, "shared", API + "#f", "invalid_target"),
    (None, "shared", "mcp", "invalid_target"),
])  # fmt: skip
def test_a_token_is_for_one_registered_api(
    provider: Provider, own: str | None, scope: str, named: str | None, outcome: str
) -> None:
    provider.resource(scope=("notes:read", "shared"))
    provider.resource(OTHER, ("files:read", "shared"))
    client = provider.machine(resource=own, scope=(scope,))
    answer = provider.token(client, GRANT if named is None else {**GRANT, "resource": named})
    if outcome == "invalid_target":
        assert answer.error == (400, outcome)
    else:
        assert claims_of(answer.json["access_token"])["aud"] == outcome  # the registered spelling, a single string


def test_the_same_resource_may_be_repeated_and_two_may_not_be_named(provider: Provider) -> None:
    provider.resource()
    provider.resource(OTHER, ("notes:read",))
    client = provider.machine(scope=("notes:read",))
    fields = [*GRANT.items(), ("resource", API)]
    assert provider.token(client, [*fields, ("resource", API)]).status == 200
    assert provider.token(client, [*fields, ("resource", OTHER)]).error == (400, "invalid_target")


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "EdDSA"])
def test_an_api_says_how_its_tokens_are_signed(provider: Provider, algorithm: str) -> None:
    provider.resource(token_alg=algorithm, access_token_seconds=120)
    tokens = provider.token(provider.machine(scope=("notes:read",)), GRANT).json
    assert header_of(tokens["access_token"])["alg"] == algorithm
    assert tokens["expires_in"] == 120
    assert provider.is_alive(tokens["access_token"])


def test_a_key_never_has_more_than_its_owner_has_now(provider: Provider) -> None:
    provider.resource(scope=("notes:read", "notes:admin"), admin_scope=("notes:admin",))
    owner = provider.user(is_admin=True)
    key = provider.api_key(owner)
    assert provider.token(key, GRANT).json["scope"] == "notes:read notes:admin"
    with provider.begin() as tx:
        tx.execute(update(User).where(User.__table__.c.id == owner.id).values(is_admin=False))
    assert provider.token(key, GRANT).json["scope"] == "notes:read"


@pytest.mark.parametrize("end", ["owner disabled", "key revoked", "key expired"])
def test_a_key_ends_at_once_with_all_its_tokens(provider_everywhere: Provider, end: str) -> None:
    provider = provider_everywhere
    provider.resource()
    owner = provider.user()
    key = provider.api_key(owner, days=1)
    if end == "key expired":
        provider.clock.advance(86400 - 60)
    answer = provider.token(key, GRANT).json
    token = answer["access_token"]
    assert answer["expires_in"] == (60 if end == "key expired" else 600)
    assert provider.is_alive(token)
    with provider.begin() as tx:
        if end == "owner disabled":
            provider.services.user_ends.set_active(tx, provider.origin, owner.id, False)
        elif end == "key revoked":
            provider.services.api_keys.revoke(tx, provider.origin, owner.id, key.client.id)
        else:
            provider.clock.advance(60)
    assert provider.token(key, GRANT).error == (401, "invalid_client")
    assert not provider.is_alive(token)


def test_a_machines_token_opens_nothing_of_a_persons(provider: Provider) -> None:
    owner = provider.user()
    provider.resource()
    token = provider.token(provider.api_key(owner), GRANT).json["access_token"]
    at_issuer = provider.token(provider.machine(), GRANT).json["access_token"]
    for sent in (token, at_issuer):
        assert provider.userinfo(sent).status == 401
        for page in ("/account", "/account/sessions", "/account/api-keys"):
            answer = provider.get(page, {"Authorization": f"Bearer {sent}", "Cookie": f"mcp_session_8000={sent}"})
            assert answer.status in (303, 404)
