"""A WSGI caller that sends what it is told to, malformed or not, and reads the answer as it is.

It keeps to nothing but the interface: no cookies, no redirects, no defaults that a client library would add.
"""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode
from wsgiref.types import WSGIApplication

Fields = Mapping[str, str] | Iterable[tuple[str, str]]
FORM = "application/x-www-form-urlencoded"


@dataclass(frozen=True)
class Answer:
    """A response. ``headers`` keep their order and repetitions; ``header`` finds one and insists that it is one."""

    status: int
    reason: str
    headers: list[tuple[str, str]]
    body: bytes

    def all(self, name: str) -> list[str]:
        return [value for known, value in self.headers if known.lower() == name.lower()]

    def header(self, name: str) -> str | None:
        values = self.all(name)
        assert len(values) <= 1, f"{name} was sent {len(values)} times: {values}"
        return values[0] if values else None

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def json(self) -> Any:
        assert self.header("Content-Type") == "application/json", (self.status, self.headers, self.body[:300])
        return json.loads(self.body)

    @property
    def error(self) -> tuple[int, str]:
        """Status and OAuth error code."""
        return self.status, self.json["error"]

    @property
    def location(self) -> str:
        value = self.header("Location")
        assert value is not None, (self.status, self.body[:300])
        return value

    @property
    def cookies(self) -> dict[str, str]:
        """Name and value of every cookie that is set."""
        pairs = (value.partition(";")[0].partition("=") for value in self.all("Set-Cookie"))
        return {name: value for name, _, value in pairs}


def send(
    application: WSGIApplication,
    method: str,
    path: str,
    *,
    query: str = "",
    body: bytes = b"",
    headers: Mapping[str, str] | None = None,
    host: str = "localhost:8000",
    scheme: str = "http",
    source: str = "192.0.2.10",
    environ: Mapping[str, Any] | None = None,
) -> Answer:
    """One call. ``environ`` is laid over the finished WSGI environment; None takes a key out of it.

    Header values are what WSGI wants them to be: text whose characters are the bytes that were sent (PEP 3333).
    """
    made: dict[str, Any] = {
        "REQUEST_METHOD": method,
        "SCRIPT_NAME": "",
        "PATH_INFO": path,
        "QUERY_STRING": query,
        "SERVER_NAME": host.partition(":")[0],
        "SERVER_PORT": host.partition(":")[2] or "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "HTTP_HOST": host,
        "REMOTE_ADDR": source,
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scheme,
        "wsgi.input": io.BytesIO(body),
        "wsgi.errors": io.StringIO(),
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
    }
    if body or method in ("POST", "PUT", "PATCH"):
        made["CONTENT_LENGTH"] = str(len(body))
    for name, value in (headers or {}).items():
        key = name.upper().replace("-", "_")
        made[key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{key}"] = value
    for key, value in (environ or {}).items():
        if value is None:
            made.pop(key, None)
        else:
            made[key] = value
    begun: list[tuple[str, list[tuple[str, str]]]] = []

    def start_response(status: str, answered: list[tuple[str, str]], _error: Any = None) -> Any:
        begun.append((status, answered))
        return lambda _written: None

    parts = application(made, start_response)
    try:
        answer = b"".join(parts)
    finally:
        close = getattr(parts, "close", None)
        if close is not None:
            close()
    status, answered = begun[-1]
    number, _, reason = status.partition(" ")
    return Answer(int(number), reason, list(answered), answer)


def encoded(fields: Fields) -> bytes:
    return urlencode(list(fields.items()) if isinstance(fields, Mapping) else list(fields)).encode()


def basic(client_id: str, secret: str) -> str:
    """The value of an Authorization header (RFC 7617)."""
    return "Basic " + base64.b64encode(f"{client_id}:{secret}".encode()).decode()
