"""The catalogue of APIs that tokens are for (RFC 8707), and the one that is always there: this server itself."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

from sqlalchemy import delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from database.models import Resource as ResourceRow
from database.models.columns import new_id
from database.prepared import Lookup, Prepared
from database.transaction import Transaction
from provider.audit import AuditEvent, AuditRecorder
from provider.clients.cache import ShortCache
from provider.clients.catalogue import Catalogue
from provider.clients.client_ends import Ended
from provider.clients.resource_rules import checked_resource
from provider.protocol.client import Resource
from provider.protocol.errors import OAuthError
from provider.protocol.messages import Origin
from provider.protocol.scopes import ACCOUNT_SCOPES
from provider.tokens.grant_records import GrantRecords
from provider.tokens.token_records import living_tokens_for

CACHE_SECONDS = 5
_CATALOGUE = "all"
_TABLE = ResourceRow.__table__
_FIND = Lookup(select(_TABLE), by=_TABLE.c.uri)
_ALL = Prepared(select(_TABLE).order_by(_TABLE.c.uri))


class ResourceExists(Exception):
    """The catalogue already has this resource, or one that clients would take it for. Its text is the registered URI."""


class Resources:
    """Finds resources by any spelling; the registered one becomes ``aud``."""

    def __init__(self, audit: AuditRecorder, issuer: str, grants: GrantRecords) -> None:
        self._audit = audit
        self._grants = grants
        self._own = Resource(issuer, "", scope=(), personal_scope=ACCOUNT_SCOPES)
        self._cache: ShortCache[Catalogue] = ShortCache(CACHE_SECONDS, 1)

    def default(self) -> Resource:
        """This server as the audience: for userinfo, and for clients that name no API."""
        return self._own

    def find(self, tx: Transaction, uri: str) -> Resource | None:
        """The resource that ``uri`` means. Raises ``invalid_target`` for what is no resource URI at all."""
        found = self._known(tx).find(uri)
        if found is None:  # perhaps it was added a moment ago, by another process
            row = tx.row(_FIND, {"uri": uri})
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
        return list(self._load(tx).apis)

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
        descriptions: Mapping[str, Mapping[str, str]] | None = None,
        token_typ: str = "at+jwt",  # noqa: S107 - a type
        groups_claim: bool = False,
        scope_groups: Mapping[str, tuple[str, ...]] | None = None,
    ) -> Resource:
        """Registers an API. Scopes in ``admin_scope`` are among ``scope`` and for administrators only.

        Raises ``ResourceExists``, ``OAuthError`` (``invalid_target``, ``invalid_scope``) or ``ValueError``.
        """
        made = checked_resource(
            Resource(
                uri=uri,
                name=name,
                scope=scope,
                admin_scope=admin_scope,
                token_alg=token_alg,
                access_token_seconds=access_token_seconds,
                descriptions=descriptions or {},
                token_typ=token_typ,
                groups_claim=groups_claim,
                scope_groups=scope_groups or {},
            )
        )
        alike = self._known(tx).alike(uri)
        if alike:
            raise ResourceExists(alike[0].uri)
        row = {"id": new_id(origin.now), **_columns(made), "created_at": origin.now, "updated_at": origin.now}
        try:
            tx.execute(insert(ResourceRow), row)
        except IntegrityError:
            raise ResourceExists(uri) from None
        self._end(tx, origin, uri)
        self._changed(tx, origin, AuditEvent.RESOURCE_ADDED, uri)
        return made

    def remove(self, tx: Transaction, origin: Origin, uri: str) -> Ended | None:
        """Takes an API out of the catalogue, and ends all that was granted at it, for good. Any spelling will do."""
        known = self._registered(tx, uri)
        if known is None or tx.execute(delete(ResourceRow).where(_TABLE.c.uri == known.uri)).rowcount != 1:
            return None
        ended = self._end(tx, origin, known.uri)
        self._changed(tx, origin, AuditEvent.RESOURCE_REMOVED, known.uri)
        return ended

    def change(self, tx: Transaction, origin: Origin, uri: str, **changes: Any) -> Resource | None:
        """Changes what an operator may say of an API, by the names of ``Resource``; all but ``uri``. What is said of scopes
        that it no longer has goes with them. None when there is no such API.

        Raises what ``add`` raises.
        """
        known = self._registered(tx, uri)
        if known is None:
            return None
        wanted = replace(known, **changes)
        kept = {name: words for name, words in wanted.descriptions.items() if name in wanted.scope}
        reserved = {name: groups for name, groups in wanted.scope_groups.items() if name in wanted.scope}
        changed = checked_resource(replace(wanted, descriptions=kept, scope_groups=reserved))
        values, before = _columns(changed), _columns(known)
        differing = {name: value for name, value in values.items() if value != before[name]}
        if not differing:
            return known
        statement = update(ResourceRow).where(_TABLE.c.uri == known.uri).values(**differing, updated_at=origin.now)
        if tx.execute(statement).rowcount != 1:
            return None
        self._changed(tx, origin, AuditEvent.RESOURCE_CHANGED, known.uri, **differing)
        return changed

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
        return self._known(tx).apis

    def _known(self, tx: Transaction) -> Catalogue:
        known = self._cache.get(tx, _CATALOGUE)
        return known or self._cache.fill(tx, _CATALOGUE, lambda: self._load(tx)) or self._load(tx)

    def _load(self, tx: Transaction) -> Catalogue:
        return Catalogue(self._own, map(_parse, tx.rows(_ALL, {})))

    def _registered(self, tx: Transaction, uri: str) -> Resource | None:
        """The API as it is now, to change it. This server itself is none."""
        found = self._load(tx).find(uri)
        return None if found is self._own else found


def _columns(resource: Resource) -> dict[str, Any]:
    """What the table holds of an API."""
    return {
        "uri": resource.uri,
        "name": resource.name,
        "scope": " ".join(resource.scope),
        "admin_scope": " ".join(resource.admin_scope),
        "token_alg": resource.token_alg,
        "access_token_seconds": resource.access_token_seconds,
        "introspection_clients": list(resource.introspection_clients) or None,
        "descriptions": {name: dict(words) for name, words in resource.descriptions.items()} or None,
        "token_typ": resource.token_typ,
        "groups_claim": resource.groups_claim,
        "scope_groups": {name: list(groups) for name, groups in resource.scope_groups.items()} or None,
    }


def _parse(row: Mapping[str, Any]) -> Resource:
    return Resource(
        uri=row["uri"],
        name=row["name"],
        scope=tuple(row["scope"].split()),
        admin_scope=tuple(row["admin_scope"].split()),
        token_alg=row["token_alg"],
        access_token_seconds=row["access_token_seconds"],
        introspection_clients=tuple(row["introspection_clients"] or ()),
        descriptions=row["descriptions"] or {},
        token_typ=row["token_typ"],
        groups_claim=row["groups_claim"],
        scope_groups={name: tuple(groups) for name, groups in (row["scope_groups"] or {}).items()},
    )
