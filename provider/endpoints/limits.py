"""How often an address may have us keep something."""

from __future__ import annotations

from database.transaction import Transaction
from provider.protocol.errors import OAuthError
from provider.protocol.messages import ProtocolRequest
from provider.security.rate_limit import Limit
from provider.services import Services


def refuse_beyond(services: Services, tx: Transaction, limit: Limit, request: ProtocolRequest) -> None:
    """Counts one request of its address. Raises ``temporarily_unavailable`` (429) if it was over the limit."""
    now = request.received_at
    until = services.rate_limits.hit(tx, limit, request.origin.network, now)
    if until is not None:
        raise OAuthError.slow_down(max(1, int((until - now).total_seconds())))
