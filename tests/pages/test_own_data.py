"""The archive of one's own data: everything about one person, made beside requests, sealed, and its owner's alone."""

from __future__ import annotations

import datetime
import json
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, select, update

from database.models import DataExport, metadata
from database.transaction import Transaction
from provider.accounts import data_exports
from provider.accounts.data_exports import MOST_ATTEMPTS, AskedTooSoon
from provider.accounts.own_data import LEFT_OUT, PARTS, archive
from provider.security.crypto import SECRET_PATTERN, DecryptionFailed, Keyring
from tests.letters import letters
from tests.pages.site import PASSWORD, Account, Site, Visitor
from tests.pages.test_lock_down import events, with_everything
from tests.together import at_once

PAGE = "/account/data"
TABLE = DataExport.__table__


def asked(site: Site, account: Account) -> None:
    with Transaction(site.engine) as tx:
        site.services.data_exports.ask(tx, site.by, account.user.id)


def made(site: Site) -> int:
    with Transaction(site.engine) as tx:
        return site.services.data_exports.make_due(tx, site.now)


def rows(site: Site) -> list[dict[str, Any]]:
    with site.engine.connect() as connection:
        return [dict(row) for row in connection.execute(select(TABLE)).mappings()]


def link(visitor: Visitor) -> str:
    visitor.get(PAGE)
    return next((it.get("href") for it in visitor.document.all("a") if f"{PAGE}/" in it.get("href")), "")


def test_a_person_asks_is_written_to_and_downloads_everything(site: Site, ana: Account) -> None:
    visitor = with_everything(site, ana)
    assert link(visitor) == ""
    visitor.post(PAGE)
    assert "You have asked for your data." in visitor.follow().text
    assert visitor.page.text.count("Your data is being put together.") == 1
    assert link(visitor) == "", "never in a request"
    assert made(site) == 1
    (letter,) = letters(site.engine, site.services.keyring, name="data_ready")
    assert (letter.to, letter.values["page"]) == ("ana@example.com", f"https://id.example{PAGE}")
    assert not any(SECRET_PATTERN.search(value) for value in letter.values.values()), "no key to it"
    page = visitor.get(link(visitor))
    assert page.status == 200
    assert page.headers["Content-Type"] == "application/json"
    assert page.headers["Content-Disposition"] == 'attachment; filename="my-data.json"'
    assert page.headers["Cache-Control"] == "no-store"
    found = json.loads(page.html)
    assert found["account"]["username"] == "ana"
    assert len(found["sessions"]) == 2
    assert [app["app"] for app in found["apps"]] == ["Acme Files"]
    assert [key["name"] for key in found["api_keys"]] == ["nightly backup"]
    assert "api_key.created" in [entry["action"] for entry in found["activity"]]
    assert events(site, "data.asked_for") == events(site, "data.downloaded") == 1


def test_no_table_that_knows_a_person_is_forgotten() -> None:
    """A new one is given to its person in ``PARTS``, or left out with a reason."""
    known = {
        table.name
        for table in metadata.tables.values()
        if table.name == "users" or any(key.column.table.name == "users" for key in table.foreign_keys)
    }
    known |= {table.name for table in metadata.tables.values() if "user_id" in table.columns}
    assert known == {part.table for part in PARTS.values()} | set(LEFT_OUT)
    assert {part.table for part in PARTS.values()} & set(LEFT_OUT) == set()


def test_nothing_that_lets_anybody_in_is_in_it(site: Site) -> None:
    bora = site.account("bora", second_factor=True, codes=True)
    Visitor(site).sign_in(bora)
    site.api_key(bora)
    with Transaction(site.engine) as tx:
        text = json.dumps(archive(tx, site.now, bora.user.id))
    assert not SECRET_PATTERN.search(text)
    for part in PARTS.values():
        for column in part.columns:
            assert not any(word in column for word in ("hash", "secret", "token", "encrypted", "password_h")), column
    assert bora.secret not in text
    assert "$argon2" not in text


def test_it_is_its_owners_alone(site: Site, ana: Account) -> None:
    asked(site, ana)
    made(site)
    own, other = Visitor(site), Visitor(site)
    own.sign_in(ana)
    other.sign_in(site.account("erin"))
    path = link(own)
    assert other.get(path).status == 404
    assert events(site, "decryption.failed") == 0, "it is not even opened"
    for wrong in ("x", "019f1d8c-e200-73a4-9803-5666f196b053", "%00", "a" * 3000):
        assert own.get(f"{PAGE}/{wrong}").status == 404
    assert Visitor(site).get(path).headers["Location"] == "/login?to=data"
    site.later(minutes=16)
    own.get(path)
    assert own.to == "/login/again?to=data", "a session that was left open is not enough"
    own.post(own.to, {"password": PASSWORD})
    assert own.get(path).status == 200


def test_it_is_sealed_to_its_row_and_owner(site: Site, ana: Account) -> None:
    erin = site.account("erin")
    for account in (ana, erin):
        asked(site, account)
    assert made(site) == 2
    sealed = {row["user_id"]: row for row in rows(site)}
    assert all(row["content_encrypted"].startswith("v2.") for row in sealed.values())
    assert "ana@example.com" not in repr(rows(site))
    with Transaction(site.engine) as tx:
        swapped = update(DataExport).where(TABLE.c.user_id == erin.user.id)
        tx.execute(swapped.values(content_encrypted=sealed[ana.user.id]["content_encrypted"]))
        with pytest.raises(DecryptionFailed):
            site.services.data_exports.content(tx, site.by, erin.user.id, sealed[erin.user.id]["id"])
    assert events(site, "decryption.failed") == 1


