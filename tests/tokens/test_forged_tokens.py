"""Every trick with a header and every altered claim is refused: the key decides, never the token (RFC 8725)."""

from __future__ import annotations

import base64
import datetime
import hashlib
import hmac
import json
from collections.abc import Callable
from typing import Any

import pytest
from joserfc import jws
from joserfc.jwk import ECKey

from provider.protocol.messages import Origin
from provider.tokens.key_pairs import REGISTRY
from provider.tokens.signing_key import SigningKey
from tests.tokens.conftest import API, ISSUER, SKEW_SECONDS, World, make_client
from tests.tokens.forging import b64, issue, key_of, read, resigned, signed, verify

SECONDS = int(datetime.datetime(2026, 7, 1, 12, 0, tzinfo=datetime.UTC).timestamp())
FOREIGN = ECKey.generate_key("P-256", private=True)
Forge = Callable[[World, Origin, str], str]


def _header(**changes: Any) -> Forge:
    return lambda world, origin, token: resigned(world, origin, token, changes)


def _unsigned(**changes: Any) -> Forge:
    """No signature of ours behind the changed header: what was signed stays as it was."""

    def forge(_world: World, _origin: Origin, token: str) -> str:
        header, payload, signature = token.split(".")
        return f"{b64({**json.loads(base64.urlsafe_b64decode(header + '==')), **changes})}.{payload}.{signature}"

    return forge


def _none(name: str) -> Forge:
    def forge(_world: World, _origin: Origin, token: str) -> str:
        header, claims = read(token)
        return f"{b64({**header, 'alg': name})}.{b64(claims)}."

    return forge


def _hmac_with_public_key(encode: Callable[[SigningKey], bytes]) -> Forge:
    def forge(world: World, origin: Origin, token: str) -> str:
        header, claims = read(token)
        text = f"{b64({**header, 'alg': 'HS256'})}.{b64(claims)}"
        secret = encode(key_of(world, origin))
        return f"{text}.{b64(hmac.new(secret, text.encode(), hashlib.sha256).digest())}"

    return forge


def _by_foreign_key(**changes: Any) -> Forge:
    def forge(_world: World, _origin: Origin, token: str) -> str:
        header, claims = read(token)
        made = {**header, **{name: value() if callable(value) else value for name, value in changes.items()}}
        return signed(FOREIGN, made, claims)

    return forge


def _parts(change: Callable[[list[str]], list[str]]) -> Forge:
    return lambda _world, _origin, token: ".".join(change(token.split(".")))


def _other_signature(_world: World, _origin: Origin, token: str) -> str:
    text, _, signature = token.rpartition(".")
    raw = bytearray(base64.urlsafe_b64decode(signature + "=="))
    raw[5] ^= 1
    return f"{text}.{b64(bytes(raw))}"


