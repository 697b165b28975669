"""Who gets which name and address when several want it at one moment, and what is left of those who were slower."""

from __future__ import annotations

import dataclasses
from collections import Counter
from functools import partial
from typing import Any

import pytest
from sqlalchemy import select, update

from database.models import AuditRecord, EmailVerificationToken
from database.models import User as UserRow
from database.transaction import Transaction
from provider.accounts.alerts import Alert
from provider.accounts.mailed_links import LinkOver
from provider.accounts.sign_ups import UNCONFIRMED_FOR
from provider.accounts.users import NameTaken, User
from provider.protocol.messages import Origin
from provider.services import Services
from tests.accounts.conftest import added, elsewhere, later
from tests.letters import letters
from tests.together import Call, at_once

SIX = 6


def kinds(answers: list[Any]) -> dict[str, int]:
    return dict(Counter(type(answer).__name__ for answer in answers))


def sign_up(services: Services, origin: Origin, username: str, email: str = "dana@example.com") -> Call:
    return lambda tx: services.sign_ups.create(
        tx, origin, username=username, email=email, password_hash="x", locale="en"
    )


def signed_up(services: Services, origin: Origin, username: str, email: str = "dana@example.com") -> str:
    """The token of its letter."""
    with Transaction(services.engine) as tx:
        sign_up(services, origin, username, email)(tx)
    return letters(services.engine, services.keyring, name="confirm_address")[-1].token


def invite(services: Services, origin: Origin, email: str = "dana@example.com") -> str:
    with Transaction(services.engine) as tx:
        return services.invitations.create(tx, origin, email=email)[1].rpartition("/")[2]


def as_a_page(call: Call) -> Call:
    """What a page does when a name is taken: nothing stays of what was done so far."""

    def run(tx: Transaction) -> Any:
        try:
            return call(tx)
        except (NameTaken, LinkOver):
            tx.rollback()
            raise

    return run


def confirm(services: Services, origin: Origin, token: str) -> Call:
    return as_a_page(lambda tx: services.confirmations.confirm(tx, origin, token))


def accept(services: Services, origin: Origin, token: str, username: str) -> Call:
    return as_a_page(
        lambda tx: services.invitations.accept(tx, origin, token, username=username, password_hash="x", locale="en")
    )


def owners(services: Services, address: str = "dana@example.com") -> list[str]:
    with services.engine.connect() as connection:
        statement = select(UserRow.username).where(UserRow.email_canonical == address, UserRow.is_verified)
        return list(connection.execute(statement).scalars())


def test_of_six_that_sign_up_with_one_name_at_once_one_gets_it(on_server: Services, origin: Origin) -> None:
    calls = [
        as_a_page(sign_up(on_server, elsewhere(origin, number), "dana", f"u{number}@example.com"))
        for number in range(SIX)
    ]
    assert kinds(at_once(on_server.engine, calls)) == {"User": 1, "NameTaken": SIX - 1}
    assert len(letters(on_server.engine, on_server.keyring)) == 1, "nobody is written to about nothing"


def test_one_link_confirms_once(on_server: Services, origin: Origin) -> None:
    token = signed_up(on_server, origin, "dana")
    answers = at_once(on_server.engine, [confirm(on_server, origin, token)] * SIX)
    assert kinds(answers) == {"User": 1, "LinkOver": SIX - 1}
    with on_server.engine.connect() as connection:
        action = AuditRecord.__table__.c.action
        assert len(connection.execute(select(action).where(action == "user.verified")).all()) == 1


def test_of_three_accounts_that_confirm_one_address_at_once_one_owns_it(on_server: Services, origin: Origin) -> None:
    tokens = [signed_up(on_server, origin, f"dana{number}x") for number in range(3)]
    answers = at_once(on_server.engine, [confirm(on_server, origin, token) for token in tokens])
    assert kinds(answers) == {"User": 1, "NameTaken": 2}
    (winner,) = [answer for answer in answers if isinstance(answer, User)]
    assert owners(on_server) == [winner.username]


