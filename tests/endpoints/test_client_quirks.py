"""What known MCP clients really send, and must survive: their registrations, documents and requests as recorded."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import RSAKey
from sqlalchemy import Engine

from tests.endpoints.browsing import Browser, code_of, fields_of, page_of
from tests.endpoints.documents import Application, application, document_server
from tests.endpoints.provider import API, VERIFIER, KnownClient, Provider, ProviderFactory
from tests.endpoints.registering import has_null, register, stored
from tests.endpoints.wsgi import basic

__all__ = ["application", "document_server"]

BOTH = ["authorization_code", "refresh_token"]
CLAUDE_AI = "https://claude.ai/api/mcp/auth_callback"


@dataclass(frozen=True)
class Quirk:
    """``said`` is registered; ``answered`` must come back. ``asked`` is the authorization request beside what all send."""

    name: str
    said: dict[str, Any]
    answered: dict[str, Any]
    redirect_uri: str
    asked: dict[str, Any] = field(default_factory=dict)
    granted: str = "notes:read notes:write"


QUIRKS = [
    Quirk(
        "the Python SDK says no token_endpoint_auth_method, and asks for consent without openid",
        {
            "redirect_uris": ["http://localhost:3030/callback"],
            "grant_types": BOTH,
            "response_types": ["code"],
            "application_type": "native",
            "scope": "notes:read",
            "client_name": "mcp-client",
        },
        {"token_endpoint_auth_method": "none", "application_type": "native", "scope": "notes:read"},
        "http://localhost:3030/callback",
        {"scope": "notes:read notes:write offline_access", "prompt": "consent", "resource": API},
        "notes:read notes:write offline_access",
    ),
    Quirk(
        "FastMCP says none and takes another port each time",
        {
            "client_name": "FastMCP Client",
            "redirect_uris": ["http://localhost:49152/callback"],
            "grant_types": BOTH,
            "response_types": ["code"],
            "token_endpoint_auth_method": "none",
        },
        {"token_endpoint_auth_method": "none"},
        "http://localhost:50000/callback",
        {"resource": API},
    ),
    Quirk(
        "the TypeScript SDK for a web application without a secret",
        {
            "client_name": "Inspector",
            "redirect_uris": ["https://inspector.example/oauth/callback"],
            "grant_types": BOTH,
            "response_types": ["code"],
            "token_endpoint_auth_method": "none",
            "client_uri": "https://github.com/modelcontextprotocol/inspector",
        },
        {"token_endpoint_auth_method": "none", "application_type": "web"},
        "https://inspector.example/oauth/callback",
        {"resource": API},
    ),
    Quirk(
        "claude.ai registers a confidential client",
        {
            "client_name": "Claude",
            "redirect_uris": [CLAUDE_AI],
            "grant_types": BOTH,
            "response_types": ["code"],
            "token_endpoint_auth_method": "client_secret_post",
            "scope": "notes:read notes:write",
        },
        {"token_endpoint_auth_method": "client_secret_post"},
        CLAUDE_AI,
        {"resource": API},
    ),
    Quirk(
        "M365 Copilot wants a secret and says no method",
        {"client_name": "Copilot", "redirect_uris": ["https://teams.microsoft.com/api/platform/v1.0/oAuthRedirect"]},
        {"token_endpoint_auth_method": "client_secret_basic", "client_secret_expires_at": 0},
        "https://teams.microsoft.com/api/platform/v1.0/oAuthRedirect",
        {"resource": API, "scope": "notes:read"},
        "notes:read",
    ),
    Quirk(
        "VS Code mixes https and loopback redirects",
        {
            "client_name": "Visual Studio Code",
            "client_uri": "https://code.visualstudio.com",
            "redirect_uris": [
                *("https://insiders.vscode.dev/redirect", "https://vscode.dev/redirect"),
                *("http://127.0.0.1/", "http://127.0.0.1:33418/"),
            ],
            "grant_types": [*BOTH, "urn:ietf:params:oauth:grant-type:device_code"],
            "response_types": ["code"],
            "token_endpoint_auth_method": "none",
            "application_type": "native",
        },
        {"token_endpoint_auth_method": "none"},
        "http://127.0.0.1:51234/",
        {"resource": API},
    ),
    Quirk(
        "Codex asks for every scope that it finds",
        {
            "client_name": "Codex",
            "redirect_uris": ["http://127.0.0.1:1455/auth/callback"],
            "grant_types": BOTH,
            "token_endpoint_auth_method": "none",
            "response_types": ["code"],
        },
        {"token_endpoint_auth_method": "none"},
        "http://127.0.0.1:1455/auth/callback",
        {"scope": "openid profile email offline_access notes:read notes:write calendars:all", "resource": API},
        "openid profile email offline_access notes:read notes:write",
    ),
    Quirk(
        "others send a resource, nulls and things from elsewhere with the registration",
        {
            "client_name": "Turnstone",
            "redirect_uris": ["https://turnstone.example/cb"],
            "grant_types": [*BOTH, "implicit"],
            "response_types": ["code", "token"],
            "token_endpoint_auth_method": "none",
            "resource": API,
            "scope": None,
            "logo_uri": None,
            "contacts": None,
            "jwks": None,
            "software_statement": None,
            "client_secret": None,
        },
        {"token_endpoint_auth_method": "none", "response_types": ["code"]},
        "https://turnstone.example/cb",
        {"resource": API},
    ),
    Quirk(
        "gemini names no resource, and its scope only where it registers",
        {
            "client_name": "Gemini CLI",
            "redirect_uris": ["http://localhost:7777/oauth/callback"],
            "grant_types": BOTH,
            "response_types": ["code"],
            "token_endpoint_auth_method": "none",
            "scope": "notes:read",
        },
        {"token_endpoint_auth_method": "none"},
        "http://localhost:7777/oauth/callback",
        {"scope": None},
        "notes:read",
    ),
    Quirk(
        "the scope of a registration is no ceiling for a later step up",
        {
            "client_name": "Stepper",
            "redirect_uris": ["http://localhost/cb"],
            "token_endpoint_auth_method": "none",
            "scope": "notes:read",
        },
        {"scope": "notes:read"},
        "http://localhost:9/cb",
        {"scope": "notes:read notes:write", "resource": API},
    ),
]


@pytest.fixture
def provider(sqlite_engine: Engine, make_provider: ProviderFactory) -> Provider:
    made = make_provider(sqlite_engine)
    made.resource()
    return made


def allowed(browser: Browser, client: KnownClient, redirect_uri: str, **asked: Any) -> str:
    """The code of a request that sends no scope unless it is asked for; every request goes out twice, as some do."""
    changes = {"scope": None, **asked, "client_id": client.client_id, "redirect_uri": redirect_uri}
    page_of(browser.authorize(client, **changes), "/consent")
    return code_of(browser.allow(page_of(browser.authorize(client, **changes), "/consent")), redirect_uri)


@pytest.mark.parametrize("quirk", QUIRKS, ids=lambda quirk: quirk.name)
def test_a_client_that_registers_gets_what_it_needs(provider: Provider, quirk: Quirk) -> None:
    answer = register(provider, quirk.said)
    assert answer.status == 201, answer.body
    made = answer.json
    assert not has_null(made)
    assert made["redirect_uris"] == quirk.said["redirect_uris"]
    assert made["grant_types"] == BOTH
    assert {name: made.get(name) for name in quirk.answered} == quirk.answered
    assert ("client_secret" in made) == made["token_endpoint_auth_method"].startswith("client_secret")
    found = stored(provider, made["client_id"])
    assert found is not None
    client = KnownClient(found, made.get("client_secret", ""))
    browser = Browser(provider)
    browser.sign_in(provider.user())
    code = allowed(browser, client, quirk.redirect_uri, **quirk.asked)
    redeemed = provider.redeem(client, code, redirect_uri=quirk.redirect_uri, resource=quirk.asked.get("resource"))
    assert redeemed.status == 200, redeemed.body
    tokens = redeemed.json
    assert (tokens["token_type"], tokens.get("scope", quirk.granted)) == ("Bearer", quirk.granted)
    assert not has_null(tokens)
    if "offline_access" in quirk.granted:
        refreshed = provider.refresh(client, tokens["refresh_token"], resource=API)
        assert refreshed.status == 200, refreshed.body


DOCUMENTS = [
    (
        "Claude Code",
        {
            "client_name": "Claude Code",
            "client_uri": "https://claude.ai",
            "redirect_uris": ["http://localhost/callback", "http://127.0.0.1/callback"],
            "grant_types": BOTH,
            "response_types": ["code"],
            "token_endpoint_auth_method": "none",
        },
        "http://localhost:54212/callback",
    ),
    (
        "claude.ai",
        {
            "client_name": "Claude",
            "redirect_uris": [CLAUDE_AI, "https://claude.com/api/mcp/auth_callback"],
            "grant_types": BOTH,
            "token_endpoint_auth_method": "none",
        },
        "https://claude.com/api/mcp/auth_callback",
    ),
    (
        "claude.ai with a grant for other issuers' assertions",
        {
            "client_name": "Claude",
            "client_uri": "https://claude.ai",
            "redirect_uris": [CLAUDE_AI],
            "grant_types": [*BOTH, "urn:ietf:params:oauth:grant-type:jwt-bearer"],
            "response_types": ["code"],
            "token_endpoint_auth_method": "none",
        },
        CLAUDE_AI,
    ),
    (
        "Codex",
        {
            "client_name": "Codex",
            "redirect_uris": ["http://127.0.0.1/callback", "http://localhost/callback"],
            "grant_types": BOTH,
            "token_endpoint_auth_method": "none",
        },
        "http://localhost:1455/callback",
    ),
    (
        "VS Code",
        {
            "client_name": "Visual Studio Code",
            "redirect_uris": ["http://127.0.0.1:33418/", "http://127.0.0.1/", "https://vscode.dev/redirect"],
            "grant_types": [*BOTH, "urn:ietf:params:oauth:grant-type:device_code"],
            "token_endpoint_auth_method": "none",
            "application_type": "native",
        },
        "http://127.0.0.1:40001/",
    ),
    (
        "a document without method and grants",
        {"client_name": "Zed", "redirect_uris": ["http://127.0.0.1/callback"]},
        "http://127.0.0.1:6001/callback",
    ),
]


@pytest.mark.parametrize("name, document, redirect_uri", DOCUMENTS, ids=[name for name, _, _ in DOCUMENTS])
def test_a_client_with_a_document_gets_what_it_needs(
    application: Application, name: str, document: dict[str, Any], redirect_uri: str
) -> None:
    application.provider.resource()
    application.browser.sign_in(application.provider.user())
    application.say(**document)
    asked = {"client_id": application.url, "redirect_uri": redirect_uri, "scope": None, "resource": API}
    page = page_of(application.authorize(**asked), "/consent")
    code = code_of(application.browser.allow(page), redirect_uri)
    redeemed = application.provider.redeem(application.known, code, redirect_uri=redirect_uri, resource=API)
    assert redeemed.status == 200, (name, redeemed.body)


CHATGPT = "https://chatgpt.com/connector/oauth/kMDc0ZjA2"
CHATGPT_FOR_ALL = "https://chatgpt.com/connector_platform_oauth_redirect"


@pytest.mark.parametrize("redirect_uri, has_plural", [(CHATGPT, True), (CHATGPT, False), (CHATGPT_FOR_ALL, True)])
def test_chatgpt_signs_or_as_its_document_offers_proves_nothing(
    application: Application, redirect_uri: str, has_plural: bool
) -> None:
    app, provider = application, application.provider
    provider.resource()
    app.browser.sign_in(provider.user())
    key = RSAKey.generate_key(2048, {"kid": "k1", "use": "sig", "alg": "RS256"})
    jwks_uri = app.server.say_json("/oauth/jwks.json", {"keys": [key.as_dict(private=False)]})
    app.say(
        client_name="ChatGPT",
        redirect_uris=[redirect_uri],
        grant_types=BOTH,
        response_types=["code"],
        token_endpoint_auth_method="private_key_jwt",
        token_endpoint_auth_signing_alg="RS256",
        jwks_uri=jwks_uri,
        token_endpoint_auth_methods_supported=["none", "private_key_jwt"] if has_plural else ...,
    )
    page = page_of(app.authorize(redirect_uri=redirect_uri, scope=None, resource=API), "/consent")
    code = code_of(app.browser.allow(page), redirect_uri)
    now = int(provider.clock.now.timestamp())
    claims = {
        "iss": app.url,
        "sub": app.url,
        "aud": f"{provider.issuer}/token",
        "exp": now + 120,
        "iat": now,
        "jti": "j1",
    }
    fields = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": redirect_uri,
        "code_verifier": VERIFIER,
        "resource": API,
        "client_id": app.url,
        "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        "client_assertion": jwt.encode({"alg": "RS256", "kid": "k1"}, claims, key),
    }
    redeemed = provider.post(f"{provider.path}/token", fields)
    assert redeemed.status == 200, redeemed.body
    second = code_of(app.authorize(redirect_uri=redirect_uri, scope=None, resource=API), redirect_uri)
    unsigned = {name: value for name, value in fields.items() if not name.startswith("client_assertion")} | {
        "code": second
    }
    answer = provider.post(f"{provider.path}/token", unsigned)
    assert answer.status == (200 if has_plural else 401), answer.body


def test_an_id_or_secret_needs_no_escaping_in_basic(provider: Provider) -> None:
    """TypeScript sends them raw and Python percent-encoded: both must mean the same."""
    made = register(provider, {"client_name": "App", "redirect_uris": [CLAUDE_AI]}).json
    assert (made["client_id"] + made["client_secret"]).replace("_", "").isalnum()
    headers = {"Authorization": basic(made["client_id"], made["client_secret"])}
    fields = {"grant_type": "refresh_token", "refresh_token": "x"}
    assert provider.post(f"{provider.path}/token", fields, headers).error == (400, "invalid_grant")


def test_what_an_application_reads_has_its_state_and_issuer_once(provider: Provider) -> None:
    made = register(provider, {"client_name": "App", "redirect_uris": [CLAUDE_AI]}).json
    found = stored(provider, made["client_id"])
    assert found is not None
    browser = Browser(provider)
    browser.sign_in(provider.user())
    page = page_of(browser.authorize(KnownClient(found, ""), redirect_uri=CLAUDE_AI), "/consent")
    fields = fields_of(browser.allow(page), CLAUDE_AI)
    assert fields["iss"] == provider.issuer
