"""A password changed, forgotten and reset; demanded anew; and what each of them ends (A-54 to A-56, A-78 to A-82)."""

from __future__ import annotations

import pytest

from database.transaction import Transaction
from provider.sign_in.attempts import CODE
from provider.upkeep.reset_answers import ResetAnswers
from tests.granting import add_grant
from tests.pages.site import OURS, PASSWORD, SESSION, Account, Site, Visitor
from tests.pages.test_passkeys import by_passkey, with_passkey

PAGE = "/account/password"
NEW = "marble otter 92 quiet lanterns"


def forget(site: Site, name: str, visitor: Visitor | None = None) -> int:
    """Somebody asks for a new password. Returns how many letters were written in answer."""
    before = len(site.letters())
    visitor = visitor or Visitor(site)
    visitor.post("/forgot", {"username": name})
    assert (visitor.page.status, visitor.to) == (303, "/forgot/sent"), visitor.page.text
    answers(site).answer_waiting()
    return len(site.letters()) - before


def answers(site: Site) -> ResetAnswers:
    return ResetAnswers(site.engine, lambda: site.now, site.services.forgotten_passwords)


def link_of(site: Site, name: str = "password_reset") -> str:
    """The path behind the newest link."""
    return site.letters(name)[-1].link.removeprefix("https://id.example")


def signs_in(site: Site, account: Account, password: str) -> bool:
    visitor = Visitor(site)
    visitor.post("/login", {"username": account.user.username, "password": password})
    return visitor.page.status == 303


def test_a_password_is_changed_by_somebody_who_knows_it_and_other_devices_are_signed_out(
    site: Site, ana: Account
) -> None:
    visitor, other = Visitor(site), Visitor(site)
    visitor.sign_in(ana)
    other.sign_in(ana)
    old_cookie = visitor.cookie(SESSION)
    page = visitor.get(PAGE)
    assert visitor.document.by_id("present").get("autocomplete") == "current-password"
    assert visitor.document.by_id("password").get("autocomplete") == "new-password"
    for fields, field in (
        ({}, "present-mistake"),
        ({"present": PASSWORD}, "password-mistake"),
        ({"present": "wrong", "password": NEW}, "present-mistake"),
        ({"present": PASSWORD, "password": "short"}, "password-mistake"),
        ({"present": PASSWORD, "password": "ana@example.com is me"}, "password-mistake"),
    ):
        page = visitor.post(PAGE, fields)
        assert page.status == 400
        assert visitor.document.by_id(field).text
    assert signs_in(site, ana, PASSWORD), "nothing of that has changed anything"
    visitor.post(PAGE, {"present": PASSWORD, "password": NEW})
    assert visitor.page.status == 303, visitor.page.text
    assert "Your password is changed." in visitor.follow().text
    assert visitor.cookie(SESSION) not in ("", old_cookie)
    assert other.get("/account").status == 303
    assert not signs_in(site, ana, PASSWORD)
    assert signs_in(site, ana, NEW)
    (letter,) = site.letters("alert_password_changed")
    assert letter.to == "ana@example.com"


def test_a_change_needs_a_recent_sign_in(site: Site, ana: Account) -> None:
    visitor = Visitor(site)
    visitor.sign_in(ana)
    site.later(minutes=16)
    assert visitor.get(PAGE).status == 303
    assert visitor.to == "/login/again?to=password"
    visitor.post(PAGE, {"present": PASSWORD, "password": NEW})
    assert visitor.to == "/login/again?to=password"
    assert signs_in(site, ana, PASSWORD)


@pytest.mark.parametrize("ends_apps", [False, True])
def test_apps_keep_what_outlives_sessions_unless_the_person_ends_it(site: Site, ana: Account, ends_apps: bool) -> None:
    visitor = Visitor(site)
    visitor.sign_in(ana)
    for offline in (False, True):
        grant(site, ana, offline=offline)
    fields = {"present": PASSWORD, "password": NEW, **({"end-apps": "yes"} if ends_apps else {})}
    assert visitor.post(PAGE, fields).status == 303
    assert living_grants(site, ana) == (0 if ends_apps else 1), "what hangs on another session is over in any case"


