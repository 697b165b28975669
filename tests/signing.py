"""What a client does with its own keys: assertions and request objects, right ones and ones that are wrong in one thing.

Signed by PyJWT, so that our server and its tests do not share their idea of a signature.
"""

from __future__ import annotations

import base64
import datetime
import functools
import itertools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from provider.protocol.client import Client, ClientDetails

ALGORITHMS = ("RS256", "PS256", "ES256", "EdDSA")
ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_numbers = itertools.count(1)


@dataclass(frozen=True)
class ClientKey:
    """A private key with the ``kid`` under which its public half is published."""

    algorithm: str
    kid: str | None
    private: Any

    @property
    def public(self) -> dict[str, Any]:
        """The JWK that a client registers or publishes."""
        kind = {"RS256": RSAAlgorithm, "PS256": RSAAlgorithm, "ES256": ECAlgorithm, "EdDSA": OKPAlgorithm}
        made: dict[str, Any] = kind[self.algorithm].to_jwk(self.private.public_key(), as_dict=True)  # type: ignore[attr-defined]
        made = {name: value for name, value in made.items() if name != "key_ops"}
        return made | ({} if self.kid is None else {"kid": self.kid})

    def sign(self, claims: Mapping[str, Any], **header: Any) -> str:
        """A compact JWS. Header members that are None are left out."""
        named = {"alg": self.algorithm, "kid": self.kid, "typ": "JWT", **header}
        known = {name: value for name, value in named.items() if value is not None}
        return self.resigned(known, b64url(json.dumps(dict(claims)).encode()))

    def resigned(self, header: Mapping[str, Any] | bytes, payload: str) -> str:
        """Signed by this key and its algorithm, whatever the header says."""
        first = f"{b64url(header if isinstance(header, bytes) else json.dumps(dict(header)).encode())}.{payload}"
        method = jwt.get_algorithm_by_name(self.algorithm)
        return f"{first}.{b64url(method.sign(first.encode(), self.private))}"


@functools.cache
def _private(algorithm: str, name: str) -> Any:
    if algorithm == "ES256":
        return ec.generate_private_key(ec.SECP256R1())
    if algorithm == "EdDSA":
        return ed25519.Ed25519PrivateKey.generate()
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def client_key(algorithm: str = "ES256", kid: str | None = "k1", *, name: str = "own") -> ClientKey:
    """The same key for the same ``name`` and algorithm: RSA keys take long to make."""
    return ClientKey(algorithm, kid, _private(algorithm, name))


def jwks(*keys: ClientKey | dict[str, Any]) -> dict[str, Any]:
    return {"keys": [key.public if isinstance(key, ClientKey) else key for key in keys]}


def assertion_claims(client_id: str, audience: Any, now: datetime.datetime, **changes: Any) -> dict[str, Any]:
    """A right assertion (RFC 7523 §3) but for ``changes``; None leaves a claim out."""
    at = int(now.timestamp())
    claims = {
        "iss": client_id,
        "sub": client_id,
        "aud": audience,
        "exp": at + 300,
        "iat": at,
        "jti": f"j{next(_numbers)}",
    }
    return {name: value for name, value in {**claims, **changes}.items() if value is not None}


def with_assertion(assertion: str) -> dict[str, str]:
    """The form fields by which it is sent."""
    return {"client_assertion_type": ASSERTION_TYPE, "client_assertion": assertion}


def known_client(**details: Any) -> Client:
    """A client as the registry gives it, with these details."""
    at = datetime.datetime(2026, 7, 1, tzinfo=datetime.UTC)
    return Client(
        id="01900000-0000-7000-8000-000000000001",
        client_id="app_1",
        kind="application",
        name="App",
        owner_user_id=None,
        secret_hash=None,
        token_endpoint_auth_method="private_key_jwt",
        application_type="web",
        redirect_uris=("https://app.example/callback",),
        post_logout_redirect_uris=(),
        grant_types=("authorization_code",),
        scope=(),
        resource=None,
        require_pkce=True,
        rotate_refresh_tokens=False,
        is_trusted=False,
        is_vouched=True,
        is_active=True,
        id_token_signed_response_alg="RS256",
        created_at=at,
        updated_at=at,
        last_used_at=None,
        expires_at=None,
        revoked_at=None,
        details=ClientDetails(**details),
    )


def b64url(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
