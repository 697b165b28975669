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
    stranger.post(f"/consent?request={handle}", {"decision": "allow"})
    assert (stranger.to, stranger.follow().status) == (f"/oauth/authorize/{handle}", 400)
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


@pytest.mark.parametrize("path", ["/login", "/account", "/account/second-factor", "/consent"])
@pytest.mark.parametrize("name", ["signed-out", "step-expired", "welcome", "key-revoked", "<b>Call 555-1234</b>"])
def test_an_address_can_say_no_notice(site: Site, ana: Account, path: str, name: str) -> None:
    visitor = Visitor(site)
    if path != "/login":
        visitor.sign_in(ana)
    page = visitor.get(f"{path}?{urlencode({'notice': name})}")
    assert not [it for it in visitor.document.elements if it.get("role") == "status"]
    assert "Call" not in page.text


def test_a_notice_is_said_once_in_the_browser_where_it_happened(site: Site, ana: Account) -> None:
    visitor = Visitor(site)
    visitor.sign_in(ana)
    visitor.post("/sign-out")
    assert visitor.to == "/login"
    assert "You are signed out." in visitor.follow().text
    assert "You are signed out." not in visitor.get("/login").text


@pytest.mark.parametrize("name", ["<b>Call 555-1234</b>", "nothing", "", "a" * 3000])
def test_a_made_up_notice_of_a_browser_says_nothing(visitor: Visitor, name: str) -> None:
    visitor.set_cookie("__Host-mcp_notice", name)
    visitor.get("/login")
    assert not [it for it in visitor.document.elements if it.get("role") == "status"]


def on_the_way(visitor: Visitor) -> list[str]:
    """The links and forms of a page of ours that lead to pages of ours."""
    document = visitor.document
    addresses = [it.get("href") for it in document.all("a") if it.get("href").startswith("/")]
    addresses += [it.get("action") or visitor.page.url for it in document.all("form")]
    back = [it.get("value") for it in document.all("input") if it.get("name") == "back"]
    return [it for it in [*addresses, *back] if it != "/language"]


@pytest.mark.parametrize("query", ["request", "to=apps"])
def test_every_link_and_form_on_the_way_keeps_where_it_leads(site: Site, query: str) -> None:
    """All pages between a request and its answer, the error pages in between as well."""
    bora, root = site.account("bora", second_factor=True), site.account("root", is_admin=True)
    for account in (bora, root):
        visitor = Visitor(site)
        kept = query if "=" in query else f"request={handle_in(visitor.ask(site.client()).url)}"
        fields = {"username": account.user.username, "password": PASSWORD}
        code = {"code": "000000"}
        steps: list[tuple[str, dict[str, str] | None, str | None, int]] = [
            ("/login", None, None, 200),
            ("/login", {}, None, 400),
            ("/login", {}, "0" * 64, 403),
            ("/login", {"username": "x" * 70_000}, None, 413),
            ("/login", {**fields, "password": "wrong"}, None, 400),
            ("/login", fields, None, 303),
        ]
        if account is bora:
            steps += [
                ("/login/code", None, None, 200),
                ("/login/code?with=recovery-code", None, None, 200),
                ("/login/code", {}, None, 400),
                ("/login/code", code, "0" * 64, 403),
                ("/login/code", code, None, 400),
            ]
        else:
            steps += [
                ("/login/second-factor", None, None, 200),
                ("/login/second-factor", {"action": "begin"}, None, 303),
                ("/login/second-factor", None, None, 200),
                ("/login/second-factor", {"action": "confirm"}, "0" * 64, 403),
                ("/login/second-factor", {"action": "confirm", "code": "1"}, None, 400),
                ("/login/again", None, None, 200),
                ("/login/again", {}, None, 400),
            ]
        for path, sent, token, status in steps:
            address = f"{path}{'&' if '?' in path else '?'}{kept}"
            page = visitor.get(address) if sent is None else visitor.post(address, sent, token=token)
            assert page.status == status, (path, page.text)
            ways = on_the_way(visitor) if page.html else [visitor.to]
            assert ways, path
            back_to_the_account = "/account" if path == "/login/again" and query != "request" else ""
            lost = [way for way in ways if kept.split("=")[1] not in way and way != back_to_the_account]
            assert not lost, (path, status, lost)
        site.later(seconds=site.settings.recent_login_seconds + 1)
        if account is root:
            visitor.post(f"/login/second-factor?{kept}", {"action": "begin"})
            assert visitor.to == f"/login/again?{kept}"


def test_the_language_of_a_sign_out_for_an_application_keeps_where_it_leads(site: Site, ana: Account) -> None:
    visitor = Visitor(site)
    asked = "post_logout_redirect_uri=https%3A%2F%2Ffiles.example%2Fbye&state=s&proof=p"
    visitor.post("/language", {"language": "ko", "back": f"/sign-out?{asked}&x=y"})
    assert visitor.to == f"/sign-out?{asked}"
