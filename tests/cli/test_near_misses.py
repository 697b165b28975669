"""Names that are nearly right: the refusal says which was meant."""

from __future__ import annotations

import pytest

from tests.cli.conftest import Terminal


@pytest.mark.parametrize(
    "text, meant",
    [("anna.le", "anna.lee"), ("ANNALEE", "anna.lee"), ("anna.lee@example.com", "anna.lee@example.org"), ("q", None)],
)
@pytest.mark.parametrize("command", ["show", "disable", "unlock"])
def test_a_user_that_is_nearly_there(terminal: Terminal, command: str, text: str, meant: str | None) -> None:
    terminal.user("anna.lee")
    ending = f" Did you mean {meant}?" if meant else ""
    assert terminal.refused("user", command, text) == f"There is no user {text}.{ending}"


def test_a_client_that_is_nearly_there_or_is_called_by_its_name(terminal: Terminal) -> None:
    made = terminal.json("client", "create", "--name", "Files", "--redirect-uri", "https://files.example/callback")
    client_id = made["client_id"]
    for text in (client_id[:-1], "Files", "files"):
        assert terminal.refused("client", "show", text) == f"There is no client {text}. Did you mean {client_id}?"
    assert terminal.refused("client", "show", "other") == "There is no client other."


def test_a_resource_that_is_nearly_there(terminal: Terminal) -> None:
    terminal.ok("resource", "add", "https://api.example/notes", "--name", "Notes", "--scope", "notes")
    assert terminal.refused("resource", "remove", "https://api.example/note") == (
        "https://api.example/note is not registered. Did you mean https://api.example/notes? See: mcp-core resource list"
    )
