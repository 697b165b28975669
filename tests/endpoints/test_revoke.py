"""Token revocation (RFC 7009)."""

from __future__ import annotations

import pytest

from tests.endpoints.provider import API, Provider

GONE = (400, "invalid_grant")
HINTS = [None, "access_token", "refresh_token", "id_token", "nonsense"]


@pytest.mark.parametrize("hint", HINTS)
@pytest.mark.parametrize("method", ["none", "client_secret_basic", "client_secret_post"])
def test_a_refresh_token_takes_its_family_with_it(provider: Provider, method: str, hint: str | None) -> None:
    user, client = provider.user(), provider.client(method, rotate_refresh_tokens=True)
    elsewhere, first = provider.tokens(user, client), provider.tokens(user, client)
    second = provider.refresh(client, first["refresh_token"]).json
    answer = provider.revoke(client, second["refresh_token"], **({} if hint is None else {"token_type_hint": hint}))
    assert (answer.status, answer.json) == (200, {})
    assert answer.header("Cache-Control") == "no-store"
    for tokens in (first, second):
        assert not provider.is_alive(tokens["access_token"])
        assert provider.refresh(client, tokens["refresh_token"]).error == GONE
    assert provider.is_alive(elsewhere["access_token"])
    assert len(provider.events("grant.revoked")) == 1


@pytest.mark.parametrize("hint", HINTS)
@pytest.mark.parametrize("method", ["none", "client_secret_basic"])
def test_an_access_token_ends_alone(provider: Provider, method: str, hint: str | None) -> None:
    user, client = provider.user(), provider.client(method)
    tokens = provider.tokens(user, client)
    answer = provider.revoke(client, tokens["access_token"], **({} if hint is None else {"token_type_hint": hint}))
    assert (answer.status, answer.json) == (200, {})
    assert not provider.is_alive(tokens["access_token"])
    assert provider.refresh(client, tokens["refresh_token"]).status == 200
    assert [event["user_id"] for event in provider.events("token.revoked")] == [user.id]


def test_a_retired_refresh_token_still_ends_its_family(provider: Provider) -> None:
    user, client = provider.user(), provider.client("none")
    first = provider.tokens(user, client)
    second = provider.refresh(client, first["refresh_token"]).json
    assert provider.revoke(client, first["refresh_token"]).status == 200
    assert provider.refresh(client, second["refresh_token"]).error == GONE


def test_a_client_ends_nothing_of_anothers_and_learns_nothing(provider: Provider) -> None:
    provider.resource()
    user, client = provider.user(), provider.client("none")
    tokens = provider.tokens(user, client, ("notes:read",), resource=API)
    unknown = provider.revoke(provider.client("none"), "unknown")
    for other in (provider.client("none"), provider.client(), provider.machine(resource=API), provider.api_key(user)):
        for kind in ("access_token", "refresh_token"):
            answer = provider.revoke(other, tokens[kind])
            assert (answer.status, answer.headers, answer.body) == (200, unknown.headers, unknown.body)
    assert provider.is_alive(tokens["access_token"])
    assert provider.refresh(client, tokens["refresh_token"]).status == 200
    assert provider.events("grant.revoked") == provider.events("token.revoked") == []


@pytest.mark.parametrize("token", ["x", "a.b.c", "mcp_rt_" + "0" * 49, "ü", "💥" * 50, "a" * 50_000])
def test_an_unknown_token_is_revoked_already(provider: Provider, token: str) -> None:
    answer = provider.revoke(provider.client("none"), token)
    assert (answer.status, answer.json) == (200, {})


def test_revoking_twice_is_no_error_and_recorded_once(provider: Provider) -> None:
    client = provider.client()
    tokens = provider.tokens(provider.user(), client)
    for kind in ("access_token", "refresh_token"):
        assert [provider.revoke(client, tokens[kind]).status for _ in range(2)] == [200, 200]
    assert (len(provider.events("token.revoked")), len(provider.events("grant.revoked"))) == (1, 1)


def test_an_expired_token_is_nothing_to_revoke(provider: Provider) -> None:
    client = provider.client()
    token = provider.tokens(provider.user(), client)["access_token"]
    provider.clock.advance(600)
    assert provider.revoke(client, token).status == 200
    assert provider.events("token.revoked") == []


def test_a_machine_revokes_its_own_token(provider: Provider) -> None:
    client = provider.machine()
    token = provider.token(client, {"grant_type": "client_credentials"}).json["access_token"]
    assert provider.revoke(client, token).status == 200
    assert not provider.is_alive(token)


@pytest.mark.parametrize("fields", [
    [], [("token", "")], [("token", "a"), ("token", "b")],
    [("token", "a"), ("token_type_hint", "x"), ("token_type_hint", "y")],
])  # fmt: skip
def test_a_request_needs_one_token(provider: Provider, fields: list[tuple[str, str]]) -> None:
    assert provider.post(f"{provider.path}/revoke", fields, by=provider.client()).error == (400, "invalid_request")


def test_an_id_token_or_a_code_is_nothing_to_revoke(provider: Provider) -> None:
    client = provider.client()
    user = provider.user()
    tokens = provider.tokens(user, client)
    code = provider.code(provider.grant(user, client))
    assert provider.revoke(client, tokens["id_token"]).status == 200
    assert provider.revoke(client, code).status == 200
    assert provider.is_alive(tokens["access_token"])
    assert provider.redeem(client, code).status == 200
