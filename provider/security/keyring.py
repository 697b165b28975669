"""Every key that is not a signing key. One purpose, one derived key."""

from __future__ import annotations

import hmac
from collections.abc import Sequence

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from provider.security import envelope
from provider.security.envelope import Context
from provider.security.master_keys import KEY_BYTES, MasterKeys, NamedKey
from provider.security.secret_forms import SecretKind, secret_of


class Keyring:
    """``hashing_key`` is for good: what was hashed with it cannot be found with another. ``encryption_keys`` are the
    master keys by id: all of them read, the first one writes. ``masters`` is their ring, which may grow.
    """

    def __init__(self, hashing_key: bytes, encryption_keys: Sequence[NamedKey]) -> None:
        if len(hashing_key) < KEY_BYTES:
            raise ValueError(f"a hashing key has at least {KEY_BYTES} bytes")
        self._hashing_key = hashing_key
        self._begun: dict[str, hmac.HMAC] = {}
        self.masters = MasterKeys(encryption_keys)

    def keyed_hash(self, purpose: str, value: str) -> str:
        """HMAC-SHA-256 of ``value`` as 64 hexadecimal digits; what we only check is stored like this."""
        return self._digest(purpose, value).hex()

    def derive_secret(self, kind: SecretKind, purpose: str, value: str) -> str:
        """The secret that follows from ``value``: the same each time, and unguessable without our key."""
        return secret_of(kind, self._digest(purpose, value))

    def encrypt(self, plaintext: bytes, context: Context) -> str:
        """The sealed value (``security/envelope.py``) under the first master key.

        ``context`` says where the value lives (table, column, row id, and owner and version where there are) and is
        authenticated with it, so that a value moved elsewhere does not open. Of a column it is ``SealedColumn.context``.
        """
        return envelope.seal(self.masters.first, plaintext, context)

    def decrypt(self, ciphertext: str, context: Context) -> bytes:
        """Raises ``DecryptionFailed`` on any doubt."""
        return envelope.unseal(self.masters, ciphertext, context)

    def rewrapped(self, ciphertext: str, context: Context) -> str | None:
        """The value under the first master key, None if it is. Raises ``DecryptionFailed`` for one that does not open."""
        return envelope.resealed(self.masters, ciphertext, context)

    def _digest(self, purpose: str, value: str) -> bytes:
        hashing = self._begun_for(purpose).copy()
        hashing.update(value.encode())
        return hashing.digest()

    def _begun_for(self, purpose: str) -> hmac.HMAC:
        """With the key in it, once for all: to put it in costs as much as the rest of a hash."""
        begun = self._begun.get(purpose)
        if begun is None:
            key = HKDF(SHA256(), KEY_BYTES, None, b"mcp-core hashing " + purpose.encode()).derive(self._hashing_key)
            begun = self._begun[purpose] = hmac.new(key, digestmod="sha256")
        return begun
