"""An MCP server behind FastMCP's own ``OIDCProxy``, as its documentation writes one: programs register with the proxy, and
only the proxy is a client of ours.

Run as a program: ``mcp_proxy_server.py <issuer> <port> <client id> <client secret>``.
"""

from __future__ import annotations

import sys

from fastmcp import FastMCP
from fastmcp.server.auth.oidc_proxy import OIDCProxy
from fastmcp.server.dependencies import get_access_token

SCOPE = "notes:read"

if __name__ == "__main__":
    issuer, port, client_id, client_secret = sys.argv[1:]
    base_url = f"http://localhost:{port}"
    auth = OIDCProxy(
        config_url=f"{issuer}/.well-known/openid-configuration",
        client_id=client_id,
        client_secret=client_secret,
        base_url=base_url,
        audience=f"{base_url}/mcp",
        required_scopes=[SCOPE],
    )
    server: FastMCP = FastMCP("Notes", auth=auth)

    @server.tool
    def whoami() -> dict[str, str]:
        token = get_access_token()
        assert token is not None
        return {"sub": str(token.claims["sub"]), "client_id": token.client_id, "scope": " ".join(token.scopes)}

    server.run(transport="http", host="127.0.0.1", port=int(port), show_banner=False)
