"""Bare WSGI in front of Flask, for the machine endpoints that services call all day.

Flask's part of a request costs more than signing a token, so these are answered before Flask sees them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from wsgiref.types import StartResponse, WSGIEnvironment

from provider.doors.doorway import Doorway
from provider.doors.endpoint import Endpoint

_REASONS = {
    200: "OK", 201: "Created", 204: "No Content", 303: "See Other", 304: "Not Modified", 400: "Bad Request",
    401: "Unauthorized", 403: "Forbidden", 404: "Not Found", 405: "Method Not Allowed", 413: "Content Too Large",
    414: "URI Too Long", 429: "Too Many Requests", 500: "Internal Server Error", 503: "Service Unavailable",
}  # fmt: skip


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
