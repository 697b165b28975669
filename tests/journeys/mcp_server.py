"""An MCP server as somebody else would write it: FastMCP with its own token verifier, and nothing of ours.

Run as a program: ``mcp_server.py <issuer> <port>``. Its address, which is also its audience, is http://localhost:port/mcp.
"""

from __future__ import annotations

import sys

from fastmcp import FastMCP
from fastmcp.server.auth import RemoteAuthProvider
from fastmcp.server.auth.providers.jwt import JWTVerifier
from fastmcp.server.dependencies import get_access_token
from pydantic import AnyHttpUrl, ConfigDict, TypeAdapter

SCOPE = "notes:read"


def create_server(issuer: str, base_url: str) -> FastMCP:
    verifier = JWTVerifier(
        jwks_uri=f"{issuer}/jwks", issuer=issuer, audience=f"{base_url}/mcp", required_scopes=[SCOPE]
    )
    # Without this an issuer that is a bare host gets a slash at its end, and clients compare byte for byte.
    exact_url = TypeAdapter(AnyHttpUrl, config=ConfigDict(url_preserve_empty_path=True))
    auth = RemoteAuthProvider(
        token_verifier=verifier, authorization_servers=[exact_url.validate_python(issuer)], base_url=base_url
    )
    server: FastMCP = FastMCP("Notes", auth=auth)

    @server.tool
    def whoami() -> dict[str, str]:
        token = get_access_token()
        assert token is not None
        return {"sub": str(token.claims["sub"]), "client_id": token.client_id, "scope": " ".join(token.scopes)}

    return server


if __name__ == "__main__":
    port = int(sys.argv[2])
    mcp = create_server(sys.argv[1], f"http://localhost:{port}")
    mcp.run(transport="http", host="127.0.0.1", port=port, show_banner=False)
