"""Phone and recovery codes lost: password, mailbox, and a week in which the owner can object at any time."""

from __future__ import annotations

import pytest

from database.transaction import Transaction
from tests.pages.site import PASSWORD, SESSION, Account, Site, Visitor
from tests.pages.test_recovery import NEW, forget
from tests.pages.test_recovery import link_of as reset_link_of

ASKED, BEGUN, RUNS = "second_factor_wait_asked", "second_factor_wait_begun", "second_factor_wait_runs"


def past_the_password(site: Site, account: Account) -> Visitor:
    visitor = Visitor(site)
    visitor.post("/login", {"username": account.user.username, "password": PASSWORD})
    return visitor


def ask(site: Site, account: Account) -> Visitor:
    visitor = past_the_password(site, account)
    assert visitor.to == "/login/code"
    lost = visitor.follow().link("Phone and recovery codes lost?").removeprefix("https://id.example")
    visitor.get(lost)
    visitor.post(lost)
    assert visitor.to == "/login/code"
    return visitor


def link_of(site: Site, name: str) -> str:
    return site.letters(name)[-1].link.removeprefix("https://id.example")


def begin(site: Site, account: Account) -> None:
    ask(site, account)
    phone = Visitor(site)
    phone.post(link_of(site, ASKED), {"action": "begin"})
    assert phone.to == "/login"


def remind(site: Site) -> None:
    with Transaction(site.engine) as tx:
        site.services.second_factor_waits.remind(tx, site.now)


def needs_code(site: Site, account: Account) -> bool:
    return past_the_password(site, account).to == "/login/code"


def test_after_a_week_of_letters_the_password_alone_lets_in(site: Site, bora: Account) -> None:
    visitor = ask(site, bora)
    assert "We have sent you a link." in visitor.follow().text
    link, before, phone = link_of(site, ASKED), site.rows(), Visitor(site)
    for _ in range(2):
        assert "Begin the waiting time" in phone.get(link).text
    assert site.rows() == before, "a scanner begins nothing"
    phone.post(link, {"action": "begin"})
    assert (phone.to, phone.cookie(SESSION)) == ("/login", "")
    assert Visitor(site).post(link, {"action": "begin"}).status == 404, "it works once"
    sent = []
    for _ in range(7 * 4):
        remind(site)
        sent.append(len(site.letters(RUNS)))
        assert needs_code(site, bora), "nothing changes before the end"
        site.later(hours=6)
    assert (sent[13], sent[14], sent[23], sent[24], sent[-1]) == (0, 1, 1, 2, 2), "in the middle and on the last day"
    remind(site)
    assert len(site.letters(RUNS)) == 2
    assert {letter.to for letter in site.letters()} == {"bora@example.com"}
    back = past_the_password(site, bora)
    assert back.to == "/account"
    assert "Your second step is gone, as you asked." in back.follow().text
    assert len(site.letters("alert_second_factor_lost")) == 1
    assert not needs_code(site, bora)


def test_passkeys_go_with_it(site: Site, ana: Account) -> None:
    from tests.pages.test_passkeys import passkeys_of, with_passkey

    with_passkey(site, ana)
    begin(site, ana)
    site.later(days=7)
    assert past_the_password(site, ana).to == "/account"
    assert passkeys_of(site, ana) == []


def test_it_is_only_for_whoever_knows_the_password(site: Site, bora: Account) -> None:
    visitor = Visitor(site)
    for method in ("get", "post"):
        getattr(visitor, method)("/login/lost")
        assert visitor.to == "/login"
    visitor.post("/login", {"username": "bora", "password": "wrong"})
    visitor.post("/login/lost")
    assert site.letters(ASKED) == []


def test_without_the_mailbox_no_wait_begins(site: Site, bora: Account) -> None:
    ask(site, bora)
    site.later(days=8)
    assert needs_code(site, bora)


def test_the_mailbox_alone_gets_nobody_here(site: Site, bora: Account) -> None:
    """A reset would give the password; it takes the second factor."""
    forget(site, "bora")
    visitor = Visitor(site)
    assert visitor.post(reset_link_of(site), {"password": NEW}).status == 400
    assert needs_code(site, bora)


