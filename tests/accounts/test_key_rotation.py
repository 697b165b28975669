"""API keys change their secret without a gap, and tell their owners before they expire: on a server, by many at once."""

from __future__ import annotations

import datetime
from collections import Counter
from typing import Any

import pytest
from sqlalchemy import select, update

from database.models import Client as ClientRow
from database.models import MailMessage
from database.transaction import Transaction
from provider.accounts.key_rotation import OVERLAP_HOURS, RotatedMeanwhile
from provider.accounts.users import User
from provider.protocol.client import Client
from provider.protocol.messages import Origin
from provider.services import Services
from tests.accounts.conftest import added, events_on, later
from tests.letters import letters
from tests.together import at_once

DAY = 86_400
KEYS = ClientRow.__table__


@pytest.fixture
def ana(on_server: Services, origin: Origin) -> User:
    return added(on_server, origin, "ana", locale="ko")


def made(services: Services, origin: Origin, owner: User, *, days: int | None = 90, name: str = "nightly") -> Client:
    with Transaction(services.engine) as tx:
        return services.api_keys.create(tx, origin, owner, name=name, scope=None, expires_in_days=days, resource=None)[
            0
        ]


def read(services: Services, key: Client) -> Client:
    with Transaction(services.engine) as tx:
        found = services.clients.find(tx, key.client_id, fresh=True)
    assert found is not None
    return found


def test_of_six_that_rotate_at_once_one_does(on_server: Services, origin: Origin, ana: User) -> None:
    key = made(on_server, origin, ana)
    version = on_server.key_rotation.version(key)

    def rotate(tx: Transaction) -> str:
        seen = on_server.clients.get_by_row(tx, key.id)
        assert seen is not None
        return on_server.key_rotation.rotate(tx, later(origin, 5), seen, version=version, overlap_hours=24)

    answers = at_once(on_server.engine, [rotate] * 6)
    assert Counter(type(answer).__name__ for answer in answers) == {"str": 1, "RotatedMeanwhile": 5}
    (secret,) = [answer for answer in answers if isinstance(answer, str)]
    now = read(on_server, key)
    assert now.secret_hash == on_server.clients.secret_hash(secret)
    assert now.previous_secret_hash == key.secret_hash, "what programs have is what works on"
    assert len(events_on(on_server.engine, "api_key.rotated")) == 1


def test_one_that_was_revoked_meanwhile_gets_no_secret(on_server: Services, origin: Origin, ana: User) -> None:
    key = made(on_server, origin, ana)
    with Transaction(on_server.engine) as tx:
        assert on_server.api_keys.revoke(tx, origin, ana.id, key.id)
        with pytest.raises(RotatedMeanwhile):
            on_server.key_rotation.rotate(tx, origin, key, version=on_server.key_rotation.version(key), overlap_hours=0)


@pytest.mark.parametrize("hours, days", [(2, None), (-1, None), (24 * 365, None), (0, 1), (0, 10_000)])
def test_there_are_no_other_choices(on_server: Services, origin: Origin, ana: User, hours: int, days: int) -> None:
    key = made(on_server, origin, ana)
    with Transaction(on_server.engine) as tx, pytest.raises(ValueError, match="no such choice"):
        on_server.key_rotation.rotate(
            tx, origin, key, version=on_server.key_rotation.version(key), overlap_hours=hours, renewed_days=days
        )
    assert OVERLAP_HOURS == (0, 1, 24, 72)


def test_a_longer_life_is_counted_from_now_and_told_of_again(on_server: Services, origin: Origin, ana: User) -> None:
    key, endless = made(on_server, origin, ana), made(on_server, origin, ana, days=None, name="endless")
    at = later(origin, 80 * DAY)
    with Transaction(on_server.engine) as tx:
        assert on_server.key_expiry.tell(tx, at.now) == 1
        for each in (key, endless):
            on_server.key_rotation.rotate(
                tx, at, each, version=on_server.key_rotation.version(each), overlap_hours=0, renewed_days=30
            )
    found = read(on_server, key)
    assert (found.expires_at, found.expiry_told) == (at.now + datetime.timedelta(days=30), None)
    assert read(on_server, endless).expires_at is None, "a key that never expires is not made to"


