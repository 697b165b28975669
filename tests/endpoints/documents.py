"""An application whose client id is the URL of a document of its own, and a browser that it sends to the provider."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import Engine

from provider.protocol.client import Client
from provider.security.backoff import LONGEST_SECONDS
from tests.endpoints.browsing import Browser
from tests.endpoints.provider import KnownClient, Provider, ProviderFactory
from tests.endpoints.registering import stored
from tests.endpoints.wsgi import Answer
from tests.https_server import HttpsServer

PATH = "/oauth/client.json"
CALLBACK = "https://app.example/callback"


def reaching(server: HttpsServer) -> dict[str, Any]:
    """Settings for documents of ``server``: on this machine, an operator has to want and to trust them."""
    trust = {"outbound_allowed_hosts": server.host, "outbound_ca_file": server.authority}
    return {**trust, "metadata_documents": "listed", "metadata_document_hosts": server.host}


class Application:
    """``say`` publishes a document; ``authorize`` sends the browser with a request of this client."""

    def __init__(self, server: HttpsServer, browser: Browser) -> None:
        self.server, self.browser, self.provider = server, browser, browser.provider
        self.url = server.url + PATH
        self._stand_in = browser.provider.client()
        self._now = 0.0
        # A pause is one second at first: on a slow machine it would be over before the next request.
        self.provider.services.outbound._pauses._clock = lambda: self._now

    def say(self, *, path: str = PATH, **members: Any) -> None:
        """A document with a name and one redirect URI, but for ``members``; ``...`` leaves one out."""
        said = {"client_id": self.url, "client_name": "Editor", "redirect_uris": [CALLBACK], **members}
        self.server.say_json(path, {name: value for name, value in said.items() if value is not ...})

    def authorize(self, **changes: Any) -> Answer:
        return self.browser.authorize(self._stand_in, **{"client_id": self.url, "redirect_uri": CALLBACK, **changes})

    @property
    def fetches(self) -> int:
        return self.server.count(PATH)

    @property
    def client(self) -> Client:
        found = stored(self.provider, self.url)
        assert found is not None
        return found

    @property
    def known(self) -> KnownClient:
        return KnownClient(self.client, "")

    def wait_for_another_try(self) -> None:
        """The pause after a failure is over."""
        self._now += LONGEST_SECONDS


@pytest.fixture(scope="module")
def document_server() -> Iterator[HttpsServer]:
    made = HttpsServer()
    yield made
    made.close()


@pytest.fixture
def application(document_server: HttpsServer, sqlite_engine: Engine, make_provider: ProviderFactory) -> Application:
    document_server.received.clear()
    document_server.answers.clear()
    provider: Provider = make_provider(sqlite_engine, **reaching(document_server))
    made = Application(document_server, Browser(provider))
    made.say()
    return made
