"""What the rules need to know of an application, an API and a person: plain values, parsed once."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

PUBLIC = "none"
AUTHENTICATION_METHODS = (PUBLIC, "client_secret_basic", "client_secret_post")


@dataclass(frozen=True, slots=True)
class Client:
    """An OAuth client (RFC 7591 §2). ``id`` is the row, ``client_id`` the public identifier.

    ``scope`` is what the client gets when it asks for nothing; for client credentials it is also the most it can have.
    ``resource`` is the audience when none is asked for; for an API key with one, the only one.
    """

    id: str
    client_id: str
    kind: str
    name: str
    owner_user_id: str | None
    secret_hash: str | None
    token_endpoint_auth_method: str
    application_type: str
    redirect_uris: tuple[str, ...]
    post_logout_redirect_uris: tuple[str, ...]
    grant_types: tuple[str, ...]
    scope: tuple[str, ...]
    resource: str | None
    require_pkce: bool
    rotate_refresh_tokens: bool
    is_trusted: bool
    is_vouched: bool
    is_active: bool
    id_token_signed_response_alg: str
    created_at: datetime.datetime
    updated_at: datetime.datetime
    last_used_at: datetime.datetime | None
    expires_at: datetime.datetime | None
    revoked_at: datetime.datetime | None
    extra: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_public(self) -> bool:
        return self.token_endpoint_auth_method == PUBLIC

    @property
    def is_api_key(self) -> bool:
        return self.kind == "api_key"

    def is_usable(self, now: datetime.datetime) -> bool:
        """Whether it is neither disabled, revoked nor expired. Its owner is asked separately."""
        return self.is_active and self.revoked_at is None and (self.expires_at is None or now < self.expires_at)

    def allows_grant(self, grant_type: str) -> bool:
        return grant_type in self.grant_types

    def check_grant_type(self, grant_type: str) -> bool:
        """The same under the name that Authlib's grants call."""
        return self.allows_grant(grant_type)


@dataclass(frozen=True, slots=True)
class Resource:
    """An API that tokens are for (RFC 8707). ``admin_scope`` are those of its scopes that only administrators have.

    ``access_token_seconds`` is the life of its tokens, None for that of the settings.
    """

    uri: str
    name: str
    scope: tuple[str, ...]
    admin_scope: tuple[str, ...] = ()
    token_alg: str = "RS256"  # noqa: S105 - an algorithm
    access_token_seconds: int | None = None
