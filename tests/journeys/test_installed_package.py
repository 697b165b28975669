"""The packages as others install them: from wheels, in environments of their own, far from the checkout."""

from __future__ import annotations

import os
import subprocess
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
import requests

from tests.browser import Browser
from tests.environments import PARTS, ROOT, build, copy_sources, install, make_environment, needs_of
from tests.journeys.person import Person
from tests.serving import Server, serving
from tests.waiting import HANG_SECONDS

pytestmark = pytest.mark.slow
NOT_INSTALLED = {".po", ".cfg", ".md", ".toml"}  # what files are made of, and what tells about them
EXTRAS = {"": "asgi", "fastapi": "fastapi", "flask": "flask", "mcp": "mcp", "fastmcp": "fastmcp"}


def package_of(sources: Path, folder: Path) -> Path:
    """The wheel that is built from the source package of ``sources``, and from nothing else."""
    sdist = build(sources, "sdist", folder / "sdist")
    with tarfile.open(sdist) as archive:
        # Debian 12 has a Python before that argument.
        safely: dict[str, Any] = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
        archive.extractall(folder / "unpacked", **safely)
    (unpacked,) = (folder / "unpacked").iterdir()
    return build(unpacked, "wheel", folder / "wheel")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("built")
    return package_of(copy_sources(folder / "sources"), folder)


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment with the wheel and what it says that it needs."""
    made = make_environment(tmp_path_factory.mktemp("installed") / "environment", needs_of(wheel))
    install(made, str(wheel))
    return made


@pytest.fixture(scope="module")
def server(python: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("elsewhere"), program=python.with_name("mcp-core")) as running:
        yield running


def run(python: Path, *arguments: str, folder: Path, **variables: str) -> str:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MCP_", "MYSQL_", "PYTHON"))}
    done = subprocess.run(
        [str(python), *arguments], cwd=folder, env={**kept, **variables}, capture_output=True, text=True,
        timeout=HANG_SECONDS, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_wheel_holds_every_file_of_the_program_and_nothing_else(wheel: Path) -> None:
    wanted = set()
    for part in PARTS:
        for path in [ROOT / part] if (ROOT / part).is_file() else (ROOT / part).rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts and path.suffix not in NOT_INSTALLED:
                name = PurePosixPath(path.relative_to(ROOT).as_posix())
                wanted.add(f"provider/{name}" if name.parts[0] == "templates" else str(name))
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert held == wanted
    assert len(wanted) > 150


def test_the_first_account_is_made_and_signs_in_far_from_the_checkout(server: Server) -> None:
    person, browser = Person("ana"), Browser()
    person.set_up(browser, server.setup_link)
    assert browser.get(f"{server.origin}/account").status == 200
    again = Browser(language="ko")
    asked = again.get(f"{server.origin}/login")
    assert "로그인" in asked.text
    assert person.sign_in(again).path == "/account"
    style = requests.get(f"{server.origin}{sheet_of(asked.html)}", timeout=HANG_SECONDS)
    assert (style.status_code, style.headers["Content-Type"]) == (200, "text/css; charset=utf-8")
    assert requests.get(f"{server.issuer}/jwks", timeout=HANG_SECONDS).json()["keys"]
    assert server.traces == ""


def sheet_of(html: str) -> str:
    return html.partition('rel="stylesheet" href="')[2].partition('"')[0]


def test_its_data_lie_in_the_folder_where_it_was_started(server: Server) -> None:
    """Without MCP_HOME: ``instance`` below the working directory, wherever the program is."""
    program = server.program
    assert program is not None
    folder = server.home / "another"
    folder.mkdir()
    (folder / ".env").write_text(f"MCP_ISSUER={server.issuer}\n", "utf-8")
    python = program.with_name("python")
    assert "is up to date" in run(python, "-m", "database.init_db", folder=folder)
    assert (folder / "instance/mcp-core.db").is_file()
    assert run(program, "user", "list", "--json", folder=folder).strip() == "[]"


def test_the_names_of_the_schema_document_can_be_imported(python: Path, tmp_path: Path) -> None:
    run(python, "-m", "database.init_db", folder=tmp_path)
    code = (
        "import wsgi, database.init_db; from app.database import DatabaseConnection, get_db_session; "
        "DatabaseConnection.initialize(); print(wsgi.application.name, wsgi.__file__)"
    )
    name, place = run(python, "-c", code, folder=tmp_path).split()
    assert name == "provider.application"
    assert Path(place).is_relative_to(python.parent.parent)


@pytest.fixture(scope="module")
def verifier_wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("verifier")
    parts = ("mcp_core_cloud", "mcp_core_verifier", "pyproject.toml", "README.md")
    return package_of(copy_sources(folder / "sources", ROOT / "verifier", parts), folder)


@pytest.mark.parametrize("extra", EXTRAS)
def test_the_verifier_works_with_what_each_of_its_extras_brings(
    verifier_wheel: Path, tmp_path: Path, extra: str
) -> None:
    python = make_environment(tmp_path / "environment", needs_of(verifier_wheel, extra))
    install(python, str(verifier_wheel))
    code = (
        f"import mcp_core_verifier.{EXTRAS[extra]}, mcp_core_verifier as it; "
        "it.Verifier('http://localhost:8000/oauth', 'http://localhost:9000/api'); print(it.__file__)"
    )
    place = Path(run(python, "-c", code, folder=tmp_path).strip())
    assert place.is_relative_to(tmp_path)
    assert place.with_name("py.typed").is_file()
