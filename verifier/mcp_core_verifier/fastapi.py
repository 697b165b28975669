"""FastAPI: ``protect(...)`` is a dependency that yields the ``AccessToken``, and shows up in the OpenAPI document."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastapi import FastAPI, Request, Response, Security
from fastapi.openapi.models import OpenIdConnect
from fastapi.security import SecurityScopes
from fastapi.security.base import SecurityBase

from mcp_core_verifier.errors import AccessDenied
from mcp_core_verifier.token import AccessToken
from mcp_core_verifier.verifier import Verifier, checked_scopes

Protect = Callable[..., Any]


class MCPCore(SecurityBase):
    """The security scheme: a bearer token of the verifier's issuer."""

    def __init__(self, verifier: Verifier) -> None:
        self.verifier = verifier
        self.scheme_name = "MCP Core"
        self.model = OpenIdConnect(openIdConnectUrl=f"{verifier.issuer}/.well-known/openid-configuration")

    async def __call__(self, request: Request, security_scopes: SecurityScopes) -> AccessToken:
        return await self.verifier.authenticate_async(request.headers.getlist("authorization"), *security_scopes.scopes)


def install(app: FastAPI, verifier: Verifier) -> Protect:
    """Serves the metadata, answers refusals, and returns ``protect``.

    ``protect("notes:read", "notes:write")`` needs all of them, ``protect()`` any good token. ``app`` must be at the root of
    its host, for the sake of the well-known addresses.
    """
    scheme = MCPCore(verifier)

    async def metadata(request: Request) -> Response:
        status, headers, body = verifier.metadata.answer(request.method)
        return Response(body, status, dict(headers))

    async def refuse(_request: Request, refusal: Exception) -> Response:
        assert isinstance(refusal, AccessDenied)  # noqa: S101 - it is registered for nothing else
        return Response(refusal.body, refusal.status, dict(refusal.headers))

    def protect(*scopes: str) -> Any:
        return Security(scheme, scopes=checked_scopes(scopes))

    for path in verifier.metadata.paths:
        app.add_route(path, metadata, methods=["GET", "HEAD", "OPTIONS"], include_in_schema=False)
    app.add_exception_handler(AccessDenied, refuse)
    return protect
