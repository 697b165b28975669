"""Lists that grow: a page at a time, found by a word, inside the transaction of the request, and never a way to write."""

from __future__ import annotations

import datetime

import pytest
from flask import g
from sqlalchemy import Engine, event, insert, select, update

from database.models import Client as ClientRow
from database.models import User as UserRow
from database.models.columns import new_id
from database.reading import Listed, ReadOnly, row_of
from database.transaction import Transaction
from provider.clients.rows import parse_client
from provider.security.crypto import Keyring
from provider.services import Services
from provider.settings import load_settings
from provider.web import listing
from tests.pages.site import Account, Site, Visitor

KEYS = "/account/api-keys"
OWNER = "01890000-0000-7000-8000-000000000001"


def make_keys(site: Site, account: Account, names: list[str]) -> None:
    """Rows of living keys, the first of them the oldest."""
    with Transaction(site.engine) as tx:
        tx.execute(insert(ClientRow), [key_row(account.user.id, name, at) for at, name in enumerate(names)])


def key_row(owner_id: str, name: str, at: int = 0) -> dict[str, object]:
    made = datetime.datetime(2026, 6, 1, tzinfo=datetime.UTC) + datetime.timedelta(seconds=at)
    letters = "".join(chr(ord("p") + int(digit, 16) % 10) for digit in f"{owner_id[-8:]}{at:03}")
    return {
        "id": new_id(made), "client_id": f"key_{letters}", "kind": "api_key", "name": name,
        "owner_user_id": owner_id, "token_endpoint_auth_method": "client_secret_basic", "application_type": "web",
        "redirect_uris": [], "post_logout_redirect_uris": [], "grant_types": [], "scope": "",
        "id_token_signed_response_alg": "RS256", "created_at": made, "updated_at": made,
    }  # fmt: skip


def shown(visitor: Visitor, address: str) -> list[str]:
    assert visitor.get(address).status == 200, address
    return [it.text for it in visitor.document.all("a") if it.get("class") == "name"]


@pytest.fixture
def owner(site: Site, ana: Account) -> Visitor:
    """Ana, signed in, with 45 keys."""
    make_keys(site, ana, [f"key {number:02}" for number in range(45)])
    visitor = Visitor(site)
    visitor.sign_in(ana)
    return visitor


def numbers(first: int, last: int) -> list[str]:
    return [f"key {number:02}" for number in range(first, last - 1, -1)]


@pytest.mark.parametrize("query, names", [
    ("", numbers(44, 25)),
    ("page=1", numbers(44, 25)),
    ("page=2", numbers(24, 5)),
    ("page=3", numbers(4, 0)),
    ("page=4", numbers(4, 0)),
    ("page=999999999999999999999", numbers(44, 25)),
    ("page=999999", numbers(4, 0)),
    ("page=0", numbers(44, 25)),
    ("page=-1", numbers(44, 25)),
    ("page=two", numbers(44, 25)),
    ("page=%D9%A2", numbers(44, 25)),
    ("page=1.5", numbers(44, 25)),
    ("page=2&page=1", numbers(24, 5)),
    ("per_page=5&page=2", numbers(39, 35)),
    ("per_page=0", ["key 44"]),
    ("per_page=1000", numbers(44, 0)),
    ("q=key+07", ["key 07"]),
    ("q=KEY+07", ["key 07"]),
    ("q=%EF%BC%90%EF%BC%97", []),
    ("q=++key+07%0A", ["key 07"]),
    ("q=%25", []),
    ("q=k_y", []),
    ("q=key%00", numbers(44, 25)),
    ("q=" + "x" * 9000, []),
    ("q=1&page=2&per_page=3", ["key 19", "key 18", "key 17"]),
])  # fmt: skip
def test_an_address_shows_its_part_of_the_list(owner: Visitor, query: str, names: list[str]) -> None:
    found = shown(owner, f"{KEYS}?{query}")
    assert found == names


def test_one_finds_the_way_through_the_pages_and_back(owner: Visitor) -> None:
    owner.get(f"{KEYS}?q=key")
    for number in (1, 2, 3):
        assert f"Page {number} of 3" in owner.document.one("main").text
        onward = [it.get("href") for it in owner.document.all("a") if it.get("rel") == "next"]
        if onward:
            assert onward == [f"{KEYS}?q=key&page={number + 1}"]
            owner.get(onward[0])
    assert onward == []
    (back,) = [it.get("href") for it in owner.document.all("a") if it.get("rel") == "prev"]
    assert back == f"{KEYS}?q=key&page=2"


