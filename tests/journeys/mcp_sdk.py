"""The official SDK's client with a person at a browser in place of its two handlers."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx2
import mcp
from mcp.client.auth import OAuthClientProvider
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import AuthorizationCodeResult, OAuthClientInformationFull, OAuthClientMetadata, OAuthToken
from pydantic import AnyUrl

from tests.browser import Browser
from tests.database_servers import free_port
from tests.journeys.person import Person


@dataclass
class Storage:
    """What the SDK keeps between runs. A client that an operator registered is simply in it already."""

    client: OAuthClientInformationFull | None = None
    tokens: list[OAuthToken] = field(default_factory=list)
    registrations: int = 0

    async def get_tokens(self) -> OAuthToken | None:
        return self.tokens[-1] if self.tokens else None

    async def set_tokens(self, tokens: OAuthToken) -> None:
        self.tokens.append(tokens)

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        return self.client

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        self.client = client_info
        self.registrations += 1

    @property
    def scope(self) -> set[str]:
        """Of the last token."""
        return set((self.tokens[-1].scope or "").split())


class Program:
    """One run of a program on the SDK. ``opened`` is what it opened the browser with.

    With ``client_id`` it is registered; with ``document`` it has a metadata document; with neither it registers itself.
    """

    def __init__(
        self,
        url: str,
        person: Person,
        *,
        issuer: str,
        client_id: str | None = None,
        document: str | None = None,
        callback: str | None = None,
    ) -> None:
        self.url, self.person = url, person
        self.callback = callback or f"http://localhost:{free_port()}/callback"
        self.opened: list[str] = []
        self._answers: list[str] = []
        self.storage = Storage()
        public = {} if client_id is None else {"token_endpoint_auth_method": "none"}
        metadata = OAuthClientMetadata(client_name="Somebody's editor", redirect_uris=[AnyUrl(self.callback)], **public)
        if client_id is not None:
            self.storage.client = OAuthClientInformationFull(
                client_id=client_id, issuer=issuer, redirect_uris=[AnyUrl(self.callback)], **public
            )
        self.auth = OAuthClientProvider(
            url, metadata, self.storage, self._redirect, self._read, client_metadata_url=document
        )

    @property
    def client_id(self) -> str:
        assert self.auth.context.client_info is not None
        return str(self.auth.context.client_info.client_id)

    def expire(self) -> None:
        """Has it believe that its access token is over, so that it refreshes before the next call."""
        self.auth.context.token_expiry_time = 1

    def request(self, method: str, url: str) -> httpx2.Response:
        async def ask() -> httpx2.Response:
            async with httpx2.AsyncClient(auth=self.auth, timeout=60) as http:
                return await http.request(method, url)

        return asyncio.run(ask())

    async def _redirect(self, url: str) -> None:
        self.opened.append(url)
        page = await asyncio.to_thread(self.person.answer, Browser(self.callback), url)
        self._answers.append(page.url)

    async def _read(self) -> AuthorizationCodeResult:
        answer = dict(parse_qsl(urlsplit(self._answers[-1]).query))
        return AuthorizationCodeResult(code=answer["code"], state=answer["state"], iss=answer["iss"])


def whoami(url: str, auth: httpx2.Auth) -> dict[str, Any]:
    """What the MCP server at ``url`` says of the caller, asked with the official SDK."""

    async def ask() -> dict[str, Any]:
        async with (
            httpx2.AsyncClient(auth=auth, timeout=60) as http,
            mcp.Client(streamable_http_client(url, http_client=http)) as client,
        ):
            result = await client.call_tool("whoami", {})
        assert result.structured_content is not None
        return result.structured_content

    return asyncio.run(ask())
