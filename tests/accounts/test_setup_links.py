"""The link to the first account: once, for an hour, and only while there is nobody."""

from __future__ import annotations

import pytest
from sqlalchemy import Engine, select

from database.models import SetupLink
from database.transaction import Transaction
from provider.protocol.messages import Origin
from provider.security.crypto import is_secret, new_secret
from provider.services import Services
from provider.sign_in.setup_links import AlreadySetUp
from tests.accounts.conftest import AddUser, Events, later

TABLE = SetupLink.__table__


@pytest.fixture
def token(services: Services, engine: Engine, origin: Origin) -> str:
    with Transaction(engine) as tx:
        return services.setup_links.create(tx, origin.now)[0]


def test_a_new_installation_has_nobody_and_no_link(services: Services, tx: Transaction, origin: Origin) -> None:
    assert services.users.is_empty(tx)
    assert tx.execute(select(TABLE)).first() is None
    assert not services.setup_links.claim(tx, origin, new_secret("setup"))


def test_a_link_is_stored_hashed_and_works_once(
    services: Services, engine: Engine, origin: Origin, token: str, events: Events
) -> None:
    assert is_secret("setup", token)
    with Transaction(engine) as tx:
        assert token not in str(tx.execute(select(TABLE)).all())
        for _ in range(3):
            assert services.setup_links.find(tx, origin.now, token), "looking uses nothing up"
    with Transaction(engine) as tx:
        assert services.setup_links.claim(tx, origin, token)
    with Transaction(engine) as tx:
        assert not services.setup_links.find(tx, origin.now, token)
        assert not services.setup_links.claim(tx, origin, token)
    assert [row["action"] for row in events()] == ["setup.completed"]
    assert token not in str(events())


@pytest.mark.parametrize("seconds, works", [(0, True), (3599, True), (3600, False), (86400, False)])
def test_a_link_lives_an_hour(
    services: Services, tx: Transaction, origin: Origin, token: str, seconds: int, works: bool
) -> None:
    assert services.setup_links.claim(tx, later(origin, seconds), token) is works


def test_the_time_that_is_announced_is_the_one_that_counts(services: Services, tx: Transaction, origin: Origin) -> None:
    token, until = services.setup_links.create(tx, origin.now)
    assert until == later(origin, 3600).now
    assert not services.setup_links.find(tx, until, token)


def test_a_new_link_ends_the_one_before(services: Services, tx: Transaction, origin: Origin, token: str) -> None:
    newer, _until = services.setup_links.create(tx, origin.now)
    assert not services.setup_links.claim(tx, origin, token)
    assert services.setup_links.claim(tx, origin, newer)


def test_with_a_user_no_link_works_and_none_is_made(
    services: Services, tx: Transaction, origin: Origin, token: str, add_user: AddUser
) -> None:
    add_user("ana")
    assert not services.setup_links.find(tx, origin.now, token)
    assert not services.setup_links.claim(tx, origin, token)
    with pytest.raises(AlreadySetUp):
        services.setup_links.create(tx, origin.now)


def test_a_disabled_user_counts_as_well(
    services: Services, engine: Engine, origin: Origin, token: str, add_user: AddUser
) -> None:
    user = add_user("ana")
    with Transaction(engine) as tx:
        services.user_ends.set_active(tx, origin, user.id, False)
        assert not services.setup_links.claim(tx, origin, token)


def test_a_claim_that_is_rolled_back_leaves_the_link(
    services: Services, engine: Engine, origin: Origin, token: str, events: Events
) -> None:
    tx = Transaction(engine)
    assert services.setup_links.claim(tx, origin, token)
    tx.rollback()
    assert events() == []
    with Transaction(engine) as tx:
        assert services.setup_links.claim(tx, origin, token)


@pytest.mark.parametrize("text", ["", "mcp_setup_", "%", "x" * 10_000])
def test_what_is_no_link_is_refused(services: Services, tx: Transaction, origin: Origin, token: str, text: str) -> None:
    for wrong in (text, token[:-1], token.replace("setup", "session"), token.swapcase(), new_secret("setup")):
        assert not services.setup_links.claim(tx, origin, wrong)
    assert services.setup_links.find(tx, origin.now, token)


def test_links_go_when_they_are_used_up_or_over(
    services: Services, tx: Transaction, origin: Origin, token: str
) -> None:
    assert services.setup_links.purge(tx, later(origin, 3599).now) == 0
    newer, _expires_at = services.setup_links.create(tx, later(origin, 1).now)
    assert services.setup_links.purge(tx, later(origin, 2).now) == 1
    assert services.setup_links.find(tx, later(origin, 2).now, newer)
    assert services.setup_links.purge(tx, later(origin, 3601).now) == 1
