"""FastMCP: ``FastMCP("Notes", auth=MCPCoreAuth(verifier, "notes:read"))``."""

from __future__ import annotations

from fastmcp.server.auth import AccessToken, RemoteAuthProvider, TokenVerificationError, TokenVerifier
from pydantic import AnyHttpUrl
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from mcp_core_verifier.asgi import App, Receive, Scope, Send, send_answer
from mcp_core_verifier.errors import AccessDenied, Unavailable
from mcp_core_verifier.mcp import exact_url
from mcp_core_verifier.verifier import Verifier, checked_scopes


class _Tokens(TokenVerifier):
    def __init__(self, verifier: Verifier, scopes: list[str]) -> None:
        super().__init__(required_scopes=scopes)
        self._verifier = verifier

    async def verify_token(self, token: str) -> AccessToken | None:
        try:
            found = await self._verifier.verify_async(token)
        except Unavailable as error:
            raise TokenVerificationError(error.description) from error
        except AccessDenied:
            return None
        return AccessToken(
            token=token,
            client_id=found.client_id,
            scopes=list(found.scope),
            expires_at=found.claims["exp"],
            resource=self._verifier.audience,
            subject=found.subject,
            claims=dict(found.claims),
        )


class _AnswerOutage:
    """503 instead of a failure of this server when tokens cannot be checked."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._app(scope, receive, send)
        except TokenVerificationError as error:
            if not isinstance(error.__cause__, Unavailable):
                raise
            await send_answer(send, error.__cause__.answer)


class MCPCoreAuth(RemoteAuthProvider):
    """An ``auth`` provider whose metadata has the issuer and the audience byte for byte as they were configured.

    The verifier's audience is the address of the MCP endpoint as clients see it, such as ``https://notes.example/mcp``.
    """

    def __init__(self, verifier: Verifier, *scopes: str) -> None:
        self._core = verifier
        self._audience = exact_url(verifier.audience)
        super().__init__(
            token_verifier=_Tokens(verifier, list(checked_scopes(scopes))),
            authorization_servers=[exact_url(verifier.issuer)],
            base_url=self._audience,
            scopes_supported=list(verifier.scopes_supported),
        )

    def _get_resource_url(self, path: str | None = None) -> AnyHttpUrl | None:  # noqa: ARG002 - the audience says it
        return self._audience

    def get_routes(self, mcp_path: str | None = None) -> list[Route]:
        self.set_mcp_path(mcp_path)
        return [Route(path, self._metadata, methods=["GET", "OPTIONS"]) for path in self._core.metadata.paths]

    def get_middleware(self) -> list[Middleware]:
        return [Middleware(_AnswerOutage), *super().get_middleware()]

    async def _metadata(self, request: Request) -> Response:
        status, headers, body = self._core.metadata.answer(request.method)
        return Response(body, status, dict(headers))