def grant(site: Site, account: Account, *, offline: bool) -> str:
    client = site.client(f"app, {offline}")
    services = site.services
    with Transaction(site.engine) as tx:
        token = services.sessions.start(tx, site.by, account.user.id, ("pwd",))
        found = services.sessions.find(tx, site.now, token)
        assert found is not None
        return add_grant(
            tx,
            site.now,
            user_id=account.user.id,
            client_row_id=client.id,
            session_id=found[0].id,
            consent_id=None,
            scope=("openid", "offline_access") if offline else ("openid",),
            resource_uri="https://id.example/oauth",
            authenticated_at=site.now,
            amr=("pwd",),
            acr="urn:mcp-core:password",
        )


def living_grants(site: Site, account: Account) -> int:
    with site.engine.connect() as connection:
        rows = connection.exec_driver_sql("SELECT user_id FROM oauth_grants WHERE revoked_at IS NULL").all()
    return sum(row[0] == account.user.id for row in rows)


def test_half_done_sign_ins_and_links_do_not_outlive_a_password(site: Site, bora: Account) -> None:
    begun, visitor = Visitor(site), Visitor(site)
    begun.post("/login", {"username": "bora", "password": PASSWORD})
    assert forget(site, "bora") == 1
    link = link_of(site)
    visitor.sign_in(bora)
    visitor.post("/account/email", {"email": "bora@elsewhere.example"})
    confirmation = link_of(site, "address_confirm")
    assert visitor.post(PAGE, {"present": PASSWORD, "password": NEW}).status == 303
    begun.post("/login/code", {"code": site.fresh_code(bora)})
    assert not begun.cookie(SESSION)
    assert Visitor(site).get(link).status == 404
    assert Visitor(site).get(confirmation).status == 404


def test_devices_are_known_no_more_once_the_password_is_another(site: Site, ana: Account) -> None:
    visitor, other = Visitor(site), Visitor(site)
    for each in (visitor, other):
        each.sign_in(ana)
    kept = other.cookie("__Host-mcp_device")
    site.later(minutes=1)
    visitor.post(PAGE, {"present": PASSWORD, "password": NEW})
    assert visitor.cookie("__Host-mcp_device") not in ("", kept), "this browser is known by the new one"


def test_somebody_without_a_password_sets_one(site: Site) -> None:
    with Transaction(site.engine) as tx:
        user = site.services.users.create(
            tx, site.by, username="dana", email="dana@example.com", password_hash=None, is_verified=True
        )
        token = site.services.sessions.start(tx, site.by, user.id, ("pwd",))
    visitor = Visitor(site)
    visitor.set_cookie(SESSION, token)
    assert "Set a password" in visitor.get(PAGE).text
    visitor.post(PAGE, {"password": NEW})
    assert visitor.page.status == 303
    assert signs_in(site, Account(user), NEW)


def test_password_managers_are_led_to_the_page(site: Site, visitor: Visitor) -> None:
    visitor.get("/.well-known/change-password")
    assert (visitor.page.status, visitor.to) == (303, PAGE)


# --- forgotten -------------------------------------------------------------------------------------------------------


