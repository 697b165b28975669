"""Handing letters to mail servers, good and bad: TLS, login, refusals, silence. The table of failures and their states."""

from __future__ import annotations

import secrets
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from provider.deliveries.mail_server import BadUrl, Protection
from provider.deliveries.mail_server import MailServer as Address
from provider.deliveries.smtp import About, NotSent, Smtp
from provider.security.crypto import Keyring
from provider.security.sealed_settings import SMTP_PASSWORD, seal_setting
from tests.mail_servers import MailServer, dialogue, raw_server

SENDER, ANA = "id@id.example", "ana@example.com"
MESSAGE = b"Subject: x\r\n\r\nFirst\r\n.\r\n..last\r\n"
PASSWORD = "s:e/c@r?e#t %"


def to(server: MailServer, authority: Path | None = None) -> Smtp:
    return Smtp(Address.from_url(server.url), helo="id.example", ca_file=authority or server.authority)


def failure(smtp: Smtp, recipient: str = ANA, message: bytes = MESSAGE) -> NotSent:
    with pytest.raises(NotSent) as refusal:
        smtp.send(SENDER, recipient, message)
    assert PASSWORD not in str(refusal.value)
    return refusal.value


@pytest.fixture(scope="module", params=["smtp+plain", "smtp", "smtps"])
def secured(request: pytest.FixtureRequest) -> Iterator[MailServer]:
    user = "" if request.param == "smtp+plain" else "mcp@core"
    made = MailServer(request.param, user=user, password=PASSWORD if user else "")
    yield made
    made.close()


def test_a_letter_arrives_as_it_is_and_each_step_is_told(secured: MailServer) -> None:
    steps: list[str] = []
    to(secured).send(SENDER, ANA, MESSAGE, lambda step, _text: steps.append(step))
    (received,) = secured.to(ANA)
    assert (received.sender, received.data) == (SENDER, MESSAGE)
    before = [] if secured.scheme == "smtp+plain" else ["tls", "login"]
    assert steps == ["connect", *before, "sender", "recipient", "letter"]
    secured.received.clear()


def test_a_check_sends_nothing(secured: MailServer) -> None:
    to(secured).check()
    assert secured.received == []


def test_a_certificate_of_somebody_else_is_refused_before_the_login(secured: MailServer) -> None:
    if secured.scheme == "smtp+plain":
        pytest.skip("this server speaks no TLS")
    refused = failure(to(secured, secured.other_authority))
    assert (refused.about, refused.step) == (About.SERVER, "tls")
    assert "certificate" in str(refused)


def test_a_wrong_password_is_about_the_server(secured: MailServer) -> None:
    if not secured.user:
        pytest.skip("this server asks for no login")
    url = secured.url.replace("mcp%40core", "nobody")
    refused = failure(Smtp(Address.from_url(url), helo="id.example", ca_file=secured.authority))
    assert (refused.about, refused.step) == (About.SERVER, "login")


@pytest.mark.parametrize("opened_by", ["our keys", "other keys", "nobody"])
def test_a_sealed_password_is_opened_for_the_login_and_never_sent_as_it_is(secured: MailServer, opened_by: str) -> None:
    if not secured.user:
        pytest.skip("this server asks for no login")
    ours, theirs = (Keyring(b"h" * 32, [("k1", secrets.token_bytes(32))]) for _ in range(2))
    sealed = seal_setting(ours, SMTP_PASSWORD, PASSWORD)
    plain = Address.from_url(secured.url)
    keyring = {"our keys": ours, "other keys": theirs, "nobody": None}[opened_by]
    smtp = Smtp(replace(plain, password=sealed), helo="id.example", ca_file=secured.authority, keyring=keyring)
    secured.passwords.clear()
    if opened_by == "our keys":
        smtp.check()
        assert secured.passwords == [PASSWORD]
        return
    refused = failure(smtp)
    assert (refused.about, refused.step) == (About.SERVER, "login")
    assert str(refused) == "the sealed password does not open with the master keys"
    assert secured.passwords == []


REFUSALS = [
    ("MAIL", "450 later", About.SERVER, "sender"),
    ("MAIL", "550 not from you", About.SERVER, "sender"),
    ("MAIL", "421 closing", About.SERVER, "sender"),
    ("RCPT", "450 greylisted", About.NOW, "recipient"),
    ("RCPT", "452 mailbox full", About.NOW, "recipient"),
    ("RCPT", "550 5.1.1 nobody", About.FOR_GOOD, "recipient"),
    ("RCPT", "421 closing", About.SERVER, "recipient"),
    ("DATA", "451 later", About.NOW, "letter"),
    ("DATA", "554 looks like spam", About.FOR_GOOD, "letter"),
    ("DATA", "421 closing", About.SERVER, "letter"),
]


