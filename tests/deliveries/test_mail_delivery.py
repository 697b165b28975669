"""The outbox of letters and its courier: which failure leads to which state, and that no letter holds up another."""

from __future__ import annotations

import datetime
import logging
import threading
from typing import Any

import pytest
from sqlalchemy import Engine, update

from database.models import MailMessage
from database.transaction import Transaction
from provider.deliveries.mail import AGAIN, FRESH, KEPT_DAYS, LEASE_SECONDS, RETRY_SECONDS
from provider.deliveries.mail_delivery import LONGEST_PAUSE_SECONDS
from provider.deliveries.outbox import Outcome
from provider.deliveries.smtp import SECONDS
from provider.start.couriers import mail_courier
from tests.couriers import attempt_due
from tests.deliveries.conftest import MakeOffice, Office
from tests.mail_servers import MailServer, raw_server
from tests.together import at_once
from tests.waiting import HANG_SECONDS, eventually


def test_a_letter_is_sent_in_the_language_of_the_person_and_forgotten(office: Office, server: MailServer) -> None:
    row_id = office.post(language="ko", values={"x": "secret"})
    assert office.attempt() == 1
    assert office.attempt() == 0
    (received,) = server.received
    message = received.message
    assert (received.sender, received.recipient) == ("id@id.example", "ana@example.com")
    assert message["Message-ID"] == f"<{row_id}@id.example>"
    assert "테스트" in message["Subject"]
    assert "https://id.example/account" in received.part("plain")
    assert 'href="https://id.example/account"' in received.part("html")
    row = office.row()
    assert (row["delivered_at"], row["next_attempt_at"], row["values_encrypted"]) == (office.now, None, None)


def test_what_is_rolled_back_is_not_sent(office: Office, server: MailServer) -> None:
    tx = office.begin()
    office.services.mail.post(tx, office.by, to="ana@example.com", letter="test", language=None, values={})
    tx.rollback()
    assert office.attempt() == 0
    assert server.received == []


# What a failure leads to: refusals, then attempts that count, whether it is over, and when it is tried again.
STATES: list[tuple[str, dict[str, str], int, bool, int | None]] = [
    ("greylisted", {"RCPT": "450 later"}, 1, False, RETRY_SECONDS[0]),
    ("put off at the letter", {"DATA": "451 later"}, 1, False, RETRY_SECONDS[0]),
    ("nobody there", {"RCPT": "550 nobody"}, 1, True, None),
    ("refused for its words", {"DATA": "554 spam"}, 1, True, None),
    ("the server closes", {"RCPT": "421 closing"}, 0, False, 5),
    ("we are refused", {"MAIL": "550 not from you"}, 0, False, 5),
]


@pytest.mark.parametrize("refusals, attempts, is_over, wait", [it[1:] for it in STATES], ids=[it[0] for it in STATES])
def test_what_a_failure_leads_to(
    office: Office, server: MailServer, refusals: dict[str, str], attempts: int, is_over: bool, wait: int | None
) -> None:
    server.refusals |= refusals
    office.post()
    assert office.attempt() == 1
    row = office.row()
    assert row["attempts"] == attempts
    assert (row["failed_at"] is not None) is is_over
    assert row["next_attempt_at"] == (office.now + datetime.timedelta(seconds=wait) if wait else None)
    assert next(iter(refusals.values())) in row["last_problem"]
    assert row["values_encrypted"], "it can be sent again by hand"
    assert len(office.events("mail.failed")) == int(is_over)
    server.refusals.clear()
    office.later(wait or 86400)
    assert office.attempt() == int(not is_over)
    assert len(server.received) == int(not is_over)


def test_a_letter_is_given_up_in_the_end_and_that_is_recorded(office: Office, server: MailServer) -> None:
    server.refusals["RCPT"] = "450 later"
    row_id = office.post()
    for seconds in (*RETRY_SECONDS, 0):
        assert office.attempt() == 1
        office.later(seconds)
    office.later(86400)
    assert office.attempt() == 0
    (event,) = office.events("mail.failed")
    assert event["resource_id"] == row_id
    assert event["metadata"]["attempts"] == len(RETRY_SECONDS) + 1
    assert "ana@example.com" not in str(event), "an address is no matter of the audit log"


