"""Clients whose id is a URL: when their document is read, what of it counts, and what is refused."""

from __future__ import annotations

import datetime
import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest
from sqlalchemy import Engine

from database.transaction import Transaction
from provider.audit import AuditRecorder
from provider.clients.metadata_documents import (
    CONTENT_TYPES,
    FETCHES_PER_SOURCE,
    MAX_BYTES,
    NEW_PER_SOURCE_AND_HOST,
    OLD_SECONDS,
    MetadataDocuments,
)
from provider.clients.registry import Clients
from provider.clients.unused_clients import UnusedClients
from provider.protocol.client import Client
from provider.protocol.errors import UntrustedRedirect
from provider.protocol.messages import Origin
from provider.protocol.networks import networks_of
from provider.security.backoff import FIRST_SECONDS, LONGEST_SECONDS
from provider.security.crypto import Keyring
from provider.security.outbound import Outbound
from provider.security.rate_limit import RateLimiter
from provider.security.turns import Requester, Standing
from provider.tokens.grant_records import GrantRecords
from tests.clients.conftest import Events
from tests.https_server import HttpsServer
from tests.together import at_once

PATH = "/client.json"
KEYS = {"keys": [{"kty": "EC", "crv": "P-256", "x": "x", "y": "y"}]}
# Enough for all that wait for one document in these tests, for as long as it takes.
THREADS = 48
PATIENCE_SECONDS = 20


class Monotonic:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


class Site:
    """The application's web site with its document, and what an authorization server makes of it."""

    def __init__(self, server: HttpsServer, keyring: Keyring, clients: Clients) -> None:
        self.server, self.keyring, self.clients = server, keyring, clients
        self.url = server.url + PATH
        self.clock = Monotonic()
        self.documents = self.process(clients)

    def process(self, clients: Clients, **options: Any) -> MetadataDocuments:
        made: dict[str, Any] = {"policy": "open", **options}
        return MetadataDocuments(clients, self.outbound(), RateLimiter(self.keyring), **made)

    def outbound(self, **options: Any) -> Outbound:
        made = {"threads": THREADS, "patience_seconds": PATIENCE_SECONDS, "clock": self.clock, **options}
        return Outbound(open_hosts=[self.server.host], ca_file=self.server.authority, **made)

    def says(self, cache_control: str | None = None, **changes: Any) -> None:
        document = {
            "client_id": self.url,
            "client_name": "Editor",
            "redirect_uris": ["https://app.example/cb"],
            **changes,
        }
        headers = {} if cache_control is None else {"Cache_Control": cache_control}
        self.server.say_json(PATH, {name: it for name, it in document.items() if it is not ...}, **headers)

    def find(self, engine: Engine, origin: Origin, client_id: str | None = None) -> Client:
        tx = Transaction(engine)
        try:
            return self.documents.client(tx, origin, client_id or self.url)
        finally:
            tx.commit()

    def refusal(self, engine: Engine, origin: Origin, client_id: str | None = None) -> str:
        with pytest.raises(UntrustedRedirect) as refusal:
            self.find(engine, origin, client_id)
        assert refusal.value.error in ("invalid_request", "temporarily_unavailable")
        return refusal.value.description

    @property
    def fetches(self) -> int:
        return self.server.count(PATH)


@pytest.fixture
def server() -> Iterator[HttpsServer]:
    made = HttpsServer()
    yield made
    made.close()


@pytest.fixture
def site(server: HttpsServer, keyring: Keyring, clients: Clients) -> Site:
    made = Site(server, keyring, clients)
    made.says()
    return made


def later(origin: Origin, seconds: float) -> Origin:
    return replace(origin, now=origin.now + datetime.timedelta(seconds=seconds))


def stored(clients: Clients, engine: Engine) -> list[Client]:
    with Transaction(engine) as tx:
        return clients.list(tx)


