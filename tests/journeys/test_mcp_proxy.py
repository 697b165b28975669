"""FastMCP's own ``OIDCProxy`` stands between programs and us: it is one client, registered as ``client create`` makes it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.browser import Browser, Page
from tests.database_servers import free_port
from tests.journeys.fastmcp_client import Desktop, FastMCPProgram
from tests.journeys.mcp_server import SCOPE
from tests.journeys.mcp_world import ON_THIS_DEVICE, says
from tests.journeys.person import Person
from tests.serving import serving
from tests.verifier.services import running


class ThroughTheProxy(Person):
    """Agrees on the proxy's own page before ours."""

    def answer(self, browser: Browser, url: str, *, until: int = 0) -> Page:
        says(browser.get(url), "wants to access the MCP server Notes")
        page = browser.fill({}, button="approve")
        return super().answer(browser, page.url, until=until)


def test_a_program_signs_in_through_the_proxy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    port = free_port()
    url, callback = f"http://localhost:{port}/mcp", f"http://localhost:{port}/auth/callback"
    with serving(tmp_path) as server:
        server.mcp_core("resource", "add", url, "--name", "Notes", "--scope", SCOPE)
        made = server.mcp_core_json("client", "create", "--name", "Notes server", "--redirect-uri", callback)
        person = ThroughTheProxy("ana")
        server.user(person.username, person.password, "--verified")
        proxy = str(Path(__file__).with_name("mcp_proxy_server.py"))
        arguments = [sys.executable, proxy, server.issuer, str(port), made["client_id"], made["client_secret"]]
        quiet = {"FASTMCP_CHECK_FOR_UPDATES": "off", "FASTMCP_HOME": str(tmp_path)}
        with running(arguments, port, tmp_path / "mcp-server.log", **quiet):
            desktop = Desktop(person, monkeypatch)
            said = FastMCPProgram(url).call()
    assert desktop.problems == []
    assert (said["client_id"], said["scope"]) == (made["client_id"], SCOPE)
    (page,) = person.asked
    says(page, "“Notes server” wants to use your account", ON_THIS_DEVICE, f"Access to Notes {url}")
