"""A furnished provider behind both doors: one of everything that a request can be about, and how to send it one."""

from __future__ import annotations

import base64
import dataclasses
import datetime
import hashlib
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from sqlalchemy import Engine

from database.transaction import Transaction
from provider import endpoints
from provider.accounts.users import User
from provider.application import asynchronous_door_of, create_app, services_of
from provider.protocol.client import Client, ClientDetails
from provider.protocol.messages import Origin
from provider.protocol.scopes import ACCOUNT_SCOPES
from provider.security.crypto import Keyring
from provider.services import Services
from provider.settings import Settings
from provider.tokens.authorization import Authorization
from tests.compiled_once import share_templates
from tests.endpoints import asgi
from tests.granting import add_grant
from tests.signing import client_key, jwks

ISSUER = "http://localhost:8000/oauth"
OWN_ORIGIN = "http://localhost:8000"
API = "https://api.example/"
CALLBACK = "https://app.example/callback?kept=1"
NATIVE_CALLBACK = "http://127.0.0.1/callback"
AFTER_LOGOUT = "https://app.example/bye"
PASSWORD = "violet kettle 71 harbour paints"
VERIFIER = "a-code-verifier-of-forty-three-characters-or-more"
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()
FORM = "application/x-www-form-urlencoded"
NOW = datetime.datetime(2026, 7, 1, 12, 0, tzinfo=datetime.UTC)
SIGNERS_KEY = client_key(name="fuzz")
IN_THE_HOUR_BEFORE = NOW - datetime.timedelta(minutes=5)


