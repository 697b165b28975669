"""Metadata (RFC 8414, OpenID Connect Discovery): one document under every well-known form."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any

from database.transaction import Transaction
from provider import grants
from provider.clients.detail_rules import ASSERTION_ALGORITHMS, REQUEST_OBJECT_ALGORITHMS
from provider.doors.endpoint import Endpoint
from provider.endpoints.jwks import prepared
from provider.oauth_server import OAuthServer
from provider.protocol.claims import CLAIMS_OF_SCOPE
from provider.protocol.client import AUTHENTICATION_METHODS, PAIRWISE, PUBLIC
from provider.protocol.messages import ProtocolRequest, ProtocolResponse
from provider.protocol.request_rules import RESPONSE_MODES
from provider.protocol.scopes import IDENTITY_SCOPES
from provider.settings import Settings
from provider.sign_in.assurance import LEVELS

MAX_AGE_SECONDS = 300
NAMES = ("openid-configuration", "oauth-authorization-server")


def metadata(settings: Settings) -> dict[str, Any]:
    """What this server does, and nothing that it does not."""
    issuer = settings.issuer
    creates = ["create"] if settings.sign_up == "open" else []
    registration = {} if settings.dynamic_registration == "off" else {"registration_endpoint": f"{issuer}/register"}
    confidential = [method for method in AUTHENTICATION_METHODS if method != PUBLIC]
    claims = ["sub", "iss", "aud", "exp", "iat", "auth_time", "nonce", "acr", "amr", "azp", "sid", "at_hash"]
    return {
        "issuer": issuer,
        "authorization_endpoint": f"{issuer}/authorize",
        "token_endpoint": f"{issuer}/token",
        "jwks_uri": f"{issuer}/jwks",
        "userinfo_endpoint": f"{issuer}/userinfo",
        "introspection_endpoint": f"{issuer}/introspect",
        "revocation_endpoint": f"{issuer}/revoke",
        "end_session_endpoint": f"{issuer}/logout",
        "backchannel_logout_supported": True,
        "backchannel_logout_session_supported": True,
        "frontchannel_logout_supported": True,
        "frontchannel_logout_session_supported": True,
        **registration,
        "client_id_metadata_document_supported": settings.metadata_documents != "off",
        "scopes_supported": list(IDENTITY_SCOPES),
        "response_types_supported": ["code"],
        "response_modes_supported": list(RESPONSE_MODES),
        "grant_types_supported": [grant.GRANT_TYPE for grant in grants.ALL],
        "subject_types_supported": ["public", PAIRWISE],
        "id_token_signing_alg_values_supported": list(settings.algorithms),
        "token_endpoint_auth_methods_supported": list(AUTHENTICATION_METHODS),
        "token_endpoint_auth_signing_alg_values_supported": list(ASSERTION_ALGORITHMS),
        "introspection_endpoint_auth_methods_supported": confidential,
        "introspection_endpoint_auth_signing_alg_values_supported": list(ASSERTION_ALGORITHMS),
        "revocation_endpoint_auth_methods_supported": list(AUTHENTICATION_METHODS),
        "revocation_endpoint_auth_signing_alg_values_supported": list(ASSERTION_ALGORITHMS),
        "code_challenge_methods_supported": ["S256"],
        "authorization_response_iss_parameter_supported": True,
        "claim_types_supported": ["normal"],
        "claims_supported": [*claims, *(name for names in CLAIMS_OF_SCOPE.values() for name in names)],
        "acr_values_supported": list(LEVELS),
        "prompt_values_supported": ["none", "login", "consent", "select_account", *creates],
        "ui_locales_supported": ["en", "ko"],
        "claims_parameter_supported": True,
        "request_parameter_supported": True,
        "request_uri_parameter_supported": True,
        "require_request_uri_registration": True,
        "request_object_signing_alg_values_supported": list(REQUEST_OBJECT_ALGORITHMS),
        "userinfo_signing_alg_values_supported": list(settings.algorithms),
        "pushed_authorization_request_endpoint": f"{issuer}/par",
        "display_values_supported": ["page"],
    }


def mount(server: OAuthServer) -> Sequence[Endpoint]:
    settings = server.services.settings
    body = json.dumps(metadata(settings), separators=(",", ":")).encode()
    etag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'

    def discovery(request: ProtocolRequest, _tx: Transaction) -> ProtocolResponse:
        return prepared(request, body, etag, MAX_AGE_SECONDS)

    return [
        Endpoint(path, ("GET",), discovery, cors=True, bare=True, at_once=True)
        for path in well_known_paths(settings.issuer_path)
    ]


def well_known_paths(issuer_path: str) -> list[str]:
    """Before the issuer's path (RFC 8414 §3), behind it (OpenID Connect Discovery §4), and at the root for guessers."""
    forms = [f"/.well-known/{name}" for name in NAMES]
    if issuer_path:
        forms += [f"/.well-known/{name}{issuer_path}" for name in NAMES]
        forms += [f"{issuer_path}/.well-known/{name}" for name in NAMES]
    return forms
