"""Managing a registration (RFC 7592 §2): reading, replacing and deleting it, with its own token only."""

from __future__ import annotations

from typing import Any

import pytest

from provider.protocol.client import Client
from tests.endpoints.browsing import STATE
from tests.endpoints.provider import KnownClient, Provider
from tests.endpoints.registering import CALLBACK, SAID, has_null, initial_token, manage, register, stored
from tests.endpoints.wsgi import basic

MANAGEMENT = {"registration_client_uri", "registration_access_token"}
ONCE = {"client_secret", "client_secret_expires_at"}


@pytest.fixture
def made(provider: Provider) -> Any:
    return register(provider).json


def client_of(provider: Provider, made: Any) -> Client:
    client = stored(provider, made["client_id"])
    assert client is not None
    return client


def test_reading_gives_what_was_registered_without_the_secret(provider: Provider, made: Any) -> None:
    answer = manage(provider, "GET", made)
    assert (answer.status, answer.header("Cache-Control")) == (200, "no-store")
    assert answer.json == {name: value for name, value in made.items() if name not in ONCE}
    head = manage(provider, "HEAD", made)
    assert (head.status, head.body) == (200, b"")


def test_replacing_changes_all_metadata_and_the_token(provider_everywhere: Provider) -> None:
    provider = provider_everywhere
    first = register(provider, SAID | {"contacts": ["a@app.example"], "scope": "openid"}).json
    said = {"client_id": first["client_id"], "client_name": "Other", "redirect_uris": ["https://other.example/cb"]}
    answer = manage(provider, "PUT", first, said)
    assert answer.status == 200
    second = answer.json
    assert not has_null(second)
    assert (second["client_name"], second["redirect_uris"]) == ("Other", ["https://other.example/cb"])
    assert not {"contacts", "scope"} & set(second), "what is not said any more is gone (RFC 7592 §2.2)"
    assert set(second) >= MANAGEMENT
    assert not ONCE & set(second), "the secret stays, and was told once"
    assert second["registration_access_token"] != first["registration_access_token"]
    assert manage(provider, "GET", first).error == (401, "invalid_token")
    assert manage(provider, "PUT", first, said).error == (401, "invalid_token")
    assert manage(provider, "DELETE", first).error == (401, "invalid_token")
    read = manage(provider, "GET", second).json
    assert read == second
    client = client_of(provider, second)
    assert (client.name, client.redirect_uris, client.details.contacts) == ("Other", ("https://other.example/cb",), ())
    (event,) = provider.events("client.updated")
    assert (event["resource_id"], event["actor"]) == (first["client_id"], first["client_id"])


def test_what_a_client_read_can_be_sent_back(provider: Provider, made: Any) -> None:
    again = manage(provider, "PUT", made, {**made, "client_secret": made["client_secret"], "logo_uri": None})
    assert again.status == 200
    assert {**again.json, "registration_access_token": ""} == {
        **{name: value for name, value in made.items() if name not in ONCE},
        "registration_access_token": "",
    }


def test_the_secret_comes_and_goes_with_the_method(provider: Provider) -> None:
    public = register(provider, SAID | {"token_endpoint_auth_method": "none"}).json
    said = SAID | {"client_id": public["client_id"]}
    secret = manage(provider, "PUT", public, said | {"token_endpoint_auth_method": "client_secret_post"}).json
    assert set(secret) >= ONCE
    assert client_of(provider, public).secret_hash is not None
    kept = manage(provider, "PUT", secret, said | {"token_endpoint_auth_method": "client_secret_basic"}).json
    assert not ONCE & set(kept)
    gone = manage(provider, "PUT", kept, said | {"token_endpoint_auth_method": "none"}).json
    assert not ONCE & set(gone)
    client = client_of(provider, public)
    assert (client.secret_hash, client.rotate_refresh_tokens) == (None, True)


@pytest.mark.parametrize(
    "changes, error",
    [
        ({"client_id": None}, "invalid_client_metadata"),
        ({"client_id": "app_other"}, "invalid_client_metadata"),
        ({"client_secret": "wrong"}, "invalid_client_metadata"),
        ({"client_secret": 1}, "invalid_client_metadata"),
        ({"redirect_uris": []}, "invalid_redirect_uri"),
        ({"redirect_uris": ["javascript:alert(1)"]}, "invalid_redirect_uri"),
        ({"grant_types": ["client_credentials"]}, "invalid_client_metadata"),
        ({"token_endpoint_auth_method": "private_key_jwt"}, "invalid_client_metadata"),
        ({"client_name": "a\nb"}, "invalid_client_metadata"),
        ({"subject_type": "pairwise", "redirect_uris": [CALLBACK, "https://b.example/"]}, "invalid_client_metadata"),
        ({"sector_identifier_uri": "https://127.0.0.1/uris"}, "invalid_client_metadata"),
    ],
)
def test_an_update_is_held_to_the_rules_of_a_registration_and_changes_nothing_else(
    provider: Provider, made: Any, changes: dict[str, Any], error: str
) -> None:
    before = client_of(provider, made)
    said = SAID | {"client_id": made["client_id"], **changes}
    assert manage(provider, "PUT", made, said).error == (400, error)
    assert client_of(provider, made) == before
    assert manage(provider, "GET", made).status == 200, "the token is the same"