def test_a_document_makes_a_public_client_that_nobody_vouches_for(
    site: Site, engine: Engine, origin: Origin, events: Events
) -> None:
    client = site.find(engine, origin)
    assert (client.client_id, client.kind, client.name) == (site.url, "metadata_document", "Editor")
    assert (client.is_vouched, client.is_trusted, client.require_pkce, client.secret_hash) == (False, False, True, None)
    assert (client.token_endpoint_auth_method, client.rotate_refresh_tokens) == ("none", True)
    assert client.grant_types == ("authorization_code", "refresh_token")
    assert stored(site.clients, engine) == [client]
    assert [(event["action"], event["actor"]) for event in events()] == [("client.created", site.url)]
    (asked,) = site.server.received
    assert not {"Cookie", "Authorization"} & set(asked.headers)


@pytest.mark.parametrize(
    "cache_control, seconds",
    [(None, 3600), ("max-age=600", 600), ("max-age=1", 60), ("no-store", 60), ("max-age=999999999", 86400)],
)
def test_it_is_read_again_when_its_headers_say_so_within_bounds(
    site: Site, sqlite_engine: Engine, origin: Origin, cache_control: str | None, seconds: int
) -> None:
    site.says(cache_control)
    first = site.find(sqlite_engine, origin)
    assert site.find(sqlite_engine, later(origin, seconds - 1)).id == first.id
    assert site.fetches == 1
    again = site.find(sqlite_engine, later(origin, seconds))
    assert (again.id, again.updated_at, site.fetches) == (first.id, first.updated_at, 2)
    site.find(sqlite_engine, later(origin, 2 * seconds - 1))
    assert site.fetches == 2


def test_a_changed_document_replaces_the_client_and_what_it_was(
    site: Site, engine: Engine, origin: Origin, events: Events
) -> None:
    first = site.find(engine, origin)
    site.says(client_name="Another", redirect_uris=["https://elsewhere.example/cb"], jwks=KEYS)
    changed = site.find(engine, later(origin, 3600))
    assert (changed.id, changed.name, changed.redirect_uris) == (first.id, "Another", ("https://elsewhere.example/cb",))
    assert changed.updated_at > first.updated_at
    assert stored(site.clients, engine) == [changed]
    assert [event["action"] for event in events()] == ["client.created", "client.updated"]


def test_a_burst_fetches_once(site: Site, engine: Engine, origin: Origin) -> None:
    def slowly(handler: BaseHTTPRequestHandler) -> None:
        begun.wait(timeout=0.3)
        answer(handler, 200, {"Content-Type": "application/json"}, body)

    begun = threading.Event()
    body = site.server.answers[PATH][2]  # type: ignore[index]
    site.server.answers[PATH] = slowly

    def call(tx: Transaction) -> Client:
        found = site.documents.client(tx, origin, site.url)
        time.sleep(0.05)  # the request goes on, and commits later
        return found

    found = at_once(engine, [call] * 12)
    assert len({client.id for client in found}) == 1
    assert site.fetches == 1


def test_a_process_that_is_overtaken_takes_what_the_other_one_stored(
    site: Site, other_process: Clients, mariadb_engine: Engine, origin: Origin, keyring: Keyring
) -> None:
    class Overtaken(Clients):
        def register(self, *arguments: Any, **options: Any) -> tuple[Client, str | None]:
            site.find(mariadb_engine, origin)
            return super().register(*arguments, **options)

    late = Overtaken(keyring, AuditRecorder(), GrantRecords(AuditRecorder()))
    with Transaction(mariadb_engine) as tx:
        found = site.process(late).client(tx, origin, site.url)
    assert stored(other_process, mariadb_engine) == [found]
    assert site.fetches == 2


def test_two_processes_that_read_at_once_store_one_client(
    site: Site, other_process: Clients, engine: Engine, origin: Origin
) -> None:
    other = site.process(other_process)

    def at(moment: Origin) -> list[Callable[[Transaction], Client]]:
        return [
            partial(documents.client, origin=moment, client_id=site.url) for documents in (site.documents, other) * 2
        ]

    for moment in (origin, later(origin, 3600)):
        found = at_once(engine, at(moment))
        assert len({client.id for client in found}) == 1
        site.says(client_name="Another")
    (client,) = stored(site.clients, engine)
    assert client.name == "Another"


