"""What MCP clients meet: the provider, an MCP server and an API under its tokens, and a host of metadata documents.

Nobody tells the clients where to sign in: they ask the servers.
"""

from __future__ import annotations

import contextlib
import itertools
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.browser import Page
from tests.database_servers import free_port
from tests.https_server import HttpsServer
from tests.journeys.mcp_server import SCOPE
from tests.journeys.person import Person
from tests.serving import Server, serving
from tests.verifier.services import example, running

WRITE = "notes:write"
OTHER_API = "https://files.example/api"
LOOPBACK = "http://localhost/callback"
ON_THIS_DEVICE = "A program on this device asks."
UNREVIEWED = "This app isn't reviewed by your organisation."


@dataclass
class World:
    """``url`` is the MCP server, which wants ``notes:read``; ``api`` also has what wants ``notes:write`` besides."""

    server: Server
    documents: HttpsServer
    url: str
    api: str
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    def person(self) -> Person:
        """Somebody who has allowed nothing yet."""
        person = Person(f"person{next(self._numbers)}")
        self.server.user(person.username, person.password, "--verified")
        return person

    def native_client(self, *options: str, resource: str | None = None) -> str:
        """The id of a public client that an operator made. Its port on loopback is whatever it takes."""
        made = self.server.mcp_core_json(
            *("client", "create", "--name", "Notes client", "--public", "--native", "--redirect-uri", LOOPBACK),
            *("--scope", SCOPE, "--resource", resource or self.url, *options),
        )
        client_id: str = made["client_id"]
        return client_id

    def service(self, *options: str) -> dict[str, Any]:
        """A client that gets tokens for itself."""
        made: dict[str, Any] = self.server.mcp_core_json(
            *("client", "create", "--name", "Nightly", "--grant", "client_credentials", "--scope", SCOPE, *options)
        )
        return made

    def document(self, name: str, redirect_uri: str = LOOPBACK, **members: Any) -> str:
        """A client-id metadata document at an address of its own, which is the client's id."""
        path = f"/{name}/client.json"
        said = {
            "client_id": self.documents.url + path,
            "client_name": f"The {name}",
            "redirect_uris": [redirect_uri],
            "grant_types": ["authorization_code", "refresh_token"],
            "response_types": ["code"],
            "token_endpoint_auth_method": "none",
        }
        return self.documents.say_json(path, {**said, **members})


@contextlib.contextmanager
def mcp_world(home: Path, path: str) -> Iterator[World]:
    """``path`` is the issuer's, empty for a bare host."""
    port, api_port = free_port(), free_port()
    url, api = f"http://localhost:{port}/mcp", f"http://localhost:{api_port}/api"
    documents = HttpsServer()
    settings = {
        "MCP_OUTBOUND_CA_FILE": str(documents.authority),
        "MCP_OUTBOUND_ALLOWED_HOSTS": documents.host,
        "MCP_METADATA_DOCUMENTS": "listed",
        "MCP_METADATA_DOCUMENT_HOSTS": documents.host,
    }
    program = str(Path(__file__).with_name("mcp_server.py"))
    try:
        with serving(home, path=path, settings=settings) as server:
            server.mcp_core("resource", "add", url, "--name", "Notes", "--scope", SCOPE)
            server.mcp_core("resource", "add", api, "--name", "Notes API", "--scope", f"{SCOPE} {WRITE}")
            server.mcp_core("resource", "add", OTHER_API, "--name", "Files", "--scope", SCOPE)
            arguments = [sys.executable, program, server.issuer, str(port)]
            with (
                running(arguments, port, home / "mcp-server.log", FASTMCP_CHECK_FOR_UPDATES="off"),
                example("flask_service/app.py", api_port, home, MCP_ISSUER=server.issuer),
            ):
                yield World(server, documents, url, api)
    finally:
        documents.close()


def says(page: Page, *words: str) -> None:
    """The page has all of ``words``."""
    missing = [word for word in words if word not in page.text]
    assert not missing, f"{missing} not in {page.text}"


def says_nothing_of(page: Page, *words: str) -> None:
    present = [word for word in words if word in page.text]
    assert not present, f"{present} in {page.text}"