def test_a_server_that_is_away_costs_no_attempts_and_is_asked_less_and_less(office: Office, server: MailServer) -> None:
    server.stop()
    for number in range(5):
        office.post(f"person{number}@example.com")
    courier, pauses = office.courier(), []
    for _ in range(9):
        assert attempt_due(courier) >= 1
        pauses.append((min(row["next_attempt_at"] for row in office.rows()) - office.now).total_seconds())
        assert attempt_due(courier) == 0, "asked during the pause"
        office.later(pauses[-1])
    assert pauses == sorted(pauses)
    assert (pauses[0], pauses[-1]) == (5, LONGEST_PAUSE_SECONDS)
    assert {row["attempts"] for row in office.rows()} == {0}
    server.start()
    office.later(LONGEST_PAUSE_SECONDS)
    attempt_due(courier)
    assert len(server.received) == 5


def test_a_letter_that_waited_two_days_for_the_server_is_given_up(office: Office, server: MailServer) -> None:
    server.stop()
    office.post()
    courier = office.courier()
    attempt_due(courier)
    office.later(2 * 86400)
    attempt_due(courier)
    assert (office.row()["next_attempt_at"], office.row()["failed_at"]) == (None, office.now)


@pytest.mark.parametrize("recipient", ["no address", "a@b.example\r\nBcc: eve@example.com", "<x@example.com>"])
def test_an_address_that_is_none_is_over_at_once(office: Office, server: MailServer, recipient: str) -> None:
    office.post(recipient)
    office.post("ana@example.com")
    office.attempt()
    assert [it.recipient for it in server.received] == ["ana@example.com"]
    assert [row["failed_at"] is not None for row in office.rows()] == [True, False]


def test_a_letter_of_a_later_version_is_tried_again(office: Office, server: MailServer) -> None:
    office.post(letter="not-known-yet")
    office.attempt()
    row = office.row()
    assert (row["failed_at"], row["last_problem"]) == (None, "NoSuchLetter")
    assert row["next_attempt_at"] == office.now + datetime.timedelta(seconds=RETRY_SECONDS[0])


def test_a_letter_that_was_moved_to_another_row_is_not_sent(office: Office, server: MailServer) -> None:
    first, second = office.post(values={"x": "1"}), office.post("bob@example.com")
    sealed = {row["id"]: row["values_encrypted"] for row in office.rows()}
    with office.begin() as tx:
        tx.execute(update(MailMessage).where(MailMessage.id == second).values(values_encrypted=sealed[first]))
    office.attempt()
    assert [it.recipient for it in server.received] == ["ana@example.com"]


def test_neither_log_nor_row_says_who_was_written_to_or_what(
    office: Office, server: MailServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "mcp_core")
    server.refusals["RCPT"] = "450 later"
    office.post("someone@example.com", values={"link": "https://id.example/reset/x"})
    office.attempt()
    said = "\n".join(record.getMessage() for record in caplog.records if record.name.startswith("mcp_core"))
    assert "a letter failed, attempt 1: recipient: 450 later" in said
    assert "someone@example.com" not in said
    assert "reset/x" not in said + str(office.rows())


# One at a time, each once


def test_a_letter_goes_at_once_when_its_transaction_is_committed(office: Office, server: MailServer) -> None:
    office.deliver(poll_seconds=3600)
    office.post()
    eventually(lambda: len(server.received) == 1)


def test_a_slow_server_holds_up_no_transaction_and_stopping_does_not_wait_for_it(
    office: Office, server: MailServer
) -> None:
    asked, goes_on = threading.Event(), threading.Event()

    def wait() -> None:
        asked.set()
        goes_on.wait(HANG_SECONDS)

    server.wait = wait
    office.deliver()
    office.post()
    assert asked.wait(HANG_SECONDS)
    office.post("written meanwhile@example.com")
    goes_on.set()
    eventually(lambda: office.rows()[0]["delivered_at"])


def test_letters_that_are_refused_for_now_hold_up_no_new_one(office: Office, server: MailServer) -> None:
    server.refusals["slow@example.com"] = "450 later"
    for _ in range(4):
        office.post("slow@example.com")
    office.attempt()
    office.later(RETRY_SECONDS[0])
    office.post("ana@example.com")
    with office.begin() as tx:
        claim = office.services.mail.claim
        lanes = {lane: claim(tx, office.now, 10, lane=lane) for lane in (FRESH, AGAIN)}
    assert [it.recipient for it in lanes[FRESH]] == ["ana@example.com"]
    assert [it.recipient for it in lanes[AGAIN]] == ["slow@example.com"] * 4


def test_an_attempt_is_over_before_its_claim() -> None:
    assert SECONDS < LEASE_SECONDS


