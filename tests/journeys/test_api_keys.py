"""An API key buys tokens, others verify them, and a revoked key is refused at once, by every worker."""

from __future__ import annotations

import html
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import jwt
import pytest
import requests
from joserfc import jwk
from joserfc import jwt as joserfc_jwt

from tests.browser import Browser
from tests.journeys.person import Person
from tests.serving import ROOT, Server, serving
from tests.waiting import HANG_SECONDS

API = "https://reports.example/api"
OTHER_API = "https://files.example/api"
OWNER = Person("dana")


@pytest.fixture(scope="module")
def two_workers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("home"), workers=2) as server:
        server.user(OWNER.username, OWNER.password, "--verified")
        server.mcp_core("resource", "add", API, "--name", "Reports", "--scope", "reports:read", "--token-alg", "ES256")
        server.mcp_core("resource", "add", OTHER_API, "--name", "Files", "--scope", "files:read")
        yield server


def ask(server: Server, key: dict[str, Any], *, by: str = "basic", **fields: str) -> requests.Response:
    form = {"grant_type": "client_credentials", **fields}
    auth = None
    if by == "basic":
        auth = (key["key_id"], key["key_secret"])
    else:
        form |= {"client_id": key["key_id"], "client_secret": key["key_secret"]}
    return requests.post(f"{server.issuer}/token", data=form, auth=auth, timeout=HANG_SECONDS)


@pytest.mark.parametrize("by", ["basic", "post"])
@pytest.mark.parametrize("resource, algorithm", [(OTHER_API, "RS256"), (API, "ES256")])
def test_a_token_for_an_api_key_is_verified_offline_by_two_libraries_and_by_introspection(
    two_workers: Server, by: str, resource: str, algorithm: str
) -> None:
    server = two_workers
    key = server.mcp_core_json(
        "api-key", "create", "--user", OWNER.username, "--name", f"{by} {algorithm}", "--everything"
    )
    answer = ask(server, key, by=by, resource=resource)
    assert answer.status_code == 200, answer.text
    assert answer.headers["Cache-Control"] == "no-store"
    token = answer.json()["access_token"]

    public = jwt.PyJWKClient(f"{server.issuer}/jwks").get_signing_key_from_jwt(token)
    claims = jwt.decode(token, public, algorithms=[algorithm], issuer=server.issuer, audience=resource)
    keys = jwk.KeySet.import_key_set(requests.get(f"{server.issuer}/jwks", timeout=HANG_SECONDS).json())
    decoded = joserfc_jwt.decode(token, keys, algorithms=[algorithm])
    assert decoded.claims == claims
    assert decoded.header["typ"] == "at+jwt"
    assert claims["sub"] == claims["client_id"] == key["key_id"]
    assert claims["exp"] - claims["iat"] == answer.json()["expires_in"]
    assert "refresh_token" not in answer.json()
    assert claims["scope"] == ("reports:read" if resource == API else "files:read")

    told = requests.post(
        f"{server.issuer}/introspect",
        data={"token": token},
        auth=(key["key_id"], key["key_secret"]),
        timeout=HANG_SECONDS,
    ).json()
    assert told["active"] is True
    assert {name: told[name] for name in ("iss", "sub", "client_id", "exp")} == {
        name: claims[name] for name in ("iss", "sub", "client_id", "exp")
    }


def test_a_key_revoked_at_the_terminal_is_refused_at_once_by_every_worker(two_workers: Server) -> None:
    server = two_workers
    assert len(server.processes()) >= 3, "two workers and what watches them"
    key = server.mcp_core_json(
        "api-key", "create", "--user", OWNER.username, "--name", "short-lived", "--scope", "files:read"
    )
    tokens = [ask(server, key) for _ in range(24)]  # each on a connection of its own, so both workers know the key
    assert {answer.status_code for answer in tokens} == {200}
    server.mcp_core("api-key", "revoke", key["key_id"])
    refusals = [ask(server, key) for _ in range(12)]  # fewer than the limit for wrong guesses
    assert {(answer.status_code, answer.json()["error"]) for answer in refusals} == {(401, "invalid_client")}