def test_a_forgotten_password_is_reset_by_a_link_that_works_once_and_signs_nobody_in(site: Site, ana: Account) -> None:
    visitor, signed_in = Visitor(site), Visitor(site)
    signed_in.sign_in(ana)
    grant(site, ana, offline=True)
    visitor.get("/login")
    visitor.get(visitor.page.link("Forgot your password?").removeprefix("https://id.example"))
    assert forget(site, "ana@example.com", visitor) == 1
    assert "If that name or address belongs to an account" in visitor.follow().text
    (letter,) = site.letters("password_reset")
    assert (letter.to, letter.values["username"]) == ("ana@example.com", "ana")
    link = link_of(site)
    before = site.rows()
    for _ in range(3):
        assert "Choose a new password" in visitor.get(link).text, "a scanner opens it as often as it likes"
    assert site.rows() == before
    assert visitor.post(link, {"password": ""}).status == 400
    assert visitor.post(link, {"password": "short"}).status == 400
    visitor.post(link, {"password": NEW})
    assert (visitor.page.status, visitor.to, visitor.cookie(SESSION)) == (303, "/login", "")
    assert "Sign in with the new one." in visitor.follow().text
    assert signed_in.get("/account").status == 303
    assert living_grants(site, ana) == 0, "also what outlives sessions (A-38, A-82)"
    assert (signs_in(site, ana, PASSWORD), signs_in(site, ana, NEW)) == (False, True)
    assert len(site.letters("alert_password_reset")) == 1
    for method in ("get", "post"):
        assert getattr(Visitor(site), method)(link).status == 404


def test_a_link_is_over_when_a_newer_one_is_made_and_after_half_an_hour(site: Site, ana: Account) -> None:
    visitor = Visitor(site)
    forget(site, "ana")
    first = link_of(site)
    site.later(seconds=61)
    forget(site, "ana")
    second = link_of(site)
    assert visitor.post(first, {"password": NEW}).status == 404
    assert "Ask for another link" in visitor.page.text
    site.later(minutes=29, seconds=59)
    assert visitor.get(second).status == 200
    site.later(seconds=1)
    assert visitor.get(second).status == 404
    assert visitor.post(second, {"password": NEW}).status == 404
    assert signs_in(site, ana, PASSWORD)


@pytest.mark.parametrize("path", ["/reset/x", "/reset/mcp_reset_" + "0" * 49, "/reset/" + "x" * 3000])
def test_what_is_no_link_is_answered_like_one_that_is_over(visitor: Visitor, path: str) -> None:
    assert visitor.get(path).status == 404
    assert visitor.post(path, {"password": NEW}).status == 404


def test_a_reset_takes_the_second_factor_before_the_password_changes(site: Site, bora: Account) -> None:
    visitor = Visitor(site)
    forget(site, "bora")
    link = link_of(site)
    before = site.rows("users")
    assert visitor.get(link).form("code", "password").method == "post"
    assert visitor.post(link, {"password": NEW}).status == 400
    assert visitor.document.by_id("code-mistake").text
    assert visitor.post(link, {"password": NEW, "code": "000000"}).status == 400
    assert visitor.post(link, {"password": "short", "code": site.fresh_code(bora)}).status == 400
    assert visitor.document.by_id("password-mistake").text
    assert site.rows("users") == before, "a weak password uses no code up"
    visitor.post(link, {"password": NEW, "code": site.code(bora)})
    assert visitor.to == "/login"
    visitor.post("/login", {"username": "bora", "password": NEW})
    assert visitor.to == "/login/code", "and the sign-in that follows asks for it as ever"


def test_guessing_codes_behind_a_link_is_counted_like_at_sign_in(site: Site, bora: Account) -> None:
    visitor = Visitor(site)
    forget(site, "bora")
    link = link_of(site)
    for _ in range(CODE[0].times):
        assert visitor.post(link, {"password": NEW, "code": "000000"}).status == 400
    assert visitor.post(link, {"password": NEW, "code": "000000"}).status == 429
    assert "Retry-After" in visitor.page.headers


def test_a_recovery_code_does_too(site: Site) -> None:
    dana = site.account("dana", second_factor=True, codes=True)
    forget(site, "dana")
    visitor = Visitor(site)
    visitor.post(link_of(site), {"password": NEW, "code": dana.codes[0]})
    assert visitor.to == "/login"


def test_who_has_just_signed_in_with_a_passkey_needs_no_code(site: Site, ana: Account) -> None:
    visitor, device = with_passkey(site, ana)
    forget(site, "ana")
    link, elsewhere = link_of(site), Visitor(site)
    assert elsewhere.get(link).form("code", "password").method == "post"
    assert elsewhere.post(link, {"password": NEW}).status == 400
    erin = Visitor(site)
    erin.sign_in(site.account("erin", second_factor=True))
    assert erin.post(link, {"password": NEW}).status == 400, "somebody else's factor is none"
    site.later(minutes=16)
    assert visitor.post(link, {"password": NEW}).status == 400, "that was too long ago"
    by_passkey(elsewhere, device)
    elsewhere.post(link, {"password": NEW})
    assert elsewhere.to == "/login"


