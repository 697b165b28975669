"""What people see where a sealed value does not open: said as such, recorded once an hour, and with a way on (A-111)."""

from __future__ import annotations

import pytest
from sqlalchemy import update

from database.models import DataExport, ResetRequest, User, UserSession
from database.transaction import Transaction
from tests.pages.site import PASSWORD, SESSION, Account, Site, Visitor
from tests.pages.test_lock_down import events
from tests.pages.test_own_data import asked, link, made
from tests.pages.test_recovery import NEW, answers, forget, link_of, signs_in
from tests.pages.test_step_up import asked_for

SAID = {"en": "Codes from the app can't be checked at the moment.", "ko": "지금은 인증 앱의 코드를 확인할 수 없습니다."}


def spoil(site: Site, model: type, column: str) -> None:
    """What is in the column of every row does not open any more."""
    with Transaction(site.engine) as tx:
        spoilt = update(model).where(getattr(model, column).is_not(None)).values({column: "v2.gone.AAAA.AAAA.AAAA"})
        assert tx.execute(spoilt).rowcount


@pytest.mark.parametrize("language", ["en", "ko"])
def test_codes_that_cannot_be_checked_are_said_and_a_recovery_code_gets_in(site: Site, language: str) -> None:
    dana = site.account("dana", second_factor=True, codes=True)
    spoil(site, User, "two_factor_secret")
    visitor = Visitor(site, language=language)
    visitor.post("/login", {"username": "dana", "password": PASSWORD})
    for code in [site.fresh_code(dana) for _ in range(8)] + ["123456"]:
        page = visitor.post("/login/code", {"code": code})
        assert (page.status, visitor.cookie(SESSION)) == (400, ""), "none of them counts as a guess"
        assert SAID[language] in page.text
    assert events(site, "decryption.failed") == 1
    assert events(site, "second_factor.failed") == 0
    assert visitor.post("/login/code", {"code": dana.codes[0]}).status == 303
    assert visitor.cookie(SESSION)
    other = Visitor(site)
    other.post("/login", {"username": "dana", "password": PASSWORD})
    site.later(hours=1)
    with Transaction(site.engine) as tx:
        site.services.replay.purge(tx, site.now)
    other.post("/login", {"username": "dana", "password": PASSWORD})
    assert SAID["en"] in other.post("/login/code", {"code": site.fresh_code(dana)}).text
    assert events(site, "decryption.failed") == 2, "an hour later once more"


@pytest.mark.parametrize("action", ["turn-off", "new-codes"])
def test_they_are_said_where_a_change_needs_a_code(site: Site, bora: Account, action: str) -> None:
    visitor = Visitor(site)
    visitor.sign_in(bora)
    spoil(site, User, "two_factor_secret")
    page = visitor.post("/account/second-factor", {"action": action, "code": site.fresh_code(bora)})
    assert page.status == 400
    assert SAID["en"] in page.text


def test_they_are_said_where_somebody_proves_who_they_are_again(site: Site, bora: Account) -> None:
    visitor = Visitor(site)
    visitor.sign_in(bora)
    spoil(site, User, "two_factor_secret")
    page = visitor.post("/login/again", {"password": PASSWORD, "code": site.fresh_code(bora)})
    assert page.status == 400
    assert SAID["en"] in page.text


def test_a_forgotten_password_is_not_changed_without_the_code(site: Site, bora: Account) -> None:
    assert forget(site, "bora") == 1
    spoil(site, User, "two_factor_secret")
    visitor = Visitor(site)
    visitor.get(link_of(site))
    page = visitor.post(link_of(site), {"password": NEW, "code": site.fresh_code(bora)})
    assert page.status == 400
    assert SAID["en"] in page.text
    assert signs_in(site, bora, PASSWORD)


def test_a_second_factor_that_is_being_set_up_begins_again(site: Site, ana: Account) -> None:
    visitor = Visitor(site)
    visitor.sign_in(ana)
    visitor.get("/account/second-factor")
    visitor.post("/account/second-factor", {"action": "begin"})
    visitor.get("/account/second-factor")
    assert "code" in asked_for(visitor)
    spoil(site, UserSession, "totp_enrolment_encrypted")
    page = visitor.get("/account/second-factor")
    assert (page.status, asked_for(visitor)) == (200, [])
    assert visitor.post("/account/second-factor", {"action": "begin"}).status == 303
    assert events(site, "decryption.failed") == 1
    visitor.get("/account/second-factor")
    assert "code" in asked_for(visitor)


def test_an_archive_that_does_not_open_may_be_asked_for_again(site: Site, ana: Account) -> None:
    asked(site, ana)
    assert made(site) == 1
    spoil(site, DataExport, "content_encrypted")
    visitor = Visitor(site)
    visitor.sign_in(ana)
    archive = link(visitor)
    for _ in range(2):
        assert visitor.get(archive).status == 303
        assert visitor.to == "/account/data"
    assert "The file could not be made. Ask for it again" in visitor.follow().text
    assert events(site, "decryption.failed") == 1
    assert events(site, "data.downloaded") == 0
    visitor.post("/account/data")
    assert made(site) == 1
    assert visitor.get(link(visitor)).status == 200


def test_a_forgotten_password_that_cannot_be_answered_is_on_record(site: Site, ana: Account) -> None:
    Visitor(site).post("/forgot", {"username": "ana"})
    spoil(site, ResetRequest, "login_name_encrypted")
    assert answers(site).answer_waiting() == 1
    assert site.letters() == []
    assert events(site, "decryption.failed") == 1
    assert site.rows("reset_requests")["reset_requests"] == []
    assert forget(site, "ana") == 1