def test_an_update_gives_an_open_registration_no_more_than_it_had(provider: Provider, made: Any) -> None:
    grants = ["authorization_code", "refresh_token", "client_credentials"]
    more = {"grant_types": grants, "is_vouched": True, "require_pkce": False, "is_trusted": True}
    changed = manage(provider, "PUT", made, SAID | {"client_id": made["client_id"], **more}).json
    assert changed["grant_types"] == ["authorization_code", "refresh_token"]
    client = client_of(provider, made)
    assert (client.is_vouched, client.require_pkce, client.is_trusted) == (False, True, False)


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_only_its_own_token_manages_a_client(provider: Provider, made: Any, method: str) -> None:
    other = register(provider).json
    said = SAID | {"client_id": made["client_id"]} if method == "PUT" else None
    initial = initial_token(provider)
    for wrong in (other["registration_access_token"], made["client_secret"], initial, "x", "mcp_reg_" + "0" * 49):
        answer = manage(provider, method, made, said, wrong)
        assert answer.error == (401, "invalid_token")
        assert answer.header("WWW-Authenticate") == 'Bearer error="invalid_token"'
    nothing = manage(provider, method, made, said, "")
    assert (nothing.error, nothing.header("WWW-Authenticate")) == ((401, "invalid_token"), "Bearer")
    unknown = made | {"registration_client_uri": f"{provider.issuer}/register/app_unknown"}
    assert manage(provider, method, unknown, said).error == (401, "invalid_token")
    assert client_of(provider, made).name == "App"


def test_an_operators_client_has_no_token_at_all(provider: Provider, made: Any) -> None:
    ours = provider.client()
    path = f"{provider.issuer}/register/{ours.client_id}"
    assert manage(provider, "GET", made | {"registration_client_uri": path}).status == 401


def test_deleting_ends_the_client_and_all_that_was_granted(provider_everywhere: Provider) -> None:
    provider = provider_everywhere
    made = register(provider, SAID | {"redirect_uris": ["https://app.example.com/callback"]}).json
    user, client = provider.user(), client_of(provider, made)
    with provider.begin() as tx:
        provider.services.authorization_requests.store(
            tx, provider.clock.now, client_row_id=client.id, browser="b", parameters={"state": STATE}
        )
    headers = {"Authorization": basic(made["client_id"], made["client_secret"])}
    known = KnownClient(client, made["client_secret"])
    tokens = provider.tokens(user, known, ("openid", "profile", "offline_access"))
    assert provider.is_alive(tokens["access_token"])
    answer = manage(provider, "DELETE", made)
    assert (answer.status, answer.body, answer.header("Cache-Control")) == (204, b"", "no-store")
    assert stored(provider, made["client_id"]) is None
    assert not provider.is_alive(tokens["access_token"])
    refresh = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]}
    assert provider.post(f"{provider.path}/token", refresh, headers).error == (401, "invalid_client")
    assert manage(provider, "GET", made).error == (401, "invalid_token")
    assert len(provider.events("client.deleted")) == 1


def test_a_disabled_client_can_neither_read_nor_change_nor_remove_itself(provider: Provider, made: Any) -> None:
    with provider.begin() as tx:
        provider.services.clients.set_active(tx, provider.origin, made["client_id"], False)
    assert manage(provider, "GET", made).status == 401
    assert manage(provider, "PUT", made, SAID | {"client_id": made["client_id"]}).status == 401
    assert manage(provider, "DELETE", made).status == 401
    assert client_of(provider, made).is_active is False


@pytest.mark.parametrize("method", ["POST", "PATCH"])
def test_other_methods_are_refused(provider: Provider, made: Any, method: str) -> None:
    answer = manage(provider, method, made)
    assert (answer.status, answer.header("Allow")) == (405, "GET, PUT, DELETE")


def test_a_vouched_client_keeps_what_its_token_gave_it(provider: Provider) -> None:
    token = initial_token(provider, require_pkce=False)
    said = {"client_name": "Job", "grant_types": ["client_credentials"]}
    made = register(provider, said, token).json
    changed = manage(provider, "PUT", made, said | {"client_id": made["client_id"], "client_name": "Job 2"}).json
    assert (changed["client_name"], changed["grant_types"]) == ("Job 2", ["client_credentials"])
    client = client_of(provider, made)
    assert (client.is_vouched, client.require_pkce) == (True, False)
