"""What an error says: an OAuth code, a fixed sentence in the permitted characters, and nothing of the request."""

from __future__ import annotations

import re
from typing import Any

import pytest
from sqlalchemy import Engine, event, text

from database.transaction import Transaction
from provider.doors.bare import BareDoor
from provider.doors.doorway import Doorway
from provider.doors.endpoint import Endpoint
from provider.protocol.errors import OAuthError
from provider.protocol.messages import ProtocolRequest, ProtocolResponse
from tests.endpoints.provider import API, REDIRECT_URI, VERIFIER, Provider
from tests.endpoints.wsgi import FORM, Answer, basic, encoded, send

DESCRIPTION = re.compile(r"[\x20-\x21\x23-\x5B\x5D-\x7E]+")  # RFC 6749 §5.2
CODES = {
    "invalid_request", "invalid_client", "invalid_grant", "unauthorized_client", "unsupported_grant_type", "invalid_scope",
    "invalid_target", "invalid_token", "insufficient_scope", "temporarily_unavailable", "server_error",
}  # fmt: skip
MARK = "Zx9<script>\u00e4'\u2028"  # what must never come back
WIRE = MARK.encode().decode("latin-1")  # the same bytes where WSGI has text
REASONS = {200: "OK", 400: "Bad Request", 401: "Unauthorized", 405: "Method Not Allowed", 500: "Internal Server Error"}


def refused(provider: Provider) -> dict[str, Answer]:
    """Every way that we know of to be refused by a machine endpoint, with a mark wherever input goes."""
    client, public, machine = provider.client(), provider.client("none"), provider.machine(scope=("notes:read",))
    provider.resource()
    user = provider.user()
    tokens = provider.tokens(user, client, ("profile",))
    code = provider.code(provider.grant(user, client))
    grant = {"grant_type": "client_credentials"}
    raw = {"Content-Type": FORM, **machine.authorization}
    path = f"{provider.path}/token"
    return {
        "no body": provider.send("POST", path, headers=raw),
        "JSON": provider.send("POST", path, body=MARK.encode(), headers={"Content-Type": "application/json"}),
        "undecodable": provider.send("POST", path, body=MARK.encode(), headers=raw),
        "repeated": provider.post(path, [(MARK, MARK), (MARK, MARK)], by=machine),
        "grant type": provider.token(machine, {"grant_type": MARK}),
        "unauthorized": provider.token(machine, {"grant_type": "authorization_code", "code": MARK}),
        "client id": provider.post(path, {**grant, "client_id": MARK}),
        "secret": provider.post(path, grant, {"Authorization": basic(MARK, MARK)}),
        "header": provider.post(path, grant, {"Authorization": WIRE}),
        "two methods": provider.post(path, {**grant, "client_secret": MARK}, machine.authorization),
        "other client": provider.post(path, {**grant, "client_id": MARK}, machine.authorization),
        "scope": provider.token(machine, {**grant, "scope": MARK}),
        "unknown scope": provider.token(machine, {**grant, "scope": "Zx9"}),
        "resource": provider.token(machine, {**grant, "resource": MARK}),
        "unknown resource": provider.token(machine, {**grant, "resource": "https://Zx9.example"}),
        "two resources": provider.token(machine, [*grant.items(), ("resource", API), ("resource", provider.issuer)]),
        "code missing": provider.token(client, {"grant_type": "authorization_code"}),
        "code": provider.redeem(client, MARK),
        "redirect": provider.redeem(client, code, redirect_uri=MARK),
        "verifier": provider.redeem(client, code, code_verifier=MARK),
        "refresh missing": provider.token(client, {"grant_type": "refresh_token"}),
        "refresh": provider.refresh(client, MARK),
        "refresh scope": provider.refresh(client, tokens["refresh_token"], scope="Zx9"),
        "introspection of nothing": provider.post(f"{provider.path}/introspect", {"token_type_hint": MARK}, by=client),
        "introspection by a public client": provider.introspect(public, MARK),
        "revocation of nothing": provider.post(f"{provider.path}/revoke", {"token_type_hint": MARK}, by=client),
        "userinfo": provider.userinfo("Zx9"),
        "userinfo without a token": provider.get(f"{provider.path}/userinfo", query=f"access_token={WIRE}"),
        "userinfo without openid": provider.userinfo(tokens["access_token"]),
        "method": provider.send("PUT", path, body=MARK.encode()),
        "length": provider.send("POST", path, environ={"CONTENT_LENGTH": WIRE}),
        "large body": provider.send("POST", path, body=MARK.encode() * 9000, headers=raw),
        "large query": provider.send("POST", path, query="Zx9" * 9000),
        "throttled": [provider.post(path, grant, {"Authorization": basic(MARK, "x")}) for _ in range(25)][-1],
    }  # fmt: skip


