"""Which Python ``.ci/environment`` takes, and what it knows a faster one by."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from provider.start.interpreter import is_profiled
from tests.waiting import HANG_SECONDS

ROOT = Path(__file__).resolve().parents[2]
PLAIN, FAST, BARE = "plain", "fast", "without ensurepip"


@pytest.mark.parametrize("build, answer", [
    ({"CONFIG_ARGS": "'--enable-shared' '--enable-optimizations' '--with-lto'", "PGO_PROF_USE_FLAG": "-fprofile-use"}, True),
    ({"CONFIG_ARGS": "'--enable-shared'", "PGO_PROF_GEN_FLAG": "-fprofile-generate", "PGO_PROF_USE_FLAG": ""}, True),
    ({"CONFIG_ARGS": "", "PGO_PROF_GEN_FLAG": "-fprofile-generate", "PGO_PROF_USE_FLAG": "-fprofile-use"}, False),
    ({"CONFIG_ARGS": None}, False),
    ({}, False),
])  # fmt: skip
def test_what_a_build_says_of_itself(build: dict[str, str], answer: bool) -> None:
    assert is_profiled(build) is answer


@pytest.mark.parametrize("here, taken", [
    ([PLAIN], PLAIN),
    ([FAST], FAST),
    ([PLAIN, FAST], FAST),
    ([FAST, PLAIN], FAST),
    ([PLAIN, BARE], PLAIN),
    ([PLAIN, PLAIN], PLAIN),
])  # fmt: skip
def test_of_several_pythons_of_one_name_the_fast_one_is_taken(tmp_path: Path, here: list[str], taken: str) -> None:
    folders = []
    for number, kind in enumerate(here):
        folder = tmp_path / str(number)
        folder.mkdir()
        folders.append(str(folder))
        _write(folder / "python3.11", kind)
    done = _run(tmp_path, ":".join(folders), "python3.11")
    assert (tmp_path / "environment").read_text() == taken
    assert f"Making {tmp_path}/environment" in done


def test_one_that_is_named_by_its_path_is_taken_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    _write(tmp_path / "bin" / "python3.11", FAST)
    _write(tmp_path / "mine", PLAIN)
    _run(tmp_path, f"{tmp_path}/bin", str(tmp_path / "mine"))
    assert (tmp_path / "environment").read_text() == PLAIN


def _write(path: Path, kind: str) -> None:
    """A Python that answers what the script asks of it, and makes an environment that says which it was."""
    path.write_text(
        f"""#!/bin/sh
case "$*" in
    *ensurepip*) [ "{kind}" != "{BARE}" ] ;;
    *interpreter.py) [ "{kind}" = "{FAST}" ] || [ "{kind}" = "{BARE}" ] ;;
    "-m venv "*) printf "{kind}" > "$3" ;;
esac
""",
        "utf-8",
    )
    path.chmod(0o755)


def _run(folder: Path, path: str, python: str) -> str:
    done = subprocess.run(
        [ROOT / ".ci/environment", folder / "environment"],
        cwd=ROOT,
        env={"PATH": path, "PYTHON": python},
        check=True,
        capture_output=True,
        text=True,
        timeout=HANG_SECONDS,
    )
    return done.stdout
