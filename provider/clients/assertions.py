"""Client authentication by a signed assertion: ``private_key_jwt`` (RFC 7523 §2.2, §3, OpenID Connect Core §9)."""

from __future__ import annotations

import datetime
from collections.abc import Collection, Mapping
from typing import Any, TypeGuard

from database.transaction import Transaction
from provider.clients.client_keys import ClientKeys
from provider.clients.detail_rules import ASSERTION_ALGORITHMS
from provider.clients.signed_objects import InvalidSignature, unverified, verified_claims
from provider.protocol.client import Client
from provider.protocol.messages import Origin
from provider.security.replay import ReplayGuard

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
TYPES = ("client-authentication+jwt",)
MAX_CHARACTERS = 8192
MAX_JTI = 255


class ClientAssertions:
    """``audiences`` are this server's issuer and token endpoint: an assertion names exactly one of them.

    ``seconds`` is how far in the future an assertion may expire, ``skew_seconds`` how far clocks may differ.
    """

    def __init__(
        self, keys: ClientKeys, replay: ReplayGuard, *, audiences: Collection[str], seconds: int, skew_seconds: int
    ) -> None:
        self._keys = keys
        self._replay = replay
        self._audiences = frozenset(audiences)
        self._seconds = seconds
        self._skew = skew_seconds

    def claimed_client_id(self, assertion: str) -> str | None:
        """Whom an assertion says that it is from. Nothing is proven by it."""
        if len(assertion) > MAX_CHARACTERS:
            return None
        read = unverified(assertion)
        subject = None if read is None else read[1].get("sub")
        return subject if isinstance(subject, str) else None

    def is_proof(self, tx: Transaction, origin: Origin, client: Client, assertion: str) -> bool:
        """Whether ``assertion`` proves that the client is at the other end, here, now, and for the first time."""
        wanted = client.details.token_endpoint_auth_signing_alg
        allowed = ASSERTION_ALGORITHMS if wanted is None else (wanted,)
        try:
            claims = verified_claims(
                tx, self._keys, client, assertion, algorithms=allowed, types=TYPES, source=origin.network
            )
        except InvalidSignature:
            return False
        if not self._says_the_right_thing(claims, client, origin.now.timestamp()):
            return False
        until = datetime.datetime.fromtimestamp(claims["exp"], datetime.UTC) + datetime.timedelta(
            seconds=self._skew + 1
        )
        return self._replay.claim(tx, "client assertion", f"{client.id}|{claims['jti']}", until)

    def _says_the_right_thing(self, claims: Mapping[str, Any], client: Client, now: float) -> bool:
        audience = claims.get("aud")
        if isinstance(audience, list) and len(audience) == 1:
            audience = audience[0]
        if claims.get("iss") != client.client_id or claims.get("sub") != client.client_id:
            return False
        if not isinstance(audience, str) or audience not in self._audiences:
            return False
        jti, expires_at = claims.get("jti"), claims.get("exp")
        if not isinstance(jti, str) or not 1 <= len(jti) <= MAX_JTI or not is_time(expires_at):
            return False
        if not now - self._skew < expires_at <= now + self._seconds + self._skew:
            return False
        return all(
            is_time(claims[name]) and claims[name] <= now + self._skew for name in ("iat", "nbf") if name in claims
        )


def is_time(value: object) -> TypeGuard[float]:
    """Whether ``value`` can be a NumericDate (RFC 7519 §2)."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < 2**40
