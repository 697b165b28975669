"""The code that verifier/README.md prints does what it says."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Annotated, Any

import httpx
import pytest
from fastapi import FastAPI
from fastmcp import FastMCP
from flask import Flask
from mcp.server.mcpserver import MCPServer
from starlette.applications import Starlette
from starlette.testclient import TestClient

from mcp_core_verifier import Introspection, NoToken, Verifier
from tests.serving import ROOT

TEXT = (ROOT / "verifier" / "README.md").read_text()
PRINTED = {
    heading.strip(): block
    for heading, block in re.findall(
        r"^## ([^\n]+)\n(?:(?!^## ).)*?^```python\n(.*?)^```", TEXT, re.DOTALL | re.MULTILINE
    )
}
SCOPE = 'scope="notes:read"'


def run(heading: str, **names: Any) -> dict[str, Any]:
    space: dict[str, Any] = {"Annotated": Annotated, "notes_of": lambda subject: [subject], **names}
    exec(compile(PRINTED[heading], heading, "exec"), space)
    return space


def challenge(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.headers["WWW-Authenticate"]


def test_every_framework_has_its_lines() -> None:
    expected = ["FastAPI", "Flask", "Starlette, or anything else on ASGI", "FastMCP", "MCP Python SDK", "Anything else"]
    assert [heading for heading in PRINTED if heading in expected] == expected


def test_fastapi() -> None:
    app = FastAPI()
    run("FastAPI", app=app)
    with TestClient(app) as client:
        status, words = challenge(client.get("/api/notes"))
    assert (status, SCOPE in words) == (401, True)


def test_flask() -> None:
    app = Flask("notes")
    run("Flask", app=app)
    status, words = challenge(app.test_client().get("/api/notes"))
    assert (status, SCOPE in words) == (401, True)


@pytest.mark.parametrize(
    "heading, path, make",
    [
        ("Starlette, or anything else on ASGI", "/", lambda space: space["app"]),
        ("FastMCP", "/mcp", lambda space: space["mcp"].http_app()),
        ("MCP Python SDK", "/mcp", lambda space: space["app"]),
    ],
)
def test_asgi(heading: str, path: str, make: Callable[[dict[str, Any]], Any]) -> None:
    app = make(run(heading, app=Starlette(), FastMCP=FastMCP, MCPServer=MCPServer))
    with TestClient(app, base_url="http://localhost") as client:
        status, words = challenge(client.post(path))
        assert (status, SCOPE in words) == (401, True)
        document = client.get("/.well-known/oauth-protected-resource").json()
    assert document["authorization_servers"] == ["https://auth.example/oauth"]
    if "MCP" in heading:
        assert document["scopes_supported"] == ["notes:read"]


def test_anything_else() -> None:
    with pytest.raises(NoToken), Verifier("https://auth.example/oauth", "https://notes.example/api") as verifier:
        run("Anything else", verifier=verifier, headers=httpx.Headers())


def test_introspection() -> None:
    names = {"Verifier": Verifier, "Introspection": Introspection, "client_id": "a", "client_secret": "b"}
    run("Revocation at once", issuer="https://auth.example", audience="https://notes.example/api", **names)


def test_every_option_is_in_the_tables() -> None:
    import inspect

    options = [
        name
        for name, parameter in inspect.signature(Verifier).parameters.items()
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY and name not in ("clock", "monotonic")
    ]
    assert not [name for name in options if name not in TEXT]
