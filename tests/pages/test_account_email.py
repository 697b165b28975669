"""Another address: confirmed at the new one, told to the old one, which can bring itself back (A-83 to A-85)."""

from __future__ import annotations

import pytest

from database.transaction import Transaction
from tests.pages.site import PASSWORD, SESSION, Account, Site, Visitor

PAGE = "/account/email"
NEW = "ana@elsewhere.example"


def ask(site: Site, account: Account, email: str) -> Visitor:
    visitor = Visitor(site)
    visitor.sign_in(account)
    visitor.post(PAGE, {"email": email})
    assert (visitor.page.status, visitor.to) == (303, PAGE), visitor.page.text
    return visitor


def link_of(site: Site, name: str) -> str:
    return site.letters(name)[-1].link.removeprefix("https://id.example")


def change_address(site: Site, account: Account, email: str) -> Visitor:
    visitor = ask(site, account, email)
    visitor.post(link_of(site, "address_confirm"))
    assert (visitor.page.status, visitor.to) == (303, PAGE), visitor.page.text
    return visitor


def address_of(site: Site, account: Account) -> tuple[str, bool]:
    with Transaction(site.engine) as tx:
        user = site.services.users.get(tx, account.user.id)
    return user.email, user.is_verified


def test_an_address_changes_only_when_it_is_confirmed_and_the_old_one_is_told(site: Site, ana: Account) -> None:
    other = Visitor(site)
    other.sign_in(ana)
    visitor = ask(site, ana, " Ana@Elsewhere.example ")
    assert "We have sent a link to Ana@Elsewhere.example." in visitor.follow().text
    assert address_of(site, ana) == ("ana@example.com", True)
    assert [letter.to for letter in site.letters("address_confirm")] == ["Ana@Elsewhere.example"]
    link, before = link_of(site, "address_confirm"), site.rows()
    for _ in range(2):
        assert "Confirm your new address" in visitor.get(link).text
    assert site.rows() == before, "a scanner changes nothing"
    visitor.post(link)
    assert visitor.to == PAGE
    assert "The new address is confirmed." in visitor.follow().text
    assert address_of(site, ana) == ("Ana@Elsewhere.example", True)
    told = site.letters("address_changed")
    assert [letter.to for letter in told] == ["ana@example.com"]
    assert other.get("/account").status == 303, "other sessions are over"
    assert visitor.get("/account").status == 200
    for method in ("get", "post"):
        assert getattr(visitor, method)(link).status == 404, "it works once"


def test_it_is_confirmed_in_any_browser(site: Site, ana: Account) -> None:
    ask(site, ana, NEW)
    phone = Visitor(site)
    phone.get(link_of(site, "address_confirm"))
    phone.post(link_of(site, "address_confirm"))
    assert (phone.to, phone.cookie(SESSION)) == ("/login", ""), "the link signs nobody in"
    assert address_of(site, ana) == (NEW, True)


def test_asking_needs_a_recent_sign_in_and_confirming_makes_none_recent(site: Site, ana: Account) -> None:
    visitor = ask(site, ana, NEW)
    site.later(minutes=16)
    visitor.post(PAGE, {"email": NEW})
    assert visitor.to == "/login/again?to=email"
    visitor.post(link_of(site, "address_confirm"))
    assert visitor.to == PAGE
    assert visitor.get("/account/password").status == 303


@pytest.mark.parametrize(
    "typed",
    [
        "", "ana", "ana@home", "a b@example.com", "ana@example.com\r\nBcc: eve@example.com", "<ana@example.com>",
        "ana@exa\u202emple.com", "x" * 64_000 + "@example.com", "ana@example.com", "ana\x00@example.com",
    ],
)  # fmt: skip
def test_what_is_no_other_address_is_told_at_its_field_and_sends_nothing(site: Site, ana: Account, typed: str) -> None:
    visitor = Visitor(site)
    visitor.sign_in(ana)
    visitor.post(PAGE, {"email": typed})
    assert visitor.page.status in (400, 413)
    assert site.letters("address_confirm") == []


def test_an_address_that_is_taken_is_answered_alike_and_its_owner_is_told(site: Site, ana: Account) -> None:
    site.account("erin")
    pages = []
    for email in ("erin@example.com", "nobody@example.com"):
        visitor = ask(site, ana, email)
        pages.append(visitor.follow().text.replace(email, "…"))
    assert pages[0] == pages[1]
    assert [letter.to for letter in site.letters("address_taken")] == ["erin@example.com"]
    assert [letter.to for letter in site.letters("address_confirm")] == ["nobody@example.com"]


def test_a_newer_change_takes_the_place_of_an_older_one_and_it_can_be_withdrawn(site: Site, ana: Account) -> None:
    visitor = ask(site, ana, NEW)
    first = link_of(site, "address_confirm")
    visitor.post(PAGE, {"email": "third@elsewhere.example"})
    second = link_of(site, "address_confirm")
    assert visitor.post(first).status == 404
    visitor.post(PAGE, {"action": "withdraw"})
    assert visitor.post(second).status == 404
    assert address_of(site, ana) == ("ana@example.com", True)