def test_one_a_day_and_one_at_a_time(site: Site, ana: Account) -> None:
    asked(site, ana)
    with pytest.raises(AskedTooSoon):
        asked(site, ana)
    made(site)
    site.later(hours=23, minutes=59)
    with pytest.raises(AskedTooSoon):
        asked(site, ana)
    visitor = Visitor(site)
    visitor.sign_in(ana)
    assert visitor.post(PAGE).status == 303
    assert len(rows(site)) == 1
    site.later(minutes=1)
    assert visitor.post(PAGE).status == 303
    (row,) = rows(site)
    assert row["made_at"] is None, "the old one has made room"
    assert made(site) == 1


def test_it_goes_after_a_week(site: Site, ana: Account) -> None:
    asked(site, ana)
    made(site)
    site.later(days=6, hours=23)
    visitor = Visitor(site)
    visitor.sign_in(ana)
    path = link(visitor)
    assert visitor.get(path).status == 200
    site.later(hours=1)
    visitor.sign_in(ana)
    assert visitor.get(path).status == 404
    with Transaction(site.engine) as tx:
        assert site.services.data_exports.purge(tx, site.now) == 1
    assert rows(site) == []


class Killed(BaseException):
    """As the end of the process: nothing after it runs, and its transaction is never committed."""


@pytest.mark.parametrize("where", ["archive", "encrypt", "post"])
def test_who_is_killed_in_between_leaves_it_to_the_next_and_there_is_one_letter(
    site: Site, ana: Account, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    def die(*_given: object, **_options: object) -> None:
        raise Killed

    asked(site, ana)
    with monkeypatch.context() as patch:
        if where == "archive":
            patch.setattr(data_exports, "archive", die)
        elif where == "encrypt":
            patch.setattr(Keyring, "encrypt", die)
        else:
            patch.setattr(site.services.mail, "post", die)
        with pytest.raises(Killed), Transaction(site.engine) as tx:
            site.services.data_exports.make_due(tx, site.now)
    assert made(site) == 0, "somebody may still be at it"
    site.later(minutes=10)
    assert made(site) == 1
    assert made(site) == 0
    assert len(letters(site.engine, site.services.keyring, name="data_ready")) == 1
    assert rows(site)[0]["made_at"] == site.now


def test_what_cannot_be_made_is_given_up_and_keeps_back_no_other(
    site: Site, ana: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    erin = site.account("erin")
    asked(site, ana)
    site.later(seconds=1)
    asked(site, erin)

    def fail_for_ana(tx: Transaction, now: datetime.datetime, user_id: str) -> dict[str, Any]:
        if user_id == ana.user.id:
            raise RuntimeError("it cannot be made")
        return archive(tx, now, user_id)

    monkeypatch.setattr(data_exports, "archive", fail_for_ana)
    for _ in range(MOST_ATTEMPTS + 1):
        try:
            made(site)
        except RuntimeError:
            made(site)
        site.later(minutes=11)
    states = {row["user_id"]: (row["made_at"] is not None, row["next_attempt_at"]) for row in rows(site)}
    assert states == {ana.user.id: (False, None), erin.user.id: (True, None)}
    visitor = Visitor(site)
    visitor.sign_in(ana)
    assert "The file could not be made." in visitor.get(PAGE).text
    visitor.post(PAGE)
    assert "Your data is being put together." in visitor.follow().text


def test_one_that_is_too_large_is_not_stored(site: Site, ana: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data_exports, "MOST_BYTES", 10)
    asked(site, ana)
    made(site)
    (row,) = rows(site)
    assert (row["content_encrypted"], row["next_attempt_at"], row["made_at"]) == (None, None, None)


def test_of_long_lists_the_newest_are_in_it_and_it_says_so(
    site: Site, ana: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("provider.accounts.own_data.MOST_ROWS", 3)
    for number in range(5):
        site.later(seconds=1)
        site.api_key(ana, f"key {number}")
    with Transaction(site.engine) as tx:
        found = archive(tx, site.now, ana.user.id)
    assert [key["name"] for key in found["api_keys"]] == ["key 4", "key 3", "key 2"]
    assert found["api_keys_left_out"] == "older than the newest 3"
    assert "sessions_left_out" not in found


def test_two_servers_make_each_once_and_two_windows_ask_once(
    mariadb_engine: Engine, tmp_path: Path, migrated_sqlite_file: Path, keyring: Keyring
) -> None:
    site = Site(tmp_path / "site", migrated_sqlite_file, keyring, engine=mariadb_engine)
    ana, exports = site.account("ana"), site.services.data_exports
    answers = at_once(mariadb_engine, [lambda tx: exports.ask(tx, site.by, ana.user.id)] * 6, tries=10)
    assert sorted(type(answer).__name__ for answer in answers) == [*["AskedTooSoon"] * 5, "NoneType"]
    assert len(rows(site)) == 1
    counts = at_once(mariadb_engine, [lambda tx: exports.make_due(tx, site.now)] * 4, tries=10)
    assert sorted(counts) == [0, 0, 0, 1]
    assert len(letters(mariadb_engine, keyring, name="data_ready")) == 1
    with Transaction(mariadb_engine) as tx:
        content = exports.content(tx, site.by, ana.user.id, rows(site)[0]["id"])
    assert content is not None
