"""How often a request asks the database: no more than this, so that whoever adds a question sees what it adds.

On a server each line is a round trip. SQLite has none, but a BEGIN of its own.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from tests.endpoints.browsing import Browser, code_of, page_of
from tests.endpoints.provider import API, KnownClient, Provider
from tests.endpoints.wsgi import Answer
from tests.statements import sent_to

PERSONAL = ("openid", "profile", "email", "offline_access")
_WHAT = re.compile(
    r"(SELECT)\s.*?\sFROM\s+(?:\(SELECT 1 AS one\) AS )?(\w+)|(INSERT) INTO (\w+)|(UPDATE) (\w+)|(DELETE) FROM (\w+)"
    r"|(COMMIT|ROLLBACK)",
    re.DOTALL,
)


@dataclass
class World:
    """A provider whose caches know everything and stay as they are, and somebody who has signed in to an application."""

    provider: Provider
    app: KnownClient
    job: KnownClient
    grant_id: str
    code: str
    tokens: Any
    browser: Browser

    @property
    def access_token(self) -> str:
        return str(self.tokens["access_token"])

    def forget(self, client: KnownClient) -> None:
        """The clients' cache does not know this one, as it knows few of very many."""
        self.provider.services.clients.invalidate(client.client_id)

    def token_of_job(self) -> Answer:
        return self.provider.token(self.job, {"grant_type": "client_credentials"})


@pytest.fixture
def world(provider_everywhere: Provider, monkeypatch: pytest.MonkeyPatch) -> World:
    provider = provider_everywhere
    for cache in (provider.services.clients._cache, provider.services.resources._cache):
        monkeypatch.setattr(cache, "_clock", lambda: 0.0)  # however slow the machine is
    provider.resource(token_alg="ES256")
    app = provider.client(rotate_refresh_tokens=True)
    job = provider.machine(resource=API, scope=("notes:read",))
    grant_id = provider.grant(provider.profile(provider.user()), app, PERSONAL)
    tokens = provider.redeem(app, provider.code(grant_id)).json
    browser = Browser(provider)
    browser.sign_in(provider.user("bob"))
    code_of(browser.allow(page_of(browser.authorize(app), "/consent")))
    made = World(provider, app, job, grant_id, provider.code(grant_id), tokens, browser)
    for _ in range(2):  # the first use is noted, and read
        assert made.token_of_job().status == 200
        assert provider.introspect(app, made.access_token).json["active"]
    return made


def known_client(world: World) -> Answer:
    return world.token_of_job()


def client_of_many(world: World) -> Answer:
    world.forget(world.job)
    return world.token_of_job()


def code(world: World) -> Answer:
    return world.provider.redeem(world.app, world.code)


def code_of_many(world: World) -> Answer:
    world.forget(world.app)
    return code(world)


def refresh(world: World) -> Answer:
    return world.provider.refresh(world.app, world.tokens["refresh_token"])


def refresh_of_many(world: World) -> Answer:
    world.forget(world.app)
    return refresh(world)


def introspection(world: World) -> Answer:
    return world.provider.introspect(world.app, world.access_token)


def introspection_of_many(world: World) -> Answer:
    world.forget(world.app)
    return introspection(world)


def introspection_of_a_refresh_token(world: World) -> Answer:
    return world.provider.introspect(world.app, world.tokens["refresh_token"])


def introspection_of_nothing(world: World) -> Answer:
    return world.provider.introspect(world.app, "nonsense")


def userinfo(world: World) -> Answer:
    return world.provider.userinfo(world.access_token)


def revocation(world: World) -> Answer:
    return world.provider.revoke(world.app, world.access_token)


def revocation_of_a_refresh_token(world: World) -> Answer:
    return world.provider.revoke(world.app, world.tokens["refresh_token"])


def authorization_of_who_is_signed_in(world: World) -> Answer:
    return world.browser.authorize(world.app)


CLIENT, TOKEN, REFRESH = "SELECT oauth_clients", "SELECT issued_tokens", "SELECT refresh_tokens"
MINT = "INSERT issued_tokens"
REVOKED = "INSERT user_audit_log"
ASKED: list[tuple[Callable[[World], Answer], list[str]]] = [
    (known_client, [MINT]),
    (client_of_many, [CLIENT, MINT]),
    (code, ["SELECT authorization_codes", "UPDATE authorization_codes", "INSERT refresh_tokens", MINT]),
    (code_of_many, [CLIENT, "SELECT authorization_codes", "UPDATE authorization_codes", "INSERT refresh_tokens", MINT]),
    (refresh, [REFRESH, "UPDATE refresh_tokens", "INSERT refresh_tokens", MINT]),
    (refresh_of_many, [CLIENT, REFRESH, "UPDATE refresh_tokens", "INSERT refresh_tokens", MINT]),
    (introspection, [CLIENT, TOKEN]),
    (introspection_of_many, [CLIENT, TOKEN]),
    (introspection_of_a_refresh_token, [CLIENT, REFRESH, "SELECT users"]),
    (introspection_of_nothing, [CLIENT]),
    (userinfo, [TOKEN]),
    (revocation, [TOKEN, "UPDATE issued_tokens", REVOKED]),
    (
        authorization_of_who_is_signed_in,
        [
            *(CLIENT, "SELECT user_sessions", "SELECT consents"),
            *("INSERT oauth_grants", "INSERT authorization_codes", "INSERT user_audit_log"),
        ],
    ),
    (revocation_of_a_refresh_token, [REFRESH, "UPDATE oauth_grants", REVOKED]),
]


@pytest.mark.parametrize("call, statements", ASKED, ids=[call.__name__ for call, _ in ASKED])
def test_a_request_asks_no_more_than_this(world: World, call: Callable[[World], Answer], statements: list[str]) -> None:
    with sent_to(world.provider.engine) as sent:
        answer = call(world)
    assert answer.status in (200, 303), answer.body
    is_server = world.provider.engine.dialect.name != "sqlite"
    ends = ["COMMIT"] if is_server or not all(it.startswith("SELECT") for it in statements) else []
    assert [_in_short(it) for it in sent if not it.startswith("BEGIN")] == [*statements, *ends]


def _in_short(statement: str) -> str:
    """Its verb and its first table."""
    found = _WHAT.match(statement)
    return " ".join(part for part in found.groups() if part) if found else statement
