"""A key's secret is not lost while it may be needed, a form sent twice makes one key, and nothing ticked is nothing."""

from __future__ import annotations

import datetime
import re
import shlex

import pytest

from database.transaction import Transaction
from provider.pages.api_keys import token_command
from tests.pages.site import PASSWORD, Account, Site, Visitor

KEYS = "/account/api-keys"
SECRET = re.compile(r"mcp_ak_[0-9A-Za-z]{49}")
FIELDS = {"name": "backup", "days": "30", "scope": ["reports:read"]}


@pytest.fixture
def maker(site: Site, ana: Account) -> Visitor:
    """Ana, signed in, where there are two APIs that have a scope in common."""
    site.resource(
        scope=("reports:read", "both"), descriptions={"reports:read": {"en": "Read reports", "ko": "보고서 읽기"}}
    )
    site.resource("https://files.example/api", "Files", scope=("files:read", "both"))
    visitor = Visitor(site)
    visitor.sign_in(ana)
    return visitor


def make(visitor: Visitor, **fields: str | list[str]) -> str:
    """Makes a key on the page. Returns the path of the page that this leads to."""
    page = visitor.post(f"{KEYS}/new", {**FIELDS, **fields})
    assert page.status == 303, page.text
    return visitor.to


def secrets_on(visitor: Visitor, path: str) -> list[str]:
    return SECRET.findall(visitor.get(path).html)


def keys(site: Site, account: Account) -> list[tuple[str, set[str]]]:
    with Transaction(site.engine) as tx:
        return [(key.name, set(key.scope)) for key in site.services.api_keys.list(tx, account.user.id)]


def test_a_reload_shows_the_same_secret_and_no_other_page_has_it(site: Site, maker: Visitor) -> None:
    path = make(maker)
    assert re.fullmatch(rf"{KEYS}/key_[0-9A-Za-z]{{22}}", path), "there is no secret in the address"
    (secret,) = secrets_on(maker, path)
    assert secrets_on(maker, path) == [secret]
    assert maker.page.headers["Cache-Control"] == "no-store"
    assert [secrets_on(maker, other) for other in (KEYS, "/account", f"{KEYS}/new")] == [[], [], []]
    with Transaction(site.engine) as tx:
        key = site.services.clients.find(tx, path.rpartition("/")[2])
    assert key is not None
    assert key.secret_hash == site.services.clients.secret_hash(secret)
    assert secret not in repr(site.rows())


@pytest.mark.parametrize("seconds, is_shown", [(0, True), (600, True), (601, False)])
def test_the_secret_is_shown_for_ten_minutes(maker: Visitor, seconds: int, is_shown: bool) -> None:
    path = make(maker)
    maker.site.later(seconds=seconds)
    assert bool(secrets_on(maker, path)) == is_shown
    assert ("can't be shown any more" in maker.page.text) != is_shown
    assert maker.page.status == 200


def test_the_page_of_somebody_else_s_key_is_not_there(site: Site, maker: Visitor) -> None:
    path, stranger = make(maker), Visitor(site)
    stranger.sign_in(site.account("mallory"))
    assert (stranger.get(path).status, stranger.get(f"{KEYS}/key_nobody").status) == (404, 404)
    assert path.rpartition("/")[2] not in stranger.get(path).html


@pytest.mark.parametrize("way", ["another browser", "proved again", "signed in again"])
def test_the_secret_is_for_the_session_that_made_the_key(maker: Visitor, ana: Account, way: str) -> None:
    path = make(maker)
    visitor = maker
    if way == "another browser":
        visitor = Visitor(maker.site)
        visitor.sign_in(ana)
    elif way == "proved again":
        visitor.post("/login/again", {"password": PASSWORD})
    else:
        visitor.post("/sign-out")
        visitor.sign_in(ana)
    assert secrets_on(visitor, path) == []
    assert visitor.page.status == 200


def test_somebody_else_s_key_a_revoked_one_and_a_missing_one_look_alike(maker: Visitor) -> None:
    path = make(maker)
    stranger = Visitor(maker.site)
    stranger.sign_in(maker.site.account("erin"))
    maker.post(f"{path}/revoke")
    for visitor, where in ((stranger, path), (maker, path), (maker, f"{KEYS}/key_0000000000000000000000")):
        assert visitor.get(where).status == 404


