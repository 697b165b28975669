"""What an operator says of an application, as checked metadata: options, a file, and what fits the rest."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from provider.clients.metadata import ALGORITHMS, ClientMetadata, check_signatures
from provider.clients.metadata_json import NAMES, metadata_from_json, metadata_to_json
from provider.protocol.client import PKCE, PUBLIC, SECRET_METHODS, Client
from provider.protocol.errors import OAuthError

STRICT = "=strict"
_KEYS = {"jwks": "jwks_uri", "jwks_uri": "jwks"}


@dataclass(frozen=True, slots=True)
class ClientOptions:
    """What an operator says. None is not said: a new application gets what fits, an old one keeps what it has.

    Empty tuples and text take something away. ``auth_method`` may end in ``=strict``: a secret is then taken by this method
    alone. ``pkce`` is one of ``PKCE``, ``resource`` the registered spelling. ``metadata`` has names of RFC 7591 and OpenID
    Connect (``NAMES``); what stands in an option counts instead.
    """

    name: str | None = None
    application_type: str | None = None
    auth_method: str | None = None
    redirect_uris: tuple[str, ...] | None = None
    post_logout_redirect_uris: tuple[str, ...] | None = None
    grant_types: tuple[str, ...] | None = None
    scope: tuple[str, ...] | None = None
    resource: str | None = None
    jwks_uri: str | None = None
    pkce: str | None = None
    claims_in_id_token: bool | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)

    def said(self) -> dict[str, Any]:
        """All of it that has a name in a registration, under that name. An option wins over ``metadata``."""
        scope = None if self.scope is None else " ".join(self.scope)
        lists = {
            "redirect_uris": self.redirect_uris,
            "post_logout_redirect_uris": self.post_logout_redirect_uris,
            "grant_types": self.grant_types,
        }
        options = {
            "client_name": self.name,
            "application_type": self.application_type,
            "token_endpoint_auth_method": self._method,
            "scope": scope,
            "jwks_uri": self.jwks_uri,
            **{name: None if value is None else list(value) for name, value in lists.items()},
        }
        return {**self.metadata, **{name: value for name, value in options.items() if value is not None}}

    @property
    def _method(self) -> str | None:
        return None if self.auth_method is None else self.auth_method.removesuffix(STRICT)

    @property
    def is_strict(self) -> bool:
        return self.auth_method is not None and self.auth_method.endswith(STRICT)


def operator_metadata(
    options: ClientOptions, *, known: Client | None = None, algorithms: Collection[str] = ALGORITHMS
) -> ClientMetadata:
    """Checked metadata for a new application, or for ``known`` with what is said changed.

    ``algorithms`` are those that this server has a key for. Raises ``OAuthError`` as ``ClientMetadata.checked`` does, and
    ``invalid_client_metadata`` for names that no registration has: no word of an operator's is lost.
    """
    surplus = sorted(set(options.metadata) - NAMES)
    if surplus:
        shown = " ".join(name[:64] for name in surplus[:10] if name.isascii() and name.isidentifier())
        raise _refused(f"These names are not those of a registration: {shown or 'they are no names at all'}.")
    said = options.said()
    before = {} if known is None else metadata_to_json(known)
    for name in _KEYS.keys() & said.keys():
        before.pop(_KEYS[name], None)  # keys that are given take the place of those that were
    if said.get("grant_types") and "response_types" not in said:
        before.pop("response_types", None)  # which follow from them
    asked = metadata_from_json({**before, **said}, as_it_stands=True)
    if options.is_strict and asked.token_endpoint_auth_method not in SECRET_METHODS:
        raise _refused("Only the method of a secret can be strict.")
    pkce = options.pkce or _pkce(asked, known)
    resource = options.resource if options.resource is not None or known is None else known.resource
    is_exact = known is not None and known.exact_auth_method if options.auth_method is None else options.is_strict
    has_claims = known is None or known.claims_in_id_token
    metadata = replace(
        asked,
        resource=resource or None,
        require_pkce=pkce != "never",
        nonce_replaces_pkce=pkce == "unless-nonce",
        exact_auth_method=is_exact,
        claims_in_id_token=has_claims if options.claims_in_id_token is None else options.claims_in_id_token,
    ).checked(by_operator=True)
    check_signatures(metadata, algorithms)
    return metadata


def _pkce(asked: ClientMetadata, known: Client | None) -> str:
    """What is said of PKCE where nothing is: a client without a secret or key of its own has nothing else to show."""
    always, unless_nonce, _never = PKCE
    if asked.token_endpoint_auth_method == PUBLIC:
        return always
    return unless_nonce if known is None else known.pkce


def _refused(problem: str) -> OAuthError:
    return OAuthError("invalid_client_metadata", problem)
