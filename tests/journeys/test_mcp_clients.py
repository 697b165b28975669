"""Two MCP clients that people use reach an MCP server that verifies our tokens: the official SDK's, and FastMCP's.

The MCP server is ``mcp_server.py``, in a process of its own. Nobody tells the clients where to sign in: they ask it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
import threading
import time
import webbrowser
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlsplit

import fastmcp
import httpx2
import mcp
import pytest
import requests
from fastmcp.client.auth import OAuth
from mcp.client.auth import OAuthClientProvider
from mcp.client.auth.extensions.client_credentials import ClientCredentialsOAuthProvider
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import AuthorizationCodeResult, OAuthClientInformationFull, OAuthClientMetadata, OAuthToken
from pydantic import AnyUrl

from tests.browser import Browser
from tests.database_servers import free_port
from tests.journeys.mcp_server import SCOPE
from tests.journeys.person import Person
from tests.serving import Server, serving

START_SECONDS = 60
OTHER_API = "https://files.example/api"


@dataclass
class World:
    """The provider, the MCP server at ``url``, and what was registered once."""

    server: Server
    url: str
    public_client: str
    service: dict[str, Any]
    person: Person


@pytest.fixture(scope="module", params=["/oauth", ""], ids=["issuer with a path", "bare host"])
def world(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    port = free_port()
    url = f"http://localhost:{port}/mcp"
    person = Person("mina")
    with serving(tmp_path_factory.mktemp("home"), path=request.param) as server:
        server.user(person.username, person.password, "--verified")
        server.mcp_core("resource", "add", url, "--name", "Notes", "--scope", SCOPE)
        server.mcp_core("resource", "add", OTHER_API, "--name", "Files", "--scope", SCOPE)
        public = server.mcp_core_json(
            *("client", "create", "--name", "Notes client", "--public", "--native"),
            *("--redirect-uri", "http://localhost/callback", "--scope", SCOPE, "--resource", url),
        )
        service = server.mcp_core_json(
            *("client", "create", "--name", "Nightly", "--grant", "client_credentials", "--scope", SCOPE)
        )
        with mcp_server(server, port):
            yield World(server, url, public["client_id"], service, person)


@contextlib.contextmanager
def mcp_server(server: Server, port: int) -> Iterator[None]:
    """``mcp_server.py``, until the block ends."""
    log = server.home / "mcp-server.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("mcp_server.py")), server.issuer, str(port)],
            cwd=server.home,
            env={**os.environ, "FASTMCP_CHECK_FOR_UPDATES": "off"},
            stdout=output,
            stderr=output,
        )
    try:
        deadline = time.monotonic() + START_SECONDS
        while True:
            with contextlib.suppress(requests.RequestException):
                requests.get(f"http://localhost:{port}/mcp", timeout=5)
                break
            assert process.poll() is None, log.read_text(errors="replace")
            assert time.monotonic() < deadline, log.read_text(errors="replace")
            time.sleep(0.1)
        yield
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)


@dataclass
class Storage:
    """What the SDK keeps between runs. A client that an operator registered is simply in it already."""

    client: OAuthClientInformationFull | None = None
    tokens: list[OAuthToken] = field(default_factory=list)

    async def get_tokens(self) -> OAuthToken | None:
        return self.tokens[-1] if self.tokens else None

    async def set_tokens(self, tokens: OAuthToken) -> None:
        self.tokens.append(tokens)

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        return self.client

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        raise AssertionError("a registered client does not register")


def official_client(world: World, opened: list[str]) -> OAuthClientProvider:
    """The SDK's OAuth with a person at a browser in place of its two handlers. ``opened`` gets what was asked for."""
    callback = f"http://localhost:{free_port()}/callback"
    answers: list[str] = []

    async def redirect(url: str) -> None:
        opened.append(url)
        page = await asyncio.to_thread(world.person.answer, Browser(callback), url)
        answers.append(page.url)

    async def read() -> AuthorizationCodeResult:
        answer = dict(parse_qsl(urlsplit(answers[-1]).query))
        return AuthorizationCodeResult(code=answer["code"], state=answer["state"], iss=answer["iss"])

    metadata = OAuthClientMetadata(
        client_name="Notes client", redirect_uris=[AnyUrl(callback)], token_endpoint_auth_method="none"
    )
    registered = OAuthClientInformationFull(
        client_id=world.public_client,
        issuer=world.server.issuer,
        redirect_uris=[AnyUrl(callback)],
        token_endpoint_auth_method="none",
    )
    return OAuthClientProvider(world.url, metadata, Storage(registered), redirect, read)


