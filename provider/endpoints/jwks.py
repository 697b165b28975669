"""The public keys (RFC 7517 §5), as bytes that were prepared once."""

from __future__ import annotations

from collections.abc import Sequence

from database.transaction import Transaction
from provider.doors.endpoint import Endpoint
from provider.oauth_server import OAuthServer
from provider.protocol.messages import ProtocolRequest, ProtocolResponse

MAX_AGE_SECONDS = 300


def mount(server: OAuthServer) -> Sequence[Endpoint]:
    keys = server.services.signing_keys

    def jwks(request: ProtocolRequest, tx: Transaction) -> ProtocolResponse:
        document = keys.jwks(tx, request.received_at)
        return prepared(request, document.body, document.etag, MAX_AGE_SECONDS)

    path = f"{server.services.settings.issuer_path}/jwks"
    return [Endpoint(path, ("GET",), jwks, cors=True, bare=True, at_once=True)]


def prepared(request: ProtocolRequest, body: bytes, etag: str, max_age_seconds: int) -> ProtocolResponse:
    """A public document, or 304 for a client that has it (RFC 9110 §13.1.2)."""
    headers = [("ETag", etag), ("Cache-Control", f"public, max-age={max_age_seconds}")]
    if request.headers.get("if-none-match") == etag:
        return ProtocolResponse(304, headers)
    return ProtocolResponse(200, [("Content-Type", "application/json"), *headers], body)
