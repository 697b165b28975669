"""Signing in: nobody learns who has an account, no step can be left out, each gives a new session (A-58, A-60, A-72)."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from database.transaction import Transaction
from tests.pages.every_page import ROUTES
from tests.pages.site import OURS, PASSWORD, SESSION, STEP, Account, Site, Visitor

WRONG = "not the password of anybody"


def somebody(site: Site, kind: str) -> tuple[str, str]:
    """A user name and a password that do not work together, each for a reason of its own."""
    if kind == "unknown":
        return "nobody", WRONG
    if kind == "no name at all":
        return "@@ /", WRONG
    if kind == "very long name":
        return "n" * 300, WRONG
    made = site.account("ana", second_factor=kind == "second factor", is_admin=kind == "administrator")
    if kind in ("disabled", "disabled, right password"):
        with Transaction(site.engine) as tx:
            site.services.user_ends.set_active(tx, site.by, made.user.id, False)
    if kind == "by e-mail":
        return "ana@example.com", WRONG
    if kind == "very long password":
        return "ana", PASSWORD + "x" * 5000
    return "ana", PASSWORD if "right" in kind else WRONG


@pytest.mark.parametrize(
    "kind",
    [
        "no name at all",
        "very long name",
        "wrong password",
        "by e-mail",
        "very long password",
        "second factor",
        "administrator",
        "disabled",
        "disabled, right password",
    ],
)
def test_every_refusal_is_the_same_as_for_an_unknown_name(site_factory: Callable[[], Site], kind: str) -> None:
    shown = []
    for each in ("unknown", kind):
        site = site_factory()
        visitor = Visitor(site)
        name, password = somebody(site, each)
        visitor.get("/login")
        page = visitor.post("/login", {"username": name, "password": password})
        headers = {key: value for key, value in page.headers.items() if key not in ("Content-Length", "Set-Cookie")}
        set_cookies = [cookie.partition("=")[0] for cookie in visitor.answer.headers.getlist("Set-Cookie")]
        typed = visitor.document.by_id("username").get("value")
        assert typed == name[:255]
        without = visitor.page_like_any().replace(f'value="{typed}"', "")
        shown.append((page.status, headers, set_cookies, without))
        assert "Wrong e-mail or password." in page.text
    assert shown[0] == shown[1]


@pytest.mark.parametrize("name", ["ana", "nobody", "bora"])
def test_a_limit_is_reached_alike_and_hides_the_right_password(site: Site, visitor: Visitor, name: str) -> None:
    site.account("ana")
    site.account("bora", second_factor=True)
    for _ in range(10):
        assert visitor.post("/login", {"username": name, "password": WRONG}).status == 400
    for password in (WRONG, PASSWORD):
        page = visitor.post("/login", {"username": name, "password": password})
        assert page.status == 429
        assert 0 < int(page.headers["Retry-After"]) <= 901
        assert "Too many attempts. Try again at" in page.text
        assert "UTC" in page.text
        assert not visitor.cookie(SESSION)
        assert not visitor.cookie(STEP)
    site.later(seconds=int(page.headers["Retry-After"]))
    page = visitor.post("/login", {"username": name, "password": PASSWORD})
    assert page.status == (400 if name == "nobody" else 303)


def test_between_password_and_code_nothing_else_can_be_reached(site: Site, bora: Account) -> None:
    visitor = Visitor(site)
    visitor.post("/login", {"username": "bora", "password": PASSWORD})
    assert visitor.cookie(STEP)
    assert not visitor.cookie(SESSION)
    client = site.client()
    before = site.rows("users", "user_sessions", "oauth_clients", "consents", "oauth_grants")
    for rule, methods in ROUTES.items():
        if rule.startswith(("/account", "/login/again", "/login/second-factor", "/sign-out", "/consent")):
            path = rule.replace("<client_id>", "key_x")
            for method in methods:
                page = visitor.request(method, path, f"csrf_token={visitor.token()}&action=begin", OURS)
                assert page.status in (303, 400), (method, rule)
                assert page.status == 400 or visitor.to.startswith("/login"), (method, rule)
                assert "bora" not in page.text
    assert visitor.ask(client).url.startswith("/login?request="), "an application is not answered either"
    visitor.set_cookie(SESSION, visitor.cookie(STEP))
    assert visitor.get("/account").status == 303, "the step's cookie is no session"
    assert site.rows(*before) == before


def test_the_step_ends_by_time_by_use_and_by_starting_over(site: Site, bora: Account) -> None:
    visitor = Visitor(site)
    visitor.post("/login", {"username": "bora", "password": PASSWORD})
    assert visitor.get("/login/code").status == 200
    site.later(seconds=601)
    assert visitor.get("/login/code").status == 303
    assert visitor.to == "/login"
    assert "That took a little too long" in visitor.follow().text

    visitor.sign_in(bora)
    step_of_stranger = Visitor(site)
    step_of_stranger.post("/login", {"username": "bora", "password": PASSWORD})
    used = step_of_stranger.cookie(STEP)
    step_of_stranger.post("/login/code", {"code": site.fresh_code(bora)})
    assert step_of_stranger.cookie(STEP) == ""
    again = Visitor(site)
    again.set_cookie(STEP, used)
    assert again.post("/login/code", {"code": site.fresh_code(bora)}, token=again.token()).status == 303
    assert again.to == "/login"


def test_a_code_step_begun_in_one_browser_is_nothing_to_another(site: Site, bora: Account) -> None:
    visitor, stranger = Visitor(site), Visitor(site)
    visitor.post("/login", {"username": "bora", "password": PASSWORD})
    assert stranger.post("/login/code", {"code": site.fresh_code(bora)}).status == 303
    assert stranger.to == "/login"
    assert not stranger.cookie(SESSION)


def test_the_session_has_a_new_id_after_each_step_and_the_old_one_is_dead(site: Site) -> None:
    ana, visitor = site.account("ana"), Visitor(site)
    planted = "mcp_session_planted"
    visitor.set_cookie(SESSION, planted)
    visitor.sign_in(ana)
    ids = [planted, visitor.cookie(SESSION)]

    visitor.get("/login?switch=1")
    visitor.post("/login", {"username": "ana", "password": PASSWORD})
    ids.append(visitor.cookie(SESSION))

    site.later(seconds=60)
    visitor.post("/login/again", {"password": PASSWORD})
    ids.append(visitor.cookie(SESSION))

    visitor.post("/account/second-factor", {"action": "begin"})
    visitor.follow()
    ana.secret = secret_on(visitor)
    page = visitor.post("/account/second-factor", {"action": "confirm", "code": site.code(ana)})
    assert page.status == 303
    ids.append(visitor.cookie(SESSION))

    visitor.post("/account/second-factor", {"action": "turn-off", "code": site.fresh_code(ana)})
    assert visitor.to == "/account/second-factor"
    ids.append(visitor.cookie(SESSION))

    assert len(set(ids)) == len(ids), "a new one at each step"
    assert visitor.get("/account").status == 200
    visitor.post("/sign-out")
    for old in ids:
        visitor.set_cookie(SESSION, old)
        assert visitor.get("/account").status == 303, "no earlier id works"


def secret_on(visitor: Visitor) -> str:
    return next(it.text for it in visitor.document.all("code") if "secret" in it.get("class")).replace(" ", "")


def test_somebody_else_signing_in_on_the_same_browser_ends_the_first_session(site: Site, ana: Account) -> None:
    dana, visitor = site.account("dana"), Visitor(site)
    visitor.sign_in(ana)
    first = visitor.cookie(SESSION)
    visitor.post("/login", {"username": dana.user.username, "password": PASSWORD})
    assert "dana@example.com" in visitor.get("/account").text
    visitor.set_cookie(SESSION, first)
    assert visitor.get("/account").status == 303


def test_signing_out_ends_the_session_and_clears_what_was_stored(site: Site, ana: Account) -> None:
    visitor = Visitor(site)
    visitor.sign_in(ana)
    old = visitor.cookie(SESSION)
    page = visitor.post("/sign-out")
    assert page.headers["Clear-Site-Data"] == '"cache", "storage"'
    assert not visitor.cookie(SESSION)
    assert "You are signed out." in visitor.follow().text
    visitor.set_cookie(SESSION, old)
    assert visitor.get("/account").status == 303


@pytest.mark.parametrize("change", ["x", "", "mcp_session_0", "é", "a" * 2000])
def test_an_edited_cookie_is_no_session(site: Site, ana: Account, change: str) -> None:
    visitor = Visitor(site)
    visitor.sign_in(ana)
    good = visitor.cookie(SESSION)
    for bad in (change, good + change if change else good[:-1], good[:-1] + ("0" if good[-1] != "0" else "1")):
        visitor.set_cookie(SESSION, bad)
        assert visitor.get("/account").status == 303
    visitor.set_cookie(SESSION, good)
    assert visitor.get("/account").status == 200