@pytest.mark.parametrize("command, answer, about, step", REFUSALS)
def test_what_a_refusal_is_about(server: MailServer, command: str, answer: str, about: About, step: str) -> None:
    server.refusals[command] = answer
    refused = failure(to(server))
    assert (refused.about, refused.step, str(refused)) == (about, step, answer)
    assert server.received == []


def test_one_recipient_is_refused_and_another_is_not(server: MailServer) -> None:
    server.refusals["gone@example.com"] = "550 nobody"
    assert failure(to(server), "gone@example.com").about is About.FOR_GOOD
    to(server).send(SENDER, ANA, MESSAGE)
    assert [it.recipient for it in server.received] == [ANA]


def drip(connection: socket.socket) -> None:
    while True:
        connection.sendall(b"2")
        time.sleep(0.02)


def endless(connection: socket.socket) -> None:
    while True:
        connection.sendall(b"220-hello\r\n")
        time.sleep(0.001)


def silent(connection: socket.socket) -> None:
    connection.recv(1)
    connection.recv(1)


def a_dot_is_left_without_an_answer(connection: socket.socket) -> None:
    dialogue("220 hi", "250 hi", "250 ok", "250 ok", "354 go on")(connection)


MISBEHAVIOUR: list[tuple[str, Callable[[socket.socket], None], About, str]] = [
    ("says nothing", silent, About.SERVER, "connect"),
    ("drips", drip, About.SERVER, "connect"),
    ("never ends its greeting", endless, About.SERVER, "connect"),
    ("hangs up at once", lambda _connection: None, About.SERVER, "connect"),
    ("is no mail server", dialogue("HTTP/1.1 400 Bad Request"), About.SERVER, "connect"),
    ("refuses at the door", dialogue("554 no service"), About.SERVER, "connect"),
    ("sends a line without end", lambda it: it.sendall(b"220 " + b"x" * 100_000), About.SERVER, "connect"),
    ("hangs up after the greeting", dialogue("220 hi"), About.SERVER, "connect"),
    ("hangs up at the sender", dialogue("220 hi", "250 hi"), About.SERVER, "sender"),
    ("hangs up at the recipient", dialogue("220 hi", "250 hi", "250 ok"), About.NOW, "recipient"),
    ("hangs up at the letter", dialogue("220 hi", "250 hi", "250 ok", "250 ok"), About.NOW, "letter"),
    ("hangs up amid the letter", a_dot_is_left_without_an_answer, About.NOW, "letter"),
]


@pytest.mark.parametrize("talk, about, step", [row[1:] for row in MISBEHAVIOUR], ids=[row[0] for row in MISBEHAVIOUR])
def test_a_server_that_misbehaves_is_over_in_time(
    talk: Callable[[socket.socket], None], about: About, step: str
) -> None:
    with raw_server(talk) as port:
        address = Address("127.0.0.1", port, Protection.NONE)
        refused = failure(Smtp(address, helo="id.example", seconds=0.6, answer_seconds=0.3))
    assert (refused.about, refused.step) == (about, step)


@pytest.mark.parametrize("protection", [Protection.TLS, Protection.STARTTLS])
@pytest.mark.parametrize("talk", [drip, silent, dialogue("220 hi", "250-hi\r\n250 STARTTLS", "220 go on", "rubbish")])
def test_tls_that_does_not_begin_is_over_in_time(talk: Callable[[socket.socket], None], protection: Protection) -> None:
    with raw_server(talk) as port:
        address = Address("127.0.0.1", port, protection, "user", PASSWORD)
        refused = failure(Smtp(address, helo="id.example", seconds=0.6, answer_seconds=0.3))
    assert refused.about is About.SERVER


def test_nothing_is_said_in_clear_to_a_server_without_starttls(server: MailServer) -> None:
    address = Address("localhost", server.port, Protection.STARTTLS, "user", PASSWORD)
    refused = failure(Smtp(address, helo="id.example"))
    assert (refused.about, refused.step, str(refused)) == (About.SERVER, "tls", "the server does not offer it")


