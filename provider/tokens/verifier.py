"""Verifies our own tokens: signature, kind, times, and the record that says whether they still count."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import and_, bindparam, delete, select, true, update

from database.models import Client, GrantRecord, IssuedToken, Resource, User
from database.prepared import Lookup
from database.statement_forms import Found
from database.transaction import Transaction
from provider.audit import AuditEvent, AuditRecorder
from provider.protocol.claims_request import ClaimsRequest
from provider.protocol.client import ACCESS_TOKEN_TYPES, RFC9068_TYPE
from provider.protocol.groups import groups_digest
from provider.protocol.messages import Origin
from provider.tokens.signed_tokens import SignedToken, SignedTokens
from provider.tokens.signing_keys import SigningKeys

# All that is passed on of a token's claims. Whatever else a token says has no record behind it.
_KNOWN_CLAIMS = (
    *("iss", "sub", "aud", "client_id", "scope", "iat", "nbf", "exp", "jti"),
    *("owner", "auth_time", "acr", "amr", "sid", "groups"),
)
# Every access token says them and no ID token ever does, whatever its type is called.
_ACCESS_TOKENS_ONLY = frozenset({"client_id", "scope", "jti"})
_TOKENS = IssuedToken.__table__
_GRANTS = GrantRecord.__table__
_CLIENTS = Client.__table__
_USERS = User.__table__
_RESOURCES = Resource.__table__
_OWNERS = User.__table__.alias("owners")
# What is asked of a token, for whoever asks for more in the same statement: the columns, where they are, when it counts
# (but for what the clock says), and by what it is looked up.
RECORD = (
    *(_TOKENS.c.jti, _TOKENS.c.grant_id, _TOKENS.c.user_id, _TOKENS.c.subject, _TOKENS.c.scope),
    *(_TOKENS.c.audience, _TOKENS.c.issued_at, _TOKENS.c.expires_at, _TOKENS.c.groups_digest),
    *(_GRANTS.c.claims, _GRANTS.c.authenticated_at, _GRANTS.c.acr, _GRANTS.c.amr, _GRANTS.c.session_id),
    *(_CLIENTS.c.id.label("client_row_id"), _CLIENTS.c.client_id, _CLIENTS.c.owner_user_id),
    _CLIENTS.c.expires_at.label("client_ends_at"),
    *(_USERS.c.username, _RESOURCES.c.token_typ),
)
RECORD_TABLES = (
    _TOKENS.join(_CLIENTS, _CLIENTS.c.id == _TOKENS.c.client_id)
    .outerjoin(_GRANTS, _GRANTS.c.id == _TOKENS.c.grant_id)
    .outerjoin(_USERS, _USERS.c.id == _TOKENS.c.user_id)
    .outerjoin(_OWNERS, _OWNERS.c.id == _CLIENTS.c.owner_user_id)
    .outerjoin(_RESOURCES, _RESOURCES.c.uri == _TOKENS.c.audience)
)
COUNTS = and_(
    _TOKENS.c.revoked_at.is_(None),
    _TOKENS.c.client_epoch == _CLIENTS.c.epoch,
    (_TOKENS.c.audience == bindparam("issuer")) | (_RESOURCES.c.created_at <= _TOKENS.c.issued_at),
    _CLIENTS.c.is_active == true(),
    _CLIENTS.c.revoked_at.is_(None),
    _TOKENS.c.grant_id.is_(None) | (_GRANTS.c.id.is_not(None) & _GRANTS.c.revoked_at.is_(None)),
    _TOKENS.c.user_id.is_(None) | (_USERS.c.is_active == true()),
    _CLIENTS.c.owner_user_id.is_(None) | (_OWNERS.c.is_active == true()),
)
RECORD_KEY = _TOKENS.c.jti
_ALIVE = Lookup(select(*RECORD).select_from(RECORD_TABLES).where(COUNTS), RECORD_KEY)
_NAMES = tuple(column.key for column in RECORD)


@dataclass(frozen=True, slots=True)
class VerifiedAccessToken:
    """An access token that counts now. ``client_row_id`` is ``oauth_clients.id``."""

    claims: Mapping[str, Any]
    jti: str
    client_row_id: str
    grant_id: str | None
    user_id: str | None
    username: str | None
    client_ends_at: datetime.datetime | None
    requested_claims: ClaimsRequest = field(default_factory=ClaimsRequest)

    @property
    def scope(self) -> tuple[str, ...]:
        return tuple(str(self.claims["scope"]).split())

    @property
    def audience(self) -> str:
        return str(self.claims["aud"])


class TokenVerifier:
    """Checks tokens that we signed ourselves. The key decides the algorithm, never the token's header (RFC 8725 §3.1)."""

    def __init__(
        self, issuer: str, signing_keys: SigningKeys, audit: AuditRecorder, *, clock_skew_seconds: int
    ) -> None:
        self._issuer = issuer
        self._audit = audit
        self._tokens = SignedTokens(issuer, signing_keys, clock_skew_seconds=clock_skew_seconds)

    def verify_access_token(self, tx: Transaction, token: str, now: datetime.datetime) -> VerifiedAccessToken | None:
        """The token's content if it is ours, in time, not revoked, and says what its record says. None on any doubt.

        One query.
        """
        found = self.verified_with(tx, token, now, lambda _scope: _ALIVE, slice(0, len(RECORD)))
        return None if found is None else found[0]

    def verified_with(
        self,
        tx: Transaction,
        token: str,
        now: datetime.datetime,
        statement_for: Callable[[Collection[str]], Lookup],
        columns: slice,
    ) -> tuple[VerifiedAccessToken, Found] | None:
        """The same with a row that holds more than the record, which is in ``columns``.

        ``statement_for`` chooses by the scope that the token says.
        """
        said = self._read(tx, token, now)
        if said is None:
            return None
        statement = statement_for(str(said.claims.get("scope")).split())
        found = tx.found(statement, {RECORD_KEY.key: str(said.claims["jti"]), "issuer": self._issuer})
        verified = None if found is None else _judged(said, found, columns, now)
        return None if verified is None or found is None else (verified, found)

    def verify_id_token_hint(self, tx: Transaction, token: str, now: datetime.datetime) -> Mapping[str, Any] | None:
        """Claims of an ID token of ours, which may have expired (OpenID Connect RP-Initiated Logout §2). None otherwise.

        Its key may have retired within the last day.
        """
        said = self._tokens.read(tx, token, ("JWT",), now, may_be_retired=True)
        if said is None or not _ACCESS_TOKENS_ONLY.isdisjoint(said.claims):
            return None
        claims = said.claims
        if not isinstance(claims.get("aud"), str) or not isinstance(claims.get("sub"), str):
            return None
        return claims

    def revoke(self, tx: Transaction, origin: Origin, verified: VerifiedAccessToken) -> bool:
        """Revokes one access token. False when it was revoked before."""
        statement = (
            update(IssuedToken)
            .where(_TOKENS.c.jti == verified.jti, _TOKENS.c.revoked_at.is_(None))
            .values(revoked_at=origin.now)
        )
        if tx.execute(statement).rowcount != 1:
            return False
        self._audit.record(
            tx,
            AuditEvent.TOKEN_REVOKED,
            origin,
            user_id=verified.user_id,
            actor=str(verified.claims["client_id"]),
            resource_type="issued_tokens",
            resource_id=verified.jti,
        )
        return True

    def purge(self, tx: Transaction, now: datetime.datetime, limit: int = 1000) -> int:
        """Deletes the records of tokens that expired a day ago."""
        over = select(_TOKENS.c.jti).where(_TOKENS.c.expires_at <= now - datetime.timedelta(days=1)).limit(limit)
        names = tx.execute(over).scalars().all()
        if names:
            tx.execute(delete(IssuedToken).where(_TOKENS.c.jti.in_(names)))
        return len(names)

    def _read(self, tx: Transaction, token: str, now: datetime.datetime) -> SignedToken | None:
        """What an access token says, if it is signed by us and in time."""
        said = self._tokens.read(tx, token, ACCESS_TOKEN_TYPES, now)
        if said is None or not isinstance(said.claims.get("jti"), str):
            return None
        expires_at = said.claims.get("exp")
        return said if type(expires_at) is int and now.timestamp() < expires_at else None


