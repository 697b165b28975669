"""Answers nginx's question whether a request may pass: 204, 401 or 403, and who is calling.

Listens on loopback, for nginx alone. Settings from the environment: ``MCP_ISSUER`` (default http://localhost:8000/oauth),
``AUDIENCE`` (default http://localhost:9500/api), ``PORT`` (default 9501).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs, quote
from wsgiref.simple_server import make_server

from mcp_core_verifier import AccessDenied, InvalidRequest, Verifier


def create_app(verifier: Verifier) -> Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]:
    """A WSGI application. ``/verify?scope=a+b`` needs both scopes. Serves the RFC 9728 document as well."""

    def answer(environ: dict[str, Any]) -> tuple[int, list[tuple[str, str]], bytes]:
        if environ["PATH_INFO"] in verifier.metadata.paths:
            return verifier.metadata.answer(environ["REQUEST_METHOD"])
        scopes = parse_qs(environ["QUERY_STRING"]).get("scope", [""])[0].split()
        try:
            token = verifier.authenticate(environ.get("HTTP_AUTHORIZATION"), *scopes)
        except InvalidRequest as refusal:
            return 401, refusal.headers, refusal.body  # nginx knows no answers but 2xx, 401 and 403
        except AccessDenied as refusal:
            return refusal.answer
        told = {"X-Subject": token.subject, "X-Client-Id": token.client_id, "X-Scope": " ".join(token.scope)}
        return 204, [(name, quote(value, safe=" :/?&=.~")) for name, value in told.items()], b""

    def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        status, headers, body = answer(environ)
        start_response(f"{status} {HTTPStatus(status).phrase}", headers)
        return [body]

    return application


if __name__ == "__main__":
    issuer = os.environ.get("MCP_ISSUER", "http://localhost:8000/oauth")
    audience = os.environ.get("AUDIENCE", "http://localhost:9500/api")
    checks = Verifier(issuer, audience, scopes_supported=["notes:read", "notes:write"], resource_name="Notes")
    with make_server("127.0.0.1", int(os.environ.get("PORT", "9501")), create_app(checks)) as server:
        server.serve_forever()
