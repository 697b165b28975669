"""The browsers of a user: where sessions are, and where no code is asked for."""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from dataclasses import dataclass

from provider.sign_in.sessions import Session


@dataclass(frozen=True, slots=True)
class RememberedDevice:
    """A browser in which the password alone signs in. ``device_hash`` is that of the sessions in it."""

    id: str
    device_hash: str
    user_agent: str | None
    created_at: datetime.datetime
    last_used_at: datetime.datetime
    expires_at: datetime.datetime


@dataclass(frozen=True, slots=True)
class Device:
    """A browser with the user's living sessions in it, in the order in which they were given.

    ``remembered`` says that no code is asked for there. It can be all that is left, when nobody is signed in there.
    """

    sessions: tuple[Session, ...]
    remembered: RememberedDevice | None = None

    @property
    def id(self) -> str:
        """What forms call it by: a session of it, or what is remembered."""
        return self.sessions[0].id if self.sessions else (self.remembered.id if self.remembered else "")

    @property
    def user_agent(self) -> str:
        known = self.sessions[0] if self.sessions else self.remembered
        return (known.user_agent if known else None) or ""

    def holds(self, session_id: str) -> bool:
        return any(session.id == session_id for session in self.sessions)

    def is_called(self, name: str) -> bool:
        """Whether a form means this one."""
        return self.holds(name) or (self.remembered is not None and self.remembered.id == name)


def devices_of(sessions: Iterable[Session], remembered: Iterable[RememberedDevice] = ()) -> list[Device]:
    """One user's sessions by browser. A session whose browser is not known stands for itself.

    Where nobody is signed in comes last.
    """
    found: dict[str, list[Session]] = {}
    for session in sessions:
        found.setdefault(session.device_hash or session.id, []).append(session)
    kept = {device.device_hash: device for device in remembered}
    signed_in = [Device(tuple(together), kept.pop(name, None)) for name, together in found.items()]
    return signed_in + [Device((), device) for device in kept.values()]
