"""Disabled and enabled again, removed and added again: nothing that was granted before works afterwards."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import pytest
from sqlalchemy import Engine

from database.models import User
from provider.sign_in.login import StepExpired
from provider.tokens.authorization import Authorization
from tests.endpoints.browsing import Browser, code_of, page_of, request_of
from tests.endpoints.provider import API, API_SCOPE, KnownClient, Provider, ProviderFactory
from tests.together import at_once

OTHER_API = "https://other.example.com/api"
MACHINE = {"grant_type": "client_credentials"}
GONE = (400, "invalid_grant")


@pytest.fixture
def provider(sqlite_engine: Engine, make_provider: ProviderFactory) -> Provider:
    return make_provider(sqlite_engine)


def turn(provider: Provider, client: KnownClient, *states: bool) -> list[dict[str, Any]]:
    """Disables or enables a client. Returns what the records say has ended."""
    for active in states:
        with provider.begin() as tx:
            provider.services.clients.set_active(tx, provider.origin, client.client_id, active, actor="operator")
    events = [event for event in provider.events() if event["action"] in ("client.disabled", "client.enabled")]
    return [event["metadata"] for event in events]


@pytest.mark.parametrize("method", ["none", "client_secret_basic", "client_secret_post"])
@pytest.mark.parametrize("is_vouched", [True, False])
def test_a_client_comes_back_to_nothing_that_was_granted(provider: Provider, method: str, is_vouched: bool) -> None:
    user, client = provider.user(), provider.client(method, is_trusted=True, is_vouched=is_vouched)
    tokens, code = provider.tokens(user, client), provider.code(provider.grant(user, client))
    bystander = provider.client(method)
    others = provider.tokens(user, bystander)
    ended, nothing = turn(provider, client, False, True)
    assert ended == {"grants": 2, "access_tokens": 1, "waiting_requests": 0}
    assert nothing == {"grants": 0, "access_tokens": 0, "waiting_requests": 0}
    assert provider.refresh(client, tokens["refresh_token"]).error == GONE
    assert provider.redeem(client, code).error == GONE
    assert not provider.is_alive(tokens["access_token"])
    assert provider.userinfo(tokens["access_token"]).status == 401
    assert provider.is_alive(others["access_token"])
    assert provider.refresh(bystander, others["refresh_token"]).status == 200
    assert provider.is_alive(provider.tokens(user, client)["access_token"]), "what is granted from now on counts"


def test_a_clients_own_tokens_do_not_come_back(provider: Provider) -> None:
    provider.resource()
    owner, machine = provider.user(), provider.machine(scope=API_SCOPE)
    key = provider.api_key(owner)
    for client in (machine, key):
        token = provider.token(client, MACHINE).json["access_token"]
        assert turn(provider, client, False, True)[-2]["access_tokens"] == 1
        assert not provider.is_alive(token)
        assert provider.is_alive(provider.token(client, MACHINE).json["access_token"])


def test_requests_under_way_do_not_come_back(provider: Provider) -> None:
    browser, client = Browser(provider), provider.client(is_trusted=True)
    browser.sign_in(provider.user())
    asked = dict(request_of(client))
    pushed = provider.post(f"{provider.path}/par", asked, by=client).json["request_uri"]
    waiting = page_of(browser.authorize(client, prompt="consent"), "/consent")
    handle = waiting.partition("request=")[2]
    assert turn(provider, client, False, True)[0]["waiting_requests"] == 2
    assert browser.get(f"{provider.path}/authorize/{handle}").status == 400
    query = urlencode({"client_id": client.client_id, "request_uri": pushed})
    assert browser.get(f"{provider.path}/authorize?{query}").status == 400
    assert code_of(browser.authorize(client))


def test_who_managed_a_registration_does_so_no_longer(provider: Provider) -> None:
    body = b'{"redirect_uris": ["https://app.example.com/cb"], "client_name": "Notes"}'
    made = provider.send(
        "POST", f"{provider.path}/register", body=body, headers={"Content-Type": "application/json"}
    ).json
    path = made["registration_client_uri"].removeprefix("http://localhost:8000")
    authorization = {"Authorization": f"Bearer {made['registration_access_token']}"}
    assert provider.get(path, authorization).status == 200
    for active in (False, True):
        with provider.begin() as tx:
            provider.services.clients.set_active(tx, provider.origin, made["client_id"], active)
        assert provider.get(path, authorization).error == (401, "invalid_token")


def test_enabling_what_is_enabled_ends_and_records_nothing(provider: Provider) -> None:
    user, client = provider.user(), provider.client()
    tokens = provider.tokens(user, client)
    assert turn(provider, client, True) == []
    with provider.begin() as tx:
        assert provider.services.user_ends.set_active(tx, provider.origin, user.id, True) is None
    assert provider.is_alive(tokens["access_token"])
    assert provider.refresh(client, tokens["refresh_token"]).status == 200


def test_a_person_comes_back_to_nothing_that_was_given(provider: Provider) -> None:
    provider.resource()
    user, client = provider.user(), provider.client()
    cookie, session = provider.session(user)
    tokens, key = provider.tokens(user, client, session=session), provider.api_key(user)
    code, key_token = provider.code(provider.grant(user, client)), provider.token(key, MACHINE).json["access_token"]
    with provider.begin() as tx:
        step = provider.services.login.begin_second_factor(tx, provider.origin, user)
    for active in (False, True):
        with provider.begin() as tx:
            assert provider.services.user_ends.set_active(tx, provider.origin, user.id, active, "operator")
    (disabled,), (enabled,) = provider.events("user.disabled"), provider.events("user.enabled")
    assert disabled["metadata"] == {"sessions": 1, "grants": 2, "api_keys": 1}
    assert enabled["metadata"] == {"sessions": 0, "grants": 0, "api_keys": 0}
    assert provider.refresh(client, tokens["refresh_token"]).error == GONE
    assert provider.redeem(client, code).error == GONE
    assert not provider.is_alive(tokens["access_token"])
    assert not provider.is_alive(key_token)
    assert provider.token(key, MACHINE).error == (401, "invalid_client")
    (revoked,) = provider.events("api_key.revoked")
    assert (revoked["user_id"], revoked["actor"], revoked["resource_id"]) == (user.id, "operator", key.client_id)
    assert provider.rows(User)[0]["api_key"] is None
    assert provider.get("/account", provider.session_cookie(cookie)).status == 303
    with provider.begin() as tx, pytest.raises(StepExpired):
        provider.services.login.check_second_factor(tx, provider.origin, step, "123456")
    assert provider.is_alive(provider.token(provider.api_key(user), MACHINE).json["access_token"])


def test_an_api_that_is_added_again_finds_nothing_that_was_granted_at_it(provider: Provider) -> None:
    user, client = provider.user(), provider.client()
    for uri in (API, OTHER_API):
        provider.resource(uri)
    at_api, at_other = (provider.tokens(user, client, API_SCOPE, resource=uri) for uri in (API, OTHER_API))
    code = provider.code(provider.grant(user, client, API_SCOPE, resource=API))
    machines = [provider.machine(scope=API_SCOPE, resource=uri) for uri in (API, OTHER_API)]
    own, others_own = (provider.token(machine, MACHINE).json["access_token"] for machine in machines)
    with provider.begin() as tx:
        ended = provider.services.resources.remove(tx, provider.origin, API)
    assert ended is not None
    assert (ended.grants, ended.access_tokens) == (2, 2)
    provider.clock.advance(1)
    provider.resource(API)
    assert provider.refresh(client, at_api["refresh_token"]).error == GONE
    assert provider.redeem(client, code).error == GONE
    assert [provider.is_alive(token) for token in (at_api["access_token"], own)] == [False, False]
    assert provider.refresh(client, at_other["refresh_token"]).status == 200
    assert [provider.is_alive(token) for token in (at_other["access_token"], others_own)] == [True, True]
    assert provider.is_alive(provider.token(machines[0], MACHINE).json["access_token"])


# What is under way in the very moment of disabling sees nothing of it yet


def test_what_comes_about_in_the_moment_of_disabling_a_client_does_not_come_back(provider: Provider) -> None:
    user, client = provider.user(), provider.client()
    turn(provider, client, False)
    code = provider.code(provider.grant(user, client))
    refresh_token = provider.refresh_token(provider.grant(user, client))
    turn(provider, client, True)
    assert provider.redeem(client, code).error == GONE
    assert provider.refresh(client, refresh_token).error == GONE


def test_what_comes_about_in_the_moment_of_disabling_a_person_does_not_come_back(provider: Provider) -> None:
    user, client = provider.user(), provider.client()
    with provider.begin() as tx:
        assert provider.services.user_ends.set_active(tx, provider.origin, user.id, False)
    code = provider.code(provider.grant(user, client))
    with provider.begin() as tx:
        cookie = provider.services.sessions.start(tx, provider.origin, user.id, ("pwd",))
    with provider.begin() as tx:
        assert provider.services.user_ends.set_active(tx, provider.origin, user.id, True)
    assert provider.redeem(client, code).error == GONE
    assert provider.get("/account", provider.session_cookie(cookie)).status == 303


def test_what_comes_about_in_the_moment_of_removing_an_api_does_not_come_back(provider: Provider) -> None:
    user, client, api = provider.user(), provider.client(), provider.resource()
    with provider.begin() as tx:
        assert provider.services.resources.remove(tx, provider.origin, API)
    code = provider.code(provider.grant(user, client, API_SCOPE, resource=API))
    known = Authorization(provider.machine().client, "client_credentials", API_SCOPE, api)
    with provider.begin() as tx:
        token = provider.services.token_issuer.issue_access_token(tx, known, provider.clock.now).token
    provider.clock.advance(1)
    provider.resource()
    assert provider.redeem(client, code).error == GONE
    assert not provider.is_alive(token)


def test_a_token_that_is_minted_before_the_disabling_is_committed_does_not_come_back(
    mariadb_engine: Engine, make_provider: ProviderFactory
) -> None:
    provider = make_provider(mariadb_engine)
    services, machine = provider.services, provider.machine(scope=API_SCOPE)
    known = Authorization(machine.client, "client_credentials", API_SCOPE, provider.resource())
    with provider.begin() as disabling:
        assert services.clients.set_active(disabling, provider.origin, machine.client_id, False)
        with provider.begin() as minting:
            token = services.token_issuer.issue_access_token(minting, known, provider.clock.now).token
    assert not provider.is_alive(token)
    turn(provider, machine, True)
    assert not provider.is_alive(token)


def test_of_many_who_mint_while_a_client_is_disabled_none_keeps_a_token(
    mariadb_engine: Engine, make_provider: ProviderFactory
) -> None:
    provider = make_provider(mariadb_engine)
    provider.resource()
    user, machine, client = provider.user(), provider.machine(scope=API_SCOPE), provider.client("none")

    def disable(known: KnownClient) -> Callable[[Any], Any]:
        return lambda tx: provider.services.clients.set_active(tx, provider.origin, known.client_id, False)

    for _ in range(4):
        provider.clock.advance(61)  # so that each mint also notes the use of its client
        codes = [provider.code(provider.grant(user, client)) for _ in range(3)]
        calls = [
            *(lambda _tx: provider.token(machine, MACHINE) for _ in codes),
            *(lambda _tx, code=code: provider.redeem(client, code) for code in codes),
            disable(machine),
            disable(client),
        ]
        answers = at_once(mariadb_engine, calls)[:-2]
        assert {answer.status for answer in answers} <= {200, 400, 401}, [answer.body for answer in answers]
        turn(provider, machine, True)
        turn(provider, client, True)
        given = [answer.json for answer in answers if answer.status == 200]
        assert not [1 for tokens in given if provider.is_alive(tokens["access_token"])]
        assert not [
            1 for it in given if "refresh_token" in it and provider.refresh(client, it["refresh_token"]).status == 200
        ]
