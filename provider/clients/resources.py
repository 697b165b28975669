"""The catalogue of APIs that tokens are for (RFC 8707), and the one that is always there: this server itself."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

from sqlalchemy import bindparam, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from database.models import Resource as ResourceRow
from database.models.columns import new_id
from database.transaction import Transaction
from provider.audit import AuditEvent, AuditRecorder
from provider.clients.cache import ShortCache
from provider.clients.client_ends import Ended
from provider.protocol.client import Resource
from provider.protocol.errors import OAuthError
from provider.protocol.messages import Origin
from provider.protocol.resources import canonical_resource
from provider.protocol.scopes import IDENTITY_SCOPES, checked_scope
from provider.protocol.text import is_name, one_line
from provider.tokens.grant_records import GrantRecords
from provider.tokens.token_records import living_tokens_for

CACHE_SECONDS = 5
ALGORITHMS = ("RS256", "ES256", "EdDSA")
MIN_TOKEN_SECONDS, MAX_TOKEN_SECONDS = 30, 900
_SCRIPT_SCHEMES = ("javascript", "data", "vbscript", "file", "blob", "about")
_CATALOGUE = "all"
_TABLE = ResourceRow.__table__
_FIND = select(_TABLE).where(_TABLE.c.uri == bindparam("uri"))
_ALL = select(_TABLE).order_by(_TABLE.c.uri)


class ResourceExists(Exception):
    """The catalogue already has this resource."""


class Resources:
    """Finds resources by any spelling; the registered one becomes ``aud``."""

    def __init__(self, audit: AuditRecorder, issuer: str, grants: GrantRecords) -> None:
        self._audit = audit
        self._grants = grants
        self._own = Resource(uri=issuer, name="", scope=(), token_alg="RS256")  # noqa: S106 - an algorithm
        self._cache: ShortCache[dict[str, Resource]] = ShortCache(CACHE_SECONDS, 1)

    def default(self) -> Resource:
        """This server as the audience: for userinfo, and for clients that name no API."""
        return self._own

    def find(self, tx: Transaction, uri: str) -> Resource | None:
        """The resource that ``uri`` means. Raises ``invalid_target`` for what is no resource URI at all."""
        wanted = canonical_resource(uri)
        if wanted == canonical_resource(self._own.uri):
            return self._own
        found = self._known(tx).get(wanted)
        if found is None:  # perhaps it was added a moment ago, by another process
            row = tx.execute(_FIND, {"uri": uri}).mappings().first()
            found = None if row is None else _parse(row)
        return found

    def get(self, tx: Transaction, uri: str) -> Resource:
        """Like ``find``, raising ``invalid_target`` when there is none (RFC 8707 §2)."""
        found = self.find(tx, uri)
        if found is None:
            raise OAuthError.invalid_target(
                "This resource is not registered here. An operator can add it with the command `resource add`."
            )
        return found

    def list(self, tx: Transaction) -> list[Resource]:
        return list(_load(tx).values())

    def add(
        self,
        tx: Transaction,
        origin: Origin,
        *,
        uri: str,
        name: str,
        scope: tuple[str, ...],
        admin_scope: tuple[str, ...] = (),
        token_alg: str = "RS256",  # noqa: S107 - an algorithm
        access_token_seconds: int | None = None,
    ) -> Resource:
        """Registers an API. Scopes in ``admin_scope`` are among ``scope`` and for administrators only.

        Raises ``ResourceExists``, ``OAuthError`` (``invalid_target``, ``invalid_scope``) or ``ValueError``.
        """
        name, scope, admin_scope = one_line(name), checked_scope(scope), checked_scope(admin_scope)
        if token_alg not in ALGORITHMS:
            raise ValueError(f"token_alg must be one of {', '.join(ALGORITHMS)}")
        if not is_name(name, 255):
            raise ValueError("a resource needs a name of 1 to 255 printable characters")
        if access_token_seconds is not None and not MIN_TOKEN_SECONDS <= access_token_seconds <= MAX_TOKEN_SECONDS:
            raise ValueError(f"access tokens live {MIN_TOKEN_SECONDS} to {MAX_TOKEN_SECONDS} seconds")
        if set(scope) & set(IDENTITY_SCOPES):
            raise OAuthError.invalid_scope("openid, profile, email and offline_access belong to this server.")
        if not set(admin_scope) <= set(scope):
            raise ValueError("admin scopes must be among the scopes")
        if canonical_resource(uri).partition(":")[0] in _SCRIPT_SCHEMES:
            raise OAuthError.invalid_target("The resource must be an https URI, or another name such as a URN.")
        if self.find(tx, uri) is not None:
            raise ResourceExists(uri)
        row = {
            "id": new_id(origin.now),
            "uri": uri,
            "name": name,
            "scope": " ".join(scope),
            "admin_scope": " ".join(admin_scope),
            "token_alg": token_alg,
            "access_token_seconds": access_token_seconds,
            "created_at": origin.now,
            "updated_at": origin.now,
        }
        try:
            tx.execute(insert(ResourceRow), row)
        except IntegrityError:
            raise ResourceExists(uri) from None
        self._end(tx, origin, uri)
        self._changed(tx, origin, AuditEvent.RESOURCE_ADDED, uri)
        return Resource(uri, name, scope, admin_scope, token_alg, access_token_seconds)

    def remove(self, tx: Transaction, origin: Origin, uri: str) -> Ended | None:
        """Takes an API out of the catalogue, and ends all that was granted at it, for good. Any spelling will do."""
        known = _load(tx).get(canonical_resource(uri))
        if known is None or tx.execute(delete(ResourceRow).where(_TABLE.c.uri == known.uri)).rowcount != 1:
            return None
        ended = self._end(tx, origin, known.uri)
        self._changed(tx, origin, AuditEvent.RESOURCE_REMOVED, known.uri)
        return ended

    def set_introspection_clients(
        self, tx: Transaction, origin: Origin, uri: str, client_ids: tuple[str, ...]
    ) -> Resource | None:
        """Says which clients are the API itself, in place of those that were. None when there is no such API."""
        known = _load(tx).get(canonical_resource(uri))
        if known is None:
            return None
        values = {"introspection_clients": list(client_ids) or None, "updated_at": origin.now}
        if tx.execute(update(ResourceRow).where(_TABLE.c.uri == known.uri).values(values)).rowcount != 1:
            return None
        self._changed(tx, origin, AuditEvent.RESOURCE_CHANGED, known.uri, introspection_clients=list(client_ids))
        return replace(known, introspection_clients=client_ids)

    def invalidate(self) -> None:
        self._cache.forget(_CATALOGUE)

    def _end(self, tx: Transaction, origin: Origin, uri: str) -> Ended:
        """Ends what was granted under this name, also when it is added: other processes go on granting for a moment after
        it was removed."""
        return Ended(
            grants=self._grants.revoke_for_resource(tx, origin, uri, "resource_removed"),
            access_tokens=living_tokens_for(tx, origin.now, uri),
        )

    def _changed(self, tx: Transaction, origin: Origin, event: AuditEvent, uri: str, **details: Any) -> None:
        self._cache.changed(tx, _CATALOGUE)
        self._audit.record(tx, event, origin, resource_type="resources", resource_id=uri, **details)

    def known(self, tx: Transaction) -> Collection[Resource]:
        """The whole catalogue, at most some seconds old."""
        return self._known(tx).values()

    def _known(self, tx: Transaction) -> dict[str, Resource]:
        known = self._cache.get(tx, _CATALOGUE)
        return known if known is not None else self._cache.fill(tx, _CATALOGUE, lambda: _load(tx)) or {}


def _load(tx: Transaction) -> dict[str, Resource]:
    return {canonical_resource(row["uri"]): _parse(row) for row in tx.execute(_ALL).mappings()}


def _parse(row: Mapping[Any, Any]) -> Resource:
    return Resource(
        uri=row["uri"],
        name=row["name"],
        scope=tuple(row["scope"].split()),
        admin_scope=tuple(row["admin_scope"].split()),
        token_alg=row["token_alg"],
        access_token_seconds=row["access_token_seconds"],
        introspection_clients=tuple(row["introspection_clients"] or ()),
    )
