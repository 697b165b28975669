"""Passkeys on our pages: added, used alone, after the password and once more, named, removed."""

from __future__ import annotations

import json
from typing import Any

import pytest

from database.transaction import Transaction
from provider.security.crypto import Keyring
from provider.sign_in.passkeys import Passkey
from tests.authenticator import Authenticator
from tests.letters import letters
from tests.pages.conftest import SiteFactory
from tests.pages.site import ORIGIN, PASSWORD, SESSION, Account, Site, Visitor

PAGE = "/account/passkeys"


def passkeys_of(site: Site, account: Account) -> list[Passkey]:
    with Transaction(site.engine) as tx:
        return site.services.passkeys.list(tx, account.user.id)


def amr_of(site: Site, visitor: Visitor) -> tuple[tuple[str, ...], str]:
    with Transaction(site.engine) as tx:
        found = site.services.sessions.find(tx, site.now, visitor.cookie(SESSION))
    assert found is not None, "signed out"
    return found[0].amr, found[0].acr


def with_passkey(site: Site, account: Account, **kind: Any) -> tuple[Visitor, Authenticator]:
    """Somebody who is signed in and has added one."""
    visitor = Visitor(site)
    visitor.sign_in(account)
    return visitor, visitor.add_passkey(**kind)


def by_passkey(visitor: Visitor, device: Authenticator, path: str = "/login", **lies: Any) -> Visitor:
    visitor.get(path)
    visitor.post(path, {"credential": device.get(visitor.asked(), **lies)})
    return visitor


def forms_with_passkeys(visitor: Visitor) -> int:
    return sum("data-passkey" in form for form in visitor.document.all("form"))


def test_the_first_one_turns_on_two_steps_and_brings_recovery_codes(site: Site, ana: Account, keyring: Keyring) -> None:
    other = Visitor(site)
    other.sign_in(ana)
    visitor, device = with_passkey(site, ana, synced=True)
    assert visitor.to == "/account/second-factor/recovery-codes"
    assert len(visitor.follow().html.split("<li>")) - 1 == 10
    assert amr_of(site, visitor) == (("pwd", "swk", "user", "mfa"), "phr")
    assert other.get("/account").status == 303, "other sessions are over"
    assert len(letters(site.engine, keyring, to=ana.user.email, name="alert_passkey_added")) == 1
    page = visitor.get(PAGE)
    assert ("Phone Synced" in page.text, "never used" in page.text) == (True, True)
    assert "Two-step sign-in is on 10 recovery codes left" in visitor.get("/account").text
    visitor.add_passkey("Key")
    assert visitor.to == PAGE
    assert "The passkey is added." in visitor.follow().text
    assert by_passkey(Visitor(site), device).to == "/account"


@pytest.mark.parametrize("synced, method", [(True, "swk"), (False, "hwk")])
def test_a_passkey_alone_signs_in_with_two_factors(site: Site, ana: Account, synced: bool, method: str) -> None:
    _, device = with_passkey(site, ana, synced=synced)
    visitor = Visitor(site)
    visitor.get("/login")
    assert visitor.document.by_id("username").get("autocomplete") == "username webauthn"
    assert visitor.asked()["allowCredentials"] == []
    by_passkey(visitor, device)
    assert visitor.to == "/account"
    assert amr_of(site, visitor) == ((method, "user", "mfa"), "phr")
    assert visitor.get("/account").status == 200


def test_an_application_gets_its_answer_from_who_used_a_passkey(site: Site, ana: Account) -> None:
    _, device = with_passkey(site, ana)
    visitor = Visitor(site)
    visitor.ask(site.client(is_trusted=True))
    by_passkey(visitor, device, visitor.page.url)
    visitor.follow()
    assert visitor.to.startswith("https://files.example/callback?code=")