@pytest.mark.parametrize("host, words", [("localhost", "nobody listens there"), ("nowhere.invalid", "not known")])
def test_a_server_that_is_not_there(server: MailServer, host: str, words: str) -> None:
    server.stop()
    refused = failure(Smtp(Address(host, server.port, Protection.NONE), helo="id.example"))
    assert (refused.about, refused.step) == (About.SERVER, "connect")
    assert words in str(refused)


def test_an_address_beyond_ascii_needs_a_server_that_knows_it() -> None:
    for takes in (True, False):
        server = MailServer(takes_utf8=takes)
        try:
            if takes:
                to(server).send(SENDER, "지훈@xn--9t4b11yi5a.example", MESSAGE)
                assert [it.recipient for it in server.received] == ["지훈@xn--9t4b11yi5a.example"]
            else:
                refused = failure(to(server), "지훈@example.com")
                assert (refused.about, refused.step) == (About.FOR_GOOD, "recipient")
                assert "SMTPUTF8" in str(refused)
        finally:
            server.close()


def test_a_letter_beyond_the_servers_limit_is_not_begun() -> None:
    server = MailServer(limit=1000)
    refused = failure(to(server), message=b"x" * 2000)
    server.close()
    assert (refused.about, str(refused)) == (About.FOR_GOOD, "the mail server takes 1000 bytes at most")


@pytest.mark.parametrize("recipient", ["a@b.example\r\nRCPT TO:<c@d.example>", "a@b.example\nX", "a\r@b.example"])
def test_no_address_brings_a_command_of_its_own(server: MailServer, recipient: str) -> None:
    assert failure(to(server), recipient).about is About.FOR_GOOD
    assert server.received == []


@pytest.mark.parametrize("url, host, port, protection, user, password", [
    ("smtps://mail.example", "mail.example", 465, Protection.TLS, "", ""),
    ("smtp://mail.example", "mail.example", 587, Protection.STARTTLS, "", ""),
    ("smtp://Mail.Example:2525/", "mail.example", 2525, Protection.STARTTLS, "", ""),
    ("smtps://a%40b:p%3A%2F%25@mail.example:1", "mail.example", 1, Protection.TLS, "a@b", "p:/%"),
    ("smtp+plain://localhost", "localhost", 25, Protection.NONE, "", ""),
    ("smtp+plain://127.0.0.9:26", "127.0.0.9", 26, Protection.NONE, "", ""),
    ("smtp+plain://[::1]", "::1", 25, Protection.NONE, "", ""),
])  # fmt: skip
def test_a_url_names_a_server(url: str, host: str, port: int, protection: Protection, user: str, password: str) -> None:
    address = Address.from_url(url)
    assert address == Address(host, port, protection, user, password)
    assert Address.from_url(str(address), password if user else "") == address, "what is shown has all but the password"
    assert not password or (password not in str(address) and password not in repr(address))


@pytest.mark.parametrize("url, words", [
    ("mail.example", "of the form"), ("mail.example:587", "of the form"), ("http://mail.example", "of the form"),
    ("smtp://", "of the form"), ("smtp://mail.example:x", "of the form"), ("smtp://mail.example:99999", "of the form"),
    ("smtp://mail.example:0", "of the form"), ("smtp://mail.example/inbox", "of the form"),
    ("smtp://a b@mail.example", "of the form"), ("smtp://[::1", "of the form"), ("smtp://메일.example", "of the form"),
    ("smtp://u:p?q@mail.example", "no ? and no #"), ("smtp://mail.example?x=1", "no ?"), ("smtp://mail.example#x", "no ?"),
    ("smtp://user@mail.example", "a user and a password"), ("smtp://:pass@mail.example", "a user and a password"),
    ("smtps://user:p%C3%A4ss@mail.example", "ASCII"), ("smtps://user:a%0Ab@mail.example", "ASCII"),
    ("smtp+plain://mail.example", "beyond this machine"), ("smtp+plain://192.0.2.1", "beyond this machine"),
])  # fmt: skip
def test_what_names_no_server_is_refused(url: str, words: str) -> None:
    with pytest.raises(BadUrl) as refusal:
        Address.from_url(url)
    assert words in str(refusal.value)
    assert "pass" not in str(refusal.value).replace("password", "")


def test_a_password_stands_in_one_place() -> None:
    assert Address.from_url("smtps://user@mail.example", "from a file").password == "from a file"
    with pytest.raises(BadUrl, match="MCP_SMTP_PASSWORD_FILE"):
        Address.from_url("smtps://user:pass@mail.example", "from a file")