def test_a_key_made_and_revoked_on_the_account_page(two_workers: Server) -> None:
    server, browser = two_workers, Browser()
    browser.get(f"{server.origin}/login")
    OWNER.sign_in(browser)
    browser.get(f"{server.origin}/account/api-keys/new")
    page = browser.fill({"name": "from the page", "days": "30"})
    key_id, secret = (next(word for word in page.text.split() if word.startswith(kind)) for kind in ("key_", "mcp_ak_"))
    key = {"key_id": key_id, "key_secret": secret}
    assert ask(server, key, resource=API).status_code == 200
    assert secret not in browser.get(f"{server.origin}/account/api-keys").html, "shown once"
    page = browser.get(f"{server.origin}/account/api-keys/{key_id}/revoke")
    assert "from the page" in page.text
    browser.submit(page.form(action="/revoke"))
    assert ask(server, key, resource=API).status_code == 401


@pytest.mark.parametrize(
    "fields, audience, scope",
    [
        ({}, "", ""),
        ({"access": "everything", "resource": API}, API, "reports:read"),
        ({"access": "everything"}, OTHER_API, "files:read"),
        ({"scope": ["files:read"]}, OTHER_API, "files:read"),
    ],
    ids=["no scope", "everything at one API", "everything", "one scope"],
)
def test_the_command_on_the_page_works_as_printed(
    two_workers: Server, fields: dict[str, str | list[str]], audience: str, scope: str
) -> None:
    """Pasted into a shell, where curl asks for the secret: at a terminal, or on its input where there is none."""
    server, browser = two_workers, Browser()
    browser.get(f"{server.origin}/login")
    OWNER.sign_in(browser)
    browser.get(f"{server.origin}/account/api-keys/new")
    page = browser.fill({"name": f"pasted {fields}"[:64], **fields})
    (secret,) = set(re.findall(r"mcp_ak_[0-9A-Za-z]{49}", page.html))
    command = html.unescape(re.findall(r"<pre[^>]*>(curl .*?)</pre>", page.html, re.DOTALL)[0])
    assert secret not in command, "no shell history keeps it"
    done = subprocess.run(
        ["sh", "-c", command],
        input=f"{secret}\n",
        capture_output=True,
        text=True,
        timeout=HANG_SECONDS,
        check=True,
        start_new_session=True,
    )
    answer = json.loads(done.stdout)
    claims = jwt.decode(answer["access_token"], options={"verify_signature": False})
    assert (claims["aud"], claims.get("scope", "")) == (audience or server.issuer, scope)


def test_a_key_dies_with_its_owner(two_workers: Server) -> None:
    server = two_workers
    server.user("evan", OWNER.password, "--verified")
    key = server.mcp_core_json("api-key", "create", "--user", "evan", "--name", "orphan", "--scope", "files:read")
    assert ask(server, key).status_code == 200
    server.mcp_core("user", "disable", "evan")
    assert ask(server, key).status_code == 401


def test_the_example_script_works_as_printed(two_workers: Server) -> None:
    server = two_workers
    key = server.mcp_core_json(
        "api-key", "create", "--user", OWNER.username, "--name", "example", "--scope", "files:read"
    )
    environment = {
        "PATH": os.environ["PATH"],
        "MCP_ISSUER": server.issuer,
        "API_KEY_ID": key["key_id"],
        "API_KEY_SECRET": key["key_secret"],
        "RESOURCE": API,
    }
    for command in ([sys.executable, "report.py"], ["sh", "get_token.sh"]):
        done = subprocess.run(
            command,
            cwd=ROOT / "examples" / "api_key_script",
            env=environment,
            capture_output=True,
            text=True,
            timeout=HANG_SECONDS,
            check=True,
        )
        assert key["key_id"] in done.stdout or done.stdout.startswith("eyJ"), done
