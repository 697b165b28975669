"""What is mine is out of everybody else's reach, and keys need a fresh sign-in (A-102, A-103)."""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass

import pytest

from database.transaction import Transaction
from tests.pages.site import OURS, PASSWORD, SESSION, Account, Site, Visitor

KEYS = "/account/api-keys"


@dataclass
class World:
    """Ana with a key, an app and two sessions; Erin with the same; both signed in. ``owner`` is Ana's id."""

    site: Site
    ana: Visitor
    erin: Visitor
    ids: dict[str, str]
    owner: str

    @property
    def revoke(self) -> str:
        return "{}/{}/revoke".format(KEYS, self.ids["ana's key"])

    def session_ids(self) -> list[str]:
        with Transaction(self.site.engine) as tx:
            return [item.id for item in self.site.services.sessions.list(tx, self.site.now, self.owner)]


@pytest.fixture
def world(site: Site) -> World:
    site.resource()
    client = site.client()
    visitors, ids, owner = {}, {}, ""
    for name in ("ana", "erin"):
        account = site.account(name)
        owner = owner or account.user.id
        visitor = visitors[name] = Visitor(site)
        Visitor(site).sign_in(account)
        visitor.sign_in(account)
        visitor.ask(client)
        visitor.post(visitor.page.url, {"decision": "allow"})
        visitor.follow()
        ids[f"{name}'s key"] = site.api_key(account)
        ids[f"{name}'s consent"] = visitor.get("/account/apps").form("consent").fields["consent"][0]
        ids[f"{name}'s session"] = visitor.get("/account/sessions").form("session").fields["session"][0]
    return World(site, visitors["ana"], visitors["erin"], ids, owner)


def test_each_sees_only_what_is_their_own(world: World) -> None:
    for name, visitor, other in (("ana", world.ana, "erin"), ("erin", world.erin, "ana")):
        html = "".join(visitor.get(f"/account{path}").html for path in ("", "/api-keys", "/apps", "/sessions"))
        for what, value in world.ids.items():
            assert (value in html) == what.startswith(name), what
        assert other not in html


def test_a_foreign_key_and_a_missing_one_look_alike_and_nothing_happens(world: World) -> None:
    visitor, before = world.erin, world.site.rows()
    for method in ("GET", "POST"):
        shown = []
        for key in (world.ids["ana's key"], "key_0000000000000000000000", "x"):
            path = f"{KEYS}/{key}/revoke"
            page = visitor.get(path) if method == "GET" else visitor.post(path)
            shown.append((page.status, re.sub("Reference [0-9a-f]+", "", page.text)))
            assert page.status == 404
        assert len(set(shown)) == 1
    assert world.site.rows() == before


def test_foreign_apps_and_sessions_stay_as_they_are(world: World) -> None:
    visitor = world.erin
    tables = ("user_sessions", "consents", "oauth_grants", "oauth_clients")
    before = world.site.rows(*tables)
    for path, field, own in (("/account/apps", "consent", "ana's consent"), ("/account/sessions", "session", "x")):
        outcomes = []
        for value in (world.ids.get(own, world.ids["ana's session"]), "01900000-0000-7000-8000-000000000000", "", "é"):
            page = visitor.post(path, {field: value})
            outcomes.append((page.status, visitor.to))
        assert len(set(outcomes)) == 1, "foreign, missing and none look alike"
    assert world.site.rows(*tables) == before
    assert world.ana.get("/account").status == 200
    visitor.post("/account/sessions", {"action": "end-others"})
    assert world.ana.get("/account").status == 200, "others' sessions are not among the others"


def test_the_owner_can_do_all_of_it(world: World) -> None:
    visitor = world.ana
    own_session = world.ids["ana's session"]
    visitor.post("/account/sessions", {"session": own_session})
    assert "That device is signed out." in visitor.follow().text
    assert own_session not in visitor.page.html
    visitor.post("/account/apps", {"consent": world.ids["ana's consent"]})
    assert "No application has access" in visitor.follow().text
    visitor.post(world.revoke)
    assert "You have no API keys yet." in visitor.follow().text
    assert visitor.get(world.revoke).status == 404


def test_the_session_at_hand_is_ended_by_signing_out_only(world: World) -> None:
    visitor = world.ana
    assert len(world.session_ids()) == 2
    for session_id in world.session_ids():
        visitor.post("/account/sessions", {"session": session_id})
    assert len(world.session_ids()) == 1
    assert visitor.get("/account/sessions").text.count("This device") == 1


