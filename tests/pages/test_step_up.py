"""What is sensitive asks for a proof that is recent, and as strong as the person's account is."""

from __future__ import annotations

import pytest

from database.transaction import Transaction
from provider.sign_in.consecutive_failures import Way
from tests.pages.site import PASSWORD, SESSION, Account, Site, Visitor, close

AGAIN = "/login/again"
SENSITIVE = "/account/api-keys/new"


def asked_for(visitor: Visitor) -> list[str]:
    """The fields that a person fills in."""
    fields = [it for it in visitor.document.all("input") if it.get("type") != "hidden" and "readonly" not in it]
    return [it.get("name") for it in fields]


def amr_of(site: Site, visitor: Visitor) -> tuple[str, ...]:
    with Transaction(site.engine) as tx:
        found = site.services.sessions.find(tx, site.now, visitor.cookie(SESSION))
    assert found is not None
    return found[0].amr


def signed_in(site: Site, account: Account) -> Visitor:
    """Somebody whose sign-in is too long ago."""
    visitor = Visitor(site)
    visitor.sign_in(account)
    site.later(minutes=16)
    return visitor


def test_without_a_second_factor_the_password_is_asked_for(site: Site, ana: Account) -> None:
    visitor = signed_in(site, ana)
    visitor.get(SENSITIVE)
    visitor.follow()
    assert (visitor.page.url, asked_for(visitor)) == (f"{AGAIN}?to=new-api-key", ["password"])
    assert visitor.document.by_id("username").get("autocomplete") == "username"
    visitor.post(visitor.page.url, {"password": PASSWORD})
    assert visitor.to == SENSITIVE
    assert amr_of(site, visitor) == ("pwd",)


def test_with_one_the_code_is_asked_for_and_the_password_does_not_do(site: Site, bora: Account) -> None:
    visitor = signed_in(site, bora)
    held = visitor.cookie(SESSION)
    visitor.get(SENSITIVE)
    visitor.follow()
    assert asked_for(visitor) == ["code"]
    for fields in ({"password": PASSWORD}, {"password": PASSWORD, "code": "000000"}, {}):
        for path in (visitor.page.url, f"{AGAIN}?with=password", f"{AGAIN}?with=passkey"):
            assert visitor.post(path, fields).status == 400, (path, fields)
    assert visitor.cookie(SESSION) == held
    visitor.post(f"{AGAIN}?to=new-api-key", {"code": site.fresh_code(bora)})
    assert visitor.to == SENSITIVE
    assert visitor.cookie(SESSION) != held
    assert visitor.get(SENSITIVE).status == 200


def test_a_recovery_code_does_as_well(site: Site) -> None:
    dana = site.account("dana", second_factor=True, codes=True)
    visitor = signed_in(site, dana)
    visitor.post(AGAIN, {"code": dana.codes[0]})
    assert visitor.to == "/account"
    assert visitor.get(SENSITIVE).status == 200
    site.later(minutes=16)
    assert visitor.post(AGAIN, {"code": dana.codes[0]}).status == 400, "each once"


def test_a_closed_password_is_asked_for_along_with_the_code(site: Site, bora: Account) -> None:
    visitor = signed_in(site, bora)
    close(site, bora, Way.PASSWORD)
    visitor.get(AGAIN)
    assert asked_for(visitor) == ["password", "code"]
    assert visitor.post(AGAIN, {"code": site.fresh_code(bora)}).status == 400
    assert visitor.post(AGAIN, {"password": PASSWORD}).status == 400
    visitor.post(AGAIN, {"password": PASSWORD, "code": site.fresh_code(bora)})
    assert visitor.to == "/account"
    visitor.get(AGAIN)
    assert asked_for(visitor) == ["code"], "and it is open again"


def test_a_second_factor_set_up_elsewhere_is_wanted_here_at_once(site: Site, ana: Account) -> None:
    """A session that knows only the password is not recent any more once there is something better."""
    visitor = Visitor(site)
    visitor.sign_in(ana)
    assert visitor.get(SENSITIVE).status == 200
    site.enrol(ana)
    visitor.get(SENSITIVE)
    assert visitor.to == f"{AGAIN}?to=new-api-key"


@pytest.mark.parametrize("again", [False, True])
def test_an_out_of_date_form_is_the_page_again_and_on_at_once_after_a_proof(
    site: Site, bora: Account, again: bool
) -> None:
    visitor = signed_in(site, bora)
    path, token = f"{AGAIN}?to=new-api-key", visitor.token()
    if again:
        visitor.post(path, {"code": site.fresh_code(bora)}, token=token)
        held = visitor.cookie(SESSION)
        visitor.post(path, {"code": site.code(bora)}, token=token)
        assert (visitor.to, visitor.cookie(SESSION)) == (SENSITIVE, held), "a second click"
        return
    held, before = visitor.cookie(SESSION), site.rows()
    page = visitor.post(path, {"code": site.fresh_code(bora)}, token="0" * 64)
    assert page.status == 200
    assert "This page was out of date, and nothing was done." in page.text
    assert asked_for(visitor) == ["code"]
    assert (visitor.cookie(SESSION), site.rows()) == (held, before)
    visitor.post(path, {"code": site.code(bora)})
    assert visitor.to == SENSITIVE


def test_an_out_of_date_consent_is_the_page_again_and_no_consent(site: Site, ana: Account) -> None:
    visitor = Visitor(site)
    visitor.sign_in(ana)
    consent = visitor.ask(site.client()).url
    before = site.rows()
    for decision in ("allow", "cancel"):
        page = visitor.post(consent, {"decision": decision}, token="0" * 64)
        assert page.status == 200
        assert "This page was out of date, and nothing was done." in page.text
        assert page.form("shown").method == "post"
    assert site.rows() == before
    visitor.post(consent, {"decision": "allow"})
    visitor.follow()
    assert "code=" in visitor.to


def test_a_passkey_is_asked_for_first_and_a_recovery_code_stands_in_for_it(site: Site, ana: Account) -> None:
    """Whatever kind of second factor there is: the password alone proves nothing then."""
    visitor = Visitor(site)
    visitor.sign_in(ana)
    visitor.add_passkey()
    visitor.follow()
    code = next(it.text for it in visitor.document.all("li") if it.inside("main"))
    site.later(minutes=16)
    visitor.get(SENSITIVE)
    page = visitor.follow()
    assert (page.url, asked_for(visitor)) == (f"{AGAIN}?to=new-api-key", [])
    assert visitor.asked()["allowCredentials"]
    for path in (page.url, f"{page.url}&with=code", f"{page.url}&with=password"):
        assert visitor.post(path, {"password": PASSWORD}).status == 400, path
    page = visitor.get(visitor.page.link("Use a code"))
    assert (asked_for(visitor), "Recovery code" in page.text) == (["code"], True)
    visitor.post(page.url, {"code": code})
    assert visitor.to == SENSITIVE
    assert visitor.get(SENSITIVE).status == 200
