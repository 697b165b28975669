"""An MCP server on FastMCP whose tools need a token from MCP Core. Verifies offline, from the published keys.

Settings from the environment: ``MCP_ISSUER`` (default http://localhost:8000/oauth), ``PORT`` (default 9100).
"""

from __future__ import annotations

import os

from fastmcp import FastMCP
from fastmcp.server.dependencies import get_access_token

from mcp_core_verifier import Verifier
from mcp_core_verifier.fastmcp import MCPCoreAuth

SCOPES = ("notes:read",)


def create_server(issuer: str, base_url: str) -> FastMCP:
    """An MCP server at ``{base_url}/mcp``, which is also the audience that its tokens must have."""
    verifier = Verifier(issuer, f"{base_url}/mcp", scopes_supported=SCOPES, resource_name="Notes")
    server: FastMCP = FastMCP("Notes", auth=MCPCoreAuth(verifier, *SCOPES))

    @server.tool
    def whoami() -> dict[str, str]:
        """Who is calling, as the token says."""
        token = get_access_token()
        assert token is not None  # the server lets nobody in without
        return {"sub": str(token.claims["sub"]), "client_id": token.client_id, "scope": " ".join(token.scopes)}

    return server


if __name__ == "__main__":
    port = int(os.environ.get("PORT", "9100"))
    mcp = create_server(os.environ.get("MCP_ISSUER", "http://localhost:8000/oauth"), f"http://localhost:{port}")
    mcp.run(transport="http", host="127.0.0.1", port=port, show_banner=False)
