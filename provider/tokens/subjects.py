"""The identifiers by which a client knows a user and a session (OpenID Connect Core §8)."""

from __future__ import annotations

from provider.protocol.subjects import SectorClient, pairwise_sector
from provider.security.crypto import Keyring


class Subjects:
    def __init__(self, keyring: Keyring) -> None:
        self._keyring = keyring

    def of(self, client: SectorClient, user_id: str) -> str:
        """The user's own id, or a pseudonym that differs from one sector to the next and follows from our key alone."""
        sector = pairwise_sector(client)
        return user_id if sector is None else self._keyring.keyed_hash("pairwise subject", f"{sector}|{user_id}")

    def session_of(self, client: SectorClient, session_id: str) -> str:
        """The ``sid`` of a session. By one that they share, two sectors could put their pseudonyms together."""
        sector = pairwise_sector(client)
        if sector is None:
            return session_id
        return self._keyring.keyed_hash("pairwise session", f"{sector}|{session_id}")[:32]
