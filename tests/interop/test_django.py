"""Three libraries for Django sign people in: with their own defaults, and as their guides say."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.browser import Browser, Page
from tests.database_servers import free_port
from tests.journeys.mcp_world import says
from tests.journeys.person import Person
from tests.serving import Server, serving
from tests.verifier.services import running

pytestmark = pytest.mark.slow
LIBRARIES = ("django-allauth", "mozilla-django-oidc", "social-auth")
BACKENDS = {"django-allauth": "allauth.", "mozilla-django-oidc": "mozilla_django_oidc.", "social-auth": "social_core."}
# The line of each configuration that is not the library's default.
PKCE = {
    "django-allauth": ', "oauth_pkce_enabled": True',
    "mozilla-django-oidc": "OIDC_USE_PKCE = True\n",
    "social-auth": "SOCIAL_AUTH_OIDC_USE_PKCE = True\n",
}
# What each needs of a registration when it is left as it is.
DEFAULTS: dict[str, tuple[str, ...]] = {
    "django-allauth": ("--pkce", "never"),
    "mozilla-django-oidc": (),
    "social-auth": (),
}


@dataclass
class Site:
    url: str
    log: Path

    def start(self, browser: Browser, library: str) -> Page:
        """The button of a library, to our first page."""
        if library == "mozilla-django-oidc":
            return browser.get(f"{self.url}/oidc/authenticate/")
        if library == "django-allauth":
            page = browser.get(f"{self.url}/accounts/oidc/mcp-core/login/")
            return browser.submit(next(form for form in page.forms if form.method == "post"))
        page = browser.get(f"{self.url}/")
        return browser.submit(page.form(action="/login/oidc/"))


@pytest.fixture(scope="module")
def provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("home")) as server:
        yield server


@pytest.fixture(scope="module", params=["default", "guide"])
def site(request: pytest.FixtureRequest, provider: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A site with all three: registered plainly and left as they are, or by ``--for`` with what it prints."""
    folder, port = tmp_path_factory.mktemp("django"), free_port()
    url = f"http://localhost:{port}"
    texts = folder / "configurations"
    texts.mkdir()
    for library in LIBRARIES:
        made = provider.mcp_core_json("client", "create", "--for", library, "--name", library, "--redirect-uri", url)
        text = made["configuration"]
        if request.param == "default":
            plain = provider.mcp_core_json(
                *("client", "create", "--name", library, "--redirect-uri", made["redirect_uris"][0]), *DEFAULTS[library]
            )
            text = text.replace(made["client_id"], plain["client_id"]).replace(
                made["client_secret"], plain["client_secret"]
            )
            assert PKCE[library] in text
            text = text.replace(PKCE[library], "")
        (texts / f"{library}.py").write_text(text, "utf-8")
    program = [sys.executable, str(Path(__file__).with_name("django_sites.py"))]
    log = folder / "printed.log"
    with running(program, port, log, CONFIGURATIONS=str(texts)):
        yield Site(url, log)


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_person_signs_in(provider: Server, site: Site, library: str, request: pytest.FixtureRequest) -> None:
    person = Person(f"mina-{re.sub(r'[^a-z]+', '-', request.node.name.partition('[')[2]).strip('-')}")
    provider.user(person.username, person.password, "--verified")
    browser = Browser()
    page = site.start(browser, library)
    assert page.path == "/login", f"{page.status} {page.url}: {page.text}"
    page = person.sign_in(browser)
    says(page, f"“{library}” wants to use your account", "See your e-mail address")
    page = browser.submit(page.form(action="/consent"), button="allow")
    assert (page.status, page.url) == (200, f"{site.url}/"), f"{page.status} {page.url}: {page.text[:3000]}"
    says(page, f", {person.email}", BACKENDS[library])
