"""Codes, refresh tokens, keys and tokens on a real database, with the people and applications they belong to."""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from sqlalchemy import Engine, insert, select, update

from database.models import AuditRecord
from database.models import Resource as ResourceRow
from database.transaction import Transaction
from provider.accounts.users import User, Users
from provider.audit import AuditRecorder
from provider.clients.registry import Clients
from provider.deliveries.logout_notices import LogoutNotices
from provider.protocol.client import Client, Resource
from provider.protocol.messages import Origin
from provider.sealed_values import SealedValues
from provider.security.crypto import Keyring
from provider.security.rate_limit import RateLimiter
from provider.security.replay import ReplayGuard
from provider.sign_in.remembered_devices import RememberedDevices
from provider.sign_in.session_ends import SessionEnds
from provider.sign_in.user_ends import UserEnds
from provider.tokens.authorization import Authorization
from provider.tokens.grant_records import GrantRecords
from provider.tokens.issuer import TokenIssuer
from provider.tokens.one_time import AuthorizationCodes, AuthorizationRequests
from provider.tokens.refresh_tokens import RefreshTokens
from provider.tokens.refusals import Refusals
from provider.tokens.signing_keys import SigningKeys
from provider.tokens.subjects import Subjects
from provider.tokens.verifier import TokenVerifier
from tests.granting import add_grant

ISSUER = "https://issuer.example/oauth"
API = Resource("https://api.example/mcp", "API", ("mcp:read", "mcp:admin"), ("mcp:admin",))
CODE_SECONDS, REQUEST_SECONDS = 60, 1800
IDLE_SECONDS, FAMILY_SECONDS, GRACE_SECONDS = 1000, 3000, 30
PUBLISH_SECONDS, RETIRE_SECONDS = 7200, 930
SKEW_SECONDS = 30
SESSION_ID, AMR, ACR = "01900000-0000-7000-8000-00000000000a", ("pwd", "otp"), "urn:mcp-core:two-factor"
Events = Callable[[], list[tuple[str, str | None]]]


def later(origin: Origin, seconds: float) -> Origin:
    return dataclasses.replace(origin, now=origin.now + datetime.timedelta(seconds=seconds))


class Tokens:
    """Every service of ``provider/tokens`` on one database, as one process has them."""

    def __init__(self, engine: Engine, keyring: Keyring, algorithms: tuple[str, ...] = ("ES256",)) -> None:
        self.engine, self.keyring = engine, keyring
        self.audit = AuditRecorder()
        self.grants = GrantRecords(self.audit)
        self.refusals = Refusals(self.audit, RateLimiter(keyring))
        self.subjects = Subjects(keyring)
        self.notices = LogoutNotices(self.audit, self.subjects)
        self.ends = SessionEnds(self.audit, self.grants, self.notices)
        self.codes = AuthorizationCodes(keyring, self.grants, self.refusals, CODE_SECONDS)
        self.requests = AuthorizationRequests(keyring, REQUEST_SECONDS)
        self.refresh = RefreshTokens(
            keyring,
            self.grants,
            self.refusals,
            idle_seconds=IDLE_SECONDS,
            family_seconds=FAMILY_SECONDS,
            grace_seconds=GRACE_SECONDS,
        )
        self.sealed_values = SealedValues(keyring, self.audit, ReplayGuard(keyring))
        self.keys = SigningKeys(
            self.sealed_values,
            self.audit,
            algorithms=algorithms,
            publish_seconds=PUBLISH_SECONDS,
            retire_seconds=RETIRE_SECONDS,
        )
        self.issuer = TokenIssuer(ISSUER, self.keys, self.subjects, access_token_seconds=600, id_token_seconds=300)
        self.verifier = TokenVerifier(ISSUER, self.keys, self.audit, clock_skew_seconds=SKEW_SECONDS)
        self.clients = Clients(keyring, self.audit, self.grants)
        self.users = Users(self.audit)
        self.user_ends = UserEnds(
            self.audit, self.grants, self.ends, self.users, RememberedDevices(keyring, self.audit)
        )

    def transaction(self) -> Transaction:
        return Transaction(self.engine)

    def set(self, model: Any, key: str, **values: Any) -> None:
        """Writes columns of the row whose primary key is ``key``, and commits."""
        column = next(iter(model.__table__.primary_key))
        with self.transaction() as tx:
            assert tx.execute(update(model).where(column == key).values(**values)).rowcount == 1

    def rows(self, model: Any) -> list[dict[str, Any]]:
        with self.engine.connect() as connection:
            return [dict(row) for row in connection.execute(select(model.__table__)).mappings()]


