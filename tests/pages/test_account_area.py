"""The account area: navigation, what is missing, connected apps in pages, and the theme."""

from __future__ import annotations

import dataclasses
import datetime

import pytest
from flask import Flask
from sqlalchemy import Engine, update

from database.models import User as UserRow
from database.transaction import Transaction
from provider.accounts.connected_apps import ConnectedApps
from provider.protocol.client import Client
from provider.protocol.messages import Origin
from provider.security.crypto import Keyring
from provider.services import Services
from provider.settings import load_settings
from tests.granting import add_grant
from tests.pages.site import START, Account, Site, Visitor

HERE = {
    "/account": "Overview", "/account/profile": "Profile", "/account/security": "Sign-in and security",
    "/account/sessions": "Devices and sessions", "/account/apps": "Connected apps", "/account/api-keys": "API keys",
    "/account/preferences": "Language, time and theme",
}  # fmt: skip


@pytest.fixture
def owner(site: Site, ana: Account) -> Visitor:
    visitor = Visitor(site)
    visitor.sign_in(ana)
    return visitor


def navigation(visitor: Visitor) -> dict[str, str]:
    links = [it for it in visitor.document.all("a") if it.inside("nav")]
    return {it.get("href"): it.text for it in links}


def marked(visitor: Visitor) -> list[str]:
    return [it.text for it in visitor.document.all("a") if it.get("aria-current") == "page"]


# Navigation


def test_the_navigation_names_the_pages_that_are_there(owner: Visitor) -> None:
    owner.get("/account")
    shown = navigation(owner)
    assert {path: shown.get(path) for path in HERE} == HERE
    for path in shown:
        assert owner.get(path).status == 200, path


def test_a_page_is_named_as_soon_as_it_is_there(site: Site, owner: Visitor) -> None:
    owner.get("/account")
    if "/account/close" not in navigation(owner):
        _add_page(site.app, "/account/close")
        owner.get("/account")
    assert list(navigation(owner))[-1] == "/account/close"


def _add_page(app: Flask, path: str) -> None:
    app.url_map.add(app.url_rule_class(path, endpoint="close.show", methods=["GET"]))
    app.view_functions["close.show"] = lambda: ""


@pytest.mark.parametrize("path, area", [
    *HERE.items(),
    ("/account/second-factor", "Sign-in and security"),
    ("/account/profile/picture", "Profile"),
    ("/account/api-keys/new", "API keys"),
])  # fmt: skip
def test_the_area_at_hand_is_marked(owner: Visitor, path: str, area: str) -> None:
    owner.get(path)
    assert marked(owner) == [area]


# What is missing


UNPROVED = (
    "You have not yet typed back one of your recovery codes, so they may not have been saved. "
    "Make new ones, and save them."
)


@pytest.mark.parametrize("state, sentences", [
    ("all well", []),
    ("not confirmed", ["Your e-mail address is not confirmed."]),
    ("no second factor", ["Two-step sign-in is off: your password is all that protects this account."]),
    ("no codes", ["You have no recovery codes: without your phone nobody could let you in."]),
    ("one code", ["You have 1 recovery code left."]),
    ("three codes", ["You have 3 recovery codes left."]),
    ("four codes", []),
    ("codes not typed back", [UNPROVED]),
])  # fmt: skip
def test_the_overview_says_what_is_missing_first(
    site: Site, monkeypatch: pytest.MonkeyPatch, state: str, sentences: list[str]
) -> None:
    account = site.account("bora", second_factor=state != "no second factor")
    left = {"no codes": 0, "one code": 1, "three codes": 3, "four codes": 4}.get(state, 10)
    monkeypatch.setattr(site.services.recovery_codes, "count", lambda *_given: left)
    monkeypatch.setattr(site.services.recovery_codes, "are_proved", lambda *_given: "typed" not in state)
    if state == "not confirmed":
        with Transaction(site.engine) as tx:
            tx.execute(update(UserRow).values(is_verified=False))
    visitor = Visitor(site)
    visitor.sign_in(account)
    visitor.get("/account")
    shown = [it.text for it in visitor.document.all("p") if it.get("class") == "text"]
    assert shown == sentences
    text = visitor.document.one("main").text
    if sentences:
        assert text.index("To do first") < text.index("Connected apps")
    else:
        assert "To do first" not in text


def test_the_page_of_ways_in_says_the_state_of_each(site: Site, owner: Visitor, bora: Account) -> None:
    owner.get("/account/security")
    assert "Two-step sign-in Off. Your password is all that protects this account." in owner.document.one("main").text
    other = Visitor(site)
    other.sign_in(bora)
    other.get("/account/security")
    assert "Two-step sign-in On · 0 recovery codes left" in other.document.one("main").text


# Connected apps


def allow(services: Services, at: datetime.datetime, user_id: str, app: Client, *, redirect: str = "") -> None:
    by = origin_at(at)
    uri = redirect or app.redirect_uris[0]
    with Transaction(services.engine) as tx:
        services.consents.remember(
            tx, by, user_id=user_id, client=app, resource_uri=services.settings.issuer, redirect_uri=uri,
            scope=("openid", "profile"),
        )  # fmt: skip


def origin_at(at: datetime.datetime) -> Origin:
    return Origin(source="192.0.2.10", user_agent="pytest", request_id="request-1", now=at)


def names(visitor: Visitor, address: str) -> list[str]:
    assert visitor.get(address).status == 200
    return [it.text for it in visitor.document.all("strong") if it.inside("main")]


