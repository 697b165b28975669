"""Key pairs of the algorithms that sign tokens."""

from __future__ import annotations

from typing import Any

from joserfc.jwk import ECKey, OKPKey, RSAKey
from joserfc.jws import JWSAlgModel, JWSRegistry  # type: ignore[attr-defined] # exported, but not by __all__

AsymmetricKey = RSAKey | ECKey | OKPKey
RSA_BITS = 2048


class TokenAlgorithms(JWSRegistry):
    """Our fixed allow-list. Unlike joserfc's own it names EdDSA without a warning: verifiers know no other name yet."""

    def get_alg(self, name: str) -> JWSAlgModel:
        if name not in ("RS256", "ES256", "EdDSA"):
            return super().get_alg(name)
        return self.algorithms[name]


REGISTRY = TokenAlgorithms(algorithms=["RS256", "ES256", "EdDSA"])


def generate_key(algorithm: str) -> AsymmetricKey:
    """A new key pair. Its ``key_id`` begins with no hyphen: terminals would read an option, spreadsheets a formula."""
    while key_id(key := _any_key(algorithm)).startswith("-"):
        pass
    return key


def key_id(key: AsymmetricKey) -> str:
    """The ``kid`` of ``key``: what its thumbprint (RFC 7638) begins with."""
    return key.thumbprint()[:22]


def _any_key(algorithm: str) -> AsymmetricKey:
    if algorithm == "RS256":
        return RSAKey.generate_key(RSA_BITS, private=True)
    if algorithm == "ES256":
        return ECKey.generate_key("P-256", private=True)
    return OKPKey.generate_key("Ed25519", private=True)


def import_key(algorithm: str, private: dict[str, Any]) -> AsymmetricKey:
    if algorithm == "RS256":
        return RSAKey.import_key(private)
    if algorithm == "ES256":
        return ECKey.import_key(private)
    return OKPKey.import_key(private)