@dataclass
class World:
    """A person, an application of theirs, and what they authorized it for."""

    tokens: Tokens
    user: User
    client: Client
    grant_id: str

    def authorization(self, origin: Origin, **changes: Any) -> Authorization:
        known = Authorization(
            client=self.client,
            grant_type="authorization_code",
            scope=("openid", "mcp:read"),
            resource=dataclasses.replace(API, token_alg="ES256"),
            user_id=self.user.id,
            grant_id=self.grant_id,
            session_id=SESSION_ID,
            authenticated_at=signed_in_at(self.user),
            amr=AMR,
            acr=ACR,
            source=origin.source,
        )
        return dataclasses.replace(known, **changes)


@pytest.fixture
def tokens(engine: Engine, keyring: Keyring) -> Tokens:
    return Tokens(engine, keyring)


def make_client(tokens: Tokens, tx: Transaction, origin: Origin, **changes: Any) -> Client:
    asked = {
        "kind": "application",
        "name": "App",
        "token_endpoint_auth_method": "none",
        "id_token_signed_response_alg": "ES256",
        **changes,
    }
    return tokens.clients.register(tx, origin, **asked)[0]


def make_user(tokens: Tokens, tx: Transaction, origin: Origin, name: str = "ada", **changes: Any) -> User:
    return tokens.users.create(tx, origin, username=name, email=f"{name}@example.com", password_hash=None, **changes)


def make_grant(
    tokens: Tokens, tx: Transaction, now: datetime.datetime, user: User, client: Client, **changes: Any
) -> str:
    values = {
        "session_id": None,
        "consent_id": None,
        "scope": ("openid", "mcp:read"),
        "resource_uri": API.uri,
        "authenticated_at": now,
        "amr": ("pwd",),
        "acr": "urn:mcp-core:password",
        **changes,
    }
    return add_grant(tx, now, user_id=user.id, client_row_id=client.id, **values)


def make_known_grant(tokens: Tokens, tx: Transaction, now: datetime.datetime, user: User, client: Client) -> str:
    """The grant that ``World.authorization`` stands for."""
    return make_grant(
        *(tokens, tx, now, user, client),
        session_id=SESSION_ID,
        authenticated_at=signed_in_at(user),
        amr=AMR,
        acr=ACR,
    )


def catalogue_row(now: datetime.datetime) -> dict[str, Any]:
    """``API`` as the catalogue has it."""
    return {
        "id": "01900000-0000-7000-8000-0000000000a0",
        "uri": API.uri,
        "name": API.name,
        "scope": " ".join(API.scope),
        "admin_scope": " ".join(API.admin_scope),
        "token_alg": API.token_alg,
        "created_at": now,
        "updated_at": now,
    }


def signed_in_at(user: User) -> datetime.datetime:
    return user.created_at - datetime.timedelta(seconds=90)


@pytest.fixture
def world(tokens: Tokens, origin: Origin) -> World:
    with tokens.transaction() as tx:
        tokens.keys.ensure(tx, origin.now)
        tx.execute(insert(ResourceRow), catalogue_row(origin.now))
        user, client = make_user(tokens, tx, origin), make_client(tokens, tx, origin)
        return World(tokens, user, client, make_known_grant(tokens, tx, origin.now, user, client))


@pytest.fixture
def events(engine: Engine) -> Events:
    """Name and reason of the committed audit records, oldest first."""

    def read() -> list[tuple[str, str | None]]:
        table = AuditRecord.__table__
        with engine.connect() as connection:
            rows = connection.execute(select(table).order_by(table.c.created_at, table.c.id)).mappings()
            return [(row["action"], (row["metadata"] or {}).get("reason")) for row in rows]

    return read
