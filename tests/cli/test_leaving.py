"""``mcp-core user lock-down``, ``close``, ``reopen`` and ``erase``."""

from __future__ import annotations

import pytest

from tests.cli.conftest import Terminal


def state(terminal: Terminal, user_id: str) -> dict[str, object]:
    (row,) = terminal.rows(f"SELECT * FROM users WHERE id = '{user_id}'")
    return row


def test_locking_down_ends_the_password_and_says_what_it_ended(terminal: Terminal) -> None:
    ana = terminal.user("ana", "--verified")
    terminal.json("api-key", "create", "--user", "ana", "--name", "backup")
    shown = terminal.json("user", "lock-down", "ana", "--yes")
    assert shown == {
        "id": ana["id"],
        "username": "ana",
        "ended": {"sessions": 0, "grants": 0, "api_keys": 1},
    }
    assert state(terminal, ana["id"])["password_reset_required"]
    (record,) = terminal.audit("user.locked_down")
    assert record["actor"].startswith("cli:")
    assert terminal.rows("SELECT letter FROM mail_messages ORDER BY id") == [
        {"letter": "alert_api_key_made"},
        {"letter": "password_required"},
        {"letter": "alert_locked_down"},
    ]
    assert terminal.ok("user", "lock-down", "ana", "--yes") == "ana is locked down.\n"
    assert len(terminal.audit("user.locked_down")) == 1


def test_closing_reopening_and_erasing(terminal: Terminal) -> None:
    ana = terminal.user("ana")
    assert terminal.ok("user", "close", "ana", "--yes") == "ana is closed, and will be erased in 14 days.\n"
    assert terminal.refused("user", "close", "ana", "--yes") == "ana is closed already."
    assert terminal.ok("user", "reopen", "ana") == "ana is open again.\n"
    assert terminal.refused("user", "reopen", "ana") == "ana has not closed the account, or is erased."
    terminal.ok("user", "disable", "ana")
    assert terminal.refused("user", "close", "ana", "--yes") == "ana is disabled already."
    assert terminal.json("user", "erase", "ana", "--yes") == {"id": ana["id"], "username": "ana"}
    row = state(terminal, ana["id"])
    assert (row["username"], row["password_hash"], row["is_active"]) == (f"erased-{ana['id']}", None, 0)
    assert terminal.json("user", "list") == []
    assert "There is no user ana." in terminal.refused("user", "reopen", "ana")
    (record,) = terminal.audit("user.erased")
    assert record["actor"].startswith("cli:")
    assert [it["ip_address"] for it in terminal.audit("user.created")] == [None]
    terminal.user("ana")


@pytest.mark.parametrize("verb", ["lock-down", "close", "erase"])
def test_without_yes_they_ask_and_no_leaves_everything_as_it_is(terminal: Terminal, verb: str) -> None:
    ana = terminal.user("ana")
    for answer in ("n\n", ""):
        result = terminal.run("user", verb, "ana", given=answer)
        assert result.exit_code == 1
        assert "the account of ana (ana@example.org)?" in result.stderr
        assert result.stdout == ""
    assert (state(terminal, ana["id"])["is_active"], state(terminal, ana["id"])["erased_at"]) == (1, None)
    assert state(terminal, ana["id"])["password_hash"] is not None
    assert terminal.run("user", verb, "ana", given="y\n").exit_code == 0


@pytest.mark.parametrize("verb", ["close", "erase"])
def test_the_last_administrator_stays(terminal: Terminal, verb: str) -> None:
    terminal.user("root", "--admin")
    assert terminal.refused("user", verb, "root", "--yes") == "root is the last active administrator."
    assert len(terminal.json("user", "list")) == 1