def test_after_the_password_it_takes_the_passkey(site: Site, ana: Account, bora: Account) -> None:
    _, device = with_passkey(site, ana)
    _, strangers = with_passkey(site, bora)
    visitor = Visitor(site)
    visitor.post("/login", {"username": "ana", "password": PASSWORD})
    assert (visitor.to, visitor.cookie(SESSION)) == ("/login/code", "")
    page = visitor.get("/login/code")
    assert "Your password was right." in page.text
    assert [it["id"] for it in visitor.asked()["allowCredentials"]] == [passkeys_of(site, ana)[0].credential_id]
    for answer in ("{}", strangers.get({**visitor.asked(), "allowCredentials": []})):
        page = visitor.post("/login/code", {"credential": answer})
        assert page.status == 400
        assert page.text.count("That passkey didn't work here.") == 1
        assert visitor.cookie(SESSION) == ""
    device.verifies = False
    by_passkey(visitor, device, "/login/code")
    assert visitor.to == "/account"
    assert amr_of(site, visitor)[0] == ("pwd", "hwk", "user", "mfa")


def test_it_stands_beside_codes_and_before_them(site: Site, bora: Account) -> None:
    with_passkey(site, bora)
    visitor = Visitor(site)
    visitor.post("/login", {"username": "bora", "password": PASSWORD})
    page = visitor.get("/login/code")
    assert page.html.index("Use a passkey") < page.html.index('id="code"')
    visitor.post("/login/code", {"code": site.fresh_code(bora)})
    assert visitor.to == "/account"


def test_a_recovery_code_stands_in_for_a_lost_passkey(site: Site, ana: Account) -> None:
    visitor, _ = with_passkey(site, ana)
    code = visitor.follow().html.split("<li>")[1].partition("</li>")[0]
    other = Visitor(site)
    other.post("/login", {"username": "ana", "password": PASSWORD})
    other.get("/login/code?with=recovery-code")
    other.post("/login/code?with=recovery-code", {"code": code})
    assert other.to == "/account"
    assert "9 recovery codes left" in other.get(PAGE).text
    other.post(PAGE, {"action": "new-codes"})
    assert other.to == "/account/second-factor/recovery-codes"
    assert "10 recovery codes left" in other.get(PAGE).text


def test_only_somebody_whose_password_was_right_is_told_what_passkeys_there_are(site: Site, ana: Account) -> None:
    with_passkey(site, ana)
    known = passkeys_of(site, ana)[0].credential_id
    visitor = Visitor(site)
    for page in (
        visitor.get("/login"),
        visitor.post("/login", {"username": "ana", "password": "wrong"}),
        visitor.get("/login/code"),
    ):
        assert known not in page.html


def test_an_answer_is_good_once_and_in_its_browser_alone(site: Site, ana: Account) -> None:
    _, device = with_passkey(site, ana)
    visitor = Visitor(site)
    visitor.get("/login")
    answer = device.get(visitor.asked())
    thief = Visitor(site)
    thief.get("/login")
    for who, status in ((thief, 400), (visitor, 303), (Visitor(site), 400)):
        assert who.post("/login", {"credential": answer}).status == status
    assert "Try the passkey once more." in thief.page.text
    assert not thief.cookie(SESSION)
    visitor.post("/sign-out")
    visitor.get("/login")
    assert visitor.post("/login", {"credential": answer}).status == 400, "nor once its owner has signed out"


def test_an_answer_that_comes_late_meets_a_fresh_question(site: Site, ana: Account) -> None:
    _, device = with_passkey(site, ana)
    visitor = Visitor(site)
    visitor.get("/login")
    answer = device.get(visitor.asked())
    site.later(minutes=10)
    page = visitor.post("/login", {"credential": answer})
    assert (page.status, "That took a little too long." in page.text) == (400, True)
    visitor.post("/login", {"credential": device.get(visitor.asked())})
    assert visitor.to == "/account"


def test_too_many_answers_are_told_when_to_come_back(site: Site, visitor: Visitor) -> None:
    visitor.get("/login")
    for _ in range(50):
        assert visitor.post("/login", {"credential": "{}"}).status == 400
    page = visitor.post("/login", {"credential": "{}"})
    assert (page.status, "Too many attempts." in page.text) == (429, True)
    assert int(page.headers["Retry-After"]) > 0


