"""The public keys as verifiers fetch them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class JwksDocument:
    """A JSON Web Key Set (RFC 7517 §5) as prepared bytes."""

    body: bytes
    etag: str

    @classmethod
    def of(cls, public_jwks: Iterable[Mapping[str, Any]]) -> JwksDocument:
        body = json.dumps({"keys": [dict(jwk) for jwk in public_jwks]}, separators=(",", ":")).encode()
        return cls(body, f'"{hashlib.sha256(body).hexdigest()[:32]}"')
