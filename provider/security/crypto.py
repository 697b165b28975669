"""Secrets: made, recognised, hashed, derived and encrypted. All randomness comes from ``secrets``.

A secret reads ``mcp_<kind>_<43 random characters><6 characters of checksum>``. The prefix lets scanners and log filters
find it, the checksum lets a typing error be refused without asking the database, and the alphabet is the
unreserved one, so that Basic authentication needs no escaping (RFC 3986 §2.3).
"""

from __future__ import annotations

import base64
import hmac
import re
import secrets
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

SecretKind = Literal[
    "cs", "ak", "ac", "rt", "setup", "session", "step", "request", "browser", "reset", "verify", "reg", "init", "par",
    "invite", "alert", "undo", "stop", "export", "address", "wait", "remember",
]  # fmt: skip

_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_RANDOM_CHARACTERS = 43
_CHECKSUM_CHARACTERS = 6
_SECRET = re.compile(r"mcp_([a-z]+)_([0-9A-Za-z]{43})([0-9A-Za-z]{6})")
SECRET_PATTERN = re.compile(r"mcp_[a-z]+_[0-9A-Za-z]{49}")


class DecryptionFailed(Exception):
    """A ciphertext was altered, moved, truncated, or made with a key that is not here."""


def _base62(number: int, width: int) -> str:
    digits = []
    for _ in range(width):
        number, digit = divmod(number, 62)
        digits.append(_ALPHABET[digit])
    return "".join(reversed(digits))


def _with_checksum(kind: str, random_part: str) -> str:
    body = f"mcp_{kind}_{random_part}"
    return body + _base62(zlib.crc32(body.encode()), _CHECKSUM_CHARACTERS)


def new_secret(kind: SecretKind) -> str:
    """A fresh secret of 256 random bits."""
    return _with_checksum(kind, _base62(secrets.randbits(256), _RANDOM_CHARACTERS))


def new_name(prefix: str) -> str:
    """A public, unguessable name such as a ``client_id``: 128 random bits behind ``prefix``."""
    return f"{prefix}_{_base62(secrets.randbits(128), 22)}"


def is_secret(kind: SecretKind, text: str) -> bool:
    """Whether ``text`` has the form and the checksum of a secret of this kind. Says nothing about its validity."""
    match = _SECRET.fullmatch(text)
    return match is not None and match[1] == kind and _with_checksum(kind, match[2]) == text


def constant_time_equal(left: str, right: str) -> bool:
    return hmac.compare_digest(left.encode(), right.encode())


@dataclass(frozen=True, repr=False)
class Keyring:
    """Every key that is not a signing key. One purpose, one derived key.

    ``hashing_key`` is for good: what was hashed with it cannot be found with another. ``encryption_keys`` are read from
    first to last by id; the first one writes.
    """

    hashing_key: bytes
    encryption_keys: Sequence[tuple[str, bytes]]
    _derived: dict[str, bytes] = field(default_factory=dict, init=False)
    _ciphers: dict[str, AESGCM] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        if len(self.hashing_key) < 32 or not self.encryption_keys:
            raise ValueError("a keyring needs a hashing key and an encryption key of 32 bytes each")
        for name, key in self.encryption_keys:
            if len(key) != 32:
                raise ValueError("an encryption key must have 32 bytes")
            self._ciphers[name] = AESGCM(HKDF(SHA256(), 32, None, b"mcp-core encryption").derive(key))

    def _key_for(self, purpose: str) -> bytes:
        key = self._derived.get(purpose)
        if key is None:
            key = HKDF(SHA256(), 32, None, b"mcp-core hashing " + purpose.encode()).derive(self.hashing_key)
            self._derived[purpose] = key
        return key

    def keyed_hash(self, purpose: str, value: str) -> str:
        """HMAC-SHA-256 of ``value`` as 64 hexadecimal digits; what we only check is stored like this."""
        return hmac.digest(self._key_for(purpose), value.encode(), "sha256").hex()

    def derive_secret(self, kind: SecretKind, purpose: str, value: str) -> str:
        """The secret that follows from ``value``: the same each time, and unguessable without our key."""
        digest = hmac.digest(self._key_for(purpose), value.encode(), "sha256")
        return _with_checksum(kind, _base62(int.from_bytes(digest), _RANDOM_CHARACTERS))

    def encrypt(self, plaintext: bytes, context: Mapping[str, str]) -> str:
        """AES-256-GCM ciphertext as ``v1.<key id>.<nonce>.<ciphertext>``.

        ``context`` says where the value lives (table, column, row id, owner) and is authenticated with it, so that a
        ciphertext moved elsewhere does not open.
        """
        name = self.encryption_keys[0][0]
        nonce = secrets.token_bytes(12)
        sealed = self._ciphers[name].encrypt(nonce, plaintext, _associated_data(context))
        return f"v1.{name}.{_encode(nonce)}.{_encode(sealed)}"

    def decrypt(self, ciphertext: str, context: Mapping[str, str]) -> bytes:
        """Raises ``DecryptionFailed`` on any doubt."""
        try:
            version, name, nonce, sealed = ciphertext.split(".")
            if version != "v1":
                raise DecryptionFailed("unknown version")
            return self._ciphers[name].decrypt(_decode(nonce), _decode(sealed), _associated_data(context))
        except (ValueError, KeyError, InvalidTag) as error:
            raise DecryptionFailed("the stored value does not open") from error


def _associated_data(context: Mapping[str, str]) -> bytes:
    return "\x1f".join(f"{name}={value}" for name, value in sorted(context.items())).encode()


def _encode(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


def _decode(value: str) -> bytes:
    """Raises ``ValueError`` for all but the one spelling that ``_encode`` writes."""
    decoded = base64.urlsafe_b64decode(value + "=" * (-len(value) % 4))
    if _encode(decoded) != value:
        raise ValueError("not base64url")
    return decoded
