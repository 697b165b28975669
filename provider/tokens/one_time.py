"""What works once: authorization codes, and authorization requests that wait for their user.

Each is claimed by one conditional UPDATE whose row count decides, in the transaction that acts on it.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import bindparam, delete, select, update

from database.models import AuthorizationCode, AuthorizationRequest
from database.models import GrantRecord as GrantRow
from database.prepared import Lookup, Prepared, addition
from database.transaction import Transaction
from provider.audit import AuditEvent
from provider.protocol.errors import OAuthError
from provider.protocol.messages import Origin
from provider.protocol.sizes import check_kept
from provider.security.crypto import Keyring, is_secret, new_secret
from provider.tokens.first_uses import first_use
from provider.tokens.grant_records import GRANT_COLUMNS, GrantRecord, GrantRecords, grant_of
from provider.tokens.refusals import Refusals

_CODES = AuthorizationCode.__table__
_REQUESTS = AuthorizationRequest.__table__
_GRANTS = GrantRow.__table__
_STORED_CODE = (
    *(_CODES.c.code_hash, _CODES.c.redirect_uri, _CODES.c.code_challenge, _CODES.c.nonce),
    *(_CODES.c.expires_at, _CODES.c.used_at),
)
_FIND_CODE = Lookup(
    select(*_STORED_CODE, *GRANT_COLUMNS).select_from(_CODES.join(_GRANTS, _GRANTS.c.id == _CODES.c.grant_id)),
    by=_CODES.c.code_hash,
)
_CLAIM_CODE = first_use(AuthorizationCode, "code_hash")
_ADD_CODE = addition(
    _CODES, "code_hash", "grant_id", "redirect_uri", "code_challenge", "nonce", "created_at", "expires_at"
)
_FIND_REQUEST = Prepared(
    select(_REQUESTS).where(
        _REQUESTS.c.handle_hash == bindparam("handle_hash"),
        _REQUESTS.c.browser_hash == bindparam("browser_hash"),
        _REQUESTS.c.used_at.is_(None),
        _REQUESTS.c.expires_at > bindparam("now"),
    )
)
_ADD_REQUEST = addition(_REQUESTS, "handle_hash", "browser_hash", "client_id", "parameters", "created_at", "expires_at")
_WAITING = (_REQUESTS.c.handle_hash == bindparam("this_hash"), _REQUESTS.c.used_at.is_(None))
_CONSENT = Prepared(
    update(AuthorizationRequest)
    .where(*_WAITING)
    .values(
        consented_at=bindparam("now"),
        consented_session_id=bindparam("session_id"),
        consented_digest=bindparam("digest"),
    )
)
_CONSUME = Prepared(update(AuthorizationRequest).where(*_WAITING).values(used_at=bindparam("now")))
_FIND_ENDED_REQUEST = select(_REQUESTS).where(
    _REQUESTS.c.handle_hash == bindparam("handle_hash"), _REQUESTS.c.browser_hash == bindparam("browser_hash")
)


@dataclass(frozen=True, slots=True)
class StoredCode:
    """An authorization code as it was stored, with the grant that it belongs to."""

    code_hash: str
    grant: GrantRecord
    redirect_uri: str
    code_challenge: str | None
    nonce: str | None
    expires_at: datetime.datetime
    used_at: datetime.datetime | None


class AuthorizationCodes:
    """Authorization codes (RFC 6749 §4.1): 256 random bits, stored hashed, used rows kept until they expire."""

    def __init__(self, keyring: Keyring, grants: GrantRecords, refusals: Refusals, code_seconds: int) -> None:
        self._keyring = keyring
        self._grants = grants
        self._refusals = refusals
        self._life = datetime.timedelta(seconds=code_seconds)

    def issue(
        self,
        tx: Transaction,
        now: datetime.datetime,
        *,
        grant_id: str,
        redirect_uri: str,
        code_challenge: str | None,
        nonce: str | None,
        handle: str = "",
    ) -> str:
        """Stores a code for a grant and returns it in clear.

        The code of a request that waited follows from its ``handle``, so that ``of_request`` can give it once more.
        """
        code = self.of_request(handle) if handle else new_secret("ac")
        tx.count(
            _ADD_CODE,
            {
                "code_hash": self._hash(code),
                "grant_id": grant_id,
                "redirect_uri": redirect_uri,
                "code_challenge": code_challenge,
                "nonce": nonce,
                "created_at": now,
                "expires_at": now + self._life,
            },
        )
        return code

    def of_request(self, handle: str) -> str:
        """The code that a request of this handle gets, or has got. Says nothing about whether there is one."""
        return self._keyring.derive_secret("ac", "code of authorization request", handle)

    def find(self, tx: Transaction, code: str) -> StoredCode | None:
        """The stored code, used or not. None when there never was one or it has been purged."""
        if not is_secret("ac", code):
            return None
        row = tx.first(_FIND_CODE, {"code_hash": self._hash(code)})
        if row is None:
            return None
        code_hash, redirect_uri, code_challenge, nonce, expires_at, used_at, *grant = row
        return StoredCode(
            code_hash=code_hash,
            grant=grant_of(grant),
            redirect_uri=redirect_uri,
            code_challenge=code_challenge,
            nonce=nonce,
            expires_at=expires_at,
            used_at=used_at,
        )

    def claim(self, tx: Transaction, origin: Origin, stored: StoredCode) -> None:
        """Uses the code up, or raises ``invalid_grant``.

        A code that was used before ends its whole family (RFC 6749 §4.1.2, OAuth 2.1 §4.1.3). That includes the case
        of two redemptions at the same moment: one of them may be a thief's, and nobody can tell which.
        """
        if tx.count(_CLAIM_CODE, {"claimed_hash": stored.code_hash, "now": origin.now}) != 1:
            self._grants.revoke(tx, origin, stored.grant.id, "code_reused")
            self._refusals.of_grant(tx, AuditEvent.CODE_REUSED, origin, stored.grant, "replayed")
            raise OAuthError.invalid_grant("The authorization code was already used.")
        if origin.now >= stored.expires_at:
            raise OAuthError.invalid_grant("The authorization code has expired.")
        if stored.grant.revoked_at is not None:
            raise OAuthError.invalid_grant("The authorization was revoked.")

    def purge(self, tx: Transaction, now: datetime.datetime, limit: int = 1000) -> int:
        """Deletes codes a day after they expired, so that late replays are still recognised as such."""
        return delete_batch(tx, _CODES, _CODES.c.code_hash, now - datetime.timedelta(days=1), limit)

    def _hash(self, code: str) -> str:
        return self._keyring.keyed_hash("authorization code", code)


@dataclass(frozen=True, slots=True)
class StoredRequest:
    """A checked authorization request. ``parameters`` is what ``AuthorizationParameters.to_dict`` gave."""

    client_row_id: str
    parameters: Mapping[str, Any]
    created_at: datetime.datetime
    consented_at: datetime.datetime | None
    consented_session_id: str | None
    consented_digest: str | None
    used_at: datetime.datetime | None = None


class AuthorizationRequests:
    """Requests on their way through login and consent. The handle works in the browser that brought the request."""

    def __init__(self, keyring: Keyring, seconds: int) -> None:
        self._keyring = keyring
        self._life = datetime.timedelta(seconds=seconds)

    def store(
        self,
        tx: Transaction,
        now: datetime.datetime,
        *,
        client_row_id: str,
        browser: str,
        parameters: Mapping[str, Any],
    ) -> str:
        """Keeps a request and returns its handle. Raises ``invalid_request`` for one that is too large."""
        check_kept(parameters)
        handle = new_secret("request")
        tx.count(
            _ADD_REQUEST,
            {
                "handle_hash": self._hash(handle),
                "browser_hash": self._browser_hash(browser),
                "client_id": client_row_id,
                "parameters": dict(parameters),
                "created_at": now,
                "expires_at": now + self._life,
            },
        )
        tx.mark((_REQUESTS.c.handle_hash, self._hash(handle)))
        return handle

    def find(self, tx: Transaction, now: datetime.datetime, handle: str, browser: str) -> StoredRequest | None:
        """The waiting request, None when it is unknown, used, expired, or another browser's."""
        if not is_secret("request", handle):
            return None
        known = {"handle_hash": self._hash(handle), "browser_hash": self._browser_hash(browser), "now": now}
        return _request_of(tx.row(_FIND_REQUEST, known))

    def find_ended(self, tx: Transaction, handle: str, browser: str) -> StoredRequest | None:
        """A request of this browser in whatever state, as long as its row is kept: for telling a person, never to act on."""
        if not is_secret("request", handle):
            return None
        known = {"handle_hash": self._hash(handle), "browser_hash": self._browser_hash(browser)}
        return _request_of(tx.execute(_FIND_ENDED_REQUEST, known).mappings().first())

    def mark_consented(
        self, tx: Transaction, now: datetime.datetime, handle: str, session_id: str, digest: str
    ) -> bool:
        """Remembers that the user of this session allowed exactly this request, as ``digest`` names what they were told.

        False when it is used already.
        """
        this_hash = self._hash(handle)
        tx.mark((_REQUESTS.c.handle_hash, this_hash), (_REQUESTS.c.consented_at, now))
        decided = {"this_hash": this_hash, "now": now, "session_id": session_id, "digest": digest}
        return tx.count(_CONSENT, decided) == 1

    def consume(self, tx: Transaction, now: datetime.datetime, handle: str) -> bool:
        """Uses the request up. True for exactly one caller."""
        return tx.count(_CONSUME, {"this_hash": self._hash(handle), "now": now}) == 1

    def purge(self, tx: Transaction, now: datetime.datetime, limit: int = 1000) -> int:
        return delete_batch(tx, _REQUESTS, _REQUESTS.c.handle_hash, now, limit)

    def _hash(self, handle: str) -> str:
        return self._keyring.keyed_hash("authorization request", handle)

    def _browser_hash(self, browser: str) -> str:
        return self._keyring.keyed_hash("browser", browser)


def _request_of(row: Mapping[Any, Any] | None) -> StoredRequest | None:
    if row is None:
        return None
    return StoredRequest(
        client_row_id=row["client_id"],
        parameters=row["parameters"],
        created_at=row["created_at"],
        consented_at=row["consented_at"],
        consented_session_id=row["consented_session_id"],
        consented_digest=row["consented_digest"],
        used_at=row["used_at"],
    )


def delete_batch(tx: Transaction, table: Any, key: Any, before: datetime.datetime, limit: int) -> int:
    """Deletes at most ``limit`` rows of ``table`` whose ``expires_at`` is over, by key, so that no range is locked."""
    keys = tx.execute(select(key).where(table.c.expires_at <= before).limit(limit)).scalars().all()
    if keys:
        tx.execute(delete(table).where(key.in_(keys)))
    return len(keys)
