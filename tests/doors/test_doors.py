"""Both doors: the same answer to the same request, through WSGI and through our own server's."""

from __future__ import annotations

import io
from collections.abc import Iterable
from typing import Any
from wsgiref.validate import validator

import pytest
from sqlalchemy import Engine

from tests.endpoints.provider import Provider, ProviderFactory
from tests.endpoints.wsgi import FORM, Answer, basic, send

CORS_PATHS = {
    "/oauth/token": "POST", "/oauth/revoke": "POST", "/oauth/userinfo": "GET, POST", "/oauth/jwks": "GET",
    "/.well-known/openid-configuration": "GET", "/.well-known/oauth-authorization-server": "GET",
    "/.well-known/oauth-authorization-server/oauth": "GET", "/oauth/.well-known/openid-configuration": "GET",
}  # fmt: skip
NO_CORS_PATHS = {
    "/oauth/introspect": "POST", "/oauth/authorize": "GET, POST", "/oauth/logout": "GET, POST", "/oauth/authorize/x": "GET",
}  # fmt: skip
PAGES = ["/login", "/account", "/consent", "/health", "/"]
METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "PROPFIND", "get", "X"]
HSTS = "max-age=63072000; includeSubDomains"
ORIGIN = {"Origin": "https://app.example.com"}


@pytest.fixture
def both(sqlite_engine: Engine, make_provider: ProviderFactory) -> tuple[Provider, Provider]:
    return make_provider(sqlite_engine), make_provider(sqlite_engine, door="asynchronous")


def seen(answer: Answer) -> tuple[int, list[tuple[str, str]], bytes]:
    """What a caller sees of an answer, header names in lower case and in order."""
    return answer.status, sorted((name.lower(), value) for name, value in answer.headers), answer.body


def test_every_kind_of_answer_is_the_same_through_both_doors(both: tuple[Provider, Provider]) -> None:
    bare, flask = both
    client, public = bare.client(), bare.client("none")
    token = bare.tokens(bare.user(), client)["access_token"]
    wrong = {"Authorization": basic(client.client_id, "wrong")}
    right, form = client.authorization, {"Content-Type": FORM}
    calls: list[tuple[str, str, dict[str, Any]]] = [
        ("POST", "/oauth/token", {"body": b"grant_type=x", "headers": {**form, **right}}),
        ("POST", "/oauth/token", {"body": b"grant_type=client_credentials", "headers": {**form, **right}}),
        ("POST", "/oauth/token", {"body": b"grant_type=x", "headers": {**form, **wrong}}),
        ("POST", "/oauth/token", {"body": b"{}", "headers": {"Content-Type": "application/json"}}),
        ("POST", "/oauth/token", {"body": b"x" * 65_537, "headers": form}),
        ("POST", "/oauth/token", {"environ": {"CONTENT_LENGTH": "x"}}),
        ("POST", "/oauth/token", {"query": "x" * 16_385}),
        ("POST", "/oauth/revoke", {"body": f"token=x&client_id={public.client_id}".encode(), "headers": form}),
        ("POST", "/oauth/introspect", {"body": f"token={token}".encode(), "headers": {**form, **right}}),
        ("POST", "/oauth/introspect", {"body": b"token=x", "headers": {**form, **right}}),
        ("GET", "/oauth/userinfo", {}),
        ("GET", "/oauth/userinfo", {"headers": {"Authorization": "Bearer x"}}),
        ("GET", "/oauth/userinfo", {"headers": {"Authorization": f"Bearer {token}"}}),
        ("GET", "/oauth/jwks", {}),
        ("GET", "/oauth/jwks", {"headers": {"If-None-Match": bare.get("/oauth/jwks").header("ETag")}}),
        *((method, path, {}) for path in (*CORS_PATHS, "/oauth/introspect") for method in METHODS),
        *((method, path, {}) for path in NO_CORS_PATHS for method in METHODS),
    ]
    for method, path, options in calls:
        first, second = bare.send(method, path, **options), flask.send(method, path, **options)
        if first.header("Content-Type") == "application/json" or first.status in (204, 304):
            assert seen(first) == seen(second), (method, path, options)
        else:
            assert (first.status, first.all("Content-Type")) == (second.status, second.all("Content-Type"))


@pytest.mark.parametrize("path, methods", [*CORS_PATHS.items(), *NO_CORS_PATHS.items()])
def test_a_method_that_an_endpoint_has_not_is_refused_with_those_it_has(
    provider: Provider, path: str, methods: str
) -> None:
    for method in METHODS:
        known = {
            *methods.split(", "),
            *(["HEAD"] if "GET" in methods else []),
            *(["OPTIONS"] if path in CORS_PATHS else []),
        }
        answer = provider.send(method, path)
        if method in known:
            assert answer.status != 405, method
        else:
            assert (answer.status, answer.header("Allow")) == (405, methods), method
            assert answer.json == {"error": "invalid_request"} if method != "HEAD" else answer.body == b""


