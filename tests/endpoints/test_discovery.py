"""Metadata (RFC 8414, OpenID Connect Discovery): where it is found, and that every line of it is true."""

from __future__ import annotations

import re
from urllib.parse import urlencode, urlsplit

import pytest
from sqlalchemy import Engine

from tests.endpoints.provider import (
    REDIRECT_URI,
    VERIFIER,
    Provider,
    ProviderFactory,
    challenge_of,
    claims_of,
    header_of,
)  # fmt: skip
from tests.endpoints.wsgi import basic

AS, OP = "oauth-authorization-server", "openid-configuration"
FOUND = {
    "https://auth.example.com": [f"/.well-known/{AS}", f"/.well-known/{OP}"],
    "https://auth.example.com/oauth": [
        f"/.well-known/{AS}/oauth", f"/.well-known/{OP}/oauth", f"/oauth/.well-known/{OP}", f"/oauth/.well-known/{AS}",
        f"/.well-known/{AS}", f"/.well-known/{OP}",
    ],
    "https://auth.example.com/a/b": [
        f"/.well-known/{AS}/a/b", f"/.well-known/{OP}/a/b", f"/a/b/.well-known/{OP}", f"/a/b/.well-known/{AS}",
    ],
}  # fmt: skip
UNKNOWN = [
    "/.well-known/", "/.well-known/x", f"/.well-known/{AS}/other", f"/.well-known/{AS}/oauth/", f"/.well-known/{OP}/oauth/x",
    f"/oauth/.well-known/{AS}/", "/.well-known/oauth-protected-resource", "/.well-known/oauth-protected-resource/mcp",
    "/.well-known/webfinger", "/.well-known/security.txt", f"/.well-known/{AS.upper()}", "/oauth",
    "/oauth/", "/oauth/unknown", "/oauth/token/", "/register", "/oauth/register",
]  # fmt: skip


def provider_of(issuer: str, engine: Engine, door: str, make_provider: ProviderFactory) -> Provider:
    return make_provider(engine, bare_door=door == "bare", issuer=issuer)


@pytest.mark.parametrize("issuer", FOUND)
def test_the_same_document_is_under_every_well_known_form(
    sqlite_engine: Engine, door: str, make_provider: ProviderFactory, issuer: str
) -> None:
    provider = provider_of(issuer, sqlite_engine, door, make_provider)
    bodies = set()
    for path in FOUND[issuer]:
        answer = provider.get(path, {"MCP-Protocol-Version": "2026-07-28", "Accept": "application/json"})
        assert answer.status == 200, path
        assert answer.json["issuer"] == issuer
        assert answer.header("Access-Control-Allow-Origin") == "*"
        assert answer.header("Cache-Control") == "public, max-age=300"
        bodies.add(answer.body)
    assert len(bodies) == 1


@pytest.mark.parametrize("issuer", ["https://auth.example.com", "https://auth.example.com/oauth"])
def test_what_is_not_there_is_not_found(
    sqlite_engine: Engine, door: str, make_provider: ProviderFactory, issuer: str
) -> None:
    """Clients go on to the next form after a 404; a 5xx or a redirect to sign-in ends their search (RFC 8414 §3)."""
    provider = provider_of(issuer, sqlite_engine, door, make_provider)
    known = set(FOUND[issuer])
    for path in UNKNOWN:
        if path not in known:
            for method in ("GET", "HEAD"):
                answer = provider.send(method, path)
                assert (answer.status, answer.header("Location")) == (404, None), path


