"""Where a finished page leads: to a stored request of this browser or a page of the list, and nowhere else (A-62)."""

from __future__ import annotations

from urllib.parse import quote, urlencode

import pytest

from provider.pages.waiting import DESTINATIONS
from tests.pages.site import PASSWORD, SESSION, Account, Site, Visitor, handle_in

HOSTILE = [
    "https://evil.example/",
    "//evil.example/",
    "\\\\evil.example",
    "/\\evil.example",
    "/%5cevil.example",
    "javascript:alert(1)",
    "data:text/html,x",
    "/account/sessions",
    "account/../..//evil.example",
    "sessions\r\nLocation: https://evil.example",
    "\t//evil.example",
    "https:evil.example",
    "@evil.example",
    ".evil.example",
    "SESSIONS",
    "%00",
    "a" * 3000,
]


@pytest.mark.parametrize("value", HOSTILE)
def test_a_made_up_destination_leads_to_the_account(site: Site, ana: Account, value: str) -> None:
    visitor = Visitor(site)
    query = f"?to={quote(value, safe='')}"
    visitor.post(f"/login{query}", {"username": "ana", "password": PASSWORD})
    assert (visitor.page.status, visitor.to) == (303, "/account")
    for path in ("/login", "/login/again", "/login/second-factor"):
        page = visitor.get(path + query)
        assert page.status == 200 or visitor.to == "/account", path
        assert "evil" not in page.text
    visitor.post(f"/login/again{query}", {"password": PASSWORD})
    assert visitor.to == "/account"


@pytest.mark.parametrize("name, path", DESTINATIONS.items())
def test_a_destination_of_the_list_is_reached_through_every_step(site: Site, name: str, path: str) -> None:
    bora = site.account("bora", second_factor=True)
    visitor = Visitor(site)
    assert visitor.get(path).status == 303
    assert visitor.to == f"/login?to={name}"
    visitor.post(visitor.to, {"username": "bora", "password": PASSWORD})
    assert visitor.to == f"/login/code?to={name}"
    visitor.get(visitor.to)
    visitor.post(visitor.to or visitor.page.url, {"code": site.fresh_code(bora)})
    assert visitor.to == path
    assert visitor.get(path).status == 200


@pytest.mark.parametrize("value", [*HOSTILE, "mcp_request_x"])
def test_a_made_up_request_is_an_error_and_no_way_out(site: Site, ana: Account, value: str) -> None:
    visitor = Visitor(site)
    for path in ("/login", "/login/code", "/consent"):
        page = visitor.get(f"{path}?request={quote(value, safe='')}")
        assert page.status == 400, path
        assert "Start again from the app" in page.text
        assert not visitor.to
    page = visitor.post(f"/login?request={quote(value, safe='')}", {"username": "ana", "password": PASSWORD})
    assert page.status == 400
    assert not visitor.cookie(SESSION)


def test_a_request_belongs_to_the_browser_that_began_it(site: Site, ana: Account) -> None:
    visitor, stranger = Visitor(site), Visitor(site)
    page = visitor.ask(site.client())
    handle = handle_in(page.url)
    assert handle
    stranger.sign_in(ana)
    for path in (f"/login?request={handle}", f"/consent?request={handle}"):
        assert stranger.get(path).status == 400
    assert stranger.get(f"/oauth/authorize/{handle}").status == 400
    assert stranger.post(f"/consent?request={handle}", {"decision": "allow"}).status == 400
    visitor.sign_in(ana, page.url)
    assert visitor.follow().url.startswith("/consent?request="), "it still works where it began"


@pytest.mark.parametrize(
    "back, leads_to",
    [
        ("/account/sessions?", "/account/sessions"),
        ("/login?to=apps&notice=signed-out&x=y", "/login?to=apps"),
        ("/login/code?with=recovery-code", "/login/code?with=recovery-code"),
        ("/language", "/account"),
        ("/oauth/authorize?client_id=x", "/account"),
        ("/oauth/logout", "/account"),
        ("/static/site.css", "/account"),
        ("/nothing", "/account"),
        ("", "/account"),
        ("http://[", "/account"),
        ("//[::1", "/account"),
        *((value, "/account") for value in HOSTILE if value != "/account/sessions"),
        ("https://evil.example/login", "/account"),
        ("//evil.example/login", "/account"),
        ("/login/..//evil.example", "/account"),
        ("/login\r\nX: y", "/account"),
    ],
)
def test_choosing_a_language_leads_back_to_a_page_of_ours(site: Site, back: str, leads_to: str) -> None:
    visitor = Visitor(site)
    page = visitor.post("/language", {"language": "ko", "back": back})
    assert (page.status, visitor.to) == (303, leads_to)


def test_only_known_notices_are_said(visitor: Visitor) -> None:
    page = visitor.get("/login?" + urlencode({"notice": "<b>Call 555-1234</b>"}))
    assert "Call" not in page.text
    assert "<b>" not in page.html
    assert "You are signed out." in visitor.get("/login?notice=signed-out").text
