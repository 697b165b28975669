"""What an authenticator is asked to sign: made without a row, bound to one browser and one purpose, good for one answer."""

from __future__ import annotations

import datetime
import secrets
from enum import StrEnum

from database.transaction import Transaction
from provider.security.crypto import Keyring, constant_time_equal
from provider.security.replay import ReplayGuard

SECONDS = 600
_RANDOM_BYTES = 16
_TIME_BYTES = 8
_BYTES = _RANDOM_BYTES + _TIME_BYTES + 32


class Purpose(StrEnum):
    """What a ceremony is for: an answer to one is none to another."""

    SIGN_IN = "sign in"
    SECOND_FACTOR = "second factor"
    AGAIN = "again"
    ADD = "add"
    SIGN_UP = "sign up"
    RESET = "reset"


class ChallengeOver(Exception):
    """The challenge has been answered, has expired, or was made for another browser, purpose or person."""


class PasskeyChallenges:
    """Showing a page leaves nothing in the database: a challenge carries its end and our seal, and only an answer is kept.

    WebAuthn asks for 16 random bytes that the server has made (Web Authentication Level 3 §13.4.3); that each is answered
    once is for the replay guard.
    """

    def __init__(self, keyring: Keyring, replay: ReplayGuard) -> None:
        self._keyring = keyring
        self._replay = replay

    def make(self, now: datetime.datetime, purpose: Purpose, bound_to: str) -> bytes:
        """A challenge that only ``bound_to`` can answer: a browser, with the session or the step that it is in."""
        ends_at = int(now.timestamp()) + SECONDS
        body = secrets.token_bytes(_RANDOM_BYTES) + ends_at.to_bytes(_TIME_BYTES)
        return body + bytes.fromhex(self._seal(body, purpose, bound_to))

    def use(self, tx: Transaction, now: datetime.datetime, purpose: Purpose, bound_to: str, challenge: bytes) -> None:
        """Uses a challenge up, for exactly one caller. Raises ``ChallengeOver``."""
        body, seal = challenge[:-32], challenge[-32:]
        if len(challenge) != _BYTES or not constant_time_equal(self._seal(body, purpose, bound_to), seal.hex()):
            raise ChallengeOver
        ends_at = datetime.datetime.fromtimestamp(int.from_bytes(body[_RANDOM_BYTES:]), datetime.UTC)
        if now >= ends_at or not self._replay.claim(tx, "passkey challenge", challenge.hex(), ends_at):
            raise ChallengeOver

    def _seal(self, body: bytes, purpose: Purpose, bound_to: str) -> str:
        return self._keyring.keyed_hash("passkey challenge", f"{purpose}|{bound_to}|{body.hex()}")
