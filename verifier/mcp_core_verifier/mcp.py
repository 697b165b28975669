"""The MCP Python SDK: its ``TokenVerifier`` and its ``AuthSettings``, filled from a ``Verifier``."""

from __future__ import annotations

from typing import TypedDict

from mcp.server.auth.provider import AccessToken as SDKAccessToken
from mcp.server.auth.settings import AuthSettings
from pydantic import AnyHttpUrl, ConfigDict, TypeAdapter

from mcp_core_verifier.errors import AccessDenied, Unavailable
from mcp_core_verifier.verifier import Verifier, checked_scopes

# AnyHttpUrl turns https://auth.example.com into https://auth.example.com/, and clients compare issuers byte for byte.
_EXACT = TypeAdapter(AnyHttpUrl, config=ConfigDict(url_preserve_empty_path=True))


def exact_url(url: str) -> AnyHttpUrl:
    """``url`` as pydantic has it, without a slash that was not there. Raises ``ValueError`` if it would change."""
    parsed = _EXACT.validate_python(url)
    if str(parsed) != url:
        raise ValueError(f"{url!r} would be published as {str(parsed)!r}; configure it in that spelling everywhere")
    return parsed


class TokenVerifier:
    """``mcp.server.auth.provider.TokenVerifier`` for a ``Verifier``."""

    def __init__(self, verifier: Verifier) -> None:
        self._verifier = verifier

    async def verify_token(self, token: str) -> SDKAccessToken | None:
        """None for a bad token. Raises ``Unavailable``: an outage is not the client's fault, so it must not be 401."""
        try:
            found = await self._verifier.verify_async(token)
        except Unavailable:
            raise
        except AccessDenied:
            return None
        return SDKAccessToken(
            token=token,
            client_id=found.client_id,
            scopes=list(found.scope),
            expires_at=found.claims["exp"],
            resource=self._verifier.audience,
            subject=found.subject,
            claims=dict(found.claims),
        )


class Protection(TypedDict):
    token_verifier: TokenVerifier
    auth: AuthSettings


def protection(verifier: Verifier, *scopes: str) -> Protection:
    """Arguments of ``MCPServer``: ``MCPServer("Notes", **protection(verifier, "notes:read"))``.

    The SDK's own challenge names no scope, and has an error code even where no token was sent. Put ``asgi.Protect`` in front
    of ``streamable_http_app()`` for the right one.
    """
    settings = AuthSettings(
        issuer_url=exact_url(verifier.issuer),
        resource_server_url=exact_url(verifier.audience),
        required_scopes=list(checked_scopes(scopes)),
        validate_token_resource=True,
    )
    return Protection(token_verifier=TokenVerifier(verifier), auth=settings)
