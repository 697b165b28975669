"""Client authentication as it arrives over HTTP (RFC 6749 §2.3, OAuth 2.1 §2.4): at every endpoint that asks for it."""

from __future__ import annotations

import base64
import logging
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from sqlalchemy import update

from database.models import Client as ClientRow
from database.models import metadata
from provider.security.crypto import new_secret
from tests.endpoints.provider import Provider
from tests.endpoints.wsgi import FORM, Answer, basic

GRANT = {"grant_type": "client_credentials"}
ENDPOINTS = ["token", "introspect", "revoke"]
REFUSED = {"error": "invalid_client", "error_description": "Client authentication failed."}


def call(provider: Provider, endpoint: str, fields: object = (), headers: dict[str, str] | None = None) -> Answer:
    pairs = [*GRANT.items(), ("token", "unknown"), *(fields.items() if isinstance(fields, dict) else fields)]  # type: ignore[misc]
    return provider.post(f"{provider.path}/{endpoint}", pairs, headers)


def b64(raw: bytes | str) -> str:
    return base64.b64encode(raw if isinstance(raw, bytes) else raw.encode()).decode()


@pytest.mark.parametrize("endpoint", ENDPOINTS)
@pytest.mark.parametrize("registered", ["client_secret_basic", "client_secret_post"])
@pytest.mark.parametrize("sent", ["client_secret_basic", "client_secret_post", "none", "client_id in Basic alone"])
def test_only_the_registered_method_works(provider: Provider, endpoint: str, registered: str, sent: str) -> None:
    client = provider.machine(token_endpoint_auth_method=registered)
    if sent == "client_secret_basic":
        answer = call(provider, endpoint, {}, {"Authorization": basic(client.client_id, client.secret)})
    elif sent == "client_secret_post":
        answer = call(provider, endpoint, {"client_id": client.client_id, "client_secret": client.secret})
    elif sent == "none":
        answer = call(provider, endpoint, {"client_id": client.client_id})
    else:
        answer = call(provider, endpoint, {}, {"Authorization": basic(client.client_id, "")})
    if sent == registered:
        assert answer.status == 200
    else:
        assert (answer.status, answer.json) == (401, REFUSED)


EITHER_WAY = ("client_secret_basic", "client_secret_post")


@pytest.mark.parametrize("endpoint", ENDPOINTS)
@pytest.mark.parametrize("registered", EITHER_WAY)
@pytest.mark.parametrize("sent", [*EITHER_WAY, "none", "wrong"])
def test_a_secret_that_an_operator_gave_may_be_sent_either_way(
    provider: Provider, endpoint: str, registered: str, sent: str
) -> None:
    client = provider.machine(token_endpoint_auth_method=registered, exact_auth_method=False)
    fields = {"client_id": client.client_id, "client_secret": client.secret}
    if sent == "client_secret_basic":
        assert call(provider, endpoint, {}, {"Authorization": basic(client.client_id, client.secret)}).status == 200
    elif sent == "client_secret_post":
        assert call(provider, endpoint, fields).status == 200
    else:
        wrong = {"client_id": client.client_id, "client_secret": new_secret("cs")}
        answer = call(provider, endpoint, wrong if sent == "wrong" else {"client_id": client.client_id})
        assert (answer.status, answer.json) == (401, REFUSED)


@pytest.mark.parametrize("method", ["none", "private_key_jwt"])
def test_who_has_no_secret_proves_itself_in_one_way(provider: Provider, method: str) -> None:
    """Also with a secret in its row, which it never has."""
    client = provider.client(method, exact_auth_method=False)
    secret = new_secret("cs")
    with provider.begin() as tx:
        values = {"secret_hash": provider.services.clients.secret_hash(secret)}
        tx.execute(update(ClientRow).where(ClientRow.__table__.c.id == client.client.id).values(values))
    for headers, fields in (
        ({"Authorization": basic(client.client_id, secret)}, {}),
        ({}, {"client_id": client.client_id, "client_secret": secret}),
    ):
        assert call(provider, "introspect", fields, headers).json == REFUSED


WHY: list[tuple[dict[str, Any], str, str]] = [
    (
        {"token_endpoint_auth_method": "client_secret_basic"},
        "client_secret_basic=strict",
        "--auth-method client_secret_basic",
    ),
    ({"token_endpoint_auth_method": "private_key_jwt"}, "private_key_jwt", "--auth-method client_secret_post"),
    ({"token_endpoint_auth_method": "client_secret_basic", "kind": "dynamic"}, "client_secret_basic=strict", ""),
]


