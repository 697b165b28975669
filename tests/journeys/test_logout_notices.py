"""Back-channel logout from a running server: at once, from a command, after a kill, and from two workers once."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
from joserfc import jwt

from tests.browser import Browser
from tests.https_server import HttpsServer
from tests.journeys.person import Person
from tests.relying_party import RelyingParty
from tests.serving import Server
from tests.waiting import eventually

CALLBACK = "https://files.example/callback"
SIGNED_OUT = "https://files.example/signed-out"


@pytest.fixture
def receiver() -> Iterator[HttpsServer]:
    server = HttpsServer()
    server.answers["/out"] = (200, {}, b"")
    yield server
    server.close()


@pytest.fixture
def server(tmp_path: Path, receiver: HttpsServer) -> Iterator[Server]:
    settings = {"MCP_OUTBOUND_ALLOWED_HOSTS": receiver.host, "MCP_OUTBOUND_CA_FILE": str(receiver.authority)}
    made = Server(tmp_path / "home", settings=settings, workers=2)
    made.start()
    yield made
    made.stop()


def told(party: RelyingParty, receiver: HttpsServer, number: int) -> dict[str, Any]:
    """The claims of a logout token, checked as an application does."""
    fields = parse_qs(receiver.received[number].body.decode(), strict_parsing=True)
    (token,) = fields["logout_token"]
    decoded = jwt.decode(token, party.keys(), algorithms=["RS256"])
    assert decoded.header["typ"] == "logout+jwt"
    return dict(decoded.claims)


def test_an_application_hears_of_every_end_of_its_sessions_once(
    server: Server, receiver: HttpsServer, tmp_path: Path
) -> None:
    metadata = tmp_path / "client.json"
    metadata.write_text(
        json.dumps({"backchannel_logout_uri": f"{receiver.url}/out", "backchannel_logout_session_required": True})
    )
    made = server.mcp_core_json(
        *("client", "create", "--name", "Files", "--redirect-uri", CALLBACK, "--trusted"),
        *("--post-logout-redirect-uri", SIGNED_OUT, "--metadata", str(metadata)),
    )
    party = RelyingParty(server.issuer, made["client_id"], CALLBACK, made["client_secret"])
    ana = Person("ana")
    server.user(ana.username, ana.password, "--verified")

    browser = Browser("https://files.example/")
    tokens = party.redeem(party.code_from(ana.answer(browser, party.authorization_url()).url))
    assert tokens.id_token is not None
    assert browser.get(party.logout_url(tokens.id_token, SIGNED_OUT)).url == f"{SIGNED_OUT}?state={party.state}"
    eventually(lambda: receiver.count("/out") == 1)
    claims = told(party, receiver, 0)
    assert (claims["sub"], claims["sid"]) == (tokens.claims["sub"], tokens.claims["sid"])

    tokens = party.redeem(party.code_from(ana.answer(Browser(CALLBACK), party.authorization_url()).url))
    server.kill()
    server.mcp_core("user", "disable", "ana")
    time.sleep(0.5)
    assert receiver.count("/out") == 1, "a command sent it"
    server.start()
    eventually(lambda: receiver.count("/out") == 2)
    assert told(party, receiver, 1)["sid"] == tokens.claims["sid"]

    server.mcp_core("user", "enable", "ana")
    tokens = party.redeem(party.code_from(ana.answer(Browser(CALLBACK), party.authorization_url()).url))
    server.mcp_core("user", "disable", "ana")
    eventually(lambda: receiver.count("/out") == 3)
    assert told(party, receiver, 2)["sid"] == tokens.claims["sid"]
    time.sleep(6)  # each of the two workers has looked again
    assert receiver.count("/out") == 3
    assert "Traceback" not in server.log_text()
    assert server.stop() == 0, "the delivery does not keep the server from ending"
