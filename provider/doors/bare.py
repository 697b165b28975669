"""Bare WSGI in front of Flask, for the machine endpoints that services call all day.

Flask's part of a request costs more than signing a token, so these are answered before Flask sees them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from provider.doors.doorway import MAX_BODY_BYTES, Doorway
from provider.doors.endpoint import Endpoint, Paths
from provider.protocol.messages import ProtocolResponse

_REASONS = {
    200: "OK", 201: "Created", 204: "No Content", 303: "See Other", 304: "Not Modified", 400: "Bad Request",
    401: "Unauthorized", 403: "Forbidden", 404: "Not Found", 405: "Method Not Allowed", 409: "Conflict",
    412: "Precondition Failed", 413: "Content Too Large", 414: "URI Too Long", 415: "Unsupported Media Type",
    428: "Precondition Required", 429: "Too Many Requests", 500: "Internal Server Error", 503: "Service Unavailable",
}  # fmt: skip


# In a WSGI environment: what has been answered already, and is to become a page. No sender can put anything there.
ANSWER = "mcp_core.answer"


class BareDoor:
    """WSGI in front of WSGI: answers the endpoints marked ``bare`` and hands everything else on, pages to be made too."""

    def __init__(self, doorway: Doorway, endpoints: Iterable[Endpoint], behind: WSGIApplication) -> None:
        self._doorway = doorway
        self._endpoints = Paths(item for item in endpoints if item.bare)
        self._behind = behind

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        endpoint = self._endpoints.find(environ.get("PATH_INFO", ""))
        if endpoint is None or ANSWER in environ:
            return self._behind(environ, start_response)
        response = respond(self._doorway, endpoint, environ)
        if response.page is not None:
            return self._behind({**environ, ANSWER: response}, start_response)
        body = b"" if environ["REQUEST_METHOD"] == "HEAD" else response.body
        headers = [*response.headers]
        if response.status not in (204, 304):
            headers.append(("Content-Length", str(len(response.body))))
        start_response(f"{response.status} {_REASONS.get(response.status, 'Unknown')}", headers)
        return [body]


def respond(doorway: Doorway, endpoint: Endpoint, environ: WSGIEnvironment) -> ProtocolResponse:
    """The endpoint's answer to a WSGI request, whether Flask has looked at it or not."""
    method, query = str(environ["REQUEST_METHOD"]), str(environ.get("QUERY_STRING", ""))
    announced = str(environ.get("CONTENT_LENGTH") or "")
    refusal = doorway.refusal(endpoint, method, query, announced)
    if refusal is not None:
        return refusal
    body = b""
    if method not in ("GET", "HEAD", "OPTIONS"):
        length = int(announced) if announced else None
        body = _read(environ["wsgi.input"], MAX_BODY_BYTES + 1 if length is None else length)
        if len(body) > MAX_BODY_BYTES:
            return doorway.finish(endpoint, ProtocolResponse.json({"error": "invalid_request"}, 413))
        if length is not None and len(body) < length:  # cut off on its way: what is missing may matter
            return doorway.finish(endpoint, ProtocolResponse.json({"error": "invalid_request"}, 400))
    headers = {name[5:].replace("_", "-").lower(): str(value) for name, value in environ.items() if name[:5] == "HTTP_"}
    headers["content-type"] = str(environ.get("CONTENT_TYPE") or "")
    path, address = str(environ.get("PATH_INFO", "/")), str(environ.get("REMOTE_ADDR") or "")
    return doorway.answer(endpoint, doorway.request(method, path, query, headers, body, address))


def _read(stream: Any, size: int) -> bytes:
    """At most ``size`` bytes, fewer only where the stream ends."""
    parts = []
    while size > 0 and (part := stream.read(size)):
        parts.append(part)
        size -= len(part)
    return b"".join(parts)
