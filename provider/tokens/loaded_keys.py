"""The signing keys as they were read from the database, and what each of them is at a moment."""

from __future__ import annotations

import datetime
from collections.abc import Sequence

from provider.tokens.signing_key import SigningKey

_NEVER = datetime.datetime.max.replace(tzinfo=datetime.UTC)


class LoadedKeys:
    """Read at ``at``. ``unreadable`` are the ids of those that do not open.

    What is asked of it for every token is found once, and holds until the next key begins or ends.
    """

    def __init__(self, at: datetime.datetime, keys: Sequence[SigningKey], unreadable: Sequence[str]) -> None:
        self.at = at
        self.keys = tuple(keys)
        self.unreadable = tuple(unreadable)
        times = [time for key in keys for time in (key.activates_at, key.retires_at) if time is not None and time > at]
        self._until = min(times, default=_NEVER)
        self._counting = self._find_counting(at)
        self._signing = {name: self._find_signing(name, at) for name in {key.algorithm for key in keys}}

    def counting(self, moment: datetime.datetime) -> tuple[SigningKey, ...]:
        """Those that are shown, and whose signatures count: next, active and retiring ones."""
        return self._counting if self._is_as_read(moment) else self._find_counting(moment)

    def signing(self, algorithm: str, moment: datetime.datetime) -> SigningKey | None:
        """Of those that have begun, the one that began last. One that was replaced before it began signs only where nothing
        better has begun."""
        return self._signing.get(algorithm) if self._is_as_read(moment) else self._find_signing(algorithm, moment)

    def _is_as_read(self, moment: datetime.datetime) -> bool:
        return self.at <= moment < self._until

    def _find_counting(self, moment: datetime.datetime) -> tuple[SigningKey, ...]:
        return tuple(key for key in self.keys if key.retires_at is None or moment < key.retires_at)

    def _find_signing(self, algorithm: str, moment: datetime.datetime) -> SigningKey | None:
        usable = [
            key for key in self._find_counting(moment) if key.algorithm == algorithm and key.activates_at <= moment
        ]
        return max(usable, key=lambda key: (key.retires_at is None, key.activates_at, key.kid), default=None)