def test_a_disabled_user_is_told_what_everybody_is_told(site: Site, ana: Account) -> None:
    _, device = with_passkey(site, ana)
    with Transaction(site.engine) as tx:
        site.services.user_ends.set_active(tx, site.by, ana.user.id, False)
    disabled = by_passkey(Visitor(site), device)
    unknown = Visitor(site)
    unknown.get("/login")
    unknown.post("/login", {"credential": Authenticator(ORIGIN).create({**unknown.asked(), **_new_options()})})
    assert disabled.page.status == unknown.page.status == 400
    assert disabled.page_like_any() == unknown.page_like_any()


def _new_options() -> dict[str, Any]:
    return {"rp": {"id": "id.example"}, "user": {"id": "eA"}}


def test_what_is_sensitive_takes_a_passkey_again(site: Site, ana: Account) -> None:
    visitor, device = with_passkey(site, ana)
    before = visitor.cookie(SESSION)
    site.later(minutes=30)
    visitor.get(PAGE)
    assert forms_with_passkeys(visitor) == 0
    visitor.get("/login/again?to=passkeys")
    device.verifies = False
    assert by_passkey(visitor, device, "/login/again?to=passkeys").page.status == 400, "it has to know its person"
    device.verifies = True
    assert visitor.post("/login/again?to=passkeys", {"password": PASSWORD}).status == 400, "the password is not enough"
    assert by_passkey(visitor, device, "/login/again?to=passkeys").to == PAGE
    assert visitor.cookie(SESSION) != before
    assert amr_of(site, visitor)[0] == ("pwd", "hwk", "user", "mfa")
    visitor.get(PAGE)
    assert forms_with_passkeys(visitor) == 1


def test_nothing_is_added_by_a_session_that_was_proved_long_ago_or_has_ended(site: Site, ana: Account) -> None:
    visitor = Visitor(site)
    visitor.sign_in(ana)
    visitor.get(PAGE)
    answer = Authenticator(ORIGIN).create(visitor.asked())
    site.later(minutes=20)
    assert visitor.post(PAGE, {"credential": answer, "name": "Phone"}).status == 303
    assert visitor.to == "/login/again?to=passkeys"
    visitor.post("/sign-out")
    assert visitor.post(PAGE, {"credential": answer, "name": "Phone"}).status == 303
    assert visitor.to == "/login?to=passkeys"
    assert passkeys_of(site, ana) == []


def test_an_answer_is_not_kept_by_another_session(site: Site, ana: Account) -> None:
    mine, others = Visitor(site), Visitor(site)
    mine.sign_in(ana)
    others.sign_in(site.account("erin"))
    mine.get(PAGE)
    answer = Authenticator(ORIGIN).create(mine.asked())
    assert others.post(PAGE, {"credential": answer, "name": "Phone"}).status == 400
    assert mine.post(PAGE, {"credential": answer, "name": "Phone"}).status == 303
    mine.get(PAGE)
    assert mine.post(PAGE, {"credential": answer, "name": "Phone"}).status == 400, "nor a second time"
    assert len(passkeys_of(site, ana)) == 1


def test_it_is_renamed_and_removed_and_then_signs_nobody_in(site: Site, ana: Account, keyring: Keyring) -> None:
    visitor, device = with_passkey(site, ana)
    other = by_passkey(Visitor(site), device)
    path = f"{PAGE}/{passkeys_of(site, ana)[0].id}"
    assert visitor.get(path).status == 200
    visitor.post(path, {"action": "rename", "name": "x" * 65})
    assert visitor.page.status == 400
    assert visitor.post(path, {"action": "rename", "name": "내 전화기"}).status == 303
    assert "The passkey has another name." in visitor.follow().text
    assert "내 전화기" in visitor.page.text
    before = visitor.cookie(SESSION)
    assert visitor.post(path, {"action": "remove"}).status == 303
    assert visitor.cookie(SESSION) != before
    assert "The passkey is removed." in visitor.follow().text
    assert other.get("/account").status == 303
    assert "alert_passkey_removed" in [it.name for it in letters(site.engine, keyring)]
    for method, fields in (("get", None), ("post", {"action": "remove"}), ("post", {"action": "rename", "name": "x"})):
        assert (visitor.get(path) if method == "get" else visitor.post(path, fields)).status == 404
    assert by_passkey(Visitor(site), device).page.status == 400
    alone = Visitor(site)
    alone.post("/login", {"username": "ana", "password": PASSWORD})
    assert alone.to == "/account", "without a second factor the password is enough again"
    assert site.rows("recovery_codes") == {"recovery_codes": []}


