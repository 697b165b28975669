"""Two windows of one browser sign in for two applications, and both get there; nobody is signed in by it who didn't."""

from __future__ import annotations

import pytest

from tests.pages.site import BROWSER, CALLBACK, OURS, PASSWORD, SESSION, STEP, Account, Site, Visitor

RIGHT = {"username": "ana", "password": PASSWORD}


class Windows:
    """Two forms of one browser, each with the token that it was shown with."""

    def __init__(self, site: Site, **asked: str) -> None:
        self.visitor = Visitor(site)
        client = site.client()
        self.pages = [self.visitor.ask(client, state=f"window {number}", **asked).url for number in (1, 2)]
        self.tokens = [self.visitor.token()] * 2
        self.visitor.get(self.pages[1])

    def lands(self, state: str) -> bool:
        """Whether the way from here ends at the application with this state, by way of Allow."""
        page = self.visitor.follow()
        if page.url.startswith("/consent"):
            self.visitor.post(page.url, {"decision": "allow"})
            self.visitor.follow()
        return self.visitor.to.startswith(f"{CALLBACK}?code=") and f"state=window%20{state}" in self.visitor.to


@pytest.mark.parametrize("typed", ["ana", "ANA", "ana@example.com", ""])
@pytest.mark.parametrize("asked", [{}, {"prompt": "login"}, {"max_age": "0"}], ids=str)
def test_the_second_window_goes_on_without_a_second_password(
    site: Site, ana: Account, typed: str, asked: dict[str, str]
) -> None:
    site.later(seconds=1)
    windows = Windows(site, **asked)
    site.later(seconds=1)
    visitor = windows.visitor
    visitor.post(windows.pages[0], RIGHT, token=windows.tokens[0])
    session = visitor.cookie(SESSION)
    assert windows.lands("1")
    visitor.post(windows.pages[1], {"username": typed, "password": "whatever"}, token=windows.tokens[1])
    assert visitor.page.status == 303
    assert windows.lands("2")
    assert visitor.cookie(SESSION) == session, "nobody has signed in anew"


def test_the_second_window_is_reloaded_and_goes_on(site: Site, ana: Account) -> None:
    windows = Windows(site)
    windows.visitor.post(windows.pages[0], RIGHT, token=windows.tokens[0])
    assert windows.lands("1")
    windows.visitor.get(windows.pages[1])
    assert windows.lands("2")


def test_the_windows_may_be_at_different_steps(site: Site, bora: Account) -> None:
    right = {**RIGHT, "username": "bora"}
    windows = Windows(site)
    visitor = windows.visitor
    for page, token in zip(windows.pages, windows.tokens, strict=True):
        visitor.post(page, right, token=token)
        assert visitor.to.startswith("/login/code?request="), "the first window's step does not shut out the second"
    first, second = (page.replace("/login?", "/login/code?") for page in windows.pages)
    visitor.get(first)
    token = windows.tokens[0]
    visitor.post(first, {"code": site.fresh_code(bora)}, token=token)
    assert windows.lands("1")
    visitor.post(second, {"code": "000000"}, token=token)
    assert not visitor.cookie(SESSION.replace("session", "notice")), "nothing took too long"
    assert windows.lands("2")


def test_a_window_where_somebody_else_was_to_sign_in_asks_for_that_person(site: Site, ana: Account) -> None:
    site.account("dana")
    windows = Windows(site)
    visitor = windows.visitor
    visitor.post(windows.pages[0], RIGHT, token=windows.tokens[0])
    assert windows.lands("1")
    session = visitor.cookie(SESSION)
    page = visitor.post(windows.pages[1], {**RIGHT, "username": "dana"}, token=windows.tokens[1])
    assert page.status == 200
    assert "You have signed in as ana in another window." in page.text
    assert page.form("username").fields["username"] == ["dana"]
    assert visitor.cookie(SESSION) == session
    visitor.post(windows.pages[1], {**RIGHT, "username": "dana"})
    assert "dana@example.com" in visitor.follow().text


def test_a_request_that_wants_a_new_sign_in_still_gets_one(site: Site, ana: Account) -> None:
    visitor = Visitor(site)
    visitor.sign_in(ana)
    site.later(seconds=5)
    page = visitor.ask(site.client(), prompt="login")
    assert page.url.startswith("/login?request=")
    assert page.status == 200
    page = visitor.post(page.url, RIGHT, token="0" * 64)
    assert page.status == 200, "the form again, and no way round the password"
    assert page.form("username").fields["username"] == ["ana"]


@pytest.mark.parametrize("path", ["/login", "/login/code"])
def test_an_out_of_date_form_does_no_more_than_a_visit(site: Site, ana: Account, path: str) -> None:
    visitor = Visitor(site)
    visitor.sign_in(ana)
    held, before = visitor.cookie(SESSION), site.rows()
    fields = {"username": "ana", "password": PASSWORD, "code": "1", "action": "begin"}
    assert visitor.post(path, fields, token="0" * 64).status in (200, 303)
    assert (visitor.cookie(SESSION), visitor.cookie(STEP), site.rows()) == (held, "", before)
    page = visitor.post(path, fields, token="0" * 64, headers={**OURS, "Sec-Fetch-Site": "cross-site"})
    assert page.status == 403, "not even that for another site"


def test_a_planted_session_cookie_opens_nothing(site: Site, ana: Account) -> None:
    """Login CSRF: a post with a made-up session cookie gets the form and not a session."""
    visitor = Visitor(site)
    visitor.get("/login")
    browser = visitor.cookie(BROWSER)
    visitor.set_cookie(SESSION, "mcp_session_planted")
    page = visitor.post("/login", RIGHT, token="0" * 64)
    assert page.status == 200
    assert visitor.cookie(SESSION) == "mcp_session_planted"
    assert visitor.cookie(BROWSER) == browser
    assert visitor.get("/account").status == 303
