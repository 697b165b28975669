"""The provider as tests use it: calls go through a door, whatever has to be there first is made through the services."""

from __future__ import annotations

import base64
import datetime
import hashlib
import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from flask import Flask
from sqlalchemy import Engine, select

from database.models import AuditRecord
from database.transaction import Transaction
from provider.accounts.groups import Group
from provider.accounts.users import User
from provider.application import asynchronous_door_of, create_app, services_of
from provider.protocol.client import Client, Resource
from provider.protocol.messages import Origin
from provider.security.crypto import Keyring
from provider.services import Services
from provider.settings import load_settings
from provider.sign_in.sessions import Session
from tests.compiled_once import share_templates
from tests.endpoints import asgi
from tests.endpoints.wsgi import FORM, Answer, Fields, basic, encoded, send
from tests.granting import add_grant

START = datetime.datetime(2026, 7, 1, 12, 0, tzinfo=datetime.UTC)
ISSUER = "http://localhost:8000/oauth"
REDIRECT_URI = "https://app.example.com/callback"
API = "https://api.example.com/mcp"
API_SCOPE = ("notes:read", "notes:write")
FULL_PROFILE = {
    "given_name": "Ada", "middle_name": "Augusta", "family_name": "King", "nickname": "ada", "gender": "female",
    "birthdate": "1990-12-10", "profile": "https://ada.example/me", "website": "https://ada.example",
    "phone_number": "+82 10 1234 5678", "street_address": "1 Main St\nFlat 2", "postal_code": "04524",
    "locality": "Seoul", "region": "Seoul", "country": "Korea",
}  # fmt: skip
VERIFIER = "a-code-verifier-of-43-to-128-unreserved.characters~0"


class ProviderFactory(Protocol):
    def __call__(self, engine: Engine, *, door: str = "wsgi", **settings: Any) -> Provider: ...


class Clock:
    """The provider's time. It moves only when told to."""

    def __init__(self, now: datetime.datetime = START) -> None:
        self.now = now

    def __call__(self) -> datetime.datetime:
        return self.now

    def advance(self, seconds: float) -> datetime.datetime:
        self.now += datetime.timedelta(seconds=seconds)
        return self.now


@dataclass(frozen=True)
class KnownClient:
    """A registered client with its secret in clear, empty for a public one."""

    client: Client
    secret: str

    @property
    def client_id(self) -> str:
        return self.client.client_id

    @property
    def authorization(self) -> dict[str, str]:
        """The headers by which it authenticates."""
        if self.client.token_endpoint_auth_method == "client_secret_basic":
            return {"Authorization": basic(self.client_id, self.secret)}
        return {}

    @property
    def fields(self) -> dict[str, str]:
        """The form fields by which it authenticates, or names itself."""
        method = self.client.token_endpoint_auth_method
        if method in ("client_secret_basic", "private_key_jwt"):
            return {}
        return {"client_id": self.client_id} | ({"client_secret": self.secret} if method != "none" else {})


