"""Two MCP clients that people use reach an MCP server that verifies our tokens: the official SDK's, and FastMCP's.

The clients are as their operators registered them, and the ways in without a person are here too. Clients that nobody
registered are in ``test_unknown_mcp_clients.py``.
"""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from joserfc import jwk
from mcp.client.auth.extensions.client_credentials import (
    ClientCredentialsOAuthProvider,
    PrivateKeyJWTOAuthProvider,
    SignedJWTParameters,
)

from tests.journeys.fastmcp_client import Desktop, FastMCPProgram
from tests.journeys.mcp_sdk import Program, Storage, whoami
from tests.journeys.mcp_server import SCOPE
from tests.journeys.mcp_world import ON_THIS_DEVICE, OTHER_API, UNREVIEWED, World, says, says_nothing_of
from tests.waiting import HANG_SECONDS


def test_the_official_client_signs_in_calls_and_refreshes(world: World) -> None:
    program = Program(world.url, world.person(), issuer=world.server.issuer, client_id=world.native_client())
    said = whoami(world.url, program.auth)
    assert said["client_id"] == program.client_id
    assert SCOPE in said["scope"].split()
    asked = parse_qs(urlsplit(program.opened[0]).query)
    assert asked["resource"] == [world.url]
    (page,) = program.person.asked
    says(page, "“Notes client” wants to use your account", "You will be sent to localhost", ON_THIS_DEVICE)
    says(
        page,
        f"Access to Notes {world.url}",
        f"It will be able to Do what Notes calls “{SCOPE}”",
        "Keep this access while you are away",
    )
    says_nothing_of(page, UNREVIEWED, "Known by its address")

    tokens = program.storage.tokens
    assert tokens[-1].refresh_token
    program.expire()
    assert whoami(world.url, program.auth) == said
    first, second = tokens
    assert first.refresh_token != second.refresh_token
    assert first.access_token != second.access_token
    assert len(program.opened) == 1, "the person was not asked again"


def test_the_official_client_gets_in_with_client_credentials(world: World) -> None:
    storage, service = Storage(), world.service()
    auth = ClientCredentialsOAuthProvider(
        world.url,
        storage,
        client_id=service["client_id"],
        client_secret=service["client_secret"],
        scope=SCOPE,
        issuer=world.server.issuer,
    )
    said = whoami(world.url, auth)
    assert said == {"sub": service["client_id"], "client_id": service["client_id"], "scope": SCOPE}
    assert storage.tokens[0].refresh_token is None


@pytest.mark.parametrize("algorithm", ["RS256", "ES256"])
def test_the_official_client_gets_in_with_a_key_of_its_own(world: World, algorithm: str, tmp_path: Path) -> None:
    """The SDK signs without a key id and with the issuer as the audience. We never see the private key."""
    key = jwk.RSAKey.generate_key(2048) if algorithm == "RS256" else jwk.ECKey.generate_key("P-256")
    metadata = tmp_path / "metadata.json"
    metadata.write_text(json.dumps({"jwks": jwk.KeySet([key]).as_dict(private=False)}))
    service = world.service("--auth-method", "private_key_jwt", "--metadata", str(metadata))
    assert "client_secret" not in service
    signed = SignedJWTParameters(
        issuer=service["client_id"],
        subject=service["client_id"],
        signing_key=key.as_pem(private=True).decode(),
        signing_algorithm=algorithm,
    )
    storage = Storage()
    auth = PrivateKeyJWTOAuthProvider(
        world.url,
        storage,
        client_id=service["client_id"],
        assertion_provider=signed.create_assertion_provider(),
        scope=SCOPE,
        issuer=world.server.issuer,
    )
    said = whoami(world.url, auth)
    assert said == {"sub": service["client_id"], "client_id": service["client_id"], "scope": SCOPE}
    assert storage.registrations == 0


def test_the_fastmcp_client_signs_in_calls_and_refreshes(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """It asks the authorization endpoint once itself before it opens the browser, which then asks again."""
    desktop = Desktop(world.person(), monkeypatch)
    program = FastMCPProgram(world.url, client_id=world.native_client(), issuer=world.server.issuer, scopes=[SCOPE])
    before, after = program.call_refresh_and_call()
    assert desktop.problems == []
    assert len(desktop.opened) == 1
    assert before == after
    assert before["client_id"] == program.client_id
    first, second = program.refresh_tokens
    assert first.startswith("mcp_rt_")
    assert first != second


def test_the_mcp_server_lets_nobody_else_in(world: World) -> None:
    """No token, a token for another API, a token that somebody made up: 401 with the way to the metadata."""
    service = world.service()
    answer = requests.post(
        f"{world.server.issuer}/token",
        data={"grant_type": "client_credentials", "resource": OTHER_API},
        auth=(service["client_id"], service["client_secret"]),
        timeout=HANG_SECONDS,
    )
    token = answer.json()["access_token"]
    for headers in ({}, {"Authorization": f"Bearer {token}"}, {"Authorization": f"Bearer {token[:-4]}AAAA"}):
        refusal = requests.post(world.url, json={}, headers=headers, timeout=HANG_SECONDS)
        assert refusal.status_code == 401
        assert "resource_metadata=" in refusal.headers["WWW-Authenticate"]
