"""Two-step sign-in: set up by a code, codes used once, turned off only by somebody who has both factors (A-65 to A-69)."""

from __future__ import annotations

import re
from collections.abc import Callable
from urllib.parse import unquote

import pytest

from tests.pages.site import OURS, PASSWORD, SESSION, Account, Site, Visitor

PAGE = "/account/second-factor"
CODE = re.compile(r"[0-9a-z]{7}-[0-9a-z]{7}")


def begin(visitor: Visitor, page: str = PAGE) -> str:
    """Starts setting it up. Returns the secret that the page shows."""
    assert visitor.post(page, {"action": "begin"}).status == 303
    visitor.get(page)
    return next(it.text for it in visitor.document.all("code") if "secret" in it.get("class")).replace(" ", "")


def test_it_is_on_only_after_a_right_code_and_then_it_is_asked_for(site: Site, ana: Account) -> None:
    visitor = Visitor(site)
    visitor.sign_in(ana)
    assert "Set up two-step sign-in" in visitor.get(PAGE).text
    ana.secret = begin(visitor)
    assert len(ana.secret) == 32, "160 bits"
    assert visitor.post(PAGE, {"action": "confirm", "code": ""}).status == 400
    assert visitor.post(PAGE, {"action": "confirm", "code": wrong(site, ana)}).status == 400
    assert "check your phone's clock" in visitor.page.text
    assert "Two-step sign-in is off" in visitor.get("/account").text

    other = Visitor(site)
    other.post("/login", {"username": "ana", "password": PASSWORD})
    assert other.cookie(SESSION), "an unfinished set-up asks nothing of anybody"

    typed = f"{site.code(ana)[:3]} {site.code(ana)[3:]}"
    visitor.post(PAGE, {"action": "confirm", "code": typed})
    assert (visitor.page.status, visitor.to) == (303, f"{PAGE}/recovery-codes")
    codes = CODE.findall(visitor.follow().html)
    assert len(set(codes)) == 10
    assert other.get("/account").status == 303, "other sessions are over"
    assert "10 recovery codes left" in visitor.get("/account").text

    stranger = Visitor(site)
    stranger.post("/login", {"username": "ana", "password": PASSWORD})
    assert stranger.to == "/login/code"
    stranger.post("/login/code", {"code": site.code(ana)})
    assert stranger.page.status == 400, "the code that set it up is used up"
    fresh = "".join(chr(ord(digit) + 0xFEE0) for digit in site.fresh_code(ana))
    (field,) = [it for it in stranger.document.all("input") if it.get("name") == "code"]
    assert (field.get("pattern"), field.get("maxlength")) == ("", "64"), "the browser lets every way to write it pass"
    stranger.post("/login/code", {"code": f"{fresh[:3]}\u2013{fresh[3:]}\u3000"})
    assert stranger.get("/account").status == 200


def wrong(site: Site, account: Account) -> str:
    return f"{(int(site.code(account)) + 1) % 1_000_000:06}"


def test_recovery_codes_and_secret_are_shown_once(site: Site, ana: Account) -> None:
    visitor = Visitor(site)
    visitor.sign_in(ana)
    ana.secret = begin(visitor)
    picture = next(it for it in visitor.document.elements if it.get("role") == "img")
    assert ana.secret not in picture.get("aria-label")
    assert "otpauth" not in visitor.page.html
    visitor.post(PAGE, {"action": "confirm", "code": site.code(ana)})
    codes = CODE.findall(visitor.follow().html)
    assert len(codes) == 10
    for path in (PAGE, "/account", "/account/sessions"):
        html = visitor.get(path).html
        assert not CODE.search(html)
        assert ana.secret not in html.replace(" ", "")
    stored = repr(site.rows())
    assert not [code for code in codes if code in stored or code.replace("-", "") in stored]
    assert ana.secret not in stored


