"""The documents name everything that there is, and nothing that there is not."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import click
import pytest
import yaml
from sqlalchemy import Engine

from mcp_core_cloud import settings as cloud_command
from provider import endpoints
from provider.application import create_app
from provider.audit import AuditEvent
from provider.cli.program import program
from provider.endpoints.discovery import well_known_paths
from provider.oauth_server import OAuthServer
from provider.security.crypto import Keyring
from provider.settings import Settings, load_settings
from tests.cli.test_program import LEAVES

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("docs", "database", "examples", "verifier")
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.md"))])


def text_of(name: str) -> str:
    return (ROOT / name).read_text("utf-8")


def table_rows(text: str) -> dict[str, list[str]]:
    """Rows of tables whose first cell is code: that code, and the other cells."""
    rows = {}
    for line in text.splitlines():
        if match := re.fullmatch(r"\| `([^`]+)` \|(.*)\|", line):
            rows[match[1]] = [cell.strip() for cell in match[2].split("|")]
    return rows


def test_the_settings_page_has_each_setting_with_its_default_and_meaning() -> None:
    rows = {name: cells for name, cells in table_rows(text_of("docs/settings.md")).items() if name.startswith("MCP_")}
    wanted = {}
    for name, field in Settings.model_fields.items():
        default = str(field.default).lower() if isinstance(field.default, bool) else str(field.default)
        wanted[f"MCP_{name.upper()}"] = ["–" if field.default is None else f"`{default}`", field.description]
    assert rows == wanted


def test_the_settings_page_has_each_variable_of_the_database() -> None:
    source = text_of("database/connection.py")
    read = set(re.findall(r"environ(?:\.get\(|\[)\"(MYSQL_\w+)\"", source))
    assert len(read) >= 7
    assert {name for name in table_rows(text_of("docs/settings.md")) if name.startswith("MYSQL_")} == read


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_documents_speak_of_no_setting_that_is_not_there(path: Path) -> None:
    known = {f"MCP_{name.upper()}" for name in Settings.model_fields}
    known |= {cloud_command.ISSUER, cloud_command.KEY_ID, cloud_command.KEY_SECRET, cloud_command.KEY_SECRET_FILE}
    assert set(re.findall(r"\bMCP_[A-Z0-9_]+\b", path.read_text("utf-8"))) <= known


@pytest.mark.parametrize("issuer_path", ["/oauth", ""])
def test_the_endpoints_page_is_the_route_list(sqlite_engine: Engine, keyring: Keyring, issuer_path: str) -> None:
    settings = load_settings({"MCP_ISSUER": f"http://localhost:8000{issuer_path}"})
    app = create_app(settings, sqlite_engine, keyring)
    mounted = [endpoint for mount in endpoints.ALL for endpoint in mount(OAuthServer(app.extensions["mcp_core"]))]
    routes: dict[str, set[str]] = {endpoint.path: set(endpoint.methods) for endpoint in mounted}
    for rule in app.url_map.iter_rules():
        if not rule.endpoint.startswith("endpoint "):
            routes.setdefault(rule.rule, set()).update((rule.methods or set()) - {"HEAD", "OPTIONS"})
    page = text_of("docs/endpoints.md")
    rows = table_rows(page)
    well_known = {path for path in rows if "/.well-known/" in path}
    if issuer_path:
        listed = {path: set(cells[0].split(", ")) for path, cells in rows.items() if path not in well_known}
        assert well_known == set(well_known_paths(issuer_path))
        of_managers = ("/.well-known/change-password", "/.well-known/passkey-endpoints")
        assert all(f"`{path}`" in page for path in of_managers)
        listed |= {path: {"GET"} for path in (*well_known, *of_managers)}
        assert listed == routes
    else:
        assert {path for path in routes if "/.well-known/oa" in path or "/.well-known/openid" in path} <= well_known


def test_openapi_describes_each_endpoint_that_applications_call(sqlite_engine: Engine, keyring: Keyring) -> None:
    app = create_app(load_settings({}), sqlite_engine, keyring)
    mounted = [endpoint for mount in endpoints.ALL for endpoint in mount(OAuthServer(app.extensions["mcp_core"]))]
    described = yaml.safe_load(text_of("docs/openapi.yaml"))["paths"]
    paths = {
        endpoint.path.removeprefix("/oauth") for endpoint in mounted if endpoint.path.startswith(("/oauth/", "/api/"))
    }
    assert {path.replace("<", "{").replace(">", "}") for path in paths} == set(described)


@pytest.mark.parametrize("path", LEAVES)
def test_the_terminal_page_has_each_command_with_its_options(path: str) -> None:
    page = text_of("docs/terminal.md")
    assert re.search(rf"`(?:mcp-core )?{path}\b", page)
    for parameter in LEAVES[path].params:
        if isinstance(parameter, click.Option):
            assert re.search(rf"{parameter.opts[0]}\b", page), f"{path} {parameter.opts[0]}"


def test_documents_speak_of_no_command_that_is_not_there() -> None:
    groups = set(program.list_commands(click.Context(program)))
    for document in DOCUMENTS:
        for words in re.findall(r"mcp-core ([a-z][a-z-]*)(?: ([a-z][a-z-]*))?", document.read_text("utf-8")):
            if words[0] in groups and words[0] not in LEAVES:
                assert " ".join(words) in LEAVES or not words[1], f"{document.name}: mcp-core {' '.join(words)}"


def test_each_audit_event_has_its_meaning() -> None:
    recorded = text_of("docs/security.md").partition("## What is recorded")[2]
    assert set(table_rows(recorded)) == {event.value for event in AuditEvent} | {"database.restored"}


def test_each_dependency_has_its_reason() -> None:
    project = tomllib.loads(text_of("pyproject.toml"))["project"]
    page = text_of("docs/dependencies.md")
    runs, _, rest = page.partition("## What tests and checks need")
    for part, needs in ((runs, project["dependencies"]), (rest, project["optional-dependencies"]["dev"])):
        listed = {
            name
            for line in part.splitlines()
            if line.startswith("| `")
            for name in re.findall(r"`([\w-]+)`", line.split("|")[1])
        }
        assert listed == {re.split(r"[>=<\[ ]", need)[0] for need in needs}


@pytest.mark.parametrize("name", ["README.md", "README.ko.md"])
def test_the_readme_has_two_commands_to_set_up(name: str) -> None:
    commands = re.findall(r"^\$ (.*)$", text_of(name), re.MULTILINE)
    assert commands == ["make run", "make test"]
    targets = re.findall(r"^(\w+):.*## ", text_of("Makefile"), re.MULTILINE)
    assert {command.removeprefix("make ") for command in commands} <= set(targets)
    assert "Model Context Protocol" in text_of(name).split("\n\n")[2], "both meanings of MCP, in the first paragraph"


def test_the_korean_readme_says_as_much_as_the_english_one() -> None:
    english, korean = text_of("README.md"), text_of("README.ko.md")

    def shape(text: str) -> list[str]:
        return [line.split(" ")[0] for line in text.splitlines() if re.match(r"#+ |\d\. |- |\| |```", line)]

    def links(text: str) -> set[str]:
        found = re.findall(r"\]\(([^)]+)\)", text)
        return {link.partition("#")[0].replace(".en.md", ".md").replace("README.ko.md", "README.md") for link in found}

    assert shape(korean) == shape(english)
    assert links(korean) == links(english)


def slug(heading: str) -> str:
    """The anchor that a Markdown viewer gives a heading."""
    bare = re.sub(r"[^\w\- ]", "", heading.strip().lower())
    return bare.replace(" ", "-")


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(path: Path) -> None:
    prose = re.sub(r"^```.*?^```", "", path.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    for link in re.findall(r"\]\(([^)\s]+)\)", prose):
        if link.startswith(("https://", "http://")):
            continue
        name, _, anchor = link.partition("#")
        target = (path.parent / name).resolve() if name else path
        assert target.exists(), link
        if anchor:
            headings = re.findall(r"^#+ (.*)$", target.read_text("utf-8"), re.MULTILINE)
            assert anchor in {slug(heading) for heading in headings}, link


def test_every_decision_is_in_the_list() -> None:
    page = text_of("docs/decisions/README.md")
    pages = sorted(path.name for path in (ROOT / "docs/decisions").glob("0*.md"))
    assert re.findall(r"\((0\d+-[\w-]+\.md)\)", page) == pages
    for name in pages:
        heading = text_of(f"docs/decisions/{name}").splitlines()[0]
        number, title = re.fullmatch(r"# (\d+)\. (.*)", heading).groups()  # type: ignore[union-attr]
        assert f"{number}. [{title}]({name})" in page


def test_the_change_log_speaks_of_this_version() -> None:
    version = tomllib.loads(text_of("pyproject.toml"))["project"]["version"]
    assert re.search(rf"^## {re.escape(version)}\b", text_of("CHANGELOG.md"), re.MULTILINE)
