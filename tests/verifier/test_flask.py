"""The Flask adapter, with tokens of the real provider."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from flask import Flask
from flask.testing import FlaskClient

from mcp_core_verifier import Verifier
from mcp_core_verifier.flask import access_token, install
from tests.verifier.conftest import API, ELSEWHERE, Real, bearer
from tests.verifier.test_fastapi import BAD, METADATA, SHORT


@pytest.fixture(scope="module")
def client(real: Real) -> Iterator[FlaskClient]:
    app = Flask("notes")
    verifier = Verifier(real.issuer, API, scopes_supported=["notes:read"])
    protect = install(app, verifier)

    @app.get("/read/<name>")
    @protect("notes:read")
    def read(name: str) -> dict[str, str]:
        return {"name": name, "sub": access_token().subject}

    @app.post("/write")
    @protect("notes:read", "notes:write")
    def write() -> str:
        return access_token().client_id

    @app.get("/open")
    def everybody() -> str:
        try:
            return access_token().subject
        except LookupError as error:
            return str(error)

    with verifier:
        yield app.test_client()


def test_a_good_token_passes_and_is_told(client: FlaskClient, real: Real) -> None:
    answer = client.get("/read/milk", headers=bearer(real.token(scope="notes:read")))
    assert answer.json == {"name": "milk", "sub": real.key["key_id"]}
    assert client.post("/write", headers=bearer(real.token())).text == real.key["key_id"]


def test_the_token_of_one_request_is_not_that_of_the_next(client: FlaskClient, real: Real) -> None:
    client.get("/read/milk", headers=bearer(real.token()))
    assert client.get("/open", headers=bearer(real.token())).text == "this view is not protected"


def test_the_challenge_says_what_is_needed(client: FlaskClient, real: Real) -> None:
    answer = client.get("/read/milk")
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == f'Bearer scope="notes:read", {METADATA}'
    answer = client.get("/read/milk", headers=bearer(real.token(ELSEWHERE)))
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == f'Bearer {BAD}, scope="notes:read", {METADATA}'
    answer = client.post("/write", headers=bearer(real.token(scope="notes:read")))
    assert answer.status_code == 403
    assert answer.headers["WWW-Authenticate"] == f'Bearer {SHORT}, scope="notes:read notes:write", {METADATA}'
    assert answer.json == {"error": "insufficient_scope", "error_description": "The access token does not allow this."}


def test_a_token_is_only_looked_for_in_the_header(client: FlaskClient, real: Real) -> None:
    token = real.token()
    assert client.get(f"/read/milk?access_token={token}").status_code == 401
    assert client.post("/write", data={"access_token": token}).status_code == 401
    twice = [("Authorization", f"Bearer {token}"), ("Authorization", f"Bearer {token}")]
    assert client.get("/read/milk", headers=twice).status_code == 400


def test_the_metadata_is_served(client: FlaskClient, real: Real) -> None:
    for path in ("/.well-known/oauth-protected-resource/api", "/.well-known/oauth-protected-resource"):
        answer = client.get(path)
        assert answer.json["authorization_servers"] == [real.issuer]  # type: ignore[index]
        assert answer.headers.getlist("Access-Control-Allow-Origin") == ["*"]
        assert client.options(path).status_code == 204
        assert client.options(path).headers["Access-Control-Allow-Origin"] == "*"
        assert client.post(path).status_code == 405


def test_an_outage_is_no_fault_of_the_token(real: Real) -> None:
    app = Flask("notes")
    with Verifier("http://127.0.0.1:9", API) as verifier:

        @app.get("/read")
        @install(app, verifier)("notes:read")
        def never() -> str:
            return "never"

        answer = app.test_client().get("/read", headers=bearer(real.token()))
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "10")
        assert "WWW-Authenticate" not in answer.headers
