"""Making an account where anybody may: the same answers for a known address, and no application before it is confirmed."""

from __future__ import annotations

import base64
import json
import re
import unicodedata
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import select, update

from database.models import AuditRecord, EmailVerificationToken, RateCounter
from database.models import User as UserRow
from database.transaction import Transaction
from provider.accounts import sign_ups
from provider.accounts.confirmations import LETTERS_PER_ADDRESS, LINK_SECONDS
from provider.accounts.mailed_links import PAUSE
from provider.accounts.sign_ups import MADE_PER_SOURCE, UNCONFIRMED_FOR
from provider.accounts.users import NameTaken
from provider.security.rate_limit import Limit
from tests.authenticator import Authenticator
from tests.letters import Letter, letters
from tests.pages.conftest import SiteFactory
from tests.pages.site import BROWSER, CALLBACK, ORIGIN, PASSWORD, SESSION, Site, Visitor, handle_in
from tests.pages.test_passkeys import amr_of
from tests.pages.test_passkeys import by_passkey as sign_in_by_passkey

OPEN: dict[str, Any] = {"sign_up": "open", "smtp_url": "smtps://mail.example", "mail_from": "id@mail.example"}
NEW = {"username": "dana", "email": "dana@example.com", "password": PASSWORD}


@pytest.fixture
def site(site_factory: SiteFactory) -> Site:
    """Anybody may sign up, and there is a first account."""
    made = site_factory(**OPEN)
    made.account("ana")
    return made


@pytest.fixture
def visitor(site: Site) -> Visitor:
    return Visitor(site)


def posted(site: Site, **which: Any) -> list[Letter]:
    return letters(site.engine, site.services.keyring, **which)


def path_of(letter: Letter) -> str:
    assert letter.link.startswith(f"{ORIGIN}/")
    return letter.link.removeprefix(ORIGIN)


def sign_up(visitor: Visitor, path: str = "/signup", **fields: str) -> None:
    visitor.get(path)
    visitor.post(path, {**NEW, **fields})
    assert visitor.page.status == 303, visitor.page.text


def user_row(site: Site, username: str) -> Any:
    with site.engine.connect() as connection:
        return connection.execute(select(UserRow.__table__).where(UserRow.username == username)).mappings().first()


def test_somebody_signs_up_confirms_and_is_in(site: Site, visitor: Visitor) -> None:
    visitor.get("/login")
    assert "/signup" in [link.get("href") for link in visitor.document.all("a")]
    sign_up(visitor)
    assert visitor.to == "/signup/address"
    visitor.follow()
    assert "dana@example.com" in visitor.page.text
    visitor.get("/account")
    assert "is not confirmed yet" in visitor.page.text
    (letter,) = posted(site)
    assert (letter.to, letter.name, letter.language) == ("dana@example.com", "confirm_address", "en")
    visitor.get(path_of(letter))
    assert "dana@example.com becomes the address of the account dana." in visitor.page.text
    assert user_row(site, "dana")["is_verified"] == 0, "looking confirms nothing"
    visitor.post(path_of(letter), {"action": "confirm"})
    assert (visitor.page.status, visitor.to) == (303, "/account")
    visitor.follow()
    assert "Your e-mail address is confirmed." in visitor.page.text
    assert "is not confirmed yet" not in visitor.page.text
    row = user_row(site, "dana")
    assert (row["is_verified"], row["confirm_by"], row["email_canonical"]) == (1, None, "dana@example.com")