@dataclass
class Provider:
    app: Flask
    services: Services
    engine: Engine
    clock: Clock
    door: str = "wsgi"

    @classmethod
    def build(cls, engine: Engine, keyring: Keyring, *, door: str = "wsgi", **settings: Any) -> Provider:
        known = load_settings({}, **{"issuer": ISSUER, "trusted_proxy_count": 0, **settings})
        clock = Clock()
        app = create_app(known, engine, keyring, clock=clock)
        share_templates(app)
        return cls(app, services_of(app), engine, clock, door)

    @property
    def issuer(self) -> str:
        return self.services.settings.issuer

    @property
    def path(self) -> str:
        """The issuer's path, which endpoints stand behind."""
        return self.services.settings.issuer_path

    @property
    def origin(self) -> Origin:
        return Origin("192.0.2.10", "pytest", "request-1", self.clock.now)

    def begin(self) -> Transaction:
        """A transaction for looking and changing: ``with provider.begin() as tx``."""
        return Transaction(self.engine)

    # Calls

    def send(self, method: str, path: str, **options: Any) -> Answer:
        """A raw call. ``path`` is absolute on the host."""
        if self.door == "asynchronous":
            return asgi.send(asynchronous_door_of(self.app), method, path, **options)
        return send(self.app, method, path, **options)

    def get(self, path: str, headers: Mapping[str, str] | None = None, **options: Any) -> Answer:
        return self.send("GET", path, headers=headers, **options)

    def post(
        self, path: str, fields: Fields, headers: Mapping[str, str] | None = None, *, by: KnownClient | None = None
    ) -> Answer:
        """Posts a form, authenticated as ``by``."""
        pairs = list(fields.items()) if isinstance(fields, Mapping) else list(fields)
        made = {"Content-Type": FORM}
        if by is not None:
            pairs += [pair for pair in by.fields.items() if pair[0] not in dict(pairs)]
            made |= by.authorization
        return self.send("POST", path, body=encoded(pairs), headers=made | dict(headers or {}))

    def token(self, by: KnownClient | None, fields: Fields) -> Answer:
        return self.post(f"{self.path}/token", fields, by=by)

    def redeem(self, by: KnownClient, code: str, **changes: str | None) -> Answer:
        """The code grant with everything right but ``changes``; None leaves a field out."""
        fields = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": REDIRECT_URI,
            "code_verifier": VERIFIER,
            **changes,
        }
        return self.token(by, {name: value for name, value in fields.items() if value is not None})

    def refresh(self, by: KnownClient, refresh_token: str, **more: str) -> Answer:
        return self.token(by, {"grant_type": "refresh_token", "refresh_token": refresh_token, **more})

    def introspect(self, by: KnownClient, token: str, **more: str) -> Answer:
        return self.post(f"{self.path}/introspect", {"token": token, **more}, by=by)

    def revoke(self, by: KnownClient, token: str, **more: str) -> Answer:
        return self.post(f"{self.path}/revoke", {"token": token, **more}, by=by)

    def userinfo(self, token: str) -> Answer:
        return self.get(f"{self.path}/userinfo", {"Authorization": f"Bearer {token}"})

    def is_alive(self, access_token: str) -> bool:
        """Whether an access token still counts, as the verifier sees it."""
        with self.begin() as tx:
            return self.services.token_verifier.verify_access_token(tx, access_token, self.clock.now) is not None

    # What has to be there

    def user(self, username: str = "ada", **options: Any) -> User:
        with self.begin() as tx:
            return self.services.users.create(
                tx,
                self.origin,
                **{"username": username, "email": f"{username}@example.com", "password_hash": None, **options},
            )

    def profile(self, user: User, *, zone: str | None = "Asia/Seoul", picture: bytes = b"x", **values: str) -> User:
        """Everything that a person can say of themselves, or ``values``."""
        said = values or FULL_PROFILE
        with self.begin() as tx:
            self.services.profiles.save(tx, self.origin, user, user.display_name or "", said)
            self.services.users.set_time_zone(tx, self.clock.now, user.id, zone)
            if picture:
                self.services.profiles.set_picture(tx, self.origin, user.id, picture)
            found = self.services.users.find(tx, user.id)
        assert found is not None
        return found

    def session(self, user: User, amr: tuple[str, ...] = ("pwd",)) -> tuple[str, Session]:
        """A signed-in browser: the value of its cookie and its session."""
        with self.begin() as tx:
            cookie = self.services.sessions.start(tx, self.origin, user.id, amr)
            found = self.services.sessions.find(tx, self.clock.now, cookie)
        assert found is not None
        return cookie, found[0]

    def session_cookie(self, value: str) -> dict[str, str]:
        """The Cookie header of that browser."""
        return {"Cookie": f"{self.services.settings.cookie_name('session')}={value}"}

    def client(self, method: str = "client_secret_basic", **options: Any) -> KnownClient:
        """An application for the code grant with refresh, unless ``options`` say otherwise."""
        made = {
            "kind": "application",
            "name": "Notes",
            "token_endpoint_auth_method": method,
            "redirect_uris": (REDIRECT_URI,),
            "grant_types": ("authorization_code", "refresh_token"),
            **options,
        }
        with self.begin() as tx:
            client, secret = self.services.clients.register(tx, self.origin, **made)
        return KnownClient(client, secret or "")

    def machine(self, **options: Any) -> KnownClient:
        """An application for client credentials."""
        return self.client(**{"name": "Job", "redirect_uris": (), "grant_types": ("client_credentials",), **options})

    def api_key(
        self, owner: User, scope: tuple[str, ...] | None = None, *, resource: str | None = None, days: int | None = None
    ) -> KnownClient:
        with self.begin() as tx:
            client, secret = self.services.api_keys.create(
                tx, self.origin, owner, name="Laptop", scope=scope, expires_in_days=days, resource=resource
            )
        return KnownClient(client, secret)

    def api(self, uri: str = API, **options: Any) -> KnownClient:
        """The credentials of an API itself, which may introspect its tokens."""
        client = self.machine(name="Notes API", **options)
        with self.begin() as tx:
            assert self.services.resources.change(tx, self.origin, uri, introspection_clients=(client.client_id,))
        return client

    def group(self, name: str, *members: User) -> Group:
        """A group with these people in it."""
        with self.begin() as tx:
            group = self.services.groups.create(tx, self.origin, name=name)
            for user in members:
                self.services.groups.add(tx, self.origin, group, user)
        return group

    def leave(self, group: Group, user: User) -> None:
        with self.begin() as tx:
            assert self.services.groups.remove(tx, self.origin, group, user)

    def resource(self, uri: str = API, scope: tuple[str, ...] = API_SCOPE, **options: Any) -> Resource:
        with self.begin() as tx:
            return self.services.resources.add(
                tx, self.origin, **{"uri": uri, "name": "Notes API", "scope": scope, **options}
            )

    def grant(
        self,
        user: User,
        by: KnownClient,
        scope: Sequence[str] = ("openid", "profile", "offline_access"),
        *,
        resource: str | None = None,
        session: Session | None = None,
        consent_id: str | None = None,
    ) -> str:
        """What a person has authorized; without ``session`` nobody's session is behind it any more."""
        with self.begin() as tx:
            return add_grant(
                tx,
                self.clock.now,
                user_id=user.id,
                client_row_id=by.client.id,
                session_id=session.id if session else None,
                consent_id=consent_id,
                scope=tuple(scope),
                resource_uri=resource or self.issuer,
                authenticated_at=session.authenticated_at if session else self.clock.now,
                amr=session.amr if session else ("pwd",),
                acr=session.acr if session else "urn:mcp-core:password",
            )

    def code(
        self,
        grant_id: str,
        *,
        redirect_uri: str = REDIRECT_URI,
        verifier: str | None = VERIFIER,
        nonce: str | None = None,
    ) -> str:
        with self.begin() as tx:
            return self.services.codes.issue(
                tx,
                self.clock.now,
                grant_id=grant_id,
                redirect_uri=redirect_uri,
                code_challenge=None if verifier is None else challenge_of(verifier),
                nonce=nonce,
            )

    def refresh_token(self, grant_id: str) -> str:
        with self.begin() as tx:
            return self.services.refresh_tokens.start(tx, self.clock.now, grant_id)

    def tokens(
        self, user: User, by: KnownClient, scope: Sequence[str] = ("openid", "offline_access"), **options: Any
    ) -> Any:
        """What the token endpoint gives for a fresh code of this grant."""
        answer = self.redeem(by, self.code(self.grant(user, by, scope, **options)))
        assert answer.status == 200, answer.body
        return answer.json

    # What is there

    def events(self, action: str | None = None) -> list[dict[str, Any]]:
        """The committed audit records, oldest first."""
        table = AuditRecord.__table__
        with self.engine.connect() as connection:
            rows = connection.execute(select(table).order_by(table.c.created_at, table.c.id)).mappings()
            return [dict(row) for row in rows if action is None or row["action"] == action]

    def rows(self, model: Any) -> list[dict[str, Any]]:
        with self.engine.connect() as connection:
            return [dict(row) for row in connection.execute(select(model.__table__)).mappings()]


def challenge_of(verifier: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()


def new_verifier() -> str:
    return secrets.token_urlsafe(48)


def claims_of(token: str) -> Any:
    """The claims of a JWT, unverified."""
    return json.loads(_decoded(token.split(".")[1]))


def header_of(token: str) -> Any:
    return json.loads(_decoded(token.split(".", maxsplit=1)[0]))


def _decoded(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
