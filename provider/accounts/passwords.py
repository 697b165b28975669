"""Passwords: argon2id, bounded in memory, and which ones are too weak (NIST SP 800-63B §3.1.1)."""

from __future__ import annotations

import contextlib
import threading
import unicodedata
from collections.abc import Iterator

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from provider.accounts.common_passwords import COMMON_PASSWORDS, keyboard_spelling

MAX_CHARACTERS = 256
MAX_TYPED_CHARACTERS = 4 * MAX_CHARACTERS  # a syllable of Hangul can arrive as three characters
MIN_WITH_SECOND_FACTOR = 8
LOWEST_SCORE = 2
QUEUE_SECONDS = 10


class WeakPassword(ValueError):
    """The password cannot be set. ``reason`` is ``too_short``, ``too_long``, ``common`` or ``personal``."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class HashingBusy(Exception):
    """Too many passwords are being hashed at this moment. Nothing was decided about this one."""


class Passwords:
    """Hashes and checks passwords. Never call it with a transaction open: a hash takes tens of milliseconds."""

    def __init__(self, *, memory_kib: int, time_cost: int, parallelism: int, concurrency: int, min_length: int) -> None:
        self._hasher = PasswordHasher(time_cost=time_cost, memory_cost=memory_kib, parallelism=parallelism)
        self._slots = threading.BoundedSemaphore(concurrency)
        self._min_length = min_length
        self._dummy: str | None = None

    def hash(self, password: str) -> str:
        with self._slot():
            return self._hasher.hash(normalised(password))

    def verify(self, password_hash: str | None, password: str) -> bool:
        """Whether the password is right. Without a hash the same work is done, so that time tells nothing."""
        text = normalised(password) if len(password) <= MAX_TYPED_CHARACTERS else None
        if text is None or len(text) > MAX_CHARACTERS:
            text, password_hash = "", None
        if self._dummy is None:
            self._dummy = self.hash("nobody has this password")
        with self._slot():
            try:
                self._hasher.verify(password_hash or self._dummy, text)
            except (VerificationError, InvalidHashError):
                return False
        return bool(password_hash)

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

    @contextlib.contextmanager
    def _slot(self) -> Iterator[None]:
        if not self._slots.acquire(timeout=QUEUE_SECONDS):
            raise HashingBusy
        try:
            yield
        finally:
            self._slots.release()


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
