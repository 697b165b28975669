"""What all doors share: turning an environment into a request, and a request into an answer."""

from __future__ import annotations

import datetime
import logging
import re
import secrets
from collections.abc import Callable
from typing import Any
from wsgiref.types import WSGIEnvironment

from sqlalchemy import Engine

from database.transaction import Transaction
from provider.doors.endpoint import Endpoint, answer_to_method
from provider.doors.transactions import run_in_transaction
from provider.protocol.errors import OAuthError
from provider.protocol.messages import ProtocolRequest, ProtocolResponse

log = logging.getLogger("mcp_core.doors")

MAX_BODY_BYTES = 65_536
MAX_QUERY_CHARACTERS = 16_384
_LENGTH = re.compile(r"[0-9]{1,18}")
_CORS = (
    ("Access-Control-Allow-Origin", "*"),
    ("Access-Control-Expose-Headers", "WWW-Authenticate"),
)


class Doorway:
    """What both doors share: turning a WSGI environment into a request, and a request into an answer."""

    def __init__(
        self,
        engine: Engine,
        *,
        trusted_proxy_count: int = 0,
        is_https: bool = False,
        clock: Callable[[], datetime.datetime] = lambda: datetime.datetime.now(datetime.UTC),
    ) -> None:
        self._engine = engine
        self._trusted_proxy_count = trusted_proxy_count
        self._always = (("X-Content-Type-Options", "nosniff"),) + (
            (("Strict-Transport-Security", "max-age=63072000; includeSubDomains"),) if is_https else ()
        )
        self.clock = clock

    def source_of(self, environ: WSGIEnvironment) -> str:
        """The client's address: the socket's, or the one that the nth trusted proxy from here saw."""
        address = str(environ.get("REMOTE_ADDR") or "")
        if self._trusted_proxy_count:
            seen = [part.strip() for part in str(environ.get("HTTP_X_FORWARDED_FOR", "")).split(",") if part.strip()]
            if len(seen) >= self._trusted_proxy_count:
                address = seen[-self._trusted_proxy_count]
        return address[:45] if address.isascii() else ""

    def read(self, environ: WSGIEnvironment) -> ProtocolRequest | ProtocolResponse:
        """The request, or the refusal of one that is too large or incomplete."""
        query = str(environ.get("QUERY_STRING", ""))
        if len(query) > MAX_QUERY_CHARACTERS:
            return ProtocolResponse.json({"error": "invalid_request"}, 414)
        body = b""
        method = str(environ["REQUEST_METHOD"])
        if method not in ("GET", "HEAD", "OPTIONS"):
            announced = str(environ.get("CONTENT_LENGTH") or "")
            if announced and not _LENGTH.fullmatch(announced):
                return ProtocolResponse.json({"error": "invalid_request"}, 400)
            length = int(announced) if announced else None
            if length is None or length <= MAX_BODY_BYTES:
                body = _read(environ["wsgi.input"], MAX_BODY_BYTES + 1 if length is None else length)
            if (length or len(body)) > MAX_BODY_BYTES:
                return ProtocolResponse.json({"error": "invalid_request"}, 413)
            if length is not None and len(body) < length:  # cut off on its way: what is missing may matter
                return ProtocolResponse.json({"error": "invalid_request"}, 400)
        headers = {
            name[5:].replace("_", "-").lower(): str(value) for name, value in environ.items() if name[:5] == "HTTP_"
        }
        headers["content-type"] = str(environ.get("CONTENT_TYPE") or "")
        return ProtocolRequest(
            method=method,
            path=str(environ.get("PATH_INFO", "/")),
            query_string=query,
            headers=headers,
            body=body,
            source=self.source_of(environ),
            request_id=secrets.token_hex(8),
            received_at=self.clock(),
        )

    def respond(self, endpoint: Endpoint, environ: WSGIEnvironment) -> ProtocolResponse:
        """What both doors send. A method that is not the endpoint's is refused before anything else is read."""
        refusal = answer_to_method(endpoint, str(environ["REQUEST_METHOD"]))
        if refusal is not None:
            return self._finish(endpoint, refusal)
        request = self.read(environ)
        if isinstance(request, ProtocolResponse):
            return self._finish(endpoint, request)
        return self.answer(endpoint, request)

    def answer(self, endpoint: Endpoint, request: ProtocolRequest) -> ProtocolResponse:
        """Calls the endpoint in one transaction: committed below status 500, rolled back otherwise.

        A deadlock or a lost connection repeats the whole call, which nothing outside has seen yet; when that does not
        help, the answer is 503 and the next request finds a fresh connection.
        """
        response = run_in_transaction(self._engine, lambda tx: self._call(endpoint, request, tx), request.request_id)
        return self._finish(endpoint, response)

    def _call(self, endpoint: Endpoint, request: ProtocolRequest, tx: Transaction) -> ProtocolResponse:
        try:
            return endpoint.handle(request, tx)
        except OAuthError as error:
            if error.detail:
                log.info("%s refused: %s (%s) [%s]", endpoint.path, error.error, error.detail, request.request_id)
            return ProtocolResponse.json(error.body(), error.status, error.headers)

    def _finish(self, endpoint: Endpoint, response: ProtocolResponse) -> ProtocolResponse:
        response.headers.extend(self._always)
        if endpoint.cors:
            response.headers.extend(_CORS)
        return response


def _read(stream: Any, size: int) -> bytes:
    """At most ``size`` bytes, fewer only where the stream ends."""
    parts = []
    while size > 0 and (part := stream.read(size)):
        parts.append(part)
        size -= len(part)
    return b"".join(parts)
