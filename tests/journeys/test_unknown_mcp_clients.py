"""MCP clients that nobody registered: they bring a metadata document, or they register themselves without a token.

The person is told what there is to tell: the name the program gives itself, the host that vouches for that name if one
does, where the answer goes, what it wants to reach, and that nobody here has looked at it.
"""

from __future__ import annotations

import os
import subprocess
import sys
from urllib.parse import parse_qs, urlsplit

import pytest
import requests

from tests.journeys.fastmcp_client import Desktop, FastMCPProgram
from tests.journeys.mcp_sdk import Program, whoami
from tests.journeys.mcp_server import SCOPE
from tests.journeys.mcp_world import ON_THIS_DEVICE, UNREVIEWED, World, says, says_nothing_of
from tests.serving import ROOT
from tests.verifier.services import EXAMPLES
from tests.waiting import HANG_SECONDS

HOSTED = "https://editor.example/callback"


def test_the_official_client_brings_its_metadata_document(world: World) -> None:
    document = world.document("editor")
    program = Program(world.url, world.person(), issuer=world.server.issuer, document=document)
    said = whoami(world.url, program.auth)
    assert said["client_id"] == program.client_id == document
    assert program.storage.tokens[-1].refresh_token
    assert parse_qs(urlsplit(program.opened[0]).query)["client_id"] == [document]
    (page,) = program.person.asked
    says(
        page,
        "A program on this device wants to use your account",
        "It calls itself “The editor”.",
        f"Known by its address at {world.documents.host}",
    )
    says(
        page,
        "You will be sent to localhost",
        ON_THIS_DEVICE,
        f"Access to Notes {world.url}",
        f"Do what Notes calls “{SCOPE}”",
    )
    assert world.documents.count("/editor/client.json") == 1, "read once, and kept for as long as its host says"

    program.expire()
    assert whoami(world.url, program.auth)["client_id"] == document
    assert len(program.opened) == 1


def test_a_hosted_client_is_unreviewed_and_its_host_is_named(world: World) -> None:
    """It asks for lasting access, and therefore to be asked about again; an earlier yes is not forgotten meanwhile."""
    document, person = world.document("hosted", HOSTED), world.person()
    for _ in range(2):
        program = Program(world.url, person, issuer=world.server.issuer, document=document, callback=HOSTED)
        whoami(world.url, program.auth)
        assert parse_qs(urlsplit(program.opened[0]).query)["prompt"] == ["consent"]
    for page in person.asked:
        says(page, f"{world.documents.host} wants to use your account", "It calls itself “The hosted”.")
        says(page, UNREVIEWED, "You will be sent to editor.example")
        says(
            page, f"Known by its address at {world.documents.host}", f"It will be able to Do what Notes calls “{SCOPE}”"
        )
        says_nothing_of(page, ON_THIS_DEVICE)
    assert len(person.asked) == 2


def test_the_official_client_registers_itself(world: World) -> None:
    program = Program(world.url, world.person(), issuer=world.server.issuer)
    said = whoami(world.url, program.auth)
    assert said["client_id"] == program.client_id
    assert program.storage.registrations == 1
    assert program.storage.client is not None
    assert program.storage.client.client_secret is None, "a program on a device keeps no secret"
    (page,) = program.person.asked
    says(page, "A program on this device wants to use your account", "It calls itself “Somebody's editor”.")
    says(page, "You will be sent to localhost", ON_THIS_DEVICE)
    says_nothing_of(page, "Known by its address")
    program.expire()
    assert whoami(world.url, program.auth) == said
    assert len(program.opened) == 1

    again = Program(world.url, program.person, issuer=world.server.issuer, client_id=program.client_id)
    assert again.callback != program.callback
    assert whoami(world.url, again.auth) == said
    assert len(program.person.asked) == 2, "whoever listens on this device, the person is asked each time"


def test_the_fastmcp_client_brings_its_metadata_document(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    desktop = Desktop(world.person(), monkeypatch)
    document = world.document("notebook")
    program = FastMCPProgram(world.url, client_metadata_url=document)
    before, after = program.call_refresh_and_call()
    assert desktop.problems == []
    assert before == after
    assert before["client_id"] == document
    (page,) = desktop.person.asked
    says(page, "It calls itself “The notebook”.", f"Known by its address at {world.documents.host}", ON_THIS_DEVICE)


def test_the_fastmcp_client_registers_itself(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its own look at the authorization endpoint uses nothing up, and its port is another one each time."""
    desktop = Desktop(world.person(), monkeypatch)
    program = FastMCPProgram(world.url, client_name="Weekend project")
    before, after = program.call_refresh_and_call()
    assert desktop.problems == []
    assert before == after
    assert before["client_id"] == program.client_id
    assert len(desktop.opened) == len(desktop.person.asked) == 1
    says(desktop.person.asked[0], "It calls itself “Weekend project”.", ON_THIS_DEVICE)

    later = FastMCPProgram(world.url, client_id=program.client_id, issuer=world.server.issuer)
    assert later.auth.redirect_port != program.auth.redirect_port
    assert later.call()["client_id"] == program.client_id
    assert desktop.problems == []


def test_the_fastmcp_client_registers_anew_when_its_registration_is_gone(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    desktop = Desktop(world.person(), monkeypatch)
    program = FastMCPProgram(world.url)
    program.call()
    gone = program.client_id
    world.server.mcp_core("client", "delete", gone)
    program.auth.context.clear_tokens()
    assert program.call()["client_id"] == program.client_id != gone
    assert desktop.problems == []


@pytest.mark.parametrize("what", ["another redirect URI", "another id", "a shared secret", "no JSON"])
def test_a_document_that_does_not_hold_up_is_an_error_page_and_no_redirect(world: World, what: str) -> None:
    name = what.replace(" ", "-")
    document = world.document(name, HOSTED)
    if what == "another id":
        world.document(name, HOSTED, client_id=f"{document}x")
    elif what == "a shared secret":
        world.document(name, HOSTED, token_endpoint_auth_method="client_secret_basic")
    elif what == "no JSON":
        world.documents.answers[f"/{name}/client.json"] = (200, {"Content-Type": "application/json"}, b"<html>")
    redirect_uri = "https://evil.example/callback" if what == "another redirect URI" else HOSTED
    answer = requests.get(
        f"{world.server.issuer}/authorize",
        params={
            "response_type": "code",
            "client_id": document,
            "redirect_uri": redirect_uri,
            "code_challenge": "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM",
            "code_challenge_method": "S256",
            "resource": world.url,
        },
        allow_redirects=False,
        timeout=HANG_SECONDS,
    )
    assert answer.status_code == 400, answer.headers.get("Location")
    assert "Location" not in answer.headers


def test_the_example_client_signs_somebody_in_without_having_been_registered(world: World) -> None:
    person = world.person()
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / "fastmcp_server" / "client.py")],
        env={
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "BROWSER": f"{sys.executable} -m tests.journeys.fastmcp_client {person.username} %s &",
            "SERVER": world.url,
            "MCP_ISSUER": world.server.issuer,
        },
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert f"'scope': '{SCOPE}" in done.stdout
