"""Metadata (RFC 8414, OpenID Connect Discovery): where it is found, and that every line of it is true."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from sqlalchemy import Engine

from provider.endpoints.discovery import metadata
from provider.settings import load_settings
from tests.endpoints.documents import reaching
from tests.endpoints.metadata_proofs import PROOFS
from tests.endpoints.metadata_world import World
from tests.endpoints.provider import Provider, ProviderFactory
from tests.endpoints.registering import register
from tests.endpoints.wsgi import basic
from tests.https_server import HttpsServer

AS, OP = "oauth-authorization-server", "openid-configuration"
FOUND = {
    "https://auth.example.com": [f"/.well-known/{AS}", f"/.well-known/{OP}"],
    "https://auth.example.com/oauth": [
        f"/.well-known/{AS}/oauth", f"/.well-known/{OP}/oauth", f"/oauth/.well-known/{OP}", f"/oauth/.well-known/{AS}",
        f"/.well-known/{AS}", f"/.well-known/{OP}",
    ],
    "https://auth.example.com/a/b": [
        f"/.well-known/{AS}/a/b", f"/.well-known/{OP}/a/b", f"/a/b/.well-known/{OP}", f"/a/b/.well-known/{AS}",
    ],
}  # fmt: skip
UNKNOWN = [
    "/.well-known/", "/.well-known/x", f"/.well-known/{AS}/other", f"/.well-known/{AS}/oauth/", f"/.well-known/{OP}/oauth/x",
    f"/oauth/.well-known/{AS}/", "/.well-known/oauth-protected-resource", "/.well-known/oauth-protected-resource/mcp",
    "/.well-known/webfinger", "/.well-known/security.txt", f"/.well-known/{AS.upper()}", "/oauth",
    "/oauth/", "/oauth/unknown", "/oauth/token/",
]  # fmt: skip


def provider_of(issuer: str, engine: Engine, door: str, make_provider: ProviderFactory) -> Provider:
    return make_provider(engine, door=door, issuer=issuer)


@pytest.mark.parametrize("issuer", FOUND)
def test_the_same_document_is_under_every_well_known_form(
    sqlite_engine: Engine, door: str, make_provider: ProviderFactory, issuer: str
) -> None:
    provider = provider_of(issuer, sqlite_engine, door, make_provider)
    bodies = set()
    for path in FOUND[issuer]:
        answer = provider.get(path, {"MCP-Protocol-Version": "2026-07-28", "Accept": "application/json"})
        assert answer.status == 200, path
        assert answer.json["issuer"] == issuer
        assert answer.header("Access-Control-Allow-Origin") == "*"
        assert answer.header("Cache-Control") == "public, max-age=300"
        bodies.add(answer.body)
    assert len(bodies) == 1


@pytest.mark.parametrize("issuer", ["https://auth.example.com", "https://auth.example.com/oauth"])
def test_what_is_not_there_is_not_found(
    sqlite_engine: Engine, door: str, make_provider: ProviderFactory, issuer: str
) -> None:
    """Clients go on to the next form after a 404; a 5xx or a redirect to sign-in ends their search (RFC 8414 §3)."""
    provider = provider_of(issuer, sqlite_engine, door, make_provider)
    known = set(FOUND[issuer])
    for path in UNKNOWN:
        if path not in known:
            for method in ("GET", "HEAD"):
                answer = provider.send(method, path)
                assert (answer.status, answer.header("Location")) == (404, None), path


def test_the_issuer_never_comes_from_the_request(provider: Provider) -> None:
    plain = provider.get(f"/.well-known/{AS}").body
    hostile = {"X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "https", "Forwarded": "host=evil.example"}
    for host in ("evil.example", "localhost:8000", "127.0.0.1:8000", "LOCALHOST:8000"):
        assert provider.get(f"/.well-known/{AS}", hostile, host=host).body == plain


def test_every_member_has_a_value_and_all_addresses_are_the_issuers(provider: Provider) -> None:
    """Some clients take a null for a broken document."""
    document = provider.get(f"/.well-known/{AS}").json
    for name, value in document.items():
        assert value not in (None, [], ""), name
        if name.endswith("_endpoint") or name == "jwks_uri":
            assert value.startswith(provider.issuer + "/"), name


# --- advertised if and only if it works: the proofs are in metadata_proofs.py ---


@pytest.fixture(scope="module")
def server() -> Iterator[HttpsServer]:
    made = HttpsServer()
    yield made
    made.close()


@pytest.fixture
def world(sqlite_engine: Engine, make_provider: ProviderFactory, server: HttpsServer) -> World:
    """With one algorithm less than there could be, so that lists of them can be wrong."""
    settings = {"signing_algorithms": "RS256 ES256", "rate_limits": False, **reaching(server)}
    return World(make_provider(sqlite_engine, **settings), server)


def every_member() -> set[str]:
    names: set[str] = set()
    for registration in ("open", "token", "off"):
        for documents in ("open", "listed", "off"):
            settings = load_settings({}, dynamic_registration=registration, metadata_documents=documents)
            names |= set(metadata(settings))
    return names


def test_each_member_has_a_proof_and_each_proof_a_member() -> None:
    """Whoever adds a member writes down here what makes it true."""
    assert every_member() == set(PROOFS)


@pytest.mark.parametrize("name", sorted(every_member()))
def test_what_is_advertised_works_and_what_works_is_advertised(world: World, name: str) -> None:
    assert world.document[name] not in (None, [], "")
    PROOFS[name](world, world.document[name])


# --- what settings switch off ---


@pytest.mark.parametrize("policy", ["open", "token", "off"])
def test_registration_is_advertised_where_it_can_be_had(
    sqlite_engine: Engine, make_provider: ProviderFactory, policy: str
) -> None:
    provider = make_provider(sqlite_engine, dynamic_registration=policy)
    document = provider.get("/.well-known/oauth-authorization-server").json
    assert ("registration_endpoint" in document) is (policy != "off")
    assert register(provider).status == {"open": 201, "token": 401, "off": 404}[policy]


@pytest.mark.parametrize("policy", ["listed", "off"])
def test_documents_are_advertised_where_some_are_accepted(
    sqlite_engine: Engine, make_provider: ProviderFactory, server: HttpsServer, policy: str
) -> None:
    provider = make_provider(sqlite_engine, **{**reaching(server), "metadata_documents": policy})
    world = World(provider, server)
    assert world.document["client_id_metadata_document_supported"] is (policy == "listed")
    PROOFS["client_id_metadata_document_supported"](world, policy == "listed")


# --- the document itself ---


def test_ids_and_secrets_need_no_escaping(provider: Provider) -> None:
    """Some clients escape what Basic carries and some do not: there must be nothing to escape."""
    for client in (provider.client(), provider.machine(), provider.api_key(provider.user())):
        assert re.fullmatch(r"[A-Za-z0-9._~-]+", client.client_id)
        assert re.fullmatch(r"[A-Za-z0-9._~-]+", client.secret)
        assert basic(client.client_id, client.secret)


def test_the_document_can_be_kept_and_asked_about(provider: Provider) -> None:
    first = provider.get(f"/.well-known/{AS}")
    etag = first.header("ETag") or ""
    again = provider.get(f"/.well-known/{AS}", {"If-None-Match": etag})
    assert (again.status, again.body) == (304, b"")
    assert provider.get(f"/.well-known/{AS}", {"If-None-Match": '"other"'}).status == 200
