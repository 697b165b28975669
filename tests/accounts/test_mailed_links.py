"""Links of letters: each works once, for a while, for nobody else, and looking at one changes nothing."""

from __future__ import annotations

import pytest

from database.models import metadata
from database.transaction import Transaction
from provider.accounts.mailed_links import LinkOver, MailedLinks
from provider.accounts.users import User
from provider.protocol.messages import Origin
from provider.security.crypto import new_secret
from provider.services import Services
from tests.accounts.conftest import AddUser, later
from tests.letters import letters
from tests.together import at_once

SECONDS = 1800


def resets(services: Services) -> MailedLinks:
    return MailedLinks(services.keyring, metadata.tables["password_reset_tokens"], "reset", SECONDS)


def issued(services: Services, origin: Origin, user: User) -> str:
    with Transaction(services.engine) as tx:
        return resets(services).issue(tx, origin, user.id)


def test_a_link_works_once_and_looking_changes_nothing(services: Services, origin: Origin, ana: User) -> None:
    token, links = issued(services, origin, ana), resets(services)
    with Transaction(services.engine) as tx:
        for _ in range(3):
            found = links.find(tx, origin.now, token)
            assert found is not None
            assert found["user_id"] == ana.id
        assert links.use(tx, origin.now, token)["user_id"] == ana.id
        assert links.find(tx, origin.now, token) is None
        with pytest.raises(LinkOver):
            links.use(tx, origin.now, token)


@pytest.mark.parametrize(
    "token",
    ["", "x", "mcp_reset_x", new_secret("reset"), new_secret("verify")],
    ids=["nothing", "short", "cut", "unknown", "of another kind"],
)
def test_what_is_no_link_of_ours_is_over(services: Services, origin: Origin, token: str) -> None:
    with Transaction(services.engine) as tx, pytest.raises(LinkOver):
        resets(services).use(tx, origin.now, token)


def test_a_link_is_over_after_its_time_and_then_deleted(services: Services, origin: Origin, ana: User) -> None:
    token, links = issued(services, origin, ana), resets(services)
    with Transaction(services.engine) as tx:
        assert links.find(tx, later(origin, SECONDS - 1).now, token)
        assert links.find(tx, later(origin, SECONDS).now, token) is None
        assert links.purge(tx, later(origin, SECONDS - 1).now) == 0
        assert links.purge(tx, later(origin, SECONDS).now) == 1


def test_voiding_ends_those_of_one_user(services: Services, origin: Origin, ana: User, add_user: AddUser) -> None:
    mine, other = issued(services, origin, ana), issued(services, origin, add_user("bob"))
    with Transaction(services.engine) as tx:
        assert resets(services).void(tx, origin.now, ana.id) == 1
        assert resets(services).find(tx, origin.now, mine) is None
        assert resets(services).find(tx, origin.now, other)


def test_a_table_may_call_the_moment_of_use_otherwise(services: Services, origin: Origin, ana: User) -> None:
    table = metadata.tables["email_verification_tokens"]
    links = MailedLinks(services.keyring, table, "verify", SECONDS, used="verified_at")
    with Transaction(services.engine) as tx:
        token = links.issue(tx, origin, ana.id, email="new@example.com")
        assert links.use(tx, origin.now, token)["email"] == "new@example.com"
        with pytest.raises(LinkOver):
            links.use(tx, origin.now, token)


def test_who_has_read_a_link_that_is_used_meanwhile_comes_too_late(
    services: Services, origin: Origin, ana: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The update decides, whatever was read before it."""
    token, quick, slow = issued(services, origin, ana), resets(services), resets(services)
    with Transaction(services.engine) as tx:
        read = slow.find(tx, origin.now, token)
        quick.use(tx, origin.now, token)
        monkeypatch.setattr(slow, "find", lambda *_given: read)
        with pytest.raises(LinkOver):
            slow.use(tx, origin.now, token)


def test_of_eight_that_use_a_link_at_once_one_does(on_server: Services, origin: Origin) -> None:
    with Transaction(on_server.engine) as tx:
        user = on_server.users.create(tx, origin, username="ana", email="ana@example.com", password_hash=None)
    token = issued(on_server, origin, user)

    answers = at_once(on_server.engine, [lambda tx: resets(on_server).use(tx, origin.now, token)] * 8)
    assert [isinstance(answer, LinkOver) for answer in answers].count(False) == 1


def test_what_a_letter_says_is_sealed_and_read_back(services: Services, origin: Origin, ana: User) -> None:
    with Transaction(services.engine) as tx:
        services.mail.post(
            tx, origin, to="ana@example.com", letter="reset", language="ko", values={"link": "https://id.example/x"}
        )
    (letter,) = letters(services.engine, services.keyring)
    assert (letter.to, letter.name, letter.language) == ("ana@example.com", "reset", "ko")
    assert letter.values == {"link": "https://id.example/x"}