def test_a_known_address_is_answered_as_an_unknown_one(site: Site) -> None:
    for name in ("bob", "cyrus"):
        site.account(name)
    answers, rows = [], []
    for number, email in enumerate(("bob@example.com", "Cyrus@Example.com", "new@example.com")):
        visitor = Visitor(site)
        before = {name: len(found) for name, found in site.rows().items()}
        sign_up(visitor, username=f"person{number}", email=email)
        headers = sorted(name for name, _ in visitor.answer.headers)
        visitor.follow()
        site.later(minutes=2)
        visitor.post("/signup/address", {"action": "send"})
        assert visitor.page.status == 303
        visitor.follow()
        said = visitor.page.text.replace(email, "").replace(f"person{number}", "")
        shown = (visitor.page.status, headers, said)
        visitor.get("/account")
        answers.append((*shown, visitor.page.status))
        rows.append({name: len(found) - before[name] for name, found in site.rows().items()})
    assert answers[0] == answers[1] == answers[2]
    # Of counters there are as many as there are keys that were not counted before.
    assert [{**it, "rate_counters": 0} for it in rows] == [{**rows[0], "rate_counters": 0}] * 3
    assert {letter.name for letter in posted(site, to="new@example.com")} == {"confirm_address"}
    found = posted(site, to="bob@example.com") + posted(site, to="Cyrus@Example.com")
    assert {letter.name for letter in found} == {"account_exists"}
    assert [letter.values["username"] for letter in found] == ["bob", "bob", "cyrus", "cyrus"], "the owner's own name"
    assert not [letter for letter in found if re.search("mcp_verify_", str(letter.values))]


def test_a_squatter_keeps_nobody_from_an_address(site: Site) -> None:
    squatter, owner = Visitor(site), Visitor(site)
    sign_up(squatter, username="squatter")
    sign_up(owner)
    first, second = posted(site, name="confirm_address")
    owner.post(path_of(second), {"action": "confirm"})
    assert owner.to == "/account"
    assert user_row(site, "dana")["is_verified"] == 1
    squatter.post(path_of(first), {"action": "confirm"})
    assert squatter.page.status == 400
    assert "was confirmed for another account" in squatter.page.text
    assert user_row(site, "squatter")["is_verified"] == 0
    site.later(minutes=2)
    squatter.get("/signup/address")
    squatter.post("/signup/address", {"action": "send"})
    assert posted(site)[-1].name == "account_exists"


def test_who_has_the_mailbox_deletes_an_account_that_somebody_made_with_it(site: Site, visitor: Visitor) -> None:
    sign_up(visitor)
    (letter,) = posted(site)
    owner = Visitor(site)
    owner.get(path_of(letter))
    owner.post(path_of(letter), {"action": "disown"})
    assert owner.page.status == 200
    assert "The account is deleted" in owner.page.text
    assert user_row(site, "dana") is None
    visitor.get("/account")
    assert visitor.to.startswith("/login")
    assert [row for row in site.rows("user_audit_log")["user_audit_log"] if "user.disowned" in row]


def test_an_unconfirmed_account_signs_in_by_its_name_and_not_by_an_address_that_is_not_its_own(site: Site) -> None:
    sign_up(Visitor(site))
    visitor = Visitor(site)
    visitor.get("/login")
    visitor.post("/login", {"username": "dana@example.com", "password": PASSWORD})
    assert visitor.page.status == 400
    visitor.post("/login", {"username": "dana", "password": PASSWORD})
    assert visitor.page.status == 303


def test_no_application_opens_before_the_address_is_confirmed(site: Site, visitor: Visitor) -> None:
    sign_up(visitor)
    client = site.client(is_trusted=True)
    visitor.ask(client)
    assert visitor.page.url.startswith("/signup/address?request=")
    visitor.get("/account/api-keys/new")
    assert visitor.to == "/signup/address?to=new-api-key"
    visitor.ask(client, prompt="none")
    assert "error=interaction_required" in visitor.to
    with Transaction(site.engine) as tx:
        user = site.services.users.find_by_login(tx, "dana")
        assert user is not None
        with pytest.raises(ValueError, match="confirm"):
            site.services.api_keys.create(tx, site.by, user, name="k", scope=(), expires_in_days=1, resource=None)


def ask_for_an_account(site: Site, visitor: Visitor) -> str:
    visitor.ask(site.client(), prompt="create")
    assert visitor.page.url.startswith("/signup?request="), visitor.page.url
    assert "Create an account to continue to “Acme Files”" in visitor.page.text
    site.later(seconds=5)
    sign_up(visitor, visitor.page.url)
    visitor.follow()
    assert visitor.page.url.startswith("/signup/address?request=")
    return handle_in(visitor.page.url)


