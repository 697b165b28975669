"""Passkeys in a real Chromium, whose authenticator DevTools pretends."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, CDPSession, Page, expect

from tests.journeys.person import Person
from tests.journeys.test_chromium import MISFITS, Open, complaints, open_browser
from tests.serving import Server, serving

__all__ = ["open_browser"]
pytestmark = [pytest.mark.browser, pytest.mark.slow]
PHONE = {"width": 390, "height": 844}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("home"), settings={"MCP_SIGN_UP": "open"}) as running:
        yield running


def authenticator(page: Page, **kind: Any) -> tuple[CDPSession, str]:
    """Gives the browser of this page an authenticator that knows its person and answers at once."""
    devtools = page.context.new_cdp_session(page)
    devtools.send("WebAuthn.enable", {"enableUI": False})
    options = {
        "protocol": "ctap2",
        "transport": "internal",
        "hasResidentKey": True,
        "hasUserVerification": True,
        "isUserVerified": True,
        "automaticPresenceSimulation": True,
        **kind,
    }
    made = devtools.send("WebAuthn.addVirtualAuthenticator", {"options": options})
    return devtools, made["authenticatorId"]


def heading(page: Page, words: str) -> None:
    expect(page.get_by_role("heading", level=1)).to_have_text(words)


def sign_in(page: Page, server: Server, person: Person) -> None:
    page.goto(f"{server.origin}/login")
    page.get_by_label("E-mail or user name").fill(person.username)
    page.get_by_label("Password", exact=True).fill(person.password)
    page.keyboard.press("Enter")


def sign_out(page: Page) -> None:
    page.get_by_role("button", name="Sign out").click()
    heading(page, "Sign in")


def answers_at_once(devtools: CDPSession, name: str, is_there: bool) -> None:
    devtools.send("WebAuthn.setAutomaticPresenceSimulation", {"authenticatorId": name, "enabled": is_there})


def test_a_passkey_from_adding_it_to_its_end(server: Server, open_browser: Open) -> None:
    person = Person("ana")
    server.user(person.username, person.password, "--verified")
    context: BrowserContext = open_browser()
    page = context.new_page()
    wrong = complaints(page, server)
    devtools, name = authenticator(page)

    # Added on the account page: the first one brings recovery codes.
    answers_at_once(devtools, name, is_there=False)
    sign_in(page, server, person)
    heading(page, "Your account")
    page.goto(f"{server.origin}/account/passkeys")
    answers_at_once(devtools, name, is_there=True)
    page.get_by_label("Name").fill("My laptop")
    page.get_by_role("button", name="Add a passkey").click()
    heading(page, "Save your recovery codes")
    page.goto(f"{server.origin}/account/passkeys")
    expect(page.get_by_text("My laptop")).to_be_visible()

    # The same device makes no second one, and says so at its place.
    page.get_by_role("button", name="Add a passkey").click()
    expect(page.get_by_role("alert")).to_have_text("This device already has a passkey for your account.")

    # Alone, by the button: nobody answers what the field offers meanwhile.
    answers_at_once(devtools, name, is_there=False)
    sign_out(page)
    answers_at_once(devtools, name, is_there=True)
    page.get_by_role("button", name="Sign in with a passkey").click()
    heading(page, "Your account")

    # Alone, by what the field of the user name offers: nothing is pressed.
    page.get_by_role("button", name="Sign out").click()
    page.wait_for_url("**/login")
    page.wait_for_url("**/account")
    heading(page, "Your account")

    # After the password.
    answers_at_once(devtools, name, is_there=False)
    sign_out(page)
    sign_in(page, server, person)
    heading(page, "Use your passkey")
    answers_at_once(devtools, name, is_there=True)
    page.get_by_role("button", name="Use a passkey").click()
    heading(page, "Your account")

    # Removed: it is on the device still, and opens nothing.
    page.goto(f"{server.origin}/account/passkeys")
    page.get_by_role("link", name="Change My laptop").click()
    page.get_by_role("button", name="Remove the passkey").click()
    expect(page.get_by_role("status")).to_contain_text("The passkey is removed.")
    answers_at_once(devtools, name, is_there=False)
    sign_out(page)
    answers_at_once(devtools, name, is_there=True)
    page.get_by_role("button", name="Sign in with a passkey").click()
    expect(page.get_by_role("alert")).to_have_text("That passkey didn't work here. Try again, or use another way.")
    assert [it for it in wrong if "400" not in it] == []


def test_an_account_is_made_with_a_passkey_and_no_password(server: Server, open_browser: Open) -> None:
    server.user("erin", Person("erin").password, "--verified")  # nobody signs up before there is a first account
    person = Person("frank")
    page = open_browser(viewport=PHONE, is_mobile=True).new_page()
    wrong = complaints(page, server)
    devtools, name = authenticator(page)
    page.goto(f"{server.origin}/signup")
    assert page.evaluate(MISFITS) == []
    make = page.get_by_role("button", name="Create the account with a passkey")

    # Nobody is asked for a passkey before there is a name for it.
    page.get_by_label("User name").fill("ERIN")
    make.click()
    expect(page.get_by_label("E-mail address")).to_be_focused()
    assert devtools.send("WebAuthn.getCredentials", {"authenticatorId": name})["credentials"] == []

    # A name that is taken is said at its place, and what was typed stays.
    page.get_by_label("E-mail address").fill(person.email)
    make.click()
    expect(page.get_by_label("User name")).to_have_accessible_description(re.compile("This user name is taken"))
    expect(page.get_by_label("E-mail address")).to_have_value(person.email)
    page.get_by_label("User name").fill(person.username)
    make.click()
    heading(page, "Save your recovery codes")
    made = devtools.send("WebAuthn.getCredentials", {"authenticatorId": name})["credentials"]
    assert {it["userName"] for it in made} == {"ERIN", person.username}
    for it in made:  # or the field of the user name may offer the one that opens nothing
        if it["userName"] != person.username:
            devtools.send("WebAuthn.removeCredential", {"authenticatorId": name, "credentialId": it["credentialId"]})
    page.get_by_label("Type one of them").fill(page.locator(".codes li").first.inner_text())
    page.get_by_role("button", name="I have saved these codes").click()
    heading(page, "Check your mail")

    # A new password behind a mailed link takes the passkey in place of a code.
    page.goto(server.mcp_core_json("user", "reset-password", person.username, "--print-link")["link"])
    assert page.evaluate(MISFITS) == []
    use = page.get_by_role("button", name="Use a passkey")
    use.click()
    expect(page.get_by_label("New password")).to_be_focused()
    page.get_by_label("New password").fill(person.password)
    use.click()
    page.wait_for_url("**/account")  # by way of the sign-in page, where the field of the user name offers the passkey
    assert [it for it in wrong if "400" not in it] == []


def test_without_scripts_nothing_of_it_is_in_the_way(server: Server, open_browser: Open) -> None:
    person = Person("bora")
    server.user(person.username, person.password, "--verified")
    page = open_browser(java_script_enabled=False).new_page()
    page.goto(f"{server.origin}/signup")
    expect(page.get_by_role("button", name="Create the account", exact=True)).to_be_visible()
    expect(page.get_by_role("button", name="Create the account with a passkey")).to_be_hidden()
    page.goto(f"{server.origin}/login")
    expect(page.get_by_role("button", name="Sign in with a passkey")).to_be_hidden()
    sign_in(page, server, person)
    heading(page, "Your account")
    page.goto(f"{server.origin}/account/passkeys")
    expect(page.get_by_text("Passkeys need scripts, and a browser that knows of them.")).to_be_visible()
    expect(page.get_by_role("button", name="Add a passkey")).to_be_hidden()


@pytest.mark.parametrize("language", ["en", "ko"])
def test_the_pages_fit_a_phone(server: Server, open_browser: Open, language: str) -> None:
    person = Person(f"dana-{language}")
    server.user(person.username, person.password, "--verified")
    page = open_browser(viewport=PHONE, is_mobile=True).new_page()
    devtools, name = authenticator(page)
    answers_at_once(devtools, name, is_there=False)
    page.goto(f"{server.origin}/login")
    page.locator(f"button[name=language][value={language}]").click()
    misfits = {"login": page.evaluate(MISFITS)}
    page.locator("#username").fill(person.username)
    page.locator("#password").fill(person.password)
    page.keyboard.press("Enter")
    page.wait_for_url("**/account")
    page.goto(f"{server.origin}/account/passkeys")
    misfits["none"] = page.evaluate(MISFITS)
    answers_at_once(devtools, name, is_there=True)
    page.locator("#name").fill("Anapplicationnamethatnobodycouldeverbreakintotwolinesbycommonsen")
    page.locator("form[data-passkey] button").click()
    page.wait_for_url("**/recovery-codes")
    page.goto(f"{server.origin}/account/passkeys")
    misfits["one"] = page.evaluate(MISFITS)
    page.locator(".list a").click()
    page.wait_for_url("**/passkeys/*")
    misfits["change"] = page.evaluate(MISFITS)
    assert {what: found for what, found in misfits.items() if found} == {}