FORGED: dict[str, Forge] = {
    "no algorithm": _none("none"),
    "no algorithm in other letters": _none("NonE"),
    "no algorithm, signature kept": _unsigned(alg="none"),
    "HMAC with the public key as PEM": _hmac_with_public_key(lambda key: key.key.as_pem(private=False)),
    "HMAC with the public key as DER": _hmac_with_public_key(lambda key: key.key.as_der(private=False)),
    "HMAC with the public key as JWK": _hmac_with_public_key(lambda key: json.dumps(dict(key.public_jwk)).encode()),
    "HMAC with nothing": _hmac_with_public_key(lambda key: b"\0"),
    "another algorithm of our list": _header(alg="RS256"),
    "another algorithm outside of it": _header(alg="ES384"),
    "an algorithm that is no text": _header(alg=["ES256"]),
    "an algorithm in lower case": _header(alg="es256"),
    "no alg": _header(alg=None),
    "a key inside the header": _by_foreign_key(jwk=lambda: FOREIGN.as_dict(private=False)),
    "a key inside the header, signed by ours": _header(jwk=FOREIGN.as_dict(private=False)),
    "an address of keys": _by_foreign_key(jku="https://evil.example/jwks"),
    "an address of certificates": _header(x5u="https://evil.example/x5u"),
    "a certificate": _header(x5c=["MIIB"]),
    "a thumbprint of a certificate": _header(x5t="abc"),
    "an unknown critical part": _header(crit=["exp"], exp=1),
    "a known critical part": _header(crit=["b64"], b64=True),
    "an empty list of critical parts": _header(crit=[]),
    "an unencoded payload": _header(b64=False, crit=["b64"]),
    "a part that is not ours": _header(cty="JWT"),
    "compression": _header(zip="DEF"),
    "the key id of a foreign key": _by_foreign_key(kid=lambda: FOREIGN.thumbprint()),
    "our key id, a foreign key": _by_foreign_key(),
    "no key id": _header(kid=None),
    "a key id that is no text": _header(kid=1),
    "a key id that is a list": _header(kid=["x"]),
    "a key id that is a path": _header(kid="../../dev/null"),
    "a key id that is SQL": _header(kid="' OR '1'='1"),
    "a very long key id": _header(kid="k" * 5000),
    "another kind of token": _header(typ="JWT"),
    "a logout token": _header(typ="logout+jwt"),
    "the kind with its prefix": _header(typ="application/at+jwt"),
    "the kind in capitals": _header(typ="AT+JWT"),
    "no kind": _header(typ=None),
    "a changed signature": _other_signature,
    "no signature": _parts(lambda parts: [*parts[:2], ""]),
    "two parts": _parts(lambda parts: parts[:2]),
    "four parts": _parts(lambda parts: [*parts, parts[2]]),
    "five parts, as if encrypted": _parts(lambda parts: [parts[0], "", parts[1], parts[2], ""]),
    "a changed payload": _parts(lambda parts: [parts[0], b64({"iss": ISSUER}), parts[2]]),
    "padding": _parts(lambda parts: [*parts[:2], parts[2] + "=="]),
    "a header that is a list": _parts(lambda parts: [b64(b"[]"), *parts[1:]]),
    "a header that is no JSON": _parts(lambda parts: [b64(b"{"), *parts[1:]]),
    "a header that is no text": _parts(lambda parts: [b64(b"\xff\xfe"), *parts[1:]]),
    "a header that is no base64": _parts(lambda parts: ["%%%%", *parts[1:]]),
    "a deep header": _parts(lambda parts: [b64(b"[" * 3000), *parts[1:]]),
    "a blank behind": _parts(lambda parts: [*parts[:2], parts[2] + " "]),
    "a line break behind": _parts(lambda parts: [*parts[:2], parts[2] + "\n"]),
    "letters outside of ASCII": _parts(lambda parts: [*parts[:2], "é" + parts[2][1:]]),
}


@pytest.mark.parametrize("trick", FORGED)
def test_a_forged_token_is_refused(world: World, origin: Origin, trick: str) -> None:
    token = issue(world, origin)
    forged = FORGED[trick](world, origin, token)
    assert forged != token
    assert verify(world, origin, forged) is None
    with world.tokens.transaction() as tx:
        if trick != "another kind of token":
            assert world.tokens.verifier.verify_id_token_hint(tx, forged, origin.now) is None


@pytest.mark.parametrize("made", ["", ".", "..", "...", "a.b.c", "null", "{}", "mcp_rt_x", "\0" * 3, "💥.💥.💥"])
def test_what_is_no_token_is_refused(world: World, origin: Origin, made: str) -> None:
    assert verify(world, origin, made) is None


@pytest.mark.parametrize(
    "claims",
    [
        {"iss": None},
        {"iss": ISSUER + "/"},
        {"iss": [ISSUER]},
        {"iat": None},
        {"iat": "1782907200"},
        {"iat": 1e300},
        {"iat": float("nan")},
        {"exp": None},
        {"exp": "9999999999"},
        {"exp": 1e300},
        {"exp": float("inf")},
        {"exp": 0},
        {"exp": -1},
        {"exp": True},
        {"jti": None},
        {"jti": ""},
        {"jti": "01900000-0000-7000-8000-00000000000a"},
    ],
)
def test_a_missing_or_altered_claim_is_refused_even_with_our_signature(
    world: World, origin: Origin, claims: dict[str, Any]
) -> None:
    assert verify(world, origin, resigned(world, origin, issue(world, origin), **claims)) is None