def test_a_form_sent_twice_makes_one_key_and_shows_its_secret_again(site: Site, maker: Visitor, ana: Account) -> None:
    path = make(maker)
    secret = secrets_on(maker, path)
    maker.site.later(minutes=5)
    assert make(maker) == path
    assert secrets_on(maker, path) == secret
    assert len(keys(site, ana)) == 1


@pytest.mark.parametrize(
    "changed", [{"scope": ["both"]}, {"scope": []}, {"days": "90"}, {"resource": "https://reports.example/api"}]
)
def test_another_key_of_the_same_name_is_not_the_same_form(
    site: Site, maker: Visitor, ana: Account, changed: dict[str, str | list[str]]
) -> None:
    make(maker)
    page = maker.post(f"{KEYS}/new", {**FIELDS, **changed})
    assert (page.status, "You already have a key with this name." in page.text) == (400, True)
    assert len(keys(site, ana)) == 1


@pytest.mark.parametrize(
    "fields, scope",
    [
        ({"scope": []}, set()),
        ({"scope": [], "access": "chosen"}, set()),
        ({"scope": [], "access": "nonsense"}, set()),
        ({"scope": [], "access": "everything"}, {"reports:read", "files:read", "both"}),
        (
            {"scope": [], "access": "everything", "resource": "https://files.example/api"},
            {"files:read", "both"},
        ),
        ({"scope": ["both", "files:read", "both"], "access": "chosen"}, {"both", "files:read"}),
    ],
)
def test_nothing_ticked_is_nothing_and_everything_is_said_in_words(
    site: Site, maker: Visitor, ana: Account, fields: dict[str, str | list[str]], scope: set[str]
) -> None:
    make(maker, **fields)
    assert keys(site, ana) == [("backup", scope)]


@pytest.mark.parametrize("language, sentence", [("en", "Read reports"), ("ko", "보고서 읽기")])
def test_scopes_stand_under_the_apis_at_which_they_count(maker: Visitor, language: str, sentence: str) -> None:
    maker.language = language
    maker.get(f"{KEYS}/new")
    groups = [item.text for item in maker.document.all("fieldset") if item.get("class") == "group"]
    assert groups == [
        "Files https://files.example/api files:read",
        "Files https://files.example/api Reports https://reports.example/api both",
        f"Reports https://reports.example/api {sentence} reports:read",
    ]


@pytest.mark.parametrize(
    "resource",
    [
        None,
        "https://api.example/a?b=c&d=$HOME",
        "urn:x:it's",
        "https://api.example/`id`",
        "https://api.example/a;b|c\\ d",
    ],
)
def test_the_command_is_four_words_to_a_shell_whatever_is_in_them(resource: str | None) -> None:
    words = shlex.split(token_command("key_1", resource, "https://id.example/o'auth").replace("\\\n", ""))
    expected = ["curl", "-u", "key_1", "-d", "grant_type=client_credentials"]
    named = [] if resource is None else ["--data-urlencode", f"resource={resource}"]
    assert words == [*expected, *named, "https://id.example/o'auth/token"]


def test_the_recovery_codes_are_shown_again_to_the_session_that_made_them(site: Site, ana: Account) -> None:
    visitor, page = Visitor(site), "/account/second-factor"
    visitor.sign_in(ana)
    visitor.post(page, {"action": "begin"})
    visitor.get(page)
    ana.secret = next(it.text for it in visitor.document.all("code") if "secret" in it.get("class")).replace(" ", "")
    visitor.post(page, {"action": "confirm", "code": site.code(ana)})
    where, made_at = visitor.to, site.now

    def codes(browser: Visitor) -> list[str]:
        return re.findall(r"[0-9a-z]{7}-[0-9a-z]{7}", browser.get(where).html)

    shown = codes(visitor)
    assert len(set(shown)) == 10
    assert codes(visitor) == shown
    other = Visitor(site)
    other.sign_in(ana)
    assert codes(other) == []
    site.now = made_at + datetime.timedelta(minutes=10)
    assert codes(visitor) == shown
    site.later(seconds=1)
    assert (codes(visitor), visitor.to) == ([], page)
    stranger = Visitor(site)
    stranger.post("/login", {"username": "ana", "password": PASSWORD})
    assert stranger.post("/login/code", {"code": shown[7]}).status == 303, "what was shown again is what works"


def test_codes_are_not_shown_again_once_the_session_has_proved_again_who_it_is(site: Site, ana: Account) -> None:
    site.enrol(ana)
    visitor = Visitor(site)
    visitor.sign_in(ana)
    visitor.post("/account/second-factor", {"action": "new-codes", "code": site.fresh_code(ana)})
    where = visitor.to
    assert visitor.get(where).status == 200
    visitor.post("/login/again", {"password": PASSWORD, "code": site.fresh_code(ana)})
    assert visitor.get(where).status == 303