@pytest.mark.parametrize("path", [path for path, methods in CORS_PATHS.items() if "GET" in methods])
def test_head_answers_as_get_does_without_the_body(provider: Provider, path: str) -> None:
    got, asked = provider.send("GET", path), provider.send("HEAD", path)
    assert asked.body == b""
    assert (asked.status, sorted(asked.headers)) == (got.status, sorted(got.headers))
    assert asked.header("Content-Length") == str(len(got.body))


@pytest.mark.parametrize("path, methods", CORS_PATHS.items())
def test_scripts_of_any_origin_may_call_what_serves_them_never_with_credentials(
    provider: Provider, path: str, methods: str
) -> None:
    wish = {**ORIGIN, "Access-Control-Request-Method": methods.partition(",")[0],
            "Access-Control-Request-Headers": "authorization, content-type, mcp-protocol-version"}  # fmt: skip
    preflight = provider.send("OPTIONS", path, headers=wish)
    assert (preflight.status, preflight.body) == (204, b"")
    assert preflight.header("Access-Control-Allow-Origin") == "*"
    assert preflight.header("Access-Control-Allow-Methods") == f"{methods}, OPTIONS"
    allowed = {name.strip().lower() for name in (preflight.header("Access-Control-Allow-Headers") or "").split(",")}
    assert allowed == {"authorization", "content-type", "accept", "if-match", "mcp-protocol-version"}
    assert int(preflight.header("Access-Control-Max-Age") or 0) > 0
    asked = [provider.send(method, path, headers=ORIGIN) for method in (*methods.split(", "), "DELETE")]
    asked += [provider.send(methods.partition(",")[0], path, headers=ORIGIN, query="x" * 16_385)]
    for answer in (preflight, *asked):  # errors as well, or scripts could not read them
        assert answer.header("Access-Control-Allow-Origin") == "*", answer.status
        assert answer.all("Access-Control-Allow-Credentials") == []
    for answer in asked:
        assert answer.header("Access-Control-Expose-Headers") == "WWW-Authenticate, ETag"


@pytest.mark.parametrize("path", [*NO_CORS_PATHS, *PAGES])
def test_scripts_of_other_origins_may_not_read_anything_else(provider: Provider, path: str) -> None:
    for method in ("GET", "POST", "OPTIONS"):
        headers = {**ORIGIN, "Access-Control-Request-Method": "POST"}
        answer = provider.send(method, path, headers=headers)
        assert [name for name, _ in answer.headers if name.lower().startswith("access-control")] == []


@pytest.mark.parametrize(
    "issuer, hsts", [("https://auth.example.com/oauth", HSTS), ("http://localhost:8000/oauth", None)]
)
def test_every_answer_asks_for_tls_where_there_is_tls(
    sqlite_engine: Engine, door: str, make_provider: ProviderFactory, issuer: str, hsts: str | None
) -> None:
    provider = make_provider(sqlite_engine, door=door, issuer=issuer)
    calls = [(method, path, "") for path in (*CORS_PATHS, *NO_CORS_PATHS, *PAGES, "/unknown") for method in METHODS[:7]]
    calls += [("POST", "/oauth/token", "x" * 16_385), ("GET", "/static/site.css", ""), ("GET", "/static/unknown", "")]
    for method, path, query in calls:
        answer = provider.send(method, path, query=query, scheme="https" if hsts else "http")
        assert answer.header("Strict-Transport-Security") == hsts, (method, path)
        assert answer.header("X-Content-Type-Options") == "nosniff", (method, path)


def test_a_machine_endpoint_is_never_redirected_to_https(
    sqlite_engine: Engine, door: str, make_provider: ProviderFactory
) -> None:
    """What was sent in clear is refused or served, never sent again by itself."""
    provider = make_provider(sqlite_engine, door=door, issuer="https://auth.example.com/oauth")
    for path in CORS_PATHS:
        for method in ("GET", "POST"):
            assert provider.send(method, path, scheme="http").header("Location") is None


def test_answers_name_no_software(provider: Provider) -> None:
    for path in (*CORS_PATHS, *NO_CORS_PATHS, *PAGES, "/unknown"):
        answer = provider.get(path)
        assert answer.all("Server") == answer.all("X-Powered-By") == []


@pytest.mark.parametrize("method, path", [
    ("GET", "/.well-known/openid-configuration"), ("HEAD", "/oauth/jwks"), ("POST", "/oauth/token"),
    ("OPTIONS", "/oauth/token"), ("PUT", "/oauth/userinfo"), ("GET", "/health"), ("GET", "/unknown"),
])  # fmt: skip
def test_the_doors_keep_to_the_wsgi_rules(provider: Provider, method: str, path: str) -> None:
    """PEP 3333, as the standard library's validator reads it."""
    checked = validator(provider.app)
    environ = {"wsgi.errors": io.StringIO(), "SERVER_NAME": "localhost", "SERVER_PORT": "8000"}

    def application(made: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        return checked(made, lambda status, headers, _error=None: start_response(status, headers))

    assert send(application, method, path, environ=environ).status in (200, 204, 400, 404, 405)


def test_what_is_not_a_machine_endpoint_is_flasks(provider: Provider) -> None:
    assert provider.get("/health").text == "up\n"
    answer = provider.get("/oauth/unknown")
    assert answer.status == 404
    assert (answer.header("Content-Type") or "").startswith("text/html")
