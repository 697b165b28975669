"""What our own verifier lets through (RFC 8725, RFC 9068 §4): each trick, at each endpoint that takes a token."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import event

from provider.protocol.client import ClientDetails
from tests.endpoints.forging import altered, forgeries, signed
from tests.endpoints.provider import API, KnownClient, Provider, claims_of, header_of
from tests.statements import statements_of


def tokens_of(provider: Provider) -> tuple[KnownClient, Any]:
    client = provider.client()
    return client, provider.tokens(provider.user(), client, ("openid", "profile"))


def is_active(provider: Provider, client: KnownClient, token: str) -> bool:
    answer = provider.introspect(client, token)
    assert answer.status == 200
    if not answer.json["active"]:
        assert answer.json == {"active": False}
    return bool(answer.json["active"])


def test_no_forgery_gets_through_and_none_is_a_fault(provider: Provider) -> None:
    client, tokens = tokens_of(provider)
    token = tokens["access_token"]
    assert is_active(provider, client, altered(provider, token))  # signing it again changes nothing
    for trick, forged in forgeries(provider, token).items():
        if trick != "not ASCII":  # which a header cannot carry as text
            assert provider.userinfo(forged).error == (401, "invalid_token"), trick
        assert not is_active(provider, client, forged), trick
        assert provider.revoke(client, forged).status == 200, trick
    assert is_active(provider, client, token)  # no forgery has revoked it either


@pytest.mark.parametrize("change", [
    {"iss": None}, {"iss": "http://localhost:8000"}, {"iss": "http://localhost:8000/oauth/"}, {"iss": ["http://localhost:8000/oauth"]},
    {"exp": None}, {"exp": "9999999999"}, {"exp": True}, {"exp": 1}, {"exp": -1},
    {"iat": None}, {"iat": "1"}, {"jti": None}, {"jti": "unknown"}, {"jti": 7}, {"jti": ["x"]}, {"jti": {"a": 1}},
    {"sub": None}, {"sub": 1}, {"sub": "somebody"}, {"aud": None}, {"aud": "https://api.example.com/mcp"},
    {"scope": "openid profile email"}, {"client_id": "app_x"}, {"exp": 1893456000}, {"acr": "urn:mcp-core:two-factor"},
    {"aud": ["http://localhost:8000/oauth"]}, {"scope": None}, {"scope": ["openid"]}, {"client_id": None},
])  # fmt: skip
def test_a_claim_that_is_missing_or_wrong_makes_it_no_token(provider: Provider, change: dict[str, Any]) -> None:
    client, tokens = tokens_of(provider)
    forged = altered(provider, tokens["access_token"], **change)
    assert not is_active(provider, client, forged)
    assert provider.userinfo(forged).error == (401, "invalid_token")


@pytest.mark.parametrize(
    "ahead, accepted", [(0, True), (9, True), (11, True), (30, True), (59, False), (61, False), (3600, False)]
)
def test_a_clock_may_be_a_little_ahead(provider: Provider, ahead: int, accepted: bool) -> None:
    provider.clock.advance(ahead)  # the clock of another server, which issues it
    client, tokens = tokens_of(provider)
    provider.clock.advance(-ahead)
    assert is_active(provider, client, tokens["access_token"]) is accepted


def test_expiry_has_no_tolerance_and_one_clock(provider: Provider) -> None:
    client, tokens = tokens_of(provider)
    provider.clock.advance(599)
    assert is_active(provider, client, tokens["access_token"])
    provider.clock.advance(1)
    assert not is_active(provider, client, tokens["access_token"])
    assert provider.userinfo(tokens["access_token"]).error == (401, "invalid_token")


@pytest.mark.parametrize("typ", ["at+jwt", "JWT"])
def test_an_access_token_is_one_under_either_type_and_nothing_else_is(provider: Provider, typ: str) -> None:
    """What tells them apart where the type does not: an access token has a record, and claims that no other token has."""
    provider.resource(token_typ=typ)
    client = provider.client(details=ClientDetails(userinfo_signed_response_alg="RS256"))
    user = provider.user()
    tokens = provider.tokens(user, client, ("openid", "notes:read"), resource=API)
    assert header_of(tokens["access_token"])["typ"] == typ
    api = provider.api()
    assert is_active(provider, api, tokens["access_token"])
    assert provider.introspect(api, tokens["access_token"]).json["aud"] == API
    own = provider.tokens(user, client, ("openid", "profile"))
    assert header_of(own["access_token"])["typ"] == "at+jwt"
    with provider.begin() as tx:
        issuer, verifier, now = provider.services.token_issuer, provider.services.token_verifier, provider.clock.now
        others = {
            "an ID token": tokens["id_token"],
            "signed user info": provider.userinfo(own["access_token"]).body.decode(),
            "a logout token": issuer.logout_token(tx, client.client, subject=user.id, session_id=None, now=now),
        }
        for what, other in others.items():
            assert other.count(".") == 2, what
            assert verifier.verify_access_token(tx, other, now) is None, what
        assert verifier.verify_id_token_hint(tx, tokens["id_token"], now) is not None
        assert verifier.verify_id_token_hint(tx, tokens["access_token"], now) is None
    for what, other in others.items():
        assert not is_active(provider, api, other), what
        assert provider.userinfo(other).error == (401, "invalid_token"), what


@pytest.mark.parametrize("kind", ["id_token", "refresh_token"])
def test_a_token_of_one_kind_is_none_of_another(provider: Provider, kind: str) -> None:
    client, tokens = tokens_of(provider)
    assert provider.userinfo(tokens[kind]).error == (401, "invalid_token")
    if kind == "id_token":
        assert not is_active(provider, client, tokens[kind])
    for field, grant_type in (("code", "authorization_code"), ("refresh_token", "refresh_token")):
        for name in {"access_token", "id_token", "refresh_token"} - {field}:
            answer = provider.token(client, {"grant_type": grant_type, field: tokens[name]})
            assert answer.error == (400, "invalid_grant")
    with provider.begin() as tx:
        verifier, now = provider.services.token_verifier, provider.clock.now
        assert verifier.verify_id_token_hint(tx, tokens["id_token"], now) is not None
        assert verifier.verify_id_token_hint(tx, tokens["access_token"], now) is None
        assert verifier.verify_id_token_hint(tx, tokens["refresh_token"], now) is None


def test_an_id_token_relabelled_is_still_no_access_token(provider: Provider) -> None:
    client, tokens = tokens_of(provider)
    forged = signed(provider, {**header_of(tokens["id_token"]), "typ": "at+jwt"}, claims_of(tokens["id_token"]))
    assert not is_active(provider, client, forged)


def test_large_and_deep_tokens_cost_the_database_no_more_than_any_nonsense(provider: Provider) -> None:
    client, tokens = tokens_of(provider)
    head, body, signature = tokens["access_token"].split(".")
    hostile = ["a" * 60_000, "." * 60_000, f"{head}.{body * 40}.{signature}", f"{'W1tb' * 2000}.{body}.{signature}"]
    for token in hostile:
        with statements_of(provider.engine) as asked:
            assert not is_active(provider, client, token)
        with statements_of(provider.engine) as asked_of_nonsense:
            assert not is_active(provider, client, "nonsense")
        assert asked == asked_of_nonsense


def test_a_kid_that_nobody_knows_does_not_ask_the_database_again_and_again(provider: Provider) -> None:
    client, tokens = tokens_of(provider)
    forged = altered(provider, tokens["access_token"], {"kid": "unknown"})
    provider.clock.advance(2)
    asked: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        if "signing_keys" in statement:
            asked.append(statement)

    event.listen(provider.engine, "before_cursor_execute", note)
    for _ in range(5):
        assert not is_active(provider, client, forged)
    event.remove(provider.engine, "before_cursor_execute", note)
    assert len(asked) == 1
