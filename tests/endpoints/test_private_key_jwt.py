"""private_key_jwt over HTTP, on every endpoint that asks who calls (RFC 7523 §2.2; security A-27, A-31, A-32)."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import Engine

from provider.clients.authentication import PER_CLIENT
from provider.protocol.client import ClientDetails
from tests.endpoints.browsing import request_of
from tests.endpoints.provider import KnownClient, Provider, ProviderFactory, claims_of
from tests.endpoints.wsgi import Answer
from tests.signing import ALGORITHMS, ASSERTION_TYPE, ClientKey, assertion_claims, client_key, jwks, with_assertion

KEY = client_key()
ENDPOINTS = ("token", "revoke", "introspect", "par")


def signing_client(provider: Provider, key: ClientKey = KEY, **options: Any) -> KnownClient:
    details = {"jwks": jwks(key), **options.pop("details", {})}
    return provider.client(
        "private_key_jwt",
        **{
            "grant_types": ("authorization_code", "refresh_token", "client_credentials"),
            "details": ClientDetails(**details),
            **options,
        },
    )


def assertion(provider: Provider, client: KnownClient, key: ClientKey = KEY, **changes: Any) -> str:
    return key.sign(assertion_claims(client.client_id, provider.issuer, provider.clock.now, **changes))


def call(provider: Provider, endpoint: str, client: KnownClient, fields: dict[str, str], **headers: str) -> Answer:
    """What the endpoint needs besides a credential."""
    needed = {
        "token": {"grant_type": "client_credentials"},
        "revoke": {"token": "x"},
        "introspect": {"token": "x"},
        "par": {name: value for name, value in request_of(client) if name != "client_id"},
    }[endpoint]
    return provider.post(f"{provider.path}/{endpoint}", {**needed, **fields}, headers)


@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_each_endpoint_knows_the_client_by_its_assertion_once(provider: Provider, endpoint: str) -> None:
    client = signing_client(provider)
    for audience in (provider.issuer, f"{provider.issuer}/token"):
        fields = with_assertion(assertion(provider, client, aud=audience))
        answer = call(provider, endpoint, client, fields)
        assert answer.status == (201 if endpoint == "par" else 200), answer.body
        assert call(provider, endpoint, client, fields).error == (401, "invalid_client")
    named = {**with_assertion(assertion(provider, client)), "client_id": client.client_id}
    assert call(provider, endpoint, client, named).status in (200, 201)
    assert provider.events("client.authentication_failed")[0]["metadata"]["method"] == "private_key_jwt"


@pytest.mark.parametrize("endpoint", ENDPOINTS)
@pytest.mark.parametrize("case", [
    "no credential", "its id alone", "a foreign key", "another client's id beside it", "another client's assertion",
    "for this endpoint", "for two audiences", "over", "another type", "no type", "a type alone", "an empty assertion",
    "garbage", "disabled", "a huge one",
])  # fmt: skip
def test_each_endpoint_serves_nobody_without_a_right_one(provider: Provider, endpoint: str, case: str) -> None:
    client, other = signing_client(provider), signing_client(provider, client_key(name="other"))
    right = assertion(provider, client)
    fields = {
        "no credential": {},
        "its id alone": {"client_id": client.client_id},
        "a foreign key": with_assertion(assertion(provider, client, client_key(name="other"))),
        "another client's id beside it": {**with_assertion(right), "client_id": other.client_id},
        "another client's assertion": with_assertion(assertion(provider, other)),
        "for this endpoint": with_assertion(assertion(provider, client, aud=f"{provider.issuer}/{endpoint}/")),
        "for two audiences": with_assertion(assertion(provider, client, aud=[provider.issuer, "https://x.example"])),
        "over": with_assertion(assertion(provider, client, exp=int(provider.clock.now.timestamp()) - 300)),
        "another type": {**with_assertion(right), "client_assertion_type": ASSERTION_TYPE.replace("jwt", "saml2")},
        "no type": {"client_assertion": right},
        "a type alone": {"client_assertion_type": ASSERTION_TYPE, "client_id": client.client_id},
        "an empty assertion": {**with_assertion(""), "client_id": client.client_id},
        "garbage": with_assertion("a.b.c"),
        "disabled": with_assertion(right),
        "a huge one": with_assertion(assertion(provider, client, more="x" * 20_000)),
    }[case]
    if case == "disabled":
        with provider.begin() as tx:
            provider.services.clients.set_active(tx, provider.origin, client.client_id, False)
    assert call(provider, endpoint, client, fields).error == (401, "invalid_client")


def test_only_the_registered_method_works(provider: Provider) -> None:
    """A client with keys cannot come with a secret, and one with a secret not with keys that it happens to have."""
    with_secret = provider.machine(details=ClientDetails(jwks=jwks(KEY)))
    fields = with_assertion(assertion(provider, with_secret))
    assert call(provider, "token", with_secret, fields).error == (401, "invalid_client")
    public = provider.client("none", details=ClientDetails(jwks=jwks(KEY)))
    for endpoint in ENDPOINTS:
        fields = with_assertion(assertion(provider, public))
        assert call(provider, endpoint, public, fields).error == (401, "invalid_client")


@pytest.mark.parametrize("case", ["basic", "secret", "twice"])
def test_two_methods_at_once_are_refused(provider: Provider, case: str) -> None:
    client, other = signing_client(provider), provider.machine()
    made = with_assertion(assertion(provider, client))
    headers = other.authorization if case == "basic" else {}
    pairs = [("grant_type", "client_credentials"), *made.items()]
    pairs += [("client_secret", other.secret)] if case == "secret" else []
    pairs += [("client_assertion", made["client_assertion"])] if case == "twice" else []
    answer = provider.post(f"{provider.path}/token", pairs, headers)
    assert answer.error == (400, "invalid_request")
    assert call(provider, "token", client, made).status == 200, "it was not used up"


def test_an_assertion_in_the_query_string_counts_for_nothing(provider: Provider) -> None:
    client = signing_client(provider)
    made = assertion(provider, client)
    query = f"client_assertion={made}&client_assertion_type={ASSERTION_TYPE}"
    answer = provider.send(
        "POST",
        f"{provider.path}/token",
        query=query,
        body=b"grant_type=client_credentials",
        headers={"Content-Type": "application/x-www-form-urlencoded"},
    )
    assert answer.error == (401, "invalid_client")


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_codes_and_refresh_tokens_are_redeemed_with_every_algorithm(provider: Provider, algorithm: str) -> None:
    key = client_key(algorithm, None)
    client = signing_client(provider, key, details={"token_endpoint_auth_signing_alg": algorithm})
    code = provider.code(provider.grant(provider.user(), client))
    tokens = provider.redeem(client, code, **with_assertion(assertion(provider, client, key)))
    assert tokens.status == 200, tokens.body
    assert claims_of(tokens.json["access_token"])["client_id"] == client.client_id
    again = provider.refresh(client, tokens.json["refresh_token"], **with_assertion(assertion(provider, client, key)))
    assert again.status == 200
    without = provider.refresh(client, tokens.json["refresh_token"], client_id=client.client_id)
    assert without.error == (401, "invalid_client")
    other = client_key("RS256" if algorithm != "RS256" else "PS256", None)
    wrong = provider.refresh(client, tokens.json["refresh_token"], **with_assertion(assertion(provider, client, other)))
    assert wrong.error == (401, "invalid_client")


def test_a_machine_token_has_the_client_as_its_subject(provider: Provider) -> None:
    client = signing_client(provider)
    token = call(provider, "token", client, with_assertion(assertion(provider, client))).json["access_token"]
    assert claims_of(token)["sub"] == client.client_id
    seen = provider.post(
        f"{provider.path}/introspect", {"token": token, **with_assertion(assertion(provider, client))}
    ).json
    assert seen["active"] is True


def test_wrong_assertions_are_throttled_and_the_true_client_is_not(provider: Provider) -> None:
    client, stranger = signing_client(provider), client_key(name="other")
    for _ in range(PER_CLIENT.times):
        answer = call(provider, "token", client, with_assertion(assertion(provider, client, stranger)))
        assert answer.status == 401
    assert call(provider, "token", client, with_assertion(assertion(provider, client, stranger))).status == 429
    assert call(provider, "token", client, with_assertion(assertion(provider, client))).status == 200


def test_no_assertion_gets_into_the_records(provider: Provider) -> None:
    client = signing_client(provider)
    made = assertion(provider, client, client_key(name="other"))
    call(provider, "token", client, with_assertion(made))
    assert made.split(".")[2] not in str(provider.events())


def test_text_that_no_database_takes_is_refused_and_breaks_nothing(provider: Provider) -> None:
    client = signing_client(provider)
    for claims in ({"sub": "\ud800"}, {"sub": "a\x00b"}, {"sub": "x" * 4000}, {"sub": "한국어"}, {"jti": "\udfff"}):
        fields = with_assertion(assertion(provider, client, KEY, **claims))
        assert call(provider, "token", client, fields).error == (401, "invalid_client"), claims


def test_of_many_requests_with_one_assertion_one_gets_a_token(
    mariadb_engine: Engine, make_provider: ProviderFactory
) -> None:
    """Between two processes, so that the database decides (security A-31)."""
    providers = [make_provider(mariadb_engine, rate_limits=False) for _ in range(2)]
    client = signing_client(providers[0])
    for _round in range(3):
        fields = with_assertion(assertion(providers[0], client))
        with ThreadPoolExecutor(6) as pool:
            answers = list(pool.map(lambda n, f=fields: call(providers[n % 2], "token", client, f), range(6)))
        assert sorted(answer.status for answer in answers) == [200, 401, 401, 401, 401, 401]
