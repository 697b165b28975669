"""An API on FastAPI whose callers need a token from MCP Core.

Settings from the environment: ``MCP_ISSUER`` (default http://localhost:8000/oauth), ``PORT`` (default 9200).
"""

from __future__ import annotations

import os
from typing import Annotated

import uvicorn
from fastapi import FastAPI

from mcp_core_verifier import AccessToken, Verifier
from mcp_core_verifier.fastapi import install

ISSUER = os.environ.get("MCP_ISSUER", "http://localhost:8000/oauth")
PORT = int(os.environ.get("PORT", "9200"))
SCOPES = ("notes:read", "notes:write")

app = FastAPI(title="Notes")
protect = install(
    app, Verifier(ISSUER, f"http://localhost:{PORT}/api", scopes_supported=SCOPES, resource_name="Notes API")
)
notes: dict[str, list[str]] = {}


@app.get("/api/notes")
def read(token: Annotated[AccessToken, protect("notes:read")]) -> list[str]:
    """The caller's own notes."""
    return notes.get(token.subject, [])


@app.post("/api/notes", status_code=201)
def write(text: str, token: Annotated[AccessToken, protect("notes:read", "notes:write")]) -> list[str]:
    """Adds a note, and needs both scopes."""
    notes.setdefault(token.subject, []).append(text)
    return notes[token.subject]


@app.get("/api/whoami")
def whoami(token: Annotated[AccessToken, protect()]) -> dict[str, str | bool]:
    """Any good token will do."""
    return {"sub": token.subject, "client_id": token.client_id, "is_machine": token.is_machine}


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=PORT, log_level="warning")
