"""What the rules need to know of an application and of an API: plain values, parsed once."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

PUBLIC = "none"
PRIVATE_KEY_JWT = "private_key_jwt"
AUTHENTICATION_METHODS = (PUBLIC, "client_secret_basic", "client_secret_post", PRIVATE_KEY_JWT)
SECRET_METHODS = ("client_secret_basic", "client_secret_post")
PAIRWISE = "pairwise"
RFC9068_TYPE = "at+jwt"
ACCESS_TOKEN_TYPES = (RFC9068_TYPE, "JWT")
OPERATORS = "application"  # the kind of client that an operator registers
PKCE = ("always", "unless-nonce", "never")


@dataclass(frozen=True, slots=True)
class ClientDetails:
    """Registered metadata that only some requests look at (RFC 7591 §2, OpenID Connect Registration §2 and its logouts).

    ``authentication_methods`` are those that a client-id metadata document offers besides the one that it prefers.
    """

    client_uri: str | None = None
    logo_uri: str | None = None
    policy_uri: str | None = None
    tos_uri: str | None = None
    contacts: tuple[str, ...] = ()
    software_id: str | None = None
    software_version: str | None = None
    jwks: Mapping[str, Any] | None = None
    jwks_uri: str | None = None
    token_endpoint_auth_signing_alg: str | None = None
    authentication_methods: tuple[str, ...] = ()
    userinfo_signed_response_alg: str | None = None
    request_object_signing_alg: str | None = None
    request_uris: tuple[str, ...] = ()
    require_pushed_authorization_requests: bool = False
    subject_type: str = "public"
    sector_identifier_uri: str | None = None
    default_max_age: int | None = None
    require_auth_time: bool = False
    default_acr_values: tuple[str, ...] = ()
    initiate_login_uri: str | None = None
    backchannel_logout_uri: str | None = None
    backchannel_logout_session_required: bool = False
    frontchannel_logout_uri: str | None = None
    frontchannel_logout_session_required: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values of what differs from the defaults."""
        said = {
            item.name: getattr(self, item.name) for item in fields(self) if getattr(self, item.name) != item.default
        }
        return {name: list(value) if isinstance(value, tuple) else value for name, value in said.items()}

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any] | None) -> ClientDetails:
        """What ``to_dict`` gave, in this release or another: fields that are not known here are left out."""
        said = stored or {}
        known = {item.name: said[item.name] for item in fields(cls) if item.name in said}
        values: dict[str, Any] = {name: tuple(it) if isinstance(it, list) else it for name, it in known.items()}
        return cls(**values)


@dataclass(frozen=True, slots=True)
class Client:
    """An OAuth client (RFC 7591 §2). ``id`` is the row, ``client_id`` the public identifier.

    ``scope`` is what the client gets when it asks for nothing; for client credentials it is also the most it can have.
    ``resource`` is the audience when none is asked for; for an API key with one, the only one.
    ``nonce_replaces_pkce``: a request with a nonce needs no challenge. ``exact_auth_method``: a secret is taken by the
    registered method alone. ``claims_in_id_token``: the claims of its scopes are in ID tokens as well as in UserInfo.
    ``only_groups`` are the ids of the groups whose members it is reserved for; for none of them it is there for everybody.
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
    registration_token_hash: str | None = field(default=None, repr=False)
    document_fresh_until: datetime.datetime | None = None
    nonce_replaces_pkce: bool = False
    exact_auth_method: bool = True
    claims_in_id_token: bool = False
    only_groups: tuple[str, ...] = ()
    previous_secret_hash: str | None = field(default=None, repr=False)
    previous_secret_until: datetime.datetime | None = None
    secret_rotated_at: datetime.datetime | None = None
    expiry_told: int | None = None
    last_used_address: str | None = None
    details: ClientDetails = field(default_factory=ClientDetails)

    @property
    def pkce(self) -> str:
        """When a request of its must carry a challenge: one of ``PKCE``."""
        if not self.require_pkce:
            return "never"
        return "unless-nonce" if self.nonce_replaces_pkce else "always"

    @property
    def is_public(self) -> bool:
        return self.token_endpoint_auth_method == PUBLIC

    @property
    def always_authenticates(self) -> bool:
        """Whether nobody gets tokens in its name without a secret or a key of its own."""
        return PUBLIC not in (self.token_endpoint_auth_method, *self.details.authentication_methods)

    @property
    def authentication_methods(self) -> tuple[str, ...]:
        """The ways in which it may prove itself: the registered one, those that its metadata document offers besides, and
        for a secret that an operator gave, or an API key, both ways of sending it."""
        registered = self.token_endpoint_auth_method
        if registered in SECRET_METHODS and (self.is_api_key or not self.exact_auth_method):
            return SECRET_METHODS
        return (registered, *self.details.authentication_methods)

    @property
    def is_api_key(self) -> bool:
        return self.kind == "api_key"

    def is_usable(self, now: datetime.datetime) -> bool:
        """Whether it is neither disabled, revoked nor expired. Its owner is asked separately."""
        return self.is_active and self.revoked_at is None and (self.expires_at is None or now < self.expires_at)

    def previous_secret_works(self, now: datetime.datetime) -> bool:
        """Whether the secret before this one is still taken, so that programs can be given the new one without a gap."""
        return self.previous_secret_until is not None and now < self.previous_secret_until

    def allows_grant(self, grant_type: str) -> bool:
        return grant_type in self.grant_types

    def check_grant_type(self, grant_type: str) -> bool:
        """The same under the name that Authlib's grants call."""
        return self.allows_grant(grant_type)


@dataclass(frozen=True, slots=True)
class Resource:
    """An API that tokens are for (RFC 8707). ``admin_scope`` are those of its scopes that only administrators have.

    ``access_token_seconds`` is the life of its tokens, None for that of the settings. ``introspection_clients`` are the ids
    of the clients that are this API: they may ask what a token for it is. ``descriptions`` say what a scope allows, by its
    name and the language: ``{"notes:read": {"en": "Read your notes"}}``. ``token_typ`` is the type in the header of its
    access tokens: RFC 9068's, or ``JWT`` for verifiers that know no other. ``groups_claim``: they name the person's groups
    where the scope ``groups`` was granted. ``scope_groups`` are scopes that only members of some groups have, by id.
    ``personal_scope`` are scopes of ours that only a person gives, to an application that asks for them by name.
    """

    uri: str
    name: str
    scope: tuple[str, ...]
    admin_scope: tuple[str, ...] = ()
    token_alg: str = "RS256"  # noqa: S105 - an algorithm
    access_token_seconds: int | None = None
    introspection_clients: tuple[str, ...] = ()
    descriptions: Mapping[str, Mapping[str, str]] = field(default_factory=dict, hash=False)
    token_typ: str = RFC9068_TYPE
    groups_claim: bool = False
    scope_groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict, hash=False)
    personal_scope: tuple[str, ...] = ()

    def description(self, scope: str, language: str) -> str:
        """What ``scope`` allows, in this language or else in English. Empty where nobody has said it."""
        words = self.descriptions.get(scope, {})
        return words.get(language) or words.get("en", "")
