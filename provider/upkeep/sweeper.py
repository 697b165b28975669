"""Deletes what has expired while the server runs: one thread of a server process, asleep mostly.

Of all processes on one database, on one machine or several, one at a time sweeps. Nothing depends on it: what is over is
refused by its time, whether or not its row is still there.
"""

from __future__ import annotations

import datetime
import logging
import secrets
import time
from collections.abc import Callable

from database.faults import is_database_fault, is_passing_fault
from database.transaction import Transaction
from provider.services import Services
from provider.upkeep.background import Background
from provider.upkeep.purges import Purge, purges

log = logging.getLogger("mcp_core.sweeper")
INTERVAL_SECONDS = 300
# A sweep that has more to do goes on with it the next time.
BUDGET_SECONDS = 20
# Small transactions with pauses: no request waits long for a row, or for its turn to write to SQLite.
BATCH = 200
PAUSE_SECONDS = 0.05


class Sweeper(Background):
    def __init__(
        self,
        services: Services,
        clock: Callable[[], datetime.datetime],
        *,
        interval_seconds: float = INTERVAL_SECONDS,
        budget_seconds: float = BUDGET_SECONDS,
    ) -> None:
        super().__init__("sweeper", log, "cannot sweep")
        self._services = services
        self._clock = clock
        self._interval = interval_seconds
        self._budget = budget_seconds

    def turn(self) -> bool:
        return self.sweep() is not None

    def pause(self) -> float:
        """A quarter to three quarters of the interval: processes that were started together part."""
        return self._interval * (250 + secrets.randbelow(500)) / 1000

    def sweep(self) -> int | None:
        """Sweeps once. Returns how many rows went, None if it is another's turn. Raises what the database raises."""
        if not self._claim():
            return None
        pending, total = purges(self._services), 0
        deadline = time.monotonic() + self._budget
        while pending:
            for name, purge in list(pending.items()):
                if self._stopping.is_set() or time.monotonic() >= deadline:
                    log.info("swept %d rows, more are left for the next time", total)
                    return total
                count = self._purge(name, purge)
                total += count
                if count < BATCH:
                    del pending[name]
                else:
                    self._stopping.wait(PAUSE_SECONDS)
        return total

    def _claim(self) -> bool:
        """Whether this process is the first of its interval. One that comes late would meet the sweep of the next."""
        now = self._clock().timestamp()
        interval, gone = divmod(now, self._interval)
        if self._interval - gone < 2 * self._budget:
            return False
        until = datetime.datetime.fromtimestamp((interval + 2) * self._interval, datetime.UTC)
        with Transaction(self._services.engine) as tx:
            return self._services.replay.claim(tx, "sweep", str(int(interval)), until)

    def _purge(self, name: str, purge: Purge) -> int:
        """One batch. What stands in another's way, or cannot be done, keeps back no other and waits for the next time."""
        try:
            with Transaction(self._services.engine) as tx:
                return purge(tx, self._clock(), BATCH)
        except Exception as error:
            if is_passing_fault(error):
                log.info("sweeping %s was in somebody's way: %s", name, type(error).__name__)
            elif is_database_fault(error):
                raise
            else:
                log.exception("%s cannot be swept", name)
            return 0
