"""Recovery codes are typed back once, so that nobody finds out without a phone that none were kept."""

from __future__ import annotations

import pytest

from provider.security.crypto import Keyring
from tests.letters import letters
from tests.pages.site import PASSWORD, Account, Site, Visitor
from tests.pages.test_second_factor import CODE, PAGE, begin

CODES = f"{PAGE}/recovery-codes"
UNPROVED = "You have not yet typed back one of your recovery codes"
FEW = "You have few recovery codes left."
USED = "alert_recovery_code_used"


def enrolled(site: Site, account: Account, query: str = "") -> tuple[Visitor, list[str]]:
    """Somebody before the page of their new codes."""
    visitor = Visitor(site)
    visitor.sign_in(account)
    account.secret = begin(visitor)
    visitor.post(f"{PAGE}{query}", {"action": "confirm", "code": site.code(account)})
    return visitor, CODE.findall(visitor.follow().html)


@pytest.mark.parametrize("typed", ["{}", "{upper}", " {without} "])
def test_one_is_typed_back_and_goes_on_working(site: Site, ana: Account, typed: str) -> None:
    visitor, codes = enrolled(site, ana)
    field = visitor.document.by_id("code")
    assert (field.get("autocomplete"), "required" in field) == ("off", True)
    text = typed.format(codes[5], upper=codes[5].upper(), without=codes[5].replace("-", ""))
    visitor.post(CODES, {"code": text})
    assert visitor.to == "/account"
    page = visitor.follow()
    assert "Your recovery codes are saved." in page.text
    assert UNPROVED not in page.text
    assert "10 recovery codes left" in page.text
    other = Visitor(site)
    other.post("/login", {"username": "ana", "password": PASSWORD})
    assert other.post("/login/code", {"code": codes[5]}).status == 303


def test_anything_else_is_told_and_proves_nothing(site: Site, ana: Account) -> None:
    bora = site.account("bora", second_factor=True, codes=True)
    visitor, codes = enrolled(site, ana)
    for typed in ("", "x", codes[0][:-1], bora.codes[0], site.code(ana), "é" * 64):
        page = visitor.post(CODES, {"code": typed})
        assert page.status == 400
        assert CODE.findall(page.html) == codes, "they are there to be saved still"
    assert UNPROVED in visitor.get("/account").text
    assert UNPROVED in visitor.get(PAGE).text


def test_whoever_goes_away_is_reminded_until_there_are_codes_that_were_typed_back(site: Site, ana: Account) -> None:
    visitor, codes = enrolled(site, ana)
    site.later(minutes=11)
    visitor.post(CODES, {"code": codes[0]})
    assert visitor.to == PAGE, "they are shown no more, and it is too late"
    assert UNPROVED in visitor.get("/account").text
    visitor.post(PAGE, {"action": "new-codes", "code": site.fresh_code(ana)})
    codes = CODE.findall(visitor.follow().html)
    visitor.post(CODES, {"code": codes[9]})
    assert UNPROVED not in visitor.get("/account").text
    visitor.post(PAGE, {"action": "new-codes", "code": site.fresh_code(ana)})
    assert UNPROVED in visitor.get("/account").text, "others were proved, not these"


def test_another_session_proves_nothing_with_a_code_that_it_knows(site: Site, ana: Account) -> None:
    _visitor, codes = enrolled(site, ana)
    other = Visitor(site)
    other.sign_in(ana)
    other.post(CODES, {"code": codes[0]})
    assert other.to == PAGE
    assert UNPROVED in other.get("/account").text


def test_a_used_code_is_told_of_on_the_next_page_and_by_mail(site: Site, keyring: Keyring) -> None:
    dana = site.account("dana", second_factor=True, codes=True, locale="ko")
    visitor = Visitor(site)
    for left in (9, 8):
        visitor.post("/login", {"username": "dana", "password": PASSWORD})
        visitor.post("/login/code", {"code": "abcdefg-hjkmnpq"})
        assert len(letters(site.engine, keyring, name=USED)) == 9 - left, "a wrong one is no use"
        visitor.post("/login/code", {"code": dana.codes[left]})
        assert f"남은 복구 코드: {left}개" in visitor.follow().text
        letter = letters(site.engine, keyring, name=USED)[-1]
        assert (letter.to, letter.language, letter.values["left"]) == ("dana@example.com", "ko", str(left))
        visitor.post("/sign-out")
    visitor.post("/login", {"username": "dana", "password": PASSWORD})
    visitor.post("/login/code", {"code": site.fresh_code(dana)})
    assert len(letters(site.engine, keyring, name=USED)) == 2, "and a code of the app is none"


def test_few_codes_left_are_said_on_the_account_page(site: Site) -> None:
    dana = site.account("dana", second_factor=True, codes=True)
    visitor = Visitor(site)
    visitor.sign_in(dana)
    for left in (4, 3):
        with site.engine.begin() as connection:
            connection.exec_driver_sql("UPDATE recovery_codes SET used_at = NULL")
            connection.exec_driver_sql(
                "UPDATE recovery_codes SET used_at = created_at WHERE id IN "
                f"(SELECT id FROM recovery_codes LIMIT {10 - left})"
            )
        assert ("You have 3 recovery codes left." in visitor.get("/account").text) is (left == 3)
        assert (FEW in visitor.get("/account/second-factor").text) is (left == 3)