def test_what_is_mine_is_out_of_everybody_else_s_reach(site: Site, ana: Account, bora: Account) -> None:
    with_passkey(site, ana)
    stranger, _ = with_passkey(site, bora)
    mine = passkeys_of(site, ana)[0]
    assert mine.id not in stranger.get(PAGE).html
    for fields in ({"action": "remove"}, {"action": "rename", "name": "yours"}):
        assert stranger.post(f"{PAGE}/{mine.id}", fields).status == 404
    assert stranger.get(f"{PAGE}/{mine.id}").status == 404
    assert passkeys_of(site, ana) == [mine]


def test_the_only_way_in_stays_and_says_why(site: Site) -> None:
    eve = site.account("eve")
    visitor, device = with_passkey(site, eve)
    with site.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE users SET password_hash = NULL")
    path = f"{PAGE}/{passkeys_of(site, eve)[0].id}"
    page = visitor.post(path, {"action": "remove"})
    assert (page.status, "This is the only way into your account" in page.text) == (400, True)
    site.later(minutes=30)
    visitor.get("/login/again?to=passkeys")
    assert [it for it in visitor.document.all("input") if it.get("type") == "password"] == []
    assert by_passkey(visitor, device, "/login/again?to=passkeys").to == PAGE
    visitor.add_passkey("Key")
    assert visitor.post(path, {"action": "remove"}).status == 303


def test_where_two_factors_are_asked_of_everybody_one_stays(site_factory: SiteFactory) -> None:
    site = site_factory(require_second_factor=True)
    bora = site.account("bora", second_factor=True)
    visitor, _ = with_passkey(site, bora)
    visitor.post("/account/second-factor", {"action": "turn-off", "code": site.fresh_code(bora)})
    assert "Two-step sign-in is off." in visitor.follow().text
    assert visitor.get("/account").status == 200, "the passkey is a second factor"
    page = visitor.post(f"{PAGE}/{passkeys_of(site, bora)[0].id}", {"action": "remove"})
    assert (page.status, "Your account needs a second step." in page.text) == (400, True)


def test_a_passkey_is_the_second_step_where_one_is_demanded(site: Site) -> None:
    visitor = Visitor(site)
    visitor.ask(site.client(is_trusted=True))
    visitor.sign_in(site.account("root", is_admin=True), visitor.page.url)
    assert visitor.to.startswith("/login/second-factor?request=")
    page = visitor.get(visitor.to)
    path, options = page.url, visitor.asked()
    assert visitor.post(path, {"credential": "{}", "name": "Key"}).status == 400
    visitor.post(path, {"credential": Authenticator(ORIGIN).create(options), "name": "Key"})
    assert visitor.to.startswith("/account/second-factor/recovery-codes?request=")
    assert "10 recovery codes left" in visitor.get("/account").text
    assert amr_of(site, visitor)[1] == "phr"


def test_adding_or_removing_one_asks_remembered_devices_for_a_code_again(site: Site, bora: Account) -> None:
    visitor = Visitor(site)
    visitor.sign_in(bora)
    for change in ("add", "remove"):
        with Transaction(site.engine) as tx:
            site.services.remembered_devices.remember(tx, site.by, bora.user, "browser")
        if change == "add":
            visitor.add_passkey()
        else:
            visitor.post(f"{PAGE}/{passkeys_of(site, bora)[0].id}", {"action": "remove"})
        with Transaction(site.engine) as tx:
            assert site.services.remembered_devices.list(tx, site.now, bora.user.id) == [], change


