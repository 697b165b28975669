"""The two doors: the same machine endpoints mounted in Flask, and bare WSGI in front of it.

Flask's part of a request costs more than signing a token, so the endpoints that services call all day (token,
introspection, revocation, JWKS, discovery, userinfo) are answered before Flask sees them. Both doors call ``answer``.
"""

from __future__ import annotations

import datetime
import logging
import re
import secrets
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from wsgiref.types import StartResponse, WSGIEnvironment

from sqlalchemy import Engine

from database.faults import DATABASE_ERRORS, is_database_fault, is_passing_fault
from database.transaction import Transaction
from provider.protocol.errors import OAuthError
from provider.protocol.messages import ProtocolRequest, ProtocolResponse

log = logging.getLogger("mcp_core.edge")

MAX_BODY_BYTES = 65_536
MAX_QUERY_CHARACTERS = 16_384
DATABASE_TRIES = 3
_LENGTH = re.compile(r"[0-9]{1,18}")
_REASONS = {
    200: "OK", 201: "Created", 204: "No Content", 303: "See Other", 304: "Not Modified", 400: "Bad Request",
    401: "Unauthorized", 403: "Forbidden", 404: "Not Found", 405: "Method Not Allowed", 413: "Content Too Large",
    414: "URI Too Long", 429: "Too Many Requests", 500: "Internal Server Error", 503: "Service Unavailable",
}  # fmt: skip
_CORS = (
    ("Access-Control-Allow-Origin", "*"),
    ("Access-Control-Expose-Headers", "WWW-Authenticate"),
)
_PREFLIGHT = (
    ("Access-Control-Allow-Headers", "Authorization, Content-Type, Accept, MCP-Protocol-Version"),
    ("Access-Control-Max-Age", "86400"),
)

Handler = Callable[[ProtocolRequest, Transaction], ProtocolResponse]


@dataclass(frozen=True)
class Endpoint:
    """Something applications call. ``path`` is absolute on this host.

    ``cors`` lets scripts of any origin read the answer, never with credentials. ``bare`` puts it in front of Flask; an
    endpoint that shows pages cannot be there.
    """

    path: str
    methods: tuple[str, ...]
    handle: Handler
    cors: bool = False
    bare: bool = False


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
        refusal = _answer_to_method(endpoint, str(environ["REQUEST_METHOD"]))
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


def _answer_to_method(endpoint: Endpoint, method: str) -> ProtocolResponse | None:
    """What a preflight gets, and a method that the endpoint does not have; None for one that it has."""
    if ("GET" if method == "HEAD" else method) in endpoint.methods:
        return None
    if method == "OPTIONS" and endpoint.cors:
        allow = ("Access-Control-Allow-Methods", ", ".join((*endpoint.methods, "OPTIONS")))
        return ProtocolResponse(204, [allow, *_PREFLIGHT])
    response = ProtocolResponse.json({"error": "invalid_request"}, 405)
    response.headers.append(("Allow", ", ".join(endpoint.methods)))
    return response


def run_in_transaction(
    engine: Engine, call: Callable[[Transaction], ProtocolResponse], request_id: str
) -> ProtocolResponse:
    """Runs ``call`` to its commit, repeating it on a passing database fault and answering 503 or 500 otherwise."""
    for attempt in range(1, DATABASE_TRIES + 1):
        tx = Transaction(engine)
        try:
            return _ended(tx, call(tx))
        except DATABASE_ERRORS as error:
            abandon(tx)
            if not is_database_fault(error):
                log.exception("a statement failed [%s]", request_id)
                break
            if not is_passing_fault(error) or attempt == DATABASE_TRIES:
                log.error("the database does not answer: %s [%s]", type(error).__name__, request_id)
                return unavailable()
            pause_before_retry(attempt)
        except Exception:
            abandon(tx)
            log.exception("an endpoint failed [%s]", request_id)
            break
    return ProtocolResponse.json({"error": "server_error", "error_description": f"Reference {request_id}"}, 500)


def _ended(tx: Transaction, response: ProtocolResponse) -> ProtocolResponse:
    if response.status < 500:
        tx.commit()
    else:
        tx.rollback()
    return response


def pause_before_retry(attempt: int) -> None:
    """A short wait that differs from one caller to the next, so that two in each other's way part."""
    time.sleep(attempt * (10 + secrets.randbelow(40)) / 1000)


def abandon(tx: Transaction) -> None:
    """Rolls back without letting a broken connection hide the first error."""
    try:
        tx.rollback()
    except Exception:
        log.warning("a rollback failed", exc_info=True)


def unavailable() -> ProtocolResponse:
    error = OAuthError.temporarily_unavailable()
    return ProtocolResponse.json(error.body(), error.status, error.headers)


class BareDoor:
    """WSGI in front of WSGI: answers the endpoints marked ``bare`` and hands everything else on."""

    def __init__(
        self,
        doorway: Doorway,
        endpoints: Iterable[Endpoint],
        behind: Callable[[WSGIEnvironment, StartResponse], Iterable[bytes]],
    ) -> None:
        self._doorway = doorway
        self._endpoints: Mapping[str, Endpoint] = {item.path: item for item in endpoints if item.bare}
        self._behind = behind

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        endpoint = self._endpoints.get(environ.get("PATH_INFO", ""))
        if endpoint is None:
            return self._behind(environ, start_response)
        response = self._doorway.respond(endpoint, environ)
        body = b"" if environ["REQUEST_METHOD"] == "HEAD" else response.body
        headers = [*response.headers]
        if response.status not in (204, 304):
            headers.append(("Content-Length", str(len(response.body))))
        start_response(f"{response.status} {_REASONS.get(response.status, 'Unknown')}", headers)
        return [body]
