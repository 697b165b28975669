"""A service in use while the real provider changes its keys, restarts, goes away, and takes tokens back."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from mcp_core_verifier import AccessDenied, Introspection, InvalidToken, Verifier
from tests.browser import Browser
from tests.journeys.person import Person
from tests.relying_party import RelyingParty, unverified_header
from tests.serving import ROOT, serving
from tests.verifier.conftest import API, ELSEWHERE, Real, prepared
from tests.verifier.stand_in import Clock
from tests.waiting import HANG_SECONDS, eventually


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Real]:
    """A provider of these tests' own. Its only worker is started again after a rotation, so new keys need no settling."""
    settings = {"MCP_SIGNING_KEY_PUBLISH_SECONDS": "0"}
    with serving(tmp_path_factory.mktemp("provider"), settings=settings) as server:
        yield prepared(server)


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "EdDSA"])
def test_every_algorithm_of_the_provider_is_understood(own: Real, algorithm: str) -> None:
    audience = f"https://{algorithm.lower()}.example/api"
    own.add(audience, token_alg=algorithm)
    with Verifier(own.issuer, audience) as verifier:
        token = verifier.verify(own.token(audience), "notes:read", "notes:write")
        assert (token.subject, token.client_id, token.is_machine) == (own.key["key_id"], own.key["key_id"], True)
        with pytest.raises(InvalidToken, match="audience"):
            verifier.verify(own.token(API))


def test_a_persons_token_is_no_machines_and_their_id_token_is_no_access_token(own: Real) -> None:
    made = own.server.mcp_core_json(
        *("client", "create", "--name", "Notes", "--redirect-uri", "https://app.example/callback"),
        *("--scope", "openid notes:read"),
    )
    party = RelyingParty(
        own.issuer,
        made["client_id"],
        "https://app.example/callback",
        client_secret=made["client_secret"],
        scope="openid notes:read",
        resource=API,
    )
    page = Person("ana").answer(Browser("https://app.example/"), party.authorization_url())
    tokens = party.redeem(party.code_from(page.url))
    with Verifier(own.issuer, API) as verifier:
        token = verifier.verify(tokens.access_token, "notes:read")
        assert (token.subject, token.is_machine) == (tokens.claims["sub"], False)
        with pytest.raises(InvalidToken, match="typ"):
            verifier.verify(tokens.id_token or "")


def test_keys_are_rotated_under_use_without_a_refused_token(own: Real) -> None:
    refused: list[str] = []
    used: list[str] = []
    stop = threading.Event()
    with Verifier(own.issuer, API) as verifier:
        old = own.token()
        verifier.verify(old)

        def use() -> None:
            while not stop.is_set():
                with contextlib.suppress(requests.ConnectionError):  # while it restarts there are no new tokens
                    used.append(own.token())
                try:
                    verifier.verify(used[-1])
                    verifier.verify(old)
                except AccessDenied as refusal:
                    refused.append(refusal.detail)

        user = threading.Thread(target=use)
        user.start()
        own.server.mcp_core("keys", "rotate", "--now")
        own.server.stop()
        own.server.start()  # it would notice by itself within half a minute
        used.append(own.token())
        verifier.verify(used[-1])
        stop.set()
        user.join(HANG_SECONDS)
        verifier.verify(old)
    assert not refused
    assert len({unverified_header(token)["kid"] for token in used}) == 2


def test_the_provider_restarts_and_goes_away_under_use(own: Real) -> None:
    with Verifier(own.issuer, API, cache_seconds=0.2, refetch_seconds=0.1, timeout_seconds=2) as verifier:
        token = own.token()
        verifier.verify(token)
        own.server.kill()
        try:
            for _ in range(50):
                assert verifier.verify(token).subject == own.key["key_id"]
        finally:
            own.server.start()
        assert verifier.verify(own.token()).subject == own.key["key_id"]


@pytest.fixture
def asking(own: Real, clock: Clock) -> Iterator[tuple[Verifier, Clock]]:
    made = own.server.mcp_core_json("client", "create", "--name", "Notes API", "--grant", "client_credentials")
    own.server.mcp_core("resource", "set", API, "--introspection-client", made["client_id"])
    basic, form = (made["client_id"], made["client_secret"]), {"token": own.token()}
    # The server has known the API without this mark for up to five seconds.
    eventually(
        lambda: requests.post(f"{own.issuer}/introspect", form, auth=basic, timeout=HANG_SECONDS).json()["active"]
    )
    credentials = Introspection(*basic, cache_seconds=5)
    with Verifier(own.issuer, API, introspection=credentials, monotonic=clock) as verifier:
        yield verifier, clock


def test_a_revoked_token_is_refused_as_soon_as_the_provider_is_asked(own: Real, asking: tuple[Verifier, Clock]) -> None:
    verifier, clock = asking
    token, other = own.token(), own.token()
    assert verifier.verify(token).subject == verifier.verify(other).subject == own.key["key_id"]
    answer = requests.post(
        f"{own.issuer}/revoke",
        data={"token": token},
        auth=(own.key["key_id"], own.key["key_secret"]),
        timeout=HANG_SECONDS,
    )
    assert answer.status_code == 200
    clock.now += 5
    with pytest.raises(InvalidToken, match="not active"):
        verifier.verify(token)
    assert verifier.verify(other).subject == own.key["key_id"]
    with Verifier(own.issuer, API) as offline:
        assert offline.verify(token).subject, "this is what introspection is for"


@pytest.mark.parametrize("resource", [API, ELSEWHERE])
def test_a_client_that_only_gets_tokens_for_a_resource_may_not_ask(own: Real, resource: str) -> None:
    made = own.server.mcp_core_json(
        *("client", "create", "--name", "Stranger", "--grant", "client_credentials", "--resource", resource),
        *("--scope", "notes:read"),
    )
    credentials = Introspection(made["client_id"], made["client_secret"])
    with (
        Verifier(own.issuer, API, introspection=credentials) as verifier,
        pytest.raises(InvalidToken, match="not active"),
    ):
        verifier.verify(own.token())


def test_importing_the_package_imports_no_framework() -> None:
    program = "import sys, mcp_core_verifier; print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={"PYTHONPATH": str(ROOT / "verifier")},
        capture_output=True,
        text=True,
        check=True,
        timeout=HANG_SECONDS,
    )
    frameworks = {"fastapi", "starlette", "flask", "werkzeug", "mcp", "fastmcp", "pydantic", "uvicorn", "provider"}
    assert not frameworks & set(done.stdout.split())


def test_the_distribution_needs_two_packages_and_has_its_types() -> None:
    import tomllib

    folder = Path(ROOT) / "verifier"
    project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    assert sorted(name.partition(">")[0] for name in project["dependencies"]) == ["httpx", "joserfc"]
    assert (folder / "mcp_core_verifier" / "py.typed").exists()