def test_who_closed_the_account_comes_back_by_a_passkey(site: Site, ana: Account) -> None:
    visitor, device = with_passkey(site, ana)
    with Transaction(site.engine) as tx:
        user = site.services.users.get(tx, ana.user.id)
        site.services.closing.close(tx, site.by, user)
    assert visitor.get("/account").status == 303
    back = by_passkey(Visitor(site), device)
    assert (back.to, back.cookie(SESSION)) == ("/login/reopen", "")


def test_recovery_codes_stay_as_long_as_they_stand_in_for_something(site: Site) -> None:
    bora = site.account("bora", second_factor=True, codes=True)
    visitor, _ = with_passkey(site, bora)
    assert visitor.to == PAGE, "there are codes already"
    visitor.post("/account/second-factor", {"action": "turn-off", "code": site.fresh_code(bora)})
    assert amr_of(site, visitor)[0] == ("pwd", "otp", "mfa")
    assert len(site.rows("recovery_codes")["recovery_codes"]) == 10
    visitor.post(f"{PAGE}/{passkeys_of(site, bora)[0].id}", {"action": "remove"})
    assert site.rows("recovery_codes") == {"recovery_codes": []}


def test_a_page_that_is_full_says_so(site: Site, bora: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("provider.sign_in.passkeys.MAX_PASSKEYS", 1)
    monkeypatch.setattr("provider.pages.passkeys.MAX_PASSKEYS", 1)
    monkeypatch.setattr("provider.pages.passkey_forms.MAX_PASSKEYS", 1)
    visitor = Visitor(site)
    visitor.sign_in(bora)
    visitor.get(PAGE)
    second = Authenticator(ORIGIN).create(visitor.asked())
    visitor.add_passkey()
    assert "You have 1 passkeys, as many as there can be." in visitor.get(PAGE).text
    assert forms_with_passkeys(visitor) == 0
    page = visitor.post(PAGE, {"credential": second, "name": "Key"})
    assert (page.status, visitor.document.by_id("errors").text[:19]) == (400, "You have 1 passkeys")


@pytest.mark.parametrize("issuer", ["http://127.0.0.1:8000", "http://[::1]:8000/oauth"])
def test_a_bare_address_has_no_passkeys_and_says_so(site_factory: SiteFactory, issuer: str) -> None:
    site = site_factory(issuer=issuer)
    visitor = Visitor(site, origin=issuer.removesuffix("/oauth"))
    visitor.get("/login")
    assert forms_with_passkeys(visitor) == 0
    assert visitor.get("/.well-known/passkey-endpoints").status == 404
    ours = {"Origin": issuer.removesuffix("/oauth"), "Sec-Fetch-Site": "same-origin"}
    assert visitor.post("/login", {"credential": "{}"}, headers=ours).status == 400
    visitor.post("/login", {"username": site.account("ana").user.username, "password": PASSWORD}, headers=ours)
    token = visitor.get(PAGE).html.partition('name="csrf_token" value="')[2][:64]
    made = Authenticator(ORIGIN).create({**_new_options(), "challenge": "eA"})
    assert visitor.post(PAGE, {"credential": made, "name": "Key"}, token=token, headers=ours).status == 400


def test_managers_find_where_passkeys_are(visitor: Visitor) -> None:
    page = visitor.request("GET", "/.well-known/passkey-endpoints", headers={"Host": "evil.example"})
    assert json.loads(page.html) == {"enroll": f"{ORIGIN}{PAGE}", "manage": f"{ORIGIN}{PAGE}"}
    assert page.headers["Content-Type"] == "application/json"


def test_the_host_of_a_request_decides_nothing(site: Site, ana: Account) -> None:
    _, device = with_passkey(site, ana)
    visitor = Visitor(site)
    visitor.request("GET", "/login", headers={"Host": "evil.example", "X-Forwarded-Host": "evil.example"})
    assert visitor.asked()["rpId"] == "id.example"
    visitor.get("/login")
    lie = device.get(visitor.asked(), page="https://evil.example", rp_id="evil.example")
    assert visitor.post("/login", {"credential": lie}).status == 400
