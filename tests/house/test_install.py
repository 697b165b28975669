"""What ``.ci/install`` puts into an environment, asked of a Python that writes down what it is told to run."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.waiting import HANG_SECONDS

ROOT = Path(__file__).resolve().parents[2]
EDITABLE = ("--no-deps", "--no-build-isolation", "--no-index", "--editable")


@pytest.fixture
def environment(tmp_path: Path) -> Path:
    """An environment that installs nothing."""
    commands = tmp_path / "bin"
    commands.mkdir()
    for name in ("python", "mcp-core"):
        (commands / name).write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/told\n', "utf-8")
        (commands / name).chmod(0o755)
    return tmp_path


def told(environment: Path, lock: str) -> list[list[str]]:
    """What pip is asked to install, by one run."""
    log = environment / "told"
    log.write_text("", "utf-8")
    subprocess.run(
        [ROOT / ".ci/install", environment, lock], cwd=ROOT, check=True, capture_output=True, timeout=HANG_SECONDS
    )
    return [line.partition(" install ")[2].split() for line in log.read_text("utf-8").splitlines()]


@pytest.mark.parametrize("lock, projects", [("requirements.txt", ["."]), ("requirements-dev.txt", [".", "./verifier"])])
def test_the_lock_is_installed_and_then_what_is_in_the_checkout(
    environment: Path, lock: str, projects: list[str]
) -> None:
    first, *others = told(environment, lock)
    assert first == ["--no-deps", "--require-hashes", "--requirement", lock]
    assert others == [[*EDITABLE, project] for project in projects]
    assert told(environment, lock) == [], "the same lock is not installed twice"


def test_what_builds_the_projects_of_the_checkout_is_in_both_locks() -> None:
    for lock in ("requirements.txt", "requirements-dev.txt"):
        assert "\nsetuptools==" in (ROOT / lock).read_text("utf-8"), "nothing is asked of an index for a build"
