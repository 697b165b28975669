"""An authenticator in software: keys, a counter, and the lies that an attacker's would tell.

It answers as a browser's script does, in the JSON of Web Authentication Level 3 §5.1, with what the page was told.
"""

from __future__ import annotations

import base64
import datetime
import hashlib
import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cbor2
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

UP, UV, BE, BS, AT = 0x01, 0x04, 0x08, 0x10, 0x40
Options = dict[str, Any]


@dataclass
class Credential:
    """``sign`` is the private key. ``count`` is None for an authenticator without a counter."""

    id: bytes
    user_handle: str
    public_key: bytes
    sign: Callable[[bytes], bytes]
    count: int | None


class Authenticator:
    """``verifies``: it knows its person. ``synced``: what it makes may leave the device, and has."""

    def __init__(
        self, origin: str, *, algorithm: str = "ES256", verifies: bool = True, synced: bool = False, counts: bool = True
    ) -> None:
        self.origin, self.algorithm, self.verifies, self.synced, self.counts = (
            origin,
            algorithm,
            verifies,
            synced,
            counts,
        )
        self.credentials: list[Credential] = []

    @property
    def flags(self) -> int:
        return UP | (UV if self.verifies else 0) | (BE | BS if self.synced else 0)

    def create(self, options: Options, **lies: Any) -> str:
        """What ``navigator.credentials.create()`` answers. ``lies`` take the place of what would be true."""
        public_key, sign = _key_pair(lies.get("algorithm", self.algorithm))
        made = Credential(
            lies.get("credential_id", secrets.token_bytes(32)),
            options["user"]["id"],
            lies.get("public_key", public_key),
            sign,
            0 if self.counts else None,
        )
        self.credentials.append(made)
        attested = lies.get("aaguid", bytes(16)) + len(made.id).to_bytes(2) + made.id + made.public_key
        data = self._authenticator_data(options["rp"]["id"], 0, AT, lies) + attested
        client = self._client_data("webauthn.create", options, lies)
        fmt, statement = lies.get("fmt", "none"), lies.get("statement", {})
        if fmt == "packed" and not statement:
            statement = {"alg": -7, "sig": sign(data + hashlib.sha256(client).digest())}
        if fmt == "fido-u2f":
            statement = _attested_by_its_maker(data[:32] + hashlib.sha256(client).digest() + made.id, made.public_key)
        attestation = cbor2.dumps({"fmt": fmt, "attStmt": statement, "authData": data})
        response = {"attestationObject": lies.get("attestation", encoded(attestation)), "transports": ["internal", "x"]}
        return _answer(made, client, response, lies)

    def get(self, options: Options, **lies: Any) -> str:
        """What ``navigator.credentials.get()`` answers, by the newest credential that is allowed."""
        allowed = [each["id"] for each in options["allowCredentials"]]
        made: Credential = lies.get("credential") or next(
            it for it in reversed(self.credentials) if not allowed or encoded(it.id) in allowed
        )
        if made.count is not None:
            made.count += 1
        data = self._authenticator_data(options["rpId"], made.count or 0, 0, lies)
        client = self._client_data("webauthn.get", options, lies)
        signature = made.sign(data + hashlib.sha256(client).digest())
        response = {
            "authenticatorData": encoded(data),
            "signature": encoded(lies.get("signature", signature)),
            "userHandle": lies.get("user_handle", made.user_handle),
        }
        return _answer(made, client, response, lies)

    def _authenticator_data(self, rp_id: str, count: int, more: int, lies: Options) -> bytes:
        flags = lies.get("flags", self.flags) | more
        hashed = hashlib.sha256(lies.get("rp_id", rp_id).encode()).digest()
        return hashed + bytes([flags]) + int(lies.get("count", count)).to_bytes(4)

    def _client_data(self, kind: str, options: Options, lies: Options) -> bytes:
        said = {
            "type": lies.get("type", kind),
            "challenge": lies.get("challenge", options["challenge"]),
            "origin": lies.get("page", self.origin),
            "crossOrigin": False,
            **lies.get("client", {}),
        }
        return json.dumps(said).encode()


def _attested_by_its_maker(signed: bytes, public_key: bytes) -> Options:
    """The statement of an old security key, by a certificate that nobody knows (§8.6)."""
    key, name, day = (
        ec.generate_private_key(ec.SECP256R1()),
        x509.Name([]),
        datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC),
    )
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    dated = builder.serial_number(1).not_valid_before(day).not_valid_after(day + datetime.timedelta(days=9999))
    certificate = dated.sign(key, SHA256()).public_bytes(Encoding.DER)
    point = cbor2.loads(public_key)
    signature = key.sign(b"\0" + signed + b"\4" + point[-2] + point[-3], ec.ECDSA(SHA256()))
    return {"x5c": [certificate], "sig": signature}


def _answer(made: Credential, client: bytes, response: Options, lies: Options) -> str:
    name = encoded(made.id)
    response["clientDataJSON"] = encoded(client)
    answer = {"id": name, "rawId": name, "type": "public-key", "response": response, **lies.get("answer", {})}
    return json.dumps(answer)


def _key_pair(algorithm: str) -> tuple[bytes, Callable[[bytes], bytes]]:
    """A public key in COSE and what signs with the private one (RFC 9053, RFC 8230)."""
    if algorithm in ("ES256", "ES512"):
        curve, number = (ec.SECP256R1(), -7) if algorithm == "ES256" else (ec.SECP521R1(), -36)
        key = ec.generate_private_key(curve)
        point = key.public_key().public_numbers()
        size = (curve.key_size + 7) // 8
        cose = {1: 2, 3: number, -1: 1 if number == -7 else 3, -2: point.x.to_bytes(size), -3: point.y.to_bytes(size)}
        return cbor2.dumps(cose), lambda data: key.sign(data, ec.ECDSA(SHA256()))
    if algorithm == "EdDSA":
        edwards = ed25519.Ed25519PrivateKey.generate()
        return cbor2.dumps({1: 1, 3: -8, -1: 6, -2: edwards.public_key().public_bytes_raw()}), edwards.sign
    bits = int(algorithm.partition("RS256-")[2] or 2048)
    rivest = rsa.generate_private_key(65537, bits)
    numbers = rivest.public_key().public_numbers()
    cose = {1: 3, 3: -257, -1: numbers.n.to_bytes(bits // 8), -2: numbers.e.to_bytes(3)}
    return cbor2.dumps(cose), lambda data: rivest.sign(data, padding.PKCS1v15(), SHA256())


def encoded(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()
