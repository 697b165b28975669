"""Grant records: one for each authorization by a user, the family of all that came of it."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import ColumnElement, bindparam, delete, exists, func, insert, literal, or_, select, true, update

from database.models import AuthorizationCode, Consent, IssuedToken, RefreshToken, User, UserSession
from database.models import GrantRecord as GrantRow
from database.models.columns import new_id
from database.prepared import Lookup, Prepared
from database.transaction import Transaction
from provider.audit import AuditEvent, AuditRecorder
from provider.protocol.claims_request import ClaimsRequest
from provider.protocol.messages import Origin

_TABLE = GrantRow.__table__
_CODES = AuthorizationCode.__table__
_REFRESH_TOKENS = RefreshToken.__table__
_ISSUED = IssuedToken.__table__
_SESSIONS = UserSession.__table__
_USERS = User.__table__
_CONSENTS = Consent.__table__
_KEPT = datetime.timedelta(days=30)
GRANT_COLUMNS = (
    *(_TABLE.c.id, _TABLE.c.user_id, _TABLE.c.client_id, _TABLE.c.session_id, _TABLE.c.consent_id, _TABLE.c.scope),
    *(_TABLE.c.resource, _TABLE.c.authenticated_at, _TABLE.c.amr, _TABLE.c.acr, _TABLE.c.created_at),
    *(_TABLE.c.revoked_at, _TABLE.c.claims),
)
_FIND = Lookup(select(*GRANT_COLUMNS), by=_TABLE.c.id)
_COLUMNS = (
    *("id", "user_id", "client_id", "session_id", "consent_id", "scope", "resource", "authenticated_at"),
    *("amr", "acr", "created_at", "claims"),
)
_ADD = Prepared(
    insert(GrantRow).from_select(
        list(_COLUMNS),
        select(*(bindparam(name, type_=_TABLE.c[name].type) for name in _COLUMNS))
        .select_from(_SESSIONS.join(_USERS, _USERS.c.id == _SESSIONS.c.user_id))
        .where(
            _SESSIONS.c.id == bindparam("in_session"),
            _SESSIONS.c.user_id == bindparam("of_user"),
            _SESSIONS.c.ended_at.is_(None),
            _USERS.c.is_active == true(),
            bindparam("earlier_consent", type_=_CONSENTS.c.id.type).is_(None)
            | exists().where(_CONSENTS.c.id == bindparam("earlier_consent"), _CONSENTS.c.withdrawn_at.is_(None)),
        ),
    )
)
OFFLINE_ACCESS = "offline_access"


@dataclass(frozen=True, slots=True)
class GrantRecord:
    """What a user authorized. ``client_row_id`` is ``oauth_clients.id``, ``resource`` the URI that becomes ``aud``."""

    id: str
    user_id: str
    client_row_id: str
    session_id: str | None
    consent_id: str | None
    scope: tuple[str, ...]
    resource: str
    authenticated_at: datetime.datetime
    amr: tuple[str, ...]
    acr: str
    created_at: datetime.datetime
    revoked_at: datetime.datetime | None
    claims: ClaimsRequest = field(default_factory=ClaimsRequest)


def grant_of(values: Sequence[Any]) -> GrantRecord:
    """A record from the values of ``GRANT_COLUMNS``."""
    id_, user_id, client_row_id, session_id, consent_id, scope, resource, authenticated_at, amr, acr, *rest = values
    created_at, revoked_at, claims = rest
    return GrantRecord(
        id=id_,
        user_id=user_id,
        client_row_id=client_row_id,
        session_id=session_id,
        consent_id=consent_id,
        scope=tuple(scope.split()),
        resource=resource,
        authenticated_at=authenticated_at,
        amr=tuple(amr.split()),
        acr=acr,
        created_at=created_at,
        revoked_at=revoked_at,
        claims=ClaimsRequest.from_dict(claims),
    )


class GrantRecords:
    """Creates and revokes grant records. A revoked grant kills its code, refresh tokens and access tokens."""

    def __init__(self, audit: AuditRecorder) -> None:
        self._audit = audit

    def create(
        self,
        tx: Transaction,
        now: datetime.datetime,
        *,
        user_id: str,
        client_row_id: str,
        session_id: str,
        consent_id: str | None,
        earlier_consent_id: str | None,
        scope: tuple[str, ...],
        resource_uri: str,
        authenticated_at: datetime.datetime,
        amr: tuple[str, ...],
        acr: str,
        claims: Mapping[str, Any] | None = None,
    ) -> str | None:
        """Inserts a record exactly if the session lives and its user is active at that moment; and where it is
        ``earlier_consent_id`` that allows it, that is not withdrawn. Returns its id, None otherwise."""
        grant_id = new_id(now)
        row = {
            "id": grant_id,
            "user_id": user_id,
            "client_id": client_row_id,
            "session_id": session_id,
            "consent_id": consent_id,
            "scope": " ".join(scope),
            "resource": resource_uri,
            "authenticated_at": authenticated_at,
            "amr": " ".join(amr),
            "acr": acr,
            "created_at": now,
            "claims": dict(claims) if claims else None,
        }
        known = {"in_session": session_id, "of_user": user_id, "earlier_consent": earlier_consent_id}
        return grant_id if tx.count(_ADD, {**row, **known}) == 1 else None

    def find(self, tx: Transaction, grant_id: str) -> GrantRecord | None:
        row = tx.first(_FIND, {"id": grant_id})
        return None if row is None else grant_of(row)

    def revoke(self, tx: Transaction, origin: Origin, grant_id: str, reason: str) -> bool:
        """Ends one family. False when it had ended before."""
        return self._revoke(tx, origin, _TABLE.c.id == grant_id, reason, grant_id) > 0

    def revoke_for_user(self, tx: Transaction, origin: Origin, user_id: str, reason: str) -> int:
        return self._revoke(tx, origin, _TABLE.c.user_id == user_id, reason, user_id)

    def revoke_for_client(self, tx: Transaction, origin: Origin, client_row_id: str, reason: str) -> int:
        return self._revoke(tx, origin, _TABLE.c.client_id == client_row_id, reason, client_row_id)

    def revoke_for_resource(self, tx: Transaction, origin: Origin, resource_uri: str, reason: str) -> int:
        return self._revoke(tx, origin, _TABLE.c.resource == resource_uri, reason, resource_uri)

    def end_for_other_subjects(self, tx: Transaction, origin: Origin, client_row_id: str) -> None:
        """Ends what was granted to a client that knows people by other identifiers from now on.

        Nothing of theirs may say the new ones: the client could put both together, and people were told of neither
        (OpenID Connect Core §8.1, §12.2). So it isn't told of the end of their sessions either.
        """
        self.revoke_for_client(tx, origin, client_row_id, "subject_changed")
        tx.execute(update(GrantRow).where(_TABLE.c.client_id == client_row_id).values(session_id=None))

    def revoke_for_consent(self, tx: Transaction, origin: Origin, user_id: str, consent_id: str, reason: str) -> int:
        """Ends what a consent of this user allowed. Their grants are few, and nothing else finds it by an index."""
        which = (_TABLE.c.user_id == user_id) & (_TABLE.c.consent_id == consent_id)
        return self._revoke(tx, origin, which, reason, consent_id)

    def revoke_for_session(self, tx: Transaction, origin: Origin, session_id: str, reason: str) -> int:
        """Ends what depended on a session. Grants with ``offline_access`` outlive it (OpenID Connect Core §11), unless
        their code is still to be redeemed: the person has left, and nothing has come of it yet."""
        # LIKE takes no notice of case on SQLite, and scopes are told apart by it.
        is_online = func.instr(literal(" ") + _TABLE.c.scope + " ", f" {OFFLINE_ACCESS} ") == 0
        is_unredeemed = exists().where(_CODES.c.grant_id == _TABLE.c.id, _CODES.c.used_at.is_(None))
        which = (_TABLE.c.session_id == session_id) & (is_online | is_unredeemed)
        return self._revoke(tx, origin, which, reason, session_id)

    def purge(self, tx: Transaction, now: datetime.datetime, limit: int = 1000) -> int:
        """Deletes grants of 30 days ago that are over, with their codes and refresh tokens: revoked ones, and those of which
        nothing works any more. While its session lives a grant stays: it says who is to be told of the end."""
        works = [
            exists().where(table.c.grant_id == _TABLE.c.id, table.c.expires_at > now)
            for table in (_CODES, _REFRESH_TOKENS, _ISSUED)
        ]
        session = exists().where(
            _SESSIONS.c.id == _TABLE.c.session_id, _SESSIONS.c.ended_at.is_(None), _SESSIONS.c.expires_at > now
        )
        is_over = _TABLE.c.revoked_at.is_not(None) | ~or_(*works)
        over = select(_TABLE.c.id).where(_TABLE.c.created_at <= now - _KEPT, is_over, ~session).limit(limit)
        ids = tx.execute(over).scalars().all()
        if ids:
            tx.execute(delete(GrantRow).where(_TABLE.c.id.in_(ids)))
        return len(ids)

    def _revoke(self, tx: Transaction, origin: Origin, which: ColumnElement[bool], reason: str, subject_id: str) -> int:
        count = tx.execute(
            update(GrantRow)
            .where(which, _TABLE.c.revoked_at.is_(None))
            .values(revoked_at=origin.now, revoke_reason=reason)
        ).rowcount
        if count:
            self._audit.record(
                tx,
                AuditEvent.GRANT_REVOKED,
                origin,
                resource_type="oauth_grants",
                resource_id=subject_id,
                reason=reason,
                count=count,
            )
        return count
