"""What can be mounted: an endpoint with its path and methods, whichever door its requests come through."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from database.transaction import Transaction
from provider.protocol.messages import ProtocolRequest, ProtocolResponse

_PREFLIGHT = (
    ("Access-Control-Allow-Headers", "Authorization, Content-Type, Accept, If-Match, MCP-Protocol-Version"),
    ("Access-Control-Max-Age", "86400"),
)

Handler = Callable[[ProtocolRequest, Transaction], ProtocolResponse]


@dataclass(frozen=True)
class Endpoint:
    """Something applications call. ``path`` is absolute on this host.

    ``cors`` lets scripts of any origin read the answer, never with credentials. ``bare`` puts it in front of Flask; an
    endpoint that shows pages cannot be there. ``at_once``: its answer mostly needs no database, and is then given without
    waiting for a thread. ``gathers``: what it writes is mostly little, and may be committed together with what other calls
    write. ``has_problems``: its errors, whoever finds them, are problem details (RFC 9457).
    """

    path: str
    methods: tuple[str, ...]
    handle: Handler
    cors: bool = False
    bare: bool = False
    at_once: bool = False
    gathers: bool = False
    has_problems: bool = False


def answer_to_method(endpoint: Endpoint, method: str) -> ProtocolResponse | None:
    """What a preflight gets, and a method that the endpoint does not have; None for one that it has."""
    if ("GET" if method == "HEAD" else method) in endpoint.methods:
        return None
    if method == "OPTIONS" and endpoint.cors:
        allow = ("Access-Control-Allow-Methods", ", ".join((*endpoint.methods, "OPTIONS")))
        return ProtocolResponse(204, [allow, *_PREFLIGHT])
    response = ProtocolResponse.json({"error": "invalid_request"}, 405)
    response.headers.append(("Allow", ", ".join(endpoint.methods)))
    return response
