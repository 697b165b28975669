"""Between ASGI and WSGI: a request that has been read becomes an environment, and what the application answers a value."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Mapping
from typing import Any
from wsgiref.types import WSGIApplication, WSGIEnvironment

from provider.protocol.messages import ProtocolResponse


def environment(scope: Mapping[str, Any], path: str, headers: Mapping[str, str], body: bytes) -> WSGIEnvironment:
    """What PEP 3333 wants. ``path`` and header values are text whose characters are bytes."""
    host, port = scope.get("server") or ("", "")
    made: WSGIEnvironment = {
        "REQUEST_METHOD": scope["method"],
        "SCRIPT_NAME": "",
        "PATH_INFO": path,
        "QUERY_STRING": scope["query_string"].decode("latin-1"),
        "SERVER_NAME": host,
        "SERVER_PORT": str(port or ""),
        "SERVER_PROTOCOL": f"HTTP/{scope['http_version']}",
        "REMOTE_ADDR": scope["client"][0],
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scope["scheme"],
        "wsgi.input": io.BytesIO(body),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
    }
    for name, value in headers.items():
        key = name.upper().replace("-", "_")
        made[key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{key}"] = value
    return made


def call_wsgi(application: WSGIApplication, environ: WSGIEnvironment) -> ProtocolResponse:
    """The application's whole answer. Raises what it raises."""
    answered: list[Any] = []
    written: list[bytes] = []

    def start_response(status: str, headers: list[tuple[str, str]], _error: Any = None) -> Callable[[bytes], object]:
        answered[:] = [status, headers]
        return written.append

    parts = application(environ, start_response)
    try:
        written.extend(parts)
    finally:
        close = getattr(parts, "close", None)
        if close is not None:
            close()
    status, headers = answered
    return ProtocolResponse(int(status[:3]), list(headers), b"".join(written))
