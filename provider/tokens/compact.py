"""Signed JWTs in compact form (RFC 7515 §3.1), written by hand for the three algorithms that this server signs with.

A library looks up, checks and encodes a header that never changes, for each token anew: half of what a signature with
ES256 takes. What is written here is read by the library (``tokens.signed_tokens``, and in the tests).
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

_Sign = Callable[[bytes], bytes]
_JSON = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False)
_P256_BYTES = 32


class CompactSigner:
    """Signs with one private key. ``key`` is the library's own object, as its algorithm wants it."""

    def __init__(self, algorithm: str, kid: str, key: object) -> None:
        self._algorithm = algorithm
        self._kid = kid
        self._sign = _signature_by(algorithm, key)
        self._headers: dict[str, bytes] = {}

    def token(self, kind: str, claims: Mapping[str, Any]) -> str:
        """A token whose header says ``typ`` (``kind``), ``alg`` and ``kid``, and nothing else."""
        header = self._headers.get(kind)
        if header is None:
            said = {"typ": kind, "alg": self._algorithm, "kid": self._kid}
            header = self._headers[kind] = _encoded(_JSON.encode(said).encode()) + b"."
        signed = header + _encoded(_JSON.encode(claims).encode())
        return (signed + b"." + _encoded(self._sign(signed))).decode("ascii")


def _signature_by(algorithm: str, key: object) -> _Sign:
    if algorithm == "ES256" and isinstance(key, EllipticCurvePrivateKey) and key.curve.name == "secp256r1":
        return _ecdsa(key)
    if algorithm == "RS256" and isinstance(key, RSAPrivateKey):
        padding, sha256 = PKCS1v15(), SHA256()
        return lambda data: key.sign(data, padding, sha256)
    if algorithm == "EdDSA" and isinstance(key, Ed25519PrivateKey):
        return key.sign
    raise ValueError(f"this key cannot sign with {algorithm}")


def _ecdsa(key: EllipticCurvePrivateKey) -> _Sign:
    sha256 = ECDSA(SHA256())

    def sign(data: bytes) -> bytes:
        """Both numbers side by side instead of in DER (RFC 7518 §3.4)."""
        r, s = decode_dss_signature(key.sign(data, sha256))
        return r.to_bytes(_P256_BYTES) + s.to_bytes(_P256_BYTES)

    return sign


def _encoded(data: bytes) -> bytes:
    """base64url without padding (RFC 7515 §2)."""
    return base64.urlsafe_b64encode(data).rstrip(b"=")
