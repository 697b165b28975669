"""A stand-in for the provider, a clock that stands still, and a verifier on both; and the real provider."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
import requests

from mcp_core_verifier import Verifier
from tests.serving import Server, serving
from tests.verifier.stand_in import AUDIENCE, Clock, StandIn
from tests.waiting import HANG_SECONDS

MakeVerifier = Callable[..., Verifier]


@pytest.fixture
def provider() -> Iterator[StandIn]:
    with StandIn() as running:
        yield running


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def make_verifier(provider: StandIn, clock: Clock) -> Iterator[MakeVerifier]:
    made = []

    def make(issuer: str | None = None, audience: str = AUDIENCE, **options: Any) -> Verifier:
        options = {"clock": clock, "monotonic": clock, "timeout_seconds": HANG_SECONDS, **options}
        made.append(Verifier(issuer or provider.issuer, audience, **options))
        return made[-1]

    yield make
    for verifier in made:
        verifier.close()


@pytest.fixture
def verifier(make_verifier: MakeVerifier) -> Verifier:
    return make_verifier()


API = "https://notes.example/api"
ELSEWHERE = "https://elsewhere.example/api"
SCOPES = "notes:read notes:write"


@dataclass
class Real:
    """The real provider, and an API key that may do everything there."""

    server: Server
    key: Mapping[str, str]

    @property
    def issuer(self) -> str:
        return self.server.issuer

    def add(self, audience: str, scope: str = SCOPES, **options: str) -> None:
        flags = [word for name, value in options.items() for word in (f"--{name.replace('_', '-')}", value)]
        self.server.mcp_core("resource", "add", audience, "--name", "Notes", "--scope", scope, *flags)

    def token(self, audience: str = API, scope: str | None = None) -> str:
        form = {"grant_type": "client_credentials", "resource": audience} | ({"scope": scope} if scope else {})
        auth = (self.key["key_id"], self.key["key_secret"])
        answer = requests.post(f"{self.issuer}/token", data=form, auth=auth, timeout=HANG_SECONDS)
        assert answer.status_code == 200, answer.text
        token: str = answer.json()["access_token"]
        return token


def prepared(server: Server) -> Real:
    server.user("ana", "violet kettle 71 harbour paints", "--verified")
    made = Real(server, {})
    made.add(API)
    made.add(ELSEWHERE)
    made.key = server.mcp_core_json("api-key", "create", "--user", "ana", "--name", "services", "--scope", SCOPES)
    return made


@pytest.fixture(scope="session")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Real]:
    """For tests that leave it as it is."""
    with serving(tmp_path_factory.mktemp("provider"), settings={"MCP_ACCESS_TOKEN_SECONDS": "900"}) as server:
        yield prepared(server)


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}
