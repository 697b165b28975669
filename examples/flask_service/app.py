"""An API on Flask whose callers need a token from MCP Core.

Settings from the environment: ``MCP_ISSUER`` (default http://localhost:8000/oauth), ``PORT`` (default 9300).
"""

from __future__ import annotations

import os

from flask import Flask, request

from mcp_core_verifier import Verifier
from mcp_core_verifier.flask import access_token, install

ISSUER = os.environ.get("MCP_ISSUER", "http://localhost:8000/oauth")
PORT = int(os.environ.get("PORT", "9300"))
SCOPES = ("notes:read", "notes:write")

app = Flask(__name__)
protect = install(
    app, Verifier(ISSUER, f"http://localhost:{PORT}/api", scopes_supported=SCOPES, resource_name="Notes API")
)
notes: dict[str, list[str]] = {}


@app.get("/api/notes")
@protect("notes:read")
def read() -> list[str]:
    """The caller's own notes."""
    return notes.get(access_token().subject, [])


@app.post("/api/notes")
@protect("notes:read", "notes:write")
def write() -> tuple[list[str], int]:
    """Adds a note, and needs both scopes."""
    own = notes.setdefault(access_token().subject, [])
    own.append(request.args["text"])
    return own, 201


@app.get("/api/whoami")
@protect()
def whoami() -> dict[str, str | bool]:
    """Any good token will do."""
    token = access_token()
    return {"sub": token.subject, "client_id": token.client_id, "is_machine": token.is_machine}


if __name__ == "__main__":
    app.run("127.0.0.1", PORT)
