"""``mcp-core protect``: what it prints is pasted into a file, run, and asked with and without a token."""

from __future__ import annotations

import asyncio
import html
import json
import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
import requests
from mcp.client.auth.extensions.client_credentials import ClientCredentialsOAuthProvider
from mcp.client.client import Client
from mcp.client.streamable_http import streamable_http_client

from tests.browser import Browser
from tests.database_servers import free_port
from tests.journeys.person import Person
from tests.serving import serving
from tests.verifier.conftest import ELSEWHERE, Real, bearer, prepared
from tests.verifier.services import running
from tests.verifier.test_mcp_servers import ACCEPT, HELLO, Memory
from tests.waiting import HANG_SECONDS

SCOPE = "notes:read notes:write"
TITLES = ("FastMCP", "MCP Python SDK", "FastAPI", "Flask")
ASGI = "\n\nimport sys, uvicorn\nuvicorn.run(app, host='127.0.0.1', port=int(sys.argv[1]), log_level='warning')\n"
WSGI = "\n\nimport sys\napp.run('127.0.0.1', int(sys.argv[1]))\n"


@pytest.fixture(scope="module", params=["/oauth", ""], ids=["path", "bare-host"])
def provider(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Real]:
    with serving(tmp_path_factory.mktemp("provider"), path=request.param) as server:
        yield prepared(server)


def snippets(printed: str) -> dict[str, str]:
    parts = re.split(r"^--- (.+)$", printed.partition("\nThe package:")[0], flags=re.MULTILINE)
    return dict(zip(parts[1::2], (part.strip("\n") for part in parts[2::2]), strict=True))


@pytest.mark.parametrize("title", TITLES)
def test_what_is_printed_protects_a_server(provider: Real, title: str, tmp_path: Path) -> None:
    port = free_port()
    is_mcp = "MCP" in title
    address, path = f"http://localhost:{port}", "/mcp" if is_mcp else "/api"
    printed = provider.server.mcp_core("protect", address + path, "--scope", SCOPE, "--name", "Notes")
    found = snippets(printed)
    assert tuple(found) == TITLES
    program = tmp_path / "service.py"
    program.write_text(found[title] + (WSGI if title == "Flask" else ASGI))
    with running([sys.executable, str(program), str(port)], port, tmp_path / "service.log"):
        metadata_url = f"{address}/.well-known/oauth-protected-resource{path}"
        assert metadata_url in printed
        document = requests.get(metadata_url, timeout=HANG_SECONDS).json()
        assert (document["resource"], document["authorization_servers"]) == (address + path, [provider.issuer])
        assert document["scopes_supported"] == SCOPE.split()

        for headers in ({}, bearer("x"), bearer(provider.token(ELSEWHERE))):
            refusal = _ask(address + path, is_mcp, headers)
            assert refusal.status_code == 401
            assert f'resource_metadata="{metadata_url}"' in refusal.headers["WWW-Authenticate"]
            assert 'scope="notes:read"' in refusal.headers["WWW-Authenticate"]
        assert _ask(address + path, is_mcp, bearer(provider.token(address + path, "notes:write"))).status_code == 403
        if is_mcp:
            assert asyncio.run(_tools(provider, address + path)) == []
        else:
            answer = _ask(address + path, is_mcp, bearer(provider.token(address + path, "notes:read")))
            assert (answer.status_code, answer.json()) == (200, {"sub": provider.key["key_id"]})


def _ask(url: str, is_mcp: bool, headers: dict[str, str]) -> requests.Response:
    if is_mcp:
        return requests.post(url, json=HELLO, headers={**ACCEPT, **headers}, timeout=HANG_SECONDS)
    return requests.get(f"{url}/whoami", headers=headers, timeout=HANG_SECONDS)


async def _tools(provider: Real, url: str) -> list[str]:
    auth = ClientCredentialsOAuthProvider(
        url, Memory(), provider.key["key_id"], provider.key["key_secret"], issuer=provider.issuer
    )
    async with (
        httpx2.AsyncClient(auth=auth, timeout=HANG_SECONDS) as http,
        Client(streamable_http_client(url, http_client=http)) as client,
    ):
        return [tool.name for tool in (await client.list_tools()).tools]


def test_it_may_be_repeated_and_says_the_document_as_json(provider: Real) -> None:
    url = "https://files.example/mcp"
    said = [json.loads(provider.server.mcp_core("protect", url, "--scope", SCOPE, "--json")) for _ in range(2)]
    assert said[0] == said[1]
    assert said[0]["metadata_url"] == "https://files.example/.well-known/oauth-protected-resource/mcp"
    assert said[0]["metadata"]["authorization_servers"] == [provider.issuer]
    assert said[0]["metadata"]["resource_name"] == "files.example"


@pytest.mark.parametrize(
    "url, at",
    [
        ("https://whole.example", "https://whole.example/.well-known/oauth-protected-resource"),
        ("https://deep.example/a/b", "https://deep.example/.well-known/oauth-protected-resource/a/b"),
    ],
)
def test_the_printed_address_is_the_verifiers(provider: Real, url: str, at: str) -> None:
    from mcp_core_verifier import Verifier

    assert f"  {at}\n" in provider.server.mcp_core("protect", url)
    with Verifier(provider.issuer, url) as verifier:
        assert at.removeprefix("https://whole.example").removeprefix("https://deep.example") in verifier.metadata.paths


@pytest.mark.parametrize("language", ["en", "ko"])
def test_what_the_account_page_shows_first_protects_a_server(provider: Real, language: str, tmp_path: Path) -> None:
    browser, person = Browser(language=language), Person("ana")
    browser.get(f"{provider.server.origin}/login")
    page = person.sign_in(browser)
    port = free_port()
    shown = [html.unescape(text) for text in re.findall(r"<pre [^>]*>(.*?)</pre>", page.html, re.DOTALL)]
    command, program = (text.replace("9000", str(port)).replace("\\\n", " ") for text in shown[:2])
    assert shlex.split(command)[0] == "mcp-core"
    printed = provider.server.mcp_core(*shlex.split(command)[1:])
    lines = [line for line in program.splitlines() if line.startswith(("from mcp_core", "verifier ="))]
    assert len(lines) == 3
    for line in lines:
        assert line.replace('"', "'") in printed, "the command prints the same"

    (tmp_path / "service.py").write_text(program)
    url = f"http://localhost:{port}/mcp"
    settings = {"FASTMCP_CHECK_FOR_UPDATES": "off"}
    with running([sys.executable, str(tmp_path / "service.py")], port, tmp_path / "service.log", **settings):
        assert _ask(url, True, {}).status_code == 401
        found = requests.get(
            f"http://localhost:{port}/.well-known/oauth-protected-resource/mcp", timeout=HANG_SECONDS
        ).json()
        assert found["authorization_servers"] == [provider.issuer]
        provider.key = provider.server.mcp_core_json(
            *("api-key", "create", "--user", "ana", "--name", "account", "--scope", f"{SCOPE} mcp:use")
        )
        assert asyncio.run(_tools(provider, url)) == []
