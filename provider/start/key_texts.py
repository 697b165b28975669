"""Keys as text: what stands in a key file or a setting, read and checked.

A key is base64 of 32 random bytes, or ``transit:`` and what a secrets service has made of it, which that service alone opens
(``start/transit.py``). Master keys have an id before them: ``k1:…``.
"""

from __future__ import annotations

import base64
import binascii
import re
import secrets
from collections.abc import Callable

from provider.security.master_keys import KEY_BYTES, NamedKey

WRAPPED = "transit:"
# What opens a wrapped key, given what stands behind ``WRAPPED``. Raises ``KeyFilesError``.
Unwrap = Callable[[str], bytes]

_ADVICE = "Make a key with: openssl rand -base64 32"
_STANDARD_ALPHABET = str.maketrans("-_", "+/")
_KEY_ID = re.compile(r"[A-Za-z0-9_-]{1,32}")
_FEWEST_DISTINCT = (
    12  # 32 random bytes, and their letters, have about 30 distinct ones, a typed or repeated text far fewer
)


class KeyFilesError(Exception):
    """The keys can't be used. The text says what to change, and never shows a key."""


def no_service(_wrapped: str) -> bytes:
    """``Unwrap`` where there is no secrets service."""
    raise KeyFilesError("is wrapped by a secrets service, and none is set: MCP_TRANSIT_URL, MCP_TRANSIT_TOKEN_FILE")


def decode_key(text: str, name: str, unwrap: Unwrap = no_service) -> bytes:
    """The key in ``text``: at least 32 bytes that look random. ``name`` is where it stands. Raises ``KeyFilesError``."""
    if text.startswith(WRAPPED):
        try:
            text = new_key_text(unwrap(text.removeprefix(WRAPPED)))
        except KeyFilesError as error:
            raise KeyFilesError(f"{name} {error}") from None
    bare = text.rstrip("=").translate(_STANDARD_ALPHABET)
    try:
        key = base64.b64decode(bare + "=" * (-len(bare) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise KeyFilesError(f"{name} is not base64. {_ADVICE}") from None
    if len(key) < KEY_BYTES:
        raise KeyFilesError(f"{name} is too short: {len(key)} bytes of {KEY_BYTES}. {_ADVICE}")
    if min(len(set(key)), len(set(bare))) < _FEWEST_DISTINCT or _is_text(key):
        raise KeyFilesError(f"{name} is an example or a typed text, not a key. {_ADVICE}")
    return key


def named_texts(text: str, name: str) -> dict[str, str]:
    """Master keys as text, by their ids: ``id:key`` pairs, separated by commas or line ends. Raises ``KeyFilesError``."""
    lines = (line.partition("#")[0] for line in text.splitlines())
    pairs = [pair.strip() for line in lines for pair in line.split(",") if pair.strip()]
    found: dict[str, str] = {}
    for pair in pairs:
        key_id, colon, encoded = pair.partition(":")
        if not colon or not _KEY_ID.fullmatch(key_id):
            raise KeyFilesError(f"{name} must hold pairs of the form id:base64, separated by commas")
        if key_id.lower() in map(str.lower, found):  # a database may not tell their case apart
            raise KeyFilesError(f"{name} names the key {key_id} twice")
        found[key_id] = encoded.strip()
    if not found:
        raise KeyFilesError(f"{name} holds no key")
    return found


def decode_named_keys(text: str, name: str, unwrap: Unwrap = no_service) -> tuple[NamedKey, ...]:
    """The master keys in ``text``, the one that writes first. Raises ``KeyFilesError``."""
    keys = []
    for key_id, encoded in named_texts(text, name).items():
        key = decode_key(encoded, f"{name} (key {key_id})", unwrap)
        if len(key) != KEY_BYTES:
            raise KeyFilesError(f"{name}: the key {key_id} must have exactly {KEY_BYTES} bytes")
        keys.append((key_id, key))
    return tuple(keys)


def new_key_text(key: bytes | None = None) -> str:
    """Base64 of ``key``, or of a new one."""
    return base64.b64encode(secrets.token_bytes(KEY_BYTES) if key is None else key).decode()


def _is_text(key: bytes) -> bool:
    """Printable ASCII throughout: one chance in 10¹³ for a random key, the rule for an example."""
    return all(32 <= byte < 127 for byte in key)
