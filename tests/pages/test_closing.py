"""Closing an account: out at once, two weeks to come back through every step, a letter before, and nothing after."""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, func, insert, select

from database.models import metadata
from database.transaction import Transaction
from provider.accounts.administrators import LastAdministrator
from provider.accounts.users import User
from provider.security.crypto import Keyring
from provider.sign_in.closing import AlreadyClosed
from tests.letters import letters
from tests.pages.site import PASSWORD, SESSION, STEP, Account, Site, Visitor
from tests.pages.test_lock_down import events, living, with_everything
from tests.together import at_once

PAGE = "/account/close"


def found(site: Site, account: Account) -> User:
    with Transaction(site.engine) as tx:
        user = site.services.users.find(tx, account.user.id)
    assert user is not None
    return user


def closed(site: Site, account: Account) -> None:
    with Transaction(site.engine) as tx:
        site.services.closing.close(tx, site.by, account.user)


def swept(site: Site) -> tuple[int, int]:
    """How many were reminded, and how many erased."""
    with Transaction(site.engine) as tx:
        return site.services.closing.remind(tx, site.now), site.services.closing.purge(tx, site.now)


def names(site: Site) -> list[str]:
    return [letter.name for letter in letters(site.engine, site.services.keyring)]


def test_closing_takes_a_fresh_proof_and_the_typed_name(site: Site, ana: Account) -> None:
    visitor = with_everything(site, ana)
    site.later(minutes=16)
    visitor.get(PAGE)
    assert visitor.to == "/login/again?to=close"
    visitor.post(PAGE, {"username": "ana"})
    assert visitor.to == "/login/again?to=close"
    visitor.post(visitor.to, {"password": PASSWORD})
    assert visitor.follow().status == 200
    for typed in ("", "an", "bora", "ana@example.com", "\x00", "a" * 5000):
        visitor.post(PAGE, {"username": typed})
        assert visitor.page.status == 400, typed
        assert "Type your user name to confirm" in visitor.page.text
    assert found(site, ana).is_active
    visitor.post(PAGE, {"username": " ANA "})
    assert visitor.to == "/login"
    assert "Your account is closed." in visitor.follow().text
    assert living(site, ana)[::2] == (0, 0), "no session and no key works"
    assert not found(site, ana).is_active
    (letter,) = letters(site.engine, site.services.keyring, name="alert_account_closed")
    assert letter.values["until"] == "2026-07-15T12:16:00+00:00"
    assert letter.link, "somebody else may have done it"


def test_whoever_was_signed_in_elsewhere_is_out_and_tokens_are_over(site: Site, ana: Account) -> None:
    visitor = with_everything(site, ana)
    closed(site, ana)
    assert visitor.get("/account").status == 303
    grants = site.rows("oauth_grants")["oauth_grants"]
    assert [row for row in grants if "user_closed" in row] == grants


def test_the_password_leads_to_the_question_and_to_no_session(site: Site, ana: Account) -> None:
    closed(site, ana)
    visitor = Visitor(site)
    visitor.post("/login", {"username": "ana", "password": "wrong password here"})
    assert visitor.page.status == 400
    visitor.post("/login", {"username": "ana", "password": PASSWORD})
    assert visitor.to == "/login/reopen"
    assert visitor.cookie(SESSION) == ""
    page = visitor.follow()
    assert "Jul 15, 2026, 12:00 UTC" in page.text
    assert visitor.get("/account").status == 303
    assert not found(site, ana).is_active, "looking opens nothing"
    visitor.post("/login/reopen")
    assert visitor.to == "/account"
    assert "Your account is open again." in visitor.follow().text
    assert living(site, ana) == (1, 0, 0)
    assert found(site, ana).closed_at is None
    assert events(site, "user.reopened") == 1


def test_the_second_step_is_not_skipped_on_the_way_back(site: Site, bora: Account) -> None:
    closed(site, bora)
    visitor = Visitor(site)
    visitor.post("/login", {"username": "bora", "password": PASSWORD})
    assert visitor.to == "/login/code"
    for method in (visitor.get, visitor.post):
        method("/login/reopen")
        assert visitor.to == "/login", "a step before the code is none behind it"
    assert not found(site, bora).is_active
    visitor.post("/login", {"username": "bora", "password": PASSWORD})
    visitor.post("/login/code", {"code": site.fresh_code(bora)})
    assert visitor.to == "/login/reopen"
    step = visitor.cookie(STEP)
    stranger = Visitor(site)
    stranger.set_cookie(STEP, step)
    assert stranger.get("/login/code").status == 303, "nor the other way round"
    visitor.post("/login/reopen")
    assert found(site, bora).is_active
    with Transaction(site.engine) as tx:
        (session,) = site.services.sessions.list(tx, site.now, bora.user.id)
    assert session.amr == ("pwd", "otp", "mfa")


