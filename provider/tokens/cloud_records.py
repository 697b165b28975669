"""The record of a token for a cloud: written exactly if all that it rests on is alive at that moment.

It rests on the access token, or on the session of our own pages, by which it was asked for, and on a cloud account and its
owner. So whatever ends one of them (a revoked grant or key, a disabled client or person, a removed or changed account) ends
the tokens for clouds with it.
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence

from sqlalchemy import ColumnElement, FromClause, Integer, bindparam, exists, insert, literal, select, true, update
from sqlalchemy.sql import Insert, Update

from database.models import Client, CloudAccount, GrantRecord, IssuedToken, User, UserSession
from database.models.columns import UTCDateTime
from database.prepared import Prepared
from database.transaction import Transaction
from provider.protocol.scopes import CLOUD_CREDENTIALS
from provider.tokens.authorization import CloudAuthorization
from provider.tokens.token_records import AuthorizationGone

GRANT_TYPE = "cloud"
# The client of tokens that our own pages ask for, where no application stands between: the nil UUID (RFC 9562 §5.9).
OUR_PAGES = "00000000-0000-0000-0000-000000000000"
_TOKENS = IssuedToken.__table__
_PRESENTED = IssuedToken.__table__.alias("presented")
_CLIENTS = Client.__table__
_GRANTS = GrantRecord.__table__
_SESSIONS = UserSession.__table__
_ACCOUNTS = CloudAccount.__table__
_USERS = User.__table__
_NOW = bindparam("issued_at", type_=UTCDateTime)
_ROW = (
    *("jti", "client_id", "grant_id", "user_id", "grant_type", "scope", "audience", "ip_address", "issued_at"),
    *("expires_at", "client_epoch"),
)
_OF_ACCOUNT = (
    _ACCOUNTS.c.id == bindparam("account_id"),
    _ACCOUNTS.c.version == bindparam("account_version", type_=Integer),
    _ACCOUNTS.c.user_id == bindparam("owner_id"),
)
_OF_OWNER = (
    _USERS.c.id == bindparam("owner_id"),
    _USERS.c.is_active == true(),
    _USERS.c.is_verified == true(),
)
# The access token as ``TokenVerifier`` wants it, for this server itself, and of this person: theirs, or of a key of theirs.
_BY_TOKEN = _PRESENTED.join(_CLIENTS, _CLIENTS.c.id == _PRESENTED.c.client_id).outerjoin(
    _GRANTS, _GRANTS.c.id == _PRESENTED.c.grant_id
)
_TOKEN_COUNTS = (
    _PRESENTED.c.jti == bindparam("proof"),
    _PRESENTED.c.audience == bindparam("issuer"),
    _PRESENTED.c.revoked_at.is_(None),
    _PRESENTED.c.expires_at > _NOW,
    _PRESENTED.c.client_epoch == _CLIENTS.c.epoch,
    _CLIENTS.c.is_active == true(),
    _CLIENTS.c.revoked_at.is_(None),
    _CLIENTS.c.expires_at.is_(None) | (_CLIENTS.c.expires_at > _NOW),
    _PRESENTED.c.grant_id.is_(None) | (_GRANTS.c.id.is_not(None) & _GRANTS.c.revoked_at.is_(None)),
    (_PRESENTED.c.user_id == _USERS.c.id)
    | (_PRESENTED.c.user_id.is_(None) & (_CLIENTS.c.owner_user_id == _USERS.c.id)),
)
_SESSION_COUNTS = (
    _SESSIONS.c.id == bindparam("proof"),
    _SESSIONS.c.user_id == _USERS.c.id,
    _SESSIONS.c.ended_at.is_(None),
    _SESSIONS.c.expires_at > _NOW,
)


def _mint_statement(
    proof: FromClause, alive: Sequence[ColumnElement[bool]], by: Sequence[ColumnElement[object]]
) -> Insert:
    client_id, grant_id, epoch = by
    values = [
        bindparam("jti"),
        client_id,
        grant_id,
        _USERS.c.id,
        literal(GRANT_TYPE),
        literal(CLOUD_CREDENTIALS),
        bindparam("audience"),
        bindparam("ip_address"),
        _NOW,
        bindparam("expires_at", type_=UTCDateTime),
        epoch,
    ]
    source = select(*values).select_from(proof, _USERS, _ACCOUNTS)
    found = source.where(*alive, *_OF_OWNER, *_OF_ACCOUNT, _ACCOUNTS.c.mode == "keyless")
    return insert(IssuedToken).from_select(list(_ROW), found)


def _use_statement(proof: FromClause, alive: Sequence[ColumnElement[bool]]) -> Update:
    counts = exists(select(literal(1)).select_from(proof, _USERS).where(*alive, *_OF_OWNER))
    return update(CloudAccount).where(*_OF_ACCOUNT, counts).values(last_used_at=_NOW)


# Whoever changes or removes an account takes its owner's row first. So does this: neither waits for the other in a ring.
_HOLD_OWNER = Prepared(select(_USERS.c.id).where(_USERS.c.id == bindparam("owner_id")).with_for_update(read=True))
_MINT_BY_TOKEN = Prepared(
    _mint_statement(_BY_TOKEN, _TOKEN_COUNTS, (_PRESENTED.c.client_id, _PRESENTED.c.grant_id, _CLIENTS.c.epoch))
)
_MINT_IN_SESSION = Prepared(
    _mint_statement(_SESSIONS, _SESSION_COUNTS, (literal(OUR_PAGES), literal(None), literal(0)))
)
_USE_BY_TOKEN = Prepared(_use_statement(_BY_TOKEN, _TOKEN_COUNTS))
_USE_IN_SESSION = Prepared(_use_statement(_SESSIONS, _SESSION_COUNTS))


def record_cloud_token(
    tx: Transaction,
    issuer: str,
    authorization: CloudAuthorization,
    jti: str,
    now: datetime.datetime,
    expires_at: datetime.datetime,
) -> None:
    """Writes the row of a token for a cloud. Raises ``AuthorizationGone`` when it must not be made."""
    statement = _MINT_IN_SESSION if authorization.access_token is None else _MINT_BY_TOKEN
    values = {
        **_proof(issuer, authorization, now),
        "jti": jti,
        "audience": authorization.audience,
        "ip_address": authorization.source or None,
        "expires_at": expires_at,
    }
    tx.first(_HOLD_OWNER, {"owner_id": authorization.user_id})
    if tx.count(statement, values) != 1:
        raise AuthorizationGone
    tx.mark((_TOKENS.c.jti, jti))


def record_use(tx: Transaction, issuer: str, authorization: CloudAuthorization, now: datetime.datetime) -> None:
    """Takes down that something of the account is handed out now, secrets too. Raises ``AuthorizationGone`` like the mint:
    what was got a while ago is not for those who may have nothing any more."""
    statement = _USE_IN_SESSION if authorization.access_token is None else _USE_BY_TOKEN
    tx.first(_HOLD_OWNER, {"owner_id": authorization.user_id})
    if tx.count(statement, _proof(issuer, authorization, now)) != 1:
        raise AuthorizationGone


def _proof(issuer: str, authorization: CloudAuthorization, now: datetime.datetime) -> dict[str, object]:
    proof = authorization.session_id if authorization.access_token is None else authorization.access_token
    if proof is None:
        raise AuthorizationGone
    return {
        "proof": proof,
        "issuer": issuer,
        "issued_at": now,
        "owner_id": authorization.user_id,
        "account_id": authorization.account_id,
        "account_version": authorization.account_version,
    }
