"""Client metadata (RFC 7591 §2): what a registration may say, checked before a client is made of it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field, fields, replace
from typing import Any

from provider.clients.detail_rules import check_details
from provider.protocol.client import AUTHENTICATION_METHODS, PUBLIC, ClientDetails
from provider.protocol.errors import OAuthError
from provider.protocol.redirect_uris import check_redirect_uri
from provider.protocol.resources import canonical_resource
from provider.protocol.scopes import checked_scope
from provider.protocol.text import is_name, one_line

GRANT_TYPES = ("authorization_code", "refresh_token", "client_credentials")
ALGORITHMS = ("RS256", "ES256", "EdDSA")
MAX_URIS = 50


@dataclass(frozen=True, slots=True)
class ClientMetadata:
    """What somebody asks for. ``grant_types`` and ``token_endpoint_auth_method`` have defaults that fit the rest.

    The fields are named as ``Clients.register`` takes them.
    """

    name: str
    application_type: str = "web"
    token_endpoint_auth_method: str | None = None
    redirect_uris: tuple[str, ...] = ()
    post_logout_redirect_uris: tuple[str, ...] = ()
    grant_types: tuple[str, ...] = ()
    scope: tuple[str, ...] = ()
    resource: str | None = None
    require_pkce: bool = True
    nonce_replaces_pkce: bool = False
    exact_auth_method: bool = True
    claims_in_id_token: bool = False
    id_token_signed_response_alg: str = "RS256"  # noqa: S105 - an algorithm
    details: ClientDetails = field(default_factory=ClientDetails)

    def checked(self, *, by_operator: bool = False) -> ClientMetadata:
        """The same with defaults filled in and repetitions left out. An operator may have this machine told of logouts.

        Raises ``OAuthError``: ``invalid_redirect_uri``, ``invalid_scope``, ``invalid_target`` (the resource), or
        ``invalid_client_metadata`` for everything else.
        """
        method = self.token_endpoint_auth_method or "client_secret_basic"
        signs_in = bool(self.redirect_uris) or method == PUBLIC
        grants = self.grant_types or (("authorization_code", "refresh_token") if signs_in else ("client_credentials",))
        filled = replace(
            self,
            name=one_line(self.name),
            token_endpoint_auth_method=method,
            grant_types=tuple(dict.fromkeys(grants)),
            redirect_uris=tuple(dict.fromkeys(self.redirect_uris)),
            post_logout_redirect_uris=tuple(dict.fromkeys(self.post_logout_redirect_uris)),
            scope=checked_scope(self.scope),
        )
        problem = _problem(filled)
        if problem is not None:
            raise OAuthError("invalid_client_metadata", problem)
        check_details(filled.details, filled.token_endpoint_auth_method, by_operator=by_operator)
        for uri in (*filled.redirect_uris, *filled.post_logout_redirect_uris):
            check_redirect_uri(uri, filled.application_type)
        if filled.resource is not None:
            canonical_resource(filled.resource)
        return filled

    def to_values(self) -> dict[str, Any]:
        """The fields by name, as ``Clients.register`` takes them."""
        return {item.name: getattr(self, item.name) for item in fields(self)}


def check_signatures(metadata: ClientMetadata, algorithms: Collection[str]) -> None:
    """Raises ``invalid_client_metadata`` unless this server has a key for what the client wants signed."""
    wanted = (metadata.id_token_signed_response_alg, metadata.details.userinfo_signed_response_alg)
    if any(name is not None and name not in algorithms for name in wanted):
        raise OAuthError("invalid_client_metadata", "This server does not sign with that algorithm.")


def _problem(asked: ClientMetadata) -> str | None:
    """The first rule that does not hold (RFC 7591 §2, §2.1; OAuth 2.1 §4.2)."""
    grants, is_public = set(asked.grant_types), asked.token_endpoint_auth_method == PUBLIC
    if not is_name(asked.name, 255):  # one that nobody sees leaves the consent page asking for nobody
        return "A name of 1 to 255 printable characters is needed."
    if asked.application_type not in ("web", "native"):
        return "The application type must be web or native."
    if asked.token_endpoint_auth_method not in AUTHENTICATION_METHODS:
        return "The method must be none, client_secret_basic, client_secret_post or private_key_jwt."
    if not grants <= set(GRANT_TYPES):
        return "The grant must be authorization_code, refresh_token or client_credentials."
    if is_public and "client_credentials" in grants:
        return "A public client cannot use client credentials."
    if is_public and (asked.nonce_replaces_pkce or not asked.require_pkce):
        return "A public client cannot go without PKCE."
    if "authorization_code" in grants and not asked.redirect_uris:
        return "The authorization code grant needs a redirect URI."
    if "refresh_token" in grants and "authorization_code" not in grants:
        return "Refresh tokens come with the authorization code grant."
    if asked.redirect_uris and "authorization_code" not in grants:
        return "A redirect URI is for the authorization code grant."
    if max(len(asked.redirect_uris), len(asked.post_logout_redirect_uris)) > MAX_URIS:
        return "At most 50 redirect URIs can be registered."
    if asked.id_token_signed_response_alg not in ALGORITHMS:
        return "ID tokens can be signed with RS256, ES256 or EdDSA."
    return None
