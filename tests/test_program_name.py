"""The commands that we print run where they are printed."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from provider.program_name import command, command_on_a_page
from tests.waiting import HANG_SECONDS


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory: a folder with an environment in it, whose program is not on PATH."""
    folder = tmp_path / "a b"
    program(folder / ".venv/bin/mcp-core")
    monkeypatch.setenv("PATH", os.defpath)
    monkeypatch.chdir(folder)
    return folder


def program(path: Path) -> Path:
    path.parent.mkdir(parents=True)
    path.write_text('#!/bin/sh\necho "$@"\n', "utf-8")
    path.chmod(0o755)
    return path


def runs(printed: str, folder: Path) -> bool:
    done = subprocess.run(
        ["sh", "-c", printed], cwd=folder, capture_output=True, text=True, timeout=HANG_SECONDS, check=False
    )
    return done.stdout == "setup-link\n"


@pytest.mark.parametrize("started", [".venv/bin/mcp-core", "{whole}/.venv/bin/mcp-core"])
def test_below_the_working_directory_it_is_the_path_from_there(
    checkout: Path, monkeypatch: pytest.MonkeyPatch, started: str
) -> None:
    monkeypatch.setattr(sys, "argv", [started.format(whole=checkout)])
    assert command("setup-link") == command_on_a_page("setup-link") == ".venv/bin/mcp-core setup-link"
    assert runs(command("setup-link"), checkout)


def test_elsewhere_it_is_the_whole_path_and_on_pages_the_bare_name(
    checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", [str(checkout / ".venv/bin/mcp-core")])
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    assert shlex.split(command("setup-link")) == [f"{checkout}/.venv/bin/mcp-core", "setup-link"]
    assert runs(command("setup-link"), elsewhere)
    assert command_on_a_page("setup-link") == "mcp-core setup-link"


@pytest.mark.parametrize("linked", [False, True])
def test_on_path_it_is_the_bare_name(checkout: Path, monkeypatch: pytest.MonkeyPatch, *, linked: bool) -> None:
    folder = checkout / ".venv/bin"
    if linked:  # as pipx does it
        folder = checkout / "linked"
        folder.mkdir()
        (folder / "mcp-core").symlink_to(checkout / ".venv/bin/mcp-core")
    monkeypatch.setattr(sys, "argv", [str(folder / "mcp-core")])
    monkeypatch.setenv("PATH", f"{folder}:{os.defpath}")
    assert command("setup-link") == "mcp-core setup-link"


def test_another_program_of_that_name_on_path_is_not_meant(
    checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = program(tmp_path / "other/mcp-core")
    monkeypatch.setattr(sys, "argv", [".venv/bin/mcp-core"])
    monkeypatch.setenv("PATH", f"{other.parent}:{os.defpath}")
    assert command("setup-link") == ".venv/bin/mcp-core setup-link"


def test_under_another_server_it_is_the_program_beside_the_python(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", [str(checkout / ".venv/bin/gunicorn")])
    monkeypatch.setattr(sys, "executable", str(checkout / ".venv/bin/python"))
    assert command("setup-link") == ".venv/bin/mcp-core setup-link"
    (checkout / ".venv/bin/mcp-core").unlink()
    assert command("setup-link") == "mcp-core setup-link", "nothing better is known"
