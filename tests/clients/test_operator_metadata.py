"""What an operator says of an application becomes its registration: defaults, options, files, and changes."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from provider.clients.metadata_json import NAMES
from provider.clients.operator_metadata import ClientOptions, operator_metadata
from provider.protocol.client import Client, ClientDetails
from provider.protocol.errors import OAuthError
from tests.protocol.test_registration_digest import CLIENT

CALLBACK = "https://files.example/callback"
KEYS = {"keys": [{"kty": "EC", "crv": "P-256", "x": "x", "y": "y"}]}
WEB = ClientOptions(name="Files", redirect_uris=(CALLBACK,))
KNOWN = dataclasses.replace(
    CLIENT,
    kind="application",
    name="Files",
    token_endpoint_auth_method="client_secret_basic",
    redirect_uris=(CALLBACK,),
    grant_types=("authorization_code", "refresh_token"),
    scope=("openid", "files.read"),
    resource="https://api.example",
    is_vouched=True,
    details=ClientDetails(contacts=("ana@files.example",), jwks=KEYS),
)
# For each name of a registration a value that is not the default, and what becomes of it.
VALUES: dict[str, tuple[Any, Any]] = {
    "client_name": ("Other", "Other"),
    "application_type": ("native", "native"),
    "redirect_uris": ([f"{CALLBACK}2"], (f"{CALLBACK}2",)),
    "response_types": (["code"], None),
    "token_endpoint_auth_method": ("client_secret_post", "client_secret_post"),
    "grant_types": (["authorization_code"], ("authorization_code",)),
    "scope": ("openid email", ("openid", "email")),
    "post_logout_redirect_uris": (["https://files.example/bye"], ("https://files.example/bye",)),
    "id_token_signed_response_alg": ("ES256", "ES256"),
    "client_uri": ("https://files.example/", "https://files.example/"),
    "logo_uri": ("https://files.example/logo.png", "https://files.example/logo.png"),
    "policy_uri": ("https://files.example/policy", "https://files.example/policy"),
    "tos_uri": ("https://files.example/terms", "https://files.example/terms"),
    "contacts": (["ana@files.example"], ("ana@files.example",)),
    "software_id": ("files", "files"),
    "software_version": ("1", "1"),
    "jwks": (KEYS, KEYS),
    "jwks_uri": ("https://files.example/keys", "https://files.example/keys"),
    "token_endpoint_auth_signing_alg": ("ES256", "ES256"),
    "userinfo_signed_response_alg": ("ES256", "ES256"),
    "request_object_signing_alg": ("ES256", "ES256"),
    "request_uris": (["https://files.example/request"], ("https://files.example/request",)),
    "require_pushed_authorization_requests": (True, True),
    "subject_type": ("pairwise", "pairwise"),
    "sector_identifier_uri": ("https://files.example/sector", "https://files.example/sector"),
    "default_max_age": (3600, 3600),
    "require_auth_time": (True, True),
    "default_acr_values": (["urn:mcp-core:password"], ("urn:mcp-core:password",)),
    "initiate_login_uri": ("https://files.example/start", "https://files.example/start"),
    "backchannel_logout_uri": ("http://localhost:3000/bye", "http://localhost:3000/bye"),
    "backchannel_logout_session_required": (True, True),
    "frontchannel_logout_uri": ("http://127.0.0.1:3000/bye", "http://127.0.0.1:3000/bye"),
    "frontchannel_logout_session_required": (True, True),
}


def test_every_name_of_a_registration_has_a_value_here() -> None:
    assert set(VALUES) == NAMES


@pytest.mark.parametrize("name", VALUES)
def test_an_operator_can_set_whatever_a_registration_accepts(name: str) -> None:
    value, expected = VALUES[name]
    needed = {"client_name": "Files", "redirect_uris": [CALLBACK]}
    made = operator_metadata(ClientOptions(metadata={**needed, name: value}))
    if name != "response_types":
        field = {"client_name": "name"}.get(name, name)
        assert getattr(made.details if hasattr(made.details, field) else made, field) == expected


@pytest.mark.parametrize(
    "options, pkce, is_exact, has_claims",
    [
        ({}, (True, True), False, True),
        ({"auth_method": "none"}, (True, False), False, True),
        ({"auth_method": "client_secret_basic"}, (True, True), False, True),
        ({"auth_method": "client_secret_post=strict"}, (True, True), True, True),
        ({"pkce": "always"}, (True, False), False, True),
        ({"pkce": "never"}, (False, False), False, True),
        ({"claims_in_id_token": False}, (True, True), False, False),
    ],
)
def test_a_new_application_gets_what_strangers_software_needs_unless_told_otherwise(
    options: dict[str, Any], pkce: tuple[bool, bool], is_exact: bool, has_claims: bool
) -> None:
    made = operator_metadata(dataclasses.replace(WEB, **options))
    assert (made.require_pkce, made.nonce_replaces_pkce) == pkce
    assert (made.exact_auth_method, made.claims_in_id_token) == (is_exact, has_claims)


@pytest.mark.parametrize(
    "options",
    [
        {"auth_method": "none", "pkce": "never"},
        {"auth_method": "none", "pkce": "unless-nonce"},
        {"auth_method": "none=strict"},
        {"auth_method": "private_key_jwt=strict", "jwks_uri": "https://files.example/keys"},
        {"metadata": {"nonsense": 1}},
        {"metadata": {"nonce_replaces_pkce": True}},
        {"metadata": {'"; rm': 1}},
        {"metadata": {"id_token_signed_response_alg": "HS256"}},
        {"metadata": {"response_types": ["token"]}},
        {"metadata": {"backchannel_logout_uri": "http://files.example/bye"}},
        {"metadata": {"jwks_uri": "http://localhost:3000/keys"}},
    ],
)
def test_what_cannot_be_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(OAuthError):
        operator_metadata(dataclasses.replace(WEB, **options))


def test_an_algorithm_without_a_key_here_is_refused() -> None:
    asked = dataclasses.replace(WEB, metadata={"id_token_signed_response_alg": "EdDSA"})
    assert operator_metadata(asked).id_token_signed_response_alg == "EdDSA"
    with pytest.raises(OAuthError):
        operator_metadata(asked, algorithms=("RS256",))


def test_an_option_wins_over_the_file() -> None:
    file = {
        "client_name": "File",
        "scope": "a",
        "token_endpoint_auth_method": "none",
        "grant_types": ["authorization_code"],
    }
    made = operator_metadata(dataclasses.replace(WEB, scope=("b",), auth_method="client_secret_basic", metadata=file))
    assert (made.name, made.scope, made.token_endpoint_auth_method) == ("Files", ("b",), "client_secret_basic")
    assert made.grant_types == ("authorization_code",)


def test_an_operators_word_stands_as_it_is() -> None:
    made = operator_metadata(dataclasses.replace(WEB, redirect_uris=("http://localhost:9000/callback",)))
    assert (made.application_type, made.token_endpoint_auth_method) == ("web", "client_secret_basic")


CHANGES: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"name": "Other"}, {"name": "Other"}),
    ({"scope": ()}, {"scope": ()}),
    ({"resource": ""}, {"resource": None}),
    ({"pkce": "never"}, {"require_pkce": False}),
    ({"claims_in_id_token": True}, {"claims_in_id_token": True}),
    ({"auth_method": "client_secret_basic"}, {"exact_auth_method": False}),
    ({"application_type": "native"}, {"application_type": "native"}),
    ({"metadata": {"contacts": None}}, {"details": ClientDetails(jwks=KEYS)}),
    ({"jwks_uri": "https://files.example/k"}, {"details": ClientDetails(contacts=KNOWN.details.contacts, jwks_uri="https://files.example/k")}),
]  # fmt: skip


@pytest.mark.parametrize("said, changed", CHANGES)
def test_only_what_is_said_changes(said: dict[str, Any], changed: dict[str, Any]) -> None:
    before = operator_metadata(ClientOptions(), known=KNOWN)
    assert operator_metadata(ClientOptions(**said), known=KNOWN) == dataclasses.replace(before, **changed)
    for name in ("name", "redirect_uris", "grant_types", "scope", "resource", "require_pkce", "details"):
        assert getattr(before, name) == getattr(KNOWN, name)


@pytest.mark.parametrize("pkce", [(False, False), (True, True)])
def test_who_becomes_a_public_client_needs_pkce_again(pkce: tuple[bool, bool]) -> None:
    known: Client = dataclasses.replace(KNOWN, require_pkce=pkce[0], nonce_replaces_pkce=pkce[1])
    made = operator_metadata(ClientOptions(auth_method="none"), known=known)
    assert (made.require_pkce, made.nonce_replaces_pkce) == (True, False)