def test_what_a_process_took_with_it_is_sent_by_the_next(
    office: Office, make_office: MakeOffice, sqlite_engine: Engine, server: MailServer
) -> None:
    office.post()
    with office.begin() as tx:
        assert len(office.services.mail.claim(tx, office.now, 10, lane=FRESH)) == 1
    other = make_office(sqlite_engine, server)
    assert other.attempt() == 0
    other.later(LEASE_SECONDS)
    assert other.attempt() == 1
    assert len(server.received) == 1


@pytest.mark.parametrize("is_under_way", [True, False])
def test_a_late_failure_changes_nothing_of_what_another_process_does(
    office: Office, server: MailServer, is_under_way: bool
) -> None:
    office.post()
    mail = office.services.mail
    with office.begin() as tx:
        (late,) = mail.claim(tx, office.now, 10, lane=FRESH)
    office.later(LEASE_SECONDS)
    with office.begin() as tx:
        (again,) = mail.claim(tx, office.now, 10, lane=AGAIN)
        if not is_under_way:
            mail.delivered(tx, office.now, again)
    before = office.row()
    with office.begin() as tx:
        assert not mail.failed(tx, office.now, late, Outcome("too late", is_final=True))
        assert not mail.failed(tx, office.now, late, Outcome("too late", pause_seconds=5))
    assert office.row() == before


def test_of_eight_that_claim_at_once_each_letter_goes_to_one(
    make_office: MakeOffice, server_engine: Engine, server: MailServer
) -> None:
    """On MariaDB and on MySQL; and what was claimed there is sent and noted."""
    office = make_office(server_engine, server)
    posted = [office.post(f"person{number}@example.com") for number in range(12)]

    def claim(tx: Transaction) -> list[Any]:
        return office.services.mail.claim(tx, office.now, 12, lane=FRESH)

    claimed = [it.id for found in at_once(server_engine, [claim] * 8) if isinstance(found, list) for it in found]
    assert sorted(claimed) == sorted(set(claimed))
    assert set(claimed) <= set(posted)
    office.later(LEASE_SECONDS)
    assert office.attempt() == 12
    assert all(row["delivered_at"] == office.now and row["values_encrypted"] is None for row in office.rows())


def test_two_processes_send_each_letter_once(
    office: Office, make_office: MakeOffice, sqlite_engine: Engine, server: MailServer
) -> None:
    people = [f"person{number}@example.com" for number in range(12)]
    for person in people:
        office.post(person)
    office.deliver()
    make_office(sqlite_engine, server).deliver()
    eventually(lambda: all(row["delivered_at"] for row in office.rows()))
    assert sorted(it.recipient for it in server.received) == sorted(people)


def test_a_dead_server_keeps_no_thread_and_no_log_busy(
    make_office: MakeOffice, sqlite_engine: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    with raw_server(lambda connection: None) as port:
        office = make_office(sqlite_engine, f"smtp+plain://127.0.0.1:{port}")
        for number in range(30):
            office.post(f"person{number}@example.com")
        office.deliver(poll_seconds=0.01)
        eventually(lambda: "a letter failed" in caplog.text)
        eventually(lambda: not [thread for thread in threading.enumerate() if thread.name == "letter"])
        eventually(lambda: {row["attempts"] for row in office.rows()} == {0})
    assert caplog.text.count("a letter failed") <= 4


# Where there is no server


@pytest.mark.parametrize(
    "issuer, can_send", [("http://localhost:8000/oauth", True), ("https://id.example/oauth", False)]
)
def test_without_a_server_nothing_is_due(
    make_office: MakeOffice, sqlite_engine: Engine, server: MailServer, issuer: str, can_send: bool
) -> None:
    office = make_office(sqlite_engine, server, issuer=issuer, smtp_url=None, mail_from="")
    assert office.services.mail.can_send is can_send
    assert mail_courier(office.services, lambda: office.now) is None
    office.post()
    assert office.row()["next_attempt_at"] is None
    later = make_office(sqlite_engine, server)
    assert later.attempt() == 0, "what was written before there was a server is old"


def test_rows_go_a_week_after_they_were_written(office: Office, server: MailServer) -> None:
    server.refusals["gone@example.com"] = "550 nobody"
    office.post()
    office.post("gone@example.com")
    office.attempt()
    office.later(KEPT_DAYS * 86400 - 1)
    office.post("new@example.com")
    with office.begin() as tx:
        assert office.services.mail.purge(tx, office.now) == 0
        office.later(1)
        assert office.services.mail.purge(tx, office.now) == 2
    assert [row["recipient"] for row in office.rows()] == ["new@example.com"]
