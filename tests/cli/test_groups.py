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


def test_an_application_is_reserved_and_opened_again(terminal: Terminal, developers: str) -> None:
    terminal.ok("group", "create", "testers")
    web = ("--name", "Board", "--redirect-uri", "https://board.example/cb")
    made = terminal.json("client", "create", *web, "--only-group", "testers", "--only-group", "developers")
    assert made["only_groups"] == ["developers", "testers"]
    name = made["client_id"]
    renamed = terminal.json("client", "update", name, "--name", "Boards")
    assert renamed["only_groups"] == ["developers", "testers"], "what is not said stays"
    assert terminal.json("client", "update", name, "--only-group", "testers")["only_groups"] == ["testers"]
    assert terminal.json("client", "show", name)["only_groups"] == ["testers"]
    assert terminal.json("client", "list")[0]["only_groups"] == ["testers"]
    assert terminal.audit("client.updated")[-1]["metadata"] is not None
    said = terminal.refused("group", "delete", "testers")
    assert said == f"The group testers can't be deleted: reserved for it are {name}."
    assert terminal.json("client", "update", name, "--only-group", "")["only_groups"] == []
    terminal.ok("group", "delete", "testers")
    said = terminal.refused("client", "update", name, "--only-group", "develpers")
    assert said == "There is no group develpers. Did you mean developers? See: mcp-core group list"


def test_what_nobody_signs_in_to_is_reserved_for_nobody(terminal: Terminal, developers: str) -> None:
    job = ("client", "create", "--name", "Job", "--grant", "client_credentials", "--only-group", "developers")
    assert terminal.refused(*job) == "Only an application that people sign in to can be reserved for groups."


def test_scopes_are_reserved_and_an_api_is_told_of_groups(terminal: Terminal, developers: str) -> None:
    terminal.ok("group", "create", "testers")
    uri = "https://api.example/"
    both = ("--scope-group", "write=developers", "--scope-group", "write=testers", "--groups-claim", "on")
    made = terminal.json("resource", "add", uri, "--name", "Api", "--scope", "read write", *both)
    assert (made["scope_groups"], made["groups_claim"]) == ({"write": ["developers", "testers"]}, True)
    changed = terminal.json("resource", "update", uri, "--scope-group", "read=testers", "--name", "API")
    assert changed["scope_groups"] == {"write": ["developers", "testers"], "read": ["testers"]}
    assert "read of https://api.example/" in terminal.refused("group", "delete", "testers")
    changed = terminal.json("resource", "update", uri, "--scope-group", "write=", "--groups-claim", "off")
    assert (changed["scope_groups"], changed["groups_claim"]) == ({"read": ["testers"]}, False)
    said = terminal.refused("resource", "update", uri, "--scope-group", "rite=testers")
    assert said == "'rite=testers' reserves none of its scopes (read write). Did you mean write? Write: SCOPE=GROUP"
    assert "no group nobody" in terminal.refused("resource", "update", uri, "--scope-group", "read=nobody")
    assert terminal.json("resource", "update", uri, "--remove-scope", "read")["scope_groups"] == {}
    terminal.ok("group", "delete", "testers")
    assert "belong to this server" in terminal.refused("resource", "update", uri, "--add-scope", "groups")


def test_a_group_is_renamed(terminal: Terminal, developers: str) -> None:
    terminal.user("ana", "--admin")
    terminal.json("group", "create", "writers")
    assert terminal.ok("group", "rename", "developers", "engineers").startswith(
        "Renamed the group developers to engineers."
    )
    assert terminal.json("group", "rename", developers, "Makers")["name"] == "Makers"
    for arguments, words in (
        (("makers", "WRITERS"), "There is a group writers already."),
        (("makers", "a b"), "A group's name has 1 to 64 bytes"),
        (("administrators", "root"), "The group administrators can't be renamed"),
        (("developers", "x"), "There is no group developers."),
    ):
        assert words in terminal.refused("group", "rename", *arguments)
    assert [row["actor"][:4] for row in terminal.audit("group.renamed")] == ["cli:", "cli:"]
