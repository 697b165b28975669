"""The ASGI middleware, with tokens of the real provider."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient, WebSocketDenialResponse
from starlette.websockets import WebSocket

from mcp_core_verifier import Verifier
from mcp_core_verifier.asgi import Message, Protect, access_token
from tests.verifier.conftest import API, ELSEWHERE, Real, bearer
from tests.verifier.test_fastapi import BAD, METADATA, SHORT

NEEDED = 'scope="notes:read notes:write"'


async def page(request: Request) -> Response:
    return PlainTextResponse(access_token(request.scope).subject)


async def health(request: Request) -> Response:
    with pytest.raises(LookupError):
        access_token(request.scope)
    return PlainTextResponse("well")


async def talk(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.send_text(access_token(websocket.scope).subject)
    await websocket.close()


@pytest.fixture(scope="module")
def client(real: Real) -> Iterator[TestClient]:
    verifier = Verifier(real.issuer, API)
    protection = Middleware(Protect, verifier=verifier, scopes=["notes:read", "notes:write"], public=["/health"])
    routes = [
        Route("/page", page, methods=["GET", "OPTIONS"]),
        Route("/health", health),
        Route("/health/deep", health),
        WebSocketRoute("/talk", talk),
    ]
    with TestClient(Starlette(routes=routes, middleware=[protection])) as made, verifier:
        yield made


def test_a_good_token_passes_and_is_told(client: TestClient, real: Real) -> None:
    assert client.get("/page", headers=bearer(real.token())).text == real.key["key_id"]


def test_only_the_public_path_itself_is_open(client: TestClient) -> None:
    assert client.get("/health").text == "well"
    for path in ("/health/", "/health/deep", "/HEALTH", "/nowhere", "/page"):
        assert client.get(path).status_code == 401, path


def test_the_challenge_says_what_is_needed(client: TestClient, real: Real) -> None:
    answer = client.get("/page")
    assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, f"Bearer {NEEDED}, {METADATA}")
    answer = client.get("/page", headers=bearer(real.token(ELSEWHERE)))
    assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, f"Bearer {BAD}, {NEEDED}, {METADATA}")
    answer = client.get("/page", headers=bearer(real.token(scope="notes:read")))
    assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (403, f"Bearer {SHORT}, {NEEDED}, {METADATA}")
    assert client.get("/page", headers=[*bearer(real.token()).items()] * 2).status_code == 400


def test_a_preflight_is_left_to_the_application(client: TestClient) -> None:
    preflight = {"Origin": "https://app.example", "Access-Control-Request-Method": "GET"}
    with pytest.raises(LookupError):
        client.options("/page", headers=preflight)
    assert client.options("/page").status_code == 401
    assert client.get("/page", headers=preflight).status_code == 401


def test_the_metadata_is_served(client: TestClient, real: Real) -> None:
    answer = client.get("/.well-known/oauth-protected-resource/api")
    assert answer.json()["authorization_servers"] == [real.issuer]
    assert client.options("/.well-known/oauth-protected-resource").status_code == 204
    assert client.get("/.well-known/oauth-protected-resource/other").status_code == 401


def test_a_websocket_needs_a_token_as_well(client: TestClient, real: Real) -> None:
    with client.websocket_connect("/talk", headers=bearer(real.token())) as socket:
        assert socket.receive_text() == real.key["key_id"]
    with pytest.raises(WebSocketDenialResponse) as caught, client.websocket_connect("/talk"):
        pass
    assert caught.value.status_code == 401
    assert caught.value.headers["WWW-Authenticate"] == f"Bearer {NEEDED}, {METADATA}"


def test_a_server_that_cannot_answer_a_websocket_closes_it() -> None:
    sent: list[Message] = []

    async def application(*_: Any) -> None:
        raise AssertionError("nobody passes")

    async def receive() -> Message:
        return {"type": "websocket.connect"}

    async def send(message: Message) -> None:
        sent.append(message)

    protected = Protect(application, Verifier("https://auth.example", API))
    asyncio.run(protected({"type": "websocket", "path": "/talk", "headers": []}, receive, send))
    assert [(message["type"], message["code"]) for message in sent] == [("websocket.close", 1008)]
