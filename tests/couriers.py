"""What a courier does in its own time, done once while a test waits."""

from __future__ import annotations

from typing import Any

from database.transaction import Transaction
from provider.deliveries.courier import Courier


def attempt_due(courier: Courier[Any]) -> int:
    """Sends everything once that is due now, one after the other. Returns how many that were."""
    claimed = []
    for lane in courier._kind.lanes:
        with Transaction(courier._engine) as tx:
            claimed += courier._kind.claim(tx, courier._clock(), 100, lane, ())
    for item in claimed:
        courier.attempt(item)
    return len(claimed)
