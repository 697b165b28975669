"""Debian's Apache with mod_auth_openidc in front of a page: ``apt-get install libapache2-mod-auth-openidc``."""

from __future__ import annotations

import secrets
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.browser import Browser
from tests.database_servers import free_port
from tests.journeys.mcp_world import says
from tests.journeys.person import Person
from tests.serving import Server, serving
from tests.verifier.services import running

APACHE = shutil.which("apache2", path="/usr/sbin:/usr/bin:/usr/local/sbin")
MODULE = Path("/usr/lib/apache2/modules/mod_auth_openidc.so")
pytestmark = [
    pytest.mark.interop,
    pytest.mark.skipif(APACHE is None or not MODULE.exists(), reason="libapache2-mod-auth-openidc is not installed"),
]


@pytest.fixture(scope="module", params=["/oauth", ""], ids=["issuer with a path", "bare host"])
def provider(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("home"), path=request.param) as server:
        yield server


@pytest.fixture
def folder() -> Iterator[Path]:
    """Where Apache's unprivileged processes can read."""
    with tempfile.TemporaryDirectory(prefix="mcp-apache-") as name:
        made = Path(name)
        made.chmod(0o755)
        page = made / "pages" / "protected" / "index.html"
        page.parent.mkdir(parents=True)
        page.write_text("<h1>Members only</h1>")
        yield made


def test_a_page_behind_apache_is_for_people_who_signed_in(provider: Server, folder: Path) -> None:
    port = free_port()
    url = f"http://localhost:{port}/protected/index.html"
    made = provider.mcp_core_json(
        *("client", "create", "--name", "Members area", "--scope", "openid profile email"),
        *("--redirect-uri", f"http://localhost:{port}/protected/callback"),
    )
    person = Person("mina")
    provider.user(person.username, person.password, "--verified")
    settings = {
        "HOME_FOLDER": str(folder),
        "ISSUER": provider.issuer,
        "CLIENT_ID": made["client_id"],
        "CLIENT_SECRET": made["client_secret"],
        "PASSPHRASE": secrets.token_hex(32),
    }
    command = [str(APACHE), "-X", "-f", str(Path(__file__).with_name("apache.conf"))]
    with running(command, port, folder / "printed.log", **settings):
        browser = Browser()
        page = browser.get(url)
        assert page.path == "/login", f"{page.status} {page.url}\n{(folder / 'error.log').read_text()}"
        page = person.sign_in(browser)
        says(page, "“Members area” wants to use your account", f"You will be sent to localhost:{port}")
        page = browser.submit(page.form(action="/consent"), button="allow")
        problem = f"{page.status} {page.url}: {page.text}\n{(folder / 'error.log').read_text()}"
        assert (page.status, page.url) == (200, url), problem
        says(page, "Members only")
        assert page.headers["X-Signed-In-As"] == person.username
        assert browser.get(url).trail == [(200, url)], "the second time nobody is asked"
        assert Browser().get(url).path == "/login"
