"""The panic button: what it ends, from where it can be pressed, and that a letter's link works once and by its button."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import Engine, update

from database.models import User
from database.transaction import Transaction
from provider.accounts.alerts import LINK_SECONDS, Alert
from provider.security.crypto import Keyring, new_secret
from tests.letters import letters
from tests.pages.site import CALLBACK, ORIGIN, PASSWORD, Account, Site, Visitor
from tests.together import at_once

OVER = "This link doesn't work any more"
TABLES = ("user_sessions", "oauth_grants", "oauth_clients", "consents", "users", "user_audit_log", "alert_links")


def link(site: Site, account: Account, alert: Alert = Alert.NEW_DEVICE) -> str:
    """The path of "This wasn't me" in a letter that was just written."""
    with Transaction(site.engine) as tx:
        site.services.alerts.tell(tx, site.by, account.user, alert)
    newest = letters(site.engine, site.services.keyring, to=account.user.email, name=f"alert_{alert}")[-1]
    return newest.link.removeprefix("https://id.example")


def events(site: Site, action: str) -> int:
    return sum(action in row for row in site.rows("user_audit_log")["user_audit_log"])


def living(site: Site, account: Account) -> tuple[int, int, int]:
    """Sessions, consents and API keys that work."""
    services = site.services
    with Transaction(site.engine) as tx:
        return (
            len(services.sessions.list(tx, site.now, account.user.id)),
            len(services.consents.list(tx, account.user.id)),
            sum(key.is_usable(site.now) for key in services.api_keys.list(tx, account.user.id)),
        )


def with_everything(site: Site, account: Account) -> Visitor:
    """Signed in on two devices, with an app that keeps its access and an API key."""
    client = site.client(scope=("openid", "offline_access"))
    Visitor(site).sign_in(account)
    visitor = Visitor(site)
    visitor.sign_in(account)
    visitor.ask(client, scope="openid offline_access")
    visitor.post(visitor.page.url, {"decision": "allow"})
    assert visitor.follow().status in (302, 303)
    assert visitor.to.startswith(CALLBACK)
    site.api_key(account)
    assert living(site, account) == (2, 1, 1)
    return visitor


def test_the_link_of_a_letter_ends_everything_for_whoever_is_not_signed_in(site: Site, ana: Account) -> None:
    thief = with_everything(site, ana)
    path, owner = link(site, ana), Visitor(site)
    page = owner.get(path)
    assert page.status == 200
    assert "New sign-in to your account" in page.text
    assert living(site, ana) == (2, 1, 1)
    owner.post(path)
    assert (owner.page.status, owner.to) == (303, "/locked-down")
    assert "The account is locked down" in owner.follow().text
    assert living(site, ana) == (0, 0, 0)
    assert thief.get("/account").status == 303
    thief.post("/login", {"username": "ana", "password": PASSWORD})
    assert "You need a new password" in thief.page.text
    assert thief.get("/account").status == 303, "the password works no more"
    grants = site.rows("oauth_grants")["oauth_grants"]
    assert [row for row in grants if "locked_down" in row] == grants
    (letter,) = letters(site.engine, site.services.keyring, name="alert_locked_down")
    assert letter.values["page"] == "https://id.example/forgot"
    assert "not_me" not in letter.values
    assert events(site, "user.locked_down") == 1


def test_others_stay_as_they_are(site: Site, ana: Account) -> None:
    erin = site.account("erin")
    Visitor(site).sign_in(erin)
    site.api_key(erin)
    Visitor(site).post(link(site, ana))
    assert living(site, erin) == (1, 0, 1)


def test_looking_at_a_link_changes_nothing_however_often(site: Site, ana: Account) -> None:
    with_everything(site, ana)
    path, before = link(site, ana), site.rows(*TABLES)
    for _ in range(3):
        assert Visitor(site).get(path).status == 200
        assert Visitor(site).request("HEAD", path).status == 200
    assert site.rows(*TABLES) != {}
    assert {**site.rows(*TABLES), "alert_links": 0} == {**before, "alert_links": 0}
    assert site.rows("alert_links") == {"alert_links": before["alert_links"]}


def test_a_link_works_once_and_all_links_of_before_end_with_it(site: Site, ana: Account) -> None:
    first, second, visitor = link(site, ana), link(site, ana, Alert.API_KEY_MADE), Visitor(site)
    assert visitor.post(first).status == 303
    before = site.rows(*TABLES)
    for path in (first, second):
        for page in (visitor.get(path), visitor.post(path)):
            assert page.status == 404
            assert OVER in page.text
    assert site.rows(*TABLES) == before


@pytest.mark.parametrize("seconds, works", [(LINK_SECONDS - 1, True), (LINK_SECONDS, False)])
def test_a_link_ends_after_thirty_days(site: Site, ana: Account, seconds: int, works: bool) -> None:
    path = link(site, ana)
    site.later(seconds=seconds)
    visitor = Visitor(site)
    assert visitor.get(path).status == (200 if works else 404)
    visitor.post(path)
    assert events(site, "user.locked_down") == works


@pytest.mark.parametrize(
    "token",
    [
        "x",
        "mcp_alert_" + "0" * 49,
        "one nobody was sent",
        "of another kind",
        "%00",
        "é",
        "a" * 4000,
        "..%2f..",
    ],
)
def test_what_is_no_link_is_told_so(site: Site, ana: Account, token: str) -> None:
    token = {"one nobody was sent": new_secret("alert"), "of another kind": new_secret("reset")}.get(token, token)
    for page in (Visitor(site).get(f"/not-me/{token}"), Visitor(site).post(f"/not-me/{token}")):
        assert page.status == 404
    assert events(site, "user.locked_down") == 0


def test_a_link_is_its_owners_account_whoever_opens_it(site: Site, ana: Account) -> None:
    erin = site.account("erin")
    visitor, path = Visitor(site), link(site, ana)
    visitor.sign_in(erin)
    assert "ana" in visitor.get(path).text
    visitor.post(path)
    assert living(site, erin) == (1, 0, 0), "whoever opens it keeps what is theirs"
    with Transaction(site.engine) as tx:
        found = site.services.users.find(tx, ana.user.id)
    assert found is not None
    assert found.password_reset_required


def test_the_button_is_on_the_account_page_too_and_asks_first(site: Site, ana: Account) -> None:
    visitor = with_everything(site, ana)
    page = visitor.get("/account/lock-down")
    assert page.status == 200
    assert "ana@example.com" in page.text
    assert living(site, ana) == (2, 1, 1)
    site.later(minutes=30)
    visitor.post("/account/lock-down")
    assert visitor.to == "/locked-down", "in a hurry, nobody is asked for the password again"
    assert living(site, ana) == (0, 0, 0)
    assert visitor.get("/account/lock-down").status == 303


def test_pressing_it_again_changes_nothing_and_writes_no_second_letter(site: Site, ana: Account) -> None:
    with_everything(site, ana)
    for _ in range(3):
        with Transaction(site.engine) as tx:
            site.services.lock_down.lock_down(tx, site.by, ana.user)
        site.later(seconds=5)
    assert events(site, "user.locked_down") == 1
    assert len(letters(site.engine, site.services.keyring, name="alert_locked_down")) == 1


def test_who_has_no_password_is_locked_down_and_told_all_the_same(site: Site, ana: Account) -> None:
    Visitor(site).sign_in(ana)
    with Transaction(site.engine) as tx:
        tx.execute(update(User).where(User.id == ana.user.id).values(password_hash=None))
    for _ in range(2):
        with Transaction(site.engine) as tx:
            site.services.lock_down.lock_down(tx, site.by, ana.user)
    assert living(site, ana) == (0, 0, 0)
    assert events(site, "user.locked_down") == 1
    assert len(letters(site.engine, site.services.keyring, name="alert_locked_down")) == 1


def test_the_password_that_a_thief_knows_is_not_chosen_again(site: Site, ana: Account) -> None:
    with Transaction(site.engine) as tx:
        site.services.lock_down.lock_down(tx, site.by, ana.user)
    path = letters(site.engine, site.services.keyring, name="password_required")[-1].link.removeprefix(ORIGIN)
    owner = Visitor(site)
    assert owner.post(path, {"password": PASSWORD}).status == 400
    assert owner.post(path, {"password": "marble otter 92 quiet lanterns"}).status == 303


def test_a_browser_that_was_known_is_none_any_more(site: Site, ana: Account) -> None:
    before = site.services.login.device_token(ana.user)
    site.later(seconds=1)
    with Transaction(site.engine) as tx:
        site.services.lock_down.lock_down(tx, site.by, ana.user)
        user = site.services.users.find(tx, ana.user.id)
    assert user is not None
    assert site.services.login.device_token(user) != before


def test_a_code_that_was_asked_for_signs_nobody_in_any_more(site: Site, bora: Account) -> None:
    thief = Visitor(site)
    thief.post("/login", {"username": "bora", "password": PASSWORD})
    assert thief.to.startswith("/login/code")
    with Transaction(site.engine) as tx:
        site.services.lock_down.lock_down(tx, site.by, bora.user)
    thief.post("/login/code", {"code": site.fresh_code(bora)})
    assert thief.to.startswith("/login")
    assert thief.get("/account").status == 303


def test_an_account_that_a_thief_closed_comes_back_and_one_that_was_disabled_does_not(site: Site, ana: Account) -> None:
    erin = site.account("erin")
    with Transaction(site.engine) as tx:
        site.services.closing.close(tx, site.by, ana.user)
        site.services.user_ends.set_active(tx, site.by, erin.user.id, False)
        for account in (ana, erin):
            site.services.lock_down.lock_down(tx, site.by, account.user)
        states = [site.services.users.find(tx, account.user.id) for account in (ana, erin)]
    assert [state.is_active for state in states if state] == [True, False]


@pytest.mark.parametrize("hours, left", [(0, 0), (23, 0), (25, 1)])
def test_a_passkey_of_the_last_day_goes_and_an_older_one_stays(site: Site, ana: Account, hours: int, left: int) -> None:
    visitor = Visitor(site)
    visitor.sign_in(ana)
    visitor.add_passkey("Phone")
    site.later(hours=hours)
    with Transaction(site.engine) as tx:
        site.services.lock_down.lock_down(tx, site.by, ana.user)
        assert site.services.passkeys.count(tx, ana.user.id) == left


def test_the_mailbox_gets_a_link_to_a_new_password_and_nothing_else_leads_in(site: Site, ana: Account) -> None:
    visitor = Visitor(site)
    visitor.sign_in(ana)
    device = visitor.add_passkey("Phone")
    site.later(hours=25)
    with Transaction(site.engine) as tx:
        site.services.lock_down.lock_down(tx, site.by, ana.user)
    (letter,) = letters(site.engine, site.services.keyring, name="password_required")
    assert letter.to == ana.user.email
    other = Visitor(site)
    other.get("/login")
    other.post("/login", {"credential": device.get(other.asked())})
    assert "You need a new password" in other.page.text
    assert other.get("/account").status == 303


@pytest.mark.parametrize("way", ["link", "button"])
def test_many_who_press_at_once_lock_down_once(
    mariadb_engine: Engine, tmp_path: Path, migrated_sqlite_file: Path, keyring: Keyring, way: str
) -> None:
    site = Site(tmp_path / "site", migrated_sqlite_file, keyring, engine=mariadb_engine)
    ana = site.account("ana")
    site.api_key(ana)
    token = link(site, ana).rpartition("/")[2]

    def by_link(tx: Transaction) -> object:
        row = site.services.alerts.use(tx, site.now, token)
        assert row["user_id"] == ana.user.id
        return site.services.lock_down.lock_down(tx, site.by, ana.user)

    press: dict[str, Callable[[Transaction], object]] = {
        "link": by_link,
        "button": lambda tx: site.services.lock_down.lock_down(tx, site.by, ana.user),
    }
    answers = at_once(mariadb_engine, [press[way]] * 6, tries=10)
    kinds = sorted(type(answer).__name__ for answer in answers)
    assert kinds == (["Ended", *["LinkOver"] * 5] if way == "link" else ["Ended"] * 6)
    assert sum(answer.api_keys for answer in answers if hasattr(answer, "api_keys")) == 1
    assert events(site, "user.locked_down") == 1
    assert len(letters(mariadb_engine, keyring, name="alert_locked_down")) == 1