@dataclass(frozen=True)
class Sent:
    """One HTTP request as a server hands it on: ``path`` is decoded already, header values are Latin-1."""

    method: str = "GET"
    path: str = "/"
    query: str = ""
    headers: Sequence[tuple[str, str]] = ()
    body: bytes = b""
    length: str | None = ""  # as declared; "" the true one, None not at all

    def environ(self) -> dict[str, Any]:
        environ: dict[str, Any] = {
            "REQUEST_METHOD": self.method,
            "SCRIPT_NAME": "",
            "PATH_INFO": self.path.encode().decode("latin-1"),
            "QUERY_STRING": self.query,
            "SERVER_NAME": "localhost",
            "SERVER_PORT": "8000",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "HTTP_HOST": "localhost:8000",
            "REMOTE_ADDR": "192.0.2.10",
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": "http",
            "wsgi.input": io.BytesIO(self.body),
            "wsgi.input_terminated": True,  # as gunicorn says it: reading on ends at the body's end
            "wsgi.errors": io.StringIO(),
            "wsgi.multithread": True,
            "wsgi.multiprocess": False,
            "wsgi.run_once": False,
        }
        for name, value in self.headers:
            key = name.upper().replace("-", "_")
            environ[key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{key}"] = value
        if self.declared_length:
            environ["CONTENT_LENGTH"] = self.declared_length
        return environ

    @property
    def headers_that_count(self) -> dict[str, str]:
        """Of a name that is there twice the last one, as in an environment."""
        return {name.lower(): value for name, value in self.headers}

    @property
    def declared_length(self) -> str | None:
        return (str(len(self.body)) if self.length == "" and self.body else self.length) or None


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Sequence[tuple[str, str]]
    body: bytes

    def all(self, name: str) -> list[str]:
        return [value for known, value in self.headers if known.lower() == name.lower()]

    def get(self, name: str) -> str:
        return ", ".join(self.all(name))


@dataclass
class World:
    """``tokens`` are real ones, by what they are."""

    engine: Engine
    keyring: Keyring
    clock: Callable[[], datetime.datetime] = lambda: NOW
    tokens: dict[str, str] = field(default_factory=dict)
    clients: dict[str, Client] = field(default_factory=dict)
    secrets: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        settings = Settings(issuer=ISSUER, rate_limits=False, argon2_time_cost=1)
        self.app = create_app(settings, self.engine, self.keyring, clock=self.clock)
        share_templates(self.app)
        self.services: Services = services_of(self.app)
        self.origin = Origin("192.0.2.10", "fuzz", "request", IN_THE_HOUR_BEFORE)
        with Transaction(self.engine) as tx:
            self._furnish(tx)

    def _furnish(self, tx: Transaction) -> None:
        services, origin = self.services, self.origin
        services.resources.add(tx, origin, uri=API, name="An API", scope=("read", "write"), token_alg="ES256")
        self.user: User = services.users.create(
            tx,
            origin,
            username="alice",
            email="alice@example.com",
            password_hash=services.passwords.hash(PASSWORD),
            is_admin=True,
            is_verified=True,
        )
        both = ("authorization_code", "refresh_token")
        uris = {"redirect_uris": (CALLBACK,), "post_logout_redirect_uris": (AFTER_LOGOUT,)}
        self._client(tx, "web", "client_secret_basic", grant_types=both, is_trusted=True, **uris)
        self._client(tx, "asks", "client_secret_post", grant_types=both, **uris)
        self._client(
            tx, "native", "none", grant_types=both, application_type="native", redirect_uris=(NATIVE_CALLBACK,)
        )
        self._client(tx, "stranger", "none", grant_types=both, redirect_uris=(CALLBACK,), is_vouched=False)
        self._client(tx, "machine", "client_secret_basic", grant_types=("client_credentials",), resource=API)
        details = ClientDetails(jwks=jwks(SIGNERS_KEY))
        signs = (*both, "client_credentials")
        self._client(tx, "signer", "private_key_jwt", grant_types=signs, is_trusted=True, details=details, **uris)
        self.tokens["session"] = services.sessions.start(tx, origin, self.user.id, ("pwd",))
        self.session_id = services.sessions.list(tx, IN_THE_HOUR_BEFORE, self.user.id)[0].id
        said = {"access_key_id": f"AKIA{'A' * 16}", "secret_access_key": "s" * 40}
        self.cloud_account = services.cloud_accounts.connect(
            tx, origin, self.user.id, label="work", provider="aws", mode="secret", said=said
        ).id
        trusted = {"role_arn": "arn:aws:iam::123456789012:role/mcp-core"}
        self.keyless_account = services.cloud_accounts.connect(
            tx, origin, self.user.id, label="home", provider="aws", mode="keyless", said=trusted
        ).id
        own = dataclasses.replace(self._authorization(tx, ISSUER), scope=ACCOUNT_SCOPES)
        self.tokens["account"] = services.token_issuer.issue_access_token(tx, own, NOW).token
        for name, resource in (("access", ISSUER), ("api", API)):
            proved = self._authorization(tx, resource)
            issued = services.token_issuer.issue_access_token(tx, proved, NOW)
            self.tokens[name] = issued.token
            self.tokens["id"] = services.token_issuer.id_token(tx, proved, NOW, access_token=issued.token)

    def _client(self, tx: Transaction, name: str, method: str, **more: Any) -> None:
        made, secret = self.services.clients.register(
            tx, self.origin, kind="application", name=f"The {name} app", token_endpoint_auth_method=method, **more
        )
        self.clients[name], self.secrets[name] = made, secret or ""

    def _authorization(self, tx: Transaction, resource: str) -> Authorization:
        client = self.clients["web"]
        return Authorization(
            client=client,
            grant_type="authorization_code",
            scope=("openid", "profile", "read"),
            resource=self.services.resources.get(tx, resource),
            user_id=self.user.id,
            grant_id=self.grant(tx, "web", resource),
            session_id=self.session_id,
            authenticated_at=IN_THE_HOUR_BEFORE,
            amr=("pwd",),
            acr="urn:mcp-core:password",
        )

    def grant(self, tx: Transaction, client: str, resource: str = ISSUER) -> str:
        return add_grant(
            tx,
            NOW,
            user_id=self.user.id,
            client_row_id=self.clients[client].id,
            session_id=self.session_id,
            consent_id=None,
            scope=("openid", "profile", "offline_access"),
            resource_uri=resource,
            authenticated_at=IN_THE_HOUR_BEFORE,
            amr=("pwd",),
            acr="urn:mcp-core:password",
        )

    def fresh_code(self, client: str = "web") -> str:
        with Transaction(self.engine) as tx:
            return self.services.codes.issue(
                tx,
                NOW,
                grant_id=self.grant(tx, client),
                redirect_uri=CALLBACK,
                code_challenge=CHALLENGE,
                nonce="n",
            )

    def fresh_refresh_token(self, client: str = "web") -> str:
        with Transaction(self.engine) as tx:
            return self.services.refresh_tokens.start(tx, NOW, self.grant(tx, client))

    def basic(self, name: str) -> tuple[str, str]:
        pair = f"{self.clients[name].client_id}:{self.secrets[name]}".encode()
        return "Authorization", f"Basic {base64.b64encode(pair).decode()}"

    def authorization_request(self, name: str = "web") -> dict[str, str]:
        return {
            "response_type": "code",
            "client_id": self.clients[name].client_id,
            "redirect_uri": self.clients[name].redirect_uris[0],
            "scope": "openid profile",
            "state": "the-state",
            "nonce": "the-nonce",
            "code_challenge": CHALLENGE,
            "code_challenge_method": "S256",
        }

    @property
    def signed_in(self) -> tuple[str, str]:
        return "Cookie", f"mcp_session_8000={self.tokens['session']}; mcp_browser_8000={self.tokens.get('browser', '')}"

    def registered_redirect_uris(self) -> set[str]:
        return {
            uri
            for client in self.clients.values()
            for uri in (*client.redirect_uris, *client.post_logout_redirect_uris)
        }

    def endpoints(self) -> list[str]:
        """The paths of all machine endpoints, behind Flask or in front of it."""
        server = self.app.extensions["mcp_core_server"]
        return [endpoint.path for mount in endpoints.ALL for endpoint in mount(server)]

    def through(self, door: str, sent: Sent) -> Answer:
        """The answer to ``sent`` at the door that another WSGI server uses, or at our own server's."""
        if door == "wsgi":
            return call(self.app, sent)
        said = asgi.send(
            asynchronous_door_of(self.app),
            sent.method,
            sent.path.encode().decode("latin-1"),
            query=sent.query,
            body=sent.body,
            headers=sent.headers_that_count,
            environ={"CONTENT_LENGTH": sent.declared_length},
        )
        return Answer(said.status, said.headers, said.body)


def call(app: Callable[..., Any], sent: Sent) -> Answer:
    """What a WSGI server would pass on to the client."""
    started: list[tuple[str, list[tuple[str, str]]]] = []

    def start_response(status: str, headers: list[tuple[str, str]], _fault: object = None) -> None:
        started.append((status, headers))

    chunks = app(sent.environ(), start_response)
    try:
        body = b"".join(chunks)
    finally:
        close = getattr(chunks, "close", None)
        if close is not None:
            close()
    (status, headers), *more = started
    assert not more, "start_response was called twice"
    return Answer(int(status.split(" ", 1)[0]), headers, body)


def form(fields: Mapping[str, str] | Sequence[tuple[str, str]]) -> bytes:
    return urlencode(fields).encode()


def post(path: str, fields: Mapping[str, str] | Sequence[tuple[str, str]], *headers: tuple[str, str]) -> Sent:
    return Sent("POST", path, headers=[("Content-Type", FORM), *headers], body=form(fields))