def allow(visitor: Visitor) -> None:
    visitor.follow()
    assert visitor.page.url.startswith("/consent"), (visitor.page.url, visitor.page.text)
    visitor.post(visitor.page.url, {"decision": "allow"})
    visitor.follow()
    assert visitor.to.startswith(f"{CALLBACK}?code="), visitor.to


def test_prompt_create_leads_to_sign_up_and_back_into_the_request(site: Site, visitor: Visitor) -> None:
    handle = ask_for_an_account(site, visitor)
    (letter,) = posted(site)
    assert handle_in(path_of(letter)) == handle
    visitor.get(path_of(letter))
    visitor.post(path_of(letter), {"action": "confirm"})
    assert visitor.to == f"/oauth/authorize/{handle}"
    allow(visitor)


def test_confirmed_in_another_browser_the_first_window_goes_on(site: Site, visitor: Visitor) -> None:
    ask_for_an_account(site, visitor)
    waiting_page, (letter,) = visitor.page.url, posted(site)
    phone = Visitor(site)
    phone.get(path_of(letter))
    assert phone.page.status == 200
    phone.post(path_of(letter), {"action": "confirm"})
    assert phone.page.status == 200
    assert "Go back to the window where you began" in phone.page.text
    assert not phone.cookie(SESSION), "a letter signs nobody in"
    visitor.get(waiting_page)
    allow(visitor)


def test_a_request_that_took_too_long_leads_to_the_account_and_not_to_a_dead_end(site: Site, visitor: Visitor) -> None:
    ask_for_an_account(site, visitor)
    (letter,) = posted(site)
    site.later(minutes=40)
    visitor.get(path_of(letter))
    assert visitor.page.status == 200
    visitor.post(path_of(letter), {"action": "confirm"})
    assert visitor.to == "/account"
    visitor.follow()
    assert "Your e-mail address is confirmed." in visitor.page.text


def test_prompt_create_wants_another_account_of_somebody_signed_in(site: Site, visitor: Visitor) -> None:
    visitor.get("/login")
    visitor.post("/login", {"username": "ana", "password": PASSWORD})
    site.later(minutes=1)
    ask_for_an_account(site, visitor)
    assert user_row(site, "dana") is not None


@pytest.mark.parametrize("policy", ["off", "invitation"])
def test_where_nobody_may_sign_up_there_is_no_way_to(site_factory: SiteFactory, policy: str) -> None:
    site = site_factory(sign_up=policy)
    site.account("ana")
    visitor = Visitor(site)
    visitor.get("/login")
    assert "Create an account" not in visitor.page.text
    for method in ("GET", "POST"):
        visitor.request(method, "/signup") if method == "GET" else visitor.post("/signup", NEW)
        assert visitor.page.status == 404
        assert "New accounts are made by invitation" in visitor.page.text
    assert user_row(site, "dana") is None
    visitor.ask(site.client(), prompt="create")
    assert visitor.page.url.startswith("/login?request=")
    assert "New accounts are made by the people who run MCP Core" in visitor.page.text
    visitor.get("/.well-known/openid-configuration")
    assert "create" not in visitor.answer.get_json()["prompt_values_supported"]


def test_where_anybody_may_sign_up_the_metadata_says_so(site: Site, visitor: Visitor) -> None:
    visitor.get("/.well-known/openid-configuration")
    assert "create" in visitor.answer.get_json()["prompt_values_supported"]


def test_a_stranger_never_becomes_the_first_account(site_factory: SiteFactory) -> None:
    site = site_factory(**OPEN)
    visitor = Visitor(site)
    visitor.get("/signup")
    assert visitor.page.status == 404
    visitor.post("/signup", NEW)
    assert visitor.page.status == 404
    visitor.get(site.setup_link())
    assert visitor.page.status == 200