@pytest.mark.parametrize("options, registered, remedy", WHY)
def test_the_log_says_which_method_was_registered_and_the_answer_does_not(
    provider: Provider, caplog: pytest.LogCaptureFixture, options: dict[str, Any], registered: str, remedy: str
) -> None:
    client = provider.machine(**options)
    fields = {"client_id": client.client_id, "client_secret": client.secret or new_secret("cs")}
    with caplog.at_level(logging.INFO, "mcp_core"):
        answer = call(provider, "token", fields)
    assert (answer.status, answer.json) == (401, REFUSED)
    said = f"client_secret_post of {client.client_id}, which is registered with {registered}"
    assert said in caplog.text
    command = f". To allow it: mcp-core client update {client.client_id} {remedy}"
    assert (command in caplog.text) is bool(remedy)
    assert ("mcp-core client" in caplog.text) is bool(remedy)


@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_every_failure_gets_the_same_answer(provider: Provider, endpoint: str) -> None:
    client, public = provider.machine(), provider.client("none")
    wrong_secret = client.secret[:-1] + ("a" if client.secret[-1] != "a" else "b")
    other_secret = provider.machine().secret
    with provider.begin() as tx:
        disabled = provider.machine()
        provider.services.clients.set_active(tx, provider.origin, disabled.client_id, False)
    answers = [
        call(provider, endpoint, {}, {"Authorization": basic("app_unknown", client.secret)}),
        call(provider, endpoint, {}, {"Authorization": basic(client.client_id, wrong_secret)}),
        call(provider, endpoint, {}, {"Authorization": basic(client.client_id, other_secret)}),
        call(provider, endpoint, {}, {"Authorization": basic(client.client_id, "")}),
        call(provider, endpoint, {}, {"Authorization": basic(disabled.client_id, disabled.secret)}),
        call(provider, endpoint, {}, {"Authorization": basic(public.client_id, client.secret)}),
        call(provider, endpoint, {"client_id": "app_unknown"}),
        call(provider, endpoint, {"client_id": client.client_id}),
        call(provider, endpoint, {"client_id": client.client_id, "client_secret": client.secret}),
        call(provider, endpoint),
    ]
    for answer in answers:
        assert (answer.status, answer.json) == (401, REFUSED)
        assert answer.headers == answers[0].headers
        assert (answer.header("WWW-Authenticate") or "").startswith("Basic ")
        assert answer.header("Cache-Control") == "no-store"


@pytest.mark.parametrize("header", [
    "", " ", "Basic", "Basic ", "Basic  ", "basic", "Basic =", "Basic ====", "Basic !!!!", "Basic a", "Basic YQ==",
    f"Basic {b64(':')}", f"Basic {b64(':secret')}", f"Basic {b64('no colon')}", f"Basic {b64(bytes([0xff, 0xfe]) + b':x')}",
    f"Basic {b64(chr(0) + ':' + chr(0))}", f"Basic {b64('%ff:%fe')}", f"Basic {b64('%:%')}",
    f"Basic {b64('a' * 5000 + ':b')}",
    "Basic " + "A" * 14000, "Basic \u00fc\u00ff", "Basic\tYTpi", "Bearer x", "Digest username=x", "Negotiate", "\u00e4",
    f"Basic {b64('a:b')}, Basic {b64('a:b')}", f"Basic {b64('a:b')} {b64('a:b')}", "Basic " + b64("ü:密")[:-1],
])  # fmt: skip
@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_a_malformed_header_is_a_failure_and_no_fault(provider: Provider, endpoint: str, header: str) -> None:
    answer = call(provider, endpoint, {}, {"Authorization": header})
    assert (answer.status, answer.json) == (401, REFUSED)


@pytest.mark.parametrize("secret", [
    "\x00", "\ud7ff", "ü", "密码", "a" * 4000, "mcp_cs_" + "0" * 49, "mcp_cs_" + "ü" * 49, "mcp_ak_" + "\x00" * 49,
    "' OR '1'='1", "%00", "%", "\r\nX: y", "💥", " ", "mcp_cs_",
])  # fmt: skip
def test_any_bytes_as_a_secret_are_a_failure_and_no_fault(provider: Provider, secret: str) -> None:
    by_post = provider.machine(token_endpoint_auth_method="client_secret_post")
    by_basic = provider.machine()
    answer = call(provider, "token", {}, {"Authorization": basic(by_basic.client_id, secret)})
    assert (answer.status, answer.json) == (401, REFUSED)
    answer = call(provider, "token", {"client_id": by_post.client_id, "client_secret": secret})
    assert answer.error in ((401, "invalid_client"), (400, "invalid_request"))  # NUL is no text
    assert (answer.status == 400) is ("\x00" in secret)


def test_basic_may_be_raw_or_percent_encoded_and_in_any_case(provider: Provider) -> None:
    client = provider.machine()
    escaped = "".join(f"%{ord(character):02x}" for character in client.secret)
    for header in (
        basic(client.client_id, client.secret),
        basic(quote(client.client_id), quote(client.secret)),
        basic(client.client_id, escaped),
        basic(client.client_id, client.secret).replace("Basic", "bAsIc"),
        basic(client.client_id, client.secret).replace("Basic ", "Basic  "),
    ):
        assert call(provider, "token", {}, {"Authorization": header}).status == 200


