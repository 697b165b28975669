"""The keys of clients, from a real TLS server: which count, how long they are kept, and how seldom it is asked."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm
from sqlalchemy import Engine, select

from database.models import Client as ClientRow
from database.transaction import Transaction
from provider.clients import client_keys
from provider.clients.client_keys import (
    AGAIN_SECONDS,
    KEPT_SECONDS,
    MAX_BYTES,
    MAX_KEYS,
    MAX_TRIED,
    OLD_SECONDS,
    ClientKeys,
)
from provider.protocol.errors import OAuthError
from provider.security.backoff import FIRST_SECONDS, LONGEST_SECONDS
from provider.security.outbound import Outbound
from tests.https_server import HttpsServer
from tests.signing import ALGORITHMS, client_key, jwks, known_client

PATH = "/keys"
SOURCE = "192.0.2.1"


@pytest.fixture(scope="module")
def running() -> Iterator[HttpsServer]:
    server = HttpsServer()
    yield server
    server.close()


@pytest.fixture
def server(running: HttpsServer) -> HttpsServer:
    running.answers.clear()
    running.received.clear()
    return running


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Finder:
    """The service with its clock. ``find`` gives the key ids, and asks again as those who find none do."""

    def __init__(self, server: HttpsServer, engine: Engine) -> None:
        self.clock, self.engine = Clock(), engine
        self.outbound = Outbound(
            allowed_hosts=[server.host, "localhost:1"],
            ca_file=server.authority,
            threads=48,
            patience_seconds=20,
            clock=self.clock,
        )
        self.keys = ClientKeys(self.outbound, self.clock)
        self.client = known_client(jwks_uri=server.url + PATH)

    def find(self, kid: str | None = None, algorithm: str = "ES256", client: Any = None) -> list[Any]:
        with Transaction(self.engine) as tx:
            for again in (False, True):
                found = self.keys.find(tx, client or self.client, algorithm, kid, source=SOURCE, again=again)
                if found:
                    return [key.kid for key in found]
        return []

    def is_unavailable(self) -> bool:
        with pytest.raises(OAuthError) as refusal:
            self.find()
        return (refusal.value.error, refusal.value.status) == ("temporarily_unavailable", 503)


@pytest.fixture
def finder(server: HttpsServer, sqlite_engine: Engine) -> Finder:
    return Finder(server, sqlite_engine)


def raw(server: HttpsServer, status: int, content_type: str, body: bytes, **headers: str) -> None:
    server.answers[PATH] = (status, {"Content-Type": content_type, **headers}, body)


# --- which keys count ---


def test_registered_keys_are_found_and_nobody_is_asked(server: HttpsServer, finder: Finder) -> None:
    own = known_client(jwks=jwks(client_key(kid="a"), client_key("RS256", "b"), client_key(kid="c", name="other")))
    assert finder.find("a", client=own) == ["a"]
    assert finder.find(client=own) == ["a", "c"], "without a kid every key that fits"
    assert finder.find("b", "PS256", client=own) == ["b"]
    assert finder.find("b", client=own) == []
    assert finder.find("x", client=own) == []
    assert finder.find(client=known_client()) == []
    assert server.received == []


def test_a_registered_key_of_an_unknown_kind_does_not_spoil_the_set(finder: Finder) -> None:
    unknown = {"kty": "AKP", "alg": "ML-DSA-44", "pub": "AAAA", "kid": "x"}
    own = known_client(jwks={"keys": [unknown, *jwks(client_key(kid="a"))["keys"]]})
    assert finder.find(client=own) == ["a"]
    assert finder.find("x", client=own) == []


def test_of_a_clients_own_keys_only_those_are_read_that_may_have_signed(
    finder: Finder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reading an RSA key costs more than checking a signature, and anybody can register ten of them."""
    read: list[Any] = []
    parse_one = client_keys._parse_one

    def note_and_parse(item: Mapping[str, Any]) -> Any:
        read.append(item["kid"])
        return parse_one(item)

    monkeypatch.setattr(client_keys, "_parse_one", note_and_parse)
    own = known_client(jwks=jwks(*(client_key("RS256", f"r{number}") for number in range(9)), client_key(kid="e")))
    assert finder.find("r3", "RS256", client=own) == ["r3"]
    assert read == ["r3"]
    assert finder.find(None, "ES256", client=own) == ["e"]
    assert read == ["r3", "e"]


@pytest.mark.parametrize("kid", [None, "same"])
def test_so_many_keys_are_tried_and_no_more(server: HttpsServer, finder: Finder, kid: str | None) -> None:
    published = jwks(*[client_key(kid="same")] * (MAX_TRIED + 5))
    server.say_json(PATH, published)
    assert len(finder.find(kid)) == MAX_TRIED
    assert len(finder.find(kid, client=known_client(jwks=published))) == MAX_TRIED


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_key_is_for_the_algorithm_that_it_names_or_fits(server: HttpsServer, finder: Finder, algorithm: str) -> None:
    key = client_key(algorithm)
    server.say_json(PATH, jwks({**key.public, "alg": algorithm}, {**key.public, "kid": "other", "alg": "RS512"}))
    assert finder.find(algorithm=algorithm) == ["k1"]
    for other in set(ALGORITHMS) - {algorithm}:
        assert finder.find(algorithm=other) == []


