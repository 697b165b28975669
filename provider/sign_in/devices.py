"""The browsers that a user is signed in with: the sessions of one browser are one device."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from provider.sign_in.sessions import Session


@dataclass(frozen=True, slots=True)
class Device:
    """A browser with the user's living sessions in it, in the order in which they were given."""

    sessions: tuple[Session, ...]

    def holds(self, session_id: str) -> bool:
        return any(session.id == session_id for session in self.sessions)


def devices_of(sessions: Iterable[Session]) -> list[Device]:
    """One user's sessions by browser. A session whose browser is not known stands for itself."""
    found: dict[str, list[Session]] = {}
    for session in sessions:
        found.setdefault(session.device_hash or session.id, []).append(session)
    return [Device(tuple(together)) for together in found.values()]