def test_the_step_works_once_and_ends_after_ten_minutes(site: Site, ana: Account) -> None:
    closed(site, ana)
    visitor = Visitor(site)
    visitor.post("/login", {"username": "ana", "password": PASSWORD})
    step = visitor.cookie(STEP)
    site.later(minutes=10)
    assert visitor.get("/login/reopen").status == 303
    visitor.set_cookie(STEP, step)
    visitor.post("/login/reopen")
    assert not found(site, ana).is_active
    visitor.post("/login", {"username": "ana", "password": PASSWORD})
    step = visitor.cookie(STEP)
    visitor.post("/login/reopen")
    closed(site, ana)
    visitor.set_cookie(STEP, step)
    visitor.post("/login/reopen")
    assert not found(site, ana).is_active, "used up"


def test_an_application_waits_and_gets_its_answer(site: Site, ana: Account) -> None:
    closed(site, ana)
    visitor = Visitor(site)
    visitor.ask(site.client())
    visitor.sign_in(ana, visitor.page.url)
    assert visitor.follow().url.startswith("/login/reopen?request=")
    visitor.post(visitor.page.url)
    assert visitor.follow().url.startswith("/consent?request=")


def test_an_account_is_reminded_a_day_before_and_erased_after_fourteen(site: Site, ana: Account) -> None:
    erin = site.account("erin")
    closed(site, ana)
    for days, expected in ((12, (0, 0)), (1, (1, 0)), (0.99, (0, 0)), (0.01, (0, 1)), (30, (0, 0))):
        site.later(days=days)
        assert swept(site) == expected, site.now
    assert names(site).count("alert_erased_soon") == 0, "its letters are gone with it"
    assert found(site, erin).is_active


def test_nobody_is_erased_without_a_letter_however_long_the_server_stood_still(site: Site, ana: Account) -> None:
    closed(site, ana)
    site.later(days=100)
    assert swept(site) == (1, 0)
    (letter,) = letters(site.engine, site.services.keyring, name="alert_erased_soon")
    assert letter.values["until"] == "2026-10-10T12:00:00+00:00"
    visitor = Visitor(site)
    visitor.post("/login", {"username": "ana", "password": PASSWORD})
    visitor.post(visitor.to)
    assert found(site, ana).is_active, "and so long they can come back"
    site.later(days=2)
    assert swept(site) == (0, 0)


def erased(site: Site, account: Account) -> dict[str, Any]:
    closed(site, account)
    site.later(days=13)
    swept(site)
    site.later(days=1)
    assert swept(site)[1] == 1
    table = metadata.tables["users"]
    with site.engine.connect() as connection:
        return dict(connection.execute(select(table).where(table.c.id == account.user.id)).mappings().one())


def test_nothing_personal_is_left_but_the_id(site: Site) -> None:
    ana = site.account("ana", display_name="Ana Ananda", locale="ko", second_factor=True, codes=True)
    Visitor(site).sign_in(ana)
    site.api_key(ana, "Ana's key")
    invitation = {
        "id": "i",
        "token": "t",
        "email": ana.user.email,
        "email_canonical": ana.user.email,
        "is_admin": False,
    }
    times = {"created_at": site.now, "expires_at": site.now + datetime.timedelta(days=30)}
    with site.engine.begin() as connection:
        connection.execute(insert(metadata.tables["invitations"]), {**invitation, **times, "user_id": ana.user.id})
    row = erased(site, ana)
    kept = {name for name, value in row.items() if value not in (None, False)}
    assert kept == {
        *("id", "username", "username_canonical", "email", "email_canonical"),
        *("created_at", "updated_at", "erased_at"),
    }
    assert row["username"] == f"erased-{ana.user.id}"
    everything = site.rows()
    for word in ("Ana Ananda", "Ana's key", "ana@example.com", "'ana'"):
        assert word not in repr(everything), word
    tables = metadata.tables.values()
    owned = [
        (table, key.parent)
        for table in tables
        for key in table.foreign_keys
        if key.column.table.name == "users" and table.name != "user_audit_log"
    ]
    assert len(owned) > 8
    with site.engine.connect() as connection:
        for table, column in owned:
            count = select(func.count()).select_from(table).where(column == ana.user.id)
            assert connection.execute(count).scalar_one() == 0, table.name


