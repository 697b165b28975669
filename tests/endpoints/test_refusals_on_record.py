"""What is refused because it is another client's, or was used before, is on record: who tried, and whose it was."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import urlencode

import pytest
from sqlalchemy import Engine

from provider.accounts.users import User
from provider.protocol.request_objects import PUSHED_PREFIX
from provider.security.crypto import new_secret
from tests.endpoints.browsing import Browser, code_of, request_of
from tests.endpoints.provider import KnownClient, Provider, ProviderFactory
from tests.endpoints.wsgi import Answer

OTHER_URI = "https://app.example.com/other"
Attempt = Callable[[], Answer]
Attack = Callable[[Provider, User, KnownClient, KnownClient], Attempt]


@pytest.fixture
def provider(sqlite_engine: Engine, make_provider: ProviderFactory) -> Provider:
    return make_provider(sqlite_engine)


def code_by(**changes: str | None) -> Attack:
    """The code's own client presents it, wrongly."""

    def attack(provider: Provider, user: User, owner: KnownClient, _thief: KnownClient) -> Attempt:
        code = provider.code(provider.grant(user, owner))
        return lambda: provider.redeem(owner, code, **changes)

    return attack


def foreign_code(provider: Provider, user: User, owner: KnownClient, thief: KnownClient) -> Attempt:
    code = provider.code(provider.grant(user, owner))
    return lambda: provider.redeem(thief, code)


def replayed_code(provider: Provider, user: User, owner: KnownClient, _thief: KnownClient) -> Attempt:
    code = provider.code(provider.grant(user, owner))
    assert provider.redeem(owner, code).status == 200
    return lambda: provider.redeem(owner, code)


def foreign_refresh_token(provider: Provider, user: User, owner: KnownClient, thief: KnownClient) -> Attempt:
    token = provider.tokens(user, owner)["refresh_token"]
    return lambda: provider.refresh(thief, token)


def foreign_refresh_token_to_revoke(provider: Provider, user: User, owner: KnownClient, thief: KnownClient) -> Attempt:
    token = provider.tokens(user, owner)["refresh_token"]
    return lambda: provider.revoke(thief, token)


def replayed_refresh_token(provider: Provider, user: User, owner: KnownClient, _thief: KnownClient) -> Attempt:
    first = provider.tokens(user, owner)["refresh_token"]
    second = provider.refresh(owner, first).json["refresh_token"]
    assert provider.refresh(owner, second).status == 200
    return lambda: provider.refresh(owner, first)


def pushed(*, by_thief: bool) -> Attack:
    def attack(provider: Provider, user: User, owner: KnownClient, thief: KnownClient) -> Attempt:
        browser = Browser(provider)
        browser.sign_in(user)
        asked: dict[str, Any] = dict(request_of(owner))
        request_uri = provider.post(f"{provider.path}/par", asked, by=owner).json["request_uri"]

        def present(client: KnownClient) -> Answer:
            query = urlencode({"client_id": client.client_id, "request_uri": request_uri})
            return browser.get(f"{provider.path}/authorize?{query}")

        if by_thief:
            return lambda: present(thief)
        code_of(present(owner))
        return lambda: present(owner)

    return attack


# What is done, the record that it leaves, its reason, and whether the thief is the one who tried.
ATTACKS: dict[str, tuple[Attack, str, str, bool]] = {
    "another client's code": (foreign_code, "code.refused", "another client", True),
    "a code without its verifier": (code_by(code_verifier=None), "code.refused", "code_verifier", False),
    "a code with another verifier": (code_by(code_verifier="x" * 43), "code.refused", "code_verifier", False),
    "a code for another address": (code_by(redirect_uri=OTHER_URI), "code.refused", "redirect_uri", False),
    "a used code": (replayed_code, "code.reused", "replayed", False),
    "another client's refresh token": (foreign_refresh_token, "refresh_token.refused", "another client", True),
    "another client's, to be revoked": (
        foreign_refresh_token_to_revoke, "refresh_token.refused", "another client", True,
    ),
    "a used refresh token": (replayed_refresh_token, "refresh_token.reused", "replayed", False),
    "another client's pushed request": (pushed(by_thief=True), "pushed_request.refused", "another client", True),
    "an answered pushed request": (pushed(by_thief=False), "pushed_request.refused", "replayed", False),
}  # fmt: skip


@pytest.mark.parametrize("name", ATTACKS)
@pytest.mark.parametrize("method", ["none", "client_secret_basic"])
def test_a_refusal_is_on_record_once_however_often_it_is_tried(provider: Provider, name: str, method: str) -> None:
    attack, action, reason, is_by_thief = ATTACKS[name]
    user = provider.user()
    owner = provider.client(method, is_trusted=True, rotate_refresh_tokens=True)
    thief = provider.client(method, is_trusted=True)
    attempt = attack(provider, user, owner, thief)
    assert provider.events(action) == []
    for _ in range(4):
        assert attempt().status == (200 if "to be revoked" in name else 400)
    (event,) = provider.events(action)
    assert (event["outcome"], event["metadata"]["reason"]) == ("denied", reason)
    assert event["metadata"]["client"] == owner.client.id
    assert event["actor"] == (thief.client_id if is_by_thief else owner.client_id if "refused" in action else None)
    assert event["user_id"] == (None if action.startswith("pushed") else user.id)


def test_what_nobody_ever_had_leaves_no_record(provider: Provider) -> None:
    client = provider.client()
    assert provider.redeem(client, new_secret("ac")).status == 400
    assert provider.refresh(client, new_secret("rt")).status == 400
    assert provider.revoke(client, new_secret("rt")).status == 200
    query = {"client_id": client.client_id, "request_uri": PUSHED_PREFIX + new_secret("par")}
    provider.get(f"{provider.path}/authorize", query=urlencode(query))
    assert [event["action"] for event in provider.events()] == ["client.created", "authorization.refused"]


def test_an_hour_later_it_is_on_record_again(provider: Provider) -> None:
    user, owner, thief = provider.user(), provider.client(), provider.client()
    attempt = foreign_refresh_token(provider, user, owner, thief)
    for _ in range(3):
        attempt()
        provider.clock.advance(3600)
    assert len(provider.events("refresh_token.refused")) == 3
    assert provider.refresh(owner, provider.tokens(user, owner)["refresh_token"]).status == 200


def register(provider: Provider) -> tuple[str, str]:
    body = b'{"redirect_uris": ["https://app.example.com/cb"]}'
    headers = {"Content-Type": "application/json"}
    made = provider.send("POST", f"{provider.path}/register", body=body, headers=headers).json
    return f"{provider.path}/register/{made['client_id']}", made["registration_access_token"]


def test_a_registration_access_token_of_another_client_is_on_record_once(provider: Provider) -> None:
    (first, _own), (_second, foreign) = register(provider), register(provider)
    methods: Sequence[str] = ("GET", "PUT", "DELETE")
    for method in methods:
        answer = provider.send(method, first, headers={"Authorization": f"Bearer {foreign}"})
        assert answer.error == (401, "invalid_token")
    (event,) = provider.events("client.management_refused")
    assert (event["outcome"], event["resource_id"]) == ("denied", first.rpartition("/")[2])