def test_an_abandoned_set_up_leaves_nothing_behind(site: Site, ana: Account) -> None:
    visitor = Visitor(site)
    visitor.sign_in(ana)
    second = begin(visitor)
    assert begin(visitor) == second, "begun twice, it is the same secret: that of the picture that was scanned"
    visitor.post("/sign-out")
    ana.secret = ""
    visitor.sign_in(ana)
    page = visitor.get(PAGE)
    assert second not in page.html.replace(" ", "")
    ana.secret = second
    assert visitor.post(PAGE, {"action": "confirm", "code": site.code(ana)}).status == 400


@pytest.mark.parametrize("typed", ["{}", "{} ", " {}", "{upper}", "{without}", "{spaced}"])
def test_a_recovery_code_lets_in_once_however_it_is_typed(site: Site, typed: str) -> None:
    dana = site.account("dana", second_factor=True, codes=True)
    code = dana.codes[3]
    text = typed.format(code, upper=code.upper(), without=code.replace("-", ""), spaced=code.replace("-", " "))
    visitor = Visitor(site)
    for expected in (303, 400):
        visitor.post("/login", {"username": "dana", "password": PASSWORD})
        visitor.get("/login/code?with=recovery-code")
        assert visitor.document.by_id("code").get("autocomplete") == "off"
        page = visitor.post("/login/code?with=recovery-code", {"code": text})
        assert page.status == expected
        if expected == 303:
            assert "9 recovery codes left" in visitor.get("/account").text
            visitor.post("/sign-out")
    assert "Each one works once." in visitor.page.text


def test_new_codes_kill_the_old_ones(site: Site) -> None:
    dana = site.account("dana", second_factor=True, codes=True)
    visitor = Visitor(site)
    visitor.sign_in(dana)
    visitor.post(PAGE, {"action": "new-codes", "code": site.fresh_code(dana)})
    fresh = CODE.findall(visitor.follow().html)
    assert len(fresh) == 10
    assert not set(fresh) & set(dana.codes)
    stranger = Visitor(site)
    stranger.post("/login", {"username": "dana", "password": PASSWORD})
    assert stranger.post("/login/code", {"code": dana.codes[0]}).status == 400
    assert stranger.post("/login/code", {"code": fresh[0]}).status == 303


def test_no_codes_left_are_a_reason_to_make_new_ones(site: Site) -> None:
    dana, visitor = site.account("dana", second_factor=True), Visitor(site)
    visitor.sign_in(dana)
    text = visitor.get(PAGE).text
    assert "You have no recovery codes" in text
    assert "You have few recovery codes left" not in text
    assert visitor.document.by_id("new-codes").tag == "details", "what the sentence leads to"


@pytest.mark.parametrize("action", ["turn-off", "new-codes"])
def test_a_change_needs_a_recent_sign_in_and_a_code(site: Site, bora: Account, action: str) -> None:
    visitor = Visitor(site)
    visitor.sign_in(bora)
    before = site.rows("recovery_codes")
    assert visitor.post(PAGE, {"action": action}).status == 400
    assert visitor.post(PAGE, {"action": action, "code": wrong(site, bora)}).status == 400
    assert visitor.post(PAGE, {"action": action, "code": site.code(bora)}).status == 400, "a used code"
    site.later(minutes=16)
    page = visitor.post(PAGE, {"action": action, "code": site.fresh_code(bora)})
    assert (page.status, visitor.to) == (303, "/login/again?to=second-factor")
    assert site.rows("recovery_codes") == before
    assert "On" in visitor.get("/account").text

    visitor.post("/login/again?to=second-factor", {"password": PASSWORD})
    assert visitor.page.status == 400, "the password alone is not enough"
    visitor.post("/login/again?to=second-factor", {"code": wrong(site, bora)})
    assert visitor.page.status == 400
    visitor.post("/login/again?to=second-factor", {"code": site.fresh_code(bora)})
    assert visitor.to == PAGE
    page = visitor.post(PAGE, {"action": action, "code": site.fresh_code(bora)})
    assert page.status == 303
    assert visitor.to == (PAGE if action == "turn-off" else f"{PAGE}/recovery-codes")