LETTERS = [
    ("long before", 90, [70], 0),
    ("14 days before", 90, [76], 1),
    ("a moment too early", 90, [75.99], 0),
    ("swept often", 90, [76, 76.01, 80, 86.9], 1),
    ("both", 90, [76, 87, 87.1, 89.99], 2),
    ("the first sweep in the last days", 90, [88, 89], 1),
    ("over", 90, [90, 91], 0),
    ("made for ten days", 10, [0, 1, 6.9], 0),
    ("made for ten days, near its end", 10, [0, 7, 9], 1),
    ("made for two days", 2, [0, 1], 0),
    ("without end", None, [0, 76, 1000], 0),
]


@pytest.mark.parametrize("case, days, sweeps, count", LETTERS, ids=[row[0] for row in LETTERS])
def test_owners_are_told_twice_and_once_each(
    services: Services, origin: Origin, add_user: Any, case: str, days: int | None, sweeps: list[float], count: int
) -> None:
    owner = add_user("ana", locale="ko")
    key = made(services, origin, owner, days=days)
    for at in sweeps:
        with Transaction(services.engine) as tx:
            services.key_expiry.tell(tx, later(origin, at * DAY).now)
    found = letters(services.engine, services.keyring, name="key_expires")
    assert len(found) == count
    for letter in found:
        assert (letter.to, letter.name, letter.language) == ("ana@example.com", "key_expires", "ko")
        assert letter.values["key"] == "nightly"
        assert letter.values["link"] == f"https://id.example/account/api-keys/{key.client_id}"
        assert key.expires_at is not None
        assert letter.values["expires_at"] == key.expires_at.isoformat()


@pytest.mark.parametrize("state", ["revoked", "owner disabled", "application"])
def test_nobody_is_told_of_what_does_not_work_anyway(
    services: Services, origin: Origin, add_user: Any, state: str
) -> None:
    owner = add_user("ana")
    key = made(services, origin, owner)
    with Transaction(services.engine) as tx:
        if state == "revoked":
            services.api_keys.revoke(tx, origin, owner.id, key.id)
        elif state == "owner disabled":
            services.user_ends.set_active(tx, origin, owner.id, False)
        else:
            tx.execute(update(ClientRow).values(kind="application"))
    with Transaction(services.engine) as tx:
        assert services.key_expiry.tell(tx, later(origin, 80 * DAY).now) == 0
    assert letters(services.engine, services.keyring, name="key_expires") == []


def test_the_day_is_that_of_the_reader_in_the_form_of_the_language(
    services: Services, origin: Origin, add_user: Any
) -> None:
    owner = add_user("ana")
    made(services, origin, owner)
    expires = datetime.datetime(2026, 12, 24, 20, 0, tzinfo=datetime.UTC)
    with Transaction(services.engine) as tx:
        tx.execute(update(ClientRow).values(expires_at=expires, created_at=expires - datetime.timedelta(days=90)))
        services.key_expiry.tell(tx, expires - datetime.timedelta(days=10))
    (letter,) = letters(services.engine, services.keyring, name="key_expires")
    for language, zone, day in (
        *(("ko", "Asia/Seoul", "2026년 12월 25일"), ("en", "Asia/Seoul", "Dec 25, 2026")),
        *(("en", None, "Dec 24, 2026"), ("en", "Mars/Olympus", "Dec 24, 2026")),
    ):
        assert day in services.letters.write(letter.name, language, letter.values, time_zone=zone).text, (
            language,
            zone,
        )


def test_of_several_servers_one_writes(on_server: Services, origin: Origin, ana: User) -> None:
    for number in range(5):
        made(on_server, origin, ana, name=f"key {number}")
    due = later(origin, 80 * DAY).now
    at_once(on_server.engine, [lambda tx: on_server.key_expiry.tell(tx, due)] * 6)
    with on_server.engine.connect() as connection:
        assert connection.execute(select(KEYS.c.expiry_told)).scalars().all() == [14] * 5
        assert len(connection.execute(select(MailMessage.id).where(MailMessage.letter == "key_expires")).all()) == 5
