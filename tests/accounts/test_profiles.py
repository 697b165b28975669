"""Profiles and pictures by many at once: one row each, whole as one of them wrote it, and gone with the user."""

from __future__ import annotations

import pytest
from sqlalchemy import delete, select

from database.models import User as UserRow
from database.models import UserPicture, UserProfile
from database.transaction import Transaction
from provider.accounts.users import User
from provider.protocol.messages import Origin
from provider.services import Services
from tests.accounts.conftest import added, events_on, later
from tests.together import Call, at_once


@pytest.fixture
def ana(on_server: Services, origin: Origin) -> User:
    return added(on_server, origin, "ana")


def test_of_six_that_save_at_once_one_is_kept_and_the_others_are_told(
    on_server: Services, origin: Origin, ana: User
) -> None:
    def saving(number: int) -> Call:
        values = {"given_name": f"name {number}", "country": f"country {number}"}
        return lambda tx: on_server.profiles.save(tx, later(origin, number), ana, "", values)

    answers = at_once(on_server.engine, [saving(number) for number in range(6)], tries=6)
    assert sorted(answers) == [False] * 5 + [True]
    with on_server.engine.connect() as connection:
        (row,) = connection.execute(select(UserProfile.given_name, UserProfile.country)).all()
    number = answers.index(True)
    assert (row.given_name, row.country) == (f"name {number}", f"country {number}")
    assert len(events_on(on_server.engine, "user.profile_changed")) == 1


def test_six_pictures_at_once_leave_one(on_server: Services, origin: Origin, ana: User) -> None:
    def sending(number: int) -> Call:
        return lambda tx: on_server.profiles.set_picture(tx, later(origin, number), ana.id, bytes([number]) * 100)

    assert at_once(on_server.engine, [sending(number) for number in range(6)], tries=6) == [None] * 6
    with on_server.engine.connect() as connection:
        assert len(connection.execute(select(UserPicture.id)).all()) == 1


def test_what_somebody_said_goes_with_them(on_server: Services, origin: Origin, ana: User) -> None:
    with Transaction(on_server.engine) as tx:
        on_server.profiles.save(tx, origin, ana, "", {"given_name": "Ana"})
        on_server.profiles.set_picture(tx, origin, ana.id, b"x" * 60_000)
        address = on_server.profiles.get(tx, ana.id).picture
        assert address is not None
        assert on_server.profiles.picture(tx, address.rpartition("/")[2]) == b"x" * 60_000
        tx.execute(delete(UserRow))
        assert tx.execute(select(UserProfile.user_id)).all() == tx.execute(select(UserPicture.id)).all() == []
