"""What the documents print is what works: their commands and their code are run as they stand there."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jwt
import pytest
import requests
from fastapi.testclient import TestClient

from tests.cli.conftest import PASSWORD, Terminal, bare_terminal, terminal
from tests.database_servers import free_port
from tests.mail_servers import MailServer
from tests.serving import ROOT, Server, serving
from tests.waiting import HANG_SECONDS, eventually

__all__ = ["bare_terminal", "terminal"]

ISSUER = "http://localhost:8000/oauth"
NOTES = "https://notes.example/api"
TOOLS = "http://localhost:9100/mcp"


def blocks(document: str, language: str) -> list[str]:
    text = (ROOT / document).read_text("utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def commands(document: str) -> list[str]:
    """The ``mcp-core`` commands that a document prints at a prompt, in their order."""
    lines = [line for block in blocks(document, "console") for line in block.splitlines()]
    found = [line.removeprefix("$ ") for line in lines if line.startswith("$ ") and "mcp-core " in line]
    return [re.sub(r"\s+#.*$", "", line) for line in found]


def run(terminal: Terminal, command: str) -> None:
    """Runs one printed line. Names that are cut short (``app_…``) mean the first of their kind."""
    left, pipe, right = command.partition(" | ")
    given = shlex.split(left)[1] + "\n" if pipe and left.startswith("echo ") else ""
    words = shlex.split((right if pipe else left).replace(".venv/bin/", ""))
    assert words[0] == "mcp-core"
    for index, word in enumerate(words):
        if word == "app_…":
            words[index] = terminal.json("client", "list")[0]["client_id"]
        elif word == "key_…":
            words[index] = terminal.json("api-key", "list")[0]["key_id"]
    result = terminal.run(*words[1:], given=given)
    expected = 1 if words[1] == "doctor" else 0  # no server runs at the issuer
    assert result.exit_code == expected, f"{command}: {result.output}"


@pytest.fixture
def mail_server() -> Iterator[MailServer]:
    made = MailServer()
    yield made
    made.close()


@pytest.mark.parametrize(
    "document, count",
    [
        ("docs/terminal.md", 51),
        ("docs/integrate.md", 5),
        ("examples/fastmcp_server/README.md", 2),
        ("examples/sign_in_with_mcp/README.md", 1),
        ("examples/api_key_script/README.md", 1),
        ("examples/cloud_service/README.md", 3),
    ],
)
def test_printed_commands_work_one_after_the_other(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch, mail_server: MailServer, document: str, count: int
) -> None:
    monkeypatch.setenv("MCP_ISSUER", f"http://localhost:{free_port()}/oauth")
    monkeypatch.setenv("MCP_SMTP_URL", mail_server.url)
    monkeypatch.setenv("MCP_MAIL_FROM", "id@id.example")
    monkeypatch.setattr("provider.cli.vault._Voice.wait", lambda *_: None)  # no server is waited for
    found = commands(document)
    assert len(found) == count, "the count here tells that none is overlooked"
    if document != "docs/terminal.md":
        terminal.user("ana")
    for command in found:
        run(terminal, command)


@pytest.mark.parametrize("document", ["README.md", "README.ko.md"])
def test_the_command_in_the_readme_works(terminal: Terminal, document: str) -> None:
    (command,) = re.findall(r"`(\.venv/bin/mcp-core client create [^`]+)`", (ROOT / document).read_text("utf-8"))
    run(terminal, command)


def test_the_examples_of_the_help_work(terminal: Terminal) -> None:
    terminal.ok("resource", "add", "https://api.example/", "--name", "API", "--scope", "files.read")
    run(terminal, f"echo '{PASSWORD}' | mcp-core user create --username ana --email ana@example.org --password-stdin")
    of_apis = (("resource", "add"), ("resource", "update"), ("protect",))
    for path in (("client", "create"), ("api-key", "create"), *of_apis, ("keys", "rotate")):
        shown = terminal.ok(*path, "--help").partition("Options:")[0].partition("\n")[2].replace("\\\n", " ")
        found = re.findall(
            rf"\b(mcp-core {' '.join(path)} .*|mcp-core keys rotate(?: --now| --revoke)?)$", shown, re.MULTILINE
        )
        assert found
        for command in found:
            run(terminal, " ".join(command.split()))


def test_the_four_lines_for_mysql_are_enough(bare_terminal: Terminal) -> None:
    from database.connection import database_url_from_environment

    for document in ("README.md", "README.ko.md"):
        (block,) = blocks(document, "env")
        pairs = dict(line.split("=") for line in block.splitlines())
        assert len(pairs) == 4
        url = database_url_from_environment(pairs)
        assert (url.drivername, url.port, url.database) == ("mysql+pymysql", 3306, "mcp_core")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("printed")) as running:
        running.user("ana", PASSWORD)
        scope = ("--scope", "notes.read notes.write")
        running.mcp_core("resource", "add", NOTES, "--name", "Notes", *scope, "--token-alg", "ES256")
        running.mcp_core("resource", "add", TOOLS, "--name", "Tools", "--scope", "notes.read")
        yield running


@pytest.fixture(scope="module")
def key(server: Server) -> dict[str, str]:
    made: dict[str, str] = server.mcp_core_json(
        "api-key", "create", "--user", "ana", "--name", "nightly", "--everything"
    )
    return made


def token_for(server: Server, key: dict[str, str], resource: str, **fields: str) -> str:
    form = {"grant_type": "client_credentials", "resource": resource, **fields}
    answer = requests.post(
        f"{server.issuer}/token", data=form, auth=(key["key_id"], key["key_secret"]), timeout=HANG_SECONDS
    )
    return str(answer.json()["access_token"])


def printed(server: Server, containing: str) -> dict[str, Any]:
    """The names that a block of ``docs/integrate.md`` leaves behind, with this test's issuer in it."""
    (block,) = [block for block in blocks("docs/integrate.md", "python") if containing in block]
    names: dict[str, Any] = {"__name__": __name__}  # Flask looks for its folder by it
    exec(compile(block.replace(ISSUER, server.issuer), "integrate.md", "exec", dont_inherit=True), names)
    return names


