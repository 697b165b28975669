"""What operators trust inside a private network is asked for clients that somebody vouches for, and for no stranger."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import Engine

from provider.protocol.client import ClientDetails
from tests.endpoints.browsing import Browser, page_of, refusal_of
from tests.endpoints.documents import Application, reaching
from tests.endpoints.provider import REDIRECT_URI, Provider, ProviderFactory
from tests.endpoints.registering import initial_token, manage, register
from tests.https_server import HttpsServer
from tests.signing import assertion_claims, client_key, jwks, with_assertion

PATH = "/wanted"


@pytest.fixture(scope="module")
def running() -> Iterator[HttpsServer]:
    made = HttpsServer()
    yield made
    made.close()


@pytest.fixture
def server(running: HttpsServer) -> HttpsServer:
    running.answers.clear()
    running.received.clear()
    return running


def sector(provider: Provider, uri: str, is_vouched: bool) -> None:
    said = {"redirect_uris": [REDIRECT_URI], "sector_identifier_uri": uri}
    register(provider, said, initial_token(provider) if is_vouched else None)


def sector_of_a_change(provider: Provider, uri: str, is_vouched: bool) -> None:
    said = {"redirect_uris": [REDIRECT_URI]}
    made = register(provider, said, initial_token(provider) if is_vouched else None).json
    manage(provider, "PUT", made, {**said, "client_id": made["client_id"], "sector_identifier_uri": uri})


def keys(provider: Provider, uri: str, is_vouched: bool) -> None:
    details = ClientDetails(jwks_uri=uri)
    client = provider.client("private_key_jwt", is_vouched=is_vouched, details=details)
    claims = assertion_claims(client.client_id, provider.issuer, provider.clock.now)
    fields = {"grant_type": "authorization_code", "code": "x", **with_assertion(client_key().sign(claims))}
    provider.token(None, fields)


def request_object(provider: Provider, uri: str, is_vouched: bool) -> None:
    details = ClientDetails(request_uris=(uri,), jwks=jwks(client_key()))
    Browser(provider).authorize(provider.client(is_vouched=is_vouched, details=details), request_uri=uri)


WAYS = [sector, sector_of_a_change, keys, request_object]


POLICIES = [{}, {"metadata_documents": "listed", "metadata_document_hosts": "other.example"}]


@pytest.mark.parametrize("is_vouched", [True, False])
@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("way", WAYS)
def test_a_trusted_host_is_asked_for_vouched_clients_alone(
    server: HttpsServer,
    sqlite_engine: Engine,
    make_provider: ProviderFactory,
    way: Callable[[Provider, str, bool], None],
    policy: dict[str, str],
    is_vouched: bool,
) -> None:
    trust: dict[str, Any] = {"outbound_allowed_hosts": server.host, "outbound_ca_file": server.authority}
    way(make_provider(sqlite_engine, **trust, **policy), server.url + PATH, is_vouched)
    assert server.count(PATH) == int(is_vouched)


@pytest.mark.parametrize(
    "changes, is_read",
    [
        ({}, True),
        ({"metadata_documents": "open"}, False),
        ({"metadata_document_hosts": "other.example"}, False),
        ({"outbound_allowed_hosts": ""}, False),
        ({"outbound_allowed_hosts": "localhost"}, False),
    ],
)
def test_documents_are_read_from_a_private_host_that_is_both_wanted_and_trusted(
    server: HttpsServer,
    sqlite_engine: Engine,
    make_provider: ProviderFactory,
    changes: dict[str, str],
    is_read: bool,
) -> None:
    provider = make_provider(sqlite_engine, **{**reaching(server), **changes})
    browser = Browser(provider)
    browser.sign_in(provider.user())
    app = Application(server, browser)
    app.say()
    if is_read:
        page_of(app.authorize(), "/consent")
    else:
        refusal_of(app.authorize())
    assert app.fetches == int(is_read)