def test_every_refusal_is_json_with_a_code_and_a_fixed_sentence(provider: Provider) -> None:
    for case, answer in refused(provider).items():
        assert 400 <= answer.status < 500, case
        assert set(answer.json) <= {"error", "error_description"}, case
        assert answer.json["error"] in CODES, case
        assert DESCRIPTION.fullmatch(answer.json.get("error_description", "x")), case
        assert answer.header("Cache-Control") == "no-store", case
        assert answer.header("X-Content-Type-Options") == "nosniff", case
        assert "Zx9" not in answer.text + repr(answer.headers), case
        assert "Zx9" not in answer.text.encode().decode("unicode_escape"), case
        assert answer.header("Content-Length") in (None, str(len(answer.body))), case
        challenged = answer.header("WWW-Authenticate") is not None
        assert challenged is (answer.status in (401, 403)), case


def test_a_refusal_is_told_apart_as_clients_need_it(provider: Provider) -> None:
    """``invalid_client`` makes clients forget their registration and ``invalid_grant`` their tokens: never by mistake."""
    expected = {
        "no body": (400, "invalid_request"), "grant type": (400, "unsupported_grant_type"),
        "secret": (401, "invalid_client"), "unauthorized": (400, "unauthorized_client"),
        "code": (400, "invalid_grant"), "redirect": (400, "invalid_grant"),
        "verifier": (400, "invalid_grant"), "refresh": (400, "invalid_grant"), "scope": (400, "invalid_scope"),
        "resource": (400, "invalid_target"), "repeated": (400, "invalid_request"), "large body": (413, "invalid_request"),
        "throttled": (429, "temporarily_unavailable"), "method": (405, "invalid_request"),
        "code missing": (400, "invalid_request"),
    }  # fmt: skip
    answers = refused(provider)
    assert {case: answers[case].error for case in expected} == expected


def test_successes_are_not_kept_either(provider: Provider) -> None:
    client = provider.client()
    tokens = provider.tokens(provider.user(), client)
    for answer in (
        provider.refresh(client, tokens["refresh_token"]),
        provider.introspect(client, tokens["access_token"]),
        provider.userinfo(tokens["access_token"]),
        provider.revoke(client, tokens["access_token"]),
    ):
        assert (answer.status, answer.header("Cache-Control"), answer.header("Pragma")) == (200, "no-store", "no-cache")


# What an endpoint does wrong, at the doors themselves


def door(engine: Engine, handle: Any, methods: tuple[str, ...] = ("GET", "POST")) -> BareDoor:
    def behind(_environ: Any, _start_response: Any) -> Any:
        raise AssertionError("the bare door has handed it on")

    return BareDoor(Doorway(engine, is_https=True), [Endpoint("/x", methods, handle, bare=True)], behind)


def test_a_fault_of_ours_says_only_where_to_look(sqlite_engine: Engine, caplog: pytest.LogCaptureFixture) -> None:
    def fail(request: ProtocolRequest, tx: Transaction) -> ProtocolResponse:
        raise RuntimeError("the secret reason")

    answer = send(door(sqlite_engine, fail), "GET", "/x")
    assert answer.error == (500, "server_error")
    reference = answer.json["error_description"].removeprefix("Reference ")
    assert re.fullmatch(r"[0-9a-f]{16}", reference)
    assert "secret reason" not in answer.text
    assert answer.header("Cache-Control") == "no-store"
    assert answer.header("Strict-Transport-Security")
    assert reference in caplog.text  # what the operator finds it by
    assert "secret reason" in caplog.text


def test_a_status_has_its_reason(sqlite_engine: Engine) -> None:
    for status, reason in REASONS.items():
        application = door(sqlite_engine, lambda _request, _tx, status=status: ProtocolResponse.json({}, status))
        assert send(application, "GET", "/x").reason == reason


def test_a_refusal_is_committed_and_a_fault_is_not(sqlite_engine: Engine) -> None:
    """What a refused request has counted or recorded stays: failed guesses, the end of a stolen family."""
    with sqlite_engine.begin() as connection:
        connection.execute(text("CREATE TABLE noted (status INTEGER)"))

    def note(status: int) -> Any:
        def handle(_request: ProtocolRequest, tx: Transaction) -> ProtocolResponse:
            tx.execute(text(f"INSERT INTO noted VALUES ({status})"))
            if status == 400:
                raise OAuthError.invalid_grant("No.")
            if status == 501:
                raise RuntimeError
            return ProtocolResponse.json({}, status)

        return handle

    for status in (200, 400, 404, 500, 501, 503):
        assert send(door(sqlite_engine, note(status)), "POST", "/x").status in (status, 500)
    with sqlite_engine.connect() as connection:
        assert connection.execute(text("SELECT status FROM noted ORDER BY 1")).scalars().all() == [200, 400, 404]


def test_a_request_that_needs_no_database_opens_no_connection(provider: Provider) -> None:
    opened: list[object] = []
    event.listen(provider.engine, "checkout", lambda *_all: opened.append(1))
    provider.get("/.well-known/openid-configuration")
    provider.send("OPTIONS", f"{provider.path}/token")
    provider.send("PUT", f"{provider.path}/token")
    provider.get(f"{provider.path}/jwks")  # the keys are known already
    assert opened == []


def test_the_redirect_uri_of_a_code_is_in_no_answer(provider: Provider) -> None:
    client = provider.client()
    answer = provider.redeem(client, provider.code(provider.grant(provider.user(), client)), code_verifier=VERIFIER)
    assert REDIRECT_URI not in answer.text
    assert encoded({"u": REDIRECT_URI}).decode()[2:] not in answer.text
