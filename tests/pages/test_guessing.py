"""What guesses do to the pages: nobody learns who has an account, and the owner learns what happened (A-58, A-59)."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from database.transaction import Transaction
from provider.sign_in import hashing
from provider.sign_in.consecutive_failures import Way
from provider.sign_in.passwords import Passwords
from tests.hashing import every_thread_hashing
from tests.pages.site import PASSWORD, SESSION, Account, Site, Visitor, close

WRONG = "not the password of anybody"
DEVICE = "__Host-mcp_device"
PAGE = "/account/second-factor"


def is_closed(site: Site, account: Account) -> bool:
    with Transaction(site.engine) as tx:
        return bool(site.services.consecutive_failures.closed(tx, account.user.id))


def shown(site: Site, name: str, password: str) -> tuple[int, dict[str, str], list[str], str]:
    """The answer to a sign-in, without what is of one form and one moment."""
    visitor = Visitor(site)
    page = visitor.post("/login", {"username": name, "password": password})
    headers = {key: value for key, value in page.headers.items() if key not in ("Content-Length", "Set-Cookie")}
    set_cookies = [cookie.partition("=")[0] for cookie in visitor.answer.headers.getlist("Set-Cookie")]
    typed = visitor.document.by_id("username").get("value")
    return page.status, headers, set_cookies, visitor.page_like_any().replace(f'value="{typed}"', "")


@pytest.mark.parametrize("name", ["ana", "ana@example.com"])
@pytest.mark.parametrize("password", [WRONG, PASSWORD, "x" * 2000])
def test_a_closed_account_answers_like_an_unknown_name(site: Site, ana: Account, name: str, password: str) -> None:
    close(site, ana, Way.PASSWORD)
    answer = shown(site, name, password)
    assert answer == shown(site, "nobody", password)
    assert answer[0] == 400
    assert is_closed(site, ana)


def test_an_account_beyond_its_limit_answers_like_an_unknown_name(site: Site, ana: Account) -> None:
    known = site.services.attempts
    with Transaction(site.engine) as tx:
        for number in range(51):
            by = site.by.__class__(f"198.51.100.{number}", "pytest", "request-1", site.now)
            attempt = known.count_password(tx, by, "ana", ana.user, is_known_device=False)
    assert not attempt.is_looked_at
    assert shown(site, "ana", PASSWORD) == shown(site, "nobody", PASSWORD)


def test_somebody_who_typed_both_right_is_told_why_it_may_be_refused(site: Site, ana: Account) -> None:
    close(site, ana, Way.PASSWORD)
    visitor = Visitor(site)
    sentence = "an account opens for a while only on devices where its owner has signed in before"
    assert sentence not in visitor.get("/login").text
    for fields in ({"username": "", "password": ""}, {"username": "ana", "password": ""}):
        assert sentence not in visitor.post("/login", fields).text
    for name in ("ana", "nobody"):
        assert sentence in visitor.post("/login", {"username": name, "password": PASSWORD}).text


def test_a_known_browser_opens_it_and_the_owner_is_told_once(site: Site, ana: Account) -> None:
    visitor = Visitor(site)
    visitor.sign_in(ana)
    visitor.post("/sign-out")
    site.later(minutes=5)
    close(site, ana, Way.PASSWORD)
    page = visitor.post("/login?to=sessions", {"username": "ana", "password": PASSWORD})
    assert page.status == 200
    assert "100 wrong passwords in a row were entered, the last one on Jul 1, 2026, 12:05 UTC" in page.text
    assert visitor.cookie(SESSION)
    assert next(it for it in visitor.document.all("a") if it.text == "Continue").get("href") == "/account/sessions"
    assert not is_closed(site, ana)
    visitor.post("/sign-out")
    site.later(minutes=5)
    assert visitor.post("/login", {"username": "ana", "password": PASSWORD}).status == 303, "told already"
    assert Visitor(site).post("/login", {"username": "ana", "password": PASSWORD}).status == 303


def test_an_application_is_gone_on_to_after_the_owner_was_told(site: Site, ana: Account) -> None:
    visitor = Visitor(site)
    visitor.sign_in(ana)
    visitor.post("/sign-out")
    site.later(minutes=5)
    close(site, ana, Way.PASSWORD)
    page = visitor.ask(site.client())
    page = visitor.post(page.url, {"username": "ana", "password": PASSWORD})
    assert page.status == 200
    onward = next(it for it in visitor.document.all("a") if it.text == "Continue").get("href")
    assert visitor.get(onward).status == 303
    assert visitor.follow().url.startswith("/consent?request=")


@pytest.mark.parametrize(
    "language, words", [("en", "codes from the app are not accepted here"), ("ko", "인증 앱의 코드를 더 받지")]
)
def test_closed_codes_are_said_and_a_recovery_code_opens_them(site: Site, language: str, words: str) -> None:
    dana = site.account("dana", second_factor=True, codes=True)
    close(site, dana, Way.CODE)
    visitor = Visitor(site, language=language)
    visitor.post("/login", {"username": "dana", "password": PASSWORD})
    page = visitor.post("/login/code", {"code": site.fresh_code(dana)})
    assert (page.status, visitor.cookie(SESSION)) == (400, "")
    assert words in page.text
    page = visitor.post("/login/code", {"code": dana.codes[0]})
    assert page.status == 200, "and what happened is told"
    assert ("knew your password" if language == "en" else "비밀번호를 알고") in page.text
    assert not is_closed(site, dana)


def test_a_signed_in_person_sees_it_and_opens_it_by_proving_who_they_are(site: Site, bora: Account) -> None:
    visitor = Visitor(site)
    visitor.sign_in(bora)
    visitor.set_cookie(DEVICE, "")  # the session is proof enough that this is a device of theirs
    for way in Way:
        close(site, bora, way)
    page = visitor.get("/account")
    assert "can be signed in to only on devices where you have signed in before" in page.text
    assert any(it.get("href") == "/login/again?to=account" for it in visitor.document.all("a"))
    visitor.post("/login/again?to=account", {"password": PASSWORD, "code": site.fresh_code(bora)})
    assert visitor.to == "/account"
    assert not is_closed(site, bora)
    assert "signed in before" not in visitor.get("/account").text


def test_what_is_closed_on_own_devices_too_is_for_an_operator_to_open(site: Site, ana: Account) -> None:
    visitor = Visitor(site)
    visitor.sign_in(ana)
    close(site, ana, Way.PASSWORD, is_known_device=True)
    assert "Ask the people who run MCP Core to unlock it." in visitor.get("/account").text
    assert visitor.post("/login/again", {"password": PASSWORD}).status == 400


@pytest.mark.parametrize("action", ["turn-off", "new-codes"])
def test_closed_codes_are_said_where_a_change_needs_one(site: Site, bora: Account, action: str) -> None:
    visitor = Visitor(site)
    visitor.sign_in(bora)
    close(site, bora, Way.CODE, is_known_device=True)
    page = visitor.post(PAGE, {"action": action, "code": site.fresh_code(bora)})
    assert page.status == 400
    assert "codes from the app are not accepted here" in page.text
    page = visitor.post("/login/again", {"password": PASSWORD, "code": site.fresh_code(bora)})
    assert "codes from the app are not accepted here" in page.text


def test_strangers_guesses_do_not_keep_a_signed_in_person_from_proving_who_they_are(site: Site, ana: Account) -> None:
    visitor, stranger = Visitor(site), Visitor(site)
    visitor.sign_in(ana)
    visitor.set_cookie(DEVICE, "")
    for _ in range(11):
        stranger.post("/login", {"username": "ana", "password": WRONG})
    assert stranger.page.status == 429
    site.later(minutes=16)
    for _ in range(11):
        stranger.post("/login", {"username": "ana", "password": WRONG})
    assert visitor.post("/login/again", {"password": PASSWORD}).status == 303


def test_the_browser_of_the_first_account_is_a_known_one(site: Site) -> None:
    visitor = Visitor(site)
    visitor.post(site.setup_link(), {"username": "root", "email": "root@example.com", "password": PASSWORD})
    with Transaction(site.engine) as tx:
        root = site.services.users.find_by_login(tx, "root")
    assert root is not None
    assert visitor.cookie(DEVICE) == site.services.login.device_token(root)


@pytest.mark.parametrize("path", ["/login", "/login/again", "/login/code"])
def test_a_busy_server_says_so_and_counts_nothing(
    site_factory: Callable[..., Site], monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    site = site_factory()
    dana = site.account("dana", second_factor=True, codes=True)
    visitor = Visitor(site)
    fields = {"username": "dana", "password": PASSWORD, "code": dana.codes[0]}
    if path == "/login/again":
        visitor.sign_in(dana)
    elif path == "/login/code":
        visitor.post("/login", fields)
    counted = site.rows("consecutive_failures", "rate_counters")
    passwords: Passwords = site.services.passwords
    with every_thread_hashing(passwords), monkeypatch.context() as impatient:
        impatient.setattr(hashing, "PATIENCE_SECONDS", 0.01)
        for _ in range(12):
            page = visitor.post(path, fields)
            assert (page.status, page.headers["Retry-After"]) == (503, "2")
            assert "try again" in page.text.lower()
    after = site.rows("consecutive_failures", "rate_counters")
    assert [row for row in after["consecutive_failures"] if row[3]] == [
        row for row in counted["consecutive_failures"] if row[3]
    ]
    assert {row[1] for row in after["rate_counters"] if row not in counted["rate_counters"]} <= {0}
    assert visitor.post(path, fields).status == 303
