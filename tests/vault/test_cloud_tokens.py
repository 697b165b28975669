"""Tokens for clouds: what they say, what they rest on, and that nothing of ours takes them."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping

import pytest

from database.models import Client, CloudAccount, GrantRecord, IssuedToken, User, UserSession
from provider.tokens.cloud_records import OUR_PAGES
from provider.tokens.token_records import AuthorizationGone
from provider.vault.cloud_tokens import Asker
from provider.vault.exchanges import EXCHANGES
from provider.vault.exchanges.exchange import CloudCredentials, Condition, ExchangeRefused, TokenDemands
from provider.vault.fields import InvalidCloudField
from tests.endpoints.provider import claims_of, header_of
from tests.vault.cloud_world import CloudWorld
from tests.vault.samples import fields_of

Way = Callable[[CloudWorld], Asker]
WAYS: dict[str, Way] = {
    "application": lambda world: world.application()[0],
    "key": lambda world: world.key()[0],
    "page": CloudWorld.page,
}


@pytest.fixture(params=sorted(WAYS))
def way(request: pytest.FixtureRequest) -> Way:
    return WAYS[request.param]


def test_it_says_who_asks_for_which_cloud_and_nothing_else(world: CloudWorld, way: Way) -> None:
    token = world.mint(way(world))
    now = int(world.provider.clock.now.timestamp())
    claims = claims_of(token)
    assert len(claims.pop("jti")) == 36
    assert claims == {
        "iss": world.provider.issuer,
        "sub": f"user:{world.ada.id}:cloud:work",
        "aud": "sts.amazonaws.com",
        "iat": now,
        "exp": now + 300,
    }
    header = header_of(token)
    assert (header["typ"], header["alg"], set(header)) == ("JWT", "RS256", {"typ", "alg", "kid"})


def test_it_is_recorded_with_what_it_rests_on(world: CloudWorld) -> None:
    asker, by, grant_id = world.application()
    tokens: dict[str, tuple[str, str | None]] = {claims_of(world.mint(asker))["jti"]: (by.client.id, grant_id)}
    asker, key = world.key()
    tokens[claims_of(world.mint(asker))["jti"]] = (key.client.id, None)
    tokens[claims_of(world.mint(world.page()))["jti"]] = (OUR_PAGES, None)
    rows = {row["jti"]: row for row in world.provider.rows(IssuedToken) if row["grant_type"] == "cloud"}
    assert {jti: (row["client_id"], row["grant_id"]) for jti, row in rows.items()} == tokens
    for row in rows.values():
        assert (row["user_id"], row["audience"]) == (world.ada.id, "sts.amazonaws.com")
        assert row["expires_at"] - row["issued_at"] == datetime.timedelta(seconds=300)


ENDS: dict[str, tuple[type, Callable[[CloudWorld], str], dict[str, object]]] = {
    "disabled owner": (User, lambda world: world.ada.id, {"is_active": False}),
    "unconfirmed owner": (User, lambda world: world.ada.id, {"is_verified": False}),
    "changed account": (CloudAccount, lambda world: world.account.id, {"version": 2}),
    "account with a secret": (CloudAccount, lambda world: world.account.id, {"mode": "secret"}),
}


@pytest.mark.parametrize("end", ENDS)
def test_it_is_made_only_for_what_is_alive(world: CloudWorld, way: Way, end: str) -> None:
    asker = way(world)
    model, key, values = ENDS[end]
    world.set(model, key(world), **values)
    with pytest.raises(AuthorizationGone):
        world.mint(asker)
    assert not [row for row in world.provider.rows(IssuedToken) if row["grant_type"] == "cloud"]


def test_a_removed_account_has_none(world: CloudWorld, way: Way) -> None:
    asker = way(world)
    with world.provider.begin() as tx:
        assert world.provider.services.cloud_accounts.remove(tx, world.provider.origin, world.account)
    with pytest.raises(AuthorizationGone):
        world.mint(asker)


def test_anothers_account_has_none(world: CloudWorld, way: Way) -> None:
    bob = world.provider.user("bob", is_verified=True)
    account = world.connect(owner=bob)
    with pytest.raises(AuthorizationGone):
        world.mint(way(world), account)
    asker = way(world)
    with pytest.raises(AuthorizationGone):  # not by saying to be bob either
        world.mint(Asker(bob.id, asker.access_token, asker.session_id), account)


PAST = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
APPLICATION_ENDS: dict[str, tuple[type, str, dict[str, object]]] = {
    "revoked access token": (IssuedToken, "jti", {"revoked_at": PAST}),
    "expired access token": (IssuedToken, "jti", {"expires_at": PAST}),
    "token for another API": (IssuedToken, "jti", {"audience": "https://api.example.com/mcp"}),
    "token of an earlier epoch": (Client, "client", {"epoch": 7}),
    "disabled client": (Client, "client", {"is_active": False}),
    "revoked client": (Client, "client", {"revoked_at": PAST}),
    "expired client": (Client, "client", {"expires_at": PAST}),
    "revoked grant": (GrantRecord, "grant", {"revoked_at": PAST}),
}


@pytest.mark.parametrize("end", APPLICATION_ENDS)
def test_an_application_needs_all_that_its_access_token_rests_on(world: CloudWorld, end: str) -> None:
    asker, by, grant_id = world.application()
    keys = {"jti": asker.access_token, "client": by.client.id, "grant": grant_id}
    model, key, values = APPLICATION_ENDS[end]
    assert world.mint(asker)
    world.set(model, str(keys[key]), **values)
    with pytest.raises(AuthorizationGone):
        world.mint(asker)


@pytest.mark.parametrize("values", [{"ended_at": PAST}, {"expires_at": PAST}])
def test_a_page_needs_a_living_session(world: CloudWorld, values: dict[str, object]) -> None:
    asker = world.page()
    world.set(UserSession, str(asker.session_id), **values)
    with pytest.raises(AuthorizationGone):
        world.mint(asker)


def test_nobody_asks_by_nothing(world: CloudWorld) -> None:
    with pytest.raises(AuthorizationGone):
        world.mint(Asker(world.ada.id))


def test_no_endpoint_of_ours_takes_it(world: CloudWorld, way: Way) -> None:
    provider, token = world.provider, world.mint(way(world))
    resource_server = provider.machine()
    provider.resource()
    with provider.begin() as tx:
        provider.services.resources.change(
            tx, provider.origin, "https://api.example.com/mcp", introspection_clients=(resource_server.client_id,)
        )
    bearer = {"Authorization": f"Bearer {token}"}
    assert not provider.is_alive(token)
    assert provider.userinfo(token).status == 401
    for path in ("/api/me", "/api/me/sessions", "/api/me/activity"):
        assert provider.get(path, bearer).status == 401
    for by in (resource_server, provider.client()):
        assert provider.introspect(by, token).json == {"active": False}
        assert provider.revoke(by, token).status == 200
    with provider.begin() as tx:
        assert provider.services.token_verifier.verify_id_token_hint(tx, token, provider.clock.now) is None
    for kind in ("access_token", "id_token", "jwt", "refresh_token"):
        asked = {
            "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
            "subject_token": token,
            "subject_token_type": f"urn:ietf:params:oauth:token-type:{kind}",
        }
        assert provider.token(provider.client(), asked).status == 400
    asserted = {
        "grant_type": "client_credentials",
        "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        "client_assertion": token,
    }
    assert provider.post(f"{provider.path}/token", asserted).status == 401


OURS = [
    "http://localhost:8000/oauth", "HTTP://LOCALHOST:8000/oauth/", "http://localhost:8000/oauth/token",
    "http://localhost:8000", "localhost:8000/oauth", "https://localhost:8000/oauth", "http://x@localhost:8000/oauth",
    "https://api.example.com/mcp", "https://api.example.com/mcp/", "HTTPS://API.example.com:443/mcp",
    "https://api.example.com/MCP", "urn:example:api", "URN:example:api", "urn:example:API", "the client",
]  # fmt: skip
FAULTS = {
    **dict.fromkeys(OURS, "issuer_url"),
    "sts.amazonaws.com": "another_cloud",
    "STS.amazonaws.com ": "another_cloud",
    "x" * 513: "form",
    "  ": "form",
}


class AnyAudience:
    """Another cloud, where people choose what tokens are for."""

    audiences = None

    def demands(self, options: Mapping[str, str]) -> TokenDemands:
        return TokenDemands(options["audience"])

    def exchange(self, *_asked: object) -> CloudCredentials:
        return CloudCredentials({}, None)


@pytest.mark.parametrize("audience", FAULTS)
def test_an_audience_of_ours_or_of_another_cloud_is_neither_connected_nor_minted_for(
    sqlite_world: CloudWorld, monkeypatch: pytest.MonkeyPatch, audience: str
) -> None:
    monkeypatch.setitem(EXCHANGES, "other", AnyAudience())
    provider, services = sqlite_world.provider, sqlite_world.provider.services
    account = sqlite_world.connect("any", None, "other", **fields_of("other", "keyless"))
    provider.resource()
    provider.resource("urn:example:api", name="Other")
    said = {**account.options, "audience": provider.client().client_id if audience == "the client" else audience}
    with provider.begin() as tx:
        assert services.cloud_tokens.fault_of_audience(tx, "other", said) == FAULTS[audience]
    with provider.begin() as tx, pytest.raises(InvalidCloudField) as wrong:
        services.cloud_accounts.replace(tx, provider.origin, account, said)
    assert wrong.value.name == "audience"
    with provider.begin() as tx, pytest.raises(ExchangeRefused) as refused:
        services.cloud_tokens.mint(tx, provider.origin, account, sqlite_world.page(), said)
    assert refused.value.condition is Condition.AUDIENCE


def test_an_api_that_is_registered_later_takes_its_name_back(sqlite_world: CloudWorld) -> None:
    provider = sqlite_world.provider
    account = sqlite_world.connect("later", audience="https://api.example.com/mcp")
    assert sqlite_world.mint(sqlite_world.page(), account)
    provider.resource()
    with pytest.raises(ExchangeRefused) as refused:
        sqlite_world.mint(sqlite_world.page(), account)
    assert refused.value.condition is Condition.AUDIENCE


@pytest.mark.parametrize("audience", ["sts.amazonaws.com", "sts.amazonaws.com.cn", "https://cloud.example/x", "minio"])
def test_an_audience_of_a_cloud_is_taken(sqlite_world: CloudWorld, audience: str) -> None:
    account = sqlite_world.connect("fine", audience=audience)
    assert claims_of(sqlite_world.mint(sqlite_world.page(), account))["aud"] == audience