def test_a_disabled_client_stays_disabled(site: Site, engine: Engine, origin: Origin) -> None:
    site.find(engine, origin)
    with Transaction(engine) as tx:
        site.clients.set_active(tx, origin, site.url, False)
    site.says(client_name="Another")
    again = site.find(engine, later(origin, 3600))
    assert (again.name, again.is_active, site.fetches) == ("Another", False, 2)
    with Transaction(engine) as tx:
        assert UnusedClients(site.clients, days=1).purge(tx, later(origin, 10**7).now) == 0, (
            "it would be made anew, enabled"
        )


def test_two_documents_are_two_clients(site: Site, sqlite_engine: Engine, origin: Origin) -> None:
    other = site.server.say_json(
        "/other.json", {"client_id": site.url, "client_name": "E", "redirect_uris": ["https://e/"]}
    )
    site.find(sqlite_engine, origin)
    assert "not its URL" in site.refusal(sqlite_engine, origin, other)
    site.server.say_json("/other.json", {"client_id": other, "client_name": "Editor", "redirect_uris": ["https://e/"]})
    site.clock.now += FIRST_SECONDS
    assert site.find(sqlite_engine, origin, other).id != site.find(sqlite_engine, origin).id


def answer(handler: BaseHTTPRequestHandler, status: int, headers: dict[str, str], body: bytes) -> None:
    handler.send_response(status)
    for name, value in {"Content-Length": str(len(body)), **headers}.items():
        handler.send_header(name, value)
    handler.end_headers()
    handler.wfile.write(body)


JSON = {"Content-Type": "application/json"}


