"""Tokens that our server did not make, or not like this: signed with its real keys where that is the point."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping
from typing import Any

from cryptography.hazmat.primitives import serialization
from joserfc import jws
from joserfc.jwk import RSAKey

from provider.tokens.key_pairs import REGISTRY
from provider.tokens.signing_key import SigningKey
from tests.endpoints.provider import Provider, claims_of, header_of

STRANGER = RSAKey.generate_key(2048, private=True)


def signing_key(provider: Provider, algorithm: str = "RS256") -> SigningKey:
    with provider.begin() as tx:
        return provider.services.signing_keys.current(tx, algorithm, provider.clock.now)


def b64url(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def signed(provider: Provider, header: Mapping[str, Any], claims: Any, algorithm: str = "RS256") -> str:
    """Signed with the server's own key, whatever the header says about it."""
    payload = claims if isinstance(claims, bytes) else json.dumps(claims).encode()
    first = f"{b64url(json.dumps(dict(header)).encode())}.{b64url(payload)}"
    model = REGISTRY.get_alg(algorithm)
    return f"{first}.{b64url(model.sign(first.encode(), signing_key(provider, algorithm).key))}"


def altered(provider: Provider, token: str, header: Mapping[str, Any] | None = None, **claims: Any) -> str:
    """The same token with other claims or header members, signed by us. None takes a member out."""
    new_header = {**header_of(token), **(header or {})}
    new_claims = {**claims_of(token), **claims}
    return signed(
        provider,
        {name: value for name, value in new_header.items() if value is not None},
        {name: value for name, value in new_claims.items() if value is not None},
    )


def forgeries(provider: Provider, token: str) -> dict[str, str]:
    """A valid access token of ours, with each trick that JWT libraries have fallen for (RFC 8725 §2, §3)."""
    head, body, signature = token.split(".")
    header, claims = header_of(token), claims_of(token)
    key = signing_key(provider)
    public_pem = key.key.raw_value.public_key().public_bytes(  # type: ignore[union-attr]
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )

    def with_header(**changes: Any) -> str:
        return b64url(json.dumps({**header, **changes}).encode())

    def by_hmac(secret: bytes) -> str:
        first = f"{with_header(alg='HS256')}.{body}"
        return f"{first}.{b64url(hmac.new(secret, first.encode(), hashlib.sha256).digest())}"

    def by_stranger(**changes: Any) -> str:
        made = {**header, **changes}
        return jws.serialize_compact(
            {name: value for name, value in made.items() if value is not None},
            json.dumps(claims).encode(),
            STRANGER,
            registry=jws.JWSRegistry(strict_check_header=False, algorithms=["RS256"]),
        )

    stranger = STRANGER.as_dict(private=False)
    return {
        "no signature": f"{head}.{body}.",
        "two parts": f"{head}.{body}",
        "four parts": f"{token}.x",
        "five parts, like a JWE": f"{with_header(alg='dir', enc='A256GCM', zip='DEF')}.x.{body}.x.x",
        "alg none": f"{with_header(alg='none')}.{body}.",
        "alg nOnE": f"{with_header(alg='nOnE')}.{body}.",
        "alg none, signed": f"{with_header(alg='none')}.{body}.{signature}",
        "HMAC with the public key": by_hmac(public_pem),
        "HMAC with the public key as JSON": by_hmac(json.dumps(dict(key.public_jwk)).encode()),
        "HMAC with nothing": by_hmac(b""),
        "another algorithm of the same key": f"{with_header(alg='PS256')}.{body}.{signature}",
        "another key's algorithm": f"{with_header(alg='ES256')}.{body}.{signature}",
        "no alg": signed(provider, {"kid": key.kid, "typ": "at+jwt"}, claims),
        "no kid": altered(provider, token, {"kid": None}),
        "another kid of ours": altered(provider, token, {"kid": signing_key(provider, "ES256").kid}),
        "unknown kid": altered(provider, token, {"kid": "unknown"}),
        "kid that is a path": altered(provider, token, {"kid": "../../dev/null"}),
        "kid that is SQL": altered(provider, token, {"kid": "' OR 1=1 --"}),
        "kid that is a list": altered(provider, token, {"kid": [key.kid]}),
        "kid that is a number": altered(provider, token, {"kid": 7}),
        "a stranger's key": by_stranger(),
        "a stranger's key in jwk": by_stranger(jwk=stranger),
        "a stranger's key in jwk, no kid": by_stranger(jwk=stranger, kid=None),
        "our key and a jwk": altered(provider, token, {"jwk": stranger}),
        "jku": altered(provider, token, {"jku": "http://127.0.0.1:9/jwks"}),
        "x5u": altered(provider, token, {"x5u": "http://127.0.0.1:9/cert"}),
        "x5c": altered(provider, token, {"x5c": ["MIIB"]}),
        "crit": altered(provider, token, {"crit": ["exp"]}),
        "unknown crit": altered(provider, token, {"crit": ["x"], "x": True}),
        "b64 false": altered(provider, token, {"b64": False, "crit": ["b64"]}),
        "no typ": altered(provider, token, {"typ": None}),
        "typ JWT": altered(provider, token, {"typ": "JWT"}),
        "typ logout+jwt": altered(provider, token, {"typ": "logout+jwt"}),
        "typ in capitals": altered(provider, token, {"typ": "AT+JWT"}),
        "another user": f"{head}.{b64url(json.dumps({**claims, 'sub': 'other'}).encode())}.{signature}",
        "signature cut": f"{head}.{body}.{signature[:-4]}",
        "signature with more": f"{head}.{body}.{signature}AAAA",
        "another token's header": f"{with_header(typ='JWT')}.{body}.{signature}",
        "header that is a list": f"{b64url(b'[]')}.{body}.{signature}",
        "header that is no JSON": f"{b64url(b'{')}.{body}.{signature}",
        "header deeply nested": f"{b64url(b'[' * 3000 + b']' * 3000)}.{body}.{signature}",
        "claims that are a list": signed(provider, header, []),
        "claims that are no JSON": signed(provider, header, b"{"),
        "claims that are nothing": signed(provider, header, b""),
        "claims deeply nested": signed(provider, header, b"[" * 2900 + b"]" * 2900),
        "claims in broken UTF-8": signed(provider, header, b'{"iss":"\xff"}'),
        "too long": altered(provider, token, filler="x" * 8192),
        "a blank in front": " " + token.replace(".", " .", 1),
        "not ASCII": token + "\u00fc",
    }