@pytest.mark.parametrize(
    "method, path", [("GET", f"{KEYS}/new"), ("POST", f"{KEYS}/new"), ("GET", "key"), ("POST", "key")]
)
def test_keys_are_made_and_revoked_only_after_a_recent_sign_in(world: World, method: str, path: str) -> None:
    visitor, site = world.ana, world.site
    path = world.revoke if path == "key" else path
    fields = {"name": "another", "days": "30"}
    site.later(seconds=900)
    assert visitor.get(path).status == 200, "fifteen minutes are recent"
    site.later(seconds=1)
    before = site.rows("oauth_clients")
    page = visitor.get(path) if method == "GET" else visitor.post(path, fields)
    assert page.status == 303
    assert visitor.to.startswith("/login/again?to=")
    assert site.rows("oauth_clients") == before
    visitor.post(visitor.to, {"password": PASSWORD})
    assert visitor.page.status == 303
    page = visitor.get(path) if method == "GET" else visitor.post(path, fields)
    assert page.status == (303 if method == "POST" else 200)


@pytest.mark.parametrize("scheme", ["Basic", "Bearer"])
def test_neither_a_key_nor_a_token_makes_another_key(site: Site, ana: Account, scheme: str) -> None:
    site.resource()
    with Transaction(site.engine) as tx:
        client, secret = site.services.api_keys.create(
            tx, site.by, ana.user, name="first", scope=None, expires_in_days=30, resource=None
        )
    visitor = Visitor(site)
    basic = "Basic " + base64.b64encode(f"{client.client_id}:{secret}".encode()).decode()
    authorization = basic
    if scheme == "Bearer":
        page = visitor.request(
            "POST",
            "/oauth/token",
            "grant_type=client_credentials&resource=https%3A%2F%2Freports.example%2Fapi",
            {"Authorization": basic},
        )
        assert visitor.answer.json is not None, page.text
        authorization = f"Bearer {visitor.answer.json['access_token']}"
    before = site.rows("oauth_clients")
    for path in (f"{KEYS}/new", KEYS, "/account"):
        page = visitor.request("GET", path, headers={"Authorization": authorization})
        assert page.status == 303
        assert visitor.to.startswith("/login?to=")
    body = f"csrf_token={visitor.token()}&name=second&days=30"
    assert visitor.request("POST", f"{KEYS}/new", body, {**OURS, "Authorization": authorization}).status == 303
    assert visitor.to.startswith("/login?to=")
    assert site.rows("oauth_clients") == before


@pytest.mark.parametrize(
    "fields, sentence",
    [
        ({"name": ""}, "Give the key a name"),
        ({"name": "x" * 65}, "Give the key a name"),
        ({"name": "a\tb"}, "Give the key a name"),
        ({"name": "nightly backup"}, "You already have a key with this name."),
        ({"days": "31"}, "Choose one of these."),
        ({"days": "-1"}, "Choose one of these."),
        ({"days": ""}, "Choose one of these."),
        ({"days": "1e9"}, "Choose one of these."),
        ({"resource": "https://other.example/"}, "Choose one of these."),
        ({"scope": "admin"}, "This key can't have these scopes."),
        ({"scope": ["reports:read", "files:admin"]}, "This key can't have these scopes."),
    ],
)
def test_a_key_that_cannot_be_is_not_made(site: Site, ana: Account, fields: dict[str, str], sentence: str) -> None:
    site.resource()
    site.api_key(ana, "nightly backup")
    visitor = Visitor(site)
    visitor.sign_in(ana)
    before = site.rows("oauth_clients")
    page = visitor.post(f"{KEYS}/new", {"name": "good", "days": "90", **fields})
    assert page.status == 400
    assert sentence in page.text
    assert site.rows("oauth_clients") == before


def test_a_disabled_user_is_out_at_once(world: World) -> None:
    with Transaction(world.site.engine) as tx:
        world.site.services.user_ends.set_active(tx, world.site.by, world.owner, False)
    assert world.ana.get("/account").status == 303
    assert world.ana.cookie(SESSION)


@pytest.mark.parametrize(
    "language, sentence",
    [
        ("en", "You have 1 keys, as many as there can be. Revoke one that you don't need."),
        ("ko", "키가 1개로, 더 만들 수 없습니다. 필요 없는 키를 폐기하세요."),
    ],
)
def test_who_has_all_keys_that_there_can_be_is_told_so(
    site: Site, ana: Account, monkeypatch: pytest.MonkeyPatch, language: str, sentence: str
) -> None:
    monkeypatch.setattr("provider.accounts.api_keys.MAX_LIVE", 1)
    monkeypatch.setattr("provider.pages.api_keys.MAX_LIVE", 1)
    site.api_key(ana)
    visitor = Visitor(site, language=language)
    visitor.sign_in(ana)
    visitor.get("/account/api-keys/new")
    page = visitor.post("/account/api-keys/new", {"name": "weekly", "days": "30"})
    assert page.status == 400
    assert visitor.document.by_id("errors").text == sentence
    assert len(site.rows("oauth_clients")["oauth_clients"]) == 1
