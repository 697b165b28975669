"""A resource as clients spell it (RFC 8707 §2): at each endpoint the registered one is meant and named by the token."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import Engine, delete

from database.models import Resource as ResourceRow
from provider.accounts.users import User
from provider.protocol.client import Resource
from tests.endpoints.browsing import Browser, code_of, error_of
from tests.endpoints.provider import API, KnownClient, Provider, ProviderFactory, claims_of
from tests.endpoints.test_par import open_pushed, pushed_uri

SPELLINGS = [API, API + "/", "https://api.example.com:443/mcp", "HTTPS://API.example.com:443/mcp/"]
OTHERS = [
    API + "2",
    API + "//",
    "https://api.example.com/",
    "https://api.example.com:8443/mcp",
    "http://api.example.com/mcp",
]


@pytest.fixture
def browser(sqlite_engine: Engine, make_provider: ProviderFactory) -> Browser:
    found = Browser(make_provider(sqlite_engine))
    found.provider.resource()
    found.sign_in(found.provider.user())
    return found


@pytest.fixture
def trusted(browser: Browser) -> KnownClient:
    return browser.provider.client(is_trusted=True)


def audience(answer: Any) -> str:
    assert answer.status == 200, answer.body
    return str(claims_of(answer.json["access_token"])["aud"])


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_whatever_the_spelling_the_token_has_the_registered_one(
    browser: Browser, trusted: KnownClient, spelling: str
) -> None:
    provider, machine = browser.provider, browser.provider.machine()
    code = code_of(browser.authorize(trusted, resource=spelling, scope="notes:read offline_access"))
    tokens = provider.redeem(trusted, code, resource=spelling)
    assert audience(tokens) == API
    refresh = {"grant_type": "refresh_token", "refresh_token": tokens.json["refresh_token"], "resource": spelling}
    assert audience(provider.token(trusted, refresh)) == API
    pushed = open_pushed(browser, trusted, pushed_uri(provider, trusted, resource=spelling, scope="notes:read"))
    assert audience(provider.redeem(trusted, code_of(pushed))) == API
    assert audience(provider.token(machine, {"grant_type": "client_credentials", "resource": spelling})) == API


@pytest.mark.parametrize("other", OTHERS)
def test_another_name_is_another_resource_at_each_endpoint(browser: Browser, trusted: KnownClient, other: str) -> None:
    provider = browser.provider
    assert error_of(browser.authorize(trusted, resource=other)) == "invalid_target"
    pushed = open_pushed(browser, trusted, pushed_uri(provider, trusted, resource=other))
    assert error_of(pushed) == "invalid_target"
    code = code_of(browser.authorize(trusted, resource=API, scope="notes:read"))
    assert provider.redeem(trusted, code, resource=other).error == (400, "invalid_target")
    fields = {"grant_type": "client_credentials", "resource": other}
    assert provider.token(provider.machine(), fields).error == (400, "invalid_target")


def test_what_was_granted_at_a_resource_that_is_gone_is_good_at_none_that_is_like_it(
    sqlite_engine: Engine, make_provider: ProviderFactory
) -> None:
    """Another process goes on granting at the old one for a moment."""
    provider: Provider = make_provider(sqlite_engine)
    old: Resource = provider.resource(API + "/")
    user: User = provider.user()
    client = provider.client()
    code = provider.code(provider.grant(user, client, ("notes:read",), resource=old.uri))
    with provider.begin() as tx:
        tx.execute(delete(ResourceRow))
    provider.services.resources.invalidate()
    provider.resource(API)
    assert provider.redeem(client, code).error == (400, "invalid_target")
