"""A line of those who wait, in which sources take turns: who asks much waits behind itself."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Generic, TypeVar

PATIENCE_SECONDS = 2.0
MACHINE_LINE = 256
PAGE_LINE = 64
Item = TypeVar("Item")


class LaneFull(Exception):
    """Nobody can wait here at this moment. ``is_own_share``: because of what the same source has waiting already."""

    def __init__(self, *, is_own_share: bool) -> None:
        super().__init__(is_own_share)
        self.is_own_share = is_own_share


class Line(Generic[Item]):
    """At most ``most`` wait, and half as many of one source. Not safe for threads: its owner has a lock."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._waiting: OrderedDict[str, deque[Item]] = OrderedDict()
        self._length = 0

    def __len__(self) -> int:
        return self._length

    def join(self, source: str, item: Item) -> None:
        """Raises ``LaneFull``."""
        own = self._waiting.get(source)
        if self._length >= self._most:
            raise LaneFull(is_own_share=False)
        if own is not None and len(own) >= max(1, self._most // 2):
            raise LaneFull(is_own_share=True)
        self._waiting.setdefault(source, deque()).append(item)
        self._length += 1

    def leave(self, source: str, item: Item) -> bool:
        """Whether it was still waiting."""
        own = self._waiting.get(source)
        if own is None or item not in own:
            return False
        own.remove(item)
        self._length -= 1
        if not own:
            del self._waiting[source]
        return True

    def next(self, may_come: Callable[[str], bool] = lambda _source: True) -> Item | None:
        """The first of the source that has waited longest for a turn, among those that ``may_come``."""
        for source, own in self._waiting.items():
            if may_come(source):
                item = own.popleft()
                self._length -= 1
                del self._waiting[source]
                if own:
                    self._waiting[source] = own  # behind the others
                return item
        return None
