"""Client metadata (RFC 7591 §2): what a registration may say, checked before a client is made of it."""

from __future__ import annotations

from dataclasses import dataclass, replace

from provider.protocol.client import AUTHENTICATION_METHODS, PUBLIC
from provider.protocol.errors import OAuthError
from provider.protocol.redirect_uris import check_redirect_uri

GRANT_TYPES = ("authorization_code", "refresh_token", "client_credentials")
ALGORITHMS = ("RS256", "ES256", "EdDSA")


@dataclass(frozen=True, slots=True)
class ClientMetadata:
    """What somebody asks for. ``grant_types`` and ``token_endpoint_auth_method`` have defaults that fit the rest."""

    name: str
    application_type: str = "web"
    token_endpoint_auth_method: str | None = None
    redirect_uris: tuple[str, ...] = ()
    post_logout_redirect_uris: tuple[str, ...] = ()
    grant_types: tuple[str, ...] = ()
    scope: tuple[str, ...] = ()
    resource: str | None = None
    require_pkce: bool = True
    id_token_signed_response_alg: str = "RS256"

    def checked(self) -> ClientMetadata:
        """The same with defaults filled in. Raises ``invalid_client_metadata`` or ``invalid_redirect_uri``."""
        method = self.token_endpoint_auth_method or "client_secret_basic"
        grants = self.grant_types or (
            ("authorization_code", "refresh_token") if self.redirect_uris else ("client_credentials",)
        )
        self._check(method, grants)
        return replace(self, token_endpoint_auth_method=method, grant_types=grants)

    def _check(self, method: str, grants: tuple[str, ...]) -> None:
        name = self.name.strip()
        rules = (
            (bool(name) and len(name) <= 255 and name.isprintable(), "A name of 1 to 255 printable characters is needed."),
            (self.application_type in ("web", "native"), "The application type must be web or native."),
            (method in AUTHENTICATION_METHODS, "The authentication method must be none, client_secret_basic or client_secret_post."),
            (set(grants) <= set(GRANT_TYPES), "The grant must be authorization_code, refresh_token or client_credentials."),
            (method != PUBLIC or "client_credentials" not in grants, "A public client cannot use client credentials."),
            (method != PUBLIC or self.require_pkce, "A public client cannot go without PKCE."),
            ("authorization_code" not in grants or bool(self.redirect_uris), "The authorization code grant needs a redirect URI."),
            ("refresh_token" not in grants or "authorization_code" in grants, "Refresh tokens come with the authorization code grant."),
            (self.id_token_signed_response_alg in ALGORITHMS, "ID tokens can be signed with RS256, ES256 or EdDSA."),
        )  # fmt: skip
        for holds, problem in rules:
            if not holds:
                raise OAuthError("invalid_client_metadata", problem)
        for uri in (*self.redirect_uris, *self.post_logout_redirect_uris):
            check_redirect_uri(uri, self.application_type)