def test_the_newer_name_of_eddsa_is_understood(finder: Finder) -> None:
    own = known_client(jwks=jwks({**client_key("EdDSA").public, "alg": "Ed25519"}))
    assert finder.find(algorithm="EdDSA", client=own) == ["k1"]


SMALL = RSAAlgorithm.to_jwk(rsa.generate_private_key(public_exponent=65537, key_size=1024).public_key(), as_dict=True)
P384 = ECAlgorithm.to_jwk(ec.generate_private_key(ec.SECP384R1()).public_key(), as_dict=True)
GOOD_EC, GOOD_RSA = client_key(kid="x").public, client_key("RS256", "x").public
UNUSABLE: list[tuple[str, Any]] = [
    ("a small RSA key", {**SMALL, "kid": "x"}),
    ("another curve", {**P384, "kid": "x"}),
    ("a curve that nobody knows", {**GOOD_EC, "crv": "P-999"}),
    ("for encryption", {**GOOD_EC, "use": "enc"}),
    ("a use that is no text", {**GOOD_EC, "use": ["sig"]}),
    ("a private one", {**GOOD_EC, "d": GOOD_EC["x"]}),
    ("symmetric", {"kty": "oct", "k": "c2VjcmV0", "kid": "x"}),
    ("an unknown kind", {"kty": "AKP", "pub": "AA", "kid": "x"}),
    ("a kind that is a list", {**GOOD_EC, "kty": []}),
    ("a kind that is an object", {**GOOD_EC, "kty": {}}),
    ("no kind", {"kid": "x"}),
    ("no key at all", "x"),
    ("nothing", None),
    ("a point that is on no curve", {**GOOD_EC, "y": GOOD_EC["x"]}),
    ("a coordinate that is missing", {name: value for name, value in GOOD_EC.items() if name != "y"}),
    ("a coordinate that is a number", {**GOOD_EC, "x": 5}),
    ("a coordinate that is not base64url", {**GOOD_EC, "x": "!!"}),
    ("an empty modulus", {**GOOD_RSA, "n": ""}),
    ("an exponent of one", {**GOOD_RSA, "e": "AQ"}),
    ("an exponent that costs a lot", {**GOOD_RSA, "e": "gQAAAAAAAAAB"}),
    ("an exponent that is a number", {**GOOD_RSA, "e": 65537}),
    ("a modulus without end", {**GOOD_RSA, "n": "_" * 40_000}),
    ("a modulus of 8,192 bits", {**GOOD_RSA, "n": "_" * 1365 + "w"}),
    ("a modulus of 4,104 bits", {**GOOD_RSA, "n": "_" * 684}),
    ("a kid that is a list", {**GOOD_EC, "kid": ["x"]}),
    ("an alg that is a list", {**GOOD_EC, "alg": ["ES256"]}),
]


@pytest.mark.parametrize("case, item", UNUSABLE, ids=[row[0] for row in UNUSABLE])
def test_one_unusable_key_does_not_spoil_the_set(server: HttpsServer, finder: Finder, case: str, item: Any) -> None:
    server.say_json(PATH, {"keys": [item, client_key(kid="good").public]})
    for algorithm in ("ES256", "RS256", "EdDSA"):
        assert finder.find("x", algorithm) == []
    assert finder.find("good") == ["good"]
    assert "x" not in finder.find()


@pytest.mark.parametrize("body", [[], {}, {"keys": None}, {"keys": {}}, {"keys": "x"}, {"keys": []}, 5, None, "keys"])
def test_what_is_no_set_of_keys_gives_none(server: HttpsServer, finder: Finder, body: Any) -> None:
    server.say_json(PATH, body)
    assert finder.find() == []


def test_of_a_set_without_end_only_the_beginning_counts(server: HttpsServer, finder: Finder) -> None:
    server.say_json(PATH, {"keys": [*[{"kty": "x"}] * (MAX_KEYS - 1), GOOD_EC, {**GOOD_EC, "kid": "behind"}]})
    assert finder.find() == ["x"]


@pytest.mark.parametrize("case", ["404", "redirect", "text/html", "not JSON", "too long", "compressed", "gone"])
def test_what_cannot_be_read_gives_no_key(server: HttpsServer, finder: Finder, case: str) -> None:
    good = server.say_json("/good", jwks(client_key()))
    _, _, body = server.answers["/good"]  # type: ignore[misc]
    json_type = "application/json"
    if case == "404":
        raw(server, 404, json_type, body)
    elif case == "redirect":
        raw(server, 302, json_type, b"", Location=good)
    elif case == "text/html":
        raw(server, 200, case, body)
    elif case == "not JSON":
        raw(server, 200, json_type, body[:-1])
    elif case == "too long":
        raw(server, 200, json_type, body + b" " * MAX_BYTES)
    elif case == "compressed":
        raw(server, 200, json_type, body, **{"Content-Encoding": "gzip"})
    else:
        finder.client = known_client(jwks_uri="https://localhost:1/keys")
    if case == "gone":
        assert finder.is_unavailable()
    else:
        assert finder.find() == []
        assert finder.is_unavailable(), "a failure is no answer for who comes later, and it is not asked again at once"
    assert server.count("/good") == 0
    raw(server, 200, "application/jwk-set+json", body)
    finder.client = known_client(jwks_uri=server.url + PATH)
    finder.clock.now += FIRST_SECONDS
    assert finder.find() == ["k1"]