# Keys for cloud accounts


FOR_CLOUDS = {"name": "clouds", "days": "30", "access": "clouds"}


def test_a_key_for_cloud_accounts_is_made_after_a_second_factor_and_has_nothing_else(site: Site, bora: Account) -> None:
    site.resource()
    visitor = Visitor(site)
    visitor.sign_in(bora)
    assert "Get credentials of my cloud accounts, and nothing else" in visitor.get(f"{KEYS}/new").text
    assert not [it for it in visitor.document.all("input") if "disabled" in it]
    path = make(visitor, **FOR_CLOUDS, scope=["reports:read"])
    assert keys(site, bora) == [("clouds", {"cloud:credentials"})]
    visitor.get(path)
    assert "Get credentials of my cloud accounts, and nothing else" in visitor.page.text
    assert "mcp-core-cloud configure" in visitor.page.text


def test_without_a_second_factor_there_is_none_and_the_form_says_why(site: Site, maker: Visitor, ana: Account) -> None:
    page = maker.get(f"{KEYS}/new")
    assert "Only for accounts with two-step sign-in" in page.text
    (radio,) = [it for it in maker.document.all("input") if it.get("value") == "clouds"]
    assert "disabled" in radio
    assert "/account/security" in [it.get("href") for it in maker.document.all("a") if it.inside("fieldset")]
    page = maker.post(f"{KEYS}/new", {**FIELDS, **FOR_CLOUDS})
    assert page.status == 400
    assert "A key for cloud accounts needs two-step sign-in." in maker.document.by_id("scope-mistake").text
    assert keys(site, ana) == []


@pytest.mark.parametrize("kind", ["passkey", "app"])
def test_a_second_factor_that_is_gone_proves_nothing(site: Site, ana: Account, bora: Account, kind: str) -> None:
    visitor, owner = Visitor(site), ana if kind == "passkey" else bora
    visitor.sign_in(owner)
    if kind == "passkey":
        visitor.add_passkey()
        visitor.get("/account/passkeys")
        path = next(it.get("href") for it in visitor.document.all("a") if "/passkeys/" in it.get("href"))
        visitor.post(path, {"action": "remove"})
    else:
        visitor.post("/account/second-factor", {"action": "turn-off", "code": site.fresh_code(bora)})
    assert visitor.page.status == 303
    assert visitor.post(f"{KEYS}/new", FOR_CLOUDS).status == 400
    assert keys(site, owner) == []


def test_a_second_factor_of_long_ago_is_asked_for_again(site: Site, bora: Account) -> None:
    visitor = Visitor(site)
    visitor.sign_in(bora)
    site.later(minutes=20)
    visitor.post(f"{KEYS}/new", FOR_CLOUDS)
    assert visitor.to == "/login/again?to=new-api-key"
    visitor.post(visitor.to, {"password": PASSWORD})
    assert visitor.page.status == 400, "a password is no second factor"
    assert keys(site, bora) == []


@pytest.mark.parametrize(
    "fields",
    [
        {"scope": ["cloud:credentials"]},
        {"access": "everything"},
        {"access": "chosen", "scope": ["cloud:credentials", "reports:read"]},
    ],
)
def test_no_other_choice_opens_clouds(site: Site, bora: Account, fields: dict[str, str | list[str]]) -> None:
    site.resource()
    visitor = Visitor(site)
    visitor.sign_in(bora)
    make(visitor, **fields)
    ((_name, scope),) = keys(site, bora)
    assert "cloud:credentials" not in scope


def test_such_a_key_is_limited_to_no_other_api(site: Site, bora: Account) -> None:
    site.resource()
    visitor = Visitor(site)
    visitor.sign_in(bora)
    visitor.post(f"{KEYS}/new", {**FOR_CLOUDS, "resource": "https://reports.example/api"})
    assert visitor.page.status == 400
    assert "works here alone" in visitor.document.by_id("resource-mistake").text
    page = visitor.post(f"{KEYS}/new", {**FOR_CLOUDS, "language": "ko"})
    (radio,) = [it for it in visitor.document.all("input") if (it.get("name"), it.get("value")) == ("access", "clouds")]
    assert (page.status, "checked" in radio) == (200, True), "kept while a language is chosen"
    assert keys(site, bora) == []