@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_two_methods_at_once_are_refused(provider: Provider, endpoint: str) -> None:
    client = provider.machine()
    header = {"Authorization": basic(client.client_id, client.secret)}
    assertion = {
        "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        "client_assertion": "x",
    }
    for fields in ({"client_secret": client.secret}, {"client_id": client.client_id, "client_secret": "x"}, assertion):
        assert call(provider, endpoint, fields, header).error == (400, "invalid_request")
    both = {"client_id": client.client_id, "client_secret": client.secret, **assertion}
    assert call(provider, endpoint, both).error == (400, "invalid_request")
    assert call(provider, endpoint, {"client_id": "app_other"}, header).error == (400, "invalid_request")
    assert call(provider, endpoint, {"client_id": client.client_id}, header).status == 200


def test_an_assertion_is_no_method_here(provider: Provider) -> None:
    client = provider.machine()
    fields = {
        "client_id": client.client_id,
        "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        "client_assertion": "e30.e30.e30",
    }
    assert call(provider, "token", fields).error == (401, "invalid_client")


@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_a_secret_in_the_address_counts_for_nothing(provider: Provider, endpoint: str) -> None:
    client = provider.machine(token_endpoint_auth_method="client_secret_post")
    fields = {"client_id": client.client_id, "client_secret": client.secret}
    answer = provider.send(
        "POST", f"{provider.path}/{endpoint}", query=urlencode(fields), body=urlencode({**GRANT, "token": "x"}).encode(),
        headers={"Content-Type": FORM},
    )  # fmt: skip
    assert (answer.status, answer.json) == (401, REFUSED)


@pytest.mark.parametrize("endpoint, expected", [("token", 400), ("introspect", 401), ("revoke", 200)])
def test_a_public_client_names_itself(provider: Provider, endpoint: str, expected: int) -> None:
    """It may revoke, it may not introspect, and the token endpoint goes on to look at the grant."""
    client = provider.client("none")
    assert call(provider, endpoint, {"client_id": client.client_id}).status == expected


@pytest.mark.parametrize("secret", ["", "x", "mcp_cs_" + "0" * 49])
def test_a_public_client_has_no_secret_to_send(provider: Provider, secret: str) -> None:
    client = provider.client("none")
    header = {"Authorization": basic(client.client_id, secret)}
    assert call(provider, "token", {}, header).error == (401, "invalid_client")
    answer = call(provider, "revoke", {"client_id": client.client_id, "client_secret": secret})
    assert answer.status == (200 if not secret else 401)  # an empty field is an absent one


def test_guessing_is_throttled_and_the_true_client_is_not(provider: Provider) -> None:
    client = provider.machine()
    right = {"Authorization": basic(client.client_id, client.secret)}
    wrong = {"Authorization": basic(client.client_id, provider.machine().secret)}
    for _ in range(20):
        assert call(provider, "token", {}, wrong).status == 401
        assert call(provider, "token", {}, right).status == 200
    answer = call(provider, "token", {}, wrong)
    assert answer.error == (429, "temporarily_unavailable")
    assert 1 <= int(answer.header("Retry-After") or 0) <= 60
    assert answer.header("Cache-Control") == "no-store"
    assert call(provider, "introspect", {}, wrong).status == 429
    assert call(provider, "token", {}, right).status == 200
    provider.clock.advance(60)
    assert call(provider, "token", {}, wrong).status == 401


def test_guesses_from_one_address_are_counted_together(provider: Provider) -> None:
    client = provider.machine()
    for number in range(60):
        assert call(provider, "token", {}, {"Authorization": basic(f"app_{number}", client.secret)}).status == 401
    assert call(provider, "token", {}, {"Authorization": basic("app_new", client.secret)}).status == 429
    elsewhere = provider.send(
        "POST", f"{provider.path}/token", body=urlencode(GRANT).encode(), source="192.0.2.99",
        headers={"Content-Type": FORM, "Authorization": basic("app_new", client.secret)},
    )  # fmt: skip
    assert elsewhere.status == 401
    assert call(provider, "token", {}, {"Authorization": basic(client.client_id, client.secret)}).status == 200


def test_no_secret_is_stored_or_recorded(provider: Provider) -> None:
    client, key = provider.machine(), provider.api_key(provider.user())
    for known in (client, key):
        call(provider, "token", {}, {"Authorization": basic(known.client_id, known.secret)})
        call(provider, "token", {}, {"Authorization": basic(known.secret, known.secret)})
        call(provider, "token", {"client_id": known.secret})
    with provider.engine.connect() as connection:
        stored = repr([connection.execute(table.select()).all() for table in metadata.sorted_tables])
    assert client.client_id in stored
    assert client.secret not in stored
    assert key.secret not in stored