STRANGER = "01900000-0000-7000-8000-00000000000b"
OF_A_PERSON: list[dict[str, Any]] = [
    *({"sub": value} for value in (STRANGER, "", "app_x", None, 1, ["x"])),
    *({"aud": value} for value in (ISSUER, API.uri + "/", [API.uri], None)),
    *({"client_id": value} for value in ("app_x", "", None, 1)),
    *({"scope": value} for value in ("openid mcp:read mcp:admin", "openid", "mcp:read openid", "", None, ["openid"])),
    *({"iat": SECONDS + by} for by in (-1, 1, 20)),
    *({"exp": SECONDS + 600 + by} for by in (-1, 1, 86400)),
    *({"auth_time": value} for value in (SECONDS, SECONDS - 91, None, "x")),
    *({"acr": value} for value in ("urn:mcp-core:password", "", None)),
    *({"amr": value} for value in (["pwd"], ["pwd", "otp", "hwk"], "pwd otp", [], None)),
    *({"sid": value} for value in (STRANGER, None)),
    *({"owner": value} for value in (STRANGER, "")),
    {"sub": "the client", "owner": "the user"},
]
OF_A_MACHINE: list[dict[str, Any]] = [
    *({"sub": value} for value in (STRANGER, "the user", None)),
    *({"owner": value} for value in (STRANGER, "", None)),
    {"scope": "mcp:read mcp:admin"},
    {"aud": ISSUER},
    {"client_id": "app_x"},
    {"auth_time": SECONDS},
    {"acr": "urn:mcp-core:two-factor"},
    {"amr": ["pwd"]},
    {"sid": STRANGER},
]


@pytest.mark.parametrize("is_machine, changes", [(False, OF_A_PERSON), (True, OF_A_MACHINE)])
def test_a_token_that_says_something_else_than_its_record_is_refused(
    world: World, origin: Origin, is_machine: bool, changes: list[dict[str, Any]]
) -> None:
    """Whoever has our key, or a fault of the mint, must not make more of a token than what was recorded."""
    token = issue(world, origin) if not is_machine else issue_to_a_key(world, origin)
    named = {"the user": world.user.id, "the client": world.client.client_id}
    assert int(origin.now.timestamp()) == SECONDS
    assert verify(world, origin, resigned(world, origin, token)) is not None
    for change in changes:
        made = {name: named.get(value, value) if isinstance(value, str) else value for name, value in change.items()}
        assert verify(world, origin, resigned(world, origin, token, None, **made)) is None, change


def issue_to_a_key(world: World, origin: Origin) -> str:
    with world.tokens.transaction() as tx:
        key = make_client(world.tokens, tx, origin, kind="api_key", owner_user_id=world.user.id)
    nobody: dict[str, Any] = dict.fromkeys(("user_id", "grant_id", "session_id", "authenticated_at", "acr"))
    return issue(world, origin, client=key, grant_type="client_credentials", scope=("mcp:read",), amr=(), **nobody)


@pytest.mark.parametrize(
    "value, is_accepted",
    [
        (SECONDS, True), (SECONDS - 3600, True), (SECONDS + SKEW_SECONDS, True), (SECONDS + SKEW_SECONDS + 1, False),
        (SECONDS + 3600, False), ("0", False), (True, False), (None, True), (1e300, False), ([], False),
    ],
)  # fmt: skip
def test_a_token_counts_from_its_nbf_on(world: World, origin: Origin, value: Any, is_accepted: bool) -> None:
    token = issue(world, origin)
    assert (verify(world, origin, resigned(world, origin, token, nbf=value)) is not None) is is_accepted
    with world.tokens.transaction() as tx:
        hint = world.tokens.issuer.id_token(tx, world.authorization(origin), origin.now)
        made = resigned(world, origin, hint, nbf=value)
        assert (world.tokens.verifier.verify_id_token_hint(tx, made, origin.now) is not None) is is_accepted


def test_what_no_record_stands_behind_is_not_passed_on(world: World, origin: Origin) -> None:
    token = issue(world, origin)
    verified = verify(world, origin, resigned(world, origin, token, roles=["admin"], may_act={"sub": "x"}, cnf={}))
    assert verified is not None
    assert verified.claims == read(token)[1]


@pytest.mark.parametrize("groups", [[], ["administrators"], "administrators", {"a": 1}])
def test_groups_that_the_record_does_not_know_make_a_token_a_forgery(world: World, origin: Origin, groups: Any) -> None:
    assert verify(world, origin, resigned(world, origin, issue(world, origin), groups=groups)) is None


@pytest.mark.parametrize("payload", [b"", b"[]", b"null", b"1", b'"x"', b"{", b"\xff", b"[" * 3000, b"9" * 5000])
def test_a_payload_that_is_no_object_is_refused(world: World, origin: Origin, payload: bytes) -> None:
    header = read(issue(world, origin))[0]
    key = key_of(world, origin).key
    assert isinstance(key, ECKey)
    assert verify(world, origin, signed(key, header, payload)) is None


def test_joserfc_alone_would_read_our_token(world: World, origin: Origin) -> None:
    """The forger above signs by hand; this says that a plain library agrees about the form."""
    token = resigned(world, origin, issue(world, origin))
    assert jws.deserialize_compact(token.encode(), key_of(world, origin).key, registry=REGISTRY).payload
