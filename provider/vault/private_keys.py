"""Private RSA keys in PEM that people paste."""

from __future__ import annotations

import hashlib
import re

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

LEAST_BITS, MOST_BITS = 2048, 4096
_BLOCK = re.compile(r"-----BEGIN (?P<kind>[A-Z ]+)-----(?P<body>[^-]*)-----END (?P=kind)-----")
_ENCRYPTED = re.compile(r"BEGIN ENCRYPTED|Proc-Type: *4,ENCRYPTED")


def rsa_private_key(text: str) -> RSAPrivateKey:
    """The key in ``text``. Text around its block is left out: Oracle's console writes a label below it.

    Raises ``ValueError``: ``encrypted_key``, or ``private_key`` for everything else.
    """
    if _ENCRYPTED.search(text):
        raise ValueError("encrypted_key")
    block = _BLOCK.search(text)
    if block is None:
        raise ValueError("private_key")
    pem = f"-----BEGIN {block['kind']}-----\n{block['body'].strip()}\n-----END {block['kind']}-----\n".encode()
    try:
        # Its primes are not proved: that takes a second for a long key, while a database transaction is open.
        key = load_pem_private_key(pem, password=None, unsafe_skip_rsa_key_validation=True)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise ValueError("private_key") from None
    if not isinstance(key, RSAPrivateKey) or not LEAST_BITS <= key.key_size <= MOST_BITS or not _is_whole(key):
        raise ValueError("private_key")
    return key


def pem_of(key: RSAPrivateKey) -> str:
    """The one spelling that is kept (PKCS #8, RFC 5958)."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def private_key_pem(text: str) -> str:
    """A check: the key in its one spelling."""
    return pem_of(rsa_private_key(text))


def fingerprint_of(key: RSAPrivateKey) -> str:
    """MD5 of the public key in DER, as Oracle shows it: ``12:34:…``. A name, not a protection.

    https://docs.oracle.com/en-us/iaas/Content/API/Concepts/apisigningkey.htm#four
    """
    public = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return hashlib.md5(public, usedforsecurity=False).digest().hex(":")


def _is_whole(key: RSAPrivateKey) -> bool:
    """Whether the parts of the key belong together (RFC 8017 §3.2): a digit that was lost on the way shows here."""
    it = key.private_numbers()
    n, e = it.public_numbers.n, it.public_numbers.e
    return (
        it.p * it.q == n
        and it.d * e % (it.p - 1) == 1
        and it.d * e % (it.q - 1) == 1
        and it.dmp1 == it.d % (it.p - 1)
        and it.dmq1 == it.d % (it.q - 1)
        and it.iqmp * it.q % it.p == 1
    )
