"""Servers that do not answer: how many of our threads they can hold, and what everybody else gets meanwhile."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from http.server import BaseHTTPRequestHandler

import pytest
from sqlalchemy import Engine

from database.transaction import Transaction
from provider.clients.client_keys import OLD_SECONDS, ClientKeys
from provider.clients.metadata import ClientMetadata
from provider.clients.request_objects import RequestObjects
from provider.clients.sectors import check_sector
from provider.protocol.client import ClientDetails
from provider.protocol.errors import OAuthError
from provider.security.outbound import WAITING_AT_ONCE, Outbound, TooBusy
from tests.https_server import HttpsServer
from tests.signing import client_key, jwks, known_client

THREADS = 4


@pytest.fixture
def server() -> Iterator[HttpsServer]:
    made = HttpsServer()
    yield made
    made.close()


@pytest.fixture
def door(server: HttpsServer) -> Outbound:
    return Outbound(allowed_hosts=[server.host], ca_file=server.authority)


@pytest.fixture
def held(server: HttpsServer, door: Outbound) -> Iterator[Callable[[], None]]:
    """Every turn is taken by a server that does not answer. Calling it has it answer, and waits for the end."""
    arrived, answer = threading.Semaphore(0), threading.Event()

    def hang(handler: BaseHTTPRequestHandler) -> None:
        arrived.release()
        answer.wait(5)
        handler.send_response(404)
        handler.end_headers()

    server.answers["/slow"] = hang
    with ThreadPoolExecutor(WAITING_AT_ONCE) as pool:
        waiting = [pool.submit(door.get_json, f"{server.url}/slow", max_bytes=9) for _ in range(WAITING_AT_ONCE)]
        for _ in waiting:
            assert arrived.acquire(timeout=5)

        def release() -> None:
            answer.set()
            for one in waiting:
                one.exception(timeout=5)

        yield release
        answer.set()


def test_servers_that_do_not_answer_hold_no_more_than_half_of_the_threads() -> None:
    assert WAITING_AT_ONCE <= THREADS // 2


def test_who_finds_no_turn_is_refused_at_once_and_finds_one_later(
    server: HttpsServer, door: Outbound, held: Callable[[], None]
) -> None:
    server.say_json("/quick", {"a": 1})
    began = time.monotonic()
    with pytest.raises(TooBusy):
        door.get_json(f"{server.url}/quick", max_bytes=100)
    assert time.monotonic() - began < 2
    assert server.count("/quick") == 0
    held()
    assert door.get_json(f"{server.url}/quick", max_bytes=100) == {"a": 1}


def test_a_thread_that_has_a_turn_needs_no_other(server: HttpsServer) -> None:
    door = Outbound(allowed_hosts=[server.host], ca_file=server.authority, at_once=1)
    server.say_json("/quick", {"a": 1})
    for _ in range(2):
        with door.turn(), door.turn():
            assert door.get_json(f"{server.url}/quick", max_bytes=100) == {"a": 1}


def test_notices_need_no_turn(server: HttpsServer, door: Outbound, held: Callable[[], None]) -> None:
    server.answers["/logout"] = (204, {}, b"")
    assert door.post_form(f"{server.url}/logout", {"logout_token": "a"}) == 204


def test_keys_that_are_known_do_for_a_while_when_nobody_can_be_asked(
    server: HttpsServer, door: Outbound, sqlite_engine: Engine, held: Callable[[], None]
) -> None:
    now = [1000.0]
    elsewhere = Outbound(allowed_hosts=[server.host], ca_file=server.authority)
    keys = ClientKeys(elsewhere, lambda: now[0])
    client = known_client(jwks_uri=server.say_json("/keys", jwks(client_key())))

    def find(*, again: bool = False) -> int:
        with Transaction(sqlite_engine) as tx:
            return len(keys.find(tx, client, "ES256", "k1", again=again))

    assert find() == 1
    keys._outbound = door
    now[0] += 300
    assert find() == 1
    with pytest.raises(OAuthError) as refusal:
        find(again=True)
    assert (refusal.value.error, refusal.value.status) == ("temporarily_unavailable", 503)
    now[0] += OLD_SECONDS
    with pytest.raises(OAuthError, match="temporarily_unavailable"):
        find()
    held()
    assert find() == 1
    assert server.count("/keys") == 2


def test_a_sector_or_a_request_that_cannot_be_read_now_is_no_fault_of_the_client(
    server: HttpsServer, door: Outbound, sqlite_engine: Engine, held: Callable[[], None]
) -> None:
    uri = f"{server.url}/document"
    metadata = replace(
        ClientMetadata(name="Notes", redirect_uris=("https://app.example/cb",)),
        details=ClientDetails(sector_identifier_uri=uri),
    )
    reader = RequestObjects(ClientKeys(door), door, issuer="https://id.example", skew_seconds=30)
    with Transaction(sqlite_engine) as tx:
        with pytest.raises(OAuthError, match="temporarily_unavailable"):
            check_sector(tx, door, metadata)
        with pytest.raises(OAuthError, match="temporarily_unavailable"):
            reader.fetch(tx, known_client(request_uris=(uri,)), uri)
    assert server.count("/document") == 0
