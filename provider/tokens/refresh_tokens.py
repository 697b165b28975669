"""Refresh tokens: families, rotation, a grace window, and what happens when an old one comes back."""

from __future__ import annotations

import datetime
from dataclasses import dataclass

from sqlalchemy import bindparam, delete, select, update

from database.models import GrantRecord as GrantRow
from database.models import RefreshToken
from database.prepared import Lookup, Prepared, addition
from database.transaction import Transaction
from provider.audit import AuditEvent
from provider.protocol.errors import OAuthError
from provider.protocol.messages import Origin
from provider.security.crypto import Keyring, is_secret, new_secret
from provider.tokens.first_uses import first_use
from provider.tokens.grant_records import GRANT_COLUMNS, GrantRecord, GrantRecords, grant_of
from provider.tokens.refusals import Refusals

_TABLE = RefreshToken.__table__
_GRANTS = GrantRow.__table__
_STORED = (_TABLE.c.token_hash, _TABLE.c.generation, _TABLE.c.expires_at, _TABLE.c.family_expires_at, _TABLE.c.used_at)
_FIND = Lookup(
    select(*_STORED, *GRANT_COLUMNS).select_from(_TABLE.join(_GRANTS, _GRANTS.c.id == _TABLE.c.grant_id)),
    by=_TABLE.c.token_hash,
)
_USE = select(_TABLE.c.used_at).where(_TABLE.c.token_hash == bindparam("token_hash"))
_CLAIM = first_use(RefreshToken, "token_hash")
_ADD = addition(_TABLE, "token_hash", "grant_id", "generation", "created_at", "expires_at", "family_expires_at")
_EXTEND = Prepared(
    update(RefreshToken)
    .where(_TABLE.c.token_hash == bindparam("extended_hash"))
    .values(expires_at=bindparam("until", type_=_TABLE.c.expires_at.type))
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
        refusals: Refusals,
        *,
        idle_seconds: int,
        family_seconds: int,
        grace_seconds: int,
    ) -> None:
        self._keyring = keyring
        self._grants = grants
        self._refusals = refusals
        self._idle = datetime.timedelta(seconds=idle_seconds)
        self._family = datetime.timedelta(seconds=family_seconds)
        self._grace = datetime.timedelta(seconds=grace_seconds)

    def start(
        self, tx: Transaction, now: datetime.datetime, grant_id: str, *, client_ends_at: datetime.datetime | None = None
    ) -> str:
        """The first refresh token of a grant. The family ends with its client, when that ends sooner."""
        token = new_secret("rt")
        family_expires_at = min(now + self._family, client_ends_at or now + self._family)
        self._insert(tx, now, token, grant_id, 0, family_expires_at)
        return token

    def find(self, tx: Transaction, token: str) -> StoredRefreshToken | None:
        """The stored token, used or not, with its grant. None when there is none."""
        if not is_secret("rt", token):
            return None
        row = tx.first(_FIND, {"token_hash": self._hash(token)})
        if row is None:
            return None
        token_hash, generation, expires_at, family_expires_at, used_at, *grant = row
        return StoredRefreshToken(token_hash, grant_of(grant), generation, expires_at, family_expires_at, used_at)

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
            tx.note(_EXTEND, {"extended_hash": stored.token_hash, "until": until})
            return token
        successor = self._keyring.derive_secret("rt", "refresh successor", token)
        if tx.count(_CLAIM, {"claimed_hash": stored.token_hash, "now": origin.now}) == 1:
            self._insert(tx, origin.now, successor, stored.grant.id, stored.generation + 1, stored.family_expires_at)
            return successor
        return self._retry(tx, origin, stored, successor)

    def _retry(self, tx: Transaction, origin: Origin, stored: StoredRefreshToken, successor: str) -> str:
        """The token was used before: the same successor again inside the grace window, the end of the family otherwise."""
        used_at = tx.execute(_USE, {"token_hash": stored.token_hash}).scalar_one()
        following = tx.execute(_USE, {"token_hash": self._hash(successor)}).first()
        is_recent = used_at is not None and origin.now < used_at + self._grace
        if is_recent and following is not None and following.used_at is None:
            return successor
        self._grants.revoke(tx, origin, stored.grant.id, "refresh_token_reused")
        event = AuditEvent.REFRESH_TOKEN_REUSED
        self._refusals.of_grant(tx, event, origin, stored.grant, "replayed", generation=stored.generation)
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
        tx.count(_ADD, row)

    def _hash(self, token: str) -> str:
        return self._keyring.keyed_hash("refresh token", token)
