"""How much an address may have us keep."""

from __future__ import annotations

from database.transaction import Transaction
from provider.protocol.errors import refuse_until
from provider.protocol.messages import ProtocolRequest
from provider.protocol.sizes import kept_bytes
from provider.security.rate_limit import Limit
from provider.services import Services

# Of one household at any time; some 3,500 requests of the usual size.
KEPT_BYTES_PER_SOURCE = 4 * 1024 * 1024
# What a row takes besides the request in it, with its places in the indices.
ROW_BYTES = 512


def refuse_beyond(
    services: Services, tx: Transaction, limit: Limit, request: ProtocolRequest, *, weight: int = 1
) -> None:
    """Counts one request of its address. Raises ``temporarily_unavailable`` (429) if it was over the limit."""
    now = request.received_at
    refuse_until(services.rate_limits.hit_source(tx, limit, request.origin.networks, now, weight=weight), now)


def refuse_to_keep_more(
    services: Services, tx: Transaction, what: str, seconds: int, kept: object, request: ProtocolRequest
) -> None:
    """Counts the bytes of what is about to be kept for ``seconds``. Raises ``temporarily_unavailable`` (429)."""
    limit = Limit(f"bytes of {what} per source", KEPT_BYTES_PER_SOURCE, seconds)
    refuse_beyond(services, tx, limit, request, weight=ROW_BYTES + kept_bytes(kept))