def cut_short(handler: BaseHTTPRequestHandler) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 500\r\n\r\n{")


@pytest.mark.parametrize(
    "said",
    [
        lambda document: (404, JSON, document),
        lambda document: (500, JSON, document),
        lambda document: (201, JSON, document),
        lambda document: (304, JSON, b""),
        lambda document: (302, JSON | {"Location": "/moved.json"}, document),
        lambda document: (200, {"Content-Type": "text/html"}, document),
        lambda document: (200, {}, document),
        lambda document: (200, JSON | {"Content-Encoding": "gzip"}, document),
        lambda document: (200, JSON, document + b" " * (MAX_BYTES + 1 - len(document))),
        lambda document: (200, JSON, b""),
        lambda document: (200, JSON, document[:-1]),
        lambda document: (200, JSON, document.replace(b'"Editor"', b'"Editor", "client_name": "Other"')),
        lambda document: (200, JSON, b"\xff" + document),
        lambda document: (200, JSON, b"[" * 2000 + b"]" * 2000),
        lambda document: cut_short,
    ],
)
def test_what_cannot_be_read_is_no_client(
    site: Site, sqlite_engine: Engine, origin: Origin, said: Callable[[bytes], Any]
) -> None:
    document: bytes = site.server.answers[PATH][2]  # type: ignore[index]
    site.server.answers["/moved.json"] = (200, JSON, document)
    site.server.answers[PATH] = said(document)
    site.refusal(sqlite_engine, origin)
    assert stored(site.clients, sqlite_engine) == []
    assert site.server.count("/moved.json") == 0


def test_a_document_may_be_exactly_as_large_as_allowed(site: Site, sqlite_engine: Engine, origin: Origin) -> None:
    document: bytes = site.server.answers[PATH][2]  # type: ignore[index]
    padded = document + b" " * (MAX_BYTES - len(document))
    site.server.answers[PATH] = (200, {"Content-Type": "application/cimd+json; charset=utf-8"}, padded)
    assert site.find(sqlite_engine, origin).name == "Editor"


@pytest.mark.parametrize(
    "changes",
    [
        {"client_id": "https://app.example/client.json"},
        {"client_id": ...},
        {"client_name": ...},
        {"client_name": "a\x00b"},
        {"client_name": "x" * 256},
        {"redirect_uris": ...},
        {"redirect_uris": []},
        {"redirect_uris": "https://app.example/cb"},
        {"redirect_uris": ["http://app.example/cb"]},
        {"redirect_uris": ["javascript:alert(1)"]},
        {"redirect_uris": ["https://app.example/*"]},
        {"redirect_uris": ["https://app.example/cb#x"]},
        {"client_secret": "secret"},
        {"client_secret_expires_at": 0},
        {"token_endpoint_auth_method": "client_secret_basic"},
        {"token_endpoint_auth_method": "client_secret_post"},
        {"token_endpoint_auth_method": "client_secret_jwt"},
        {"token_endpoint_auth_method": "private_key_jwt"},
        {"token_endpoint_auth_methods_supported": ["client_secret_basic"]},
        {"jwks": {"keys": [{"kty": "oct", "k": "c2VjcmV0"}]}},
        {"jwks": {"keys": [{**KEYS["keys"][0], "d": "private"}]}},
        {"jwks": KEYS, "jwks_uri": "https://app.example/jwks"},
        {"jwks_uri": "http://app.example/jwks"},
        {"grant_types": ["client_credentials"]},
        {"grant_types": ["implicit"]},
        {"response_types": ["token"]},
        {"scope": 'a"b'},
        {"subject_type": "pairwise", "redirect_uris": ["https://a.example/", "https://b.example/"]},
    ],
)
def test_a_document_that_breaks_one_rule_is_no_client(
    site: Site, sqlite_engine: Engine, origin: Origin, changes: dict[str, Any]
) -> None:
    site.says(**changes)
    assert site.refusal(sqlite_engine, origin)
    assert stored(site.clients, sqlite_engine) == []


def test_a_document_wants_no_signature_that_there_is_no_key_for(
    site: Site, sqlite_engine: Engine, origin: Origin
) -> None:
    site.documents = site.process(site.clients, algorithms=("RS256",))
    for name in ("id_token_signed_response_alg", "userinfo_signed_response_alg"):
        site.says(**{name: "ES256"})
        assert "does not sign" in site.refusal(sqlite_engine, origin)
        site.clock.now += FIRST_SECONDS
    site.says(id_token_signed_response_alg="RS256")
    assert site.find(sqlite_engine, origin).name == "Editor"


def test_a_document_claims_no_sector_that_does_not_list_it(site: Site, sqlite_engine: Engine, origin: Origin) -> None:
    uri = site.server.say_json("/uris.json", ["https://bank.example/cb"])
    site.says(subject_type="pairwise", sector_identifier_uri=uri)
    assert "sector_identifier_uri" in site.refusal(sqlite_engine, origin)
    site.server.say_json("/uris.json", ["https://app.example/cb"])
    site.clock.now += FIRST_SECONDS
    assert site.find(sqlite_engine, origin).details.sector_identifier_uri == uri


def test_what_a_document_cannot_give_itself_is_left_out(site: Site, sqlite_engine: Engine, origin: Origin) -> None:
    site.says(is_trusted=True, is_vouched=True, require_pkce=False, resource="https://api.example/", kind="application")
    client = site.find(sqlite_engine, origin)
    assert (client.is_trusted, client.is_vouched, client.require_pkce, client.resource) == (False, False, True, None)
    assert client.kind == "metadata_document"


def test_the_plural_methods_of_chatgpt_make_tokens_rotate(site: Site, sqlite_engine: Engine, origin: Origin) -> None:
    methods = ["none", "private_key_jwt"]
    said: dict[str, Any] = {
        "token_endpoint_auth_method": "private_key_jwt",
        "token_endpoint_auth_methods_supported": methods,
        "jwks": KEYS,
    }
    site.says(**said)
    client = site.find(sqlite_engine, origin)
    assert (client.token_endpoint_auth_method, client.details.authentication_methods) == (
        "private_key_jwt",
        tuple(methods),
    )
    assert client.rotate_refresh_tokens, "one of its methods proves nothing"
    site.says(**said | {"token_endpoint_auth_methods_supported": ["private_key_jwt"]})
    assert not site.find(sqlite_engine, later(origin, 3600)).rotate_refresh_tokens


FAILURES: list[tuple[str, Any, bool]] = [
    ("a broken document", (200, JSON, b"{}"), False),
    ("another type", (200, {"Content-Type": "text/html"}, b"{}"), False),
    ("no such document", (404, JSON, b""), False),
    ("gone", (410, JSON, b""), False),
    ("moved", (301, JSON | {"Location": "/"}, b""), False),
    ("too many requests", (429, JSON, b""), True),
    ("an error of the server", (500, JSON, b""), True),
    ("under repair", (503, JSON, b""), True),
    ("broken off", cut_short, True),
]


@pytest.mark.parametrize("case, failure, is_passing", FAILURES, ids=[row[0] for row in FAILURES])
def test_a_failure_is_no_answer_for_who_comes_later(
    site: Site, sqlite_engine: Engine, origin: Origin, case: str, failure: Any, is_passing: bool
) -> None:
    site.server.answers[PATH] = failure
    site.refusal(sqlite_engine, origin)
    site.says()
    assert "right now" in site.refusal(sqlite_engine, origin), "it is not asked again at once"
    assert site.fetches == 1
    site.clock.now += FIRST_SECONDS
    assert site.find(sqlite_engine, origin).name == "Editor"
    assert site.fetches == 2


@pytest.mark.parametrize("case, failure, is_passing", FAILURES, ids=[row[0] for row in FAILURES])
def test_what_was_known_will_do_for_an_hour_while_nobody_answers_and_not_when_something_else_is_there(
    site: Site, sqlite_engine: Engine, origin: Origin, case: str, failure: Any, is_passing: bool
) -> None:
    before = site.find(sqlite_engine, origin)
    site.server.answers[PATH] = failure
    for seconds, fetches in ((3600, 2), (3601, 2), (3602, 3)):
        if is_passing:
            assert site.find(sqlite_engine, later(origin, seconds)) == before
        else:
            site.refusal(sqlite_engine, later(origin, seconds))
        assert site.fetches == fetches, "each second attempt comes within the pause"
        site.clock.now += FIRST_SECONDS * (seconds > 3600)
    site.clock.now += LONGEST_SECONDS
    site.refusal(sqlite_engine, later(origin, 3600 + OLD_SECONDS))
    (after,) = stored(site.clients, sqlite_engine)
    assert replace(after, document_fresh_until=None) == replace(before, document_fresh_until=None)


@pytest.mark.parametrize(
    "options, is_accepted",
    [
        ({"policy": "off"}, False),
        ({"policy": "off", "hosts": ["*"]}, False),
        ({"policy": "listed"}, False),
        ({"policy": "listed", "hosts": ["app.example"]}, False),
        ({"policy": "listed", "hosts": ["localhost"]}, False),
        ({"policy": "listed", "hosts": ["HOST"]}, True),
        ({"policy": "open"}, True),
    ],
)
def test_the_policy_decides_before_anything_is_fetched(
    site: Site, sqlite_engine: Engine, origin: Origin, options: dict[str, Any], is_accepted: bool
) -> None:
    hosts = [site.server.host.upper() if host == "HOST" else host for host in options.get("hosts", [])]
    site.documents = site.process(site.clients, **options | {"hosts": hosts})
    if is_accepted:
        site.find(sqlite_engine, origin)
    else:
        site.refusal(sqlite_engine, origin)
    assert site.fetches == int(is_accepted)


@pytest.mark.parametrize("policy", ["open", "listed"])
@pytest.mark.parametrize("end", ["#x", "/../x", "/%2e%2e/x", "\\x", " x", "%"])
def test_an_id_that_is_no_such_url_is_never_fetched(
    site: Site, sqlite_engine: Engine, origin: Origin, policy: str, end: str
) -> None:
    site.documents = site.process(site.clients, policy=policy, hosts=[site.server.host])
    for client_id in (site.url + end, site.url.replace("https", "http"), "https://[::1/x", "https://u@" + site.url[8:]):
        site.refusal(sqlite_engine, origin, client_id)
    assert site.server.received == []


def test_one_source_can_have_only_so_many_documents_read(
    site: Site, sqlite_engine: Engine, origin: Origin, keyring: Keyring
) -> None:
    with Transaction(sqlite_engine) as tx:
        for _ in range(FETCHES_PER_SOURCE.times):
            RateLimiter(keyring).hit_source(tx, FETCHES_PER_SOURCE, origin.networks, origin.now)
    assert "Too many" in site.refusal(sqlite_engine, origin)
    assert site.server.received == []
    assert site.find(sqlite_engine, replace(origin, source="192.0.2.11")).name == "Editor"


def test_a_network_asks_a_host_only_so_often_for_what_is_new_and_always_for_what_is_known(
    site: Site, sqlite_engine: Engine, origin: Origin
) -> None:
    known = site.find(sqlite_engine, origin)
    moment = later(origin, 3600)
    for number in range(NEW_PER_SOURCE_AND_HOST.times):
        assert "Too many" not in site.refusal(sqlite_engine, moment, f"{site.server.url}/{number}")
    assert "Too many" in site.refusal(sqlite_engine, moment, f"{site.server.url}/new.json")
    assert site.find(sqlite_engine, moment).id == known.id


def test_strangers_who_ask_for_a_hosts_documents_keep_nobody_else_from_its_new_one(
    site: Site, sqlite_engine: Engine, origin: Origin, keyring: Keyring
) -> None:
    limits = RateLimiter(keyring)
    with Transaction(sqlite_engine) as tx:
        for limit, about in ((FETCHES_PER_SOURCE, ""), (NEW_PER_SOURCE_AND_HOST, site.server.host)):
            for household in range(20):
                networks = networks_of(f"2001:db8:1:{household:x}::1")
                for _ in range(limit.times + 1):
                    limits.hit_source(tx, limit, networks, origin.now, about=about)
    neighbour = replace(origin, source="2001:db8:1:ff::1")
    assert "Too many" in site.refusal(sqlite_engine, neighbour), "their provider has them all in one network"
    assert site.find(sqlite_engine, replace(origin, source="2001:db8:2::1")).name == "Editor"


def test_who_waits_for_a_document_holds_no_connection(site: Site, sqlite_engine: Engine, origin: Origin) -> None:
    seen: list[bool] = []
    waiting = Transaction(sqlite_engine)

    def look(handler: BaseHTTPRequestHandler) -> None:
        thread = threading.Thread(target=lambda: site.documents.client(waiting, origin, site.url), daemon=True)
        thread.start()
        thread.join(timeout=0.3)
        seen.extend([thread.is_alive(), waiting.is_open])
        answer(handler, 200, JSON, body)

    body: bytes = site.server.answers[PATH][2]  # type: ignore[index]
    site.server.answers[PATH] = look
    site.find(sqlite_engine, origin)
    assert seen == [True, False]
    assert json.loads(body)["client_id"] == site.url


def test_while_it_is_no_turn_to_ask_what_was_known_an_hour_ago_will_do(
    site: Site, sqlite_engine: Engine, origin: Origin
) -> None:
    known = site.find(sqlite_engine, origin)
    site.says(client_name="Another")
    door = site.documents._outbound = site.outbound(patience_seconds=0.1)
    with door.turn(site.url, Requester(Standing.NEW, "192.0.2.99"), CONTENT_TYPES):
        assert site.find(sqlite_engine, later(origin, 3600)).name == known.name
        assert "right now" in site.refusal(sqlite_engine, later(origin, 3600 + OLD_SECONDS))
        assert "right now" in site.refusal(sqlite_engine, origin, f"{site.server.url}/new.json")
        assert site.fetches == 1
    assert site.find(sqlite_engine, later(origin, 3600)).name == "Another"
