"""Each guide of ``docs/guides/`` is followed: its command is run, and prints the configuration that the guide shows."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from provider.clients.presets import PRESETS
from tests.cli.conftest import Terminal, bare_terminal, terminal
from tests.house.test_printed_examples import blocks, commands, run

__all__ = ["bare_terminal", "terminal"]

GUIDES = Path(__file__).resolve().parents[2] / "docs" / "guides"
NAMES = [preset.name for preset in PRESETS]


@pytest.mark.parametrize("name", NAMES)
def test_the_command_of_a_guide_prints_the_configuration_of_the_guide(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("MCP_ISSUER", "https://id.example/oauth")
    document = f"docs/guides/{name}.md"
    found = commands(document)
    (command,) = [line for line in found if line.startswith(f"mcp-core client create --for {name}")]
    for line in found[: found.index(command)]:
        run(terminal, line)
    made = terminal.json(*shlex.split(command)[1:])
    printed = made["configuration"].replace(made["client_id"], "app_…")
    if "client_secret" in made:
        printed = printed.replace(made["client_secret"], "mcp_cs_…")
    assert printed in blocks(document, r"\w+"), printed


def test_the_guide_to_fastmcp_shows_what_protect_prints(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MCP_ISSUER", "https://id.example/oauth")
    (command,) = commands("docs/guides/fastmcp.md")
    (shown,) = blocks("docs/guides/fastmcp.md", "text")
    assert shown in terminal.ok(*shlex.split(command)[1:])


@pytest.mark.parametrize("name", ["chatgpt", "claude", "cursor", "vscode"])
def test_what_an_assistant_reaches_is_protected_as_its_guide_says(terminal: Terminal, name: str) -> None:
    first, *_ = commands(f"docs/guides/{name}.md")
    run(terminal, first)
    (known,) = [row for row in terminal.json("resource", "list") if row["name"] == "Notes"]
    assert known["uri"] == "https://notes.example/mcp"


@pytest.mark.parametrize("name", ["mcp-remote", "nginx", "spring-api"])
def test_the_commands_of_a_guide_without_a_preset_work_one_after_the_other(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("MCP_ISSUER", "https://id.example/oauth")
    for command in commands(f"docs/guides/{name}.md"):
        if command.startswith("mcp-core "):
            run(terminal, command)


def test_every_guide_is_in_the_table_of_programs_and_every_preset_has_a_guide() -> None:
    listed = re.findall(r"^\| \[[^\]]+\]\(([\w-]+)\.md\) \|", (GUIDES / "README.md").read_text("utf-8"), re.MULTILINE)
    assert sorted(listed) == sorted(path.stem for path in GUIDES.glob("*.md") if path.stem != "README")
    assert set(NAMES) <= set(listed)


def test_every_template_of_a_configuration_belongs_to_a_preset() -> None:
    templates = GUIDES.parents[1] / "templates" / "presets"
    assert sorted(path.name for path in templates.iterdir()) == sorted(f"{name}.txt" for name in NAMES)
