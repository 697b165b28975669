"""The one mint: turns an ``Authorization`` into an access token and an ID token. Nothing else signs."""

from __future__ import annotations

import base64
import datetime
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from joserfc import jwt
from sqlalchemy import bindparam, insert, literal, select, true
from sqlalchemy.sql import Insert

from database.models import Client as ClientRow
from database.models import GrantRecord, IssuedToken, User
from database.models.columns import UTCDateTime, new_id
from database.transaction import Transaction
from provider.protocol.client import Client
from provider.tokens.authorization import Authorization
from provider.tokens.key_pairs import REGISTRY
from provider.tokens.signing_keys import SigningKeys
from provider.tokens.subjects import Subjects

_CLIENTS = ClientRow.__table__
_GRANTS = GrantRecord.__table__
_USERS = User.__table__
_OWNERS = User.__table__.alias("owners")
_ROW = (
    "jti",
    "client_id",
    "grant_id",
    "user_id",
    "grant_type",
    "scope",
    "audience",
    "ip_address",
    "issued_at",
    "expires_at",
)
# What subject claims can never set, said or not by this token (OpenID Connect Core §2, RFC 7519 §4.1, RFC 9068 §2.2).
_PROTOCOL_CLAIMS = frozenset(
    (
        *("iss", "sub", "aud", "azp", "exp", "iat", "nbf", "jti", "typ", "nonce", "auth_time", "acr", "amr", "sid"),
        *("at_hash", "c_hash", "s_hash", "act", "may_act", "cnf", "client_id", "scope", "events", "sub_jwk"),
    )
)
_HASHES = {"RS256": hashlib.sha256, "ES256": hashlib.sha256, "EdDSA": hashlib.sha512}

LOGOUT_EVENT = "http://schemas.openid.net/event/backchannel-logout"
LOGOUT_TOKEN_SECONDS = 120


def _mint_statement(*, for_user: bool) -> Insert:
    """INSERT … SELECT that records a token exactly if everything it rests on is still alive.

    The grant must not be revoked, its user active, the client unchanged since it was read (``version``), usable, and its
    owner active and still an administrator where the scope needs one.
    """
    now = bindparam("issued_at", type_=UTCDateTime)
    values = [
        bindparam("jti"),
        _CLIENTS.c.id,
        _GRANTS.c.id if for_user else literal(None),
        _USERS.c.id if for_user else literal(None),
        bindparam("grant_type"),
        bindparam("scope"),
        bindparam("audience"),
        bindparam("ip_address"),
        now,
        bindparam("expires_at", type_=UTCDateTime),
    ]
    source = _CLIENTS.outerjoin(_OWNERS, _OWNERS.c.id == _CLIENTS.c.owner_user_id)
    alive = [
        _CLIENTS.c.id == bindparam("client_row_id"),
        _CLIENTS.c.updated_at == bindparam("version", type_=UTCDateTime),
        _CLIENTS.c.is_active == true(),
        _CLIENTS.c.revoked_at.is_(None),
        _CLIENTS.c.expires_at.is_(None) | (_CLIENTS.c.expires_at > now),
        _CLIENTS.c.owner_user_id.is_(None)
        | ((_OWNERS.c.is_active == true()) & (_OWNERS.c.is_admin >= bindparam("needs_admin"))),
    ]
    if for_user:
        source = source.join(_GRANTS, _GRANTS.c.client_id == _CLIENTS.c.id).join(
            _USERS, _USERS.c.id == _GRANTS.c.user_id
        )
        alive += [
            _GRANTS.c.id == bindparam("for_grant_id"),
            _GRANTS.c.revoked_at.is_(None),
            _USERS.c.is_active == true(),
            _USERS.c.is_admin >= bindparam("user_needs_admin"),
        ]
    return insert(IssuedToken).from_select(list(_ROW), select(*values).select_from(source).where(*alive))


_MINT_FOR_USER = _mint_statement(for_user=True)
_MINT_FOR_CLIENT = _mint_statement(for_user=False)


class AuthorizationGone(Exception):
    """What the token would rest on was revoked, disabled, changed or has expired since it was read."""


@dataclass(frozen=True, slots=True)
class IssuedAccessToken:
    token: str
    jti: str
    expires_in: int
    scope: tuple[str, ...]


