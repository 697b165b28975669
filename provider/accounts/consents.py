"""Consents: what a user has allowed an application, remembered between authorizations."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Integer, bindparam, delete, select, update

from database.models import Consent as ConsentRow
from database.models.columns import new_id
from database.prepared import Prepared, addition
from database.transaction import Transaction
from provider.audit import AuditEvent, AuditRecorder
from provider.protocol.app_identity import identity_of
from provider.protocol.client import Client
from provider.protocol.messages import Origin
from provider.protocol.names import shown_name
from provider.protocol.registration_digest import registration_digest
from provider.security.crypto import Keyring
from provider.tokens.grant_records import GrantRecords

_TABLE = ConsentRow.__table__
MAX_LIVING = 200
_WITHDRAWN_KEPT = datetime.timedelta(days=365)
_FIND = Prepared(
    select(_TABLE)
    .where(
        _TABLE.c.user_id == bindparam("user_id"),
        _TABLE.c.client_id == bindparam("client_id"),
        _TABLE.c.resource == bindparam("resource"),
        _TABLE.c.redirect_uri_hash == bindparam("redirect_uri_hash"),
        _TABLE.c.metadata_hash == bindparam("metadata_hash"),
        _TABLE.c.withdrawn_at.is_(None),
    )
    .order_by(_TABLE.c.created_at)
    .limit(1)
)
_SURPLUS = Prepared(
    select(_TABLE.c.id)
    .where(_TABLE.c.user_id == bindparam("user_id"), _TABLE.c.withdrawn_at.is_(None))
    .order_by(_TABLE.c.updated_at.desc(), _TABLE.c.id.desc())
    .offset(bindparam("kept", type_=Integer))
    .limit(MAX_LIVING)
)
_ADD = addition(
    _TABLE,
    *("id", "user_id", "client_id", "resource", "redirect_uri_hash", "metadata_hash", "scope"),
    *("created_at", "updated_at"),
)
_SAME_APPLICATION = ("client_id", "resource", "redirect_uri_hash")


@dataclass(frozen=True, slots=True)
class Consent:
    id: str
    user_id: str
    client_row_id: str
    resource: str
    scope: tuple[str, ...]
    created_at: datetime.datetime
    updated_at: datetime.datetime


class Consents:
    """A consent covers the same user, client, redirect URI, resource and client metadata, and no more scope."""

    def __init__(self, audit: AuditRecorder, grants: GrantRecords, keyring: Keyring) -> None:
        self._audit = audit
        self._grants = grants
        self._keyring = keyring

    def allowed_before(
        self, tx: Transaction, *, user_id: str, client: Client, resource_uri: str, redirect_uri: str
    ) -> tuple[str, ...]:
        """What the user has allowed this application already: an application that wants more is asked about the rest."""
        known = self._find(tx, user_id, client, resource_uri, redirect_uri)
        return () if known is None else known.scope

    def find_covering(
        self,
        tx: Transaction,
        *,
        user_id: str,
        client: Client,
        resource_uri: str,
        redirect_uri: str,
        scope: tuple[str, ...],
    ) -> str | None:
        """The id of the consent that allows all of this already, None when the user has to be asked."""
        known = self._find(tx, user_id, client, resource_uri, redirect_uri)
        return known.id if known is not None and set(scope) <= set(known.scope) else None

    def remember(
        self,
        tx: Transaction,
        origin: Origin,
        *,
        user_id: str,
        client: Client,
        resource_uri: str,
        redirect_uri: str,
        scope: tuple[str, ...],
    ) -> str:
        """Keeps a decision and returns its id. What was allowed before stays allowed.

        Of more than ``MAX_LIVING`` the oldest is withdrawn: some applications come from another address each time.
        """
        known = self._find(tx, user_id, client, resource_uri, redirect_uri)
        added = [name for name in scope if known is None or name not in known.scope]
        if known is None:
            self._make_room(tx, origin, user_id)
            consent_id = new_id(origin.now)
            row = {
                "id": consent_id,
                "user_id": user_id,
                "client_id": client.id,
                "resource": resource_uri,
                "redirect_uri_hash": self._redirect_hash(redirect_uri),
                "metadata_hash": self._metadata_hash(client),
                "scope": " ".join(scope),
                "created_at": origin.now,
                "updated_at": origin.now,
            }
            tx.count(_ADD, row)
        else:
            consent_id = known.id
            union = tuple(dict.fromkeys((*known.scope, *scope)))
            tx.execute(
                update(ConsentRow).where(_TABLE.c.id == consent_id).values(scope=" ".join(union), updated_at=origin.now)
            )
        said = {"client": client.client_id, "app": _name_of(client, redirect_uri), "scope": scope, "added": added}
        self._record(tx, origin, AuditEvent.CONSENT_GIVEN, user_id, consent_id, **said)
        return consent_id

    def withdraw(self, tx: Transaction, origin: Origin, user_id: str, consent_id: str) -> bool:
        """Takes a consent of this user back and ends every grant that rests on it.

        Its twins go with it: decisions in two windows at once leave a row each, and so does an application that
        has shown itself differently since.
        """
        living = (_TABLE.c.user_id == user_id, _TABLE.c.withdrawn_at.is_(None))
        withdrawn = update(ConsentRow).where(*living).values(withdrawn_at=origin.now)
        named = tx.execute(select(_TABLE).where(_TABLE.c.id == consent_id, *living)).mappings().first()
        if named is None or tx.execute(withdrawn.where(_TABLE.c.id == consent_id)).rowcount != 1:
            return False
        same = [_TABLE.c[name] == named[name] for name in _SAME_APPLICATION]
        twins = tx.execute(select(_TABLE.c.id).where(*same, *living)).scalars().all()
        if twins:
            tx.execute(withdrawn.where(_TABLE.c.id.in_(twins)))
        for ended in (consent_id, *twins):
            self._grants.revoke_for_consent(tx, origin, user_id, ended, "consent_withdrawn")
        self._record(tx, origin, AuditEvent.CONSENT_WITHDRAWN, user_id, consent_id)
        return True

    def list(self, tx: Transaction, user_id: str) -> list[Consent]:
        """What is allowed, one entry for all that ``withdraw`` takes back together, the one changed last first."""
        statement = (
            select(_TABLE)
            .where(_TABLE.c.user_id == user_id, _TABLE.c.withdrawn_at.is_(None))
            .order_by(_TABLE.c.updated_at.desc())
        )
        found: dict[tuple[str, ...], Consent] = {}
        for row in tx.execute(statement).mappings():
            application = tuple(row[name] for name in _SAME_APPLICATION)
            consent = parse_consent(row)
            if application in found:
                newer = found[application]
                scope = tuple(dict.fromkeys((*newer.scope, *consent.scope)))
                consent = replace(newer, scope=scope, created_at=min(newer.created_at, consent.created_at))
            found[application] = consent
        return [*found.values()]

    def purge(self, tx: Transaction, now: datetime.datetime, limit: int = 1000) -> int:
        """Deletes consents that were withdrawn a year ago."""
        over = select(_TABLE.c.id).where(_TABLE.c.withdrawn_at <= now - _WITHDRAWN_KEPT).limit(limit)
        ids = tx.execute(over).scalars().all()
        if ids:
            tx.execute(delete(ConsentRow).where(_TABLE.c.id.in_(ids)))
        return len(ids)

    def _make_room(self, tx: Transaction, origin: Origin, user_id: str) -> None:
        for surplus in tx.rows(_SURPLUS, {"user_id": user_id, "kept": MAX_LIVING - 1}):
            self.withdraw(tx, origin, user_id, surplus["id"])

    def _find(
        self, tx: Transaction, user_id: str, client: Client, resource_uri: str, redirect_uri: str
    ) -> Consent | None:
        known = {
            "user_id": user_id,
            "client_id": client.id,
            "resource": resource_uri,
            "redirect_uri_hash": self._redirect_hash(redirect_uri),
            "metadata_hash": self._metadata_hash(client),
        }
        row = tx.row(_FIND, known)
        return None if row is None else parse_consent(row)

    def _redirect_hash(self, redirect_uri: str) -> str:
        return self._keyring.keyed_hash("consent redirect uri", redirect_uri)

    def _metadata_hash(self, client: Client) -> str:
        return self._keyring.keyed_hash("consent metadata", registration_digest(client))

    def _record(
        self, tx: Transaction, origin: Origin, event: AuditEvent, user_id: str, consent_id: str, **details: Any
    ) -> None:
        self._audit.record(
            tx, event, origin, user_id=user_id, resource_type="consents", resource_id=consent_id, **details
        )


def _name_of(client: Client, redirect_uri: str) -> str:
    """By what people are to know it: its own words only where somebody vouches for them."""
    known = identity_of(client, (redirect_uri,))
    return shown_name(known.name) if known.is_vouched or known.host is None else known.host


def parse_consent(row: Mapping[Any, Any]) -> Consent:
    return Consent(
        id=row["id"],
        user_id=row["user_id"],
        client_row_id=row["client_id"],
        resource=row["resource"],
        scope=tuple(row["scope"].split()),
        created_at=row["created_at"],
        updated_at=row["updated_at"],
    )
