"""The conformance command of the Model Context Protocol, with all that it has for authorization servers."""

from __future__ import annotations

import json
import re
import subprocess
import threading
from pathlib import Path

import pytest

from tests.browser import Browser
from tests.database_servers import free_port
from tests.interop.node import NODE, environment
from tests.journeys.mcp_world import World

pytestmark = [pytest.mark.interop, pytest.mark.slow]
COMMAND = "node_modules/@modelcontextprotocol/conformance/dist/index.js"
SECONDS = 120
SCENARIOS = ("authorization-server-metadata-endpoint", "authorization-code-grant")


def test_the_command_finds_nothing_wrong(world: World, packages: Path, tmp_path: Path) -> None:
    """It prints an address for a person to open, and serves the redirect URI itself. Warnings count as faults here."""
    port = free_port()
    made = world.server.mcp_core_json(
        *("client", "create", "--name", "Conformance", "--public", "--native"),
        *("--redirect-uri", f"http://127.0.0.1:{port}/callback"),
    )
    arguments = ["--url", world.server.issuer, "--client-id", made["client_id"], "--resource", world.url]
    printed: list[str] = []
    process = subprocess.Popen(
        [NODE, COMMAND, "authorization", *arguments, "-p", str(port), "-o", str(tmp_path)],
        cwd=packages,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    watchdog = threading.Timer(SECONDS, process.kill)
    watchdog.start()
    with process:
        assert process.stdout is not None
        for line in process.stdout:
            printed.append(line)
            if found := re.search(r"https?://\S+code_challenge=\S+", line):
                world.person().answer(Browser(), found[0], until=200)
        status = process.wait()
    watchdog.cancel()
    assert status == 0, "".join(printed)
    assert {name for name in SCENARIOS if list(tmp_path.glob(f"*{name}*"))} == set(SCENARIOS)
    checks = [check for path in tmp_path.rglob("checks.json") for check in json.loads(path.read_text())]
    assert len(checks) >= 2
    assert {check["status"] for check in checks} == {"SUCCESS"}, checks
