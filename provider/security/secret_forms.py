"""The form of a secret: made, recognised, compared. All randomness comes from ``secrets``.

A secret reads ``mcp_<kind>_<43 random characters><6 characters of checksum>``. The prefix lets scanners and log filters
find it, the checksum lets a typing error be refused without asking the database, and the alphabet is the
unreserved one, so that Basic authentication needs no escaping (RFC 3986 §2.3).
"""

from __future__ import annotations

import hmac
import re
import secrets
import zlib
from typing import Literal

SecretKind = Literal[
    "cs", "ak", "ac", "rt", "setup", "session", "step", "request", "browser", "reset", "verify", "reg", "init", "par",
    "invite", "alert", "undo", "stop", "export", "address", "wait", "remember",
]  # fmt: skip

_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_PAIRS = [first + second for first in _ALPHABET for second in _ALPHABET]  # two digits at a time: half the divisions
_RANDOM_CHARACTERS = 43
_CHECKSUM_CHARACTERS = 6
_SECRET = re.compile(r"mcp_([a-z]+)_([0-9A-Za-z]{43})([0-9A-Za-z]{6})")
SECRET_PATTERN = re.compile(r"mcp_[a-z]+_[0-9A-Za-z]{49}")


def _base62(number: int, width: int) -> str:
    pairs = []
    for _ in range(0, width, 2):
        number, pair = divmod(number, len(_PAIRS))
        pairs.append(_PAIRS[pair])
    return "".join(reversed(pairs))[-width:]


def _with_checksum(kind: str, random_part: str) -> str:
    body = f"mcp_{kind}_{random_part}"
    return body + _base62(zlib.crc32(body.encode()), _CHECKSUM_CHARACTERS)


def new_secret(kind: SecretKind) -> str:
    """A fresh secret of 256 random bits."""
    return _with_checksum(kind, _base62(secrets.randbits(256), _RANDOM_CHARACTERS))


def secret_of(kind: SecretKind, digest: bytes) -> str:
    """The secret of 256 bits that came from elsewhere."""
    return _with_checksum(kind, _base62(int.from_bytes(digest), _RANDOM_CHARACTERS))


def new_name(prefix: str) -> str:
    """A public, unguessable name such as a ``client_id``: 128 random bits behind ``prefix``."""
    return f"{prefix}_{_base62(secrets.randbits(128), 22)}"


def is_secret(kind: SecretKind, text: str) -> bool:
    """Whether ``text`` has the form and the checksum of a secret of this kind. Says nothing about its validity."""
    match = _SECRET.fullmatch(text)
    return match is not None and match[1] == kind and _with_checksum(kind, match[2]) == text


def constant_time_equal(left: str, right: str) -> bool:
    return hmac.compare_digest(left.encode(), right.encode())
