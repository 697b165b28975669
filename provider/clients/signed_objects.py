"""What clients sign: assertions and request objects. The client's registered keys decide, never what the header brings."""

from __future__ import annotations

import base64
import json
from collections.abc import Collection, Mapping
from typing import Any

from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jws import JWSAlgModel, JWSRegistry  # type: ignore[attr-defined] # exported, but not by __all__

from database.transaction import Transaction
from provider.clients.client_keys import ClientKeys, PublicKey
from provider.protocol.client import Client

ALGORITHMS = ("RS256", "PS256", "ES256", "EdDSA")
MAX_HEADER_CHARACTERS = 4096
_IGNORED_HEADER = {"jwk", "jku", "x5u", "x5c"}


class InvalidSignature(Exception):
    """The object was not signed by the client, or is not a signed JSON object at all."""


class ClientAlgorithms(JWSRegistry):
    """What clients may sign with. Names EdDSA without joserfc's warning, since that is what they call it."""

    def get_alg(self, name: str) -> JWSAlgModel:
        if name not in ALGORITHMS:
            return super().get_alg(name)
        return self.algorithms[name]


_REGISTRY = ClientAlgorithms(algorithms=list(ALGORITHMS))


def verified_claims(
    tx: Transaction, keys: ClientKeys, client: Client, signed: str, *, algorithms: Collection[str]
) -> Mapping[str, Any]:
    """The claims of a compact JWS that this client signed with one of ``algorithms``. Raises ``InvalidSignature``.

    Without a ``kid`` every fitting key of the client is tried: the MCP SDKs name none.
    """
    read = unverified(signed)
    if read is None:
        raise InvalidSignature
    header, claims = read
    algorithm, kid = header.get("alg"), header.get("kid")
    if not isinstance(algorithm, str) or algorithm not in algorithms or "crit" in header or "b64" in header:
        raise InvalidSignature
    if kid is not None and not isinstance(kid, str):
        raise InvalidSignature
    for key in keys.find(tx, client, algorithm, kid):
        if _is_signed_by(signed, key):
            return claims
    raise InvalidSignature


def unverified(signed: str) -> tuple[Mapping[str, Any], Mapping[str, Any]] | None:
    """Header and claims of a compact JWS whose signature nobody has looked at, None when it isn't one."""
    parts = signed.split(".")
    if len(parts) != 3 or not signed.isascii() or len(parts[0]) > MAX_HEADER_CHARACTERS:
        return None
    try:
        header, claims = (json.loads(_decode(part)) for part in parts[:2])
    except (ValueError, RecursionError):
        return None
    if not isinstance(header, dict) or not isinstance(claims, dict):
        return None
    return {name: value for name, value in header.items() if name not in _IGNORED_HEADER}, claims


def _is_signed_by(signed: str, key: PublicKey) -> bool:
    try:
        jws.deserialize_compact(signed.encode(), key, registry=_REGISTRY)
    except (JoseError, ValueError, TypeError):
        return False
    return True


def _decode(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
