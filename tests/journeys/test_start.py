"""What the server loads and weighs, and whether the link it prints is good."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import requests

from tests.browser import Browser
from tests.journeys.application import at_once
from tests.journeys.person import Person
from tests.serving import Server, serving
from tests.waiting import HANG_SECONDS

RESIDENT_MIB = 130
REQUESTS = 200
# What a start loads, of all that is installed. The time of a start is mostly theirs: bench/start.py.
# uvicorn loads watchfiles, and that anyio, where tests have brought them along.
LOADED_AT_START = {
    "annotated_types", "anyio", "argon2", "authlib", "babel", "blinker", "cffi", "click", "cryptography", "dotenv", "flask",
    "flask_babel", "flask_sqlalchemy", "greenlet", "httptools", "itsdangerous", "jinja2", "joserfc", "markupsafe",
    "pydantic", "pydantic_core", "pymysql", "pyotp", "pytz", "segno", "sqlalchemy", "typing_extensions", "typing_inspection",
    "uvicorn", "uvloop", "watchfiles", "werkzeug",
}  # fmt: skip
_LOAD = """
import datetime, sys
from provider.start.serve import listening, prepare
from provider.settings import load_settings
settings = load_settings()
listening(settings, None, None, 1, 4)
prepare(settings, datetime.datetime.now(datetime.UTC), lambda line: None)
import wsgi
for name, module in sorted(sys.modules.items()):
    if "." not in name and "site-packages" in (getattr(module, "__file__", None) or ""):
        print(name)
"""


def test_a_start_loads_only_what_every_request_may_need(tmp_path: Path) -> None:
    """What is large and seldom needed is loaded when it is, such as the estimate of how easily a password is guessed."""
    done = subprocess.run(
        [sys.executable, "-c", _LOAD],
        cwd=tmp_path,
        env=Server(tmp_path).environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=HANG_SECONDS,
    )
    loaded = {name for name in done.stdout.split() if not name.startswith(("_", "coverage"))}
    assert loaded <= LOADED_AT_START
    assert {"flask", "sqlalchemy", "uvicorn"} <= loaded, "it was a start"


_COLLECT = """
import datetime, gc
from provider.start.memory import load_without_collecting
load_without_collecting()
assert not gc.isenabled()
from provider.cli.terminal import opened
from provider.settings import load_settings
from provider.start.serve import load_door, prepare
prepare(load_settings(), datetime.datetime.now(datetime.UTC), lambda line: None)
gc.unfreeze()
try:
    {}
except SystemExit:
    pass
print("collects", gc.isenabled(), "keeps", gc.get_freeze_count() > 100_000)
"""
LOADED = {
    "a server": "load_door(1)",
    "a command": "with opened(): assert gc.isenabled()",
    "the doctor": "from provider.cli.program import program; program(['doctor'], prog_name='mcp-core')",
}


@pytest.mark.parametrize("load", LOADED.values(), ids=LOADED)
def test_garbage_is_looked_for_once_everything_is_loaded(tmp_path: Path, load: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _COLLECT.replace("{}", load)],
        cwd=tmp_path,
        env=Server(tmp_path).environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=HANG_SECONDS,
    )
    assert done.stdout.splitlines()[-1] == "collects True keeps True"


def test_the_server_is_light_and_its_printed_link_works(tmp_path: Path) -> None:
    """One person sets it up by the link; two hundred requests of every kind later it still weighs no more than this."""
    with serving(tmp_path) as server:
        person, browser = Person("ana"), Browser()
        person.set_up(browser, server.setup_link)
        assert browser.get(server.setup_link).status == 404, "the link works once"
        service = server.mcp_core_json("client", "create", "--name", "Backup", "--grant", "client_credentials")
        for number in range(REQUESTS // 4):
            answers = [
                requests.post(
                    f"{server.issuer}/token",
                    data={"grant_type": "client_credentials"},
                    auth=(service["client_id"], service["client_secret"]),
                    timeout=HANG_SECONDS,
                ),
                requests.get(f"{server.issuer}/jwks", timeout=HANG_SECONDS),
                requests.get(f"{server.issuer}/.well-known/openid-configuration", timeout=HANG_SECONDS),
            ]
            assert {answer.status_code for answer in answers} == {200}, number
            assert browser.get(f"{server.origin}/account").status == 200
        print(f"resident after {REQUESTS} requests: {_resident(server)} MiB")
        assert _resident(server) < RESIDENT_MIB
        assert len(server.processes()) == 1

        def sign_in() -> str:
            other = Browser()
            other.get(f"{server.origin}/login")
            return person.sign_in(other).path

        assert at_once([sign_in] * 6) == ["/account"] * 6
        print(f"resident after six sign-ins at once: {_resident(server)} MiB")
        assert _resident(server) < RESIDENT_MIB, "password hashing keeps its memory"


def _resident(server: Server) -> int:
    return server.resident_kib() // 1024
