"""The ring of master keys: all of them read, the first one writes, and it can grow while the server runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

KEY_BYTES = 32
# An id and 32 random bytes.
NamedKey = tuple[str, bytes]


class Renewal(Protocol):
    """Brings in keys that were added since."""

    def look(self) -> None:
        """Looks whether there are any. May take a while: for a thread of its own, without a transaction."""

    def look_for_unknown(self) -> None:
        """Looks quickly, for somebody who has met an id that is not in the ring."""


@dataclass(frozen=True, repr=False, slots=True)
class MasterKey:
    """One of them, as the two keys that follow from it: for wrapping data keys, and for values of the first format."""

    id: str
    wrapping: AESGCM
    first_format: AESGCM

    @classmethod
    def of(cls, name: str, key: bytes) -> MasterKey:
        return cls(name, _derived(b"mcp-core key wrapping", key), _derived(b"mcp-core encryption", key))


class MasterKeys:
    """``renewal`` is asked for ids that are not known. Who replaces the ring does so at one stroke: no reader waits."""

    def __init__(self, keys: Sequence[NamedKey]) -> None:
        self._ring: dict[str, MasterKey] = {}
        self.renewal: Renewal | None = None
        self.replace(keys)

    @property
    def first(self) -> MasterKey:
        """The one that writes."""
        return next(iter(self._ring.values()))

    @property
    def ids(self) -> tuple[str, ...]:
        return tuple(self._ring)

    def find(self, name: str) -> MasterKey | None:
        found = self._ring.get(name)
        if found is None and self.renewal is not None:
            self.renewal.look_for_unknown()
            found = self._ring.get(name)
        return found

    def replace(self, keys: Sequence[NamedKey]) -> bool:
        """Takes these keys in place of all there were. Whether other ids, or another order, came of it.

        Raises ``ValueError``.
        """
        if not keys or any(len(key) != KEY_BYTES for _, key in keys):
            raise ValueError(f"a ring has at least one key, each of {KEY_BYTES} bytes")
        before = self.ids
        self._ring = {name: MasterKey.of(name, key) for name, key in keys}
        return self.ids != before


def _derived(purpose: bytes, key: bytes) -> AESGCM:
    return AESGCM(HKDF(SHA256(), KEY_BYTES, None, purpose).derive(key))
