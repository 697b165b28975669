"""What a registration's JSON becomes, and what is answered (RFC 7591 §2, §3.2.1)."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import Engine

from database.transaction import Transaction
from provider.clients.metadata_json import (
    MAX_ITEM_BYTES,
    MAX_ITEMS,
    MAX_TEXT_BYTES,
    metadata_from_json,
    metadata_to_json,
)
from provider.clients.registry import Clients
from provider.protocol.client import ClientDetails
from provider.protocol.errors import OAuthError
from provider.protocol.messages import Origin

CALLBACK = "https://app.example/callback"
KEYS = {"keys": [{"kty": "EC", "crv": "P-256", "x": "x", "y": "y"}]}
EVERYTHING: dict[str, Any] = {
    "client_name": "Files",
    "application_type": "web",
    "redirect_uris": [CALLBACK],
    "post_logout_redirect_uris": ["https://app.example/bye"],
    "token_endpoint_auth_method": "private_key_jwt",
    "token_endpoint_auth_signing_alg": "ES256",
    "grant_types": ["authorization_code", "refresh_token"],
    "response_types": ["code"],
    "scope": "openid profile",
    "client_uri": "https://app.example/",
    "logo_uri": "https://app.example/logo.png",
    "policy_uri": "https://app.example/policy",
    "tos_uri": "https://app.example/terms",
    "contacts": ["ops@app.example"],
    "software_id": "4NRB1",
    "software_version": "2.2",
    "jwks": KEYS,
    "id_token_signed_response_alg": "ES256",
    "userinfo_signed_response_alg": "RS256",
    "request_object_signing_alg": "ES256",
    "request_uris": ["https://app.example/request.jwt"],
    "require_pushed_authorization_requests": True,
    "subject_type": "pairwise",
    "sector_identifier_uri": "https://app.example/uris.json",
    "default_max_age": 0,
    "require_auth_time": True,
    "default_acr_values": ["urn:mcp-core:password"],
    "initiate_login_uri": "https://app.example/login",
    "backchannel_logout_uri": "https://app.example/back",
    "backchannel_logout_session_required": True,
    "frontchannel_logout_uri": "https://app.example/front",
    "frontchannel_logout_session_required": True,
}


def test_all_that_we_know_is_stored_and_answered_as_it_was_said(
    clients: Clients, engine: Engine, origin: Origin
) -> None:
    metadata = metadata_from_json(EVERYTHING).checked()
    with Transaction(engine) as tx:
        made, _ = clients.register(tx, origin, kind="dynamic", **metadata.to_values())
    assert metadata_to_json(made) == EVERYTHING
    with Transaction(engine) as tx:
        stored = clients.find(tx, made.client_id, fresh=True)
    assert stored is not None
    assert metadata_to_json(stored) == EVERYTHING


def test_every_detail_of_a_client_can_be_said(clients: Clients) -> None:
    names = set(ClientDetails.__slots__) - {"authentication_methods", "jwks_uri"}
    assert names <= set(EVERYTHING)


def test_an_answer_has_no_nulls_and_lists_in_their_place(
    clients: Clients, sqlite_engine: Engine, origin: Origin
) -> None:
    metadata = metadata_from_json({"client_name": "Job", "grant_types": ["client_credentials"]}).checked()
    with Transaction(sqlite_engine) as tx:
        made, _ = clients.register(tx, origin, kind="dynamic", **metadata.to_values())
    assert metadata_to_json(made) == {
        "client_name": "Job",
        "application_type": "web",
        "redirect_uris": [],
        "token_endpoint_auth_method": "client_secret_basic",
        "grant_types": ["client_credentials"],
        "response_types": [],
        "id_token_signed_response_alg": "RS256",
        "subject_type": "public",
    }


@pytest.mark.parametrize(
    "said, application_type, method",
    [
        ({"redirect_uris": [CALLBACK]}, "web", None),
        ({"redirect_uris": [CALLBACK], "application_type": "native"}, "native", "none"),
        ({"redirect_uris": ["http://localhost:3000/cb"]}, "native", "none"),
        ({"redirect_uris": ["http://127.0.0.1/cb"], "application_type": "web"}, "native", "none"),
        ({"redirect_uris": ["http://[::1]/cb", CALLBACK]}, "native", "none"),
        ({"redirect_uris": ["com.example.app:/cb"]}, "native", "none"),
        (
            {"redirect_uris": ["http://localhost/cb"], "token_endpoint_auth_method": "client_secret_post"},
            "native",
            "client_secret_post",
        ),
        ({"redirect_uris": [CALLBACK], "token_endpoint_auth_method": "none"}, "web", "none"),
    ],
)
def test_what_is_not_said_follows_from_the_redirect_uris(
    said: dict[str, Any], application_type: str, method: str | None
) -> None:
    metadata = metadata_from_json(said)
    assert (metadata.application_type, metadata.token_endpoint_auth_method) == (application_type, method)


@pytest.mark.parametrize(
    "surplus",
    [
        {"resource": "https://api.example/"},
        {"require_pkce": False},
        {"is_trusted": True, "is_vouched": True, "kind": "application", "owner_user_id": "u"},
        {"client_id": "app_mine", "client_secret": "mine", "client_id_issued_at": 1},
        {"registration_access_token": "x", "registration_client_uri": "x"},
        {"authentication_methods": ["none"]},
        {"software_statement": "ey"},
        {"client_name#ko": "메모"},
        {"dpop_bound_access_tokens": True},
        {"scope": None, "contacts": None, "jwks": None, "logo_uri": ""},
        {"grant_types": ["authorization_code", "refresh_token", "urn:example:grant"]},
        {"grant_types": ["implicit", "authorization_code", "refresh_token", "password"]},
        {"response_types": ["code", "code id_token"]},
    ],
)
def test_what_we_do_not_know_changes_nothing(surplus: dict[str, Any]) -> None:
    plain = {"client_name": "App", "redirect_uris": [CALLBACK]}
    assert metadata_from_json(plain | surplus).checked() == metadata_from_json(plain).checked()


TEXTS = (
    "client_name", "application_type", "token_endpoint_auth_method", "scope", "client_uri", "logo_uri", "policy_uri",
    "tos_uri", "software_id", "software_version", "jwks_uri", "id_token_signed_response_alg", "subject_type",
    "token_endpoint_auth_signing_alg", "userinfo_signed_response_alg", "request_object_signing_alg",
    "sector_identifier_uri", "initiate_login_uri", "backchannel_logout_uri", "frontchannel_logout_uri",
)  # fmt: skip
LISTS = (
    "redirect_uris", "post_logout_redirect_uris", "grant_types", "response_types", "contacts", "request_uris",
    "default_acr_values",
)  # fmt: skip
FLAGS = (
    "require_pushed_authorization_requests", "require_auth_time", "backchannel_logout_session_required",
    "frontchannel_logout_session_required",
)  # fmt: skip
NO_TEXTS = (
    1,
    True,
    ["x"],
    {"x": "y"},
    "x" * (MAX_TEXT_BYTES + 1),
    "각" * (MAX_TEXT_BYTES // 3 + 1),
    "a\x00b",
    "a\nb",
    "a\u202eb",
)
NO_LISTS = (
    "x",
    1,
    {"a": 1},
    [1],
    [None],
    [["x"]],
    ["x" * (MAX_ITEM_BYTES + 1)],
    ["각" * (MAX_ITEM_BYTES // 3 + 1)],
    ["a\x1bb"],
)
NO_FLAGS: tuple[Any, ...] = ("true", 1, 0, [True], {})
WRONG = [
    *((name, value) for name in TEXTS for value in NO_TEXTS),
    *((name, value) for name in LISTS for value in NO_LISTS),
    *((name, [f"https://app.example/{number}" for number in range(MAX_ITEMS + 1)]) for name in LISTS),
    *((name, value) for name in FLAGS for value in NO_FLAGS),
    *(("jwks", value) for value in ("x", 1, [KEYS], True)),
    *(("default_max_age", value) for value in ("1", 1.5, True, [1])),
    ("response_types", ["token"]), ("response_types", ["code id_token"]), ("grant_types", ["implicit"]),
    ("grant_types", ["password", "urn:x"]), ("scope", 'a"b'), ("scope", "a\\b"), ("scope", "é"),
]  # fmt: skip


@pytest.mark.parametrize("name, value", WRONG, ids=lambda value: repr(value)[:30])
def test_what_has_the_wrong_type_or_form_is_refused(name: str, value: object) -> None:
    with pytest.raises(OAuthError) as refusal:
        metadata_from_json({"redirect_uris": [CALLBACK], name: value})
    wanted = "invalid_redirect_uri" if name == "redirect_uris" else "invalid_client_metadata"
    assert refusal.value.error == wanted
    assert refusal.value.description


@pytest.mark.parametrize("said", [None, [], "x", 1, True, [{"redirect_uris": [CALLBACK]}]])
def test_metadata_is_an_object(said: object) -> None:
    with pytest.raises(OAuthError) as refusal:
        metadata_from_json(said)
    assert refusal.value.error == "invalid_client_metadata"


def test_pkce_can_be_left_out_for_confidential_clients_only() -> None:
    said = {"redirect_uris": [CALLBACK]}
    assert metadata_from_json(said, require_pkce=False).require_pkce is False
    assert metadata_from_json(said).require_pkce is True
    assert metadata_from_json(said | {"token_endpoint_auth_method": "none"}, require_pkce=False).require_pkce is True
