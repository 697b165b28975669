"""A real Chromium from an application's "create an account" back into it, and from an invitation into an account."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from playwright.sync_api import Page, expect

from database.connection import create_engine_for
from provider.settings import load_settings
from provider.start.key_files import load_keyring
from tests.journeys.person import Person
from tests.journeys.test_chromium import MISFITS, PHONE, Open, complaints, enrol, open_browser
from tests.letters import Letter, letters
from tests.serving import Server, serving

pytestmark = [pytest.mark.browser, pytest.mark.slow]
__all__ = ["open_browser"]
CALLBACK = "https://files.example/callback"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with serving(tmp_path / "home", settings={"MCP_SIGN_UP": "open"}) as running:
        running.user("root", Person("root").password, "--admin", "--verified")
        yield running


def mailbox(server: Server, address: str) -> Letter:
    """The newest letter to an address."""
    engine = create_engine_for(f"sqlite:///{server.home}/instance/mcp-core.db")
    settings = load_settings({"MCP_ISSUER": server.issuer, "MCP_HOME": str(server.home / "instance")})
    try:
        return letters(engine, load_keyring(settings), to=address)[-1]
    finally:
        engine.dispose()


def question(server: Server, language: str) -> str:
    made = server.mcp_core_json("client", "create", "--name", "Acme Files", "--redirect-uri", CALLBACK)
    query = {
        "response_type": "code", "client_id": made["client_id"], "redirect_uri": CALLBACK, "scope": "openid email",
        "state": "s", "code_challenge": "A" * 43, "code_challenge_method": "S256", "prompt": "create",
        "ui_locales": language,
    }  # fmt: skip
    return f"{server.issuer}/authorize?{urlencode(query)}"


def submit(page: Page) -> None:
    with page.expect_navigation():
        page.locator("#typed button:not([type=button])").click()


def fits(page: Page) -> None:
    assert page.evaluate(MISFITS) == [], page.url


@pytest.mark.parametrize("language, scripts", [("en", True), ("ko", False)], ids=["English", "Korean, no scripts"])
def test_an_application_has_an_account_made_and_gets_its_answer(
    server: Server, open_browser: Open, language: str, scripts: bool
) -> None:
    person = Person("dana")
    context = open_browser(viewport=PHONE, is_mobile=True, java_script_enabled=scripts)
    context.route(f"{CALLBACK}*", lambda route: route.fulfill(status=200, body="welcome", content_type="text/html"))
    page = context.new_page()
    wrong = complaints(page, server)
    page.goto(question(server, language))
    fits(page)
    page.locator("#username").fill(person.username)
    page.locator("#email").fill(person.email)
    page.locator("#password").fill(person.password)
    submit(page)
    assert urlsplit(page.url).path == "/signup/address"
    fits(page)
    page.locator("summary").click()
    fits(page)

    letter = mailbox(server, person.email)
    assert (letter.name, letter.language) == ("confirm_address", language)
    page = context.new_page()
    page.goto(letter.link)
    fits(page)
    page.locator("button[value=confirm]").click()
    page.locator("button[value=allow]").click()
    expect(page.get_by_text("welcome")).to_be_visible()
    assert set(parse_qs(urlsplit(page.url).query)) == {"code", "state", "iss"}
    assert wrong == []

    # The window where it began goes on as well, and finds the application's request answered.
    page = context.pages[0]
    page.locator("a[href^='/signup/address']").click()
    expect(page.get_by_role("heading", level=1)).not_to_have_text("Check your mail")
    assert server.mcp_core_json("user", "show", person.username)["is_verified"] is True


def test_from_an_invitation_to_a_second_factor(server: Server, open_browser: Open) -> None:
    person = Person("bora")
    server.mcp_core_json("invite", person.email, "--language", "en")
    page = open_browser().new_page()
    wrong = complaints(page, server)
    page.goto(mailbox(server, person.email).link)
    expect(page.get_by_role("heading", level=1)).to_have_text("You are invited to MCP Core")
    expect(page.get_by_label("E-mail address")).to_have_value(person.email)
    page.get_by_label("User name").fill("Admin")
    page.get_by_label("Password", exact=True).fill(person.password)
    submit(page)
    expect(page.get_by_label("User name")).to_be_focused()
    expect(page.get_by_label("User name")).to_have_accessible_description(
        "Others can see it. This name is kept for the people who run MCP Core."
    )
    page.get_by_label("User name").fill(person.username)
    page.get_by_label("Password", exact=True).fill(person.password)
    submit(page)
    expect(page.get_by_role("status")).to_contain_text("Welcome, bora.")
    assert len(enrol(page, person)) == 10
    assert server.mcp_core_json("invitation", "list")[0]["state"] == "accepted"
    assert [it for it in wrong if "400" not in it] == [], "but for the name that was refused"
