"""Up or down, and nothing else: for load balancers and for whoever watches over the server."""

from __future__ import annotations

from collections.abc import Sequence

from database.faults import DATABASE_ERRORS
from database.transaction import Transaction
from provider.doors.endpoint import Endpoint
from provider.oauth_server import OAuthServer
from provider.protocol.messages import ProtocolRequest, ProtocolResponse

RETRY_SECONDS = 5


def mount(server: OAuthServer) -> Sequence[Endpoint]:
    services = server.services

    def health(_request: ProtocolRequest, tx: Transaction) -> ProtocolResponse:
        """As the pulse of this process saw it last; a process without one asks the database."""
        if server.pulse is not None and server.pulse.is_running:
            return _answer(is_up=server.pulse.is_up)
        try:
            services.users.is_empty(tx)
        except DATABASE_ERRORS:
            tx.rollback()
            return _answer(is_up=False)
        return _answer(is_up=True)

    return [Endpoint("/health", ("GET",), health, bare=True, at_once=True)]


def _answer(*, is_up: bool) -> ProtocolResponse:
    headers = [("Content-Type", "text/plain; charset=utf-8"), ("Cache-Control", "no-store")]
    if is_up:
        return ProtocolResponse(200, headers, b"up\n")
    return ProtocolResponse(503, [*headers, ("Retry-After", str(RETRY_SECONDS))], b"down\n")
