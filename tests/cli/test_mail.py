"""``mcp-core mail``: each step of a test letter, what waits, what was given up, and sending that again."""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from database.transaction import Transaction
from provider.deliveries.outbox import Outcome
from provider.protocol.messages import Origin
from provider.services import Services
from provider.settings import load_settings
from provider.start.key_files import load_keyring
from provider.start.serve import prepare
from tests.cli.conftest import Terminal
from tests.mail_servers import MailServer

PASSWORD = "sesame"


@pytest.fixture
def server() -> Iterator[MailServer]:
    made = MailServer("smtp", user="mcp", password=PASSWORD)
    yield made
    made.close()


@pytest.fixture
def mailing(terminal: Terminal, server: MailServer, monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """A terminal whose settings name the server."""
    monkeypatch.setenv("MCP_SMTP_URL", server.url)
    monkeypatch.setenv("MCP_MAIL_FROM", "id@id.example")
    monkeypatch.setenv("MCP_OUTBOUND_CA_FILE", str(server.authority))
    return terminal


def by(now: datetime.datetime) -> Origin:
    return Origin("", "pytest", "request-1", now)


def post(terminal: Terminal, *people: str, given_up: bool = False) -> list[str]:
    """Writes letters, which are then given up or wait."""
    settings, engine = load_settings(), terminal.engine()
    services = Services(settings, engine, load_keyring(settings))
    now = datetime.datetime.now(datetime.UTC)
    with Transaction(engine) as tx:
        ids = [
            services.mail.post(tx, by(now), to=to, letter="test", language=None, values={"link": "secret"})
            for to in people
        ]
        if given_up:
            for letter in services.mail.claim(tx, now, 100, lane="fresh"):
                services.mail.failed(tx, now, letter, Outcome("recipient: 550 nobody", is_final=True))
    engine.dispose()
    return ids


def test_a_test_letter_tells_each_step(mailing: Terminal, server: MailServer) -> None:
    said = mailing.ok("mail", "test", "ana@example.com")
    assert said.splitlines() == [
        f"ok    connected to localhost:{server.port}",
        "ok    encrypted by TLSv1.3",
        "ok    logged in as mcp",
        "ok    the sender id@id.example is taken",
        "ok    the recipient ana@example.com is taken",
        "ok    the letter is taken: 250 OK: taken",
    ]
    assert server.to("ana@example.com")[0].message["Subject"] == "A test letter from MCP Core"
    told = mailing.json("mail", "test", "ana@example.com")
    assert (told["sent"], told["problem"], len(told["steps"])) == (True, None, 6)
    assert PASSWORD not in said + json.dumps(told)


@pytest.mark.parametrize("command, answer, step, words", [
    ("MAIL", "550 not yours", "sender", "the server refuses the sender: 550 not yours. Is MCP_MAIL_FROM an address"),
    ("RCPT", "550 nobody", "recipient", "the server refuses the recipient: 550 nobody"),
    ("DATA", "554 spam", "letter", "the server refuses the letter: 554 spam"),
])  # fmt: skip
def test_what_went_wrong_is_one_sentence(
    mailing: Terminal, server: MailServer, command: str, answer: str, step: str, words: str
) -> None:
    server.refusals[command] = answer
    result = mailing.run("mail", "test", "ana@example.com")
    assert result.exit_code == 1
    assert f"FAIL  {words}" in result.stdout
    result = mailing.run("mail", "test", "ana@example.com", "--json")
    told: Any = json.loads(result.stdout)
    assert (result.exit_code, told["sent"], told["problem"]["step"]) == (1, False, step)


def test_a_server_that_cannot_be_had(mailing: Terminal, server: MailServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MCP_OUTBOUND_CA_FILE", str(server.other_authority))
    assert "cannot be encrypted: the certificate is not good" in mailing.run("mail", "test", "a@b.example").stdout
    monkeypatch.setenv("MCP_OUTBOUND_CA_FILE", str(server.authority))
    monkeypatch.setenv("MCP_SMTP_URL", server.url.replace(PASSWORD, "wrong"))
    said = mailing.run("mail", "test", "a@b.example").stdout
    assert "the login at smtp://mcp@localhost" in said
    assert "wrong" not in said
    server.stop()
    assert "nobody listens there" in mailing.run("mail", "test", "a@b.example").stdout


def test_there_has_to_be_a_server_and_an_address(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    assert terminal.refused("mail", "test", "a@b.example").startswith("There is no mail server: set MCP_SMTP_URL")
    assert terminal.refused("mail", "retry", "--all-failed").startswith("There is no mail server")
    monkeypatch.setenv("MCP_SMTP_URL", "smtps://mail.example")
    monkeypatch.setenv("MCP_MAIL_FROM", "id@id.example")
    assert terminal.refused("mail", "test", "nobody").startswith("Nothing can be sent to nobody")


def test_letters_are_listed_without_what_stands_in_them(mailing: Terminal) -> None:
    assert mailing.ok("mail", "list") == "There are no letters.\n"
    assert mailing.ok("mail", "list", "--failed") == "No letter was given up.\n"
    post(mailing, "gone@example.com", given_up=True)
    waiting = post(mailing, "ana@example.com")
    rows = mailing.json("mail", "list")
    assert [(row["recipient"], row["state"]) for row in rows] == [
        ("ana@example.com", "waiting"),
        ("gone@example.com", "failed"),
    ]
    assert rows[0]["id"] == waiting[0]
    assert [row["last_problem"] for row in mailing.json("mail", "list", "--failed")] == ["recipient: 550 nobody"]
    assert "secret" not in json.dumps(rows) + mailing.ok("mail", "list")


def test_what_was_given_up_goes_out_again_and_that_is_recorded(mailing: Terminal) -> None:
    first, second, third = post(mailing, "a@b.example", "c@d.example", "e@f.example", given_up=True)
    assert mailing.ok("mail", "retry", first) == "1 letter goes out again.\n"
    assert mailing.refused("mail", "retry", first).startswith(f"There is no letter {first} that was given up.")
    assert mailing.ok("mail", "retry", "--all-failed") == "2 letters go out again.\n"
    assert {row["id"]: row["state"] for row in mailing.json("mail", "list")} == dict.fromkeys(
        (first, second, third), "waiting"
    )
    assert mailing.ok("mail", "retry", "--all-failed") == "0 letters go out again.\n"
    assert [
        (event["resource_id"], json.loads(event["metadata"])["letters"]) for event in mailing.audit("mail.retried")
    ] == [
        (first, 1),
        (None, 2),
    ]
    mailing.misused("mail", "retry")
    mailing.misused("mail", "retry", first, "--all-failed")


def findings(terminal: Terminal) -> list[tuple[str, str]]:
    told = json.loads(terminal.run("doctor", "--json").stdout)
    return [(finding["state"], finding["text"]) for finding in told if finding["check"] == "mail"]


def test_doctor_looks_at_the_server_and_at_the_outbox(
    mailing: Terminal, server: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    mailing.json("keys", "rotate")
    assert [state for state, _ in findings(mailing)] == ["ok"]
    post(mailing, "gone@example.com", given_up=True)
    assert ("warn", "1 given up (mcp-core mail list --failed, mcp-core mail retry --all-failed)") in findings(mailing)
    server.stop()
    (state, text) = findings(mailing)[-1]
    assert (state, "nobody listens there" in text) == ("fail", True)
    assert PASSWORD not in text
    monkeypatch.delenv("MCP_SMTP_URL")
    assert ("ok", "no server: letters can be read at http://localhost:8000/mailbox") in findings(mailing)
    monkeypatch.setenv("MCP_ISSUER", "https://id.example/oauth")
    assert ("warn", True) in {(state, "MCP_SMTP_URL" in text) for state, text in findings(mailing)}


@pytest.fixture
def sealed(mailing: Terminal, server: MailServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The file that has the password in place of the URL, sealed."""
    path = tmp_path / "smtp-password"
    path.write_text(mailing.ok("vault", "seal", given=PASSWORD))
    path.chmod(0o600)
    monkeypatch.setenv("MCP_SMTP_URL", server.url.replace(f":{PASSWORD}", ""))
    monkeypatch.setenv("MCP_SMTP_PASSWORD_FILE", str(path))
    return path


def started(now: datetime.datetime) -> str:
    """What ``serve`` says before it serves."""
    said: list[str] = []
    prepare(load_settings(), now, said.append)
    return "\n".join(said)


def test_a_sealed_password_is_opened_by_every_command(
    mailing: Terminal, server: MailServer, sealed: Path, now: datetime.datetime
) -> None:
    assert PASSWORD not in sealed.read_text()
    assert "ok    logged in as mcp" in mailing.ok("mail", "test", "ana@example.com")
    assert server.to("ana@example.com")
    mailing.json("keys", "rotate")
    assert [state for state, _ in findings(mailing)] == ["ok"]
    assert set(server.passwords) == {PASSWORD}
    assert "No letter goes out" not in started(now)


def test_a_sealed_password_that_does_not_open_is_said_everywhere_and_sent_to_nobody(
    mailing: Terminal, server: MailServer, sealed: Path, now: datetime.datetime
) -> None:
    mailing.json("keys", "rotate")
    text = sealed.read_text().strip()
    sealed.write_text(text[:-2] + ("AA" if text[-2:] != "AA" else "BB"))
    words = "the login at smtp://mcp@localhost"
    told = mailing.run("mail", "test", "ana@example.com")
    assert told.exit_code == 1
    assert words in told.stdout
    assert "the sealed password does not open with the master keys" in told.stdout
    ((state, text),) = findings(mailing)
    assert (state, "does not open with the master keys" in text) == ("fail", True)
    assert "No letter goes out: the sealed password of the mail server does not open" in started(now)
    assert server.passwords == []


def test_without_master_keys_no_new_ones_are_made_for_a_password(mailing: Terminal, sealed: Path) -> None:
    mailing.json("keys", "rotate")
    ring = mailing.home / "keys" / "encryption.keys"
    ring.unlink()
    assert f"{ring} is missing" in mailing.refused("mail", "test", "ana@example.com")
    ((state, text),) = findings(mailing)
    assert (state, text.startswith("the sealed password of smtp://mcp@localhost")) == ("fail", True)
    assert not ring.exists()
    assert sealed.exists()