@pytest.mark.parametrize("containing", ["mcp_core_verifier.fastapi", "mcp_core_verifier.flask"])
def test_services_with_the_verifier_let_in_who_may(server: Server, key: dict[str, str], containing: str) -> None:
    app = printed(server, containing)["app"]
    client = TestClient(app) if containing.endswith("fastapi") else app.test_client()
    good, narrow = token_for(server, key, NOTES), token_for(server, key, NOTES, scope="notes.write")
    foreign = token_for(server, key, TOOLS)
    for token, status in ((good, 200), (narrow, 403), (foreign, 401), ("nonsense", 401)):
        assert client.get("/notes", headers={"Authorization": f"Bearer {token}"}).status_code == status
    answer = client.get("/notes", headers={"Authorization": f"Bearer {good}"})
    assert (answer.json() if containing.endswith("fastapi") else answer.json) == {"of": key["key_id"]}
    assert client.get("/notes").status_code == 401


def test_pyjwt_verifies_as_printed(server: Server, key: dict[str, str]) -> None:
    verified = printed(server, "jwt.PyJWKClient")["verified"]
    token = token_for(server, key, NOTES)
    assert verified(token, "notes.read")["sub"] == key["key_id"]
    with pytest.raises(jwt.InvalidTokenError, match="lacks"):
        verified(token, "notes.delete")
    for wrong in (token_for(server, key, TOOLS), token[:-4] + "AAAA", "nonsense"):
        with pytest.raises(jwt.InvalidTokenError):
            verified(wrong, "notes.read")


def test_joserfc_verifies_as_printed(server: Server, key: dict[str, str]) -> None:
    verified = printed(server, "JWTClaimsRegistry")["verified"]
    token = token_for(server, key, NOTES)
    assert verified(token)["client_id"] == key["key_id"]
    for wrong in (token_for(server, key, TOOLS), token[:-4] + "AAAA"):
        with pytest.raises(Exception, match=r"aud|bad_signature|signature"):
            verified(wrong)


def test_fastmcp_verifies_as_printed(server: Server, key: dict[str, str]) -> None:
    names = printed(server, "RemoteAuthProvider")
    verify = names["auth"].token_verifier.verify_token
    good = asyncio.run(verify(token_for(server, key, TOOLS)))
    assert good.client_id == key["key_id"]
    assert asyncio.run(verify(token_for(server, key, NOTES))) is None
    assert [str(url) for url in names["auth"].authorization_servers] == [server.issuer]
    assert str(names["exact_url"].validate_python("https://auth.example.com")) == "https://auth.example.com"


def test_curl_gets_a_token_and_introspects_it_as_printed(server: Server, key: dict[str, str], tmp_path: Path) -> None:
    introspect, ask = (block.replace(ISSUER, server.issuer) for block in blocks("docs/integrate.md", "sh"))

    def shell(line: str, **variables: str) -> str:
        environment = {"PATH": os.environ["PATH"], **variables}
        return subprocess.run(
            ["sh", "-c", line],
            env=environment,
            capture_output=True,
            text=True,
            timeout=HANG_SECONDS,
            check=True,
            cwd=tmp_path,
        ).stdout

    answer = json.loads(shell(ask, KEY_ID=key["key_id"], KEY_SECRET=key["key_secret"]))
    assert (answer["token_type"], answer["expires_in"]) == ("Bearer", 600)
    client = server.mcp_core_json("client", "create", "--name", "Notes service", "--grant", "client_credentials")
    server.mcp_core("resource", "set", NOTES, "--introspection-client", client["client_id"])
    variables = {
        "CLIENT_ID": client["client_id"],
        "CLIENT_SECRET": client["client_secret"],
        "TOKEN": answer["access_token"],
    }
    # The server has known the API without this mark for up to five seconds.
    eventually(lambda: '"active":true' in shell(introspect, **variables).replace(" ", ""))
