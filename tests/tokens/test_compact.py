"""What is signed by hand is what the library reads: the same header, the same claims, a signature that holds."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from joserfc import jwt
from joserfc.errors import BadSignatureError

from provider.tokens.compact import CompactSigner
from provider.tokens.key_pairs import REGISTRY, generate_key

ALGORITHMS = ("RS256", "ES256", "EdDSA")
CLAIMS: dict[str, Any] = {
    "iss": "https://issuer.example",
    "name": 'Adå \u2028 "<&>',
    "list": ["a", 1],
    "nested": {"empty": {}},
    "no": None,
}


@pytest.fixture(scope="module", params=ALGORITHMS)
def signed(request: pytest.FixtureRequest) -> tuple[str, Any, CompactSigner]:
    key = generate_key(request.param)
    return request.param, key, CompactSigner(request.param, "key-1", key.private_key)


def test_the_library_reads_what_was_signed(signed: tuple[str, Any, CompactSigner]) -> None:
    algorithm, key, signer = signed
    for kind in ("at+jwt", "JWT", "at+jwt"):
        for number in range(20):  # numbers of an ECDSA signature that begin with zeros among them, now and then
            read = jwt.decode(signer.token(kind, {**CLAIMS, "n": number}), key, registry=REGISTRY)
            assert read.header == {"alg": algorithm, "typ": kind, "kid": "key-1"}
            assert read.claims == {**CLAIMS, "n": number}


def test_it_is_written_as_the_library_writes_it(signed: tuple[str, Any, CompactSigner]) -> None:
    algorithm, key, signer = signed
    header = {"typ": "JWT", "alg": algorithm, "kid": "key-1"}
    theirs = jwt.encode(header, dict(CLAIMS), key, registry=REGISTRY).split(".")
    ours = signer.token("JWT", CLAIMS).split(".")
    assert ours[:2] == theirs[:2]
    assert len(ours[2]) == len(theirs[2])
    assert "=" not in "".join(ours)


def test_a_changed_token_does_not_hold(signed: tuple[str, Any, CompactSigner]) -> None:
    _, key, signer = signed
    header, _, signature = signer.token("JWT", CLAIMS).split(".")
    changed = base64.urlsafe_b64encode(json.dumps({**CLAIMS, "iss": "https://other.example"}).encode()).rstrip(b"=")
    with pytest.raises(BadSignatureError):
        jwt.decode(f"{header}.{changed.decode()}.{signature}", key, registry=REGISTRY)


def test_short_numbers_of_a_signature_are_filled_up() -> None:
    """About one in 128 has a leading zero, which DER leaves out (RFC 7518 §3.4)."""
    key = generate_key("ES256")
    signer = CompactSigner("ES256", "key-1", key.private_key)
    for number in range(400):
        token = signer.token("JWT", {"n": number})
        assert len(token.rsplit(".", 1)[1]) == 86
        jwt.decode(token, key, registry=REGISTRY)


@pytest.mark.parametrize("algorithm", [*ALGORITHMS, "HS256", "none"])
@pytest.mark.parametrize("of", ALGORITHMS)
def test_a_key_signs_with_its_own_algorithm_only(algorithm: str, of: str) -> None:
    if algorithm != of:
        with pytest.raises(ValueError, match="cannot sign"):
            CompactSigner(algorithm, "key-1", generate_key(of).private_key)