def test_one_invitation_makes_one_account(on_server: Services, origin: Origin) -> None:
    token = invite(on_server, origin)
    answers = at_once(on_server.engine, [accept(on_server, origin, token, f"dana{n}x") for n in range(SIX)])
    assert kinds(answers) == {"User": 1, "InvitationOver": SIX - 1}
    with on_server.engine.connect() as connection:
        assert len(connection.execute(select(UserRow.id)).all()) == 1


def test_an_invitation_and_a_sign_up_of_one_address_make_one_owner(on_server: Services, origin: Origin) -> None:
    for number in range(3):
        address = f"u{number}@example.com"
        link, token = signed_up(on_server, origin, f"made{number}", address), invite(on_server, origin, address)
        answers = at_once(
            on_server.engine,
            [confirm(on_server, origin, link), accept(on_server, origin, token, f"invited{number}")],
        )
        assert kinds(answers) == {"User": 1, "NameTaken": 1}
        assert len(owners(on_server, address)) == 1


def test_a_link_that_is_used_while_its_account_is_swept_is_one_or_the_other(
    on_server: Services, origin: Origin
) -> None:
    for number in range(3):
        signed_up(on_server, origin, f"dana{number}x", f"u{number}@example.com")
        almost = later(origin, UNCONFIRMED_FOR.total_seconds() - 60)
        with Transaction(on_server.engine) as tx:
            user = on_server.users.find_by_login(tx, f"dana{number}x")
            assert user is not None
            on_server.confirmations.ask(tx, almost, user)
        token = letters(on_server.engine, on_server.keyring)[-1].token
        over = later(origin, UNCONFIRMED_FOR.total_seconds() + 1)
        at_once(
            on_server.engine,
            [
                confirm(on_server, over, token),
                partial(on_server.confirmations.purge_unconfirmed, now=over.now),
            ],
        )
        with Transaction(on_server.engine) as tx:
            user = on_server.users.find_by_login(tx, f"dana{number}x")
            assert user is None or (user.is_verified and not user.is_unconfirmed)


def test_a_withdrawn_invitation_makes_no_account_whoever_is_quicker(on_server: Services, origin: Origin) -> None:
    token = invite(on_server, origin)
    with Transaction(on_server.engine) as tx:
        (found,) = on_server.invitations.list(tx)
    answers = at_once(
        on_server.engine,
        [
            accept(on_server, origin, token, "dana"),
            lambda tx: on_server.invitations.withdraw(tx, origin, found.id),
        ],
    )
    was_accepted = isinstance(answers[0], User)
    assert answers[1] is not was_accepted
    assert owners(on_server) == (["dana"] if was_accepted else [])


def test_what_is_deleted_of_an_unconfirmed_account_is_all_of_it(services: Services, origin: Origin) -> None:
    token = signed_up(services, origin, "dana")
    with Transaction(services.engine) as tx:
        user = services.users.find_by_login(tx, "dana")
        assert user is not None
        services.login.start_session(tx, origin, user, ("pwd",))
    with Transaction(services.engine) as tx:
        services.confirmations.disown(tx, origin, token)
    with services.engine.connect() as connection:
        assert connection.execute(select(UserRow.id)).all() == []
        assert connection.execute(select(EmailVerificationToken.id)).all() == []
        created = connection.execute(select(AuditRecord.__table__).where(AuditRecord.action == "user.created")).one()
    assert created.user_id is None, "the record outlives the account"


def test_an_address_that_was_changed_meanwhile_is_not_the_one_that_is_confirmed(
    services: Services, origin: Origin
) -> None:
    token = signed_up(services, origin, "dana")
    with Transaction(services.engine) as tx:
        user = services.users.find_by_login(tx, "dana")
        assert user is not None
        services.confirmations.change_address(tx, origin, user, "other@example.com")
    with Transaction(services.engine) as tx, pytest.raises(LinkOver):
        services.confirmations.confirm(tx, origin, token)
    with Transaction(services.engine) as tx:  # as a letter that was posted at the moment of the change
        tx.execute(
            update(EmailVerificationToken)
            .where(EmailVerificationToken.email == "dana@example.com")
            .values(verified_at=None)
        )
    with Transaction(services.engine) as tx, pytest.raises(LinkOver):
        services.confirmations.confirm(tx, origin, token)


