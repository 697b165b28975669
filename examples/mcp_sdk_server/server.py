"""An MCP server on the MCP Python SDK whose tools need a token from MCP Core.

Settings from the environment: ``MCP_ISSUER`` (default http://localhost:8000/oauth), ``PORT`` (default 9400).
"""

from __future__ import annotations

import os

import uvicorn
from mcp.server.auth.middleware.auth_context import get_access_token
from mcp.server.mcpserver import MCPServer
from starlette.applications import Starlette

from mcp_core_verifier import Verifier
from mcp_core_verifier.asgi import Protect
from mcp_core_verifier.mcp import protection

SCOPES = ("notes:read",)


def create_app(issuer: str, base_url: str) -> Starlette:
    """An MCP server at ``{base_url}/mcp``, which is also the audience that its tokens must have."""
    verifier = Verifier(issuer, f"{base_url}/mcp", scopes_supported=SCOPES, resource_name="Notes")
    server = MCPServer("Notes", **protection(verifier, *SCOPES))

    @server.tool()
    def whoami() -> dict[str, str]:
        """Who is calling, as the token says."""
        token = get_access_token()
        assert token is not None  # the server lets nobody in without
        return {"sub": str(token.subject), "client_id": token.client_id, "scope": " ".join(token.scopes)}

    app = server.streamable_http_app()
    app.add_middleware(Protect, verifier=verifier, scopes=SCOPES)  # challenges that name the scopes, and metadata
    return app


if __name__ == "__main__":
    port = int(os.environ.get("PORT", "9400"))
    served = create_app(os.environ.get("MCP_ISSUER", "http://localhost:8000/oauth"), f"http://localhost:{port}")
    uvicorn.run(served, host="127.0.0.1", port=port, log_level="warning")
