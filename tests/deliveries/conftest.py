"""The real services with a mail server, a clock that stands still, and letters to post."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from sqlalchemy import Engine, select

from database.models import AuditRecord, MailMessage
from database.transaction import Transaction
from provider.deliveries.courier import Courier
from provider.deliveries.mail import QueuedLetter
from provider.protocol.messages import Origin
from provider.security.crypto import Keyring
from provider.services import Services
from provider.settings import load_settings
from provider.start.couriers import mail_courier
from tests.couriers import attempt_due
from tests.mail_servers import MailServer

ISSUER = "https://id.example/oauth"
FROM = "Example <id@id.example>"


@dataclass
class Office:
    """One process of a server. ``now`` moves only when told to."""

    services: Services
    now: datetime.datetime
    started: list[Courier[QueuedLetter]] = field(default_factory=list)

    @property
    def by(self) -> Origin:
        return Origin("192.0.2.10", "pytest", "request-1", self.now)

    def begin(self) -> Transaction:
        return Transaction(self.services.engine)

    def post(self, to: str = "ana@example.com", letter: str = "test", **options: Any) -> str:
        given: dict[str, Any] = {"language": None, "values": {}, **options}
        with self.begin() as tx:
            return self.services.mail.post(tx, self.by, to=to, letter=letter, **given)

    def courier(self, poll_seconds: float = 0.05) -> Courier[QueuedLetter]:
        made = mail_courier(self.services, lambda: self.now, poll_seconds=poll_seconds)
        assert made is not None
        return made

    def attempt(self) -> int:
        """What a process does once about everything that is due. Returns the number of attempts."""
        return attempt_due(self.courier())

    def deliver(self, poll_seconds: float = 0.05) -> Courier[QueuedLetter]:
        """Starts the threads of a process, which are stopped at the end."""
        courier = self.courier(poll_seconds)
        courier.start()
        self.started.append(courier)
        return courier

    def later(self, seconds: float) -> None:
        self.now += datetime.timedelta(seconds=seconds)

    def rows(self) -> list[dict[str, Any]]:
        with self.services.engine.connect() as connection:
            found = connection.execute(select(MailMessage.__table__).order_by(MailMessage.id)).mappings()
            return [dict(row) for row in found]

    def row(self) -> dict[str, Any]:
        (row,) = self.rows()
        return row

    def events(self, action: str) -> list[dict[str, Any]]:
        with self.services.engine.connect() as connection:
            table = AuditRecord.__table__
            found = connection.execute(select(table).where(table.c.action == action)).mappings()
            return [dict(row) for row in found]


MakeOffice = Callable[..., Office]


@pytest.fixture
def make_office(keyring: Keyring, now: datetime.datetime) -> Iterator[MakeOffice]:
    """A process on a database, with the mail server that it is given. Called again it gives another one."""
    made: list[Office] = []

    def make(engine: Engine, server: MailServer | str, **settings: Any) -> Office:
        url = server if isinstance(server, str) else server.url
        given: dict[str, Any] = {"issuer": ISSUER, "smtp_url": url, "mail_from": FROM, **settings}
        if isinstance(server, MailServer):
            given.setdefault("outbound_ca_file", server.authority)
        made.append(Office(Services(load_settings({}, **given), engine, keyring), now))
        return made[-1]

    yield make
    for office in made:
        for courier in office.started:
            courier.stop()


@pytest.fixture
def server() -> Iterator[MailServer]:
    made = MailServer()
    yield made
    made.close()


@pytest.fixture
def office(make_office: MakeOffice, sqlite_engine: Engine, server: MailServer) -> Office:
    return make_office(sqlite_engine, server)
