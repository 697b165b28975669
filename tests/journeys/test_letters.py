"""Letters from a running server: at once, from a command, and each at least once however the server ends."""

from __future__ import annotations

import datetime
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import update

from database.connection import create_engine_for
from database.models import MailMessage
from database.transaction import Transaction
from provider.protocol.messages import Origin
from provider.services import Services
from provider.settings import load_settings
from provider.start.key_files import load_keyring
from tests.database_servers import MariaDBServer
from tests.journeys.conftest import documented_variables
from tests.mail_servers import MailServer
from tests.serving import Server
from tests.waiting import HANG_SECONDS, eventually

LETTERS = 24


@pytest.fixture
def mail_server() -> Iterator[MailServer]:
    made = MailServer()
    yield made
    made.close()


@pytest.fixture(params=["sqlite", "mariadb"])
def server(
    request: pytest.FixtureRequest, tmp_path: Path, mail_server: MailServer, worker_name: str
) -> Iterator[Server]:
    database = {}
    if request.param == "mariadb":
        mariadb: MariaDBServer = request.getfixturevalue("mariadb_server")
        database = documented_variables(mariadb, worker_name, "letters")
    settings = {"MCP_SMTP_URL": mail_server.url, "MCP_MAIL_FROM": "id@id.example"}
    made = Server(tmp_path / "home", settings=settings, database=database, workers=2)
    made.start()
    yield made
    made.stop()


class Writer:
    """Another process on the same database: what it commits is sent by the server, as what its own pages commit."""

    def __init__(self, server: Server) -> None:
        from database.connection import database_url_from_environment

        settings = load_settings({k: v for k, v in server.environment.items() if k.startswith("MCP_")})
        self.engine = create_engine_for(database_url_from_environment(server.environment))
        self.services = Services(settings, self.engine, load_keyring(settings, may_create=False))

    def write(self, count: int) -> list[str]:
        now, ids = datetime.datetime.now(datetime.UTC), []
        for number in range(count):
            with Transaction(self.engine) as tx:
                ids.append(
                    self.services.mail.post(
                        tx,
                        Origin("", "pytest", "request-1", now),
                        to=f"person{number}@example.com",
                        letter="test",
                        language=None,
                        values={},
                    )
                )
        return ids

    def let_claims_run_out(self) -> None:
        """What two minutes do."""
        with Transaction(self.engine) as tx:
            tx.execute(
                update(MailMessage)
                .where(MailMessage.next_attempt_at.is_not(None))
                .values(next_attempt_at=datetime.datetime.now(datetime.UTC))
            )

    def waiting(self) -> int:
        with Transaction(self.engine) as tx:
            return self.services.mail_records.state(tx).waiting


@pytest.mark.slow
def test_a_killed_server_sends_every_letter_once_or_twice(server: Server, mail_server: MailServer) -> None:
    """Killed when the mail server has some that nobody has noted yet, and before others are sent."""
    writer, held, goes_on = Writer(server), threading.Semaphore(0), threading.Event()

    def hold() -> None:
        """The mail server takes its time for its last word: who is killed now does not hear it."""
        held.release()
        goes_on.wait(HANG_SECONDS)

    mail_server.wait = hold
    posted = writer.write(LETTERS)
    assert held.acquire(timeout=HANG_SECONDS)
    server.kill()
    assert writer.waiting() == LETTERS, "none is noted as sent"
    goes_on.set()
    mail_server.wait = None
    posted += writer.write(2)
    writer.let_claims_run_out()
    server.start()
    eventually(lambda: writer.waiting() == 0)
    sent = Counter(it.message["Message-ID"] for it in mail_server.received)
    assert set(sent) == {f"<{row_id}@id.example>" for row_id in posted}, "never zero times"
    assert set(sent.values()) <= {1, 2}
    twice = [name for name, count in sent.items() if count == 2]
    assert twice, "those that it had when it was killed"
    for name in twice:
        first, second = (it.data for it in mail_server.received if it.message["Message-ID"] == name)
        assert first == second, "they are seen as one"
    print(f"{len(posted)} letters, {len(twice)} of them twice")
    assert "Traceback" not in server.log_text()
    assert server.stop() == 0, "the courier does not keep the server from ending"
    writer.engine.dispose()


def test_a_mail_server_that_hangs_keeps_neither_pages_nor_the_end_waiting(
    tmp_path: Path, mail_server: MailServer
) -> None:
    asked, goes_on = threading.Event(), threading.Event()

    def hang() -> None:
        asked.set()
        goes_on.wait(HANG_SECONDS)

    mail_server.wait = hang
    settings = {"MCP_SMTP_URL": mail_server.url, "MCP_MAIL_FROM": "id@id.example"}
    server = Server(tmp_path / "home", settings=settings)
    server.start()
    try:
        writer = Writer(server)
        writer.write(6)
        assert asked.wait(HANG_SECONDS)
        server.user("ana", "violet kettle 71 harbour paints")
        assert "mailbox" not in server.log_text()
        assert server.stop() == 0
        assert writer.waiting() == 6, "none had been taken for good"
        writer.engine.dispose()
    finally:
        goes_on.set()
        server.stop()