def test_another_password_does_not_prove_who_one_is(site: Site, ana: Account) -> None:
    """Proving it again is for the account of the session, whatever name is sent along."""
    site.account("dana")
    visitor = Visitor(site)
    visitor.sign_in(ana)
    site.later(minutes=16)
    for name in ("dana", "ana"):
        page = visitor.post("/login/again", {"username": name, "password": "violet kettle"})
        assert page.status == 400
        assert "Wrong password." in page.text


def test_setting_up_needs_a_recent_sign_in(site: Site, ana: Account) -> None:
    visitor = Visitor(site)
    visitor.sign_in(ana)
    ana.secret = begin(visitor)
    site.later(minutes=16)
    assert ana.secret not in visitor.get(PAGE).html.replace(" ", ""), "the secret is no longer shown"
    for action in ("begin", "confirm"):
        page = visitor.post(PAGE, {"action": action, "code": site.code(ana)})
        assert (page.status, visitor.to) == (303, "/login/again?to=second-factor")
    assert "Two-step sign-in is off" in visitor.get("/account").text


def test_guesses_are_counted_per_account_whatever_browser_they_come_from(site: Site, bora: Account) -> None:
    for number in range(6):
        visitor = Visitor(site)
        visitor.post("/login", {"username": "bora", "password": PASSWORD})
        page = visitor.post("/login/code", {"code": "000000" if site.code(bora) != "000000" else "000001"})
        assert page.status == (400 if number < 5 else 429)
    page = visitor.post("/login/code", {"code": site.code(bora)})
    assert page.status == 429, "a right code is not looked at"
    assert int(page.headers["Retry-After"]) <= 301
    assert not visitor.cookie(SESSION)


def test_where_it_is_demanded_nothing_else_opens_before(site: Site) -> None:
    """Administrators beyond loopback, and everybody where the setting says so."""
    root = site.account("root", is_admin=True)
    visitor = Visitor(site)
    visitor.sign_in(root)
    for path in ("/account", "/account/sessions", "/account/apps", "/account/api-keys", "/account/api-keys/new", PAGE):
        assert visitor.get(path).status == 303
        assert visitor.to.startswith("/login/second-factor?to="), path
    assert visitor.post("/account/api-keys/new", {"name": "x", "days": "30"}).status == 303
    page = visitor.ask(site.client())
    assert page.url.startswith("/login/second-factor?request=")
    root.secret = begin(visitor, page.url)
    visitor.post(page.url, {"action": "confirm", "code": site.code(root)})
    codes = visitor.follow()
    visitor.post(codes.url, {"code": CODE.findall(codes.html)[0]})
    assert visitor.to.startswith("/oauth/authorize/")
    assert visitor.follow().url.startswith("/consent?request=")
    visitor.get(PAGE)
    assert "Turn off" not in visitor.page.text
    site.later(seconds=30)
    visitor.post(PAGE, {"action": "turn-off", "code": site.code(root)})
    assert "On" in visitor.get("/account").text, "and it cannot be turned off"


def test_a_setting_demands_it_of_everybody(site_factory: Callable[..., Site]) -> None:
    site = site_factory(require_second_factor=True)
    visitor = Visitor(site)
    visitor.sign_in(site.account("ana"))
    assert visitor.to == "/login/second-factor"
    visitor.get("/login/second-factor")
    assert "needs a second step" in visitor.page.text


def test_the_qr_code_holds_what_the_text_says(site: Site, ana: Account) -> None:
    visitor = Visitor(site)
    visitor.sign_in(ana)
    secret = begin(visitor)
    uri = site.services.totp.provisioning_uri(secret, ana.user, site.settings.service_name)
    assert unquote(uri) == f"otpauth://totp/MCP Core:ana?secret={secret}&issuer=MCP Core"
    svg = visitor.document.one("svg")
    assert svg.get("class") == "qr-code"
    assert "style" not in svg
    assert OURS["Origin"] not in visitor.page.html.partition("<svg")[2].partition("</svg>")[0]