WRONG = [  # field, what is typed, a part of what is said there
    ("username", "", "Choose a user name"),
    ("username", "a", "Choose a user name"),
    ("username", "ana", "is taken"),
    ("username", "ANA", "is taken"),
    ("username", "аna", "Use letters of one script"),
    ("username", "ɑna", "is taken"),
    ("username", "admin", "is kept for the people who run"),
    ("username", "R00T", "is kept for the people who run"),
    ("username", "관리자", "is kept for the people who run"),
    ("username", "mcp-core", "is kept for the people who run"),
    ("username", "dana@example.com", "Choose a user name"),
    ("username", "da na", "Choose a user name"),
    ("username", "dana\x00", "Choose a user name"),
    ("username", "da\r\nna", "Choose a user name"),
    ("username", "da\u202ena", "Choose a user name"),
    ("username", "x" * 65, "Choose a user name"),
    ("username", "<script>", "Choose a user name"),
    ("email", "", "Enter an e-mail address"),
    ("email", "dana", "Enter an e-mail address"),
    ("email", "dana@", "Enter an e-mail address"),
    ("email", "dana@example.com\r\nBcc: all@example.com", "Enter an e-mail address"),
    ("email", "dana@example.com\nSubject: hello", "Enter an e-mail address"),
    ("email", "dana@example.com, eve@example.com", "Enter an e-mail address"),
    ("email", "Dana <dana@example.com>", "Enter an e-mail address"),
    ("email", "dana\x00@example.com", "Enter an e-mail address"),
    ("email", "da\u200bna@example.com", "Enter an e-mail address"),
    ("email", "x" * 300 + "@example.com", "Enter an e-mail address"),
    ("password", "", "Choose a password"),
    ("password", "short", "Use at least 15 characters"),
    ("password", "correct horse battery staple", "easy to guess"),
    ("password", "dana and a kettle of paints", "Leave your name"),
]


@pytest.mark.parametrize("field", ["username", "email", "password"])
def test_what_is_wrong_is_said_at_its_field_and_nothing_is_made(site: Site, visitor: Visitor, field: str) -> None:
    visitor.get("/signup")
    token = visitor.token()
    for _field, typed, said in [it for it in WRONG if it[0] == field]:
        visitor.post("/signup", {**NEW, field: typed}, token=token)
        assert visitor.page.status == 400, ascii(typed)
        assert said in visitor.document.by_id(f"{field}-mistake").text, ascii(typed)
        assert [it for it in visitor.document.elements if "aria-invalid" in it] == [visitor.document.by_id(field)]
    assert len(site.rows("users")["users"]) == 1
    assert posted(site) == []


def test_a_form_of_64_kilobytes_is_refused_and_so_is_one_without_its_token(visitor: Visitor) -> None:
    visitor.get("/signup")
    visitor.post("/signup", {**NEW, "username": "x" * 70_000})
    assert visitor.page.status == 413
    visitor.post("/signup", NEW, token="0" * 64)
    assert visitor.page.status == 403


@pytest.mark.parametrize("username", ["지훈", "김지훈_2", "नमस्ते", "ана", "Dana"])
def test_a_user_name_may_be_of_any_script(site: Site, visitor: Visitor, username: str) -> None:
    sign_up(visitor, username=unicodedata.normalize("NFD", username))
    assert user_row(site, unicodedata.normalize("NFC", username)) is not None


def test_an_unconfirmed_account_is_deleted_after_a_week_and_its_name_is_free(site: Site, visitor: Visitor) -> None:
    sign_up(visitor)
    confirmations = site.services.confirmations
    with Transaction(site.engine) as tx:
        assert confirmations.purge_unconfirmed(tx, site.now + UNCONFIRMED_FOR / 2) == 0
    site.later(days=UNCONFIRMED_FOR.days)
    with Transaction(site.engine) as tx:
        assert confirmations.purge_unconfirmed(tx, site.now) == 1
    assert user_row(site, "ana") is not None
    other = Visitor(site)
    sign_up(other)
    assert user_row(site, "dana") is not None


def test_a_link_that_is_asked_for_twice_in_a_minute_is_sent_once(site: Site, visitor: Visitor) -> None:
    sign_up(visitor)
    visitor.post("/signup/address", {"action": "send"})
    assert len(posted(site)) == 1
    site.later(seconds=PAUSE.seconds)
    for _ in range(2):
        visitor.post("/signup/address", {"action": "send"})
        assert (visitor.page.status, visitor.to) == (303, "/signup/address")
    assert len(posted(site)) == 2


