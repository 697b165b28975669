"""``mcp-core vault``: what it says in each state of the ring, JSON, exit codes, and advice where keys are settings."""

from __future__ import annotations

import base64
import json
import secrets
from typing import Any

import pytest
from sqlalchemy import update

from database.models import User
from database.transaction import Transaction
from provider.security.crypto import Keyring
from provider.security.sealed_columns import TOTP_SECRET
from provider.settings import load_settings
from provider.start.key_files import load_keyring, ring_path
from provider.start.ring_file import RingFile
from tests.cli.conftest import Terminal
from tests.cli.test_doctor import findings
from tests.sealed_rows import fill, sealed, under

USERS = User.__table__
BACKUPS = "Backups of the database made before need the keys of their time"


@pytest.fixture
def filled(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """With four second factors, a letter and an archive, and nothing to wait for."""
    monkeypatch.setattr("provider.cli.vault._Voice.wait", lambda _self, seconds, reason: None)
    engine = terminal.engine()
    fill(engine, load_keyring(load_settings()), 4, others=1)
    engine.dispose()
    return terminal


def ring() -> RingFile:
    return RingFile(ring_path(load_settings()))


def counted(terminal: Terminal) -> dict[str, int]:
    engine = terminal.engine()
    try:
        return under(engine)
    finally:
        engine.dispose()


def write(terminal: Terminal, row_id: str, value: str) -> None:
    engine = terminal.engine()
    with Transaction(engine) as tx:
        tx.execute(update(User).where(USERS.c.id == row_id).values(two_factor_secret=value))
    engine.dispose()


def value_of(terminal: Terminal, row_id: str) -> str:
    engine = terminal.engine()
    try:
        return sealed(engine, TOTP_SECRET)[row_id]
    finally:
        engine.dispose()


def first_format(row_id: str) -> str:
    """A value as the first format had it, under the key that writes."""
    first = load_keyring(load_settings()).masters.first
    nonce = secrets.token_bytes(12)
    bound = "\x1f".join(f"{name}={value}" for name, value in sorted(TOTP_SECRET.context(row_id).items()))
    parts = (nonce, first.first_format.encrypt(nonce, b"of the first format", bound.encode()))
    return ".".join(["v1", first.id, *(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)])


def altered(value: str) -> str:
    return value[:-3] + ("AAA" if value[-3:] != "AAA" else "BBB")


def test_status_says_what_is_under_which_key_and_shows_none(filled: Terminal) -> None:
    (key_id,) = ring().ids()
    said = filled.ok("vault", "status")
    assert said.startswith(f"Master keys from {ring().path}; they are in clear there.\n")
    assert [line.split() for line in said.splitlines() if line.startswith(key_id)] == [[key_id, "writes", "-", "6"]]
    assert ["users.two_factor_secret", key_id, "4"] in [line.split() for line in said.splitlines()]
    told = filled.json("vault", "status")
    assert set(told) == {
        "source", "kept", "keys", "columns", "settings", "older", "unreadable", "named",
    }  # fmt: skip
    assert told["keys"] == [{"id": key_id, "use": "writes", "made": None, "values": 6}]
    assert (told["older"], told["unreadable"], told["named"], told["settings"]) == (0, 0, [], [])
    key = ring().text().partition(":")[2].strip()
    assert key not in said + json.dumps(told)
    assert findings(filled, "vault") == [("ok", f"1 master keys, {key_id} writes; 6 values are sealed")]


def test_rotate_says_what_it_did_and_what_to_back_up(filled: Terminal) -> None:
    (old,) = ring().ids()
    done = filled.run("vault", "rotate")
    (new,) = ring().ids()
    assert done.exit_code == 0
    first, dropped, backup = done.stdout.splitlines()
    assert first == f"Everything that opens is under {new} now: 6 values were rewrapped."
    assert dropped == f"Nothing is under {old} any more: taken out of the file."
    assert backup.startswith("Back up the folder of the keys now.")
    assert BACKUPS in backup
    assert done.stderr.splitlines() == [
        f"New master key {new}.",
        *(f"{done} of 6 values" for done in (4, 5, 6)),
    ]
    assert counted(filled) == {new: 6}
    assert filled.json("vault", "status")["keys"][0]["made"] is not None


def test_rotate_in_json_says_the_same_and_nothing_else(filled: Terminal) -> None:
    (old,) = ring().ids()
    done = filled.run("vault", "rotate", "--keep-old", "--json")
    new, kept = ring().ids()
    assert (done.exit_code, done.stderr, kept) == (0, "", old)
    assert json.loads(done.stdout) == {
        "first": new,
        "rewrapped": 6,
        "unreadable": 0,
        "unused": [old],
        "dropped": [],
        "named": [],
    }
    assert f"Nothing is under {new}, {old} any more.\n" in filled.run("vault", "rotate", "--keep-old").stdout


def test_a_rotation_that_was_begun_goes_on_and_doctor_says_so(filled: Terminal) -> None:
    (old,) = ring().ids()
    key = base64.b64encode(secrets.token_bytes(32)).decode()
    ring().add_next("k20260701-abcdef", key, seen=(old,))
    told = filled.json("vault", "status")
    assert [(row["id"], row["use"], row["made"]) for row in told["keys"]] == [
        (old, "writes", None),
        ("k20260701-abcdef", "next", "2026-07-01"),
    ]
    assert ("warn", "a rotation of master keys was begun and is not over (mcp-core vault rotate goes on)") in findings(
        filled, "vault"
    )
    assert filled.run("vault", "rotate").exit_code == 0
    assert ring().ids() == ("k20260701-abcdef",)


def test_one_that_was_cut_off_amid_the_rows_goes_on_and_doctor_says_so(filled: Terminal) -> None:
    (old,) = ring().ids()
    ring().add_next("k2", base64.b64encode(secrets.token_bytes(32)).decode(), seen=(old,))
    ring().put_first("k2")
    told = filled.json("vault", "status")
    assert (told["older"], told["unreadable"]) == (6, 0)
    assert "6 values are not under the first key. See: mcp-core vault rotate --help" in filled.ok("vault", "status")
    assert (
        "warn",
        "6 values are under an older master key (mcp-core vault rotate brings them under a new one)",
    ) in findings(filled, "vault")
    done = filled.run("vault", "rotate")
    assert "A rotation that was begun before goes on." in done.stderr
    assert ring().ids() == ("k2",)


def test_values_of_the_first_format_are_a_reason_to_rotate(filled: Terminal) -> None:
    write(filled, "user-000001", first_format("user-000001"))
    assert ("warn", "1 values are of the first format (mcp-core vault rotate renews them)") in findings(filled, "vault")
    assert filled.json("vault", "status")["older"] == 1
    filled.run("vault", "rotate")
    (new,) = ring().ids()
    assert counted(filled) == {new: 6}
    opened = load_keyring(load_settings()).decrypt(value_of(filled, "user-000001"), TOTP_SECRET.context("user-000001"))
    assert opened == b"of the first format"


SPOILT = {
    "altered": lambda value: altered(value),
    "cut": lambda value: value[:-8],
    "under a key that is gone": lambda value: Keyring(b"h" * 32, [("gone", b"k" * 32)]).encrypt(b"x", {}),
    "in clear": lambda value: "in clear",
}


@pytest.mark.parametrize("how", SPOILT)
def test_what_does_not_open_is_named_by_every_command_and_only_counted_once(filled: Terminal, how: str) -> None:
    write(filled, "user-000002", SPOILT[how](value_of(filled, "user-000002")))
    shown = filled.run("vault", "status")
    assert shown.exit_code == 1
    assert "1 values do not open, and count as not there:\n  users.two_factor_secret of user-000002\n" in shown.stdout
    told = json.loads(filled.run("vault", "status", "--json").stdout)
    place = {"column": "users.two_factor_secret", "row_id": "user-000002"}
    assert (told["unreadable"], told["named"]) == (1, [place])
    text = "1 sealed values do not open, and count as not there: users.two_factor_secret of user-000002"
    assert ("fail", text) in findings(filled, "vault")
    before = value_of(filled, "user-000002")
    done = filled.run("vault", "rotate")
    assert done.exit_code == 1
    assert "1 values do not open with any key of the ring, and stay as they are:" in done.stdout
    assert "  users.two_factor_secret of user-000002" in done.stdout.splitlines()
    assert value_of(filled, "user-000002") == before
    assert [row["resource_id"] for row in filled.audit("decryption.failed")] == ["user-000002"]


def test_many_that_do_not_open_are_a_few_names_and_a_count(filled: Terminal) -> None:
    engine = filled.engine()
    fill(engine, load_keyring(load_settings()), 12, others=0, begin=4)
    with Transaction(engine) as tx:
        tx.execute(update(User).values(two_factor_secret="v2.gone.a.b.c"))
    engine.dispose()
    told = json.loads(filled.run("vault", "status", "--json").stdout)
    assert {row["key"]: row["values"] for row in told["columns"]}["?"] == 16
    assert (told["unreadable"], len(told["named"])) == (16, 16)
    ((_state, text),) = [finding for finding in findings(filled, "vault") if finding[0] == "fail"]
    assert text.startswith("16 sealed values do not open")
    assert text.endswith("users.two_factor_secret of user-000004 and 11 more (mcp-core vault status)")


def test_a_signing_key_that_does_not_open_is_named_with_what_to_do(filled: Terminal) -> None:
    filled.json("keys", "rotate")
    engine = filled.engine()
    with engine.begin() as connection:
        kid = connection.exec_driver_sql("SELECT kid FROM signing_keys WHERE algorithm = 'EdDSA'").scalar_one()
        connection.exec_driver_sql(f"UPDATE signing_keys SET private_key_encrypted = 'v2.a.b.c.d' WHERE kid = '{kid}'")
    engine.dispose()
    text = f"the signing key {kid} does not open: it signs nothing, and what it has signed is refused"
    assert ("fail", f"{text} (mcp-core keys rotate)") in findings(filled, "keys")
    assert filled.audit("decryption.failed") == [], "doctor changes nothing"
    assert kid not in [row["kid"] for row in json.loads(filled.run("keys", "list", "--json").stdout)]
    assert filled.run("keys", "rotate").exit_code == 0
    assert {row["algorithm"] for row in json.loads(filled.run("keys", "list", "--json").stdout)} == {
        "RS256", "ES256", "EdDSA",
    }  # fmt: skip


# Where the keys are a setting


def new_key() -> str:
    return base64.b64encode(secrets.token_bytes(32)).decode()


@pytest.fixture
def in_environment(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    keys = {"one": new_key(), "other": new_key()}
    monkeypatch.setenv("MCP_HASHING_KEY", new_key())
    monkeypatch.setenv("MCP_ENCRYPTION_KEYS", f"one:{keys['one']}")
    engine = terminal.engine()
    fill(engine, load_keyring(load_settings()), 3, others=1)
    engine.dispose()
    return keys


def test_keys_of_the_environment_are_changed_by_the_operator_step_by_step(
    terminal: Terminal, in_environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    told: dict[str, Any] = terminal.json("vault", "status")
    assert (told["source"], told["kept"]) == ("MCP_ENCRYPTION_KEYS", "in clear")
    said = terminal.ok("vault", "rotate")
    assert "For a new master key put this" in said
    (line,) = [line.strip() for line in said.splitlines() if line.startswith("  k")]
    assert load_keyring(load_settings()).masters.ids == ("one",), "nothing has changed"
    monkeypatch.setenv("MCP_ENCRYPTION_KEYS", f"{line},one:{in_environment['one']}")
    said = terminal.run("vault", "rotate").stdout
    new = line.partition(":")[0]
    assert said.splitlines()[0] == f"Everything that opens is under {new} now: 5 values were rewrapped."
    assert "Take out of MCP_ENCRYPTION_KEYS, and restart: one." in said
    assert counted(terminal) == {new: 5}
    monkeypatch.setenv("MCP_ENCRYPTION_KEYS", line)
    assert terminal.json("vault", "status")["unreadable"] == 0
    assert not (terminal.home / "keys").exists()


# Sealed settings


def test_seal_takes_one_line_and_gives_what_opens_with_these_keys_alone(terminal: Terminal) -> None:
    value = terminal.ok("vault", "seal", given="s:e/c@r?e#t %\n").strip()
    assert value.startswith(f"v2.{ring().ids()[0]}.")
    assert "s:e" not in value
    assert value != terminal.ok("vault", "seal", given="s:e/c@r?e#t %\n").strip()


@pytest.mark.parametrize("given", ["", "\n", "two\nlines\n", "비밀번호\n", "a\tb\n", "x" * 5000, b"\xff\xfe\n"])
def test_seal_refuses_what_no_mail_server_takes(terminal: Terminal, given: str | bytes) -> None:
    assert terminal.refused("vault", "seal", given=given) == "A password is one line of printable ASCII."


def test_a_sealed_setting_is_named_and_its_key_stays(filled: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    value = filled.ok("vault", "seal", given="sesame\n").strip()
    monkeypatch.setenv("MCP_SMTP_URL", f"smtps://mcp:{value}@mail.example")
    monkeypatch.setenv("MCP_MAIL_FROM", "id@id.example")
    (old,) = ring().ids()
    assert f"MCP_SMTP_PASSWORD is sealed under {old}: opens" in filled.ok("vault", "status")
    done = filled.run("vault", "rotate")
    assert "MCP_SMTP_PASSWORD is sealed under an older key: seal it again with mcp-core vault seal." in done.stdout
    new, kept = ring().ids()
    assert kept == old
    told = filled.json("vault", "status")
    assert told["settings"] == [{"setting": "MCP_SMTP_PASSWORD", "key": old, "state": "opens"}]
    monkeypatch.setenv("MCP_SMTP_URL", f"smtps://mcp:{altered(value)}@mail.example")
    assert filled.json("vault", "status")["settings"][0]["state"] == "does not open"
    monkeypatch.setenv("MCP_SMTP_URL", f"smtps://mcp:{filled.ok('vault', 'seal', given='sesame').strip()}@mail.example")
    assert filled.run("vault", "rotate").exit_code == 0
    assert old not in ring().ids()
    assert new in ring().ids(), "the setting is under it"