def test_a_passkey_takes_the_place_of_the_code_behind_the_link(site: Site, ana: Account) -> None:
    """Also in an account that has nothing but passkeys."""
    _, device = with_passkey(site, ana)
    _, strangers = with_passkey(site, site.account("erin"))
    with site.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE users SET password_hash = NULL WHERE username = 'ana'")
    forget(site, "ana")
    link, visitor, before = link_of(site), Visitor(site), site.rows("users")
    visitor.get(link)
    again = device.get(visitor.asked())
    assert visitor.post(link, {"credential": again}).status == 400
    assert visitor.document.by_id("password-mistake").text, "and the answer is not used up by that"
    device.verifies = False
    unverified = device.get(visitor.asked())
    device.verifies = True
    for answer, said in (
        ("{}", "That passkey didn't work here."),
        ("late", "That took a little too long."),
        (unverified, "That passkey didn't work here."),
        (strangers.get({**visitor.asked(), "allowCredentials": []}), "That passkey didn't work here."),
    ):
        assert visitor.post(link, {"password": NEW, "credential": answer}).status == 400
        assert visitor.page.text.count(said) == 1
    assert visitor.post(link, {"password": "short", "credential": device.get(visitor.asked())}).status == 400
    assert site.rows("users") == before
    visitor.post(link, {"password": NEW, "credential": device.get(visitor.asked())})
    assert (visitor.to, visitor.cookie(SESSION)) == ("/login", "")
    visitor.post("/login", {"username": "ana", "password": NEW})
    assert visitor.to == "/login/code"


def test_an_answer_behind_a_link_is_good_in_that_browser_for_that_link_and_nothing_else(
    site: Site, ana: Account
) -> None:
    signed_in, device = with_passkey(site, ana)
    forget(site, "ana")
    link, visitor, other = link_of(site), Visitor(site), Visitor(site)
    visitor.get(link)
    asked = visitor.asked()
    other.get(link)
    signed_in.get("/login/again?to=passkeys")
    assert other.post(link, {"password": NEW, "credential": device.get(asked)}).status == 400
    again = device.get({**asked, "challenge": signed_in.asked()["challenge"]})
    assert visitor.post(link, {"password": NEW, "credential": again}).status == 400
    visitor.post("/login", {"credential": device.get(asked)})
    assert (visitor.page.status, visitor.cookie(SESSION)) == (400, "")
    site.later(seconds=61)
    forget(site, "ana")
    newer = link_of(site)
    assert visitor.post(newer, {"password": NEW, "credential": device.get(asked)}).status == 400
    assert signs_in(site, ana, PASSWORD)


def test_known_unknown_and_disabled_names_get_the_same_answer_and_leave_the_same_row(site: Site, ana: Account) -> None:
    """And the same work is done: nobody is looked up before the answer (A-78). How long it takes: bench/known_unknown.py."""
    gone = site.account("gone")
    with Transaction(site.engine) as tx:
        site.services.user_ends.set_active(tx, site.by, gone.user.id, False)
    seen = []
    for name in ("ana", "ana@example.com", "nobody", "nobody@example.com", "gone", "\x00\u202e", "x" * 200):
        visitor = Visitor(site)
        visitor.post("/forgot", {"username": name})
        headers = {key: value for key, value in visitor.page.headers.items() if key != "Set-Cookie"}
        seen.append((visitor.page.status, visitor.to, headers, visitor.page.html))
    assert all(each == seen[0] for each in seen)
    assert len(site.rows("reset_requests")["reset_requests"]) == 7
    assert "ana" not in repr(site.rows("reset_requests")), "what was typed is sealed"
    answers(site).answer_waiting()
    assert [letter.to for letter in site.letters()] == ["ana@example.com"], "asked twice in a row, written to once"
    assert site.rows("reset_requests")["reset_requests"] == []


