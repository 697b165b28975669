"""oauth2-proxy in front of a page, with the lines of its guide: members of a group get in, and nobody who was removed."""

from __future__ import annotations

import re
import secrets
import shutil
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.browser import Browser, Page
from tests.database_servers import free_port
from tests.journeys.person import Person
from tests.serving import ROOT, Server, serving
from tests.verifier.services import running
from tests.waiting import eventually

PROGRAM = shutil.which("oauth2-proxy")
GUIDE = ROOT / "docs" / "guides" / "oauth2-proxy.md"
pytestmark = [
    pytest.mark.interop,
    pytest.mark.skipif(PROGRAM is None, reason="oauth2-proxy is not installed (its build takes minutes)"),
]


class Files(BaseHTTPRequestHandler):
    """What is protected. It shows who oauth2-proxy says has come."""

    def do_GET(self) -> None:
        who, groups = self.headers["X-Forwarded-Preferred-Username"], self.headers["X-Forwarded-Groups"]
        body = f"<p>{who} {groups}</p>".encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing is printed."""


@pytest.fixture
def files() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Files)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def provider(tmp_path: Path) -> Iterator[Server]:
    with serving(tmp_path / "home") as server:
        yield server
        assert server.traces == ""


def group_lines() -> str:
    """What the guide adds for groups."""
    blocks = re.findall(r"```toml\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)
    (found,) = [block for block in blocks if "allowed_groups" in block]
    return str(found)


def test_members_get_in_others_do_not_and_nobody_who_was_removed(provider: Server, files: str, tmp_path: Path) -> None:
    port = free_port()
    url = f"http://localhost:{port}"
    made = provider.mcp_core_json("client", "create", "--for", "oauth2-proxy", "--redirect-uri", url)
    for name in ("mina", "noah"):
        provider.user(name, Person(name).password, "--verified")
    provider.mcp_core("group", "create", "developers")
    provider.mcp_core("group", "create", "editors")
    provider.mcp_core("group", "add", "developers", "mina")
    provider.mcp_core("group", "add", "editors", "mina")
    lines = made["configuration"].replace("http://127.0.0.1:8080/", files)
    extra = group_lines().replace('"1m"', '"1s"')
    lines = "\n".join(line for line in lines.splitlines() if not line.startswith("scope ")) + f"\n{extra}"
    lines += f'\nhttp_address = "127.0.0.1:{port}"\ncookie_secure = false\n'
    (tmp_path / "oauth2-proxy.cfg").write_text(lines)
    command, key = [str(PROGRAM), "--config", "oauth2-proxy.cfg"], secrets.token_hex(16)
    with running(command, port, tmp_path / "log", OAUTH2_PROXY_COOKIE_SECRET=key):
        browser = Browser()
        page = person_at(browser, "mina", url)
        assert (page.status, page.text) == (200, "mina developers,editors"), page.text
        assert person_at(Browser(), "noah", url).status == 403
        provider.mcp_core("group", "remove", "editors", "mina")
        eventually(lambda: browser.get(url).text == "mina developers", lambda: (tmp_path / "log").read_text())
        provider.mcp_core("group", "remove", "developers", "mina")
        eventually(lambda: browser.get(url).status == 403, lambda: (tmp_path / "log").read_text())


def person_at(browser: Browser, name: str, url: str) -> Page:
    """What is shown to somebody who has signed in on the way to ``url``."""
    person = Person(name)
    return person.answer(browser, f"{url}/oauth2/start?rd=/", until=200 if name == "mina" else 403)
