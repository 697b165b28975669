"""Asking the provider whether a token was revoked (RFC 7662), for services that cannot wait until it expires."""

from __future__ import annotations

import base64
import hashlib
import logging
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import quote_plus

from mcp_core_verifier.discovery import Discovery
from mcp_core_verifier.errors import InvalidToken, Unavailable
from mcp_core_verifier.http import FetchFailed, Http
from mcp_core_verifier.waiting import Steps

log = logging.getLogger("mcp_core_verifier")


@dataclass(frozen=True, slots=True)
class Introspection:
    """The service's own client at the provider, whose ``resource`` must be the service's audience.

    An answer is believed for ``cache_seconds``, which is how long a revoked token may still pass; 0 asks every time.
    """

    client_id: str
    client_secret: str = field(repr=False)
    cache_seconds: float = 5
    cache_entries: int = 10_000
    endpoint: str | None = None

    @property
    def authorization(self) -> str:
        """HTTP Basic with both parts form-encoded (RFC 6749 §2.3.1)."""
        pair = f"{quote_plus(self.client_id)}:{quote_plus(self.client_secret)}"
        return f"Basic {base64.b64encode(pair.encode()).decode()}"


class Introspector:
    """Asks, and remembers answers by the token's hash. Without an answer nobody passes."""

    def __init__(
        self, settings: Introspection, http: Http, discovery: Discovery, *, clock: Callable[[], float]
    ) -> None:
        self._settings = settings
        self._http = http
        self._discovery = discovery
        self._clock = clock
        self._lock = threading.Lock()
        self._answers: OrderedDict[bytes, tuple[float, bool]] = OrderedDict()

    def require_active(self, token: str) -> Steps[None]:
        """Returns when the token counts. Raises ``InvalidToken`` or ``Unavailable``."""
        digest = hashlib.sha256(token.encode()).digest()
        active = self._remembered(digest)
        if active is None:
            asked_at = self._clock()
            asking = self._http.submit(lambda: self._ask(token))
            yield asking
            active = None if asking.cancelled() else asking.result()
            if active is None:
                raise Unavailable("introspection gave no answer")
            self._remember(digest, active, asked_at)
        if not active:
            raise InvalidToken("the provider says that the token is not active")

    async def _ask(self, token: str) -> bool | None:
        form = {"token": token, "token_type_hint": "access_token"}
        try:
            url = await self._discovery.endpoint("introspection_endpoint")
            answer = await self._http.post_form(url, form, self._settings.authorization)
        except FetchFailed as error:
            if error.status == 401:
                log.error("introspection: the provider refuses our client_id or client_secret")
            else:
                log.warning("introspection failed: %s", error)
            return None
        active = answer.get("active")
        return active if isinstance(active, bool) else None

    def _remembered(self, digest: bytes) -> bool | None:
        with self._lock:
            known = self._answers.get(digest)
        if known is None or self._clock() - known[0] >= self._settings.cache_seconds:
            return None
        return known[1]

    def _remember(self, digest: bytes, active: bool, asked_at: float) -> None:
        if self._settings.cache_seconds <= 0:
            return
        with self._lock:
            self._answers[digest] = (asked_at, active)
            self._answers.move_to_end(digest)
            while len(self._answers) > self._settings.cache_entries:
                self._answers.popitem(last=False)
