"""Who comes again and again although they were told to wait: refused before anything is done for them.

A refusal (429, 503) still costs a thread and a question to the database. Somebody who sends on without a pause would take
with refusals alone what others need.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

TIMES = 8
SECONDS = 1.0
REMEMBERED = 4096
_REFUSALS = (429, 503)


@dataclass(slots=True)
class _Refused:
    since: float
    times: int = 0
    status: int = 0
    until: float = 0.0


class Insistence:
    """Counts refusals by source. Eight within a second have all further calls of the next second refused unseen.

    Belongs to one event loop. The sources least recently refused are forgotten beyond 4,096.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._refused: OrderedDict[str, _Refused] = OrderedDict()

    def refusal(self, source: str) -> int | None:
        """The status that a call of ``source`` is refused with unseen, that of the refusals before; None for no refusal."""
        known = self._refused.get(source)
        return known.status if known is not None and self._clock() < known.until else None

    def note(self, source: str, status: int) -> None:
        """What a call of ``source`` was answered."""
        if status not in _REFUSALS:
            return
        now = self._clock()
        known = self._refused.get(source)
        if known is None or now - known.since >= SECONDS:
            known = self._refused[source] = _Refused(now)
        self._refused.move_to_end(source)
        known.times += 1
        known.status = status
        if known.times >= TIMES:
            known.until = now + SECONDS
        while len(self._refused) > REMEMBERED:
            self._refused.popitem(last=False)
