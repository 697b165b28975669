"""What an access token must be to be believed (RFC 9068 §4, RFC 8725). One row for each way to forge one."""

from __future__ import annotations

import base64
import datetime
import hmac
import json
from typing import Any

import pytest

from mcp_core_verifier import AccessToken, InsufficientScope, InvalidToken, Verifier
from tests.verifier.conftest import MakeVerifier
from tests.verifier.stand_in import AUDIENCE, KEYS, NOW, StandIn, generate, public, sign

ALGORITHMS = ("RS256", "ES256", "EdDSA")


def encoded(value: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def refusal(verifier: Verifier, token: str) -> str:
    with pytest.raises(InvalidToken) as caught:
        verifier.verify(token)
    assert caught.value.status == 401
    assert "detail" not in caught.value.body.decode()
    return caught.value.detail


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_good_token_is_told_by_its_fields(verifier: Verifier, provider: StandIn, algorithm: str) -> None:
    token = verifier.verify(provider.token(algorithm), "notes:read", "notes:write")
    assert isinstance(token, AccessToken)
    assert (token.subject, token.client_id, token.scope) == ("0190-user", "client-1", ("notes:read", "notes:write"))
    assert token.expires_at == datetime.datetime.fromtimestamp(NOW + 540, datetime.UTC)
    assert token.claims["jti"] == "token-1"
    assert not token.is_machine
    with pytest.raises(AttributeError):
        token.subject = "someone else"  # type: ignore[misc]
    with pytest.raises(TypeError):
        token.claims["sub"] = "someone else"  # type: ignore[index]
    assert "token-1" not in repr(token)


@pytest.mark.parametrize(
    "claims, groups",
    [
        ({}, set()),
        ({"groups": []}, set()),
        ({"groups": ["a", "b", "a"]}, {"a", "b"}),
        *(({"groups": wrong}, set()) for wrong in ("administrators", {"administrators": 1}, 7, None, True)),
        ({"groups": ["a", 1, None, ["b"]]}, {"a"}),
    ],
)
def test_groups_are_those_that_the_token_names(
    verifier: Verifier, provider: StandIn, claims: dict[str, Any], groups: set[str]
) -> None:
    assert verifier.verify(provider.token(**claims)).groups == groups


def test_a_token_whose_subject_is_its_client_is_a_machines(verifier: Verifier, provider: StandIn) -> None:
    assert verifier.verify(provider.token(sub="client-1")).is_machine


def test_a_token_may_name_several_audiences(verifier: Verifier, provider: StandIn) -> None:
    assert verifier.verify(provider.token(aud=["https://other.example", AUDIENCE])).subject == "0190-user"


def test_a_token_without_scope_has_none(verifier: Verifier, provider: StandIn) -> None:
    assert verifier.verify(provider.token(scope=None)).scope == ()


@pytest.mark.parametrize("kind", ["at+jwt", "AT+JWT", "application/at+jwt"])
def test_the_type_is_a_media_type(verifier: Verifier, provider: StandIn, kind: str) -> None:
    assert verifier.verify(provider.token(header={"typ": kind})).subject == "0190-user"


@pytest.mark.parametrize("kind", ["JWT", "jwt", "at+jwt", "application/at+jwt"])
def test_a_service_may_take_tokens_of_the_general_type(
    make_verifier: MakeVerifier, provider: StandIn, kind: str
) -> None:
    verifier = make_verifier(token_typ="JWT")
    assert verifier.verify(provider.token(header={"typ": kind})).subject == "0190-user"


@pytest.mark.parametrize(
    "header, claims",
    [
        ({"typ": "logout+jwt"}, {}),
        ({"typ": "dpop+jwt"}, {}),
        ({"typ": None}, {}),
        ({"typ": "JWT"}, {"client_id": None}),
        ({"typ": "JWT"}, {"jti": None}),
        ({"typ": "JWT"}, {"azp": "app_1"}),
        ({"typ": "JWT"}, {"nonce": "n"}),
        ({"typ": "JWT"}, {"at_hash": "h"}),
        ({"typ": "JWT"}, {"events": {}}),
    ],
)
def test_such_a_service_takes_no_id_token_and_no_logout_token(
    make_verifier: MakeVerifier, provider: StandIn, header: dict[str, Any], claims: dict[str, Any]
) -> None:
    assert refusal(make_verifier(token_typ="JWT"), provider.token(header=header, **claims))


@pytest.mark.parametrize("kind", ["", "jwt", "logout+jwt", "id+jwt"])
def test_no_other_type_can_be_asked_for(make_verifier: MakeVerifier, kind: str) -> None:
    with pytest.raises(ValueError, match="token_typ"):
        make_verifier(token_typ=kind)


@pytest.mark.parametrize(
    "header, why",
    [
        ({"typ": "JWT"}, "typ"),
        ({"typ": "logout+jwt"}, "typ"),
        ({"typ": "dpop+jwt"}, "typ"),
        ({"typ": None}, "typ"),
        ({"typ": ["at+jwt"]}, "typ"),
        ({"kid": None}, "kid"),
        ({"kid": ""}, "kid"),
        ({"kid": 1}, "kid"),
        ({"kid": ["RS256"]}, "kid"),
        ({"kid": "unknown"}, "kid"),
        ({"kid": "ES256"}, "alg"),
        ({"kid": "../RS256"}, "kid"),
        ({"jwk": KEYS["EdDSA"].as_dict(private=False)}, "header"),
        ({"jku": "http://127.0.0.1:1/jwks"}, "header"),
        ({"x5u": "http://127.0.0.1:1/cert"}, "header"),
        ({"x5c": ["MIIB"]}, "header"),
        ({"crit": ["exp"]}, "header"),
        ({"crit": ["urn:example:new"], "urn:example:new": True}, "header"),
        ({"crit": []}, "header"),
        ({"zip": "DEF"}, "header"),
        ({"cty": "JWT"}, "header"),
    ],
)
def test_a_header_that_is_not_just_alg_kid_and_typ_is_refused(
    verifier: Verifier, provider: StandIn, header: dict[str, Any], why: str
) -> None:
    assert why in refusal(verifier, provider.token(header=header))


def test_a_key_inside_the_token_proves_nothing(verifier: Verifier, provider: StandIn) -> None:
    own = generate("RS256")
    assert refusal(verifier, provider.token(key=own)), "signed by a stranger with our kid"
    assert refusal(verifier, provider.token(key=own, header={"jwk": own.as_dict(private=False)}))
    assert refusal(verifier, provider.token(key=own, header={"jwk": own.as_dict(private=False), "kid": None}))


def test_a_public_key_is_no_shared_secret(verifier: Verifier, provider: StandIn) -> None:
    pem = KEYS["RS256"].as_pem(private=False)
    for secret in (pem, pem.strip(), json.dumps(public(KEYS["RS256"], "RS256", "RS256")).encode()):
        content = f"{encoded({'alg': 'HS256', 'kid': 'RS256', 'typ': 'at+jwt'})}.{encoded(provider.claims())}"
        mac = base64.urlsafe_b64encode(hmac.digest(secret, content.encode(), "sha256")).rstrip(b"=").decode()
        assert "alg" in refusal(verifier, f"{content}.{mac}")


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", "", "HS256", "RS1", "Ed25519x"])
def test_an_unsigned_token_is_refused(verifier: Verifier, provider: StandIn, algorithm: str) -> None:
    header = {"alg": algorithm, "kid": "RS256", "typ": "at+jwt"}
    content = f"{encoded(header)}.{encoded(provider.claims())}"
    signature = provider.token().rpartition(".")[2]
    for token in (f"{content}.", f"{content}.{signature}", content):
        assert refusal(verifier, token)
    assert not provider.requests, "nobody has to be asked for that"


@pytest.mark.parametrize("algorithm", ["RS384", "RS512", "PS256"])
def test_the_key_decides_the_algorithm_within_its_family(verifier: Verifier, provider: StandIn, algorithm: str) -> None:
    token = provider.token(algorithm, header={"kid": "RS256"}, key=KEYS["RS256"])
    assert "alg" in refusal(verifier, token)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_changed_token_is_refused(verifier: Verifier, provider: StandIn, algorithm: str) -> None:
    header, content, signature = provider.token(algorithm).split(".")
    changed = encoded(provider.claims(sub="someone-else"))
    assert "signature" in refusal(verifier, f"{header}.{changed}.{signature}")
    assert refusal(verifier, f"{header}.{content}.{signature[:-4]}")
    assert refusal(verifier, f"{header}.{content}.")
    assert refusal(verifier, f"{header}..{signature}")
    assert refusal(verifier, f"{header}.{content}.{'A' * len(signature)}")
    assert refusal(verifier, f"{header}.{content}.{signature}.{signature}")
    assert refusal(verifier, f"{header}.{content}=.{signature}")


@pytest.mark.parametrize(
    "changed, why",
    [
        *[({name: None}, name) for name in ("iss", "sub", "aud", "client_id", "iat", "exp", "jti")],
        *[({name: ""}, name) for name in ("iss", "sub", "client_id", "jti")],
        *[({name: 7}, name) for name in ("iss", "sub", "client_id", "jti", "scope")],
        ({"scope": ["notes:read"]}, "scope"),
        ({"sub": ["0190-user"]}, "sub"),
        ({"iss": "http://127.0.0.1/oauth"}, "issuer"),
        ({"aud": "https://notes.example"}, "audience"),
        ({"aud": "https://notes.example/mcp/"}, "audience"),
        ({"aud": "https://NOTES.example/mcp"}, "audience"),
        ({"aud": "https://notes.example/mcp2"}, "audience"),
        ({"aud": []}, "audience"),
        ({"aud": ["https://notes.example"]}, "audience"),
        ({"aud": {AUDIENCE: True}}, "audience"),
        ({"aud": [[AUDIENCE]]}, "audience"),
        ({"exp": NOW - 30}, "expired"),
        ({"exp": NOW - 3600}, "expired"),
        ({"exp": str(NOW + 100)}, "exp"),
        ({"exp": NOW + 0.5}, "exp"),
        ({"exp": float("inf")}, "exp"),
        ({"exp": True}, "exp"),
        ({"exp": -1}, "exp"),
        ({"exp": 10**30}, "exp"),
        ({"iat": NOW + 31}, "future"),
        ({"iat": NOW + 61}, "future"),
        ({"iat": "now"}, "iat"),
        ({"iat": True}, "iat"),
        ({"nbf": NOW + 31}, "future"),
        ({"nbf": "now"}, "nbf"),
        ({"cnf": {"jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"}}, "bound"),
    ],
)
def test_a_claim_that_is_missing_or_wrong_is_refused(
    verifier: Verifier, provider: StandIn, changed: dict[str, Any], why: str
) -> None:
    assert why in refusal(verifier, provider.token(**changed))


@pytest.mark.parametrize("suffix", ["/", "?", "#", "/.", "x"])
def test_the_issuer_is_compared_byte_for_byte(verifier: Verifier, provider: StandIn, suffix: str) -> None:
    assert "issuer" in refusal(verifier, provider.token(iss=provider.issuer + suffix))
    assert "issuer" in refusal(verifier, provider.token(iss=provider.issuer.upper()))


@pytest.mark.parametrize("changed", [{"exp": NOW - 29}, {"iat": NOW + 9}, {"nbf": NOW + 9}, {"nbf": NOW - 60}])
def test_clocks_may_differ_a_little(verifier: Verifier, provider: StandIn, changed: dict[str, Any]) -> None:
    assert verifier.verify(provider.token(**changed)).subject == "0190-user"


@pytest.mark.parametrize(
    "token",
    [
        "x",
        "..",
        "a.b.c",
        "eyJ.eyJ.eyJ",
        "e30.e30.e30",
        f"{encoded([])}.{encoded({})}.AAAA",
        f"{encoded(5)}.{encoded({})}.AAAA",
        f"{encoded('alg')}.{encoded({})}.AAAA",
        "é.é.é",
        "\ud800",
        "a" * 8193,
        ("[" * 3000) + ".e30.AAAA",
        base64.urlsafe_b64encode(b"[" * 5000).decode().rstrip("=") + ".e30.AAAA",
        base64.urlsafe_b64encode(b"\xff\xfe").decode().rstrip("=") + ".e30.AAAA",
    ],
)
def test_what_is_no_token_is_refused_without_asking_anyone(verifier: Verifier, provider: StandIn, token: str) -> None:
    assert refusal(verifier, token)
    assert not provider.requests


@pytest.mark.parametrize("content", [b"[]", b"null", b'"x"', b"{", b"", b"\xff", b"[" * 2500])
def test_a_signed_content_that_is_no_object_is_refused(verifier: Verifier, content: bytes) -> None:
    header = {"alg": "RS256", "kid": "RS256", "typ": "at+jwt"}
    assert "content" in refusal(verifier, sign(header, content, KEYS["RS256"]))


def test_a_token_is_at_most_8192_characters(verifier: Verifier, provider: StandIn) -> None:
    assert verifier.verify(provider.token(note="x" * 4000)).claims["note"]
    assert "long" in refusal(verifier, provider.token(note="x" * 8000))


def test_all_scopes_are_needed(verifier: Verifier, provider: StandIn) -> None:
    with pytest.raises(InsufficientScope) as caught:
        verifier.verify(provider.token(scope="notes:read"), "notes:read", "notes:write", "notes:delete")
    assert caught.value.missing == ("notes:write", "notes:delete")
    assert caught.value.status == 403


@pytest.mark.parametrize("scope", ["notes:read2", "notes", "NOTES:READ", "notes:reader notes:rea", "notes:read,other"])
def test_scopes_are_compared_whole(verifier: Verifier, provider: StandIn, scope: str) -> None:
    with pytest.raises(InsufficientScope):
        verifier.verify(provider.token(scope=scope), "notes:read")
