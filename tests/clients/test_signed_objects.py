"""What clients sign: every algorithm, and every trick that JWT libraries have fallen for (RFC 8725; security A-40, A-50)."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Iterator
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine

from database.transaction import Transaction
from provider.clients.client_keys import AGAIN_SECONDS, ClientKeys
from provider.clients.signed_objects import MAX_HEADER_CHARACTERS, InvalidSignature, unverified, verified_claims
from provider.security.outbound import Outbound
from tests.https_server import HttpsServer
from tests.signing import ALGORITHMS, ClientKey, b64url, client_key, jwks, known_client

CLAIMS = {"iss": "app_1", "text": "글"}
Read = Callable[..., Any]


@pytest.fixture
def read(sqlite_engine: Engine) -> Read:
    """The claims, or None when the object is refused."""

    def call(
        signed: str, *keys: ClientKey | dict[str, Any], allowed: Any = ALGORITHMS, types: Any = ("own+jwt",)
    ) -> Any:
        finder, client = ClientKeys(Outbound()), known_client(jwks=jwks(*keys))
        with Transaction(sqlite_engine) as tx:
            try:
                return verified_claims(tx, finder, client, signed, algorithms=allowed, types=types, source="192.0.2.1")
            except InvalidSignature:
                return None

    return call


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_each_algorithm_is_verified_with_the_clients_key_and_no_other(read: Read, algorithm: str) -> None:
    own, other = client_key(algorithm), client_key(algorithm, name="other")
    signed = own.sign(CLAIMS)
    assert read(signed, own) == CLAIMS
    assert read(signed, other) is None
    assert read(signed, other, own) == CLAIMS, "two keys under one name are both the client's"
    first, claims, signature = signed.split(".")
    assert read(f"{first}.{b64url(json.dumps({**CLAIMS, 'x': 1}).encode())}.{signature}", own) is None
    assert read(f"{first}.{claims}.{signature[:-8]}AAAAAAAA", own) is None
    assert read(f"{first}.{claims}.", own) is None
    assert read(signed, own, allowed=[name for name in ALGORITHMS if name != algorithm]) is None


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_without_a_key_id_every_key_of_the_kind_is_tried(read: Read, algorithm: str) -> None:
    others = [client_key(name, name, name="other") for name in ALGORITHMS]
    signed = client_key(algorithm, None).sign(CLAIMS)
    assert read(signed, *others, client_key(algorithm, "mine")) == CLAIMS
    assert read(signed, *others, client_key(algorithm, None)) == CLAIMS
    assert read(signed, *others) is None


def test_a_key_without_an_id_is_not_the_one_that_is_named(read: Read) -> None:
    assert read(client_key(kid="k1").sign(CLAIMS), client_key(kid=None)) is None
    assert read(client_key(kid="").sign(CLAIMS), client_key(kid="k1")) is None


def confused() -> dict[str, str]:
    """Objects that are signed with something, but not as the client signs."""
    rsa, ec, payload = client_key("RS256"), client_key(), b64url(json.dumps(CLAIMS).encode())
    pem = rsa.private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    stranger = client_key(name="stranger")

    def plain(**header: str) -> str:
        return f"{b64url(json.dumps(header).encode())}.{payload}."

    def by_hmac(key: bytes) -> str:
        first = f"{b64url(json.dumps({'alg': 'HS256', 'kid': 'k1'}).encode())}.{payload}"
        return f"{first}.{b64url(hmac.new(key, first.encode(), hashlib.sha256).digest())}"

    return {
        "none": plain(alg="none"),
        "None": plain(alg="None"),
        "none with a key id": plain(alg="none", kid="k1"),
        "no alg": ec.resigned({"kid": "k1"}, payload),
        "alg that is a list": ec.resigned({"alg": ["ES256"], "kid": "k1"}, payload),
        "alg in small letters": ec.resigned({"alg": "es256", "kid": "k1"}, payload),
        "HMAC with the public key": by_hmac(pem),
        "HMAC with its JWK": by_hmac(json.dumps(rsa.public).encode()),
        "HMAC with nothing": by_hmac(b""),
        "RS256 called PS256": rsa.resigned({"alg": "PS256", "kid": "k1"}, payload),
        "PS256 called RS256": client_key("PS256").resigned({"alg": "RS256", "kid": "k1"}, payload),
        "ES256 called EdDSA": ec.resigned({"alg": "EdDSA", "kid": "k1"}, payload),
        "RS512": jwt.encode(CLAIMS, rsa.private, "RS512", headers={"kid": "k1"}),
        "its own key in jwk": stranger.sign(CLAIMS, jwk=stranger.public),
        "its own key at jku": stranger.sign(CLAIMS, jku="https://evil.example/keys"),
        "its own key at x5u": stranger.sign(CLAIMS, x5u="https://evil.example/keys"),
        "its own key in x5c": stranger.sign(CLAIMS, x5c=["MIIB"]),
        "crit": ec.sign(CLAIMS, crit=["exp"], exp=1),
        "an empty crit": ec.sign(CLAIMS, crit=[]),
        "b64": ec.sign(CLAIMS, b64=False, crit=["b64"]),
        "b64 without crit": ec.sign(CLAIMS, b64=True),
        "kid that is a number": ec.sign(CLAIMS, kid=1),
        "kid that is a list": ec.sign(CLAIMS, kid=["k1"]),
        "kid that is a path": ec.sign(CLAIMS, kid="../k1"),
        "alg twice": ec.resigned(b'{"alg":"none","alg":"ES256","kid":"k1"}', payload),
        "claims twice": ec.resigned({"alg": "ES256", "kid": "k1"}, b64url(b'{"iss":"app_1","iss":"app_2"}')),
        "a signature of zeros": plain(alg="ES256", kid="k1") + b64url(bytes(64)),
    }


CONFUSED = confused()


@pytest.mark.parametrize("case", CONFUSED)
def test_what_the_header_says_never_decides_about_the_key(read: Read, case: str) -> None:
    rsa, ec, eddsa = client_key("RS256"), client_key(), client_key("EdDSA")
    assert read(CONFUSED[case], rsa, ec, eddsa) is None
    assert read(CONFUSED[case], client_key("RS256", None), client_key(kid=None), client_key("EdDSA", None)) is None


@pytest.mark.parametrize("member", [
    {"jwk": client_key(name="stranger").public}, {"jku": "https://evil.example/k"}, {"x5c": ["MIIB" * 400]},
    {"x5t#S256": "AAAA"}, {"unheard_of": {"a": [1]}},
])  # fmt: skip
def test_members_that_are_of_no_use_are_ignored(read: Read, member: dict[str, Any]) -> None:
    """Nothing else may be understood of them either: the signature is still the client's own (RFC 7515 §4)."""
    assert read(client_key().sign(CLAIMS, **member), client_key()) == CLAIMS


