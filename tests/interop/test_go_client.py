"""A relying party in Go, on go-oidc and x/oauth2: with the registration that everybody gets, and with its own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.browser import Browser
from tests.database_servers import free_port
from tests.journeys.person import Person
from tests.serving import Server, serving
from tests.verifier.services import running

SOURCE = Path(__file__).with_name("relying_party")
GO = shutil.which("go") or shutil.which("go", path="/usr/local/go/bin")
BUILD_SECONDS = 300
pytestmark = [pytest.mark.interop, pytest.mark.skipif(GO is None, reason="Go is not installed")]


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built program. ``SKIP_INTEROP=1`` leaves it out, where its two modules cannot be fetched."""
    if os.environ.get("SKIP_INTEROP"):
        pytest.skip("SKIP_INTEROP is set")
    there = tmp_path_factory.mktemp("go") / "relying_party"
    done = subprocess.run(
        [str(GO), "build", "-mod=readonly", "-buildvcs=false", "-o", str(there), "."],
        cwd=SOURCE,
        env={**os.environ, "GOTOOLCHAIN": "local", "GOFLAGS": "-p=1", "CGO_ENABLED": "0"},
        capture_output=True,
        text=True,
        timeout=BUILD_SECONDS,
        check=False,
    )
    if "requires go >=" in done.stderr:
        pytest.skip(f"Go is too old: {done.stderr.strip()}")
    assert done.returncode == 0, f"SKIP_INTEROP=1 leaves this test out.\n{done.stderr[-2000:]}"
    return there


@pytest.fixture(scope="module")
def provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("home")) as server:
        yield server


@pytest.mark.parametrize(
    "options, path, settings",
    [
        (("--name", "Plain"), "/callback", {}),
        (
            ("--name", "Strict", "--pkce", "always", "--auth-method", "client_secret_basic=strict"),
            "/callback",
            {"PKCE": "1"},
        ),
        (("--for", "go-oidc"), "", {"PKCE": "1"}),
    ],
    ids=["as it is, registered by default", "with PKCE and a strict registration", "as its guide says"],
)
def test_a_go_program_signs_people_in(
    provider: Server, program: Path, tmp_path: Path, options: tuple[str, ...], path: str, settings: dict[str, str]
) -> None:
    port = free_port()
    base = f"http://localhost:{port}"
    made = provider.mcp_core_json("client", "create", *options, "--redirect-uri", base + path)
    person = Person(f"mina{port}")
    provider.user(person.username, person.password, "--verified")
    known = {
        "ISSUER": provider.issuer,
        "CLIENT_ID": made["client_id"],
        "CLIENT_SECRET": made["client_secret"],
        "REDIRECT_URI": f"{base}/callback",
    }
    with running([str(program)], port, tmp_path / "log", **known, **settings):
        page = person.answer(Browser(), f"{base}/login", until=200)
    said = json.loads(page.html)
    for claims in said.values():
        assert claims["preferred_username"] == person.username
        assert (claims["email"], claims["email_verified"]) == (person.email, True)
    assert said["id_token"]["sub"] == said["userinfo"]["sub"]


def test_a_go_program_that_sends_no_challenge_is_told_so_where_the_registration_is_strict(
    provider: Server, program: Path, tmp_path: Path
) -> None:
    port = free_port()
    callback = f"http://localhost:{port}/callback"
    made = provider.mcp_core_json(
        "client", "create", "--name", "Strict", "--pkce", "always", "--redirect-uri", callback
    )
    known = {
        "ISSUER": provider.issuer,
        "CLIENT_ID": made["client_id"],
        "CLIENT_SECRET": made["client_secret"],
        "REDIRECT_URI": callback,
    }
    with running([str(program)], port, tmp_path / "log", **known):
        page = Browser().get(f"http://localhost:{port}/login")
    assert (page.status, page.html.strip()) == (400, "invalid_request: PKCE is required: code_challenge is missing.")
