"""What happens to tokens in the hands of the official MCP client: more scope on demand, parallel refreshes, a thief."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests

from tests.journeys.mcp_sdk import Program
from tests.journeys.mcp_server import SCOPE
from tests.journeys.mcp_world import WRITE, World, says, says_nothing_of
from tests.serving import ROOT
from tests.waiting import HANG_SECONDS

HOSTED = "https://planner.example/callback"
BEFORE = "You have allowed before:"


def _scopes(url: str) -> set[str]:
    return set(parse_qs(urlsplit(url).query)["scope"][0].split())


@pytest.mark.parametrize("kind", ["registered by an operator", "metadata document", "registered itself"])
def test_more_scope_is_asked_for_when_the_api_wants_it(world: World, kind: str) -> None:
    """401 names one scope, 403 one more; the client asks for all of them, the person reads what is new.

    A program on the person's own device may be another one today, whoever registered it: there everything is new.
    """
    options: dict[str, Any] = {}
    if kind == "registered by an operator":
        options = {"client_id": world.native_client(resource=world.api)}
    elif kind == "metadata document":
        options = {"document": world.document("planner", HOSTED), "callback": HOSTED}
    program = Program(world.api, world.person(), issuer=world.server.issuer, **options)
    assert program.request("GET", f"{world.api}/notes").json() == []
    assert {SCOPE} <= program.storage.scope
    assert WRITE not in program.storage.scope
    assert program.request("POST", f"{world.api}/notes?text=milk").json() == ["milk"]
    assert {SCOPE, WRITE} <= program.storage.scope
    assert program.request("GET", f"{world.api}/notes").json() == ["milk"]

    first, second = program.opened
    assert _scopes(second) == _scopes(first) | {SCOPE, WRITE}
    assert len(program.person.asked) == 2
    before, after = program.person.asked
    says(before, "It will be able to", f"Do what Notes API calls “{SCOPE}”")
    says_nothing_of(before, WRITE, BEFORE)
    if kind != "metadata document":
        says(after, "It will be able to", f"Do what Notes API calls “{SCOPE}”", f"Do what Notes API calls “{WRITE}”")
        says_nothing_of(after, BEFORE)
    else:
        says(after, f"It will also be able to Do what Notes API calls “{WRITE}” {BEFORE}")
    program.expire()
    assert program.request("POST", f"{world.api}/notes?text=salt").json() == ["milk", "salt"]
    assert {SCOPE, WRITE} <= program.storage.scope, "the wider access survives a refresh"


@pytest.fixture
def program(world: World) -> Program:
    """Signed in to the API."""
    made = Program(
        world.api, world.person(), issuer=world.server.issuer, client_id=world.native_client(resource=world.api)
    )
    assert made.request("GET", f"{world.api}/notes").status_code == 200
    return made


@pytest.fixture
def processes() -> Iterator[list[subprocess.Popen[str]]]:
    started: list[subprocess.Popen[str]] = []
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'verifier'}"}
    with ExitStack() as stack:
        for _ in range(2):
            process = subprocess.Popen(
                [sys.executable, "-m", "tests.journeys.refresher"],
                env=environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            started.append(stack.enter_context(process))
            stack.callback(process.kill)
        yield started


def test_two_processes_that_share_a_refresh_token_both_survive(
    world: World, program: Program, processes: list[subprocess.Popen[str]]
) -> None:
    """Both refresh the same token at the same moment. Both go on, and the family lives."""
    assert program.storage.client is not None
    given: dict[str, Any] = {
        "client": program.storage.client.model_dump(mode="json"),
        "tokens": program.storage.tokens[-1].model_dump(),
        "url": f"{world.api}/notes",
        "metadata_url": f"{world.server.issuer}/.well-known/openid-configuration",
    }
    for process in processes:
        print(json.dumps(given), file=process.stdin, flush=True)
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        print(1, file=process.stdin, flush=True)
    outcomes = [json.loads(process.communicate(timeout=HANG_SECONDS)[0]) for process in processes]
    assert [outcome["status"] for outcome in outcomes] == [200, 200]
    refreshed = [outcome["tokens"][-1] for outcome in outcomes]
    assert len({tokens["access_token"] for tokens in refreshed}) == 2
    assert given["tokens"]["refresh_token"] not in {tokens["refresh_token"] for tokens in refreshed}
    answer = _refresh(world, program, refreshed[0]["refresh_token"])
    assert answer.status_code == 200, answer.text


def test_an_older_refresh_token_in_a_thiefs_hands_ends_the_family(world: World, program: Program) -> None:
    for _ in range(2):
        program.expire()
        assert program.request("GET", f"{world.api}/notes").status_code == 200
    oldest, _, newest = (str(tokens.refresh_token) for tokens in program.storage.tokens)
    assert len(program.opened) == 1
    stolen = _refresh(world, program, oldest)
    assert (stolen.status_code, stolen.json()["error"]) == (400, "invalid_grant")
    robbed = _refresh(world, program, newest)
    assert (robbed.status_code, robbed.json()["error"]) == (400, "invalid_grant")

    program.expire()
    assert program.request("GET", f"{world.api}/notes").status_code == 200
    assert len(program.opened) == 2, "the client starts over, and the person signs in again"


def _refresh(world: World, program: Program, token: str) -> requests.Response:
    return requests.post(
        f"{world.server.issuer}/token",
        data={
            "grant_type": "refresh_token",
            "refresh_token": token,
            "client_id": program.client_id,
            "resource": world.api,
        },
        timeout=HANG_SECONDS,
    )
