"""Accepting an invitation: an account for whoever reads the mail of one address, once."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import select

from database.models import Invitation as InvitationRow
from database.models import User as UserRow
from database.transaction import Transaction
from provider.accounts.users import NameTaken
from tests.authenticator import Authenticator
from tests.letters import letters
from tests.pages.site import ORIGIN, PASSWORD, Site, Visitor
from tests.pages.test_passkeys import by_passkey as sign_in_by_passkey

CHOSEN = {"username": "dana", "password": PASSWORD}


def invite(site: Site, email: str = "dana@example.com", **options: Any) -> str:
    """The path of the page."""
    with Transaction(site.engine) as tx:
        _made, link = site.services.invitations.create(tx, site.by, email=email, actor="cli:test", **options)
    assert link.startswith(f"{ORIGIN}/invitation/")
    return link.removeprefix(ORIGIN)


def user_row(site: Site, username: str) -> Any:
    with site.engine.connect() as connection:
        return connection.execute(select(UserRow.__table__).where(UserRow.username == username)).mappings().first()


def is_over(visitor: Visitor, path: str) -> bool:
    visitor.get(path)
    seen = visitor.page.status
    visitor.post(path, {**CHOSEN, "username": "another"})
    return seen == visitor.page.status == 404 and "This invitation doesn't work any more" in visitor.page.text


def test_an_invitation_makes_an_account_whose_address_is_confirmed(site: Site, visitor: Visitor) -> None:
    path = invite(site, locale="ko")
    (letter,) = letters(site.engine, site.services.keyring)
    assert (letter.to, letter.name, letter.language, letter.link) == (
        "dana@example.com", "invitation", "ko", ORIGIN + path,
    )  # fmt: skip
    visitor.get(path)
    assert visitor.page.status == 200
    assert "readonly" in visitor.document.by_id("email")
    assert user_row(site, "dana") is None, "looking makes nothing"
    visitor.post(path, {**CHOSEN, "email": "eve@example.com", "is_admin": "1"})
    assert (visitor.page.status, visitor.to) == (303, "/account/second-factor")
    visitor.follow()
    assert "Welcome, dana." in visitor.page.text
    row = user_row(site, "dana")
    assert (row["email_canonical"], row["is_verified"], row["is_admin"], row["confirm_by"]) == (
        "dana@example.com", 1, 0, None,
    )  # fmt: skip
    assert is_over(Visitor(site), path)
    with site.engine.connect() as connection:
        kept = connection.execute(select(InvitationRow.__table__)).mappings().one()
    assert (kept["user_id"], kept["used_at"] is not None) == (row["id"], True)
    assert path.rpartition("/")[2] not in str(dict(kept)), "of the link only a hash is kept"


def test_an_invited_administrator_needs_a_second_factor_first(site: Site, visitor: Visitor) -> None:
    path = invite(site, is_admin=True)
    visitor.get(path)
    assert "It administers MCP Core" in visitor.page.text
    visitor.post(path, {**CHOSEN, "password": "x7#kQ2pw"})
    assert visitor.page.status == 303, "eight characters, since a second factor follows"
    visitor.follow()
    assert visitor.page.url.startswith("/login/second-factor")
    assert user_row(site, "dana")["is_admin"] == 1


def test_a_proposed_name_may_be_had_though_nobody_could_choose_it(site: Site, visitor: Visitor) -> None:
    path = invite(site, username="support")
    visitor.get(path)
    assert visitor.document.by_id("username").get("value") == "support"
    visitor.post(path, {**CHOSEN, "username": "admin"})
    assert visitor.page.status == 400
    assert "is kept for the people who run" in visitor.document.by_id("username-mistake").text
    visitor.post(path, {**CHOSEN, "username": "support"})
    assert visitor.page.status == 303


def test_mistakes_are_said_at_their_field_and_the_invitation_still_works(site: Site, visitor: Visitor) -> None:
    site.account("ana")
    path = invite(site)
    for field, typed, said in (
        ("username", "", "Choose a user name"),
        ("username", "Ana", "is taken"),
        ("username", "аnа", "letters of one script"),
        ("password", "short", "at least 15 characters"),
        ("password", "dana@example.com and more", "Leave your name"),
    ):
        visitor.post(path, {**CHOSEN, field: typed, "email": "eve@example.com"})
        assert visitor.page.status == 400
        assert visitor.document.by_id("email").get("value") == "dana@example.com"
        assert said in visitor.document.by_id(f"{field}-mistake").text
    visitor.post(path, CHOSEN)
    assert visitor.page.status == 303


def test_what_is_over_says_so(site: Site) -> None:
    expired, withdrawn = invite(site, "a@example.com", expires_in_days=1), invite(site, "b@example.com")
    with Transaction(site.engine) as tx:
        made = next(it for it in site.services.invitations.list(tx) if it.email == "b@example.com")
        assert site.services.invitations.withdraw(tx, site.by, made.id, "cli:test")
        assert not site.services.invitations.withdraw(tx, site.by, made.id, "cli:test")
    site.later(days=1)
    for path in (expired, withdrawn, "/invitation/nonsense", expired[:-1], "/invitation/" + "x" * 3000):
        assert is_over(Visitor(site), path), path


def test_a_newer_invitation_of_an_address_ends_the_earlier_one(site: Site, visitor: Visitor) -> None:
    first, second = invite(site, is_admin=True), invite(site, "Dana@Example.com")
    assert is_over(Visitor(site), first)
    visitor.post(second, CHOSEN)
    assert visitor.page.status == 303
    assert user_row(site, "dana")["is_admin"] == 0


def test_an_address_that_has_an_account_by_now_is_told_so_and_nothing_is_used_up(site: Site, visitor: Visitor) -> None:
    path = invite(site, "ana@example.com", is_admin=True)
    site.account("ana")
    for _ in range(2):
        visitor.get(path)
        assert visitor.page.status == 400
        assert "You have an account already" in visitor.page.text
        visitor.post(path, CHOSEN)
        assert visitor.page.status == 400
    assert user_row(site, "ana")["is_admin"] == 0
    with Transaction(site.engine) as tx, pytest.raises(NameTaken):
        site.services.invitations.create(tx, site.by, email="Ana@example.com")


def test_a_stranger_who_signed_up_with_the_address_stands_in_no_invitations_way(site: Site, visitor: Visitor) -> None:
    with Transaction(site.engine) as tx:
        site.services.sign_ups.create(
            tx, site.by, username="squatter", email="dana@example.com", password_hash="x", locale="en"
        )
    visitor.post(invite(site), CHOSEN)
    assert visitor.page.status == 303
    assert user_row(site, "dana")["email_canonical"] == "dana@example.com"


def test_in_two_tabs_one_makes_the_account_and_the_other_is_told(site: Site, visitor: Visitor) -> None:
    path = invite(site)
    visitor.get(path)
    token = visitor.token()
    visitor.post(path, CHOSEN, token=token)
    assert visitor.page.status == 303
    visitor.post(path, CHOSEN)
    assert visitor.page.status == 404


def test_who_is_signed_in_is_told_that_it_makes_another_account(site: Site, visitor: Visitor) -> None:
    ana = site.account("ana")
    visitor.sign_in(ana)
    path = invite(site)
    visitor.get(path)
    assert "You are signed in as ana." in visitor.page.text
    visitor.post(path, CHOSEN)
    visitor.get("/account")
    assert "dana@example.com" in visitor.page.text


def test_with_sign_up_off_no_invitation_works(site_factory: Any) -> None:
    site = site_factory(sign_up="off")
    assert is_over(Visitor(site), invite(site))


def test_a_scanner_makes_nothing(site: Site) -> None:
    path, scanner = invite(site), Visitor(site)
    before = site.rows("users", "invitations", "user_audit_log")
    for method in ("GET", "HEAD", "OPTIONS"):
        scanner.request(method, path)
    scanner.request("POST", path, "username=dana&password=x")
    assert scanner.page.status == 403
    assert site.rows("users", "invitations", "user_audit_log") == before


def test_invitations_are_deleted_a_month_after_they_were_over(site: Site) -> None:
    invite(site, expires_in_days=1)
    purge = site.services.invitations.purge
    with Transaction(site.engine) as tx:
        site.later(days=30)
        assert purge(tx, site.now) == 0
        site.later(days=1)
        assert purge(tx, site.now) == 1


@pytest.mark.parametrize("is_admin", [False, True])
def test_an_invitation_is_accepted_with_a_passkey(site: Site, visitor: Visitor, is_admin: bool) -> None:
    path, device = invite(site, is_admin=is_admin), Authenticator(ORIGIN)
    visitor.get(path)
    asked = visitor.asked()
    visitor.post(path, {"username": "root", "credential": device.create(asked)})
    assert "is kept for the people who run" in visitor.document.by_id("username-mistake").text
    visitor.post(path, {"username": "dana", "credential": "{}"})
    assert "didn't become a passkey" in visitor.document.by_id("errors").text
    assert visitor.document.by_id("username").get("value") == "dana"
    device = Authenticator(ORIGIN)
    visitor.post(path, {"username": "dana", "credential": device.create(visitor.asked())})
    assert (visitor.page.status, visitor.to) == (303, "/account/second-factor/recovery-codes")
    row = user_row(site, "dana")
    assert (row["password_hash"], row["is_verified"], row["is_admin"]) == (None, 1, int(is_admin))
    assert visitor.get("/account").status == 200, "the second factor is there, also where one is demanded"
    assert sign_in_by_passkey(Visitor(site), device).to == "/account"
    assert is_over(Visitor(site), path)


def test_a_passkey_that_is_somebodys_uses_no_invitation_up(site: Site, visitor: Visitor) -> None:
    owner = Visitor(site)
    owner.sign_in(site.account("ana"))
    device = owner.add_passkey()
    path = invite(site)
    visitor.get(path)
    same = Authenticator(ORIGIN).create(visitor.asked(), credential_id=device.credentials[0].id)
    visitor.post(path, {"username": "dana", "credential": same})
    assert (visitor.page.status, "belongs to an account already" in visitor.page.text) == (400, True)
    assert user_row(site, "dana") is None
    visitor.post(path, CHOSEN)
    assert visitor.page.status == 303
