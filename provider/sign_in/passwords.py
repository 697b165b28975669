"""Passwords: argon2id, bounded in memory, and which ones are too weak (NIST SP 800-63B §3.1.1)."""

from __future__ import annotations

import base64
import contextlib
import secrets
import unicodedata

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from provider.sign_in.common_passwords import COMMON_PASSWORDS, keyboard_spelling
from provider.sign_in.hashing import HashingPool

MAX_CHARACTERS = 256
MAX_TYPED_CHARACTERS = 4 * MAX_CHARACTERS  # a syllable of Hangul can arrive as three characters
MIN_WITH_SECOND_FACTOR = 8
LOWEST_SCORE = 2


class WeakPassword(ValueError):
    """The password cannot be set. ``reason`` is ``too_short``, ``too_long``, ``common`` or ``personal``."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Passwords:
    """Hashes and checks passwords. Never call it with a transaction open: a hash takes tens of milliseconds."""

    def __init__(self, *, memory_kib: int, time_cost: int, parallelism: int, concurrency: int, min_length: int) -> None:
        self._hasher = PasswordHasher(time_cost=time_cost, memory_cost=memory_kib, parallelism=parallelism)
        self._pool = HashingPool(concurrency)
        self._min_length = min_length
        self.parameters = f"$argon2id$v=19$m={memory_kib},t={time_cost},p={parallelism}"
        self._nobody = hash_of_nobody(self.parameters)

    def hash(self, password: str) -> str:
        """Raises ``HashingBusy``."""
        text = normalised(password)
        return self._pool.run(lambda: self._hasher.hash(text))

    def verify(self, password_hash: str | None, password: str, *, stand_in: str | None = None) -> bool:
        """Whether the password is right. Raises ``HashingBusy``.

        The same work is done for every password, so that time tells nothing: for one that is too long, and against
        ``stand_in`` (a ``hash_of_nobody``, by default of the cost of new hashes) where there is no hash or a broken one.
        """
        text = normalised(password) if len(password) <= MAX_TYPED_CHARACTERS else ""
        is_possible = len(password) <= MAX_TYPED_CHARACTERS and len(text) <= MAX_CHARACTERS
        stand_in = stand_in or self._nobody
        typed = text if is_possible else ""
        is_right = self._pool.run(lambda: self._is_right(password_hash or stand_in, typed, stand_in))
        return is_right and is_possible and bool(password_hash)

    def needs_rehash(self, password_hash: str) -> bool:
        return self._hasher.check_needs_rehash(password_hash)

    def check_strength(
        self, password: str, *, username: str = "", email: str = "", second_factor_required: bool = False
    ) -> None:
        """Raises ``WeakPassword``. No rules about kinds of characters: length, and not being guessable."""
        import zxcvbn  # 0.1 s and 10 MB that only setting a password needs

        text = normalised(password)
        if len(text) < (MIN_WITH_SECOND_FACTOR if second_factor_required else self._min_length):
            raise WeakPassword("too_short")
        if len(text) > MAX_CHARACTERS:
            raise WeakPassword("too_long")
        folded = text.casefold()
        own = _words_about(username, email, email.partition("@")[0])
        if any(word in folded for word in own):
            raise WeakPassword("personal")
        known = {*COMMON_PASSWORDS, *(keyboard_spelling(word) for word in COMMON_PASSWORDS)}
        if folded in known or (len(folded) < 64 and _is_repetition(folded, known)):
            raise WeakPassword("common")
        if zxcvbn.zxcvbn(text[:72], user_inputs=[*own, *known])["score"] < LOWEST_SCORE:
            raise WeakPassword("common")

    def _is_right(self, password_hash: str, text: str, stand_in: str) -> bool:
        try:
            return self._hasher.verify(password_hash, text)
        except InvalidHashError:
            with contextlib.suppress(VerificationError):
                self._hasher.verify(stand_in, "")
            return False
        except VerificationError:
            return False


def hash_of_nobody(parameters: str) -> str:
    """A hash that no known password has, made without hashing: ``parameters`` and as many random bytes as a real one has."""
    random = (base64.b64encode(secrets.token_bytes(size)).rstrip(b"=").decode() for size in (16, 32))
    return "$".join((parameters, *random))


def normalised(password: str) -> str:
    """NFKC: the same typed password on every system (Hangul arrives decomposed from some)."""
    return unicodedata.normalize("NFKC", password)


def _words_about(*texts: str) -> set[str]:
    """What a person is called, also as a two-set keyboard types it. Three Latin letters occur in too many words."""
    words = {normalised(text).casefold() for text in texts}
    spelled = {word: keyboard_spelling(word) for word in words}
    return {form for word, typed in spelled.items() if len(typed) > 3 for form in (word, typed)}


def _is_repetition(text: str, known: set[str]) -> bool:
    return any(word and len(text) % len(word) == 0 and text == word * (len(text) // len(word)) for word in known)
