"""The systemd unit and the container file: what they copy, install and start is what there is."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest

from tests.cli.conftest import Terminal, bare_terminal
from tests.environments import ROOT, build, copy_sources

__all__ = ["bare_terminal"]

FOLDER = ROOT / "docs/deployment"


def steps(word: str) -> list[str]:
    """The arguments of the container file's instructions of one kind."""
    text = (FOLDER / "Containerfile").read_text("utf-8").replace("\\\n", " ")
    return [" ".join(line.split()) for line in re.findall(rf"^{word} (.*)$", text, re.MULTILINE)]


def test_what_the_container_file_copies_is_enough_to_build_the_package(tmp_path: Path) -> None:
    copied = [name for line in steps("COPY") if not line.startswith("--from") for name in line.split()[:-1]]
    sources = copy_sources(tmp_path / "sources", ROOT, copied)
    assert build(sources, "wheel", tmp_path / "wheel").stat().st_size > 100_000
    assert "requirements.txt" in copied, "with hashes, and with what builds the package"


def test_the_container_file_installs_without_asking_anything_but_the_lock() -> None:
    installed = [run.partition("pip install ")[2] for run in steps("RUN") if "pip install" in run]
    assert installed == [
        "--no-cache-dir --no-deps --require-hashes --requirement requirements.txt",
        "--no-cache-dir --no-deps --no-build-isolation --no-index .",
    ]
    assert steps("USER") == ["10001"]


@pytest.mark.parametrize("name", ["Containerfile", "mcp-core.service"])
def test_what_is_started_is_a_command_of_ours(bare_terminal: Terminal, name: str) -> None:
    unit = (FOLDER / "mcp-core.service").read_text("utf-8")
    words = (
        json.loads(steps("CMD")[0]) if name == "Containerfile" else re.findall(r"^ExecStart=(.*)$", unit, re.MULTILINE)
    )
    command = words if name == "Containerfile" else shlex.split(words[0])
    assert Path(command[0]).name == "mcp-core"
    bare_terminal.ok(*command[1:], "--help")


def test_the_unit_waits_longer_than_the_server_and_lets_it_write_in_one_place() -> None:
    from provider.start.server import STOP_SECONDS

    pairs = dict(re.findall(r"^(\w+)=(.*)$", (FOLDER / "mcp-core.service").read_text("utf-8"), re.MULTILINE))
    assert int(pairs["TimeoutStopSec"]) > STOP_SECONDS
    assert (pairs["ProtectSystem"], pairs["StateDirectory"]) == ("strict", "mcp-core")
    assert "MCP_HOME=/var/lib/mcp-core" in pairs["Environment"]
