"""The rules for an access token (RFC 9068 §4, RFC 8725): what it looks like, who signed it, for whom, and when."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jws import CompactSignature, JWSAlgModel, JWSRegistry  # type: ignore[attr-defined] # exported, but not by __all__

from mcp_core_verifier.errors import InvalidToken
from mcp_core_verifier.keys import PublicKey

MAX_TOKEN_CHARACTERS = 8192
ALGORITHMS = ("RS256", "ES256", "EdDSA")
LAST_SECOND = 253_402_300_799  # of the year 9999
_HEADER = {"alg", "kid", "typ"}
TYPES = ("at+jwt", "JWT")
_TYPES = ("at+jwt", "application/at+jwt")
_OTHER_TOKENS_ONLY = {"nonce", "at_hash", "azp", "events"}
_STRINGS = ("iss", "sub", "client_id", "jti")
_TIMES = ("iat", "exp")


class _Algorithms(JWSRegistry):
    """A fixed list. joserfc would warn of the name EdDSA, which is the one that the provider's keys have."""

    def get_alg(self, name: str) -> JWSAlgModel:
        return self.algorithms[name] if name in ALGORITHMS else super().get_alg(name)


_REGISTRY = _Algorithms(algorithms=ALGORITHMS)


@dataclass(frozen=True, slots=True)
class Unverified:
    """A token that has the right form. Nothing in it may be believed yet."""

    kid: str
    algorithm: str
    signature: CompactSignature


def read(token: str, typ: str = "at+jwt") -> Unverified:
    """The parts of a token. ``typ`` is one that its header may have beside RFC 9068's. Raises ``InvalidToken``.

    A header with more than ``alg``, ``kid`` and ``typ`` is refused: keys inside the token, addresses of keys, and extensions
    that we would have to understand (``jwk``, ``jku``, ``x5u``, ``x5c``, ``crit``, ``b64``).
    """
    if len(token) > MAX_TOKEN_CHARACTERS or not token.isascii():
        raise InvalidToken("the token is too long or not ASCII")
    try:
        signature = jws.extract_compact(token.encode("ascii"), registry=_REGISTRY)
    except (JoseError, ValueError, TypeError, RecursionError):
        raise InvalidToken("the token is no JWT") from None
    header: Any = signature.protected
    if not isinstance(header, dict) or set(header) - _HEADER:
        raise InvalidToken("the token's header has members that do not belong there")
    kind, kid, algorithm = header.get("typ"), header.get("kid"), header.get("alg")
    if not isinstance(kind, str) or kind.lower() not in (*_TYPES, typ.lower()):
        raise InvalidToken(f"the token's typ is not {typ}")
    if not isinstance(kid, str) or not kid or algorithm not in ALGORITHMS:
        raise InvalidToken("the token's kid or alg is missing or not allowed")
    return Unverified(kid, algorithm, signature)


def verified_claims(token: Unverified, key: PublicKey) -> dict[str, Any]:
    """The claims, once the signature holds. Raises ``InvalidToken``."""
    if token.algorithm != key.algorithm:
        raise InvalidToken("the token's alg is not that of its key")
    try:
        holds = jws.validate_compact(token.signature, key.key, registry=_REGISTRY)
        claims = json.loads(token.signature.payload or b"") if holds else None
    except (JoseError, ValueError, TypeError, RecursionError):
        claims = None
    if not isinstance(claims, dict):
        raise InvalidToken("the token's signature or content is wrong")
    return claims


def check_claims(claims: Mapping[str, Any], *, issuer: str, audience: str, now: float, leeway_seconds: float) -> None:
    """Raises ``InvalidToken`` unless the token is the issuer's, for us, complete and in time."""
    for name in _STRINGS:
        if not isinstance(claims.get(name), str) or not claims[name]:
            raise InvalidToken(f"the claim {name} is missing or no string")
    for name in (*_TIMES, *(["nbf"] if "nbf" in claims else [])):
        value = claims.get(name)
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= LAST_SECOND:
            raise InvalidToken(f"the claim {name} is missing or no time")
    if not isinstance(claims.get("scope", ""), str):
        raise InvalidToken("the claim scope is no string")
    if _OTHER_TOKENS_ONLY & set(claims):
        raise InvalidToken("the token is an ID token or a logout token")
    if claims["iss"] != issuer:
        raise InvalidToken(f"the issuer is {claims['iss']!r}")
    meant_for = claims.get("aud")
    if meant_for != audience and not (isinstance(meant_for, list) and audience in meant_for):
        raise InvalidToken(f"the audience is {meant_for!r}")
    if now >= claims["exp"] + leeway_seconds:
        raise InvalidToken("the token has expired")
    if max(claims["iat"], claims.get("nbf", 0)) > now + leeway_seconds:
        raise InvalidToken("the token is from the future")
    if "cnf" in claims:
        raise InvalidToken("the token is bound to a key, whose proof is not checked here")
