"""A forgotten password in a real Chromium: the letter, a new password with a code, and in again."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect
from sqlalchemy import URL

from database.connection import create_engine_for
from provider.settings import load_settings
from provider.start.key_files import load_keyring
from tests.journeys.person import Person
from tests.journeys.test_chromium import MISFITS, PHONE, Open, complaints, enrol, open_browser, server, set_up
from tests.letters import Letter, letters
from tests.serving import Server
from tests.waiting import eventually

__all__ = ["open_browser", "server"]
pytestmark = [pytest.mark.browser, pytest.mark.slow]
NEW = "marble otter 92 quiet lanterns"


def newest(server: Server, name: str) -> Letter:
    """The letter of this name that comes last, once the server has written it."""
    home = server.home / "instance"
    keyring = load_keyring(load_settings({"MCP_HOME": str(home), "MCP_ISSUER": server.issuer}))
    engine = create_engine_for(URL.create("sqlite", database=str(home / "mcp-core.db")))
    try:
        return eventually(lambda: letters(engine, keyring, name=name))[-1]
    finally:
        engine.dispose()


@pytest.mark.parametrize("scripts", [True, False], ids=["with scripts", "without scripts"])
def test_a_forgotten_password_is_replaced_by_mail_and_code_and_lets_in(
    server: Server, open_browser: Open, scripts: bool
) -> None:
    person = Person("ana")
    page = open_browser(java_script_enabled=scripts).new_page()
    set_up(page, server, person)
    enrol(page, person)

    page = open_browser(java_script_enabled=scripts, viewport=PHONE).new_page()
    wrong = complaints(page, server)
    page.goto(f"{server.origin}/login")
    page.get_by_role("link", name="Forgot your password?").click()
    page.get_by_label("E-mail or user name").fill(person.email)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Check your mail")
    page.goto(newest(server, "password_reset").link)
    expect(page.get_by_label("User name")).to_have_value("ana")
    page.get_by_label("New password", exact=True).fill(NEW)
    page.get_by_label("Code from your authenticator app").fill(person.next_code())
    if scripts:
        assert page.evaluate(MISFITS) == []
    page.get_by_role("button", name="Change the password").click()
    expect(page.get_by_role("status")).to_contain_text("Sign in with the new one.")
    person.password = NEW
    page.get_by_label("E-mail or user name").fill(person.email)
    page.get_by_label("Password", exact=True).fill(person.password)
    page.keyboard.press("Enter")
    page.get_by_label("Six-digit code").fill(person.next_code())
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Your account")
    assert newest(server, "alert_password_reset").to == person.email
    assert wrong == []


@pytest.mark.parametrize("language", ["en", "ko"])
def test_every_page_of_recovering_fits_a_phone(server: Server, open_browser: Open, language: str) -> None:
    person = Person("bora")
    server.user(person.username, person.password, "--verified")
    page = open_browser(viewport=PHONE, is_mobile=True).new_page()
    misfits: dict[str, list[str]] = {}

    def look(path: str) -> None:
        page.goto(path if "://" in path else server.origin + path)
        if found := page.evaluate(MISFITS):
            misfits[path] = found

    page.goto(f"{server.origin}/login")
    with page.expect_navigation():
        page.locator(f"button[name=language][value={language}]").click()
    for path in ("/forgot", "/forgot/sent", "/reset/x"):
        look(path)
    page.goto(f"{server.origin}/forgot")
    page.locator("#username").fill("bora")
    page.locator("#username").press("Enter")
    look(newest(server, "password_reset").link)
    page.goto(f"{server.origin}/login")
    page.locator("#username").fill("bora")
    page.locator("#password").fill(person.password)
    page.locator("#password").press("Enter")
    for path in ("/account/password", "/account/username", "/account/email"):
        look(path)
    page.locator("#email").fill("bora@averylongdomainnamethatnobodywouldeverchoose.example")
    page.locator("#email").press("Enter")
    look("/account/email")
    look(newest(server, "address_confirm").link)
    with page.expect_navigation():
        page.locator("main button.button").click()
    look(newest(server, "address_changed").link)
    assert misfits == {}
