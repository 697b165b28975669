"""Environments that hold a package and what it says that it needs, without asking an index.

The dependencies are hard links to those of the environment in which the tests run: a second instead of a minute.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Iterable, Iterator
from importlib.metadata import Distribution, PathDistribution, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.waiting import HANG_SECONDS

ROOT = Path(__file__).resolve().parents[1]
PARTS = ("app", "database", "provider", "templates", "pyproject.toml", "README.md", "wsgi.py")
_SITE = Path(sysconfig.get_path("purelib"))
_LEFT_OUT = shutil.ignore_patterns("__pycache__", "*.egg-info", "build", "node_modules")


def copy_sources(folder: Path, root: Path = ROOT, parts: Iterable[str] = PARTS) -> Path:
    """What a package is built from, where a build may leave its traces."""
    folder.mkdir(parents=True)
    for name in parts:
        if (root / name).is_dir():
            shutil.copytree(root / name, folder / name, ignore=_LEFT_OUT)
        else:
            shutil.copyfile(root / name, folder / name)
    return folder


def build(sources: Path, kind: str, into: Path) -> Path:
    """A package of ``kind`` (``sdist`` or ``wheel``), by the setuptools of this environment."""
    command = [sys.executable, "-m", "build", f"--{kind}", "--no-isolation", "--outdir", str(into), str(sources)]
    subprocess.run(command, check=True, capture_output=True, timeout=4 * HANG_SECONDS)
    (made,) = into.glob("*.tar.gz" if kind == "sdist" else "*.whl")
    return made


def needs_of(wheel: Path, extra: str = "") -> list[str]:
    """What a wheel says that it needs."""
    inside = zipfile.Path(wheel)
    (said,) = (path for path in inside.iterdir() if path.name.endswith(".dist-info"))
    return [str(need) for need in _wanted(PathDistribution(said), {extra})]


def make_environment(folder: Path, needs: Iterable[str]) -> Path:
    """A new environment with ``needs`` (``flask>=3.1``, ``mcp[cli]``) and all that they need in turn. Returns its Python."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True, timeout=HANG_SECONDS)
    (site,) = folder.glob("lib/python*/site-packages")
    for found in closure(needs):
        _link(found, site)
    return folder / "bin/python"


def install(python: Path, *arguments: str) -> None:
    """Installs a wheel or a folder into the environment of ``python``; what it needs has to be there."""
    pip = [sys.executable, "-m", "pip", "--python", str(python), "--disable-pip-version-check", "--no-input", "--quiet"]
    command = [*pip, "install", "--no-deps", "--no-index", "--no-build-isolation", *arguments]
    subprocess.run(command, check=True, capture_output=True, timeout=4 * HANG_SECONDS)
    subprocess.run([*pip, "check"], check=True, capture_output=True, timeout=HANG_SECONDS)


def _wanted(found: Distribution, extras: Iterable[str]) -> Iterator[Requirement]:
    for line in found.requires or ():
        need = Requirement(line)
        if need.marker is None or any(need.marker.evaluate({"extra": extra}) for extra in {"", *extras}):
            yield need


def closure(needs: Iterable[str]) -> list[Distribution]:
    """What is installed here of ``needs`` and of all that they need in turn."""
    pending, seen = [Requirement(need) for need in needs], dict[str, set[str]]()
    while pending:
        need = pending.pop()
        name, extras = canonicalize_name(need.name), {"", *need.extras}
        if extras <= seen.get(name, set()):
            continue
        seen[name] = seen.get(name, set()) | extras
        pending += _wanted(distribution(name), seen[name])
    return [distribution(name) for name in seen]


def _link(found: Distribution, site: Path) -> None:
    for file in found.files or ():
        source = Path(str(found.locate_file(file)))
        if ".." in file.parts or not source.is_relative_to(_SITE):
            continue  # programs name the Python of their environment
        target = site / file
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(source, target)
        except OSError:  # another file system
            shutil.copyfile(source, target)