def test_nobody_gets_more_than_five_letters_a_day_nor_a_network_more_than_twenty_requests(
    site: Site, ana: Account
) -> None:
    for name in ("ana", "ana", "ana", "ana", "ana@example.com"):
        assert forget(site, name) == 1
        site.later(seconds=61)
    assert forget(site, "ana@example.com") == 0, "whatever name was used"
    visitor = Visitor(site)
    for number in range(30):
        visitor.post("/forgot", {"username": f"nobody{number}"})
        assert visitor.to == "/forgot/sent", "and the page says the same"
    assert len(site.rows("reset_requests")["reset_requests"]) == 14
    site.later(hours=25)
    assert forget(site, "ana") == 1


def test_about_one_name_five_requests_an_hour_are_kept_however_it_is_written(site: Site, ana: Account) -> None:
    visitor = Visitor(site)
    for name in ("nobody", "NOBODY", " nobody", "\uff4eobody", "nobody", "nobody", "Nobody"):
        visitor.post("/forgot", {"username": name})
        assert visitor.to == "/forgot/sent"
    assert len(site.rows("reset_requests")["reset_requests"]) == 5


def test_requests_are_answered_by_one_of_several_and_old_ones_not_at_all(site: Site, ana: Account) -> None:
    visitor = Visitor(site)
    visitor.post("/forgot", {"username": "ana"})
    with Transaction(site.engine) as tx:
        (waiting,) = site.services.forgotten_passwords.waiting(tx, 10)
        assert site.services.forgotten_passwords.answer(tx, site.now, waiting)
        assert not site.services.forgotten_passwords.answer(tx, site.now, waiting)
    visitor.post("/forgot", {"username": "ana"})
    site.later(hours=2)
    answers(site).answer_waiting()
    assert len(site.letters()) == 1


def test_a_link_leads_to_the_issuer_whatever_the_request_says(site: Site, ana: Account) -> None:
    visitor = Visitor(site)
    visitor.post("/forgot", {"username": "ana"}, headers={**OURS, "X-Forwarded-Host": "evil.example"})
    answers(site).answer_waiting()
    assert site.letters()[-1].link.startswith("https://id.example/reset/mcp_reset_")


def test_a_reset_in_a_browser_of_somebody_else_changes_only_whom_the_link_is_for(site: Site, ana: Account) -> None:
    erin, visitor = site.account("erin"), Visitor(site)
    visitor.sign_in(erin)
    forget(site, "ana")
    assert "ana" in visitor.get(link_of(site)).html
    visitor.post(link_of(site), {"password": NEW})
    assert visitor.to == "/login"
    assert (signs_in(site, erin, PASSWORD), signs_in(site, ana, NEW)) == (True, True)


def test_a_link_of_somebody_who_was_disabled_is_over(site: Site, ana: Account) -> None:
    forget(site, "ana")
    with site.engine.begin() as connection:  # as a service does it that shares the tables: nothing ends by itself
        connection.exec_driver_sql("UPDATE users SET is_active = 0")
    assert Visitor(site).get(link_of(site)).status == 404
    assert Visitor(site).post(link_of(site), {"password": NEW}).status == 404


def test_what_was_begun_before_disabling_does_not_come_back_with_enabling(site: Site, bora: Account) -> None:
    from tests.pages.test_second_factor_wait import begin

    forget(site, "bora")
    link = link_of(site)
    begin(site, bora)
    with Transaction(site.engine) as tx:
        for active in (False, True):
            site.services.user_ends.set_active(tx, site.by, bora.user.id, active)
    assert Visitor(site).get(link).status == 404
    site.later(days=8)
    visitor = Visitor(site)
    visitor.post("/login", {"username": "bora", "password": PASSWORD})
    assert visitor.to == "/login/code"