TYPES: list[tuple[Any, bool]] = [
    (None, True), ("JWT", True), ("jwt", True), ("own+jwt", True), ("OWN+JWT", True), ("application/own+jwt", True),
    ("at+jwt", False), ("logout+jwt", False), ("dpop+jwt", False), ("other+jwt", False), ("", False), (5, False),
    (["JWT"], False), ({}, False), ("application/application/jwt", False), ("jwt ", False),
]  # fmt: skip


@pytest.mark.parametrize("typ, is_read", TYPES)
def test_an_object_of_another_kind_is_refused(read: Read, typ: Any, is_read: bool) -> None:
    assert (read(client_key().sign(CLAIMS, typ=typ), client_key()) is not None) is is_read


def test_a_typ_of_null_is_no_typ(read: Read) -> None:
    signed = client_key().resigned({"alg": "ES256", "kid": "k1", "typ": None}, b64url(b"{}"))
    assert read(signed, client_key()) is None


PAYLOADS = [
    b"[]", b'"text"', b"5", b"null", b"", b"{", b"\xff", b'{"a":NaN}', b'{"a":Infinity}', b'{"a":1e999}',
    b'{"a":"\\ud800"}', json.dumps({"a": 1}).encode("utf-16"), b"\xef\xbb\xbf{}", b'{"a":' * 21 + b"1" + b"}" * 21,
    b"[" * 100_000, b'{"a":' + b"9" * 5000 + b"}",
]  # fmt: skip


