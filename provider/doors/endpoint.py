"""What can be mounted: an endpoint with its path and methods, whichever door its requests come through."""

from __future__ import annotations

from collections.abc import Callable, Iterable
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

    The last segment of ``path`` may be ``<…>``, which stands for any that is not empty.

    ``cors`` lets scripts of any origin read the answer, never with credentials. ``bare`` puts it in front of Flask.
    ``shows_pages``: people's browsers ask it, and some of its answers are pages, which Flask makes of them. ``at_once``: its
    answer mostly needs no database, and is then given without waiting for a thread. ``gathers``: what it writes is mostly
    little, and may be committed together with what other calls write; or for which requests that is so. ``has_problems``:
    its errors, whoever finds them, are problem details (RFC 9457).
    """

    path: str
    methods: tuple[str, ...]
    handle: Handler
    cors: bool = False
    bare: bool = False
    shows_pages: bool = False
    at_once: bool = False
    gathers: bool | Callable[[ProtocolRequest], bool] = False
    has_problems: bool = False

    def may_gather(self, request: ProtocolRequest) -> bool:
        return self.gathers if isinstance(self.gathers, bool) else self.gathers(request)


class Paths:
    """Finds the endpoint of a path among those that are in front of Flask."""

    def __init__(self, endpoints: Iterable[Endpoint]) -> None:
        self._whole: dict[str, Endpoint] = {}
        self._before_last: dict[str, Endpoint] = {}
        for endpoint in endpoints:
            before, _, last = endpoint.path.rpartition("/")
            if last.startswith("<"):
                self._before_last[before] = endpoint
            else:
                self._whole[endpoint.path] = endpoint

    def find(self, path: str) -> Endpoint | None:
        known = self._whole.get(path)
        if known is None and self._before_last:
            before, _, last = path.rpartition("/")
            known = self._before_last.get(before) if last else None
        return known


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