def test_the_issuer_never_comes_from_the_request(provider: Provider) -> None:
    plain = provider.get(f"/.well-known/{AS}").body
    hostile = {"X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "https", "Forwarded": "host=evil.example"}
    for host in ("evil.example", "localhost:8000", "127.0.0.1:8000", "LOCALHOST:8000"):
        assert provider.get(f"/.well-known/{AS}", hostile, host=host).body == plain


def test_every_member_has_a_value_and_all_addresses_are_the_issuers(provider: Provider) -> None:
    document = provider.get(f"/.well-known/{AS}").json
    assert None not in document.values()
    for name, value in document.items():
        if name.endswith("_endpoint") or name == "jwks_uri":
            assert value.startswith(provider.issuer + "/"), name
    needed = {
        "issuer", "authorization_endpoint", "token_endpoint", "jwks_uri", "response_types_supported",
        "subject_types_supported", "id_token_signing_alg_values_supported", "code_challenge_methods_supported",
        "scopes_supported", "token_endpoint_auth_methods_supported", "grant_types_supported", "userinfo_endpoint",
    }  # fmt: skip
    assert needed <= set(document)
    assert "registration_endpoint" not in document
    assert "client_id_metadata_document_supported" not in document


def test_every_address_answers(provider: Provider) -> None:
    document = provider.get(f"/.well-known/{AS}").json
    expected = {
        "authorization_endpoint": ("GET", 400), "token_endpoint": ("POST", 400), "jwks_uri": ("GET", 200),
        "userinfo_endpoint": ("GET", 401), "introspection_endpoint": ("POST", 400), "revocation_endpoint": ("POST", 400),
        "end_session_endpoint": ("GET", 303),
    }  # fmt: skip
    assert {name for name in document if name.endswith("_endpoint") or name == "jwks_uri"} == set(expected)
    for name, (method, status) in expected.items():
        assert provider.send(method, urlsplit(document[name]).path).status == status, name


def test_the_authentication_methods_are_the_ones_that_work(provider: Provider) -> None:
    document = provider.get(f"/.well-known/{AS}").json
    token = "unknown"
    for method in ("none", "client_secret_basic", "client_secret_post", "private_key_jwt", "client_secret_jwt"):
        client = provider.client(method) if method in ("none", "client_secret_basic", "client_secret_post") else None
        for endpoint in ("token", "revocation", "introspection"):
            named = method in document[f"{endpoint}_endpoint_auth_methods_supported"]
            if client is None:
                assert not named
                continue
            path = urlsplit(document[f"{endpoint}_endpoint"]).path
            fields = {"token": token, "grant_type": "authorization_code", "code": "x", "code_verifier": VERIFIER}
            assert (provider.post(path, fields, by=client).status != 401) is named, (method, endpoint)


def test_the_grants_are_the_ones_that_work(provider: Provider) -> None:
    named = provider.get(f"/.well-known/{AS}").json["grant_types_supported"]
    others = [
        "password",
        "implicit",
        "urn:ietf:params:oauth:grant-type:jwt-bearer",
        "urn:ietf:params:oauth:grant-type:token-exchange",
    ]
    client = provider.machine()
    for grant_type in (*named, *others):
        answer = provider.token(client, {"grant_type": grant_type})
        refused = answer.status == 400 and answer.json["error"] == "unsupported_grant_type"
        assert refused is (grant_type not in named), grant_type


def test_the_algorithms_are_the_ones_that_sign(
    sqlite_engine: Engine, door: str, make_provider: ProviderFactory
) -> None:
    provider = make_provider(sqlite_engine, bare_door=door == "bare", signing_algorithms="RS256 ES256")
    document = provider.get(f"/.well-known/{OP}").json
    assert document["id_token_signing_alg_values_supported"] == ["RS256", "ES256"]
    user = provider.user()
    for algorithm in document["id_token_signing_alg_values_supported"]:
        tokens = provider.tokens(user, provider.client(id_token_signed_response_alg=algorithm))
        assert header_of(tokens["id_token"])["alg"] == algorithm


def authorize(provider: Provider, client_id: str, **changes: str) -> str:
    """Where the authorization endpoint sends a request that cannot succeed without a page."""
    request = {
        "response_type": "code", "client_id": client_id, "redirect_uri": REDIRECT_URI, "scope": "openid", "prompt": "none",
        "code_challenge": challenge_of(VERIFIER), "code_challenge_method": "S256", "state": "s", **changes,
    }  # fmt: skip
    answer = provider.get(f"{provider.path}/authorize", query=urlencode(request))
    assert answer.status == 303
    return answer.location


def test_what_is_said_of_authorization_requests_is_true(provider: Provider) -> None:
    document, client = provider.get(f"/.well-known/{AS}").json, provider.client("none")
    assert document["authorization_response_iss_parameter_supported"] is True
    assert document["code_challenge_methods_supported"] == ["S256"]
    assert document["response_types_supported"] == ["code"]
    assert document["response_modes_supported"] == ["query"]
    refused = {
        "login_required": {},
        "invalid_request": {"code_challenge_method": "plain"},
        "unsupported_response_type": {"response_type": "token"},
        "request_not_supported": {"request": "e30.e30."},
        "request_uri_not_supported": {"request_uri": "https://app.example.com/request"},
    }
    for error, changes in refused.items():
        location = authorize(provider, client.client_id, **changes)
        assert f"error={error}&" in location
        assert location.endswith("&iss=http%3A%2F%2Flocalhost%3A8000%2Foauth")
    assert "error=invalid_request&" in authorize(provider, client.client_id, response_mode="fragment")
    assert document["request_parameter_supported"] is document["request_uri_parameter_supported"] is False
    assert document["claims_parameter_supported"] is False


def test_the_scopes_and_claims_are_the_ones_that_can_be_had(provider: Provider) -> None:
    """No scope of an API is named: some clients ask for everything that is."""
    provider.resource()
    document, client = provider.get(f"/.well-known/{OP}").json, provider.client()
    assert document["scopes_supported"] == ["openid", "profile", "email", "offline_access"]
    user = provider.user(locale="en", display_name="Ada")
    _cookie, session = provider.session(user)
    grant = provider.grant(user, client, document["scopes_supported"], session=session)
    tokens = provider.redeem(client, provider.code(grant, nonce="n")).json
    assert tokens["scope"].split() == document["scopes_supported"]
    had = set(claims_of(tokens["id_token"])) | set(provider.userinfo(tokens["access_token"]).json)
    assert had == set(document["claims_supported"])
    assert claims_of(tokens["id_token"])["acr"] in document["acr_values_supported"]


def test_ids_and_secrets_need_no_escaping(provider: Provider) -> None:
    """Some clients escape what Basic carries and some do not: there must be nothing to escape."""
    for client in (provider.client(), provider.machine(), provider.api_key(provider.user())):
        assert re.fullmatch(r"[A-Za-z0-9._~-]+", client.client_id)
        assert re.fullmatch(r"[A-Za-z0-9._~-]+", client.secret)
        assert basic(client.client_id, client.secret)


def test_the_document_can_be_kept_and_asked_about(provider: Provider) -> None:
    first = provider.get(f"/.well-known/{AS}")
    etag = first.header("ETag") or ""
    again = provider.get(f"/.well-known/{AS}", {"If-None-Match": etag})
    assert (again.status, again.body) == (304, b"")
    assert provider.get(f"/.well-known/{AS}", {"If-None-Match": '"other"'}).status == 200