def test_a_link_is_over_after_six_hours(site: Site, ana: Account) -> None:
    visitor = ask(site, ana, NEW)
    site.later(hours=6)
    assert visitor.post(link_of(site, "address_confirm")).status == 404


def test_three_letters_in_six_hours_for_one_account_and_for_one_address(site: Site, ana: Account) -> None:
    visitor = Visitor(site)
    visitor.sign_in(ana)
    for number in range(3):
        visitor.post(PAGE, {"email": f"ana{number}@elsewhere.example"})
    visitor.post(PAGE, {"email": "ana4@elsewhere.example"})
    assert visitor.page.status == 429
    assert len(site.letters("address_confirm")) == 3
    site.later(hours=7)
    for number in range(3):
        erin = Visitor(site)
        erin.sign_in(site.account(f"erin{number}"))
        erin.post(PAGE, {"email": "victim@elsewhere.example"})
    late = Visitor(site)
    late.sign_in(site.account("late"))
    assert late.post(PAGE, {"email": "victim@elsewhere.example"}).status == 429
    assert len(site.letters(to="victim@elsewhere.example")) == 3


def test_somebody_who_took_the_address_meanwhile_keeps_it(site: Site, ana: Account) -> None:
    visitor = ask(site, ana, "erin@example.com")
    erin = site.account("erin")
    visitor.post(link_of(site, "address_confirm"))
    assert visitor.page.status == 404
    assert "belongs to another account by now" in visitor.page.text
    assert (address_of(site, ana)[0], address_of(site, erin)[0]) == ("ana@example.com", "erin@example.com")


def test_links_to_a_new_password_do_not_outlive_an_address(site: Site, ana: Account) -> None:
    from tests.pages.test_recovery import forget

    forget(site, "ana")
    link = link_of(site, "password_reset")
    change_address(site, ana, NEW)
    assert Visitor(site).get(link).status == 404


def test_the_old_address_brings_itself_back_and_everything_of_the_thief_ends(site: Site, ana: Account) -> None:
    from tests.pages.test_recovery import grant, living_grants

    thief = change_address(site, ana, "thief@elsewhere.example")
    grant(site, ana, offline=True)
    link, visitor, before = link_of(site, "address_changed"), Visitor(site), site.rows()
    assert "Bring your address back" in visitor.get(link).text
    assert site.rows() == before
    visitor.post(link)
    assert visitor.to == "/login"
    assert "Your address is yours again" in visitor.follow().text
    assert address_of(site, ana) == ("ana@example.com", True)
    assert thief.get("/account").status == 303
    assert living_grants(site, ana) == 0
    assert site.letters("password_required")[-1].to == "ana@example.com"
    thief.post("/login", {"username": "ana", "password": PASSWORD})
    assert "You need a new password" in thief.page.text, "whoever changed it may know the password"
    assert visitor.post(link).status == 404


def test_bringing_back_works_for_seven_days_and_only_by_an_address_that_was_confirmed(site: Site, ana: Account) -> None:
    """A mistyped address could be anybody's: its owner must not get the account."""
    change_address(site, ana, NEW)
    site.later(days=7)
    assert Visitor(site).post(link_of(site, "address_changed")).status == 404
    with Transaction(site.engine) as tx:
        user = site.services.users.create(
            tx, site.by, username="mia", email="typo@elsewhere.example", password_hash=ana.user.password_hash
        )
    change_address(site, Account(user), "mia@example.com")
    assert site.letters(to="typo@elsewhere.example") == []
    with Transaction(site.engine) as tx:  # whose it is can have it at once
        site.services.users.create(tx, site.by, username="typo", email="typo@elsewhere.example", password_hash=None)
    assert address_of(site, Account(user)) == ("mia@example.com", True)


def test_the_first_address_beats_later_changes(site: Site, ana: Account) -> None:
    change_address(site, ana, "thief@elsewhere.example")
    first = link_of(site, "address_changed")
    change_address(site, ana, "second@elsewhere.example")
    second = link_of(site, "address_changed")
    Visitor(site).post(first)
    assert address_of(site, ana) == ("ana@example.com", True)
    assert Visitor(site).post(second).status == 404, "what the thief has given up is not theirs"


def test_nobody_else_can_take_an_address_while_it_can_be_brought_back(site: Site, ana: Account) -> None:
    from provider.accounts.users import NameTaken

    change_address(site, ana, NEW)
    with pytest.raises(NameTaken), Transaction(site.engine) as tx:
        site.services.users.create(tx, site.by, username="eve", email="Ana@example.com", password_hash=None)
    site.later(days=7)
    with Transaction(site.engine) as tx:
        site.services.users.create(tx, site.by, username="eve", email="ana@example.com", password_hash=None)
