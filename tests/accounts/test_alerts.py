"""Letters that are held back, and the words for them, where several servers share one database."""

from __future__ import annotations

from sqlalchemy import Engine, select

from database.models import HeldAlert
from database.transaction import Transaction
from provider.accounts.alerts import Alert
from provider.accounts.users import User
from provider.protocol.messages import Origin
from provider.services import Services
from tests.accounts.conftest import added, later
from tests.letters import letters
from tests.together import at_once

TABLE = HeldAlert.__table__


def held(engine: Engine) -> list[tuple[str, int]]:
    with engine.connect() as connection:
        return [(row.alert, row.times) for row in connection.execute(select(TABLE).order_by(TABLE.c.alert))]


def test_what_is_held_is_counted_and_told_once(services: Services, origin: Origin, ana: User) -> None:
    with Transaction(services.engine) as tx:
        for _ in range(6):
            services.alerts.tell(tx, origin, ana, Alert.API_KEY_MADE, name="key")
    assert held(services.engine) == [("api_key_made", 3)]
    after = later(origin, 3600)
    with Transaction(services.engine) as tx:
        assert services.alerts.tell_held(tx, origin.now) == 0, "not before an hour is over"
        assert services.alerts.tell_held(tx, after.now) == 1
        assert services.alerts.tell_held(tx, after.now) == 0
    (letter,) = letters(services.engine, services.keyring, name="alerts_held")
    assert letter.values["api_key_made"] == "3"


def test_of_many_at_one_moment_all_are_told_of_or_counted(on_server: Services, origin: Origin) -> None:
    ana = added(on_server, origin, "ana", is_verified=True)
    at_once(on_server.engine, [lambda tx: on_server.alerts.tell(tx, origin, ana, Alert.NEW_DEVICE)] * 10, tries=20)
    assert len(letters(on_server.engine, on_server.keyring)) == 3
    assert held(on_server.engine) == [("new_device", 7)]
    after = later(origin, 3600)
    told = at_once(on_server.engine, [lambda tx: on_server.alerts.tell_held(tx, after.now)] * 4, tries=10)
    assert sorted(told) == [0, 0, 0, 1]
    assert len(letters(on_server.engine, on_server.keyring, name="alerts_held")) == 1
    with on_server.engine.connect() as connection:
        assert connection.execute(select(TABLE)).all() == []
