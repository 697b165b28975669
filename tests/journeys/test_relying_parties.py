"""Web applications on Authlib, as people write them: its Flask client (our example) and its Starlette client."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.browser import Browser
from tests.database_servers import free_port
from tests.journeys.mcp_world import says, says_nothing_of
from tests.journeys.person import Person
from tests.serving import ROOT, Server, serving
from tests.verifier.services import running

PROGRAMS = {
    "Flask": ROOT / "examples" / "sign_in_with_mcp" / "app.py",
    "Starlette": Path(__file__).with_name("starlette_app.py"),
}


@dataclass
class Application:
    url: str
    person: Person
    server: Server


@pytest.fixture(scope="module", params=["/oauth", ""], ids=["issuer with a path", "bare host"])
def provider(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("home"), path=request.param) as server:
        yield server


@pytest.fixture(params=PROGRAMS)
def application(request: pytest.FixtureRequest, provider: Server, tmp_path: Path) -> Iterator[Application]:
    port = free_port()
    url = f"http://localhost:{port}"
    made = provider.mcp_core_json(
        *("client", "create", "--name", "Acme Files", "--redirect-uri", f"{url}/callback"),
        *("--post-logout-redirect-uri", f"{url}/signed-out", "--scope", "openid profile email"),
    )
    person = Person(f"person{port}")
    provider.user(person.username, person.password, "--verified")
    settings = {"CLIENT_ID": made["client_id"], "CLIENT_SECRET": made["client_secret"], "MCP_ISSUER": provider.issuer}
    program = [sys.executable, str(PROGRAMS[request.param])]
    with running(program, port, tmp_path / "application.log", **settings):
        yield Application(url, person, provider)


def test_a_person_signs_in_and_out(application: Application) -> None:
    browser, person = Browser(), application.person
    page = browser.get(f"{application.url}/login")
    assert page.url.startswith(application.server.origin)
    says(page, "Acme Files")
    page = person.sign_in(browser)
    host = application.url.removeprefix("http://")
    says(page, "“Acme Files” wants to use your account", f"You will be sent to {host}", "See your e-mail address")
    says_nothing_of(page, "This app isn't reviewed", "Access to")
    page = browser.submit(page.form(action="/consent"), button="allow")
    assert (page.status, page.url.rstrip("/")) == (200, application.url)
    says(page, person.username)

    page = browser.submit(page.form(action="/sign-out"))
    if page.url.startswith(application.server.origin):
        page = browser.submit(page.form(action="/sign-out"))
    assert page.url.startswith(f"{application.url}/signed-out")
    assert browser.get(f"{application.url}/login").path == "/login", "the session at the provider is over too"


def test_a_person_who_refuses_comes_back_without_being_signed_in(application: Application) -> None:
    browser = Browser()
    browser.get(f"{application.url}/login")
    page = application.person.sign_in(browser)
    page = browser.submit(page.form(action="/consent"), button="cancel")
    assert (page.status, page.path) == (400, "/callback")
    assert "error=access_denied" in page.url
    says_nothing_of(browser.get(application.url), application.person.username)
