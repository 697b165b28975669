"""Tokens that we signed ourselves, read: their signature, their kind, and when they begin. Nothing of their record.

The key decides the algorithm, never the token's header (RFC 8725 §3.1). A token comes back many times, and a signature that
was right once is right as long as its key counts: it is checked once, everything that changes is asked each time.
"""

from __future__ import annotations

import base64
import binascii
import datetime
import hashlib
import json
import threading
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from joserfc import jws
from joserfc.errors import JoseError

from database.transaction import Transaction
from provider.tokens.key_pairs import REGISTRY, AsymmetricKey
from provider.tokens.signing_keys import SigningKeys

MAX_TOKEN_CHARACTERS = 8192
REMEMBERED = 1024
_ALLOWED_HEADER = {"alg", "kid", "typ"}


@dataclass(eq=False, slots=True)
class SignedToken:
    """``claims`` are all that it says, to be read only. ``known`` is for who compares it with its record: the record's row
    as it was, and what came of it.
    """

    kid: str
    key: AsymmetricKey
    typ: str
    claims: Mapping[str, Any]
    known: tuple[tuple[Any, ...], Any] | None = None


class SignedTokens:
    """Reads them, and remembers the last ones, by a hash, so that this process keeps no token of anybody."""

    def __init__(self, issuer: str, signing_keys: SigningKeys, *, clock_skew_seconds: int) -> None:
        self._issuer = issuer
        self._signing_keys = signing_keys
        self._skew = clock_skew_seconds
        self._remembered: dict[bytes, SignedToken] = {}
        self._lock = threading.Lock()

    def read(
        self,
        tx: Transaction,
        token: str,
        kinds: Collection[str],
        now: datetime.datetime,
        *,
        may_be_retired: bool = False,
    ) -> SignedToken | None:
        """What a token of one of these kinds says that has begun. It may have expired.

        ``may_be_retired``: its key may have retired within the last day.
        """
        if len(token) > MAX_TOKEN_CHARACTERS or not token.isascii():
            return None
        name = hashlib.sha256(token.encode()).digest()
        said = self._remembered.get(name)
        if said is None:
            said = self._parsed(tx, token, kinds, now, may_be_retired=may_be_retired)
            if said is None:
                return None
            self._remember(name, said)
        else:
            key = self._signing_keys.find(tx, said.kid, now, may_be_retired=may_be_retired)
            if key is None or key.key is not said.key or said.typ not in kinds:
                return None
        begins = (said.claims.get("iat"), said.claims.get("nbf", 0))
        latest = now.timestamp() + self._skew
        return said if all(type(moment) is int and moment <= latest for moment in begins) else None

    def _parsed(
        self,
        tx: Transaction,
        token: str,
        kinds: Collection[str],
        now: datetime.datetime,
        *,
        may_be_retired: bool,
    ) -> SignedToken | None:
        header = _object(token.partition(".")[0])
        if header is None or set(header) - _ALLOWED_HEADER or header.get("typ") not in kinds:
            return None
        kid = header.get("kid")
        if not isinstance(kid, str):
            return None
        key = self._signing_keys.find(tx, kid, now, may_be_retired=may_be_retired)
        if key is None or header.get("alg") != key.algorithm:
            return None
        try:
            payload = jws.deserialize_compact(token.encode(), key.key, registry=REGISTRY).payload
            claims = json.loads(payload or b"")
        except (JoseError, ValueError, RecursionError):
            return None
        if not isinstance(claims, dict) or claims.get("iss") != self._issuer:
            return None
        return SignedToken(kid, key.key, header["typ"], claims)

    def _remember(self, name: bytes, said: SignedToken) -> None:
        with self._lock:
            while len(self._remembered) >= REMEMBERED:
                del self._remembered[next(iter(self._remembered))]
            self._remembered[name] = said


def _object(part: str) -> dict[str, Any] | None:
    """The JSON object of one part of a token (RFC 7515 §3.1)."""
    try:
        value = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    except (ValueError, binascii.Error, RecursionError):
        return None
    return value if isinstance(value, dict) else None