def test_of_two_tabs_and_two_sessions_the_late_one_changes_nothing(site: Site, ana: Account) -> None:
    """The form of a tab that stood open, and that of a session that has ended in between."""
    visitor, other = Visitor(site), Visitor(site)
    for each in (visitor, other):
        each.sign_in(ana)
        each.get(PAGE)
    stale, late = visitor.token(), other.token()
    visitor.post(PAGE, {"present": PASSWORD, "password": NEW})
    third = "copper raven 58 gentle harbour"
    assert visitor.post(PAGE, {"present": NEW, "password": third}, token=stale).status == 403
    assert other.post(PAGE, {"present": NEW, "password": third}, token=late).status == 303
    assert other.to == "/login?to=password"
    assert signs_in(site, ana, NEW)


def test_the_page_leads_back_to_the_application_that_waits(site: Site) -> None:
    visitor = Visitor(site)
    visitor.ask(site.client())
    forgot = visitor.page.link("Forgot your password?").removeprefix("https://id.example")
    assert forgot.startswith("/forgot?request=mcp_request_")
    visitor.get(forgot)
    visitor.post(forgot, {"username": "nobody"})
    assert visitor.to.startswith("/forgot/sent?request=")
    assert visitor.follow().link("Back to sign-in").removeprefix("https://id.example").startswith("/login?request=")


# --- demanded anew ---------------------------------------------------------------------------------------------------


def require(site: Site, account: Account) -> str:
    with Transaction(site.engine) as tx:
        user = site.services.users.get(tx, account.user.id)
        return site.services.new_passwords.require(tx, site.by, user).removeprefix("https://id.example")


def test_a_password_that_has_to_be_changed_signs_nobody_in_and_sends_a_link(site: Site, ana: Account) -> None:
    visitor = Visitor(site)
    link = require(site, ana)
    visitor.post("/login", {"username": "ana", "password": "wrong"})
    assert visitor.page.status == 400, "only whoever knows the password is told"
    assert len(site.letters("password_required")) == 1
    visitor.post("/login", {"username": "ana", "password": PASSWORD})
    assert "You need a new password" in visitor.page.text
    assert not visitor.cookie(SESSION)
    assert len(site.letters("password_required")) == 2
    assert visitor.get(link).status == 404, "the newer one counts"
    newest = link_of(site, "password_required")
    assert visitor.post(newest, {"password": PASSWORD}).status == 400
    assert "the password you have to give up" in visitor.page.text
    visitor.post(newest, {"password": NEW})
    assert visitor.to == "/login"
    visitor.post("/login", {"username": "ana", "password": NEW})
    assert visitor.cookie(SESSION)


def test_it_is_demanded_before_the_second_step_and_told_of_no_more_than_five_times(site: Site, bora: Account) -> None:
    require(site, bora)
    visitor = Visitor(site)
    for _ in range(7):
        visitor.post("/login", {"username": "bora", "password": PASSWORD})
        assert "You need a new password" in visitor.page.text
        assert not visitor.cookie("__Host-mcp_step")
    assert len(site.letters("password_required")) == 1 + 5
    assert "We have sent links today already." in visitor.page.text


def test_the_link_goes_to_the_address_that_was_there_first(site: Site, ana: Account) -> None:
    from tests.pages.test_account_email import change_address

    change_address(site, ana, "thief@elsewhere.example")
    require(site, ana)
    assert site.letters("password_required")[-1].to == "ana@example.com"
    site.later(days=8)
    require(site, ana)
    assert site.letters("password_required")[-1].to == "thief@elsewhere.example", (
        "what can't be brought back is given up"
    )


@pytest.mark.parametrize("chosen, page, expected", [(None, "ko", "ko"), (None, "en", "en"), ("en", "ko", "en")])
def test_the_letter_is_in_the_language_of_the_person_or_else_of_the_page(
    site: Site, chosen: str | None, page: str, expected: str
) -> None:
    site.account("dana", locale=chosen)
    forget(site, "dana", Visitor(site, language=page))
    assert [letter.language for letter in site.letters("password_reset")] == [expected]
