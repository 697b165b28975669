"""What stands behind a client, for whose sake another server is asked."""

from __future__ import annotations

from provider.protocol.client import Client
from provider.security.turns import Requester, Standing


def requester_of(client: Client | None, source: str) -> Requester:
    """``client`` is None while nothing is known of it. Whoever has no account here makes no client known by using it."""
    if client is not None and client.is_vouched:
        return Requester(Standing.VOUCHED, source)
    is_used = client is not None and client.last_used_at is not None
    return Requester(Standing.KNOWN if is_used else Standing.NEW, source)
