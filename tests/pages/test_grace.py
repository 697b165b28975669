"""Where a second factor is demanded: at once, or with days of grace that the page names."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.pages.site import PASSWORD, SESSION, Account, Site, Visitor
from tests.pages.test_second_factor import PAGE, begin

DEMANDED = "/login/second-factor"
SiteFactory = Callable[..., Site]


@pytest.fixture
def strict(site_factory: SiteFactory) -> Site:
    return site_factory(require_second_factor=True, second_factor_grace_days=14)


def sign_in_again(visitor: Visitor, account: Account) -> str:
    visitor.set_cookie(SESSION, "")
    visitor.sign_in(account)
    return visitor.to


def test_in_grace_it_is_asked_for_with_the_day_and_can_wait(strict: Site) -> None:
    ana, visitor = strict.account("ana"), Visitor(strict)
    visitor.sign_in(ana)
    assert visitor.to == DEMANDED
    page = visitor.follow()
    assert "From Jul 15, 2026 on, your account needs a second step." in page.text
    assert page.link("Not now") == "/account"
    assert "From Jul 15, 2026 on, nothing opens without two-step sign-in." in visitor.get("/account").text
    assert visitor.get("/account/sessions").status == 200
    strict.later(days=13, hours=23)
    assert sign_in_again(visitor, ana) == DEMANDED
    assert "From Jul 15, 2026 on" in visitor.follow().text, "the days are not begun anew"
    assert visitor.get("/account").status == 200


def test_after_grace_nothing_opens_without_it(strict: Site) -> None:
    ana, visitor = strict.account("ana"), Visitor(strict)
    visitor.sign_in(ana)
    strict.later(days=14)
    sign_in_again(visitor, ana)
    page = visitor.follow()
    assert "needs a second step before you go on" in page.text
    assert "Not now" not in page.text
    for path in ("/account", "/account/api-keys/new"):
        visitor.get(path)
        assert visitor.to.startswith(f"{DEMANDED}?to="), path
    assert visitor.ask(strict.client()).url.startswith(f"{DEMANDED}?request=")


def test_an_application_is_reached_in_grace_past_the_page(strict: Site) -> None:
    ana, visitor = strict.account("ana"), Visitor(strict)
    page = visitor.ask(strict.client())
    visitor.sign_in(ana, page.url)
    assert visitor.to.startswith(f"{DEMANDED}?request=")
    visitor.get(visitor.follow().link("Not now"))
    assert visitor.follow().url.startswith("/consent?request=")


def test_it_is_set_up_on_the_page_in_grace(strict: Site) -> None:
    ana, visitor = strict.account("ana"), Visitor(strict)
    visitor.sign_in(ana)
    ana.secret = begin(visitor, DEMANDED)
    visitor.post(DEMANDED, {"action": "confirm", "code": strict.code(ana)})
    assert visitor.to == f"{PAGE}/recovery-codes"
    assert "From Jul 15" not in visitor.get("/account").text
    strict.later(days=20)
    assert sign_in_again(visitor, ana) == "/account"


def test_grace_is_counted_for_each_person_and_once(strict: Site) -> None:
    """Also when an operator has taken the factor away: it is demanded at once then."""
    ana, visitor = strict.account("ana"), Visitor(strict)
    visitor.sign_in(ana)
    strict.later(days=14)
    erin, other = strict.account("erin"), Visitor(strict)
    other.sign_in(erin)
    assert other.get("/account").status == 200
    assert sign_in_again(visitor, ana) == DEMANDED
    assert visitor.get("/account").status == 303


def test_administrators_have_it_as_well_and_others_are_not_asked(site_factory: SiteFactory) -> None:
    site = site_factory(second_factor_grace_days=3)
    root, visitor = site.account("root", is_admin=True), Visitor(site)
    visitor.sign_in(root)
    assert "From Jul 4, 2026 on" in visitor.follow().text
    ana = Visitor(site)
    ana.sign_in(site.account("ana"))
    assert ana.to == "/account"
    assert "two-step sign-in." not in ana.get("/account").text


@pytest.mark.parametrize("days, least", [(0, 8), (1, 15)])
def test_a_short_password_needs_the_second_factor_at_once(site_factory: SiteFactory, days: int, least: int) -> None:
    visitor = Visitor(site_factory(second_factor_grace_days=days))
    link = visitor.site.setup_link()
    visitor.get(link)
    assert f"{least} characters" in visitor.page.text
    visitor.post(link, {"username": "root", "email": "root@example.com", "password": PASSWORD[:12]})
    assert visitor.page.status == (303 if days == 0 else 400)
