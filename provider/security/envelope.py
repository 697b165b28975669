"""One sealed value: the bytes under a data key of their own, the data key under a master key.

A sealed value reads ``v2.<master key id>.<wrapped data key>.<nonce>.<ciphertext>``. A master key only ever sees keys, so a
new one has little to do, and no two values share a key. Both layers are AES-256-GCM (NIST SP 800-38D) with a fresh 96-bit
nonce, and both authenticate where the value lives, so that one which was moved does not open.
"""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import Mapping

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from provider.security.master_keys import MasterKey, MasterKeys

# Says where a value lives: table, column, id and, where they are known, owner and version.
Context = Mapping[str, str]

_FORMAT, _FIRST_FORMAT = "v2", "v1"
_KEY_BYTES, _NONCE_BYTES = 32, 12


class DecryptionFailed(Exception):
    """A sealed value was altered, moved, truncated, or made with a key that is not here."""


def seal(master: MasterKey, plaintext: bytes, context: Context) -> str:
    """``plaintext`` under a fresh data key, and that key under ``master``."""
    data_key = secrets.token_bytes(_KEY_BYTES)
    sealed = _encrypt(AESGCM(data_key), plaintext, _bound("value", context))
    nonce, ciphertext = sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:]
    return f"{_FORMAT}.{master.id}.{_wrapped(master, data_key, context)}.{_encode(nonce)}.{_encode(ciphertext)}"


def unseal(masters: MasterKeys, sealed: str, context: Context) -> bytes:
    """What is sealed, also in the first format, whose values are under a master key itself. Raises ``DecryptionFailed``."""
    try:
        version, name, *parts = sealed.split(".")
        master = masters.find(name)
        if master is None:
            raise DecryptionFailed("the stored value is under a key that is not here")
        if version == _FORMAT:
            wrapped, nonce, ciphertext = map(_decode, parts)
            return _decrypt(AESGCM(_unwrapped(master, wrapped, context)), nonce + ciphertext, _bound("value", context))
        if version == _FIRST_FORMAT:
            nonce, ciphertext = map(_decode, parts)
            return _decrypt(master.first_format, nonce + ciphertext, _bound_in_first_format(context))
        raise DecryptionFailed("the stored value has an unknown format")
    except (ValueError, InvalidTag) as error:
        raise DecryptionFailed("the stored value does not open") from error


def resealed(masters: MasterKeys, sealed: str, context: Context) -> str | None:
    """The value under the first master key, or None where it is. Raises ``DecryptionFailed``: what doesn't open stays.

    Its data key alone is wrapped anew. A value of the first format has none, and is sealed anew.
    """
    if is_under(masters.first.id, sealed):
        return None
    plaintext = unseal(masters, sealed, context)
    version, name, *parts = sealed.split(".")
    master = masters.find(name)
    if version == _FIRST_FORMAT or master is None:
        return seal(masters.first, plaintext, context)
    data_key = _unwrapped(master, _decode(parts[0]), context)
    return ".".join((_FORMAT, masters.first.id, _wrapped(masters.first, data_key, context), *parts[1:]))


def is_under(name: str, sealed: str) -> bool:
    """Whether the value is in today's format, and its data key under the master key of this id."""
    return sealed.startswith(f"{_FORMAT}.{name}.")


def prefixes(name: str) -> tuple[str, str]:
    """What values under the master key of this id begin with: in today's format, and in the first one."""
    return f"{_FORMAT}.{name}.", f"{_FIRST_FORMAT}.{name}."


def is_sealed(text: str) -> bool:
    """Whether ``text`` has the form of a sealed value. Says nothing about whether it opens."""
    version, *parts = text.split(".")
    return version == _FORMAT and len(parts) == 4 and all(parts)


def _wrapped(master: MasterKey, data_key: bytes, context: Context) -> str:
    return _encode(_encrypt(master.wrapping, data_key, _bound(f"key {master.id}", context)))


def _unwrapped(master: MasterKey, wrapped: bytes, context: Context) -> bytes:
    return _decrypt(master.wrapping, wrapped, _bound(f"key {master.id}", context))


def _encrypt(cipher: AESGCM, plaintext: bytes, bound: bytes) -> bytes:
    nonce = secrets.token_bytes(_NONCE_BYTES)
    return nonce + cipher.encrypt(nonce, plaintext, bound)


def _decrypt(cipher: AESGCM, sealed: bytes, bound: bytes) -> bytes:
    """Raises ``InvalidTag``, and ``ValueError`` for what is too short."""
    return cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], bound)


def _bound(layer: str, context: Context) -> bytes:
    """What a layer authenticates: the format, which layer it is, and the context, in an unmistakable spelling."""
    return json.dumps([_FORMAT, layer, sorted(context.items())]).encode()


def _bound_in_first_format(context: Context) -> bytes:
    return "\x1f".join(f"{name}={value}" for name, value in sorted(context.items())).encode()


def _encode(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


def _decode(value: str) -> bytes:
    """Raises ``ValueError`` for all but the one spelling that ``_encode`` writes."""
    decoded = base64.urlsafe_b64decode(value + "=" * (-len(value) % 4))
    if _encode(decoded) != value:
        raise ValueError("not base64url")
    return decoded
