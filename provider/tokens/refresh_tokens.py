"""Refresh tokens: families, rotation, a grace window, and what happens when an old one comes back."""

from __future__ import annotations

import datetime
from dataclasses import dataclass

from sqlalchemy import bindparam, delete, insert, select, update

from database.models import RefreshToken
from database.transaction import Transaction
from provider.audit import AuditEvent, AuditRecorder
from provider.protocol.errors import OAuthError
from provider.protocol.messages import Origin
from provider.security.crypto import Keyring, is_secret, new_secret
from provider.tokens.grant_records import GrantRecord, GrantRecords

_TABLE = RefreshToken.__table__
_FIND = select(_TABLE).where(_TABLE.c.token_hash == bindparam("token_hash"))
_CLAIM = (
    update(RefreshToken)
    .where(_TABLE.c.token_hash == bindparam("claimed_hash"), _TABLE.c.used_at.is_(None))
    .values(used_at=bindparam("now"))
)
_EXTEND = (
    update(RefreshToken).where(_TABLE.c.token_hash == bindparam("extended_hash")).values(expires_at=bindparam("until"))
)


@dataclass(frozen=True, slots=True)
class StoredRefreshToken:
    """``expires_at`` is the idle limit, ``family_expires_at`` the absolute one of the whole family."""

    token_hash: str
    grant: GrantRecord
    generation: int
    expires_at: datetime.datetime
    family_expires_at: datetime.datetime
    used_at: datetime.datetime | None


class RefreshTokens:
    """Refresh tokens (RFC 6749 §6, RFC 9700 §4.14).

    The successor of a token is derived from it, so that the same token presented twice gives the same successor:
    parallel refreshes leave one live chain, and a lost answer can be asked for again within the grace window.
    """

    def __init__(
        self,
        keyring: Keyring,
        grants: GrantRecords,
        audit: AuditRecorder,
        *,
        idle_seconds: int,
        family_seconds: int,
        grace_seconds: int,
    ) -> None:
        self._keyring = keyring
        self._grants = grants
        self._audit = audit
        self._idle = datetime.timedelta(seconds=idle_seconds)
        self._family = datetime.timedelta(seconds=family_seconds)
        self._grace = datetime.timedelta(seconds=grace_seconds)

    def start(self, tx: Transaction, now: datetime.datetime, grant_id: str) -> str:
        """The first refresh token of a grant."""
        token = new_secret("rt")
        self._insert(tx, now, token, grant_id, 0, now + self._family)
        return token

    def find(self, tx: Transaction, token: str) -> StoredRefreshToken | None:
        """The stored token, used or not, with its grant. None when there is none."""
        if not is_secret("rt", token):
            return None
        row = tx.execute(_FIND, {"token_hash": self._hash(token)}).mappings().first()
        grant = None if row is None else self._grants.find(tx, row["grant_id"])
        if row is None or grant is None:
            return None
        return StoredRefreshToken(
            token_hash=row["token_hash"],
            grant=grant,
            generation=row["generation"],
            expires_at=row["expires_at"],
            family_expires_at=row["family_expires_at"],
            used_at=row["used_at"],
        )

    def is_live(self, stored: StoredRefreshToken, now: datetime.datetime) -> bool:
        return stored.used_at is None and stored.grant.revoked_at is None and self._is_in_time(stored, now)

    def redeem(self, tx: Transaction, origin: Origin, stored: StoredRefreshToken, token: str, *, rotate: bool) -> str:
        """Uses a token and returns the one to hand out. ``stored`` must belong to the client that presents it.

        Raises ``invalid_grant``: expired, revoked, or reused. Reuse ends the family (RFC 9700 §4.14.2).
        """
        if stored.grant.revoked_at is not None:
            raise OAuthError.invalid_grant("The authorization was revoked.")
        if not self._is_in_time(stored, origin.now):
            raise OAuthError.invalid_grant("The refresh token has expired.")
        if not rotate and stored.used_at is None:
            until = min(origin.now + self._idle, stored.family_expires_at)
            tx.execute(_EXTEND, {"extended_hash": stored.token_hash, "until": until})
            return token
        successor = self._keyring.derive_secret("rt", "refresh successor", token)
        if tx.execute(_CLAIM, {"claimed_hash": stored.token_hash, "now": origin.now}).rowcount == 1:
            self._insert(tx, origin.now, successor, stored.grant.id, stored.generation + 1, stored.family_expires_at)
            return successor
        return self._retry(tx, origin, stored, successor)

    def _retry(self, tx: Transaction, origin: Origin, stored: StoredRefreshToken, successor: str) -> str:
        """The token was used before: the same successor again inside the grace window, the end of the family otherwise."""
        known = tx.execute(_FIND, {"token_hash": stored.token_hash}).mappings().one()
        following = tx.execute(_FIND, {"token_hash": self._hash(successor)}).mappings().first()
        is_recent = known["used_at"] is not None and origin.now < known["used_at"] + self._grace
        if is_recent and following is not None and following["used_at"] is None:
            return successor
        self._grants.revoke(tx, origin, stored.grant.id, "refresh_token_reused")
        self._audit.record(
            tx,
            AuditEvent.REFRESH_TOKEN_REUSED,
            origin,
            user_id=stored.grant.user_id,
            outcome="denied",
            resource_type="oauth_grants",
            resource_id=stored.grant.id,
            generation=stored.generation,
        )
        raise OAuthError.invalid_grant("The refresh token was already used.")

    def purge(self, tx: Transaction, now: datetime.datetime, limit: int = 1000) -> int:
        """Deletes families that are over."""
        statement = select(_TABLE.c.token_hash).where(_TABLE.c.family_expires_at <= now).limit(limit)
        keys = tx.execute(statement).scalars().all()
        if keys:
            tx.execute(delete(RefreshToken).where(_TABLE.c.token_hash.in_(keys)))
        return len(keys)

    def _is_in_time(self, stored: StoredRefreshToken, now: datetime.datetime) -> bool:
        return now < stored.expires_at and now < stored.family_expires_at

    def _insert(
        self,
        tx: Transaction,
        now: datetime.datetime,
        token: str,
        grant_id: str,
        generation: int,
        family_expires_at: datetime.datetime,
    ) -> None:
        row = {
            "token_hash": self._hash(token),
            "grant_id": grant_id,
            "generation": generation,
            "created_at": now,
            "expires_at": min(now + self._idle, family_expires_at),
            "family_expires_at": family_expires_at,
        }
        tx.execute(insert(RefreshToken), row)

    def _hash(self, token: str) -> str:
        return self._keyring.keyed_hash("refresh token", token)