@pytest.mark.parametrize("payload", PAYLOADS, ids=[str(row[:12]) for row in PAYLOADS])
def test_a_payload_that_is_no_sound_json_object_is_refused(read: Read, payload: bytes) -> None:
    """Even when the client has signed it: what two readers understand differently is a way around one of them."""
    assert read(client_key().resigned({"alg": "ES256", "kid": "k1"}, b64url(payload)), client_key()) is None


def test_what_is_no_compact_jws_is_refused(read: Read) -> None:
    signed = client_key().sign(CLAIMS)
    first, claims, signature = signed.split(".")
    flattened = json.dumps({"protected": first, "payload": claims, "signature": signature})
    for text in ("", ".", "..", "...", signed + ".", signed + ".x", f"{first}..{signature}", flattened, f".{claims}.x"):
        assert read(text, client_key()) is None, text
    for text in (
        signed + "=",
        signed + "\n",
        " " + signed,
        signed.replace(".", ". "),
        first + "=." + claims + "." + signature,
    ):
        assert read(text, client_key()) is None, text
    assert read(signed.replace(signature, "서명"), client_key()) is None
    assert unverified(f"{'A' * (MAX_HEADER_CHARACTERS + 1)}.{claims}.{signature}") is None


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    header=st.dictionaries(
        st.sampled_from(["alg", "kid", "typ", "crit", "b64", "jwk", "jku", "x5c", "x5u", "zip", "enc", "cty", "x"]),
        st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=8), st.lists(st.text(max_size=4)),
                  st.sampled_from(["ES256", "RS256", "none", "HS256", "k1", "JWT", "https://x.example"])),
    ),
    rest=st.text(st.sampled_from("AZaz09-_.=+/~ é"), max_size=40),
)  # fmt: skip
def test_whatever_comes_is_refused_and_breaks_nothing(read: Read, header: dict[str, Any], rest: str) -> None:
    text = base64.urlsafe_b64encode(json.dumps(header).encode()).rstrip(b"=").decode() + "." + rest
    assert read(text, client_key(), client_key("RS256", "rsa")) is None


# --- rotation ---


@pytest.fixture
def server() -> Iterator[HttpsServer]:
    made = HttpsServer()
    yield made
    made.close()


@pytest.mark.parametrize("kids", [("k1", "k2"), ("same", "same"), (None, None)])
def test_a_client_that_changes_its_key_is_known_by_the_new_one(
    server: HttpsServer, sqlite_engine: Engine, kids: tuple[str | None, str | None]
) -> None:
    """Also when the new key has the old one's id, or none: then it is the signature that does not fit."""
    now = [0.0]
    finder = ClientKeys(Outbound(allowed_hosts=[server.host], ca_file=server.authority), lambda: now[0])
    old, new = client_key(kid=kids[0]), client_key(kid=kids[1], name="other")
    client = known_client(jwks_uri=server.say_json("/keys", jwks(old), cache_control="max-age=3600"))

    def is_known(key: ClientKey) -> bool:
        with Transaction(sqlite_engine) as tx:
            try:
                verified_claims(
                    tx, finder, client, key.sign(CLAIMS), algorithms=ALGORITHMS, types=(), source="192.0.2.1"
                )
            except InvalidSignature:
                return False
            return True

    assert is_known(old)
    assert not is_known(new)
    server.say_json("/keys", jwks(new))
    assert not is_known(new), "not at once: whoever asks too often could make us ask without end"
    now[0] += AGAIN_SECONDS
    assert is_known(new)
    assert not is_known(old)
    assert server.count("/keys") == 2