# --- how long, and how often ---


@pytest.mark.parametrize("said, kept", [
    (None, 300), ("max-age=60", 60), ("max-age=1", 30), ("no-store", 30), ("public, max-age=99999999", 3600),
])  # fmt: skip
def test_keys_are_kept_as_long_as_their_server_says_within_bounds(
    server: HttpsServer, finder: Finder, said: str | None, kept: int
) -> None:
    server.say_json(PATH, jwks(client_key()), **({} if said is None else {"cache_control": said}))
    assert finder.find("k1") == ["k1"]
    finder.clock.now += kept - 0.1
    assert finder.find("k1") == ["k1"]
    assert server.count(PATH) == 1
    server.say_json(PATH, jwks(client_key(kid="k2")))
    finder.clock.now += 0.1
    assert finder.find("k1") == [], "a key that its client has taken back"
    assert server.count(PATH) == 2


def test_a_new_key_is_found_at_once_but_unknown_ones_ask_only_every_ten_seconds(
    server: HttpsServer, finder: Finder
) -> None:
    server.say_json(PATH, jwks(client_key(kid="old")))
    assert finder.find("new") == []
    server.say_json(PATH, jwks(client_key(kid="old"), client_key(kid="new")))
    finder.clock.now += AGAIN_SECONDS - 0.1
    for number in range(20):
        assert finder.find(f"unknown-{number}") == []
        assert finder.find("new") == []
    assert server.count(PATH) == 1
    finder.clock.now += 0.1
    assert finder.find("new") == ["new"]
    assert [finder.find(f"unknown-{number}") for number in range(20)] == [[]] * 20
    assert server.count(PATH) == 2


@pytest.mark.parametrize("status", [404, 500])
def test_a_failure_takes_no_good_key_away(server: HttpsServer, finder: Finder, status: int) -> None:
    server.say_json(PATH, jwks(client_key()))
    assert finder.find("k1") == ["k1"]
    raw(server, status, "application/json", b"")
    finder.clock.now += AGAIN_SECONDS
    with pytest.raises(OAuthError) if status == 500 else contextlib.nullcontext():
        assert finder.find("unknown") == []
    assert finder.find("k1") == ["k1"], "somebody who asks for unknown keys does not lock the client out"
    with pytest.raises(OAuthError, match="temporarily_unavailable"):
        finder.find("unknown")
    assert server.count(PATH) == 2
    finder.clock.now += FIRST_SECONDS
    server.say_json(PATH, jwks(client_key(kid="unknown")))
    assert finder.find("unknown") == ["unknown"]


@pytest.mark.parametrize("status, is_passing", [(404, False), (410, False), (200, False), (500, True), (429, True)])
def test_keys_that_are_old_do_while_nobody_answers_and_not_when_something_else_is_there(
    server: HttpsServer, finder: Finder, status: int, is_passing: bool
) -> None:
    server.say_json(PATH, jwks(client_key()))
    assert finder.find("k1") == ["k1"]
    raw(server, status, "application/json", b"no keys")
    finder.clock.now += KEPT_SECONDS
    assert finder.find("k1") == (["k1"] if is_passing else [])
    assert (finder.find("k1") == ["k1"]) if is_passing else finder.is_unavailable()
    assert server.count(PATH) == 2
    finder.clock.now += OLD_SECONDS
    if is_passing:
        assert finder.is_unavailable()
    server.say_json(PATH, jwks(client_key()))
    finder.clock.now += LONGEST_SECONDS
    assert finder.find("k1") == ["k1"]


def test_who_comes_at_the_same_moment_waits_for_one_answer(server: HttpsServer, finder: Finder) -> None:
    server.say_json(PATH, jwks(client_key()))
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda _: finder.find("k1"), range(8))) == [["k1"]] * 8
        assert server.count(PATH) == 1
        finder.clock.now += AGAIN_SECONDS
        assert list(pool.map(lambda n: finder.find(f"u{n}"), range(8))) == [[]] * 8
    assert server.count(PATH) == 2


def test_no_transaction_is_open_while_another_server_is_asked(
    server: HttpsServer, finder: Finder, sqlite_engine: Engine
) -> None:
    tx, seen = Transaction(sqlite_engine), []

    def answer(handler: BaseHTTPRequestHandler) -> None:
        seen.append(tx.is_open)
        handler.send_response(404)
        handler.end_headers()

    server.answers[PATH] = answer
    tx.execute(select(ClientRow.__table__.c.id)).all()
    finder.keys.find(tx, finder.client, "ES256", None, source=SOURCE)
    tx.rollback()
    assert seen == [False]
