"""Cursors: where a list that is read in pieces goes on. Opaque to whoever holds one, and of use to nobody else."""

from __future__ import annotations

import base64
import binascii

from provider.security.crypto import Keyring, constant_time_equal

MAX_CHARACTERS = 512
_SEAL = 32


class InvalidCursor(ValueError):
    """No cursor that was given out for this list."""


class Cursors:
    def __init__(self, keyring: Keyring) -> None:
        self._keyring = keyring

    def made(self, about: str, position: str) -> str:
        """A cursor for the list ``about``, which names whose it is as well."""
        return f"{base64.urlsafe_b64encode(position.encode()).rstrip(b'=').decode()}.{self._seal(about, position)}"

    def position(self, about: str, cursor: str) -> str:
        """What the cursor was made of. Raises ``InvalidCursor`` for another list's, another person's and a made-up one."""
        encoded, _, seal = cursor.partition(".")
        try:
            if len(cursor) > MAX_CHARACTERS:
                raise InvalidCursor
            position = base64.b64decode(encoded + "=" * (-len(encoded) % 4), altchars=b"-_", validate=True).decode()
        except (ValueError, binascii.Error):
            raise InvalidCursor from None
        if not constant_time_equal(seal, self._seal(about, position)):
            raise InvalidCursor
        return position

    def _seal(self, about: str, position: str) -> str:
        return self._keyring.keyed_hash("cursor", f"{about}|{position}")[:_SEAL]
