"""Each page about cloud accounts in a real Chromium: axe-core finds nothing (A, AA), a phone shows all of it, nothing comes
from elsewhere, and the browser has nothing to complain of."""

from __future__ import annotations

from pathlib import Path

import pytest
from axe_playwright_python.base import AXE_FILE_PATH
from playwright.sync_api import ConsoleMessage, Route

import provider
from provider.security.crypto import Keyring
from tests.journeys.test_chromium import MISFITS, PHONE, Open, open_browser
from tests.pages.every_cloud_page import clouds
from tests.pages.site import ORIGIN, Site
from tests.pages.walking import Visit, Walk

pytestmark = [pytest.mark.browser, pytest.mark.slow]
__all__ = ["open_browser"]
STATIC = Path(provider.__file__).parent / "static"
TYPES = {
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".ico": "image/x-icon",
}
OPENED = "document.querySelectorAll('details').forEach(it => { it.removeAttribute('name'); it.open = true })"
VIOLATIONS = """() => axe.run({runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa']}).then(found =>
  found.violations.map(it => `${it.id}: ${it.nodes.map(node => node.html).join(' ')}`))"""


@pytest.fixture(scope="module")
def walks(
    tmp_path_factory: pytest.TempPathFactory, migrated_sqlite_file: Path, keyring: Keyring
) -> dict[str, list[Visit]]:
    """Every other page in English, the rest in Korean."""
    found = {}
    for number, language in enumerate(("en", "ko")):
        site = Site(tmp_path_factory.mktemp(language), migrated_sqlite_file, keyring)
        seen = Walk()
        clouds(seen, site, language)
        site.close()
        shown = [it for it in seen.visits if it.is_html and not it.name.startswith("cloud to be changed, ")]
        found[language] = shown[number::2]
    return found


@pytest.mark.parametrize("language, scheme", [("en", "dark"), ("ko", "light")])
def test_every_page_of_cloud_accounts_is_accessible(
    walks: dict[str, list[Visit]], open_browser: Open, language: str, scheme: str
) -> None:
    page = open_browser(viewport=PHONE, is_mobile=True, color_scheme=scheme).new_page()
    wrong: list[str] = []
    visit = walks[language][0]

    def answer(route: Route) -> None:
        """What the walk was shown, under the same headers, and our static files. Anything else is wrong."""
        path = route.request.url.removeprefix(ORIGIN).partition("?")[0]
        if route.request.is_navigation_request():
            route.fulfill(status=200, headers=dict(visit.page.headers), body=visit.page.html)
        elif path.startswith("/static/"):
            name = path.removeprefix("/static/")
            route.fulfill(body=(STATIC / name).read_bytes(), content_type=TYPES[Path(name).suffix])
        else:
            wrong.append(f"{visit.name}: fetches {route.request.url}")
            route.abort()

    def note(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            wrong.append(f"{visit.name}: {message.text}")

    page.route("**/*", answer)
    page.on("console", note)
    for visit in walks[language]:
        page.goto(ORIGIN + visit.page.url)
        page.evaluate(OPENED)
        page.evaluate(AXE_FILE_PATH.read_text("utf-8"))
        wrong += [f"{visit.name}: {found}" for found in (*page.evaluate(VIOLATIONS), *page.evaluate(MISFITS))]
    assert wrong == []
    assert len(walks[language]) > 25
