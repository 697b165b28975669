"""Another user name: now and then, and nobody else gets the old one soon."""

from __future__ import annotations

import pytest

from database.transaction import Transaction
from provider.accounts.users import NameTaken, User
from tests.pages.site import PASSWORD, Account, Site, Visitor

PAGE = "/account/username"


def renamed(site: Site, account: Account, name: str) -> Visitor:
    visitor = Visitor(site)
    visitor.sign_in(account)
    visitor.post(PAGE, {"username": name})
    return visitor


def signs_in(site: Site, name: str) -> bool:
    visitor = Visitor(site)
    visitor.post("/login", {"username": name, "password": PASSWORD})
    return visitor.page.status == 303


def test_a_user_name_is_changed_and_told(site: Site, ana: Account) -> None:
    visitor = renamed(site, ana, " 지훈 ")
    assert visitor.to == PAGE
    assert "Your user name is changed." in visitor.follow().text
    assert (signs_in(site, "지훈"), signs_in(site, "ana")) == (True, False)
    assert visitor.get("/account").status == 200, "the session goes on"
    (letter,) = site.letters("alert_username_changed")
    assert (letter.values["old"], letter.values["new"]) == ("ana", "지훈")


def test_it_needs_a_recent_sign_in(site: Site, ana: Account) -> None:
    visitor = Visitor(site)
    visitor.sign_in(ana)
    site.later(minutes=16)
    visitor.post(PAGE, {"username": "ana2"})
    assert visitor.to == "/login/again?to=username"
    assert signs_in(site, "ana")


@pytest.mark.parametrize(
    "typed", ["", "a", "ana@example.com", "an\u202ea", "ana\r\nX: y", "-ana", "x" * 65, "x" * 60_000]
)
def test_what_is_no_user_name_is_told_at_its_field(site: Site, ana: Account, typed: str) -> None:
    visitor = renamed(site, ana, typed)
    assert visitor.page.status == 400
    assert visitor.document.by_id("username-mistake").text
    assert signs_in(site, "ana")


def test_a_name_that_somebody_has_in_any_spelling_is_taken(site: Site, ana: Account) -> None:
    site.account("erin")
    assert "This user name is taken, or it looks like one that is." in renamed(site, ana, "\uff25RIN").page.text


def test_the_next_change_has_to_wait_but_another_spelling_has_not(site: Site, ana: Account) -> None:
    visitor = renamed(site, ana, "anna")
    visitor.post(PAGE, {"username": "hanna"})
    assert visitor.page.status == 400
    assert "You can choose another user name from Jul 31, 2026 on." in visitor.page.text
    visitor.post(PAGE, {"username": "Anna"})
    assert visitor.to == PAGE
    site.later(days=30)
    renamed_account = Account(user_of(site, ana))
    assert renamed(site, renamed_account, "hanna").page.status == 303


def user_of(site: Site, account: Account) -> User:
    with Transaction(site.engine) as tx:
        return site.services.users.get(tx, account.user.id)


def test_nobody_but_its_former_owner_gets_the_old_name_for_90_days(site: Site, ana: Account) -> None:
    erin = site.account("erin")
    renamed(site, ana, "anna")
    assert "This user name is taken, or it looks like one that is." in renamed(site, erin, "ana").page.text
    with pytest.raises(NameTaken), Transaction(site.engine) as tx:
        site.services.users.create(tx, site.by, username="Ana", email="x@example.com", password_hash=None)
    site.later(days=31)
    assert renamed(site, Account(user_of(site, ana)), "ana").page.status == 303
    site.later(days=31)
    renamed(site, Account(user_of(site, ana)), "anna")
    site.later(days=90)
    assert renamed(site, erin, "ana").page.status == 303


def test_nor_does_anybody_get_a_name_that_looks_like_it(site: Site, ana: Account) -> None:
    erin = site.account("erin")
    renamed(site, ana, "anna")
    cyrillic = "\u0430n\u0430"
    assert renamed(site, erin, cyrillic).page.status == 400
    with pytest.raises(NameTaken), Transaction(site.engine) as tx:
        site.services.users.create(tx, site.by, username=cyrillic, email="x@example.com", password_hash=None)
    assert renamed(site, site.account("mia"), "\u0430nn\u0430").page.status == 400, "nor that of the new one"


def test_what_is_refused_at_the_last_moment_leaves_nothing_even_where_the_transaction_is_committed(
    site: Site, ana: Account
) -> None:
    """Whoever takes a name in the moment in which it is given up has written already when that is known."""
    erin = site.account("erin")
    renamed(site, ana, "anna")
    before = site.rows("users")
    with Transaction(site.engine) as tx:
        with pytest.raises(NameTaken):
            site.services.renaming.rename(tx, site.by, erin.user, "ana")
        with pytest.raises(NameTaken):
            site.services.users.create(tx, site.by, username="ana", email="x@example.com", password_hash=None)
    assert site.rows("users") == before