def test_the_page_that_waits_sends_another_link_within_limits(
    site: Site, visitor: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("provider.accounts.mailed_links.PAUSE", PAUSE * 0)
    sign_up(visitor)
    for _ in range(LETTERS_PER_ADDRESS.times + 2):
        visitor.post("/signup/address", {"action": "send"})
        assert (visitor.page.status, visitor.to) == (303, "/signup/address")
    found = posted(site)
    assert len(found) == LETTERS_PER_ADDRESS.times
    for old in found[:-1]:
        Visitor(site).get(path_of(old))
        stranger = Visitor(site)
        stranger.get(path_of(old))
        assert stranger.page.status == 404, "the newest link alone works"
    visitor.post(path_of(found[-1]), {"action": "confirm"})
    assert visitor.to == "/account"


def test_a_mistyped_address_is_changed_and_its_link_is_void(site: Site, visitor: Visitor) -> None:
    sign_up(visitor, email="dana@exmaple.com")
    visitor.post("/signup/address", {"action": "change", "email": "nonsense"})
    assert visitor.page.status == 400
    assert "Enter an e-mail address" in visitor.document.by_id("email-mistake").text
    visitor.post("/signup/address", {"action": "change", "email": "dana@example.com"})
    assert visitor.page.status == 303
    wrong, right = posted(site)
    assert (wrong.to, right.to) == ("dana@exmaple.com", "dana@example.com")
    stranger = Visitor(site)
    stranger.get(path_of(wrong))
    assert stranger.page.status == 404
    visitor.post(path_of(right), {"action": "confirm"})
    assert user_row(site, "dana")["email_canonical"] == "dana@example.com"


def test_an_address_that_is_changed_there_and_back_gets_another_link(site: Site, visitor: Visitor) -> None:
    sign_up(visitor, email="dana@example.com")
    for email in ("dana@elsewhere.example", "dana@example.com"):
        visitor.post("/signup/address", {"action": "change", "email": email})
    first, _other, last = posted(site)
    assert first.to == last.to == "dana@example.com"
    visitor.post(path_of(last), {"action": "confirm"})
    assert user_row(site, "dana")["email_canonical"] == "dana@example.com"


def test_a_link_works_once_for_a_day_and_for_nobody_else(site: Site, visitor: Visitor) -> None:
    sign_up(visitor)
    (letter,) = posted(site)
    stranger = Visitor(site)
    for path in ("/confirm/nonsense", path_of(letter)[:-1], "/confirm/" + "x" * 3000):
        stranger.get(path)
        assert stranger.page.status == 404
        assert "This link doesn't work any more" in stranger.page.text
    site.later(seconds=LINK_SECONDS)
    for method in ("GET", "POST"):
        stranger.get(path_of(letter)) if method == "GET" else stranger.post(path_of(letter), {"action": "confirm"})
        assert stranger.page.status == 404
    visitor.post("/login", {"username": "dana", "password": PASSWORD})
    visitor.post("/signup/address", {"action": "send"})
    newest = path_of(posted(site)[-1])
    bob = Visitor(site)
    site.account("bob")
    bob.get("/login")
    bob.post("/login", {"username": "bob", "password": PASSWORD})
    bob.post(newest, {"action": "confirm"})
    assert "Go back to the window" in bob.page.text, "somebody else is signed in here, and stays who they are"
    bob.get("/account")
    assert "bob@example.com" in bob.page.text
    stranger.post(newest, {"action": "confirm"})
    assert stranger.page.status == 404
    visitor.post(newest, {"action": "confirm"})
    assert visitor.to == "/account", "sent twice, its owner goes on"


def test_a_scanner_that_opens_every_link_changes_nothing(site: Site, visitor: Visitor) -> None:
    sign_up(visitor)
    (letter,) = posted(site)
    before = {name: rows for name, rows in site.rows().items() if name not in ("rate_counters", "user_sessions")}
    scanner = Visitor(site)
    for method in ("GET", "HEAD", "OPTIONS"):
        for _ in range(3):
            scanner.request(method, path_of(letter))
    scanner.request("POST", path_of(letter), "action=confirm")
    assert scanner.page.status == 403
    after = {name: rows for name, rows in site.rows().items() if name in before}
    assert after == before


def test_an_operator_confirms_an_account_and_then_it_owns_its_address(site: Site, visitor: Visitor) -> None:
    sign_up(visitor)
    with Transaction(site.engine) as tx:
        user = site.services.users.find_by_login(tx, "dana")
        assert user is not None
        assert site.services.users.verify(tx, site.by, user.id)
        found = site.services.users.find_by_login(tx, "dana@example.com")
        assert found is not None
        assert found.id == user.id


def test_signing_up_too_often_is_answered_with_a_time(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sign_ups, "TRIED_PER_SOURCE", Limit("sign-up forms per source", 2, 3600))
    visitor = Visitor(site)
    for _ in range(2):
        visitor.get("/signup")
        visitor.post("/signup", {**NEW, "password": "short"})
        assert visitor.page.status == 400
    visitor.post("/signup", NEW)
    assert visitor.page.status == 429
    assert "Too many attempts. Try again at" in visitor.page.text
    assert int(visitor.page.headers["Retry-After"]) > 0


@pytest.mark.parametrize(
    "source, households",
    [
        ("203.0.113.7", 1),
        ("203.0.113.{}", 16),
        ("203.0.{}.1", 64),
        ("2001:db8:1:2:{:x}::1", 1),
        ("2001:db8:1:{:02x}01::1", 16),
        ("2001:db8:{:x}:1::1", 64),
    ],
)
def test_ten_thousand_sign_ups_from_one_network_leave_a_bounded_number_of_rows(
    site: Site, monkeypatch: pytest.MonkeyPatch, source: str, households: int
) -> None:
    """The limit is lowered instead of ten thousand rows being written: what counts is that the network's one holds.

    ``bench/sign_up_crowd.py`` sends ten thousand.
    """
    monkeypatch.setattr(sign_ups, "MADE_PER_SOURCE", replace(MADE_PER_SOURCE, times=2))
    made = 0
    for number in range(250):
        by = replace(site.by, source=source.format(number))
        with Transaction(site.engine) as tx:
            try:
                site.services.sign_ups.create(
                    tx,
                    by,
                    username=f"flood{number}",
                    email=f"flood{number}@example.com",
                    password_hash="x",
                    locale="en",
                )
                made += 1
            except sign_ups.TooManySignUps:
                pass
    assert made == 2 * households, "of all that are in the widest network that they share"
    with site.engine.connect() as connection:
        counters = len(connection.execute(select(RateCounter.bucket)).all())
        tokens = len(connection.execute(select(EmailVerificationToken.id)).all())
        events = len(connection.execute(select(AuditRecord.id)).all())
    assert tokens == made
    assert counters < 7 * made
    assert events < 3 * made


def test_the_language_of_the_page_is_that_of_the_account_and_its_letters(site: Site) -> None:
    visitor = Visitor(site, language="ko")
    sign_up(visitor)
    (letter,) = posted(site)
    assert letter.language == "ko"
    assert user_row(site, "dana")["locale"] == "ko"


def test_a_window_that_stood_open_goes_on_where_another_has_signed_up(site: Site, visitor: Visitor) -> None:
    visitor.get("/signup")
    token = visitor.token()
    sign_up(visitor)
    visitor.post("/signup", {**NEW, "username": "another"}, token=token)
    assert (visitor.page.status, visitor.to) == (303, "/account")
    assert user_row(site, "another") is None


def test_a_name_that_another_takes_while_the_password_is_hashed_is_said_to_be_taken(
    site: Site, visitor: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashed = site.services.passwords.hash

    def slowly(password: str) -> str:
        site.account("dana")
        return hashed(password)

    visitor.get("/signup")
    monkeypatch.setattr(site.services.passwords, "hash", slowly)
    visitor.post("/signup", {**NEW, "email": "other@example.com"})
    assert visitor.page.status == 400
    assert "is taken" in visitor.document.by_id("username-mistake").text
    assert posted(site) == []


def test_the_way_back_never_leaves_our_site(site: Site, visitor: Visitor) -> None:
    sign_up(visitor)
    with site.engine.begin() as connection:
        connection.execute(update(UserRow).where(UserRow.username == "dana").values(confirm_by=None))
    for query in ("to=https://evil.example", "request=//evil.example", "to=account"):
        visitor.get(f"/signup/address?{query}")
        assert visitor.page.status in (303, 400)
        assert visitor.to in ("", "/account"), query


# --- with a passkey --------------------------------------------------------------------------------------------------

CODES = "/account/second-factor/recovery-codes"


def by_passkey(visitor: Visitor, path: str = "/signup", *, device: Authenticator | None = None, **fields: str) -> str:
    """Sends what the script of the page makes of the form. Returns the answer of the authenticator."""
    visitor.get(path)
    made = (device or Authenticator(ORIGIN)).create(visitor.asked())
    visitor.post(path, {**NEW, "password": "", **fields, "credential": made})
    return made


def test_an_account_is_made_with_a_passkey_and_has_no_password(site: Site, visitor: Visitor) -> None:
    device = Authenticator(ORIGIN)
    by_passkey(visitor, device=device)
    assert (visitor.page.status, visitor.to) == (303, CODES), visitor.page.text
    codes = re.findall(r"<li>([a-z0-9-]{15})</li>", visitor.follow().html)
    assert len(codes) == 10
    assert amr_of(site, visitor) == (("hwk", "user", "mfa"), "phr")
    row = user_row(site, "dana")
    assert (row["password_hash"], row["password_changed_at"], row["is_verified"]) == (None, None, 0)
    (passkey,) = site.rows("passkeys")["passkeys"]
    assert "Firefox on Linux" in passkey
    visitor.post(CODES, {"code": codes[0]})
    assert visitor.to == "/signup/address"
    (letter,) = posted(site)
    assert letter.name == "confirm_address"
    visitor.post(path_of(letter), {"action": "confirm"})
    other = sign_in_by_passkey(Visitor(site), device)
    assert other.to == "/account"
    stranger = Visitor(site)
    for password in ("", PASSWORD):
        stranger.post("/login", {"username": "dana", "password": password})
        assert (stranger.page.status, stranger.cookie(SESSION)) == (400, "")


def test_with_a_passkey_it_goes_on_into_the_application(site: Site, visitor: Visitor) -> None:
    visitor.ask(site.client(), prompt="create")
    site.later(seconds=5)
    by_passkey(visitor, visitor.page.url)
    assert visitor.to.startswith(f"{CODES}?request=")
    codes = re.findall(r"<li>([a-z0-9-]{15})</li>", visitor.follow().html)
    visitor.post(visitor.page.url, {"code": codes[0]})
    assert visitor.to.startswith("/signup/address?request=")
    (letter,) = posted(site)
    visitor.post(path_of(letter), {"action": "confirm"})
    allow(visitor)


def test_with_a_passkey_as_well_a_known_address_is_answered_as_an_unknown_one(site: Site) -> None:
    site.account("bob")
    answers, rows = [], []
    for number, email in enumerate(("bob@example.com", "new@example.com")):
        visitor = Visitor(site)
        before = {name: len(found) for name, found in site.rows().items()}
        by_passkey(visitor, username=f"person{number}", email=email)
        headers = sorted(name for name, _ in visitor.answer.headers)
        said = re.sub(r"[a-z0-9]{7}-[a-z0-9]{7}", "", visitor.follow().text)
        answers.append((visitor.page.status, visitor.page.url, headers, said))
        rows.append({name: len(found) - before[name] for name, found in site.rows().items()} | {"rate_counters": 0})
    assert answers[0] == answers[1]
    assert rows[0] == rows[1]
    assert [letter.name for letter in posted(site)] == ["account_exists", "confirm_address"]


@pytest.mark.parametrize("field, typed, said", [it for it in WRONG if it[0] != "password"][::4])
def test_with_a_passkey_names_are_looked_at_as_ever(
    site: Site, visitor: Visitor, field: str, typed: str, said: str
) -> None:
    by_passkey(visitor, device=None, **{field: typed})
    assert visitor.page.status == 400
    assert said in visitor.document.by_id(f"{field}-mistake").text
    assert len(site.rows("users")["users"]) == 1
    assert site.rows("passkeys")["passkeys"] == []


def test_a_bad_answer_is_said_at_its_place_and_what_was_typed_stays(site: Site, visitor: Visitor) -> None:
    stranger = Visitor(site)
    stranger.get("/signup")
    strangers = Authenticator(ORIGIN).create(stranger.asked())
    visitor.get("/signup")
    elsewhere = Authenticator(ORIGIN).create(visitor.asked(), page="https://evil.example")
    unverified = Authenticator(ORIGIN, verifies=False).create(visitor.asked())
    for answer, said in (
        ("{}", "didn't become a passkey"),
        ("nonsense", "didn't become a passkey"),
        (elsewhere, "didn't become a passkey"),
        (unverified, "didn't become a passkey"),
        (strangers, "took a little too long"),
        ("late", "took a little too long"),
    ):
        visitor.post("/signup", {**NEW, "credential": answer})
        assert visitor.page.status == 400, answer
        assert said in visitor.document.by_id("errors").text
        assert visitor.document.by_id("username").get("value") == "dana"
        assert visitor.document.by_id("email").get("value") == "dana@example.com"
        assert visitor.asked()["challenge"]
    assert len(site.rows("users")["users"]) == 1
    assert not visitor.cookie(SESSION)


def test_an_answer_makes_one_account_and_a_passkey_belongs_to_one(site: Site, visitor: Visitor) -> None:
    made = by_passkey(visitor)
    known = json.loads(made)["rawId"]
    thief = Visitor(site)
    thief.set_cookie(BROWSER, visitor.cookie(BROWSER))
    thief.post("/signup", {**NEW, "username": "eve", "credential": made})
    assert (thief.page.status, "took a little too long" in thief.page.text) == (400, True)
    other = Visitor(site)
    other.get("/signup")
    same = Authenticator(ORIGIN).create(
        other.asked(), credential_id=base64.urlsafe_b64decode(known + "=" * (-len(known) % 4))
    )
    other.post("/signup", {**NEW, "username": "frank", "credential": same})
    assert (other.page.status, "belongs to an account already" in other.page.text) == (400, True)
    assert [user_row(site, name) for name in ("eve", "frank")] == [None, None]
    assert len(site.rows("passkeys")["passkeys"]) == 1


def test_a_name_taken_in_the_same_moment_leaves_nothing_behind(
    site: Site, visitor: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(site.services.users, "is_username_taken", lambda *_: False)
    monkeypatch.setattr(site.services.sign_ups, "create", _taken)
    by_passkey(visitor)
    assert "is taken" in visitor.document.by_id("username-mistake").text
    assert site.rows("passkeys")["passkeys"] == []


def _taken(*_: Any, **__: Any) -> None:
    raise NameTaken("username")


def test_on_a_bare_address_no_account_is_made_with_a_passkey(site_factory: SiteFactory) -> None:
    issuer = "http://127.0.0.1:8000"
    site = site_factory(issuer=issuer, sign_up="open")
    site.account("ana")
    visitor = Visitor(site, origin=issuer)
    visitor.get("/signup")
    assert "data-passkey" not in visitor.page.html
    answer = Authenticator(issuer).create({"rp": {"id": "127.0.0.1"}, "user": {"id": "eA"}, "challenge": "eA"})
    ours = {"Origin": issuer, "Sec-Fetch-Site": "same-origin"}
    visitor.post("/signup", {**NEW, "credential": answer}, headers=ours)
    assert (visitor.page.status, user_row(site, "dana")) == (400, None)


def test_the_first_account_has_a_password(site_factory: SiteFactory) -> None:
    site = site_factory(**OPEN)
    visitor, link = Visitor(site), site.setup_link()
    visitor.post(link, {**NEW, "password": "", "credential": "{}"})
    assert "Choose a password" in visitor.document.by_id("password-mistake").text
    assert site.rows("users")["users"] == []