@pytest.mark.parametrize("letter", [BEGUN, RUNS])
def test_the_link_in_each_letter_stops_it(site: Site, bora: Account, letter: str) -> None:
    begin(site, bora)
    site.later(days=4)
    remind(site)
    link, before, phone = link_of(site, letter), site.rows(), Visitor(site)
    assert "Stop the waiting time" in phone.get(link).text
    assert site.rows() == before
    phone.post(link)
    assert "Stopped." in phone.follow().text
    assert phone.post(link).status == 404
    site.later(days=4)
    remind(site)
    assert len(site.letters(RUNS)) == 1
    assert needs_code(site, bora)


def test_the_first_letter_stops_it_before_it_begins(site: Site, bora: Account) -> None:
    ask(site, bora)
    link, phone = link_of(site, ASKED), Visitor(site)
    phone.post(link, {"action": "stop"})
    assert phone.to == "/login"
    assert phone.post(link, {"action": "begin"}).status == 404


def code(site: Site, bora: Account) -> None:
    Visitor(site).sign_in(bora)


def again(site: Site, bora: Account) -> None:
    visitor = Visitor(site)
    visitor.set_cookie(SESSION, bora.codes[0])
    site.later(minutes=20)
    visitor.post("/login/again", {"password": PASSWORD, "code": site.fresh_code(bora)})
    assert visitor.to == "/account"


def button(site: Site, bora: Account) -> None:
    visitor = Visitor(site)
    visitor.set_cookie(SESSION, bora.codes[0])
    assert "On Jul 8, 2026, 12:0" in visitor.get("/account").text
    visitor.post("/account/second-factor/stop-wait")
    assert visitor.to == "/account"


def change(site: Site, bora: Account) -> None:
    visitor = Visitor(site)
    visitor.set_cookie(SESSION, bora.codes[0])
    visitor.post("/account/password", {"present": PASSWORD, "password": PASSWORD + "!"})
    assert visitor.to == "/account"


def reset(site: Site, bora: Account) -> None:
    forget(site, "bora")
    visitor = Visitor(site)
    visitor.post(reset_link_of(site), {"password": PASSWORD, "code": site.fresh_code(bora)})
    assert visitor.to == "/login"


@pytest.mark.parametrize("stop", [code, again, button, change, reset], ids=lambda it: it.__name__)
def test_the_owner_stops_it_by_using_the_second_factor_or_another_password(
    site: Site, bora: Account, stop: object
) -> None:
    owner = Visitor(site)
    owner.sign_in(bora)
    bora.codes = [owner.cookie(SESSION)]
    site.later(minutes=1)
    begin(site, bora)
    assert callable(stop)
    stop(site, bora)
    assert [row["end_reason"] for row in waits(site)] != [None]
    site.later(days=8)
    visitor = past_the_password(site, bora)
    assert not visitor.cookie(SESSION)


def waits(site: Site) -> list[dict[str, object]]:
    with site.engine.connect() as connection:
        return [dict(row) for row in connection.exec_driver_sql("SELECT * FROM second_factor_waits").mappings()]


def test_a_wait_that_nobody_uses_lapses(site: Site, bora: Account) -> None:
    begin(site, bora)
    site.later(days=7 + 14)
    assert needs_code(site, bora)


def test_the_link_that_begins_it_works_for_an_hour_and_a_newer_one_takes_its_place(site: Site, bora: Account) -> None:
    ask(site, bora)
    first = link_of(site, ASKED)
    site.later(seconds=61)
    ask(site, bora)
    assert Visitor(site).post(first, {"action": "begin"}).status == 404
    site.later(hours=1)
    assert Visitor(site).get(link_of(site, ASKED)).status == 404
    assert Visitor(site).post(link_of(site, ASKED), {"action": "begin"}).status == 404


def test_three_links_a_day(site: Site, bora: Account) -> None:
    for _ in range(3):
        ask(site, bora)
        site.later(seconds=61)
    assert "No more links today." in ask(site, bora).follow().text
    assert len(site.letters(ASKED)) == 3


def test_an_operator_can_switch_it_off(site_factory: object) -> None:
    assert callable(site_factory)
    site: Site = site_factory(second_factor_wait_days=0)
    bora = site.account("bora", second_factor=True)
    visitor = past_the_password(site, bora)
    assert "Send me the link" not in visitor.get("/login/lost").text
    visitor.post("/login/lost")
    assert site.letters(ASKED) == []


def test_an_administrator_has_to_set_it_up_again_at_once(site: Site) -> None:
    root = site.account("root", second_factor=True, is_admin=True)
    begin(site, root)
    site.later(days=7)
    assert past_the_password(site, root).to == "/login/second-factor"