def test_an_owner_from_before_whose_address_has_another_form_keeps_it(services: Services, origin: Origin) -> None:
    token = signed_up(services, origin, "dana", "kim@한국.kr")
    owner = added(services, origin, "kim", email="kim@example.com", password_hash=None)
    with Transaction(services.engine) as tx:
        first_rule = {"email": "kim@xn--3e0b707e.kr", "email_canonical": "kim@xn--3e0b707e.kr"}
        tx.execute(update(UserRow).where(UserRow.id == owner.id).values(first_rule))
    with Transaction(services.engine) as tx, pytest.raises(NameTaken):
        services.confirmations.confirm(tx, origin, token)


def test_a_stranger_cannot_use_the_kinds_of_links_for_each_other(services: Services, origin: Origin) -> None:
    token = signed_up(services, origin, "dana")
    invitation = invite(services, dataclasses.replace(origin), "bob@example.com")
    with Transaction(services.engine) as tx:
        assert services.confirmations.find(tx, origin.now, invitation) is None
        assert services.invitations.find(tx, origin.now, token) is None


def waiting_for(services: Services, username: str) -> User:
    with Transaction(services.engine) as tx:
        user = services.users.find_by_login(tx, username)
    assert user is not None
    return user


def test_an_unconfirmed_account_that_confirms_another_address_stays_and_gives_up_nothing(
    services: Services, origin: Origin
) -> None:
    signed_up(services, origin, "squatter")
    squatter = waiting_for(services, "squatter")
    with Transaction(services.engine) as tx:
        services.address_changes.ask(tx, origin, squatter, "own@example.com")
    token = letters(services.engine, services.keyring, name="address_confirm")[-1].token
    with Transaction(services.engine) as tx:
        services.address_changes.confirm(tx, origin, token, kept_session=None)
    assert not waiting_for(services, "squatter").is_unconfirmed
    with Transaction(services.engine) as tx:
        over = later(origin, UNCONFIRMED_FOR.total_seconds())
        assert services.confirmations.purge_unconfirmed(tx, over.now) == 0
    token = signed_up(services, origin, "dana")
    with Transaction(services.engine) as tx:
        assert services.confirmations.confirm(tx, origin, token).username == "dana", "nothing is kept from its owner"


def test_an_address_that_its_former_owner_can_have_back_is_confirmed_for_nobody_else(
    services: Services, origin: Origin
) -> None:
    owner = added(services, origin, "owner", email="dana@example.com", password_hash=None, is_verified=True)
    with Transaction(services.engine) as tx:
        services.address_changes.ask(tx, origin, owner, "thief@example.com")
    token = letters(services.engine, services.keyring, name="address_confirm")[-1].token
    with Transaction(services.engine) as tx:
        services.address_changes.confirm(tx, origin, token, kept_session=None)
    token = signed_up(services, origin, "dana")
    with Transaction(services.engine) as tx, pytest.raises(NameTaken):
        services.confirmations.confirm(tx, origin, token)


def test_an_address_that_waits_gets_no_letters_but_those_that_confirm_it(services: Services, origin: Origin) -> None:
    signed_up(services, origin, "dana")
    dana = waiting_for(services, "dana")
    with Transaction(services.engine) as tx:
        services.alerts.tell(tx, origin, dana, Alert.NEW_DEVICE)
        services.forgotten_passwords.ask(tx, origin, "dana", "en")
        services.forgotten_passwords.ask(tx, origin, "dana@example.com", "en")
        for request in services.forgotten_passwords.waiting(tx, 9):
            assert services.forgotten_passwords.answer(tx, origin.now, request)
    assert [letter.name for letter in letters(services.engine, services.keyring)] == ["confirm_address"]
