"""Everything that a registration can say is either part of what a decision rests on, or known not to be."""

from __future__ import annotations

import datetime
from dataclasses import fields, replace
from typing import Any

import pytest

from provider.protocol.client import Client, ClientDetails
from provider.protocol.registration_digest import registration_digest

NOW = datetime.datetime(2026, 7, 1, tzinfo=datetime.UTC)
CLIENT = Client(
    id="1", client_id="app_1", kind="dynamic", name="App", owner_user_id=None, secret_hash=None,
    token_endpoint_auth_method="none", application_type="web", redirect_uris=("https://a.example/1", "https://a.example/2"),
    post_logout_redirect_uris=(), grant_types=("authorization_code",), scope=("openid",), resource=None, require_pkce=True,
    rotate_refresh_tokens=True, is_trusted=False, is_vouched=False, is_active=True, id_token_signed_response_alg="RS256",
    created_at=NOW, updated_at=NOW, last_used_at=None, expires_at=None, revoked_at=None,
)  # fmt: skip
IN: dict[str, Any] = {
    "name": "Other",
    "token_endpoint_auth_method": "client_secret_basic",
    "application_type": "native",
    "redirect_uris": ("https://a.example/1",),
    "grant_types": ("authorization_code", "refresh_token"),
    "is_vouched": True,
}
DETAILS_IN: dict[str, Any] = {
    "logo_uri": "https://a.example/logo.png",
    "policy_uri": "https://a.example/policy",
    "tos_uri": "https://a.example/terms",
    "jwks": {"keys": []},
    "jwks_uri": "https://a.example/keys",
    "authentication_methods": ("private_key_jwt",),
    "subject_type": "pairwise",
    "sector_identifier_uri": "https://a.example/sector",
}
# What a decision does not rest on. A new field belongs into one of the two lists.
OUT = {
    "id", "client_id", "kind", "owner_user_id", "secret_hash", "post_logout_redirect_uris", "scope", "resource",
    "require_pkce", "rotate_refresh_tokens", "is_trusted", "is_active", "id_token_signed_response_alg", "created_at",
    "updated_at", "last_used_at", "expires_at", "revoked_at", "registration_token_hash", "document_fresh_until", "details",
    "nonce_replaces_pkce", "exact_auth_method", "claims_in_id_token", "only_groups",
    "previous_secret_hash", "previous_secret_until", "secret_rotated_at", "expiry_told", "last_used_address",
}  # fmt: skip
DETAILS_OUT = {
    "client_uri", "contacts", "software_id", "software_version", "token_endpoint_auth_signing_alg",
    "userinfo_signed_response_alg", "request_object_signing_alg", "request_uris", "require_pushed_authorization_requests",
    "default_max_age", "require_auth_time", "default_acr_values", "initiate_login_uri", "backchannel_logout_uri",
    "backchannel_logout_session_required", "frontchannel_logout_uri", "frontchannel_logout_session_required",
}  # fmt: skip


@pytest.mark.parametrize("name", IN)
def test_a_decision_rests_on_the_registration(name: str) -> None:
    assert registration_digest(replace(CLIENT, **{name: IN[name]})) != registration_digest(CLIENT)


@pytest.mark.parametrize("name", DETAILS_IN)
def test_a_decision_rests_on_the_details(name: str) -> None:
    changed = replace(CLIENT, details=ClientDetails(**{name: DETAILS_IN[name]}))
    assert registration_digest(changed) != registration_digest(CLIENT)


def test_every_field_is_decided_on() -> None:
    assert {item.name for item in fields(Client)} == set(IN) | OUT
    assert {item.name for item in fields(ClientDetails)} == set(DETAILS_IN) | DETAILS_OUT


def test_the_order_of_what_is_a_set_and_what_is_left_out_change_nothing() -> None:
    same = replace(
        CLIENT,
        redirect_uris=tuple(reversed(CLIENT.redirect_uris)),
        scope=("openid", "email"),
        details=ClientDetails(software_version="2", contacts=("a@a.example",)),
    )
    assert registration_digest(same) == registration_digest(CLIENT)
