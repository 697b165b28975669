"""A device that is remembered is not asked for a code for thirty days, and is no second factor."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from database.transaction import Transaction
from provider.sign_in.assurance import PASSWORD as ONE_FACTOR
from tests.pages.site import BROWSER, PASSWORD, SESSION, Account, Site, Visitor

DEVICES = "/account/sessions"
SENTENCE = "Don't ask for a code on this device for 30 days."


def cookie_of(site: Site, account: Account) -> str:
    return f"__Host-mcp_{site.services.remembered_devices.cookie_of(account.user)}"


def remembering(site: Site, account: Account) -> Visitor:
    """A browser in which somebody has signed in and ticked the box."""
    visitor = Visitor(site)
    visitor.post("/login", {"username": account.user.username, "password": PASSWORD})
    visitor.post("/login/code", {"code": site.fresh_code(account), "remember": "yes"})
    assert visitor.cookie(cookie_of(site, account))
    return visitor


def sign_in_again(visitor: Visitor, name: str = "bora") -> str:
    """The password alone, after the browser was closed. Returns where that leads."""
    visitor.set_cookie(SESSION, "")
    visitor.post("/login", {"username": name, "password": PASSWORD})
    return visitor.to


def test_nobody_is_remembered_who_did_not_say_so(site: Site, bora: Account) -> None:
    visitor = Visitor(site)
    visitor.post("/login", {"username": "bora", "password": PASSWORD})
    visitor.get("/login/code")
    (box,) = [it for it in visitor.document.all("input") if it.get("name") == "remember"]
    assert "checked" not in box
    assert SENTENCE in visitor.page.text
    visitor.post("/login/code", {"code": "1", "remember": "yes"})
    assert "checked" in next(it for it in visitor.document.all("input") if it.get("name") == "remember")
    visitor.post("/login/code", {"code": site.fresh_code(bora)})
    assert not visitor.cookie(cookie_of(site, bora))
    assert site.rows("remembered_devices")["remembered_devices"] == []
    assert sign_in_again(visitor) == "/login/code"


def test_it_saves_the_code_for_thirty_days_and_never_the_password(site: Site, bora: Account) -> None:
    visitor = remembering(site, bora)
    visitor.post("/sign-out")
    page = visitor.post("/login", {"username": "bora", "password": "wrong"})
    assert (page.status, visitor.cookie(SESSION)) == (400, "")
    for days in (10, 19):
        site.later(days=days)
        assert sign_in_again(visitor) == "/account"
    site.later(days=1)
    assert sign_in_again(visitor) == "/login/code", "from the day of the code, however often it was used"


def test_such_a_sign_in_is_one_factor_and_is_said_to_be(site: Site, bora: Account) -> None:
    visitor = remembering(site, bora)
    sign_in_again(visitor)
    with Transaction(site.engine) as tx:
        found = site.services.sessions.find(tx, site.now, visitor.cookie(SESSION))
    assert found is not None
    assert (found[0].amr, found[0].acr) == (("pwd",), ONE_FACTOR)
    for path, leads_to in (("/account/api-keys/new", "new-api-key"), ("/account/second-factor", "second-factor")):
        visitor.post(path, {"action": "turn-off", "code": site.fresh_code(bora)})
        assert visitor.to == f"/login/again?to={leads_to}", "a password that was typed just now is not enough"
    visitor.get(visitor.to)
    assert [it.get("name") for it in visitor.document.all("input") if it.get("type") != "hidden"][-1] == "code"
    visitor.post("/login/again?to=new-api-key", {"code": site.fresh_code(bora)})
    assert visitor.get(visitor.to).status == 200
    with Transaction(site.engine) as tx:
        found = site.services.sessions.find(tx, site.now, visitor.cookie(SESSION))
    assert found is not None
    assert found[0].amr == ("pwd", "otp", "mfa")


def test_an_application_that_wants_two_factors_gets_the_code_asked_for(site: Site, bora: Account) -> None:
    visitor = remembering(site, bora)
    visitor.set_cookie(SESSION, "")
    page = visitor.ask(site.client(), acr_values="urn:mcp-core:two-factor")
    visitor.post(page.url, {"username": "bora", "password": PASSWORD})
    page = visitor.follow()
    assert page.url.startswith("/login/again?request=")
    assert "Acme Files" in page.text
    visitor.post(page.url, {"code": site.fresh_code(bora)})
    assert visitor.follow().url.startswith("/consent?request=")


def test_its_token_works_once(site: Site, bora: Account) -> None:
    """A stolen copy and its owner: whoever comes second is asked for a code."""
    visitor, name = remembering(site, bora), cookie_of(site, bora)
    thief = Visitor(site)
    thief.set_cookie(name, visitor.cookie(name))
    assert sign_in_again(visitor) == "/account"
    assert sign_in_again(thief) == "/login/code"
    assert sign_in_again(visitor) == "/account"


def test_it_is_worth_nothing_for_another_person(site: Site, bora: Account) -> None:
    visitor, dana = remembering(site, bora), site.account("dana", second_factor=True)
    visitor.set_cookie(cookie_of(site, dana), visitor.cookie(cookie_of(site, bora)))
    assert sign_in_again(visitor, "dana") == "/login/code"
    visitor.post("/login/code", {"code": site.fresh_code(dana), "remember": "yes"})
    assert sign_in_again(visitor, "bora") == sign_in_again(visitor, "dana") == "/account", "each has a cookie"


def password_changed(site: Site, bora: Account, _visitor: Visitor) -> None:
    with site.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE users SET password_changed_at = '2026-07-01 12:00:01.000000'")


def disabled_and_enabled(site: Site, bora: Account, _visitor: Visitor) -> None:
    for active in (False, True):
        with Transaction(site.engine) as tx:
            site.services.user_ends.set_active(tx, site.by, bora.user.id, active)


def second_factor_renewed(site: Site, bora: Account, _visitor: Visitor) -> None:
    with Transaction(site.engine) as tx:
        site.services.totp.disable(tx, site.by, bora.user.id)
    site.enrol(bora)


def another_second_factor(site: Site, bora: Account, _visitor: Visitor) -> None:
    """Set up where there was one of another kind."""
    with site.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE users SET two_factor_enabled = 0")
    site.enrol(bora)


def passkey_added(site: Site, bora: Account, _visitor: Visitor) -> None:
    other = Visitor(site)
    other.sign_in(bora)
    other.add_passkey()


def forgotten_here(site: Site, bora: Account, visitor: Visitor) -> None:
    visitor.get(DEVICES)
    visitor.post(DEVICES, {"session": visitor.page.form("session").fields["session"][0]})
    assert "A code is asked for on that device again." in visitor.follow().text
    assert visitor.get("/account").status == 200, "and the session goes on"


def signed_out_elsewhere(site: Site, bora: Account, _visitor: Visitor) -> None:
    other = Visitor(site)
    other.sign_in(bora)
    other.get(DEVICES)
    other.post(DEVICES, {"session": other.page.form("session").fields["session"][0]})
    other.follow()
    assert "That device is signed out." in other.page.text


def all_others_signed_out(site: Site, bora: Account, _visitor: Visitor) -> None:
    other = Visitor(site)
    other.sign_in(bora)
    other.post(DEVICES, {"action": "end-others"})


@pytest.mark.parametrize(
    "end",
    [
        password_changed,
        disabled_and_enabled,
        second_factor_renewed,
        another_second_factor,
        passkey_added,
        forgotten_here,
        signed_out_elsewhere,
        all_others_signed_out,
    ],
)
def test_what_ends_it(site: Site, bora: Account, end: Callable[[Site, Account, Visitor], None]) -> None:
    visitor = remembering(site, bora)
    end(site, bora, visitor)
    assert sign_in_again(visitor) == "/login/code"
    visitor.post("/login/code", {"code": site.fresh_code(bora)})
    assert "No code is asked for here" not in visitor.get(DEVICES).text


def test_a_passkey_that_is_removed_ends_it_as_well(site: Site, bora: Account) -> None:
    other = Visitor(site)
    other.sign_in(bora)
    other.add_passkey()
    visitor = remembering(site, bora)
    with Transaction(site.engine) as tx:
        assert site.services.passkeys.remove_all(tx, site.by, bora.user.id) == 1
    assert sign_in_again(visitor) == "/login/code"


def test_ending_the_others_leaves_this_one_remembered(site: Site, bora: Account) -> None:
    visitor = remembering(site, bora)
    visitor.post(DEVICES, {"action": "end-others"})
    assert sign_in_again(visitor) == "/account"


def test_the_list_has_each_device_once_with_what_is_known_of_it(site: Site, bora: Account) -> None:
    visitor, other, third = remembering(site, bora), remembering(site, bora), Visitor(site)
    third.sign_in(bora)
    other.post("/sign-out")
    assert not other.cookie(BROWSER)
    page = visitor.get(DEVICES)
    items = [it.text for it in visitor.document.all("li") if it.inside("main")]
    assert ["This device" in it for it in items] == [True, False, False]
    assert ["No code is asked for here until" in it for it in items] == [True, False, True]
    assert "Not signed in at the moment" in items[2]
    visitor.post(DEVICES, {"session": page.forms[-3].fields["session"][0]})
    assert sign_in_again(other) == "/login/code"


def test_somebody_else_s_device_is_left_alone(site: Site, bora: Account, ana: Account) -> None:
    visitor, stranger = remembering(site, bora), Visitor(site)
    stranger.sign_in(ana)
    (row,) = site.rows("remembered_devices")["remembered_devices"]
    for name in (row[0], row[3]):
        stranger.post(DEVICES, {"session": name})
    assert sign_in_again(visitor) == "/account"


def test_more_devices_than_there_is_room_for_push_out_the_oldest(site: Site, bora: Account) -> None:
    first = remembering(site, bora)
    with Transaction(site.engine) as tx:
        for number in range(19):
            site.later(seconds=1)
            site.services.remembered_devices.remember(tx, site.by, bora.user, f"browser {number}")
    assert sign_in_again(first) == "/account"
    with Transaction(site.engine) as tx:
        for number in range(20):
            site.later(seconds=1)
            site.services.remembered_devices.remember(tx, site.by, bora.user, f"another {number}")
        assert len(site.services.remembered_devices.list(tx, site.now, bora.user.id)) == 20
    assert sign_in_again(first) == "/login/code"