def test_apps_come_in_pages_and_are_found_by_name(site: Site, owner: Visitor, ana: Account) -> None:
    for number in range(23):
        site.later(minutes=1)
        allow(site.services, site.now, ana.user.id, site.client(f"App {number:02}"))
    assert names(owner, "/account/apps")[:2] == ["“App 22”", "“App 21”"]
    assert len(names(owner, "/account/apps")) == 20
    assert names(owner, "/account/apps?page=2") == ["“App 02”", "“App 01”", "“App 00”"]
    assert names(owner, "/account/apps?q=app+07") == ["“App 07”"]
    assert names(owner, "/account/apps?q=none") == []
    assert "No app of yours is called that." in owner.page.text


def test_an_app_stands_once_since_it_was_first_allowed_and_goes_as_a_whole(
    site: Site, owner: Visitor, ana: Account, bora: Account
) -> None:
    app = site.client("Twice", redirect_uris=["https://files.example/callback", "https://files.example/other"])
    allow(site.services, START, ana.user.id, app)
    allow(site.services, START, bora.user.id, app)
    assert names(owner, "/account/apps") == ["“Twice”"]
    assert "allowed since Jul 1, 2026" in owner.page.text
    owner.post("/account/apps", {"consent": owner.page.form("consent").fields["consent"][0]})
    assert "The app is disconnected." in owner.follow().text
    assert "No application has access" in owner.page.text
    other = Visitor(site)
    other.sign_in(bora)
    assert names(other, "/account/apps") == ["“Twice”"], "somebody else's stays"


def test_twins_are_one_and_the_last_token_is_told_on_a_server_too(mariadb_engine: Engine, keyring: Keyring) -> None:
    services = Services(load_settings({}), mariadb_engine, keyring)
    with Transaction(mariadb_engine) as tx:
        user = services.users.create(tx, origin_at(START), username="ana", email="ana@example.com", password_hash=None)
        app, _secret = services.clients.register(
            tx, origin_at(START), kind="application", name="야간 앱", token_endpoint_auth_method="none",
            redirect_uris=["https://a.example/cb"],
        )  # fmt: skip
    allow(services, START, user.id, app)
    changed = START + datetime.timedelta(days=1)
    allow(services, changed, user.id, dataclasses.replace(app, name="야간 앱 2"))
    apps: ConnectedApps = services.connected_apps
    with Transaction(mariadb_engine) as tx:
        rows = tx.execute(apps.living(user.id).statement).all()
        assert len(rows) == 1
        assert tx.execute(apps.living(user.id, "야간").statement).all() == rows
        assert tx.execute(apps.living(user.id, "%").statement).all() == []
        (shown,) = services.consents.list(tx, user.id)
        assert apps.last_used(tx, user.id, [shown]) == {}
        used = changed + datetime.timedelta(days=2)
        add_grant(
            tx, used, user_id=user.id, client_row_id=app.id, session_id=None, consent_id=shown.id,
            scope=("openid",), resource_uri=shown.resource, authenticated_at=used, amr=("pwd",), acr="x",
        )  # fmt: skip
        assert apps.last_used(tx, user.id, [shown]) == {(app.id, shown.resource): used}
        assert apps.whole(tx, user.id, [shown])[0].created_at == START


# Theme and language


def theme_of(visitor: Visitor, path: str = "/account") -> tuple[str, str]:
    visitor.get(path)
    scheme = next(it.get("content") for it in visitor.document.all("meta") if it.get("name") == "color-scheme")
    return visitor.document.one("html").get("data-theme"), scheme


def test_a_theme_holds_in_every_browser_of_the_account_and_in_this_one_when_signed_out(
    site: Site, owner: Visitor, ana: Account
) -> None:
    assert theme_of(owner) == ("", "light dark")
    owner.post("/account/preferences", {"theme": "dark"})
    assert "Saved." in owner.follow().text
    assert theme_of(owner) == ("dark", "dark")
    elsewhere = Visitor(site)
    assert theme_of(elsewhere, "/login") == ("", "light dark")
    elsewhere.sign_in(ana)
    assert theme_of(elsewhere) == ("dark", "dark")
    owner.post("/sign-out")
    assert theme_of(owner, "/login") == ("dark", "dark")
    owner.sign_in(ana)
    owner.post("/account/preferences", {"theme": "system"})
    assert theme_of(owner) == ("", "light dark")
    owner.post("/sign-out")
    assert theme_of(owner, "/login") == ("", "light dark")


@pytest.mark.parametrize("theme", ["", "Dark", "x", '"><script>', "\x00", "x" * 4000])
def test_what_is_no_theme_changes_nothing(owner: Visitor, theme: str) -> None:
    owner.post("/account/preferences", {"theme": "light"})
    owner.post("/account/preferences", {"theme": theme})
    assert "Saved." not in owner.follow().text
    assert theme_of(owner) == ("light", "light")
    owner.post("/account/preferences", {"theme": "system"})
    owner.set_cookie("__Host-mcp_theme", "".join(c for c in theme if c.isprintable() and c not in '";'))
    assert theme_of(owner) == ("", "light dark")


def test_the_language_is_chosen_with_the_rest(site: Site, owner: Visitor, ana: Account) -> None:
    owner.post("/account/preferences", {"language": "ko", "time_zone": "Asia/Seoul", "theme": "light"})
    assert "저장했습니다." in owner.follow().text
    owner.post("/account/preferences", {"language": "xx"})
    assert owner.get("/account/preferences").html.count('lang="ko"') >= 1
    with Transaction(site.engine) as tx:
        user = site.services.users.find(tx, ana.user.id)
    assert user is not None
    assert (user.locale, user.time_zone, user.theme) == ("ko", "Asia/Seoul", "light")