def test_the_audit_keeps_what_happened_under_the_pseudonym_and_nothing_personal(site: Site, ana: Account) -> None:
    Visitor(site).sign_in(ana)
    table = metadata.tables["user_audit_log"]
    with site.engine.connect() as connection:
        before = connection.execute(select(table.c.action).where(table.c.user_id == ana.user.id)).scalars().all()
    erased(site, ana)
    with site.engine.connect() as connection:
        rows = connection.execute(select(table).where(table.c.user_id == ana.user.id)).mappings().all()
    assert set(before) <= {row["action"] for row in rows}
    assert {(row["ip_address"], row["user_agent"]) for row in rows if row["action"] != "user.erased"} == {(None, None)}
    assert {json.dumps(row["metadata"]) for row in rows} == {"null"}


def test_records_are_cleaned_in_small_batches(site: Site, ana: Account) -> None:
    closed(site, ana)
    site.later(days=13)
    swept(site)
    site.later(days=1)
    turns = 0
    with Transaction(site.engine) as tx:
        while site.services.closing.purge(tx, site.now, 2) == 2:
            turns += 1
    assert turns >= 1
    assert found(site, ana).username.startswith("erased-")


def test_the_names_are_free_again_and_the_erased_can_do_nothing(site: Site, ana: Account) -> None:
    erased(site, ana)
    again = site.account("ana")
    assert again.user.id != ana.user.id
    visitor = Visitor(site)
    visitor.post("/login", {"username": f"erased-{ana.user.id}", "password": PASSWORD})
    assert visitor.page.status == 400
    with Transaction(site.engine) as tx:
        assert not site.services.closing.reopen(tx, site.by, ana.user.id)
        assert site.services.user_ends.set_active(tx, site.by, ana.user.id, True) is None
        assert [user.id for user in site.services.users.list(tx)] == [again.user.id]


def test_the_last_administrator_stays(site: Site) -> None:
    root = site.account("root", is_admin=True, second_factor=True)
    visitor = Visitor(site)
    visitor.sign_in(root)
    visitor.post(PAGE, {"username": "root"})
    assert visitor.page.status == 400
    assert "You are the last administrator." in visitor.page.text
    with Transaction(site.engine) as tx:
        for end in (site.services.closing.close, lambda *it: site.services.closing.erase_now(*it, actor="cli:x")):
            with pytest.raises(LastAdministrator):
                end(tx, site.by, root.user)
    site.account("deputy", is_admin=True)
    closed(site, root)


def test_an_operators_word_about_a_closed_account_stands(site: Site, ana: Account) -> None:
    erin = site.account("erin")
    for account, active in ((ana, False), (erin, True)):
        closed(site, account)
        with Transaction(site.engine) as tx:
            assert site.services.user_ends.set_active(tx, site.by, account.user.id, active)
    site.later(days=30)
    assert swept(site) == (0, 0)
    assert [found(site, it).is_active for it in (ana, erin)] == [False, True]
    visitor = Visitor(site)
    visitor.post("/login", {"username": "ana", "password": PASSWORD})
    assert visitor.page.status == 400, "who was disabled does not come back by closing"
    with Transaction(site.engine) as tx, pytest.raises(AlreadyClosed):
        site.services.closing.close(tx, site.by, ana.user)


@pytest.mark.parametrize("what", ["close", "reopen", "erase or reopen", "remind"])
def test_at_one_moment_one_of_many_does_it(
    mariadb_engine: Engine, tmp_path: Path, migrated_sqlite_file: Path, keyring: Keyring, what: str
) -> None:
    site = Site(tmp_path / "site", migrated_sqlite_file, keyring, engine=mariadb_engine)
    ana, closing = site.account("ana"), site.services.closing
    if what != "close":
        closed(site, ana)
    if what in ("erase or reopen", "remind"):
        site.later(days=13)
    if what == "erase or reopen":
        swept(site)
        site.later(days=1)
    calls: dict[str, list[Callable[[Transaction], Any]]] = {
        "close": [lambda tx: closing.close(tx, site.by, ana.user)] * 6,
        "reopen": [lambda tx: closing.reopen(tx, site.by, ana.user.id)] * 6,
        "erase or reopen": [
            lambda tx: closing.reopen(tx, site.by, ana.user.id),
            lambda tx: bool(closing.purge(tx, site.now)),
        ]
        * 3,
        "remind": [lambda tx: closing.remind(tx, site.now)] * 6,
    }
    answers = at_once(mariadb_engine, calls[what], tries=10)
    shown = sorted(type(answer).__name__ for answer in answers)
    if what == "close":
        assert shown == [*["AlreadyClosed"] * 5, "Ended"]
    elif what == "reopen":
        assert sorted(answers) == [False] * 5 + [True]
    elif what == "remind":
        assert sorted(answers) == [0] * 5 + [1]
        assert names(site).count("alert_erased_soon") == 1
    else:
        user = found(site, ana)
        assert user.is_active != user.username.startswith("erased-"), "back as before, or gone, and nothing between"
        assert (user.password_hash is not None) == user.is_active
