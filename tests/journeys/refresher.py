"""A second run of a program on the MCP SDK, which shares a client and a refresh token with the first.

Run as a program. It reads what to use as one line of JSON, says "ready", waits for another line, refreshes, calls the API
and says as JSON how that went. Meant for two at once.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

import httpx2
from mcp.client.auth import OAuthClientProvider
from mcp.shared.auth import OAuthClientInformationFull, OAuthClientMetadata, OAuthMetadata, OAuthToken

from tests.journeys.mcp_sdk import Storage


async def refresh_and_call(given: dict[str, Any]) -> dict[str, Any]:
    client = OAuthClientInformationFull.model_validate(given["client"])
    storage = Storage(client, [OAuthToken.model_validate(given["tokens"])])

    async def nobody(*_: Any) -> Any:
        raise AssertionError("the person was asked again")

    async with httpx2.AsyncClient(timeout=60) as plain:
        metadata = (await plain.get(given["metadata_url"])).json()
    auth = OAuthClientProvider(
        given["url"], OAuthClientMetadata(redirect_uris=client.redirect_uris), storage, nobody, nobody
    )
    async with httpx2.AsyncClient(auth=auth, timeout=60) as http:
        await http.get(given["url"])  # what is stored is good: the SDK reads it, and keeps what it has read
        auth.context.oauth_metadata = OAuthMetadata.model_validate(metadata)
        print("ready", flush=True)
        for _ in range(int(sys.stdin.readline())):
            auth.context.token_expiry_time = 1
            answer = await http.get(given["url"])
    return {"status": answer.status_code, "tokens": [tokens.model_dump() for tokens in storage.tokens[1:]]}


if __name__ == "__main__":
    print(json.dumps(asyncio.run(refresh_and_call(json.loads(sys.stdin.readline())))), flush=True)