def _judged(said: SignedToken, found: Found, columns: slice, now: datetime.datetime) -> VerifiedAccessToken | None:
    """What counts of a token whose record is in ``columns``: all of it, or nothing.

    A record that is equal to the one that was compared before is not compared again.
    """
    raw = found.raw[columns]
    known = said.known
    if known is not None and known[0] == raw:
        verified: VerifiedAccessToken | None = known[1]
    else:
        verified = _compared(said, dict(zip(_NAMES, found.values(columns), strict=True)))
        said.known = None if verified is None else (raw, verified)
    if verified is None or (verified.client_ends_at is not None and verified.client_ends_at <= now):
        return None
    return verified


def _compared(said: SignedToken, row: Mapping[str, Any]) -> VerifiedAccessToken | None:
    """What a token says, if it says what its record does.

    Otherwise whoever has a signing key could widen a small token of their own; and where an API has access tokens of type
    ``JWT``, it is the record that tells them from all else of that type.
    """
    claims = said.claims
    if said.typ not in (RFC9068_TYPE, row["token_typ"]):
        return None
    if any(claims.get(name) != value for name, value in _recorded_claims(row).items()):
        return None
    if row["groups_digest"] != (groups_digest(claims["groups"]) if "groups" in claims else None):
        return None
    return VerifiedAccessToken(
        claims={name: claims[name] for name in _KNOWN_CLAIMS if name in claims},
        jti=row["jti"],
        client_row_id=row["client_row_id"],
        grant_id=row["grant_id"],
        user_id=row["user_id"],
        username=row["username"],
        client_ends_at=row["client_ends_at"],
        requested_claims=ClaimsRequest.from_dict(row["claims"]),
    )


def _recorded_claims(row: Mapping[Any, Any]) -> dict[str, Any]:
    """What the token of a record says, None for what it must not say.

    A ``sid`` under a pseudonym is left out: it followed from what its client was when the token was issued.
    """
    is_machine = row["user_id"] is None
    authenticated_at = row["authenticated_at"]
    claims = {
        "jti": row["jti"],
        "sub": row["subject"] or (row["client_id"] if is_machine else row["user_id"]),
        "aud": row["audience"],
        "client_id": row["client_id"],
        "scope": row["scope"],
        "iat": int(row["issued_at"].timestamp()),
        "exp": int(row["expires_at"].timestamp()),
        "owner": row["owner_user_id"] if is_machine else None,
        "auth_time": None if authenticated_at is None else int(authenticated_at.timestamp()),
        "acr": row["acr"] or None,
        "amr": row["amr"].split() if row["amr"] else None,
    }
    return claims if row["subject"] is not None else {**claims, "sid": row["session_id"]}
