"""The example services, started as their README files say, called with tokens of the real provider."""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tests.database_servers import free_port
from tests.serving import ROOT
from tests.verifier.conftest import API, ELSEWHERE, Real, bearer
from tests.verifier.services import EXAMPLES, example, running
from tests.waiting import HANG_SECONDS

WELL_KNOWN = "/.well-known/oauth-protected-resource"


@pytest.fixture(scope="module", params=["fastapi_service/app.py", "flask_service/app.py"])
def service(request: pytest.FixtureRequest, real: Real, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a running service, which is registered as a resource."""
    port = free_port()
    address = f"http://localhost:{port}"
    real.add(f"{address}/api")
    with example(request.param, port, tmp_path_factory.mktemp("service"), MCP_ISSUER=real.issuer):
        yield address


def test_a_service_serves_its_callers_by_their_tokens(service: str, real: Real) -> None:
    everything, reading = real.token(f"{service}/api"), real.token(f"{service}/api", "notes:read")
    written = requests.post(
        f"{service}/api/notes", params={"text": "milk"}, headers=bearer(everything), timeout=HANG_SECONDS
    )
    assert (written.status_code, written.json()) == (201, ["milk"])
    assert requests.get(f"{service}/api/notes", headers=bearer(reading), timeout=HANG_SECONDS).json() == ["milk"]
    told = requests.get(f"{service}/api/whoami", headers=bearer(reading), timeout=HANG_SECONDS).json()
    assert told == {"sub": real.key["key_id"], "client_id": real.key["key_id"], "is_machine": True}


def test_a_service_refuses_properly(service: str, real: Real) -> None:
    told = f'resource_metadata="{service}{WELL_KNOWN}/api"'
    answer = requests.get(f"{service}/api/notes", timeout=HANG_SECONDS)
    assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, f'Bearer scope="notes:read", {told}')
    answer = requests.get(f"{service}/api/notes", headers=bearer(real.token(ELSEWHERE)), timeout=HANG_SECONDS)
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_token")
    reading = bearer(real.token(f"{service}/api", "notes:read"))
    answer = requests.post(f"{service}/api/notes", params={"text": "x"}, headers=reading, timeout=HANG_SECONDS)
    assert (answer.status_code, answer.json()["error"]) == (403, "insufficient_scope")
    assert answer.headers["WWW-Authenticate"].endswith(f'scope="notes:read notes:write", {told}')
    document = requests.get(f"{service}{WELL_KNOWN}/api", timeout=HANG_SECONDS).json()
    assert (document["resource"], document["authorization_servers"]) == (f"{service}/api", [real.issuer])


@pytest.fixture(scope="module")
def checker(real: Real, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The application that nginx asks."""
    port = free_port()
    home = tmp_path_factory.mktemp("checker")
    with example("nginx_auth_request/app.py", port, home, MCP_ISSUER=real.issuer, AUDIENCE=API):
        yield f"http://127.0.0.1:{port}"


def test_the_answers_for_nginx(checker: str, real: Real) -> None:
    url, reading = f"{checker}/verify?scope=notes:read+notes:write", bearer(real.token(scope="notes:read"))
    answer = requests.get(url, headers=bearer(real.token()), timeout=HANG_SECONDS)
    told = [answer.headers[name] for name in ("X-Subject", "X-Client-Id", "X-Scope")]
    assert (answer.status_code, answer.content) == (204, b"")
    assert told == [real.key["key_id"], real.key["key_id"], "notes:read notes:write"]
    for headers, status in ((reading, 403), ({}, 401), (bearer("x"), 401), ({"Authorization": "Bearer"}, 401)):
        answer = requests.get(url, headers=headers, timeout=HANG_SECONDS)
        assert answer.status_code == status
        assert 'scope="notes:read notes:write"' in answer.headers["WWW-Authenticate"]
    assert requests.get(f"{checker}/verify", headers=reading, timeout=HANG_SECONDS).status_code == 204
    assert requests.get(f"{checker}{WELL_KNOWN}/api", timeout=HANG_SECONDS).json()["resource"] == API
    assert requests.options(f"{checker}{WELL_KNOWN}", timeout=HANG_SECONDS).status_code == 204


@pytest.mark.skipif(shutil.which("nginx") is None, reason="nginx is not installed")
def test_nginx_itself_with_the_example_configuration(checker: str, real: Real, tmp_path: Path) -> None:
    front, back = free_port(), free_port()
    ports = {"9500": str(front), "9501": checker.rpartition(":")[2], "9502": str(back)}
    for name in ("nginx.conf", "protected.conf"):
        text = (EXAMPLES / "nginx_auth_request" / name).read_text()
        text = re.sub(r"\b950[012]\b", lambda match: ports[match[0]], text)
        (tmp_path / name).write_text(text.replace("/tmp/mcp-core-example-nginx", f"{tmp_path}/nginx"))
    command = ["nginx", "-e", "stderr", "-c", str(tmp_path / "nginx.conf"), "-g", "daemon off;"]
    echo = [sys.executable, str(ROOT / "tests" / "verifier" / "echo.py"), str(back)]
    with running(echo, back, tmp_path / "echo.log"), running(command, front, tmp_path / "nginx.log"):
        url = f"http://127.0.0.1:{front}/api"
        forged = {"X-Subject": "root", "X-Client-Id": "root"}
        seen = requests.get(f"{url}/x", headers={**bearer(real.token()), **forged}, timeout=HANG_SECONDS).json()
        assert (seen["X-Subject"], seen["X-Scope"]) == (real.key["key_id"], "notes:read notes:write")
        assert "Authorization" not in seen
        assert "root" not in seen.values()
        posted = requests.post(
            f"{url}/write/x", data=b"milk", headers=bearer(real.token()), timeout=HANG_SECONDS
        ).json()
        assert posted["body"] == "milk"
        answer = requests.get(f"{url}/x", headers=forged, timeout=HANG_SECONDS)
        assert answer.status_code == 401
        assert answer.headers["WWW-Authenticate"].startswith('Bearer scope="notes:read", resource_metadata=')
        answer = requests.get(f"{url}/write/x", headers=bearer(real.token(scope="notes:read")), timeout=HANG_SECONDS)
        assert (answer.status_code, answer.json()["error"]) == (403, "insufficient_scope")
        assert 'scope="notes:read notes:write"' in answer.headers["WWW-Authenticate"]
        found = requests.get(f"http://127.0.0.1:{front}{WELL_KNOWN}/api", timeout=HANG_SECONDS)
        assert found.json()["authorization_servers"] == [real.issuer]
