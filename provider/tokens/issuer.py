"""The one mint: turns an ``Authorization`` into an access token and an ID token. Nothing else signs."""

from __future__ import annotations

import base64
import datetime
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from database.models.columns import new_id
from database.transaction import Transaction
from provider.protocol.client import Client
from provider.protocol.scopes import GROUPS
from provider.tokens.authorization import Authorization, CloudAuthorization
from provider.tokens.cloud_records import record_cloud_token
from provider.tokens.signing_keys import SigningKeys
from provider.tokens.subjects import Subjects
from provider.tokens.token_records import AuthorizationGone, record_token

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
MAX_CLOUD_TOKEN_SECONDS = 600


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
        """Records and signs an access token. Raises ``AuthorizationGone``, also for a client whose last second has begun.

        Signing comes last: a token exists only if its record does.
        """
        wanted = authorization.resource.access_token_seconds or self._access_token_seconds
        lifetime = _seconds_left(authorization.client, now, wanted)
        if lifetime < 1:
            raise AuthorizationGone
        issued_at = int(now.timestamp())
        jti = new_id(now)
        subject = self._subject(authorization)
        groups = _groups_to_name(authorization)
        until = now + datetime.timedelta(seconds=lifetime)
        record_token(tx, authorization, jti, now, until, subject=subject, groups=groups)
        client = authorization.client
        claims: dict[str, Any] = {
            "iss": self._issuer,
            "sub": subject,
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
            claims |= self._authentication_claims(authorization)
        if groups is not None:
            claims["groups"] = groups
        api = authorization.resource
        token = self._sign(tx, api.token_alg, api.token_typ, claims, now)
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
            "exp": issued_at + _seconds_left(authorization.client, now, self._id_token_seconds),
            **self._authentication_claims(authorization),
        }
        if authorization.nonce is not None:
            claims["nonce"] = authorization.nonce
        if access_token is not None:
            claims["at_hash"] = token_hash(algorithm, access_token)
        return self._sign(tx, algorithm, "JWT", claims, now)

    def cloud_token(self, tx: Transaction, authorization: CloudAuthorization, now: datetime.datetime) -> str:
        """Records and signs a token for a cloud: who asks and for which cloud, and nothing personal.

        No ``azp``: AWS takes it in the place of ``aud``. Raises ``AuthorizationGone``, and ``LookupError`` where this server
        does not sign with the algorithm.
        """
        issued_at = int(now.timestamp())
        jti = new_id(now)
        lifetime = min(authorization.seconds, MAX_CLOUD_TOKEN_SECONDS)
        record_cloud_token(tx, self._issuer, authorization, jti, now, now + datetime.timedelta(seconds=lifetime))
        claims: dict[str, Any] = {
            **{name: value for name, value in authorization.claims.items() if name not in _PROTOCOL_CLAIMS},
            "iss": self._issuer,
            "sub": authorization.subject,
            "aud": authorization.audience,
            "iat": issued_at,
            "exp": issued_at + lifetime,
            "jti": jti,
        }
        return self._sign(tx, authorization.algorithm, "JWT", claims, now)

    def signed_userinfo(
        self, tx: Transaction, client_id: str, algorithm: str, claims: Mapping[str, Any], now: datetime.datetime
    ) -> str:
        """UserInfo as the client registered to get it: signed, by this algorithm (OpenID Connect Core §5.3.2)."""
        said = {name: value for name, value in claims.items() if name not in _PROTOCOL_CLAIMS or name == "sub"}
        return self._sign(tx, algorithm, "JWT", {**said, "iss": self._issuer, "aud": client_id}, now)

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
            claims["sid"] = self._subjects.session_of(client, session_id)
        return self._sign(tx, client.id_token_signed_response_alg, "logout+jwt", claims, now)

    def _subject(self, authorization: Authorization) -> str:
        client = authorization.client
        return client.client_id if authorization.user_id is None else self._subjects.of(client, authorization.user_id)

    def _authentication_claims(self, authorization: Authorization) -> dict[str, Any]:
        claims: dict[str, Any] = {}
        if authorization.authenticated_at is not None:
            claims["auth_time"] = int(authorization.authenticated_at.timestamp())
        if authorization.acr:
            claims["acr"] = authorization.acr
        if authorization.amr:
            claims["amr"] = list(authorization.amr)
        if authorization.session_id:
            claims["sid"] = self._subjects.session_of(authorization.client, authorization.session_id)
        return claims

    def _sign(self, tx: Transaction, algorithm: str, kind: str, claims: dict[str, Any], now: datetime.datetime) -> str:
        signer = self._signing_keys.current(tx, algorithm, now).signer
        tx.keep_in_step()
        token = signer.token(kind, claims)
        tx.keep_in_step()
        return token


def _groups_to_name(authorization: Authorization) -> list[str] | None:
    """What an access token says of a person's groups: nothing, unless its API wants to know and the person has agreed.

    A token of a machine says nothing: a key has the scopes that were chosen for it, and not all that its owner is.
    """
    membership = authorization.membership
    is_wanted = authorization.resource.groups_claim and GROUPS in authorization.scope
    return list(membership.names) if is_wanted and membership and authorization.user_id is not None else None


def _seconds_left(client: Client, now: datetime.datetime, wanted: int) -> int:
    """``wanted``, or what is left to a client that ends sooner: what rests on it must not outlive it."""
    if client.expires_at is None:
        return wanted
    return min(wanted, int(client.expires_at.timestamp()) - int(now.timestamp()))


def token_hash(algorithm: str, token: str) -> str:
    """``at_hash``: the left half of the token's hash, base64url (OpenID Connect Core §3.1.3.6)."""
    digest = _HASHES[algorithm](token.encode("ascii")).digest()
    return base64.urlsafe_b64encode(digest[: len(digest) // 2]).rstrip(b"=").decode()
