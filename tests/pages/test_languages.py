"""Korean and English: chosen by the application, the account, the browser's own choice or its headers, in that order."""

from __future__ import annotations

import re

import pytest

from tests.pages.site import PASSWORD, SESSION, STEP, Account, Site, Visitor


def language_of(visitor: Visitor) -> str:
    return visitor.document.one("html").get("lang")


@pytest.mark.parametrize(
    "header, expected",
    [
        ("ko", "ko"),
        ("ko-KR,ko;q=0.9,en-US;q=0.8", "ko"),
        ("en-GB", "en"),
        ("de, ko;q=0.5", "ko"),
        ("de", "en"),
        ("", "en"),
        ("ko;q=0", "en"),
        ("*" * 500, "en"),
    ],
)
def test_the_browser_s_headers_decide_at_first(site: Site, header: str, expected: str) -> None:
    visitor = Visitor(site, language=header)
    visitor.get("/login")
    assert language_of(visitor) == expected


def test_a_choice_is_remembered_in_the_browser(site: Site) -> None:
    visitor = Visitor(site)
    visitor.get("/login?to=apps")
    assert {button.get("value"): button.text for button in visitor.document.all("button") if button.get("lang")} == {
        "en": "English",
        "ko": "한국어",
    }
    page = visitor.post("/login?to=apps", {"language": "ko"})
    assert page.status == 200, "where it was chosen"
    assert "Max-Age=31536000" in page.headers["Set-Cookie"]
    assert language_of(visitor) == "ko"
    visitor.get("/login")
    assert language_of(visitor) == "ko"
    current = [button.get("value") for button in visitor.document.all("button") if "aria-current" in button]
    assert current == ["ko"]
    visitor.post("/language", {"back": "/login", "language": "xx"})
    visitor.follow()
    assert language_of(visitor) == "ko", "an unknown language is no choice"


def test_a_choice_while_signed_in_belongs_to_the_account(site: Site, ana: Account) -> None:
    visitor = Visitor(site)
    visitor.sign_in(ana)
    visitor.post("/language", {"back": "/account", "language": "ko"})
    visitor.follow()
    assert language_of(visitor) == "ko"
    elsewhere = Visitor(site, language="en")
    elsewhere.sign_in(ana)
    elsewhere.get("/account")
    assert language_of(elsewhere) == "ko"


@pytest.mark.parametrize(
    "wish, expected", [("ko", "ko"), ("ko-KR en", "ko"), ("fr ko", "ko"), ("fr", "en"), ("KO-kr", "ko"), ("<x>", "en")]
)
def test_an_application_s_wish_comes_first(site: Site, wish: str, expected: str) -> None:
    visitor = Visitor(site)
    visitor.ask(site.client(), ui_locales=wish)
    assert language_of(visitor) == expected


def test_what_is_chosen_by_hand_beats_the_application_s_wish_for_that_sign_in(site: Site, ana: Account) -> None:
    visitor = Visitor(site)
    client = site.client()
    page = visitor.ask(client, ui_locales="ko")
    assert language_of(visitor) == "ko"
    visitor.post("/language", {"back": page.url, "language": "en"})
    visitor.follow()
    assert language_of(visitor) == "en"
    visitor.sign_in(ana, page.url)
    visitor.follow()
    assert language_of(visitor) == "en"
    visitor.ask(client, ui_locales="ko")
    assert language_of(visitor) == "ko", "another sign-in is another wish"


def test_an_account_made_in_korean_speaks_korean(site: Site) -> None:
    visitor = Visitor(site, language="ko-KR")
    link = site.setup_link()
    visitor.post(
        link, {"username": "민지현", "email": "minji@example.com", "password": "보라색 주전자 일흔하나 항구의 물감"}
    )
    assert visitor.page.status == 303, visitor.page.text
    visitor.language = "en"
    visitor.follow()
    assert language_of(visitor) == "ko"
    assert "민지현" in site.rows("users")["users"][0]


def switch(visitor: Visitor, path: str, fields: dict[str, str]) -> None:
    """Presses 한국어 on the page at ``path``, with its form filled in."""
    visitor.get(path)
    document = visitor.document
    button = next(it for it in document.all("button") if it.get("lang") == "ko")
    assert (button.get("form"), "formnovalidate" in button) == ("typed", True)
    form = document.by_id(button.get("form"))
    assert (form.tag, form.get("method"), "action" in form) == ("form", "post", False), "it goes to the page itself"
    token = re.search(r'name="csrf_token" value="([0-9a-f]+)"', visitor.page.html)
    assert token
    visitor.post(path, {**fields, "language": "ko"}, token=token[1])


@pytest.mark.parametrize(
    "path, typed",
    [
        ("/login", {"username": "ana"}),
        ("/login?to=apps", {"username": "누구"}),
        ("setup", {"username": "root", "email": "root@example.com"}),
        ("/account/api-keys/new", {"name": "nightly <backup>"}),
        ("/login/again?to=sessions", {}),
    ],
)
def test_choosing_a_language_keeps_what_was_typed_but_for_passwords(
    site: Site, path: str, typed: dict[str, str]
) -> None:
    visitor = Visitor(site)
    at = site.setup_link() if path == "setup" else path
    if path.startswith(("/account", "/login/again")):
        visitor.sign_in(site.account("ana"))
    elif path != "setup":
        site.account("ana")
    before, session = site.rows("user_sessions", "oauth_clients", "consecutive_failures"), visitor.cookie(SESSION)
    switch(visitor, at, {**typed, "password": PASSWORD})
    assert (visitor.page.status, language_of(visitor)) == (200, "ko")
    assert {name: visitor.page.form(name).fields[name][0] for name in typed} == typed
    assert PASSWORD not in visitor.page.html
    assert "aria-invalid" not in visitor.page.html
    assert (site.rows(*before), visitor.cookie(SESSION)) == (before, session), "nothing else is done"
    assert language_of(visitor) == "ko"
    visitor.get("/login")
    visitor.follow()
    assert language_of(visitor) == "ko", "it is remembered"


def test_choosing_a_language_between_password_and_code_keeps_the_step_and_the_request(
    site: Site, bora: Account
) -> None:
    visitor = Visitor(site)
    page = visitor.ask(site.client(), ui_locales="en")
    visitor.post(page.url, {"username": "bora", "password": PASSWORD})
    path, step = visitor.to, visitor.cookie(STEP)
    switch(visitor, path, {"code": "123456"})
    assert (language_of(visitor), visitor.cookie(STEP)) == ("ko", step)
    assert "123456" not in visitor.page.html
    visitor.post(path, {"code": site.fresh_code(bora)})
    assert visitor.to.startswith("/oauth/authorize/mcp_request_")
