"""Looks whether master keys were added: one thread of a server process, asleep mostly.

A thread of its own, because a key may be wrapped by a secrets service, which no request waits for.
"""

from __future__ import annotations

import logging

from provider.security.master_keys import Renewal
from provider.upkeep.background import Background

log = logging.getLogger("mcp_core.vault")
LOOK_SECONDS = 2.0


class RingWatch(Background):
    def __init__(self, renewal: Renewal, *, look_seconds: float = LOOK_SECONDS) -> None:
        super().__init__("ring watch", log, "cannot look for master keys")
        self._renewal = renewal
        self._look_seconds = look_seconds

    def turn(self) -> bool:
        self._renewal.look()
        return True

    def pause(self) -> float:
        return self._look_seconds
