"""A real Chromium, from the setup link to an application that greets the person, and out again. With scripts and without."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser as Chromium
from playwright.sync_api import BrowserContext, ConsoleMessage, Page, expect
from playwright.sync_api import Error as PlaywrightError

from tests.database_servers import free_port
from tests.journeys.person import Person
from tests.serving import ROOT, Server, answers, serving
from tests.waiting import HANG_SECONDS, eventually

pytestmark = [pytest.mark.browser, pytest.mark.slow]
PHONE = {"width": 390, "height": 844}
LONG_NAME = "Anapplicationnamethatnobodycouldeverbreakintotwolinesbycommonsense"
expect.set_options(timeout=HANG_SECONDS * 1000)
# What sticks out to the right, and what is too small for a finger: a link within a sentence may be (WCAG 2.2, 2.5.8).
MISFITS = """() => {
  const width = document.documentElement.clientWidth, found = [];
  if (document.documentElement.scrollWidth > width) found.push(`scrolls sideways: ${document.documentElement.scrollWidth}`);
  for (const element of document.querySelectorAll('a[href], button, input:not([type=hidden]), select, summary')) {
    const own = element.getBoundingClientRect(), style = getComputedStyle(element);
    if (!own.width || style.visibility === 'hidden' || element.className === 'skip') continue;
    const box = element.matches('[type=checkbox], [type=radio]') ? element.closest('label').getBoundingClientRect() : own;
    const inSentence = element.matches('a') && style.display === 'inline';
    if (!inSentence && (box.height < 43.5 || box.width < 43.5))
      found.push(`${element.tagName} ${box.width}x${box.height} ${element.innerText}`);
    const isInARowThatScrolls = element.closest('.side') !== null;
    if (box.right > width + 0.5 && !isInARowThatScrolls) found.push(`${element.tagName} ends at ${box.right}`);
  }
  return found;
}"""

Open = Callable[..., BrowserContext]


@pytest.fixture
def open_browser(chromium: Chromium) -> Iterator[Open]:
    """Makes browser profiles, which end with the test."""
    made: list[BrowserContext] = []

    def make(**options: Any) -> BrowserContext:
        context = chromium.new_context(locale="en-US", **options)
        context.set_default_timeout(HANG_SECONDS * 1000)
        made.append(context)
        return context

    yield make
    for context in made:
        for page in context.pages:
            # A page that waits for a passkey keeps Chromium from closing it, now and then for ever.
            with contextlib.suppress(PlaywrightError):  # it goes elsewhere by itself
                page.goto("about:blank")
        context.close()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with serving(tmp_path / "home") as running:
        yield running


@contextlib.contextmanager
def example_application(server: Server, log: Path) -> Iterator[str]:
    """``examples/sign_in_with_mcp`` as its README starts it. Gives its address."""
    port = free_port()
    address = f"http://localhost:{port}"
    made = server.mcp_core_json(
        *("client", "create", "--name", "Acme Files", "--redirect-uri", f"{address}/callback"),
        *("--post-logout-redirect-uri", f"{address}/signed-out", "--scope", "openid profile email"),
    )
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT),
        "MCP_ISSUER": server.issuer,
        "CLIENT_ID": made["client_id"],
        "CLIENT_SECRET": made["client_secret"],
        "PORT": str(port),
    }
    with log.open("wb") as output:
        command = [sys.executable, str(ROOT / "examples" / "sign_in_with_mcp" / "app.py")]
        process = subprocess.Popen(command, env=environment, stdout=output, stderr=output)
        try:
            eventually(lambda: answers(address) or process.poll() is not None)
            assert process.poll() is None, log.read_text()
            yield address
        finally:
            process.terminate()
            process.wait(HANG_SECONDS)


def complaints(page: Page, server: Server) -> list[str]:
    """What the browser itself finds wrong with our pages, such as content that the policy forbids."""
    found: list[str] = []

    def note(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning") and message.location["url"].startswith(server.origin):
            found.append(message.text)

    page.on("console", note)
    return found


def set_up(page: Page, server: Server, person: Person) -> None:
    page.goto(server.setup_link)
    page.get_by_label("User name").fill(person.username)
    page.get_by_label("E-mail address").fill(person.email)
    page.get_by_label("Password", exact=True).fill(person.password)
    page.get_by_role("button", name="Make the account").click()
    expect(page.get_by_role("status")).to_contain_text(f"Welcome, {person.username}.")


def enrol(page: Page, person: Person) -> list[str]:
    page.get_by_role("button", name="Set up two-step sign-in").click()
    expect(page.get_by_role("img", name="QR code")).to_be_visible()
    person.secret = page.locator("code.secret").inner_text().replace(" ", "")
    page.get_by_label("Six-digit code").fill(person.next_code())
    page.get_by_role("button", name="Turn on").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Save your recovery codes")
    codes = page.locator(".codes li").all_inner_texts()
    page.get_by_label("Type one of them").fill(codes[4])
    page.get_by_role("button", name="I have saved these codes").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Your account")
    return codes


@pytest.mark.parametrize("scripts", [True, False], ids=["with scripts", "without scripts"])
def test_from_the_setup_link_to_a_greeting_and_out_again(
    server: Server, open_browser: Open, tmp_path: Path, scripts: bool
) -> None:
    person = Person("ana")
    with example_application(server, tmp_path / "application.log") as address:
        context = open_browser(java_script_enabled=scripts)
        page = context.new_page()
        wrong = complaints(page, server)
        set_up(page, server, person)
        assert len(enrol(page, person)) == 10

        # Another browser, as tomorrow: the application's button, password, code, consent.
        page = open_browser(java_script_enabled=scripts).new_page()
        wrong_there = complaints(page, server)
        page.goto(address)
        page.get_by_role("link", name="Sign in with MCP").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("Sign in to continue to “Acme Files”")
        expect(page.get_by_label("E-mail or user name")).to_be_focused()
        page.get_by_label("E-mail or user name").fill(person.email)
        page.get_by_label("Password", exact=True).fill(person.password)
        page.keyboard.press("Enter")
        page.get_by_label("Six-digit code").fill(person.next_code())
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", level=1)).to_have_text("“Acme Files” wants to use your account")
        boxes = [page.get_by_role("button", name=name).bounding_box() for name in ("Cancel", "Allow")]
        assert len({(box["width"], box["height"]) for box in boxes if box}) == 1, "Allow and Cancel weigh the same"
        page.get_by_role("button", name="Allow").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("Hello, ana")
        assert page.url == f"{address}/"

        # Out of the application is out of the provider.
        page.get_by_role("button", name="Sign out").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("You are signed out")
        assert page.url.startswith(f"{address}/signed-out?state=")
        page.goto(f"{server.origin}/account")
        expect(page.get_by_role("heading", level=1)).to_have_text("Sign in")

        # The browser of the first day is signed in still, and it can go by the same button without a question.
        first = context.pages[0]
        first.goto(address)
        first.get_by_role("link", name="Sign in with MCP").click()
        expect(first.get_by_role("heading", level=1)).to_have_text("Hello, ana")
    assert wrong == wrong_there == []


def test_cancel_leads_back_to_the_application_and_a_mistake_to_its_field(
    server: Server, open_browser: Open, tmp_path: Path
) -> None:
    person = Person("bora")
    server.user(person.username, person.password, "--verified")
    with example_application(server, tmp_path / "application.log") as address:
        page = open_browser().new_page()
        page.goto(f"{address}/login")
        page.get_by_label("E-mail or user name").fill("bora")
        page.get_by_label("Password", exact=True).fill("not this one")
        page.keyboard.press("Enter")
        expect(page).to_have_title(re.compile("^Error: Sign in to continue to “Acme Files”"))
        expect(page.get_by_label("E-mail or user name")).to_be_focused()
        expect(page.get_by_label("E-mail or user name")).to_have_accessible_description("Wrong e-mail or password.")
        page.get_by_label("Password", exact=True).fill(person.password)
        page.keyboard.press("Enter")
        page.get_by_role("button", name="Cancel").click()
        expect(page.get_by_text("You chose not to let us in. Nothing was shared.")).to_be_visible()


def test_no_page_can_be_framed(server: Server, open_browser: Open) -> None:
    page = open_browser().new_page()
    page.goto(f"{server.origin}/health")
    page.set_content(f'<iframe src="{server.origin}/login"></iframe>')
    page.wait_for_timeout(500)
    assert not any(frame.locator("#username").count() for frame in page.frames)
    page.goto(f"{server.origin}/login")
    expect(page.locator("#username")).to_be_visible()


@pytest.mark.parametrize("language, words", [("en", "Your account"), ("ko", "내 계정")])
def test_every_page_fits_a_phone(server: Server, open_browser: Open, language: str, words: str) -> None:
    person = Person("dana")
    server.user(person.username, person.password, "--verified")
    scope = ("--scope", f"reports:read {LONG_NAME}")
    server.mcp_core("resource", "add", "https://reports.example/api", "--name", LONG_NAME, *scope)
    made = server.mcp_core_json("client", "create", "--name", LONG_NAME, "--redirect-uri", "https://a.example/cb")
    question = (
        f"{server.issuer}/authorize?response_type=code&client_id={made['client_id']}&code_challenge_method=S256"
        f"&redirect_uri=https%3A%2F%2Fa.example%2Fcb&code_challenge={'A' * 43}&ui_locales={language}"
        "&scope=openid%20reports:read&resource=https%3A%2F%2Freports.example%2Fapi"
    )
    page = open_browser(viewport=PHONE, is_mobile=True).new_page()
    misfits: dict[str, list[str]] = {}

    def look(what: str, path: str = "") -> None:
        if path:
            page.goto(path if "://" in path else server.origin + path)
        if found := page.evaluate(MISFITS):
            misfits[what] = found

    def press(selector: str) -> None:
        with page.expect_navigation():
            page.locator(selector).click()

    look("setup link over", "/setup/x")
    look("login for an application", question)
    page.goto(f"{server.origin}/login")
    press(f"button[name=language][value={language}]")
    page.locator("#username").fill(person.username)
    page.locator("#password").fill("wrong")
    press("main button:not([type=button])")
    look("login, wrong")
    page.locator("#password").fill(person.password)
    press("main button:not([type=button])")
    expect(page.get_by_role("heading", level=1)).to_have_text(words)
    page.locator("details.section").evaluate_all(
        "all => all.forEach(it => { it.removeAttribute('name'); it.open = true })"
    )
    look("account")
    look("consent", question)
    look("sessions", "/account/sessions")
    look("preferences", "/account/preferences")
    look("apps", "/account/apps")
    look("new key", "/account/api-keys/new")
    page.locator("#name").fill(LONG_NAME[:64])
    press("main form button:not([type=button])")
    look("key made")
    look("keys", "/account/api-keys")
    press("td.act a")
    look("revoke")
    look("again", "/login/again")
    look("sign out", "/sign-out")
    look("404", "/nothing")
    page.goto(f"{server.origin}/account/second-factor")
    press("button[value=begin]")
    look("QR code")
    person.secret = page.locator("code.secret").inner_text().replace(" ", "")
    page.locator("#code").fill(person.next_code())
    press("button[value=confirm]")
    look("recovery codes")
    page.goto(f"{server.origin}/account/second-factor")
    page.locator("summary").nth(1).click()
    look("second factor on")
    assert misfits == {}


@pytest.mark.parametrize(
    "language, words",
    [
        ("en", ("Show the password", "Copy the secret", "Copy", "Copied")),
        ("ko", ("비밀번호 표시", "시크릿 복사", "복사", "복사됨")),
    ],
)
def test_the_script_copies_shows_the_password_and_says_the_time_zone(
    server: Server, open_browser: Open, language: str, words: tuple[str, str, str, str]
) -> None:
    show, copy_secret, copy, copied = words
    person = Person("fay")
    server.user(person.username, person.password, "--verified")
    context = open_browser(timezone_id="America/Los_Angeles", permissions=["clipboard-read", "clipboard-write"])
    page = context.new_page()
    wrong = complaints(page, server)
    page.goto(f"{server.origin}/login")
    page.locator(f"button[name=language][value={language}]").click()
    page.locator("#username").fill(person.username)
    page.locator("#password").fill(person.password)
    page.get_by_role("checkbox", name=show).check()
    expect(page.locator("#password")).to_have_attribute("type", "text")
    page.get_by_role("checkbox", name=show).uncheck()
    expect(page.locator("#password")).to_have_attribute("type", "password")
    page.locator("#password").press("Enter")
    page.goto(f"{server.origin}/account/api-keys/new")
    page.locator("#name").fill("copied")
    page.locator("main form button.button").click()
    button = page.get_by_role("button", name=copy_secret)
    expect(button).to_have_text(copy)
    button.click()
    expect(page.locator("[aria-live=polite]")).to_have_text(copied)
    assert page.evaluate("navigator.clipboard.readText()") == page.locator("#key-secret").inner_text()
    secret = page.locator("#key-secret").inner_text()
    page.reload()
    expect(page.locator("#key-secret")).to_have_text(secret)
    page.goto(f"{server.origin}/account/preferences")
    expect(page.locator("#time_zone-hint")).to_contain_text("America/Los_Angeles")
    assert wrong == []
