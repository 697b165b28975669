"""Both generations of the TypeScript SDK, from the challenge to the tool, as people and as machines."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from joserfc import jwk

from tests.browser import Browser
from tests.database_servers import free_port
from tests.interop.node import running
from tests.journeys.mcp_server import SCOPE
from tests.journeys.mcp_world import ON_THIS_DEVICE, World, says, says_nothing_of

pytestmark = [pytest.mark.interop, pytest.mark.slow]
by_generation = pytest.mark.parametrize("sdk", [1, 2], ids=["sdk 1", "client 2"])


@by_generation
@pytest.mark.parametrize("kind", ["dynamic", "document"])
def test_a_person_signs_in_and_the_client_refreshes(
    world: World, packages: Path, tmp_path: Path, sdk: int, kind: str
) -> None:
    callback = f"http://localhost:{free_port()}/callback"
    document = world.document(f"typescript-{sdk}") if kind == "document" else None
    given = {"sdk": sdk, "kind": kind, "url": world.url, "issuer": world.server.issuer, "callback": callback}
    person = world.person()
    with running(packages, "mcp_client.mjs", tmp_path / "log", document=document, **given) as program:
        url = program.hear()["open"]
        asked = parse_qs(urlsplit(url).query)
        assert asked["resource"] == [world.url]
        program.tell(person.answer(Browser(callback), url).url)
        said = program.hear()
    assert said["before"] == said["after"]
    assert said["before"]["client_id"] == asked["client_id"][0] == said["client"]["client_id"]
    assert SCOPE in said["before"]["scope"].split()
    assert said["old"]["refresh_token"] != said["tokens"]["refresh_token"]

    (page,) = person.asked
    says(
        page,
        "You will be sent to localhost",
        ON_THIS_DEVICE,
        f"Access to Notes {world.url}",
        f"Do what Notes calls “{SCOPE}”",
    )
    if document is None:
        assert said["registrations"] == 1
        assert "client_secret" not in said["client"]
        says(page, "A program on this device wants to use your account", "It calls itself “A TypeScript editor”.")
        says_nothing_of(page, "Known by its address")
    else:
        assert said["client"]["client_id"] == document
        says(page, f"It calls itself “The typescript-{sdk}”.", f"Known by its address at {world.documents.host}")


@by_generation
@pytest.mark.parametrize("kind", ["secret", "key"])
def test_a_machine_gets_in(world: World, packages: Path, tmp_path: Path, sdk: int, kind: str) -> None:
    options: list[str] = []
    given: dict[str, Any] = {"sdk": sdk, "kind": kind, "url": world.url, "issuer": world.server.issuer, "scope": SCOPE}
    if kind == "key":
        key = jwk.ECKey.generate_key("P-256")
        metadata = tmp_path / "metadata.json"
        metadata.write_text(json.dumps({"jwks": {"keys": [key.as_dict(private=False)]}}))
        options = ["--auth-method", "private_key_jwt", "--metadata", str(metadata)]
        given |= {"private_key": key.as_dict(private=True), "algorithm": "ES256"}
    service = world.service(*options)
    given |= {"client_id": service["client_id"], "client_secret": service.get("client_secret")}
    with running(packages, "mcp_client.mjs", tmp_path / "log", **given) as program:
        said = program.hear()
    expected = {"sub": service["client_id"], "client_id": service["client_id"], "scope": SCOPE}
    assert said == {"before": expected}
