"""Servers that are slow, silent or failing: whom they hold up, over real TLS. Nobody but those who ask them."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from database.transaction import Transaction
from provider.audit import AuditRecorder
from provider.clients.assertions import ClientAssertions
from provider.clients.client_keys import ClientKeys
from provider.clients.metadata_documents import CONTENT_TYPES, MetadataDocuments
from provider.clients.registration import Registration
from provider.clients.registration_tokens import RegistrationTokens
from provider.clients.registry import Clients
from provider.clients.request_objects import RequestObjects
from provider.protocol.client import Client
from provider.protocol.errors import OAuthError, UntrustedRedirect
from provider.protocol.messages import Origin
from provider.security.backoff import TooBusy
from provider.security.crypto import Keyring
from provider.security.exchange import FetchFailed, Unavailable
from provider.security.outbound import JSON_TYPES, Outbound
from provider.security.rate_limit import RateLimiter
from provider.security.replay import ReplayGuard
from provider.security.turns import FETCH_THREADS, Requester, Standing, shares_of
from provider.tokens.grant_records import GrantRecords
from tests.https_server import HttpsServer
from tests.signing import assertion_claims, client_key, jwks, known_client
from tests.together import at_once
from tests.waiting import eventually

# Longer than anything here takes on a slow machine: what would wait for as long is a failure.
LONG = 30.0
Handle = Callable[[BaseHTTPRequestHandler], None]


class Silent:
    """Takes a request and says nothing until ``goes_on``."""

    def __init__(self) -> None:
        self.arrived, self.goes_on = threading.Semaphore(0), threading.Event()

    def __call__(self, handler: BaseHTTPRequestHandler) -> None:
        self.arrived.release()
        self.goes_on.wait(LONG)
        with contextlib.suppress(OSError):
            handler.send_response(404)
            handler.end_headers()


@pytest.fixture
def servers() -> Iterator[Callable[[], HttpsServer]]:
    """Makes one more host."""
    made: list[HttpsServer] = []

    def make() -> HttpsServer:
        made.append(HttpsServer())
        return made[-1]

    yield make
    for server in made:
        server.close()


def door_to(folder: Path, *servers: HttpsServer, **options: Any) -> Outbound:
    authorities = folder / "authorities.pem"
    authorities.write_text("".join(server.authority.read_text() for server in servers))
    hosts = [server.host for server in servers]
    made: dict[str, Any] = {"timeout_seconds": LONG, "patience_seconds": LONG, **options}
    return Outbound(allowed_hosts=hosts, open_hosts=hosts, ca_file=authorities, **made)


def from_network(origin: Origin, number: int) -> Origin:
    return replace(origin, source=f"198.51.100.{number}")


def clients_of(keyring: Keyring) -> Clients:
    return Clients(keyring, AuditRecorder(), GrantRecords(AuditRecorder()))


def documents_of(keyring: Keyring, door: Outbound) -> MetadataDocuments:
    return MetadataDocuments(clients_of(keyring), door, RateLimiter(keyring), policy="open")


def say_document(server: HttpsServer, name: str = "Editor") -> str:
    said = {"client_id": f"{server.url}/c", "client_name": name, "redirect_uris": ["https://app.example/cb"]}
    return server.say_json("/c", said)


def read(documents: MetadataDocuments, engine: Engine, origin: Origin, url: str) -> Client:
    tx = Transaction(engine)
    try:
        return documents.client(tx, origin, url)
    finally:
        tx.commit()


def test_two_slow_hosts_of_strangers_keep_none_of_fourteen_documents_away(
    servers: Callable[[], HttpsServer], sqlite_engine: Engine, keyring: Keyring, origin: Origin, tmp_path: Path
) -> None:
    slow, honest, silent = [servers() for _ in range(2)], [servers() for _ in range(14)], Silent()
    documents = documents_of(keyring, door_to(tmp_path, *slow, *honest))
    with ThreadPoolExecutor(2) as pool:
        for number, server in enumerate(slow):
            server.answers["/c"] = silent
            pool.submit(read, documents, sqlite_engine, from_network(origin, number), f"{server.url}/c")
        for _ in slow:
            assert silent.arrived.acquire(timeout=LONG)
        calls = [
            partial(documents.client, origin=from_network(origin, number), client_id=say_document(server))
            for number, server in enumerate(honest, start=100)
        ]
        found = at_once(sqlite_engine, calls)
        assert [getattr(client, "client_id", client) for client in found] == [f"{server.url}/c" for server in honest]
        one_source = [read(documents, sqlite_engine, from_network(origin, 99), f"{it.url}/c") for it in honest]
        assert len(one_source) == 14
        silent.goes_on.set()


def test_two_hundred_who_want_one_document_have_it_fetched_once(
    servers: Callable[[], HttpsServer], sqlite_engine: Engine, tmp_path: Path
) -> None:
    server, silent = servers(), Silent()
    _, headers, body = server.answers[server.say_json("/keys", jwks(client_key()))[len(server.url) :]]  # type: ignore[misc]

    def slowly(handler: BaseHTTPRequestHandler) -> None:
        silent.arrived.release()
        silent.goes_on.wait(LONG)
        handler.send_response(200)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(body)

    server.answers["/keys"] = slowly
    door = door_to(tmp_path, server, threads=600)
    keys, client = ClientKeys(door), known_client(jwks_uri=f"{server.url}/keys")

    def find(tx: Transaction) -> int:
        return len(keys.find(tx, client, "ES256", "k1", source="192.0.2.1"))

    def let_go() -> None:
        with contextlib.suppress(AssertionError):
            eventually(lambda: door._turns._waiting[Standing.VOUCHED] >= 199)
        silent.goes_on.set()

    threading.Thread(target=let_go, daemon=True).start()
    assert at_once(sqlite_engine, [find] * 200) == [1] * 200
    assert server.count("/keys") == 1


@pytest.mark.parametrize("standing", [Standing.VOUCHED, Standing.KNOWN])
def test_new_documents_of_strangers_hold_up_nothing_that_is_known(
    servers: Callable[[], HttpsServer], tmp_path: Path, standing: Standing
) -> None:
    """Also on the same host, and for the same source, however many strangers come."""
    server, silent = servers(), Silent()
    server.answers["/slow"] = silent
    server.say_json("/quick", {"a": 1})
    door = door_to(tmp_path, server)
    share = shares_of(FETCH_THREADS, LONG)[Standing.NEW]
    with ThreadPoolExecutor(1) as pool, contextlib.ExitStack() as held:
        pool.submit(door.get_json, f"{server.url}/slow", Requester(Standing.NEW, "s"), max_bytes=100)
        assert silent.arrived.acquire(timeout=LONG)
        for number in range(share.turns - 1):
            stranger = Requester(Standing.NEW, f"s{number}")
            held.enter_context(door.turn(f"https://h{number}.example/", stranger, JSON_TYPES))
        with (
            pytest.raises(TooBusy),
            door.turn("https://x.example/", Requester(Standing.NEW, "x"), (), is_patient=False),
        ):
            pass
        assert door.get_json(f"{server.url}/quick", Requester(standing, "s"), max_bytes=100) == {"a": 1}
        silent.goes_on.set()


def send_500(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(500)
    handler.end_headers()


def break_off(handler: BaseHTTPRequestHandler) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 500\r\n\r\n{}")


def close(handler: BaseHTTPRequestHandler) -> None:
    handler.close_connection = True


def send_404(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(404)
    handler.end_headers()


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize("fail, pauses_host", [(send_500, True), (break_off, True), (close, True), (send_404, False)])
@pytest.mark.parametrize("standing", Standing)
def test_a_failure_pauses_its_document_and_of_new_ones_a_host_that_does_not_answer(
    servers: Callable[[], HttpsServer], tmp_path: Path, standing: Standing, fail: Handle, pauses_host: bool
) -> None:
    server, clock = servers(), Clock()
    server.answers["/failing"] = fail
    server.say_json("/good", {"a": 1})
    door = door_to(tmp_path, server, clock=clock)

    def get(path: str, standing: Standing = standing) -> Any:
        return door.get_json(server.url + path, Requester(standing, "192.0.2.1"), max_bytes=100)

    with pytest.raises(Unavailable if pauses_host else FetchFailed) as failure:
        get("/failing")
    assert not isinstance(failure.value, TooBusy)
    with pytest.raises(TooBusy):
        get("/failing")
    if standing is Standing.NEW and pauses_host:
        with pytest.raises(TooBusy):
            get("/good")
    else:
        assert get("/good") == {"a": 1}
    for other in Standing:
        if other is not standing:
            assert get("/good", other) == {"a": 1}, "those who have another standing are asked for themselves"
    assert server.count("/failing") == 1
    server.say_json("/failing", {"a": 2})
    clock.now += 1
    assert get("/failing") == {"a": 2}
    assert get("/good") == {"a": 1}


def test_who_asks_for_a_document_as_something_else_does_nothing_to_it(
    servers: Callable[[], HttpsServer], tmp_path: Path
) -> None:
    server = servers()
    server.answers["/d"] = (200, {"Content-Type": "application/jwk-set+json"}, b"{}")
    door = door_to(tmp_path, server)
    stranger = Requester(Standing.NEW, "192.0.2.1")
    with pytest.raises(FetchFailed):
        door.get_json(f"{server.url}/d", stranger, max_bytes=100)
    assert door.get(f"{server.url}/d", stranger, ["application/jwk-set+json"], max_bytes=100).body == b"{}"


def test_all_that_is_fetched_in_one_turn_is_over_at_one_moment(
    servers: Callable[[], HttpsServer], tmp_path: Path
) -> None:
    server = servers()
    url = server.say_json("/second", {})
    door = door_to(tmp_path, server, timeout_seconds=0.3)
    with door.turn(url, Requester(Standing.NEW, "s"), JSON_TYPES) as turn:
        time.sleep(0.4)  # as if the document before it had taken as long
        with pytest.raises(Unavailable):
            turn.get_json(url, max_bytes=100)


@pytest.mark.parametrize("standing", Standing)
def test_names_of_strangers_that_nobody_resolves_hold_up_no_others(
    servers: Callable[[], HttpsServer], tmp_path: Path, standing: Standing
) -> None:
    server, goes_on = servers(), threading.Event()
    server.say_json("/", {"a": 1})

    def resolver(host: str, _port: int) -> list[str]:
        if host != "localhost":
            goes_on.wait(LONG)
        return ["127.0.0.1"]

    door = door_to(tmp_path, server, resolver=resolver)
    for number in range(64):
        target = door._targets.parse(f"https://h{number}.example/", standing)
        with pytest.raises(Unavailable):
            door._targets.addresses(target, standing, 0.0)
    for other in set(Standing) - {standing}:
        assert door.get_json(f"{server.url}/", Requester(other, "s"), max_bytes=100) == {"a": 1}
    goes_on.set()


def test_a_sector_or_a_request_that_cannot_be_read_now_is_no_fault_of_the_client(
    servers: Callable[[], HttpsServer], sqlite_engine: Engine, keyring: Keyring, origin: Origin, tmp_path: Path
) -> None:
    server = servers()
    door = door_to(tmp_path, server, patience_seconds=0.05)
    uri = f"{server.url}/document"
    reader = RequestObjects(ClientKeys(door), door, issuer="https://id.example", skew_seconds=30)
    tokens = RegistrationTokens(keyring, AuditRecorder())
    registration = Registration(
        clients_of(keyring), tokens, keyring, door, RateLimiter(keyring), AuditRecorder(), policy="open"
    )
    said = {"redirect_uris": ["https://app.example/cb"], "sector_identifier_uri": uri}
    with Transaction(sqlite_engine) as tx, contextlib.ExitStack() as held:
        for standing in (Standing.VOUCHED, Standing.NEW):
            held.enter_context(door.turn(uri, Requester(standing, "s"), JSON_TYPES))
        calls = (
            lambda: reader.fetch(tx, origin, known_client(request_uris=(uri,)), uri),
            lambda: registration.register(tx, origin, said, None),
        )
        for call in calls:
            with pytest.raises(OAuthError, match="temporarily_unavailable"):
                call()
    assert server.received == []


def ask_for_a_document(door: Outbound, tx: Transaction, origin: Origin, keyring: Keyring, url: str) -> None:
    documents_of(keyring, door).client(tx, origin, url)


def ask_for_keys(door: Outbound, tx: Transaction, origin: Origin, keyring: Keyring, url: str) -> None:
    client = replace(known_client(jwks_uri=url), is_vouched=False)
    skew = {"seconds": 300, "skew_seconds": 30}
    assertions = ClientAssertions(ClientKeys(door), ReplayGuard(keyring), audiences=["https://id.example"], **skew)
    claims = assertion_claims(client.client_id, "https://id.example", origin.now)
    assert not assertions.is_proof(tx, origin, client, client_key().sign(claims))


def ask_for_keys_of_a_request(door: Outbound, tx: Transaction, origin: Origin, keyring: Keyring, url: str) -> None:
    client = replace(known_client(jwks_uri=url), is_vouched=False)
    reader = RequestObjects(ClientKeys(door), door, issuer="https://id.example", skew_seconds=30)
    reader.read(tx, origin, client, client_key().sign({}))


def ask_for_a_request(door: Outbound, tx: Transaction, origin: Origin, keyring: Keyring, url: str) -> None:
    client = replace(known_client(request_uris=(url,)), is_vouched=False)
    RequestObjects(ClientKeys(door), door, issuer="https://id.example", skew_seconds=30).fetch(tx, origin, client, url)


def ask_for_a_sector(door: Outbound, tx: Transaction, origin: Origin, keyring: Keyring, url: str) -> None:
    tokens, limiter = RegistrationTokens(keyring, AuditRecorder()), RateLimiter(keyring)
    registration = Registration(clients_of(keyring), tokens, keyring, door, limiter, AuditRecorder(), policy="open")
    registration.register(tx, origin, {"redirect_uris": ["https://app.example/cb"], "sector_identifier_uri": url}, None)


WAYS = [ask_for_a_document, ask_for_keys, ask_for_keys_of_a_request, ask_for_a_request, ask_for_a_sector]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("is_same_source", [True, False])
def test_a_source_of_strangers_has_one_turn_whatever_it_asks_for(
    servers: Callable[[], HttpsServer],
    sqlite_engine: Engine,
    keyring: Keyring,
    origin: Origin,
    tmp_path: Path,
    way: Callable[[Outbound, Transaction, Origin, Keyring, str], None],
    is_same_source: bool,
) -> None:
    server = servers()
    door = door_to(tmp_path, server, patience_seconds=0.05)
    busy = Requester(Standing.NEW, origin.network if is_same_source else "192.0.2.99")
    with (
        door.turn("https://slow.example/", busy, JSON_TYPES),
        Transaction(sqlite_engine) as tx,
        contextlib.suppress(OAuthError),
    ):
        way(door, tx, origin, keyring, f"{server.url}/x")
    assert server.count("/x") == int(not is_same_source)


def test_a_document_that_claims_the_sector_of_others_makes_it_pause_for_nobody(
    servers: Callable[[], HttpsServer], sqlite_engine: Engine, keyring: Keyring, origin: Origin, tmp_path: Path
) -> None:
    server = servers()
    uri = server.say_json("/uris", ["https://bank.example/cb"])
    said = {"client_id": f"{server.url}/c", "client_name": "E", "redirect_uris": ["https://app.example/cb"]}
    server.say_json("/c", {**said, "sector_identifier_uri": uri})
    door = door_to(tmp_path, server)
    with pytest.raises(UntrustedRedirect, match="invalid_request"):
        read(documents_of(keyring, door), sqlite_engine, origin, f"{server.url}/c")
    stranger = Requester(Standing.NEW, "192.0.2.99")
    assert door.get_json(uri, stranger, max_bytes=100) == ["https://bank.example/cb"]
    with pytest.raises(TooBusy):
        door.get(f"{server.url}/c", stranger, CONTENT_TYPES, max_bytes=1000)


def test_a_document_whose_sector_does_not_answer_is_asked_for_later(
    servers: Callable[[], HttpsServer], sqlite_engine: Engine, keyring: Keyring, origin: Origin, tmp_path: Path
) -> None:
    server = servers()
    server.answers["/uris"] = send_500
    said = {"client_id": f"{server.url}/c", "client_name": "E", "redirect_uris": ["https://app.example/cb"]}
    server.say_json("/c", {**said, "sector_identifier_uri": f"{server.url}/uris", "subject_type": "pairwise"})
    documents = documents_of(keyring, door_to(tmp_path, server))
    with pytest.raises(UntrustedRedirect, match="temporarily_unavailable"):
        read(documents, sqlite_engine, origin, f"{server.url}/c")
