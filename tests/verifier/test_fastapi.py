"""The FastAPI adapter, with tokens of the real provider."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

import pytest
from fastapi import Depends, FastAPI
from fastapi.testclient import TestClient

from mcp_core_verifier import AccessToken, Verifier
from mcp_core_verifier.fastapi import install
from tests.verifier.conftest import API, ELSEWHERE, Real, bearer

METADATA = 'resource_metadata="https://notes.example/.well-known/oauth-protected-resource/api"'
BAD = 'error="invalid_token", error_description="The access token is expired, revoked or not meant for this service."'
SHORT = 'error="insufficient_scope", error_description="The access token does not allow this."'


@pytest.fixture(scope="module")
def client(real: Real) -> Iterator[TestClient]:
    app = FastAPI()
    verifier = Verifier(real.issuer, API, scopes_supported=["notes:read", "notes:write"])
    protect = install(app, verifier)
    reading, writing = protect("notes:read"), protect("notes:read", "notes:write")

    @app.get("/read")
    async def read(token: Any = reading) -> dict[str, Any]:
        return {"sub": token.subject, "is_machine": token.is_machine}

    @app.post("/write")
    def write(token: Any = writing) -> str:
        return str(token.client_id)

    @app.get("/whole", dependencies=[protect()])
    def whole() -> str:
        return "good"

    def person(token: Any = reading) -> AccessToken:
        assert isinstance(token, AccessToken)
        return token

    nested = Depends(person)
    app.get("/nested")(lambda token=nested: token.subject)

    @app.get("/open")
    def everybody() -> str:
        return "open"

    with TestClient(app) as made, verifier:
        yield made


def test_a_good_token_passes_and_is_told(client: TestClient, real: Real) -> None:
    answer = client.get("/read", headers=bearer(real.token(scope="notes:read")))
    assert (answer.status_code, answer.json()) == (200, {"sub": real.key["key_id"], "is_machine": True})
    assert client.post("/write", headers=bearer(real.token())).json() == real.key["key_id"]
    assert client.get("/whole", headers=bearer(real.token(scope="notes:write"))).json() == "good"
    assert client.get("/nested", headers=bearer(real.token())).json() == real.key["key_id"]
    assert client.get("/open").json() == "open"


@pytest.mark.parametrize(
    "method, path, status, challenge",
    [
        ("GET", "/read", 401, f'Bearer scope="notes:read", {METADATA}'),
        ("POST", "/write", 401, f'Bearer scope="notes:read notes:write", {METADATA}'),
        ("GET", "/whole", 401, f"Bearer {METADATA}"),
        ("GET", "/nested", 401, f'Bearer scope="notes:read", {METADATA}'),
    ],
)
def test_without_a_token_the_challenge_says_what_is_needed(
    client: TestClient, method: str, path: str, status: int, challenge: str
) -> None:
    answer = client.request(method, path)
    assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (status, challenge)
    assert answer.headers["Content-Type"] == "application/json"


def test_a_token_for_another_service_is_refused(client: TestClient, real: Real) -> None:
    with pytest.raises(AssertionError, match="invalid_scope"):
        real.token(ELSEWHERE, "another:scope")
    answer = client.get("/read", headers=bearer(real.token(ELSEWHERE)))
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == f'Bearer {BAD}, scope="notes:read", {METADATA}'
    assert answer.json()["error"] == "invalid_token"


def test_a_token_with_too_little_scope_learns_all_that_is_needed(client: TestClient, real: Real) -> None:
    answer = client.post("/write", headers=bearer(real.token(scope="notes:write")))
    assert answer.status_code == 403
    assert answer.headers["WWW-Authenticate"] == f'Bearer {SHORT}, scope="notes:read notes:write", {METADATA}'


def test_a_token_is_only_looked_for_in_the_header(client: TestClient, real: Real) -> None:
    token = real.token()
    assert client.get("/read", params={"access_token": token}).status_code == 401
    assert client.post("/write", data={"access_token": token}).status_code == 401
    assert client.get("/read", headers={"Cookie": f"access_token={token}"}).status_code == 401
    both = [("Authorization", f"Bearer {token}"), ("Authorization", f"Bearer {token}")]
    assert client.get("/read", headers=both).status_code == 400


@pytest.mark.parametrize("path", ["/.well-known/oauth-protected-resource/api", "/.well-known/oauth-protected-resource"])
def test_the_metadata_is_served(client: TestClient, real: Real, path: str) -> None:
    answer = client.get(path)
    assert answer.json() == {
        "resource": API,
        "authorization_servers": [real.issuer],
        "scopes_supported": ["notes:read", "notes:write"],
        "bearer_methods_supported": ["header"],
    }
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert client.options(path).status_code == 204
    assert client.head(path).content == b""
    assert client.post(path).status_code == 405


def test_the_openapi_document_names_the_scheme_and_the_scopes(client: TestClient, real: Real) -> None:
    document = client.get("/openapi.json").json()
    assert document["components"]["securitySchemes"] == {
        "MCP Core": {"type": "openIdConnect", "openIdConnectUrl": f"{real.issuer}/.well-known/openid-configuration"}
    }
    paths = document["paths"]
    assert paths["/write"]["post"]["security"] == [{"MCP Core": ["notes:read", "notes:write"]}]
    assert "security" not in paths["/open"]["get"]
    assert not [path for path in paths if "well-known" in path]


def test_an_annotation_works_as_well_as_a_default(real: Real) -> None:
    app = FastAPI()
    with Verifier(real.issuer, API) as verifier:
        protect = install(app, verifier)

        def read(token: Any) -> str:
            return str(token.subject)

        read.__annotations__["token"] = Annotated[AccessToken, protect("notes:read")]
        app.get("/read")(read)
        with TestClient(app) as client:
            assert client.get("/read", headers=bearer(real.token())).json() == real.key["key_id"]
