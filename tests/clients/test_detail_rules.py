"""The rules of the less common metadata, one row for each."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from provider.clients.detail_rules import MAX_KEYS, MAX_REQUEST_URIS, check_details, is_https_uri, jwks_problem
from provider.protocol.client import ClientDetails
from provider.protocol.errors import OAuthError

EC = {"kty": "EC", "crv": "P-256", "x": "x", "y": "y"}


def rsa(bits: int, exponent: str = "AQAB") -> dict[str, Any]:
    """What looks like an RSA key of that many bits: nobody reads it to tell its size."""
    modulus = base64.urlsafe_b64encode((1 << bits - 1 | 1).to_bytes((bits + 7) // 8)).rstrip(b"=").decode()
    return {"kty": "RSA", "n": modulus, "e": exponent}


RSA = rsa(2048)
SHOWN = ("client_uri", "logo_uri", "policy_uri", "tos_uri")
CALLED = (
    "jwks_uri", "sector_identifier_uri", "backchannel_logout_uri", "frontchannel_logout_uri", "initiate_login_uri",
)  # fmt: skip
NO_URIS = (
    "http://app.example/", "//app.example/", "app.example", "javascript:alert(1)", "data:text/html,x", "https:///x",
    "https://user@app.example/", "https://app.example/#x", "https://app.example/ x", "com.example.app:/x", "file:///etc",
    "ftp://app.example/", 'https://app.example/"x', "https://app.example/" + "x" * 2000,
)  # fmt: skip


@pytest.mark.parametrize("uri", NO_URIS)
@pytest.mark.parametrize("name", [*SHOWN, *CALLED, "request_uris"])
def test_every_address_is_https(name: str, uri: str) -> None:
    if name == "request_uris" and uri.endswith("#x"):
        return
    value: Any = (uri,) if name == "request_uris" else uri
    with pytest.raises(OAuthError) as refusal:
        check_details(ClientDetails(**{name: value}), "none")
    assert refusal.value.error == "invalid_client_metadata"
    assert name in refusal.value.description


@pytest.mark.parametrize("name", SHOWN)
def test_what_is_only_shown_may_be_on_this_machine(name: str) -> None:
    check_details(ClientDetails(**{name: "http://localhost:3000/"}), "none")  # type: ignore[arg-type]


@pytest.mark.parametrize("name", CALLED)
def test_what_we_call_may_not(name: str) -> None:
    with pytest.raises(OAuthError):
        check_details(ClientDetails(**{name: "http://localhost:3000/"}), "none")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "uri", ["http://localhost:3000/", "http://app.example/", "http://10.0.0.1/", "http://localhost.evil.example/"]
)
@pytest.mark.parametrize("name", CALLED)
def test_an_operator_may_have_this_machine_told_of_logouts_and_called_for_nothing_else(name: str, uri: str) -> None:
    details = ClientDetails(**{name: uri})  # type: ignore[arg-type]
    if "logout" in name and uri == "http://localhost:3000/":
        check_details(details, "none", by_operator=True)
        return
    with pytest.raises(OAuthError):
        check_details(details, "none", by_operator=True)


@pytest.mark.parametrize(
    "changes",
    [
        {"jwks": {"keys": [EC]}, "jwks_uri": "https://app.example/jwks"},
        {"jwks": {"keys": [{**EC, "d": "private"}]}},
        {"token_endpoint_auth_signing_alg": "none"},
        {"token_endpoint_auth_signing_alg": "HS256"},
        {"request_object_signing_alg": "none"},
        {"request_object_signing_alg": "HS256"},
        {"userinfo_signed_response_alg": "none"},
        {"userinfo_signed_response_alg": "PS256"},
        {"subject_type": "private"},
        {"default_max_age": -1},
        {"default_max_age": 10**9},
        {"request_uris": tuple(f"https://app.example/{number}" for number in range(MAX_REQUEST_URIS + 1))},
    ],
)
def test_what_contradicts_itself_or_cannot_be_checked_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(OAuthError) as refusal:
        check_details(ClientDetails(**changes), "none")
    assert refusal.value.error == "invalid_client_metadata"


def test_a_client_that_signs_has_keys() -> None:
    with pytest.raises(OAuthError):
        check_details(ClientDetails(), "private_key_jwt")
    check_details(ClientDetails(jwks={"keys": [EC]}), "private_key_jwt")
    check_details(ClientDetails(jwks_uri="https://app.example/jwks"), "private_key_jwt")


def test_a_signed_request_may_be_named_with_its_digest() -> None:
    check_details(ClientDetails(request_uris=("https://app.example/request.jwt#GkurKxf5T0Y",)), "none")


POST_QUANTUM = {"kty": "AKP", "alg": "ML-DSA-44", "pub": "AAAA", "kid": "pq"}


@pytest.mark.parametrize(
    "jwks",
    [
        {"keys": [EC]},
        {"keys": [EC, RSA, {"kty": "OKP", "crv": "Ed25519", "x": "x"}]},
        {"keys": [POST_QUANTUM, EC]},
        {"keys": [RSA, {"kty": "ec"}, {"kty": ""}, POST_QUANTUM]},
    ],
)
def test_a_set_of_public_keys_is_one(jwks: dict[str, Any]) -> None:
    assert jwks_problem(jwks) is None


@pytest.mark.parametrize(
    "jwks",
    [
        {},
        {"keys": None},
        {"keys": {}},
        {"keys": []},
        {"keys": [EC] * (MAX_KEYS + 1)},
        {"keys": ["x"]},
        {"keys": [None]},
        {"keys": [{}]},
        {"keys": [{"kty": "oct", "k": "c2VjcmV0"}]},
        {"keys": [{"kty": ["EC"]}]},
        {"keys": [{"kty": {"EC": 1}}]},
        {"keys": [{"kty": "ec"}]},
        {"keys": [POST_QUANTUM]},
        {"keys": [EC, {"kty": "oct", "k": "c2VjcmV0"}]},
        {"keys": [EC, {**POST_QUANTUM, "priv": "AAAA"}]},
        {"keys": [EC, {"kty": None}]},
        {"keys": [EC, "AKP"]},
        {"keys": [EC, *[POST_QUANTUM] * 10]},
        *({"keys": [EC, {**RSA, name: "x"}]} for name in ("d", "p", "q", "dp", "dq", "qi", "oth", "k")),
    ],
)
def test_anything_else_is_not(jwks: dict[str, Any]) -> None:
    assert jwks_problem(jwks)


@pytest.mark.parametrize(
    "bits, is_one", [(2047, False), (2048, True), (3072, True), (4096, True), (4097, False), (8192, False)]
)
def test_an_rsa_key_has_a_size_that_costs_little(bits: int, is_one: bool) -> None:
    assert (jwks_problem({"keys": [EC, rsa(bits)]}) is None) is is_one


@pytest.mark.parametrize("exponent", ["gQAAAAAAAAAB", "_" * 600, "AA", "", "!!", None, 65537, ["AQAB"]])
def test_an_rsa_key_has_an_exponent_that_costs_little(exponent: Any) -> None:
    assert jwks_problem({"keys": [rsa(2048, exponent)]})


def test_loopback_needs_permission() -> None:
    assert is_https_uri("https://app.example/x")
    assert not is_https_uri("http://127.0.0.1/x")
    assert is_https_uri("http://127.0.0.1/x", or_loopback=True)
    assert not is_https_uri("http://app.example/x", or_loopback=True)
