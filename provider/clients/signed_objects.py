"""What clients sign: assertions and request objects. The client's registered keys decide, never what the header brings."""

from __future__ import annotations

import base64
from collections.abc import Collection, Mapping
from typing import Any

from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jws import JWSAlgModel, JWSRegistry  # type: ignore[attr-defined] # exported, but not by __all__

from database.transaction import Transaction
from provider.clients.client_keys import ClientKeys, PublicKey
from provider.protocol.client import Client
from provider.protocol.errors import OAuthError
from provider.protocol.json_body import parse_json

ALGORITHMS = ("RS256", "PS256", "ES256", "EdDSA")
MAX_HEADER_CHARACTERS = 4096
_IGNORED_HEADER = {"jwk", "jku", "x5u", "x5c"}


class InvalidSignature(Exception):
    """The object was not signed by the client, or is not a signed JSON object at all."""


class ClientAlgorithms(JWSRegistry):
    """What clients may sign with. Names EdDSA without joserfc's warning, since that is what they call it."""

    max_header_length = MAX_HEADER_CHARACTERS

    def get_alg(self, name: str) -> JWSAlgModel:
        if name not in ALGORITHMS:
            return super().get_alg(name)
        return self.algorithms[name]


# A header may have members that nobody knows: they are ignored (RFC 7515 §4).
_REGISTRY = ClientAlgorithms(algorithms=list(ALGORITHMS), strict_check_header=False)


def verified_claims(
    tx: Transaction,
    keys: ClientKeys,
    client: Client,
    signed: str,
    *,
    algorithms: Collection[str],
    types: Collection[str],
    source: str,
) -> Mapping[str, Any]:
    """The claims of a compact JWS that this client signed with one of ``algorithms``. Raises ``InvalidSignature``.

    ``types`` are the values of ``typ`` that stand for this kind of object; without one it is a plain JWT (RFC 8725 §3.11).
    Without a ``kid`` every fitting key of the client is tried: the MCP SDKs name none. ``source`` is the sender's network.
    """
    read = unverified(signed)
    if read is None:
        raise InvalidSignature
    header, claims = read
    algorithm, kid = header.get("alg"), header.get("kid")
    if not isinstance(algorithm, str) or algorithm not in algorithms or "crit" in header or "b64" in header:
        raise InvalidSignature
    if (kid is not None and not isinstance(kid, str)) or not _is_of_type(header, types):
        raise InvalidSignature
    for again in (False, True):
        for key in keys.find(tx, client, algorithm, kid, source=source, again=again):
            if _is_signed_by(signed, key):
                return claims
    raise InvalidSignature


def unverified(signed: str) -> tuple[Mapping[str, Any], Mapping[str, Any]] | None:
    """Header and claims of a compact JWS whose signature nobody has looked at, None when it isn't one."""
    parts = signed.split(".")
    if len(parts) != 3 or not signed.isascii() or len(parts[0]) > MAX_HEADER_CHARACTERS:
        return None
    try:
        header, claims = (parse_json(_decode(part)) for part in parts[:2])
    except (ValueError, OAuthError):
        return None
    if not isinstance(header, dict) or not isinstance(claims, dict):
        return None
    return {name: value for name, value in header.items() if name not in _IGNORED_HEADER}, claims


def _is_of_type(header: Mapping[str, Any], types: Collection[str]) -> bool:
    typ = header.get("typ", "JWT")
    return isinstance(typ, str) and typ.lower().removeprefix("application/") in ("jwt", *types)


def _is_signed_by(signed: str, key: PublicKey) -> bool:
    try:
        jws.deserialize_compact(signed.encode(), key, registry=_REGISTRY)
    except (JoseError, ValueError, TypeError):
        return False
    return True


def _decode(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
