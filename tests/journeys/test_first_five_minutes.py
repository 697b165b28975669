"""A newcomer in a fresh checkout: the README, the first start, the account page and the examples, pasted as printed.

But for ports, which others may have taken here, and for ``…``, which means what a line before has shown.
"""

from __future__ import annotations

import ast
import contextlib
import hashlib
import html
import os
import re
import signal
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
import requests
from packaging.utils import canonicalize_name

from tests.browser import Browser
from tests.database_servers import free_port
from tests.environments import PARTS, ROOT, closure, copy_sources, install, make_environment
from tests.journeys.person import Person
from tests.serving import answers
from tests.waiting import HANG_SECONDS, eventually

pytestmark = pytest.mark.slow
CHECKOUT = (*PARTS, ".ci", "Makefile", "examples", "verifier", "requirements.txt", "requirements-dev.txt")
EXAMPLES = sorted(path.parent.name for path in (ROOT / "examples").glob("*/README.md"))
PORTS = (8000, 9000, 9100, 9200, 9300, 9400, 9500, 9501, 9600)


def needs_of_example(name: str) -> list[str]:
    return (ROOT / "examples" / name / "requirements.txt").read_text("utf-8").split()


@pytest.mark.parametrize("name", EXAMPLES)
def test_what_an_example_imports_is_in_its_requirements(name: str) -> None:
    there = {canonicalize_name(found.name) for found in closure(needs_of_example(name))}
    owners, ours = packages_distributions(), {"mcp_core_verifier"}
    for path in (ROOT / "examples" / name).glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            module = node.module if isinstance(node, ast.ImportFrom) else None
            for full in (
                [module] if module else [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            ):
                package = str(full).partition(".")[0]
                if package not in ours and package not in sys.stdlib_module_names:
                    assert there & {canonicalize_name(owner) for owner in owners[package]}, f"{path.name}: {package}"


class Checkout:
    """A fresh checkout after its installation, and a shell in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = copy_sources(folder, ROOT, CHECKOUT)
        self.ports = {port: free_port() for port in PORTS}
        self.origin = f"http://localhost:{self.ports[8000]}"
        hidden = ("MCP_", "MYSQL_", "PYTHON")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(hidden)}
        # The program is on no PATH here, as after `make run`.
        path = os.pathsep.join(
            entry for entry in kept["PATH"].split(os.pathsep) if not Path(entry, "mcp-core").exists()
        )
        self.variables = {**kept, "PATH": path, "MCP_ISSUER": f"{self.origin}/oauth", "PYTHONUNBUFFERED": "1"}
        self._processes: list[subprocess.Popen[bytes]] = []

    def pretend_installed(self) -> None:
        """What ``.ci/install`` and ``examples/run`` leave behind, without an index."""
        project = tomllib.loads((self.folder / "pyproject.toml").read_text("utf-8"))["project"]
        python = make_environment(self.folder / ".venv", [*project["dependencies"], "setuptools"])
        install(python, "--editable", str(self.folder))
        parts = ("requirements.txt", "pyproject.toml", "verifier/pyproject.toml")
        (self.folder / ".venv/.installed-requirements.txt").write_text(self._sum(*parts) + "\n")
        needs = {need for name in EXAMPLES for need in needs_of_example(name)}
        make_environment(self.folder / ".venv/examples", sorted(needs))
        for name in EXAMPLES:
            mark = self.folder / ".venv/examples" / f".installed-{name}"
            mark.write_text(self._sum(f"examples/{name}/requirements.txt", "requirements-dev.txt") + "\n")

    def _sum(self, *names: str) -> str:
        return hashlib.sha256(b"".join((self.folder / name).read_bytes() for name in names)).hexdigest()

    def on_our_ports(self, text: str) -> str:
        return re.sub(r"(?<=:)\d{4}\b", lambda found: str(self.ports.get(int(found[0]), found[0])), text)

    def paste(self, line: str, **variables: str) -> str:
        """What a line prints that ends well."""
        done = subprocess.run(
            ["sh", "-c", self.on_our_ports(line)], cwd=self.folder, env={**self.variables, **variables},
            capture_output=True, text=True, timeout=2 * HANG_SECONDS, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def leave_running(self, line: str, log: Path, **variables: str) -> subprocess.Popen[bytes]:
        with log.open("wb") as output:
            process = subprocess.Popen(
                ["sh", "-c", self.on_our_ports(line)], cwd=self.folder, env={**self.variables, **variables},
                stdout=output, stderr=output, start_new_session=True,
            )  # fmt: skip
        self._processes.append(process)
        return process

    def close(self) -> None:
        for process in self._processes:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
            process.wait(HANG_SECONDS)


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Checkout]:
    made = Checkout(tmp_path_factory.mktemp("newcomer") / "mcp-core")
    made.pretend_installed()
    yield made
    made.close()


@pytest.fixture(scope="module")
def started(checkout: Checkout) -> str:
    """What the first ``make run`` prints."""
    assert console("README.md")[0] == "make run"
    log = checkout.folder / "make-run.log"
    process = checkout.leave_running("make run", log)
    eventually(lambda: answers(f"{checkout.origin}/health") or process.poll() is not None, log.read_text)
    return log.read_text("utf-8")


@pytest.fixture(scope="module")
def browser(checkout: Checkout, started: str) -> Browser:
    """Signed in to the first account, made by the link of the command that the start printed."""
    printed = started.partition("Lost it?")[2].splitlines()[0].strip()
    (link,) = re.findall(r"http\S+/setup/\S+", checkout.paste(printed))
    made = Browser()
    Person("ana").set_up(made, link)
    return made


def console(document: str) -> list[str]:
    """The lines at a prompt, in their order."""
    blocks = re.findall(r"^```console\n(.*?)^```$", (ROOT / document).read_text("utf-8"), re.MULTILINE | re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines()]
    return [re.sub(r"\s+# .*$", "", line.removeprefix("$ ")) for line in lines if line.startswith("$ ")]


def test_the_first_start_prints_what_the_readme_shows(checkout: Checkout, started: str) -> None:
    text = (ROOT / "README.md").read_text("utf-8")
    (shown,) = re.findall(r"^```\n(MCP Core   issuer.*?)^```$", text, re.MULTILINE | re.DOTALL)
    pattern = re.escape(
        shown.replace("/srv/mcp-core", str(checkout.folder)).replace("localhost:8000", checkout.origin[7:])
    )
    pattern = re.sub(r"14:32\\ UTC", r"\\d\\d:\\d\\d \\S+", pattern).replace("mcp_setup_…", r"mcp_setup_\S+")
    assert re.search(pattern, started)


def test_the_commands_of_the_readme_and_of_the_account_page_run(checkout: Checkout, browser: Browser) -> None:
    printed = re.findall(r"`(\.venv/bin/mcp-core [^`]+)`", (ROOT / "README.md").read_text("utf-8"))
    assert [line.split()[1] for line in printed] == ["client", "doctor"]
    page = browser.get(f"{checkout.origin}/account")
    shown = [html.unescape(block) for block in re.findall(r"<pre[^>]*>(.*?)</pre>", page.html, re.DOTALL)]
    on_page = [block for block in shown if "mcp-core " in block]
    assert [block.split()[1] for block in on_page] == ["protect", "client"]
    for line in (*printed, *on_page):
        checkout.paste(line)


def test_a_refusal_names_a_command_that_runs(checkout: Checkout, browser: Browser) -> None:
    listed = checkout.paste(".venv/bin/mcp-core registration-token list")
    assert "--name" in checkout.paste(listed.partition("with: ")[2].strip())
    assert ".venv/bin/mcp-core serve" in checkout.paste(".venv/bin/mcp-core --help")


def filled_in(line: str, shown: str) -> str:
    """``CLIENT_ID=…`` with what the line before has printed as ``client_id``."""
    fields = dict(re.findall(r"^(\w+)\s+(\S+)", shown, re.MULTILINE))
    return re.sub(r"\b(?:API_)?([A-Z_]+)=…", lambda found: found[0][:-1] + fields[found[1].lower()], line)


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_runs_line_by_line(checkout: Checkout, browser: Browser, tmp_path: Path, name: str) -> None:
    secrets_shown, said, exported = "", "", ""
    for line in console(f"examples/{name}/README.md"):
        pasted = filled_in(line, secrets_shown)
        if line.startswith("export "):
            exported = f"{pasted}; "
        elif "examples/run" in line and line.endswith(("/app.py", "/server.py")):
            port = 9501 if name == "nginx_auth_request" else int(re.findall(r'"PORT", "(\d+)"', program_of(line))[0])
            at = checkout.ports[port]
            log = tmp_path / "log"
            more = {"AUDIENCE": checkout.on_our_ports("http://localhost:9500/api")} if port == 9501 else {}
            process = checkout.leave_running(exported + pasted, log, PORT=str(at), **more)
            eventually(lambda at=at, process=process: answers_at_all(at) or process.poll() is not None, log.read_text)  # type: ignore[misc]
            assert process.poll() is None, log.read_text("utf-8")
        elif line.endswith("/client.py"):
            said = sign_in_by_client(checkout, browser, pasted, tmp_path)
            assert "'scope': 'notes:read" in said
        elif not line.startswith("nginx "):
            if line.startswith("TOKEN="):
                exported = f"{pasted}; "
                continue
            said = checkout.paste(exported + pasted)
            secrets_shown = said if "secret" in said else secrets_shown
    expected = {"api_key_script": '"client_id": "key_', "fastapi_service": '["milk"]', "flask_service": '"milk"'}
    assert expected.get(name, "") in said


def program_of(line: str) -> str:
    return (ROOT / "examples" / line.rpartition(" ")[2]).read_text("utf-8")


def answers_at_all(port: int) -> bool:
    try:
        return requests.get(f"http://127.0.0.1:{port}/", timeout=HANG_SECONDS).status_code < 500
    except requests.ConnectionError:
        return False


def sign_in_by_client(checkout: Checkout, browser: Browser, line: str, folder: Path) -> str:
    """Starts the program, which opens a browser, and agrees there."""
    opened, log = folder / "opened", folder / "client.log"
    opened.unlink(missing_ok=True)
    opener = folder / "browser"
    opener.write_text(f'#!/bin/sh\necho "$1" > {opened}.new && mv {opened}.new {opened}\n', "utf-8")
    opener.chmod(0o755)
    server = {"SERVER": checkout.on_our_ports("http://localhost:9100/mcp")}
    process = checkout.leave_running(line, log, BROWSER=f"{opener} %s", **({} if "SERVER=" in line else server))
    eventually(lambda: opened.exists() or process.poll() is not None, log.read_text)
    asked = browser.get(opened.read_text("utf-8").strip())
    browser.submit(asked.form(action="/consent"), button="allow")
    assert process.wait(HANG_SECONDS) == 0, log.read_text("utf-8")
    return log.read_text("utf-8")
