"""One key pair that signs tokens, as it is used: parsed from its row once the private part has been opened."""

from __future__ import annotations

import datetime
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from joserfc.errors import JoseError

from provider.tokens.compact import CompactSigner
from provider.tokens.key_pairs import AsymmetricKey, import_key


@dataclass(frozen=True, slots=True)
class SigningKey:
    kid: str
    algorithm: str
    key: AsymmetricKey
    signer: CompactSigner
    public_jwk: Mapping[str, Any]
    created_at: datetime.datetime
    activates_at: datetime.datetime
    retires_at: datetime.datetime | None

    @classmethod
    def from_row(cls, row: Mapping[Any, Any], private: bytes) -> SigningKey:
        """``private`` is the opened private part: the public one follows from it, since that alone is authenticated.

        Raises ``ValueError`` where it is no key of the algorithm that the row names.
        """
        try:
            key = import_key(row["algorithm"], json.loads(private))
        except (JoseError, LookupError) as error:
            raise ValueError("the key is of another algorithm") from error
        return cls(
            kid=row["kid"],
            algorithm=row["algorithm"],
            key=key,
            signer=CompactSigner(row["algorithm"], row["kid"], key.private_key),
            public_jwk=public_jwk(key, row["kid"], row["algorithm"]),
            created_at=row["created_at"],
            activates_at=row["activates_at"],
            retires_at=row["retires_at"],
        )

    def state(self, now: datetime.datetime) -> str:
        if now < self.activates_at:
            return "next"
        if self.retires_at is None:
            return "active"
        return "retiring" if now < self.retires_at else "retired"


def public_jwk(key: AsymmetricKey, kid: str, algorithm: str) -> dict[str, Any]:
    """What the JWKS shows of a key (RFC 7517 §4)."""
    return {**key.as_dict(private=False), "kid": kid, "use": "sig", "alg": algorithm}
