"""The MCP SDK's and FastMCP's servers behind the real provider, called by the SDK's own client from discovery to tool.

Once with an issuer that has a path, and once with a bare host, to which pydantic would add a slash.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import httpx2
import pytest
import requests
from mcp.client.auth.extensions.client_credentials import ClientCredentialsOAuthProvider
from mcp.client.client import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import OAuthClientInformationFull, OAuthToken

from mcp_core_verifier.mcp import exact_url
from tests.database_servers import free_port
from tests.serving import serving
from tests.verifier.conftest import API, Real, bearer, prepared
from tests.verifier.services import example
from tests.waiting import HANG_SECONDS

SHORT = "The access token does not allow this."
HELLO = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
ACCEPT = {"Accept": "application/json, text/event-stream"}


class Memory:
    """Where the SDK's client keeps what it gets."""

    def __init__(self) -> None:
        self.tokens: OAuthToken | None = None
        self.client: OAuthClientInformationFull | None = None

    async def get_tokens(self) -> OAuthToken | None:
        return self.tokens

    async def set_tokens(self, tokens: OAuthToken) -> None:
        self.tokens = tokens

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        return self.client

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        self.client = client_info


@dataclass(frozen=True)
class Service:
    provider: Real
    url: str
    kind: str

    def post(self, headers: dict[str, str] | None = None) -> requests.Response:
        return requests.post(self.url, json=HELLO, headers={**ACCEPT, **(headers or {})}, timeout=HANG_SECONDS)


@pytest.fixture(scope="module", params=["/oauth", ""], ids=["path", "bare-host"])
def provider(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Real]:
    with serving(tmp_path_factory.mktemp("provider"), path=request.param) as server:
        yield prepared(server)


@pytest.fixture(scope="module", params=["mcp_sdk_server", "fastmcp_server"])
def service(
    request: pytest.FixtureRequest, provider: Real, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    port = free_port()
    url = f"http://localhost:{port}/mcp"
    provider.add(url, "notes:read notes:write")
    home = tmp_path_factory.mktemp("service")
    with example(f"{request.param}/server.py", port, home, MCP_ISSUER=provider.issuer):
        yield Service(provider, url, request.param)


def test_a_client_finds_its_way_from_the_challenge_to_the_tool(service: Service) -> None:
    memory, key = Memory(), service.provider.key
    auth = ClientCredentialsOAuthProvider(
        service.url, memory, key["key_id"], key["key_secret"], issuer=service.provider.issuer
    )

    async def use() -> Any:
        async with (
            httpx2.AsyncClient(auth=auth, timeout=HANG_SECONDS) as http,
            Client(streamable_http_client(service.url, http_client=http)) as client,
        ):
            return await client.call_tool("whoami", {})

    told = asyncio.run(use()).structured_content
    assert told == {"sub": key["key_id"], "client_id": key["key_id"], "scope": "notes:read"}
    assert memory.tokens is not None
    assert memory.tokens.scope in (None, "notes:read"), "the client asked for what the challenge named"


def test_the_challenge_says_what_is_needed(service: Service) -> None:
    base, path = service.url.removesuffix("/mcp"), "/.well-known/oauth-protected-resource/mcp"
    answer = service.post()
    expected = f'Bearer scope="notes:read", resource_metadata="{base}{path}"'
    assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, expected)
    document = requests.get(base + path, timeout=HANG_SECONDS)
    assert document.json()["resource"] == service.url
    assert document.json()["authorization_servers"] == [service.provider.issuer]
    assert document.json()["scopes_supported"] == ["notes:read"]
    assert document.headers["Access-Control-Allow-Origin"] == "*"


def test_a_bad_token_is_refused(service: Service) -> None:
    for token in ("x", service.provider.token(API)):
        answer = service.post(bearer(token))
        assert answer.status_code == 401
        assert 'error="invalid_token"' in answer.headers["WWW-Authenticate"]
        assert 'scope="notes:read"' in answer.headers["WWW-Authenticate"]


def test_a_token_with_too_little_scope_is_refused(service: Service) -> None:
    answer = service.post(bearer(service.provider.token(service.url, "notes:write")))
    assert answer.status_code == 403
    challenge = answer.headers["WWW-Authenticate"]
    assert challenge.startswith('Bearer error="insufficient_scope"')
    assert 'scope="notes:read"' in challenge
    assert "resource_metadata=" in challenge


def test_an_outage_is_no_fault_of_the_token(service: Service, tmp_path: Any) -> None:
    port = free_port()
    away = replace(service, url=f"http://localhost:{port}/mcp")
    with example(f"{service.kind}/server.py", port, tmp_path, MCP_ISSUER="http://127.0.0.1:9/oauth"):
        answer = away.post(bearer(service.provider.token(service.url)))
        assert answer.status_code == 503, answer.text
        assert "WWW-Authenticate" not in answer.headers


@pytest.mark.parametrize("url", ["https://auth.example", "https://auth.example/", "https://auth.example/oauth"])
def test_a_url_is_kept_byte_for_byte(url: str) -> None:
    assert str(exact_url(url)) == url


@pytest.mark.parametrize("url", ["https://AUTH.example", "https://auth.example:443/oauth"])
def test_a_url_that_would_change_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="spelling"):
        exact_url(url)