def test_another_language_shows_the_same_page(owner: Visitor) -> None:
    owner.post("/language", {"language": "ko", "back": f"{KEYS}?q=key&page=2&to=account&evil=1"})
    assert owner.to == f"{KEYS}?q=key&page=2&to=account"


def test_a_list_shows_nobody_else_s(site: Site, owner: Visitor, bora: Account) -> None:
    make_keys(site, bora, ["key of Bora"])
    assert shown(owner, f"{KEYS}?q=Bora") == []
    assert "No key of yours is called that." in owner.page.text


def test_short_lists_have_nothing_around_them(site: Site, ana: Account) -> None:
    make_keys(site, ana, ["only"])
    visitor = Visitor(site)
    visitor.sign_in(ana)
    assert shown(visitor, KEYS) == ["only"]
    assert "search" not in [it.get("type") for it in visitor.document.all("input")]
    assert [it.get("class") for it in visitor.document.all("nav")] == ["side"]


def test_a_list_is_read_on_the_connection_of_the_request_which_sees_its_own_changes(site: Site, ana: Account) -> None:
    """One request, one transaction: what it has written and not committed is in the list, and no other connection asks."""
    taken: list[object] = []
    event.listen(site.engine, "checkout", lambda *given: taken.append(given[0]))
    with site.app.test_request_context(f"{KEYS}?q=unseen"):
        site.app.preprocess_request()
        g.tx = tx = Transaction(site.engine)
        tx.execute(insert(ClientRow), key_row(ana.user.id, "unseen"))
        page = listing.page_of(site.services.api_keys.living(ana.user.id, site.now, "unseen"))
        assert [key.name for key in page.items] == ["unseen"]
        assert (page.total, page.number, page.pages) == (1, 1, 1)
        tx.execute(update(ClientRow).values(name="later"))
        assert len(taken) == 1
        tx.rollback()
        assert listing.page_of(site.services.api_keys.living(ana.user.id, site.now)).total == 0
        tx.execute(insert(ClientRow), key_row(ana.user.id, "kept"))
        tx.commit()
    with Transaction(site.engine) as tx:
        assert [key.name for key in site.services.api_keys.list(tx)] == ["kept"]


def test_nothing_can_be_written_through_a_list(site: Site, ana: Account) -> None:
    with site.app.test_request_context(KEYS):
        site.app.preprocess_request()
        g.tx = Transaction(site.engine)
        session = listing.db.session
        with pytest.raises(ReadOnly):
            session.execute(update(UserRow).values(is_admin=True))
        session.add(UserRow(id="x"))
        for write in (session.flush, session.commit):
            with pytest.raises(ReadOnly):
                write()
        session.remove()
        g.tx.rollback()


def test_the_extension_has_no_engine_of_its_own(site: Site) -> None:
    assert site.app.extensions["sqlalchemy"] is listing.db
    with site.app.app_context(), pytest.raises(RuntimeError):
        _ = listing.db.engine


def test_words_are_found_on_a_server_as_on_sqlite(mariadb_engine: Engine, keyring: Keyring) -> None:
    services = Services(load_settings({}), mariadb_engine, keyring)
    names = ["야간 백업", "Ärger", "100%", "a_b", "plain"]
    with Transaction(mariadb_engine) as tx:
        owner = {"id": OWNER, "username": "o", "username_canonical": "o", "email": "o@x.example"}
        at = datetime.datetime(2026, 6, 1, tzinfo=datetime.UTC)
        tx.execute(insert(UserRow), {**owner, "email_canonical": "o@x.example", "created_at": at, "updated_at": at})
        tx.execute(insert(ClientRow), [key_row(OWNER, name, number) for number, name in enumerate(names)])

        def found(word: str) -> list[str]:
            listed = services.api_keys.living(OWNER, at, word)
            return [row.name for row in tx.execute(listed.statement.with_only_columns(ClientRow.name))]

        looked_for = {
            "백업": ["야간 백업"],
            "PLAIN": ["plain"],
            "%": ["100%"],
            "a_": ["a_b"],
            "p_ain": [],
            "": names[::-1],
        }
        assert {word: found(word) for word in looked_for} == looked_for


def test_an_entity_is_read_as_its_row_is(site: Site, ana: Account) -> None:
    site.api_key(ana)
    with site.app.test_request_context(KEYS):
        site.app.preprocess_request()
        g.tx = Transaction(site.engine)
        listed = Listed(select(ClientRow), lambda entity: (parse_client(row_of(entity)), set(row_of(entity))))
        ((client, columns),) = listing.page_of(listed).items
        assert columns == set(ClientRow.__table__.c.keys())
        assert client == site.services.clients.find(g.tx, client.client_id, fresh=True)
        g.tx.rollback()