class TokenIssuer:
    """Makes access tokens (RFC 9068) and ID tokens (OpenID Connect Core §2)."""

    def __init__(
        self,
        issuer: str,
        signing_keys: SigningKeys,
        subjects: Subjects,
        *,
        access_token_seconds: int,
        id_token_seconds: int,
    ) -> None:
        self._issuer = issuer
        self._signing_keys = signing_keys
        self._subjects = subjects
        self._access_token_seconds = access_token_seconds
        self._id_token_seconds = id_token_seconds

    def issue_access_token(
        self, tx: Transaction, authorization: Authorization, now: datetime.datetime
    ) -> IssuedAccessToken:
        """Records and signs an access token. Raises ``AuthorizationGone``.

        Signing comes last: a token exists only if its record does.
        """
        lifetime = authorization.resource.access_token_seconds or self._access_token_seconds
        issued_at = int(now.timestamp())
        jti = new_id(now)
        self._record(tx, authorization, jti, now, now + datetime.timedelta(seconds=lifetime))
        client = authorization.client
        claims: dict[str, Any] = {
            "iss": self._issuer,
            "sub": self._subject(authorization),
            "aud": authorization.resource.uri,
            "client_id": client.client_id,
            "scope": " ".join(authorization.scope),
            "iat": issued_at,
            "exp": issued_at + lifetime,
            "jti": jti,
        }
        if authorization.user_id is None:
            if client.owner_user_id is not None:
                claims["owner"] = client.owner_user_id
        else:
            claims |= _authentication_claims(authorization)
        token = self._sign(tx, authorization.resource.token_alg, "at+jwt", claims, now)
        return IssuedAccessToken(token, jti, lifetime, authorization.scope)

    def id_token(
        self,
        tx: Transaction,
        authorization: Authorization,
        now: datetime.datetime,
        *,
        access_token: str | None = None,
        subject_claims: Mapping[str, Any] | None = None,
    ) -> str:
        """Signs an ID token for the client. Profile claims can't override those of the protocol."""
        issued_at = int(now.timestamp())
        algorithm = authorization.client.id_token_signed_response_alg
        claims: dict[str, Any] = {
            **{name: value for name, value in (subject_claims or {}).items() if name not in _PROTOCOL_CLAIMS},
            "iss": self._issuer,
            "sub": self._subject(authorization),
            "aud": authorization.client.client_id,
            "azp": authorization.client.client_id,
            "iat": issued_at,
            "exp": issued_at + self._id_token_seconds,
            **_authentication_claims(authorization),
        }
        if authorization.nonce is not None:
            claims["nonce"] = authorization.nonce
        if access_token is not None:
            claims["at_hash"] = token_hash(algorithm, access_token)
        return self._sign(tx, algorithm, "JWT", claims, now)

    def signed_userinfo(
        self, tx: Transaction, client: Client, claims: Mapping[str, Any], now: datetime.datetime
    ) -> str:
        """UserInfo as the client registered to get it: signed (OpenID Connect Core §5.3.2)."""
        algorithm = client.details.userinfo_signed_response_alg or "RS256"
        said = {name: value for name, value in claims.items() if name not in _PROTOCOL_CLAIMS or name == "sub"}
        return self._sign(tx, algorithm, "JWT", {**said, "iss": self._issuer, "aud": client.client_id}, now)

    def logout_token(
        self, tx: Transaction, client: Client, *, subject: str, session_id: str | None, now: datetime.datetime
    ) -> str:
        """Tells a client that a session is over (OpenID Connect Back-Channel Logout §2.4). ``subject`` as it knows it."""
        issued_at = int(now.timestamp())
        claims: dict[str, Any] = {
            "iss": self._issuer,
            "sub": subject,
            "aud": client.client_id,
            "iat": issued_at,
            "exp": issued_at + LOGOUT_TOKEN_SECONDS,
            "jti": new_id(now),
            "events": {LOGOUT_EVENT: {}},
        }
        if session_id is not None:
            claims["sid"] = session_id
        return self._sign(tx, client.id_token_signed_response_alg, "logout+jwt", claims, now)

    def _subject(self, authorization: Authorization) -> str:
        client = authorization.client
        return client.client_id if authorization.user_id is None else self._subjects.of(client, authorization.user_id)

    def _record(
        self,
        tx: Transaction,
        authorization: Authorization,
        jti: str,
        now: datetime.datetime,
        expires_at: datetime.datetime,
    ) -> None:
        client = authorization.client
        needs_admin = bool(set(authorization.scope) & set(authorization.resource.admin_scope))
        values = {
            "jti": jti,
            "client_row_id": client.id,
            "version": client.updated_at,
            "grant_type": authorization.grant_type,
            "scope": " ".join(authorization.scope),
            "audience": authorization.resource.uri,
            "ip_address": authorization.source or None,
            "issued_at": now,
            "expires_at": expires_at,
        }
        if authorization.grant_id is None:
            statement = _MINT_FOR_CLIENT
            values["needs_admin"] = needs_admin and client.owner_user_id is not None
        else:
            statement = _MINT_FOR_USER
            values |= {
                "needs_admin": False,
                "for_grant_id": authorization.grant_id,
                "user_needs_admin": needs_admin,
            }
        if tx.execute(statement, values).rowcount != 1:
            raise AuthorizationGone

    def _sign(self, tx: Transaction, algorithm: str, kind: str, claims: dict[str, Any], now: datetime.datetime) -> str:
        key = self._signing_keys.current(tx, algorithm, now)
        header = {"alg": algorithm, "kid": key.kid, "typ": kind}
        return jwt.encode(header, claims, key.key, registry=REGISTRY)


def token_hash(algorithm: str, token: str) -> str:
    """``at_hash``: the left half of the token's hash, base64url (OpenID Connect Core §3.1.3.6)."""
    digest = _HASHES[algorithm](token.encode("ascii")).digest()
    return base64.urlsafe_b64encode(digest[: len(digest) // 2]).rstrip(b"=").decode()


def _authentication_claims(authorization: Authorization) -> dict[str, Any]:
    claims: dict[str, Any] = {}
    if authorization.authenticated_at is not None:
        claims["auth_time"] = int(authorization.authenticated_at.timestamp())
    if authorization.acr:
        claims["acr"] = authorization.acr
    if authorization.amr:
        claims["amr"] = list(authorization.amr)
    if authorization.session_id:
        claims["sid"] = authorization.session_id
    return claims
