"""Tokens taken apart and put together again, with a signature that is right whenever our own key can make it so."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any

from joserfc.jwk import ECKey, RSAKey

from provider.protocol.messages import Origin
from provider.tokens.key_pairs import REGISTRY
from provider.tokens.signing_key import SigningKey
from provider.tokens.verifier import VerifiedAccessToken
from tests.tokens.conftest import World

Json = Mapping[str, Any]


def b64(value: bytes | Json) -> str:
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def issue(world: World, origin: Origin, **changes: Any) -> str:
    with world.tokens.transaction() as tx:
        return world.tokens.issuer.issue_access_token(tx, world.authorization(origin, **changes), origin.now).token


def verify(world: World, origin: Origin, token: str) -> VerifiedAccessToken | None:
    with world.tokens.transaction() as tx:
        return world.tokens.verifier.verify_access_token(tx, token, origin.now)


def read(token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    header, payload = (json.loads(base64.urlsafe_b64decode(part + "==")) for part in token.split(".")[:2])
    return header, payload


def key_of(world: World, origin: Origin) -> SigningKey:
    with world.tokens.transaction() as tx:
        return world.tokens.keys.current(tx, "ES256", origin.now)


def signed(key: ECKey | RSAKey, header: Json, claims: Json | bytes) -> str:
    """A JWS whose signature is right and whose header says whatever it is told to."""
    signing_input = f"{b64(header)}.{b64(claims)}".encode()
    algorithm = REGISTRY.get_alg("ES256" if isinstance(key, ECKey) else "RS256")
    return f"{signing_input.decode()}.{b64(algorithm.sign(signing_input, key))}"


def resigned(world: World, origin: Origin, token: str, header: Json | None = None, **claims: Any) -> str:
    """The token with parts of it changed, signed by our own key; None takes a part away."""
    known_header, known_claims = read(token)
    made = {name: value for name, value in {**known_claims, **claims}.items() if value is not None}
    made_header = {name: value for name, value in {**known_header, **(header or {})}.items() if value is not None}
    key = key_of(world, origin).key
    assert isinstance(key, ECKey)
    return signed(key, made_header, made)
