"""``mcp-core group``."""

from __future__ import annotations

import pytest

from tests.cli.conftest import Terminal


@pytest.fixture
def developers(terminal: Terminal) -> str:
    made = terminal.json("group", "create", "developers", "--description", "May deploy")
    assert set(made) == {"id", "name", "description", "members", "created_at"}
    assert (made["name"], made["description"], made["members"]) == ("developers", "May deploy", 0)
    return str(made["id"])


def test_a_group_is_filled_shown_emptied_and_deleted(terminal: Terminal, developers: str) -> None:
    ana, bora = terminal.user("ana"), terminal.user("bora")
    added = terminal.json("group", "add", "developers", "ana", "bora@example.org", "ana")
    assert (added["changed"], added["members"]) == (["ana", "bora"], 2)
    assert terminal.ok("group", "add", "developers", "ana") == "Nothing to do: ana is in it already.\n"
    shown = terminal.json("group", "show", "Developers")
    assert shown["users"] == [
        {"id": user["id"], "username": user["username"], "is_active": True} for user in (ana, bora)
    ]
    assert terminal.json("group", "show", developers) == shown
    assert terminal.json("user", "show", "ana")["groups"] == ["developers"]
    assert terminal.ok("group", "remove", "developers", "ana") == "Removed: ana. developers has 1 members.\n"
    assert terminal.ok("group", "remove", "developers", "ana") == "Nothing to do: ana is not in it.\n"
    assert [row["user_id"] for row in terminal.audit("group.member_added")] == [ana["id"], bora["id"]]
    (removed,) = terminal.audit("group.member_removed")
    assert (removed["user_id"], removed["resource_id"]) == (ana["id"], developers)
    assert removed["actor"].startswith("cli:")
    assert "Members it had: 1." in terminal.ok("group", "delete", "developers")
    assert terminal.json("group", "list") == []
    assert terminal.json("user", "show", "bora")["groups"] == []


def test_whoever_is_not_known_is_told_what_was_meant_and_nobody_is_added(terminal: Terminal, developers: str) -> None:
    terminal.user("ana")
    assert terminal.refused("group", "add", "developers", "ana", "anna") == "There is no user anna. Did you mean ana?"
    assert terminal.json("group", "show", "developers")["members"] == 0
    said = "There is no group develpers. Did you mean developers? See: mcp-core group list"
    assert terminal.refused("group", "add", "develpers", "ana") == said
    assert terminal.refused("group", "show", "develpers") == said


def test_two_groups_have_different_names(terminal: Terminal, developers: str) -> None:
    assert terminal.refused("group", "create", "Developers") == "There is a group developers already."
    assert terminal.refused("group", "create", "administrators") == "There is a group administrators already."
    assert "A group's name has 1 to 64 bytes" in terminal.refused("group", "create", "with blank")
    assert "described in at most 255" in terminal.refused("group", "create", "other", "--description", "x" * 256)


def test_administrators_are_a_group_like_others(terminal: Terminal) -> None:
    assert terminal.ok("group", "list").startswith("There is no group yet.")
    ana, bora = terminal.user("ana", "--admin"), terminal.user("bora")
    (group,) = terminal.json("group", "list")
    assert (group["name"], group["members"]) == ("administrators", 1)
    assert terminal.refused("group", "remove", "administrators", "ana") == "ana is the last active administrator."
    assert "can't be deleted" in terminal.refused("group", "delete", "administrators")
    terminal.ok("group", "add", "administrators", "bora")
    assert terminal.json("user", "show", "bora")["is_admin"] is True
    terminal.ok("group", "remove", "administrators", "ana")
    assert terminal.json("user", "show", "ana")["is_admin"] is False
    assert terminal.refused("group", "remove", "administrators", "bora") == "bora is the last active administrator."
    assert [user["id"] for user in terminal.json("group", "show", "administrators")["users"]] == [bora["id"]]
    assert ana["is_admin"] is True
