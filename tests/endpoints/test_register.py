"""Registering an application (RFC 7591 §3) over HTTP: who may, what is answered, what is stored."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import Engine

from database.models import Client as ClientRow
from provider.clients.metadata_json import metadata_to_json
from provider.clients.registration import PER_SOURCE
from provider.security.crypto import is_secret
from tests.endpoints.provider import START, Provider, ProviderFactory
from tests.endpoints.registering import CALLBACK, SAID, has_null, initial_token, manage, register, stored

KEYS = {"keys": [{"kty": "EC", "crv": "P-256", "x": "x", "y": "y"}]}


def test_a_registration_is_answered_with_all_that_is_stored(provider_everywhere: Provider) -> None:
    provider = provider_everywhere
    answer = register(provider, SAID | {"software_id": "메모", "contacts": ["a@app.example"], "unknown": None})
    assert answer.status == 201
    assert answer.header("Cache-Control") == "no-store"
    made = answer.json
    assert not has_null(made)
    client = stored(provider, made["client_id"])
    assert client is not None
    assert made == {
        "client_id": client.client_id,
        "client_id_issued_at": int(START.timestamp()),
        **metadata_to_json(client),
        "client_secret": made["client_secret"],
        "client_secret_expires_at": 0,
        "registration_client_uri": f"{provider.issuer}/register/{client.client_id}",
        "registration_access_token": made["registration_access_token"],
    }
    assert (made["redirect_uris"], made["software_id"], made["contacts"]) == ([CALLBACK], "메모", ["a@app.example"])
    assert is_secret("cs", made["client_secret"])
    assert is_secret("reg", made["registration_access_token"])
    rows = str(provider.rows(ClientRow)) + str(provider.events())
    assert made["client_secret"] not in rows
    assert made["registration_access_token"] not in rows
    assert (client.is_vouched, client.is_trusted, client.require_pkce, client.kind) == (False, False, True, "dynamic")


@pytest.mark.parametrize(
    "method, more, has_secret",
    [
        ("client_secret_basic", {}, True),
        ("client_secret_post", {}, True),
        ("none", {}, False),
        ("private_key_jwt", {"jwks": KEYS}, False),
    ],
)
def test_only_methods_with_a_secret_get_one(provider: Provider, method: str, more: Any, has_secret: bool) -> None:
    made = register(provider, SAID | more | {"token_endpoint_auth_method": method}).json
    assert made["token_endpoint_auth_method"] == method
    assert {"client_secret", "client_secret_expires_at"} & set(made) == (
        {"client_secret", "client_secret_expires_at"} if has_secret else set()
    )
    client = stored(provider, made["client_id"])
    assert client is not None
    assert (client.secret_hash is not None) == has_secret


HOSTILE: list[tuple[dict[str, Any], str]] = [
    *(
        ({"redirect_uris": value}, "invalid_redirect_uri")
        for value in (
            None, [], "", CALLBACK, [1], [""], [None], {"0": CALLBACK}, ["javascript:alert(1)"], ["data:text/html,x"],
            ["http://app.example/"], ["https://app.example/#x"], ["https://u@app.example/"], ["https://app.example/*"],
            ["com.example.app:/x", "https://app.example/#"], ["https://app.example/\r\nSet-Cookie: x"], ["//app.example/"],
            ["https://app.example/?code=x"], [CALLBACK, "vbscript:x"], ["app:/x", "ms-settings:/x"],
            ["https://app.example/" + "x" * 2000],
            ["http://localhost.evil.example/"], ["http://127.0.0.1@evil.example/"], ["http://127.1/"], ["\ud800"],
        )
    ),
    *(
        ({"client_name": value}, "invalid_client_metadata")
        for value in ("x" * 256, "a\nb", "a\x00", "evil\u202egnp", ["x"], 1, {"x": 1}, True)
    ),
    *(
        ({name: value}, "invalid_client_metadata")
        for name in ("client_uri", "logo_uri", "policy_uri", "tos_uri", "jwks_uri", "initiate_login_uri",
                     "backchannel_logout_uri", "frontchannel_logout_uri", "sector_identifier_uri")
        for value in ("javascript:alert(1)", "http://169.254.169.254/latest", "x", ["https://app.example/"], 1)
    ),
    ({"post_logout_redirect_uris": ["javascript:alert(1)"]}, "invalid_redirect_uri"),
    ({"post_logout_redirect_uris": "https://app.example/"}, "invalid_client_metadata"),
    ({"request_uris": ["http://app.example/r"]}, "invalid_client_metadata"),
    ({"grant_types": ["client_credentials"]}, "invalid_client_metadata"),
    ({"grant_types": ["password"]}, "invalid_client_metadata"),
    ({"grant_types": "authorization_code"}, "invalid_client_metadata"),
    ({"response_types": ["token"]}, "invalid_client_metadata"),
    ({"application_type": "desktop"}, "invalid_client_metadata"),
    ({"token_endpoint_auth_method": "client_secret_jwt"}, "invalid_client_metadata"),
    ({"token_endpoint_auth_method": "private_key_jwt"}, "invalid_client_metadata"),
    ({"token_endpoint_auth_method": ["none"]}, "invalid_client_metadata"),
    ({"id_token_signed_response_alg": "none"}, "invalid_client_metadata"),
    ({"id_token_signed_response_alg": "HS256"}, "invalid_client_metadata"),
    ({"userinfo_signed_response_alg": "none"}, "invalid_client_metadata"),
    ({"request_object_signing_alg": "none"}, "invalid_client_metadata"),
    ({"token_endpoint_auth_signing_alg": "HS256"}, "invalid_client_metadata"),
    ({"subject_type": "pairwise", "redirect_uris": [CALLBACK, "https://b.example/"]}, "invalid_client_metadata"),
    ({"subject_type": "other"}, "invalid_client_metadata"),
    ({"sector_identifier_uri": "https://10.0.0.1/uris"}, "invalid_client_metadata"),
    ({"scope": 'a"b'}, "invalid_client_metadata"),
    ({"scope": ["openid"]}, "invalid_client_metadata"),
    ({"scope": "x" * 4097}, "invalid_client_metadata"),
    ({"jwks": KEYS, "jwks_uri": "https://app.example/jwks"}, "invalid_client_metadata"),
    ({"jwks": {"keys": [{"kty": "oct", "k": "c2VjcmV0"}]}}, "invalid_client_metadata"),
    ({"jwks": {"keys": [{"kty": [], "d": 1}]}}, "invalid_client_metadata"),
    ({"jwks": {"keys": [{"kty": "RSA", "n": "n", "e": "AQAB", "d": "private"}]}}, "invalid_client_metadata"),
    ({"jwks": json.dumps(KEYS)}, "invalid_client_metadata"),
    ({"default_max_age": -1}, "invalid_client_metadata"),
    ({"default_max_age": 1e30}, "invalid_client_metadata"),
    ({"default_max_age": 10**40}, "invalid_client_metadata"),
    ({"require_auth_time": "true"}, "invalid_client_metadata"),
    ({"software_id": "x\x1b[2J"}, "invalid_client_metadata"),
    ({"software_id": "\ud800"}, "invalid_request"),
    ({"contacts": ["x\x00"]}, "invalid_client_metadata"),
    ({"contacts": "ops@app.example"}, "invalid_client_metadata"),
]  # fmt: skip


@pytest.fixture
def unlimited(sqlite_engine: Engine, make_provider: ProviderFactory) -> Provider:
    return make_provider(sqlite_engine, rate_limits=False)


def test_every_hostile_field_is_refused_with_its_error_and_leaves_nothing(unlimited: Provider) -> None:
    for changes, error in HOSTILE:
        answer = register(unlimited, SAID | changes)
        wanted = "invalid_request" if "\\ud8" in json.dumps(changes) else error
        assert answer.error == (400, wanted), (changes, answer.body)
        assert answer.json["error_description"]
    assert unlimited.rows(ClientRow) == []


@pytest.mark.parametrize(
    "body", [b"", b"x", b"[]", b'"x"', b"null", b"1", b'{"redirect_uris": NaN}', b"[" * 30_000, b'{"a":1e999}', b"\xff"]
)
def test_what_is_no_json_object_is_refused(unlimited: Provider, body: bytes) -> None:
    assert register(unlimited, body).status == 400


@pytest.mark.parametrize("content_type", ["application/x-www-form-urlencoded", "text/plain", ""])
def test_another_content_type_is_refused(provider: Provider, content_type: str) -> None:
    assert register(provider, headers={"Content-Type": content_type}).error == (400, "invalid_request")


def test_what_a_client_says_of_itself_gives_it_nothing(provider: Provider) -> None:
    wanted = {
        "client_id": "app_mine", "client_secret": "mine", "is_trusted": True, "is_vouched": True, "require_pkce": False,
        "kind": "application", "owner_user_id": "u", "resource": "https://api.example/", "expires_at": None,
        "registration_access_token": "mine", "registration_client_uri": "https://evil.example/",
        "client_id_issued_at": 1, "document_fresh_until": 1, "authentication_methods": ["none"], "software_statement": "e",
    }  # fmt: skip
    made = register(provider, SAID | wanted).json
    assert made["client_id"] not in ("", "app_mine")
    assert made["client_secret"] != "mine"
    assert made["registration_access_token"] != "mine"
    assert made["registration_client_uri"].startswith(provider.issuer)
    client = stored(provider, made["client_id"])
    assert client is not None
    assert (client.is_trusted, client.is_vouched, client.require_pkce, client.resource) == (False, False, True, None)
    assert client.details.authentication_methods == ()


def test_an_application_without_a_name_gets_one(provider: Provider) -> None:
    assert register(provider, {"redirect_uris": [CALLBACK]}).json["client_name"] == "Unnamed application"


def test_a_token_vouches_for_a_client_and_lets_it_work_by_itself(provider: Provider) -> None:
    token = initial_token(provider)
    made = register(provider, {"client_name": "Job", "grant_types": ["client_credentials"]}, token).json
    assert (made["grant_types"], made["redirect_uris"], made["response_types"]) == (["client_credentials"], [], [])
    client = stored(provider, made["client_id"])
    assert client is not None
    assert client.is_vouched


def test_the_policy_token_asks_for_one_and_off_has_no_endpoint(
    sqlite_engine: Engine, make_provider: ProviderFactory, door: str
) -> None:
    closed = make_provider(sqlite_engine, door=door, dynamic_registration="token")
    refusal = register(closed)
    assert (refusal.error, refusal.header("WWW-Authenticate")) == ((401, "invalid_token"), "Bearer")
    assert register(closed, token="mcp_init_x").header("WWW-Authenticate") == 'Bearer error="invalid_token"'
    token = initial_token(closed)
    made = register(closed, token=token).json
    assert closed.get(f"{closed.path}/.well-known/openid-configuration").json["registration_endpoint"]
    nobody = make_provider(sqlite_engine, door=door, dynamic_registration="off")
    assert register(nobody, token=token).status == 404
    assert manage(nobody, "GET", made).status == 404
    assert "registration_endpoint" not in nobody.get(f"{nobody.path}/.well-known/openid-configuration").json


@pytest.mark.parametrize("header", ["Basic YTpi", "Bearer", "Bearer ", "mcp_init_x", "DPoP x"])
def test_what_is_no_bearer_token_is_refused_even_where_none_is_needed(provider: Provider, header: str) -> None:
    assert register(provider, headers={"Authorization": header}).error == (401, "invalid_token")


def test_an_access_token_of_another_kind_registers_nobody(provider: Provider) -> None:
    made = register(provider).json
    for wrong in (made["registration_access_token"], made["client_secret"]):
        assert register(provider, token=wrong).error == (401, "invalid_token")


def test_parallel_registrations_share_the_uses_of_a_token(
    mariadb_engine: Engine, make_provider: ProviderFactory
) -> None:
    processes = [make_provider(mariadb_engine) for _ in range(2)]
    token = initial_token(processes[0], uses=3)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda number: register(processes[number % 2], token=token), range(8)))
    assert sorted(answer.status for answer in answers) == [201] * 3 + [401] * 5
    assert len(processes[0].rows(ClientRow)) == 3


def test_a_source_is_slowed_down_and_the_others_are_not(provider: Provider) -> None:
    statuses = [register(provider).status for _ in range(PER_SOURCE[0].times + 2)]
    assert statuses == [201] * PER_SOURCE[0].times + [429] * 2
    refusal = register(provider)
    assert int(refusal.header("Retry-After") or 0) >= 1
    assert register(provider, source="192.0.2.99").status == 201
    assert len(provider.events("registration.refused")) == 1
    provider.clock.advance(3600)
    assert register(provider).status == 201


def test_scripts_of_any_origin_may_register(provider: Provider) -> None:
    answer = register(provider, headers={"Origin": "https://inspector.example"})
    assert (answer.status, answer.header("Access-Control-Allow-Origin")) == (201, "*")
    assert answer.header("Access-Control-Allow-Credentials") is None
    path = f"{provider.path}/register"
    preflight = provider.send("OPTIONS", path, headers={"Origin": "https://inspector.example"})
    assert (preflight.status, preflight.header("Access-Control-Allow-Methods")) == (204, "POST, OPTIONS")
    of_a_client = provider.send("OPTIONS", f"{path}/{answer.json['client_id']}")
    assert of_a_client.header("Access-Control-Allow-Methods") == "GET, PUT, DELETE, OPTIONS"


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH"])
def test_other_methods_are_refused(provider: Provider, method: str) -> None:
    answer = provider.send(method, f"{provider.path}/register")
    assert (answer.status, answer.header("Allow")) == (405, "POST")


EDITORS: dict[str, list[str]] = {
    "Cursor": [
        "cursor://anysphere.cursor-mcp/oauth/callback",
        "https://www.cursor.com/agents/mcp/oauth/callback",
        "http://localhost:8787/callback",
    ],
    "Warp": ["warp://mcp/oauth2callback"],
    "Kiro": ["kiro://kiro.oauth/callback", "http://127.0.0.1:3128"],
    "Roo Code": ["vscode://RooVeterinaryInc.roo-cline/mcp-auth/callback"],
    "JetBrains": ["jetbrains://gateway/com.jetbrains.toolbox.mcp/auth"],
}


@pytest.mark.parametrize("application_type", [None, "web", "native"])
@pytest.mark.parametrize("editor", EDITORS)
def test_an_editor_registers_its_own_scheme_beside_other_addresses(
    unlimited: Provider, editor: str, application_type: str | None
) -> None:
    """One address on the person's device makes a native application of it; those of https go on to match exactly."""
    said = {"client_name": editor, "redirect_uris": EDITORS[editor], "token_endpoint_auth_method": "none"}
    answer = register(unlimited, said | ({"application_type": application_type} if application_type else {}))
    assert answer.status == 201, answer.body
    assert answer.json["redirect_uris"] == EDITORS[editor]
    assert answer.json["application_type"] == "native"
