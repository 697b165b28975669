"""A client as a row of ``oauth_clients``, and back."""

from __future__ import annotations

import datetime
import threading
from collections.abc import Mapping
from typing import Any

from sqlalchemy import select, true

from database.models import Client as ClientRow
from database.reading import Listed, row_of
from database.statement_forms import Found
from provider.clients.metadata import ClientMetadata
from provider.protocol.client import PUBLIC, Client, ClientDetails

_TABLE = ClientRow.__table__
_SAME = (
    "id", "client_id", "kind", "name", "owner_user_id", "secret_hash", "token_endpoint_auth_method", "application_type",
    "resource", "require_pkce", "rotate_refresh_tokens", "is_trusted", "is_vouched", "is_active",
    "id_token_signed_response_alg", "created_at", "updated_at", "last_used_at", "expires_at", "revoked_at",
    "registration_token_hash", "document_fresh_until", "nonce_replaces_pkce", "exact_auth_method", "claims_in_id_token",
    "previous_secret_hash", "previous_secret_until", "secret_rotated_at", "expiry_told", "last_used_address",
)  # fmt: skip

_NAMES = tuple(column.name for column in _TABLE.c)
_ID = _NAMES.index("id")


def parse_client(row: Mapping[Any, Any]) -> Client:
    return Client(
        **{name: row[name] for name in _SAME},
        redirect_uris=tuple(row["redirect_uris"]),
        post_logout_redirect_uris=tuple(row["post_logout_redirect_uris"]),
        grant_types=tuple(row["grant_types"]),
        scope=tuple(row["scope"].split()),
        only_groups=tuple(row["only_groups"] or ()),
        details=ClientDetails.from_dict(row["metadata"]),
    )


class ParsedClients:
    """Parses whole rows, and none twice: one that says what it said before is the same client. Safe for threads."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._known: dict[str, tuple[tuple[Any, ...], Client]] = {}
        self._lock = threading.Lock()

    def client(self, found: Found | None) -> Client | None:
        """The client of a row whose columns are those of the table, in its order."""
        if found is None:
            return None
        raw = found.raw
        known = self._known.get(raw[_ID])
        if known is not None and known[0] == raw:
            return known[1]
        client = parse_client(dict(zip(_NAMES, found.values(), strict=True)))
        with self._lock:
            if len(self._known) >= self._size:
                del self._known[next(iter(self._known))]
            self._known[client.id] = (raw, client)
        return client


def living_of_owner(owner_user_id: str, kind: str, now: datetime.datetime, search: str) -> Listed[Client]:
    """The usable clients of one owner, the newest first: all, or those with ``search`` in their name or their id."""
    lives = (
        _TABLE.c.is_active == true(),
        _TABLE.c.revoked_at.is_(None),
        _TABLE.c.expires_at.is_(None) | (_TABLE.c.expires_at > now),
    )
    statement = select(ClientRow).where(_TABLE.c.owner_user_id == owner_user_id, _TABLE.c.kind == kind, *lives)
    if search:
        by_name = _TABLE.c.name.icontains(search, autoescape=True)
        statement = statement.where(by_name | _TABLE.c.client_id.contains(search, autoescape=True))
    newest_first = statement.order_by(_TABLE.c.created_at.desc(), _TABLE.c.id.desc())
    return Listed(newest_first, lambda entity: parse_client(row_of(entity)))


def metadata_columns(metadata: ClientMetadata) -> dict[str, Any]:
    """The columns that checked metadata decides."""
    return {
        "name": metadata.name,
        "token_endpoint_auth_method": metadata.token_endpoint_auth_method,
        "application_type": metadata.application_type,
        "redirect_uris": list(metadata.redirect_uris),
        "post_logout_redirect_uris": list(metadata.post_logout_redirect_uris),
        "grant_types": list(metadata.grant_types),
        "scope": " ".join(metadata.scope),
        "resource": metadata.resource,
        "require_pkce": metadata.require_pkce,
        "nonce_replaces_pkce": metadata.nonce_replaces_pkce,
        "exact_auth_method": metadata.exact_auth_method,
        "claims_in_id_token": metadata.claims_in_id_token,
        "rotate_refresh_tokens": PUBLIC
        in (metadata.token_endpoint_auth_method, *metadata.details.authentication_methods),
        "id_token_signed_response_alg": metadata.id_token_signed_response_alg,
        "metadata": metadata.details.to_dict() or None,
    }


def metadata_of(client: Client) -> ClientMetadata:
    """What a client is registered with, as somebody could have asked for it."""
    return ClientMetadata(
        name=client.name,
        application_type=client.application_type,
        token_endpoint_auth_method=client.token_endpoint_auth_method,
        redirect_uris=client.redirect_uris,
        post_logout_redirect_uris=client.post_logout_redirect_uris,
        grant_types=client.grant_types,
        scope=client.scope,
        resource=client.resource,
        require_pkce=client.require_pkce,
        nonce_replaces_pkce=client.nonce_replaces_pkce,
        exact_auth_method=client.exact_auth_method,
        claims_in_id_token=client.claims_in_id_token,
        id_token_signed_response_alg=client.id_token_signed_response_alg,
        details=client.details,
    )
