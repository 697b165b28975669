"""Private keys that people paste."""

from __future__ import annotations

import base64
import hashlib

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from provider.vault.private_keys import fingerprint_of, private_key_pem
from tests.vault.samples import key_pem, rsa_key

TRADITIONAL, PKCS8 = PrivateFormat.TraditionalOpenSSL, PrivateFormat.PKCS8


def pem(key: object, form: PrivateFormat = PKCS8, password: bytes | None = None) -> str:
    how = BestAvailableEncryption(password) if password else NoEncryption()
    return key.private_bytes(Encoding.PEM, form, how).decode()  # type: ignore[attr-defined]


def broken(part: str | None) -> str:
    """A key of which one part is another, in PKCS #1 (RFC 8017 §A.1.2)."""
    it = rsa_key().private_numbers()
    parts = {"version": 0, "n": it.public_numbers.n, "e": it.public_numbers.e}
    parts |= {name: getattr(it, name) for name in ("d", "p", "q", "dmp1", "dmq1", "iqmp")}
    if part is not None:
        parts[part] += 2
    body = b"".join(_der(0x02, value.to_bytes(value.bit_length() // 8 + 1)) for value in parts.values())
    lines = base64.encodebytes(_der(0x30, body)).decode()
    return f"-----BEGIN RSA PRIVATE KEY-----\n{lines}-----END RSA PRIVATE KEY-----\n"


def _der(tag: int, value: bytes) -> bytes:
    size = len(value)
    long = size.to_bytes((size.bit_length() + 7) // 8)
    return bytes([tag]) + (bytes([size]) if size < 128 else bytes([0x80 | len(long)]) + long) + value


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(lambda: key_pem(), id="as it is"),
        pytest.param(lambda: pem(rsa_key(), TRADITIONAL), id="PKCS #1"),
        pytest.param(lambda: key_pem() + "OCI_API_KEY\n", id="with Oracle's label"),
        pytest.param(lambda: "Bag Attributes\n  friendlyName: x\n" + key_pem(), id="with OpenSSL's attributes"),
        pytest.param(lambda: key_pem().replace("\n", "\r\n"), id="lines of Windows"),
        pytest.param(lambda: "\ufeff \n" + key_pem().strip(), id="blanks around"),
        pytest.param(lambda: key_pem().replace("\n", "\n  "), id="indented"),
    ],
)
def test_a_key_has_one_spelling(text: object) -> None:
    assert private_key_pem(text()) == key_pem()  # type: ignore[operator]


@pytest.mark.parametrize(
    "text, reason",
    [
        pytest.param(lambda: "", "private_key", id="nothing"),
        pytest.param(lambda: "hush", "private_key", id="no PEM"),
        pytest.param(lambda: "가" * 100, "private_key", id="Hangul"),
        pytest.param(lambda: "-----BEGIN PRIVATE KEY-----\n가\n-----END PRIVATE KEY-----", "private_key", id="in PEM"),
        pytest.param(lambda: key_pem()[:-200], "private_key", id="the end is missing"),
        pytest.param(
            lambda: key_pem()[: len(key_pem()) // 2] + "\n-----END PRIVATE KEY-----", "private_key", id="half"
        ),
        pytest.param(lambda: key_pem().replace("PRIVATE", "PUBLIC"), "private_key", id="called public"),
        pytest.param(
            lambda: rsa_key().public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode(),
            "private_key",
            id="the public half",
        ),
        pytest.param(lambda: pem(rsa_key(1024)), "private_key", id="too short"),
        pytest.param(lambda: pem(ec.generate_private_key(ec.SECP256R1())), "private_key", id="elliptic"),
        pytest.param(lambda: pem(ed25519.Ed25519PrivateKey.generate()), "private_key", id="Ed25519"),
        pytest.param(lambda: pem(rsa_key(), PrivateFormat.OpenSSH), "private_key", id="OpenSSH"),
        pytest.param(lambda: pem(rsa_key(), PKCS8, b"hush"), "encrypted_key", id="encrypted"),
        pytest.param(lambda: pem(rsa_key(), TRADITIONAL, b"hush"), "encrypted_key", id="encrypted, PKCS #1"),
        pytest.param(lambda: "-----BEGIN PRIVATE KEY-----" * 4000, "private_key", id="many beginnings"),
        pytest.param(lambda: "-----BEGIN " + "A" * 100_000, "private_key", id="a long name"),
    ],
)
def test_no_key(text: object, reason: str) -> None:
    with pytest.raises(ValueError, match=rf"\A{reason}\Z"):
        private_key_pem(text())  # type: ignore[operator]


@pytest.mark.parametrize("part", ["n", "e", "d", "p", "q", "dmp1", "dmq1", "iqmp"])
def test_a_key_whose_parts_do_not_belong_together(part: str) -> None:
    assert private_key_pem(broken(None)) == key_pem()
    with pytest.raises(ValueError, match=r"\Aprivate_key\Z"):
        private_key_pem(broken(part))


def test_the_fingerprint_is_that_of_the_public_key() -> None:
    """``openssl pkey -pubout -outform DER | md5``, as Oracle documents it."""
    public = rsa_key().public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    assert fingerprint_of(rsa_key()).replace(":", "") == hashlib.md5(public).hexdigest()
    assert len(fingerprint_of(rsa_key())) == 47
