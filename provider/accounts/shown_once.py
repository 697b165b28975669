"""What is shown once follows from the cookie of the session that it is shown to.

So nothing of it is stored, sealed or otherwise, and for a short time a reload can show it again to that session alone.
The cookie itself is 256 random bits, stored as a hash, and another one after every proof of who one is.
"""

from __future__ import annotations

import datetime

from provider.security.crypto import Keyring

SHOWN_SECONDS = 600
RECOVERY_ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"
RECOVERY_CHARACTERS = 14


def is_shown_still(made_at: datetime.datetime, now: datetime.datetime) -> bool:
    return now - made_at <= datetime.timedelta(seconds=SHOWN_SECONDS)


def key_secret(keyring: Keyring, session_token: str, client_id: str, after: str | None = None) -> str:
    """The secret of the API key ``client_id`` that this session made, in the place of the one with the hash ``after``."""
    value = f"{session_token}|{client_id}" if after is None else f"{session_token}|{client_id}|{after}"
    return keyring.derive_secret("ak", "api key of session", value)


def recovery_codes(keyring: Keyring, session_token: str, count: int) -> list[str]:
    """The recovery codes, ungrouped, that were made together with this cookie: 69 bits each."""
    codes = []
    for position in range(count):
        number = int(keyring.keyed_hash("recovery code of session", f"{session_token}|{position}"), 16)
        characters = []
        for _ in range(RECOVERY_CHARACTERS):
            number, index = divmod(number, len(RECOVERY_ALPHABET))
            characters.append(RECOVERY_ALPHABET[index])
        codes.append("".join(characters))
    return codes
