"""How much one account can have: keys, sessions, consents. The next one is refused, or the oldest makes room."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import func, select

from database.models import Consent as ConsentRow
from database.transaction import Transaction
from provider.accounts import api_keys, consents
from provider.accounts.api_keys import MAX_LIVE, TooManyKeys
from provider.accounts.users import User
from provider.protocol.messages import Origin
from provider.security.crypto import new_secret
from provider.services import Services
from provider.sign_in import sessions
from tests.accounts.conftest import AddUser, Events, added, later
from tests.accounts.test_api_keys import create
from tests.accounts.test_consents import register
from tests.granting import add_grant
from tests.together import at_once

DAY = 86400


def test_a_user_has_at_most_fifty_keys_that_work(
    services: Services, origin: Origin, ana: User, add_user: AddUser
) -> None:
    keys = [create(services, origin, ana, name=f"Key {number}", expires_in_days=1)[0] for number in range(MAX_LIVE)]
    with pytest.raises(TooManyKeys, match="50 keys that work"):
        create(services, origin, ana)
    create(services, origin, add_user("bob"))
    with Transaction(services.engine) as tx:
        assert services.api_keys.revoke(tx, origin, ana.id, keys[7].id)
    create(services, origin, ana, expires_in_days=1)
    with pytest.raises(TooManyKeys):
        create(services, origin, ana)
    create(services, later(origin, DAY), ana)  # those of a day ago have ended


def test_keys_made_at_once_are_counted_one_after_the_other(
    on_server: Services, origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api_keys, "MAX_LIVE", 3)
    ana = added(on_server, origin, "ana")

    def make(tx: Transaction) -> Any:
        return on_server.api_keys.create(tx, origin, ana, name="Key", scope=None, expires_in_days=None, resource=None)

    answers = at_once(on_server.engine, [make] * 6)
    assert sum(isinstance(answer, TooManyKeys) for answer in answers) == 3


def test_of_too_many_sessions_the_one_used_longest_ago_ends_with_all_that_ends_with_it(
    services: Services, origin: Origin, ana: User, add_user: AddUser, events: Events, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "MAX_LIVE", 3)
    bob = add_user("bob")

    def start(user: User, second: int) -> str:
        with Transaction(services.engine) as tx:
            return services.sessions.start(tx, later(origin, second), user.id, ("pwd",))

    def live(token: str) -> bool:
        with Transaction(services.engine) as tx:
            return services.sessions.find(tx, later(origin, 200).now, token) is not None

    others = start(bob, 0)
    tokens = [start(ana, second) for second in range(3)]
    with Transaction(services.engine) as tx:  # the first one is used again
        services.sessions.find(tx, later(origin, 100).now, tokens[0])
    tokens.append(start(ana, 120))
    assert [live(token) for token in tokens] == [True, False, True, True]
    assert live(others)
    (ended,) = events("session.ended")
    assert (ended["user_id"], ended["metadata"]) == (ana.id, {"reason": "too_many"})


def test_of_too_many_consents_the_oldest_is_taken_back_with_its_grants(
    services: Services, origin: Origin, ana: User, events: Events, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consents, "MAX_LIVING", 3)
    with Transaction(services.engine) as tx:
        client = register(services, tx, origin)

    def allow(number: int) -> str:
        with Transaction(services.engine) as tx:
            return services.consents.remember(
                tx,
                later(origin, number),
                user_id=ana.id,
                client=client,
                resource_uri="https://api.example/mcp",
                redirect_uri=f"http://127.0.0.1:{50000 + number}/callback",
                scope=("openid",),
            )

    made = [allow(number) for number in range(3)]
    with Transaction(services.engine) as tx:
        grant = add_grant(
            tx, origin.now, user_id=ana.id, client_row_id=client.id, session_id=None, consent_id=made[0], scope=("openid",),
            resource_uri="r", authenticated_at=origin.now, amr=("pwd",), acr="a",
        )  # fmt: skip
    made.append(allow(3))
    with Transaction(services.engine) as tx:
        assert {consent.id for consent in services.consents.list(tx, ana.id)} == set(made[1:])
        ended = services.grants.find(tx, grant)
        assert ended is not None
        assert ended.revoked_at is not None
    assert [event["resource_id"] for event in events("consent.withdrawn")] == [made[0]]
    allow(3)
    with services.engine.connect() as connection:
        count = select(func.count()).select_from(ConsentRow.__table__)
        assert connection.execute(count).scalar_one() == 4, "deciding again on the same adds nothing"


def test_a_form_sent_twice_at_once_makes_one_key(on_server: Services, origin: Origin) -> None:
    ana = added(on_server, origin, "ana")
    token = new_secret("session")

    def make(tx: Transaction) -> Any:
        return on_server.api_keys.create(
            tx, origin, ana, name="Key", scope=(), expires_in_days=30, resource=None, session_token=token
        )

    answers = at_once(on_server.engine, [make] * 4)
    assert len({(key.client_id, secret) for key, secret in answers}) == 1
    with Transaction(on_server.engine) as tx:
        assert len(on_server.api_keys.list(tx, ana.id)) == 1
