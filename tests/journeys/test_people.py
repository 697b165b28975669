"""One person from the invitation to a panic and back in, in a real Chromium: in English, and in Korean without scripts.

Every letter is read where a person on this machine reads it, on the mailbox page.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.journeys.person import Person
from tests.journeys.test_chromium import MISFITS, PHONE, Open, complaints, open_browser
from tests.journeys.test_passkeys import answers_at_once, authenticator
from tests.serving import Server, serving

__all__ = ["open_browser"]
pytestmark = [pytest.mark.browser, pytest.mark.slow]
NEW = "marble otter 92 quiet lanterns"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("home")) as running:
        yield running


class Story:
    """A person at a browser. Fields are found by their names, since the words are in two languages."""

    def __init__(self, server: Server, person: Person, language: str) -> None:
        self.server, self.person, self.language = server, person, language
        self.misfits: dict[str, list[str]] = {}
        self.wrong: list[str] = []
        self.codes: list[str] = []

    def browser(self, context: BrowserContext, *, is_fitted: bool) -> Page:
        page = context.new_page()
        self.wrong = complaints(page, self.server)
        page.goto(f"{self.server.origin}/login")
        with page.expect_navigation():
            page.locator(f"button[name=language][value={self.language}]").click()
        self._is_fitted = is_fitted
        return page

    def look(self, page: Page, name: str) -> None:
        """Whether the page that is shown fits the screen."""
        if self._is_fitted and (found := page.evaluate(MISFITS)):
            self.misfits[name] = found

    def fill(self, page: Page, **fields: str) -> None:
        """Types into the fields of a form and sends it."""
        for name, value in fields.items():
            page.locator(f"#{name}").fill(value)
        with page.expect_navigation():
            page.locator(f"#{list(fields)[-1]}").press("Enter")

    def press(self, page: Page) -> None:
        """The button of the only form in the middle of the page."""
        with page.expect_navigation():
            page.locator("main button.button").click()

    def link(self, page: Page, letter: str) -> str:
        """The address in the newest letter to the person whose link leads to the page ``letter``."""
        page.goto(f"{self.server.origin}/mailbox")
        for address in page.locator("main .list a").evaluate_all("links => links.map(link => link.href)"):
            page.goto(address)
            text = page.locator("pre.letter").inner_text()
            if self.person.email in page.locator("main").inner_text() and (
                found := re.search(rf"{self.server.origin}/{letter}/\S+", text)
            ):
                return found[0]
        raise AssertionError(f"no letter leads to {letter}")

    def sign_in(self, page: Page) -> None:
        page.goto(f"{self.server.origin}/login")
        self.fill(page, username=self.person.username, password=self.person.password)

    def sign_out(self, page: Page) -> None:
        with page.expect_navigation():
            page.locator("form[action='/sign-out'] button").click()

    def is_in(self, page: Page) -> bool:
        page.goto(f"{self.server.origin}/account")
        return page.url == f"{self.server.origin}/account"


@pytest.mark.parametrize("language, scripts", [("en", True), ("ko", False)], ids=["with scripts", "without scripts"])
def test_from_the_invitation_to_a_panic_and_back_in(
    server: Server, open_browser: Open, language: str, scripts: bool
) -> None:
    person = Person(f"ana-{language}")
    story = Story(server, person, language)
    server.mcp_core("invite", person.email, "--language", language)
    context = open_browser(java_script_enabled=scripts, viewport=PHONE)
    page = story.browser(context, is_fitted=scripts)

    # An account by invitation: the link has proved the address.
    page.goto(story.link(page, "invitation"))
    story.look(page, "invitation")
    expect(page.locator("#email")).to_have_value(person.email)
    story.fill(page, username=person.username, password=person.password)
    assert story.is_in(page)
    assert person.email not in page.locator(".box.warn").all_inner_texts()

    # A second step, with recovery codes of which one is typed back.
    page.goto(f"{server.origin}/account/second-factor")
    with page.expect_navigation():
        page.locator("button[value=begin]").click()
    person.secret = page.locator("code.secret").inner_text().replace(" ", "")
    story.fill(page, code=person.next_code())
    story.codes = page.locator(".codes li").all_inner_texts()
    story.look(page, "recovery codes")
    story.fill(page, code=story.codes[0])
    story.look(page, "overview")

    # Out, and in again by a recovery code.
    story.sign_out(page)
    story.sign_in(page)
    page.goto(f"{server.origin}/login/code?with=recovery-code")
    story.fill(page, code=story.codes[1])
    assert story.is_in(page)

    if scripts:  # A passkey in place of both.
        devtools, name = authenticator(page)
        page.goto(f"{server.origin}/account/passkeys")
        page.locator("#name").fill("Laptop")
        with page.expect_navigation():
            page.locator("form[data-passkey] button").click()
        page.goto(f"{server.origin}/account")
        page.locator("form[action='/sign-out'] button").click()
        page.wait_for_url("**/login")
        page.wait_for_url("**/account")  # the field of the user name has offered it
        answers_at_once(devtools, name, is_there=False)
        answers_at_once(devtools, name, is_there=False)

    # Somebody signs in elsewhere, and the letter about it ends everything.
    other = story.browser(open_browser(java_script_enabled=scripts), is_fitted=False)
    story.sign_in(other)
    other.goto(f"{server.origin}/login/code?with=recovery-code")
    story.fill(other, code=story.codes[2])
    assert story.is_in(other)
    story._is_fitted = scripts
    page.goto(story.link(page, "not-me"))
    story.look(page, "not me")
    story.press(page)
    assert page.url == f"{server.origin}/locked-down"
    assert not story.is_in(other)
    assert not story.is_in(page)

    # A new password, by mail and with the second step, and in again.
    story.fill(page, username=person.username, password=person.password)
    assert not story.is_in(page), "the password alone is worth nothing any more"
    page.goto(story.link(page, "reset"))
    story.look(page, "reset")
    story.fill(page, password=NEW, code=story.codes[3])
    person.password = NEW
    story.sign_in(page)
    page.goto(f"{server.origin}/login/code?with=recovery-code")
    story.fill(page, code=story.codes[4])
    assert story.is_in(page)
    assert story.misfits == {}
    assert [it for it in story.wrong if "400" not in it] == []
