"""Front-channel logout in a real Chromium: the frame is loaded, can lead nowhere, and the page goes on by itself."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.https_server import HttpsServer
from tests.journeys.person import Person
from tests.journeys.test_chromium import Open, open_browser
from tests.relying_party import RelyingParty
from tests.serving import Server, serving

__all__ = ["open_browser"]
pytestmark = [pytest.mark.browser, pytest.mark.slow]
HTML = {"Content-Type": "text/html"}
FRAME = b'<script>try { top.location = "/escaped" } catch (error) { fetch("/held") }</script>'


@pytest.fixture
def application() -> Iterator[HttpsServer]:
    server = HttpsServer()
    server.answers.update(dict.fromkeys(("/callback", "/bye", "/held", "/escaped"), (200, HTML, b"<h1>app</h1>")))
    server.answers["/front"] = (200, HTML, FRAME)
    yield server
    server.close()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with serving(tmp_path / "home") as running:
        yield running


@pytest.mark.parametrize("has_scripts", [True, False])
def test_the_frame_is_loaded_and_the_page_leads_on(
    server: Server, application: HttpsServer, open_browser: Open, tmp_path: Path, has_scripts: bool
) -> None:
    metadata = tmp_path / "client.json"
    metadata.write_text(json.dumps({"frontchannel_logout_uri": f"{application.url}/front"}))
    callback, bye = f"{application.url}/callback", f"{application.url}/bye"
    made = server.mcp_core_json(
        *("client", "create", "--name", "Files", "--redirect-uri", callback, "--trusted"),
        *("--post-logout-redirect-uri", bye, "--metadata", str(metadata)),
    )
    party = RelyingParty(server.issuer, made["client_id"], callback, made["client_secret"])
    ana = Person("ana")
    server.user(ana.username, ana.password, "--verified")
    page = open_browser(ignore_https_errors=True, java_script_enabled=has_scripts).new_page()
    page.goto(party.authorization_url())
    page.fill("[name=username]", ana.username)
    page.fill("[name=password]", ana.password)
    page.click("main button:not([type=button])")
    page.wait_for_url(f"{callback}?**")
    tokens = party.redeem(party.code_from(page.url))
    assert tokens.id_token is not None
    page.goto(party.logout_url(tokens.id_token, bye))
    expect(page.locator("h1")).to_have_text("You are signed out.")
    page.wait_for_url(f"{bye}?state={party.state}")
    (frame,) = [item.path for item in application.received if item.path.startswith("/front")]
    assert f"sid={tokens.claims['sid']}" in frame
    assert application.count("/held") == int(has_scripts)
    assert application.count("/escaped") == 0
