"""Calls the example server as you: opens the browser to sign in, then asks the server who it thinks you are.

Settings from the environment: ``SERVER``, and ``CLIENT_ID`` where somebody has registered this program at ``MCP_ISSUER``;
without one it registers itself.
"""

from __future__ import annotations

import asyncio
import os

from fastmcp import Client
from fastmcp.client.auth import OAuth


async def main() -> None:
    auth = OAuth(
        client_id=os.environ.get("CLIENT_ID"),
        issuer=os.environ.get("MCP_ISSUER", "http://localhost:8000/oauth"),
        scopes=["notes:read"],
    )
    async with Client(os.environ.get("SERVER", "http://localhost:9100/mcp"), auth=auth) as client:
        print((await client.call_tool("whoami")).data)


if __name__ == "__main__":
    asyncio.run(main())