async def whoami(world: World, auth: httpx2.Auth) -> dict[str, str]:
    """What the MCP server says of the caller, asked with the official SDK."""
    async with (
        httpx2.AsyncClient(auth=auth, timeout=30) as http,
        mcp.Client(streamable_http_client(world.url, http_client=http)) as client,
    ):
        result = await client.call_tool("whoami", {})
    assert result.structured_content is not None
    return result.structured_content


def test_the_official_client_signs_in_calls_and_refreshes(world: World) -> None:
    opened: list[str] = []
    auth = official_client(world, opened)
    said = asyncio.run(whoami(world, auth))
    assert said["client_id"] == world.public_client
    assert SCOPE in said["scope"].split()
    asked = parse_qs(urlsplit(opened[0]).query)
    assert asked["resource"] == [world.url]

    storage: Any = auth.context.storage
    assert storage.tokens[-1].refresh_token
    auth.context.token_expiry_time = 1
    assert asyncio.run(whoami(world, auth)) == said
    first, second = storage.tokens
    assert first.refresh_token != second.refresh_token
    assert first.access_token != second.access_token
    assert len(opened) == 1, "the person was not asked again"


def test_the_official_client_gets_in_with_client_credentials(world: World) -> None:
    storage = Storage()
    auth = ClientCredentialsOAuthProvider(
        world.url,
        storage,
        client_id=world.service["client_id"],
        client_secret=world.service["client_secret"],
        scope=SCOPE,
        issuer=world.server.issuer,
    )
    said = asyncio.run(whoami(world, auth))
    assert said == {"sub": world.service["client_id"], "client_id": world.service["client_id"], "scope": SCOPE}
    assert storage.tokens[0].refresh_token is None


class Desktop:
    """Stands in for the desktop's browser: ``open`` returns at once, a person does the rest."""

    def __init__(self, person: Person) -> None:
        self.opened: list[str] = []
        self.problems: list[BaseException] = []
        self._person = person

    def open(self, url: str, *_how: object) -> bool:
        self.opened.append(url)
        threading.Thread(target=self._answer, args=(url,), daemon=True).start()
        return True

    def _answer(self, url: str) -> None:
        try:
            callback = parse_qs(urlsplit(url).query)["redirect_uri"][0]
            page = self._person.answer(Browser(callback), url)
            for _ in range(100):  # the program listens a moment after it has opened the browser
                with contextlib.suppress(requests.ConnectionError):
                    assert requests.get(page.url, timeout=20).status_code == 200
                    return
                time.sleep(0.1)
            raise AssertionError("nobody listens at the redirect URI")
        except BaseException as problem:
            self.problems.append(problem)


@pytest.mark.filterwarnings("ignore:Using in-memory token storage")
def test_the_fastmcp_client_signs_in_calls_and_refreshes(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """It asks the authorization endpoint once itself before it opens the browser, which then asks again."""
    desktop = Desktop(world.person)
    monkeypatch.setattr(webbrowser, "open", desktop.open)
    auth = OAuth(client_id=world.public_client, issuer=world.server.issuer, scopes=[SCOPE], callback_timeout=60)

    async def story() -> tuple[dict[str, str], dict[str, str], list[str]]:
        async with fastmcp.Client(world.url, auth=auth) as client:
            before = (await client.call_tool("whoami")).data
            first = auth.context.current_tokens
            auth.context.token_expiry_time = 1
            after = (await client.call_tool("whoami")).data
            second = auth.context.current_tokens
        assert first is not None
        assert second is not None
        return before, after, [str(first.refresh_token), str(second.refresh_token)]

    before, after, refresh_tokens = asyncio.run(story())
    assert desktop.problems == []
    assert len(desktop.opened) == 1
    assert before == after
    assert before["client_id"] == world.public_client
    assert refresh_tokens[0].startswith("mcp_rt_")
    assert refresh_tokens[0] != refresh_tokens[1]


def test_the_mcp_server_lets_nobody_else_in(world: World) -> None:
    """No token, a token for another API, a token that somebody made up: 401 with the way to the metadata."""
    answer = requests.post(
        f"{world.server.issuer}/token",
        data={"grant_type": "client_credentials", "resource": OTHER_API},
        auth=(world.service["client_id"], world.service["client_secret"]),
        timeout=20,
    )
    token = answer.json()["access_token"]
    for headers in ({}, {"Authorization": f"Bearer {token}"}, {"Authorization": f"Bearer {token[:-4]}AAAA"}):
        refusal = requests.post(world.url, json={}, headers=headers, timeout=20)
        assert refusal.status_code == 401
        assert "resource_metadata=" in refusal.headers["WWW-Authenticate"]
