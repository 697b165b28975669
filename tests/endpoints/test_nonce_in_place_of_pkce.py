"""A nonce in place of a challenge: for a client that proves itself and that an operator registered (OAuth 2.1 §7.5.1)."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import Engine

from provider.clients.operator_metadata import ClientOptions, operator_metadata
from tests.endpoints.browsing import Browser, code_of, error_of
from tests.endpoints.provider import REDIRECT_URI, VERIFIER, KnownClient, Provider, ProviderFactory, claims_of
from tests.endpoints.registering import register

NO_CHALLENGE: dict[str, Any] = {"code_challenge": None, "code_challenge_method": None}


@pytest.fixture
def browser(sqlite_engine: Engine, make_provider: ProviderFactory, door: str) -> Browser:
    return Browser(make_provider(sqlite_engine, door=door))


@pytest.fixture
def provider(browser: Browser) -> Provider:
    return browser.provider


def by_operator(provider: Provider, **options: Any) -> KnownClient:
    """As ``mcp-core client create --trusted`` makes it."""
    asked = ClientOptions(name="Files", redirect_uris=(REDIRECT_URI,), **options)
    with provider.begin() as tx:
        values = operator_metadata(asked).to_values()
        client, secret = provider.services.clients.register(
            tx, provider.origin, kind="application", is_trusted=True, **values
        )
    return KnownClient(client, secret or "")


def test_what_is_registered_by_default_signs_in_with_a_nonce_and_without_a_challenge(browser: Browser) -> None:
    provider, client = browser.provider, by_operator(browser.provider)
    browser.sign_in(provider.user())
    code = code_of(browser.authorize(client, nonce="n-1", **NO_CHALLENGE))
    tokens = provider.redeem(client, code, code_verifier=None).json
    assert claims_of(tokens["id_token"])["nonce"] == "n-1"


def test_a_pushed_request_may_do_so_too(browser: Browser) -> None:
    provider, client = browser.provider, by_operator(browser.provider)
    asked = {"response_type": "code", "redirect_uri": REDIRECT_URI, "scope": "openid", "nonce": "n-1"}
    assert provider.post(f"{provider.path}/par", asked, by=client).status == 201
    assert provider.post(f"{provider.path}/par", asked | {"nonce": ""}, by=client).json["error"] == "invalid_request"


REFUSED: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "no nonce either": ({}, {}),
    "an empty nonce": ({}, {"nonce": ""}),
    "no ID token to find the nonce in": ({}, {"nonce": "n-1", "scope": "profile"}),
    "plain": ({}, {"nonce": "n-1", "code_challenge": VERIFIER, "code_challenge_method": "plain"}),
    "a challenge without its method": ({}, {"nonce": "n-1", "code_challenge": VERIFIER}),
    "a method without a challenge": ({}, {"nonce": "n-1", "code_challenge_method": "S256"}),
    "told to be strict": ({"pkce": "always"}, {"nonce": "n-1"}),
    "a public client": ({"auth_method": "none"}, {"nonce": "n-1"}),
}


@pytest.mark.parametrize("name", REFUSED)
def test_whoever_else_sends_no_challenge_is_refused(browser: Browser, name: str) -> None:
    options, sent = REFUSED[name]
    browser.sign_in(browser.provider.user())
    client = by_operator(browser.provider, **options)
    assert error_of(browser.authorize(client, **{**NO_CHALLENGE, **sent})) == "invalid_request"


def test_one_that_was_told_never_needs_neither(browser: Browser) -> None:
    browser.sign_in(browser.provider.user())
    assert code_of(browser.authorize(by_operator(browser.provider, pkce="never"), **NO_CHALLENGE))


def test_who_registered_itself_needs_a_challenge_with_a_secret_as_well(browser: Browser) -> None:
    provider = browser.provider
    said = {"redirect_uris": [REDIRECT_URI], "token_endpoint_auth_method": "client_secret_basic"}
    made = register(provider, said).json
    with provider.begin() as tx:
        client = provider.services.clients.find(tx, made["client_id"])
    assert client is not None
    browser.sign_in(provider.user())
    answer = browser.authorize(KnownClient(client, made["client_secret"]), nonce="n-1", **NO_CHALLENGE)
    assert answer.status == 400
    assert "PKCE is required" in answer.text


@pytest.mark.parametrize("verifier", [VERIFIER, ""])
def test_a_verifier_for_a_code_without_a_challenge_is_refused(browser: Browser, verifier: str) -> None:
    provider, client = browser.provider, by_operator(browser.provider)
    browser.sign_in(provider.user())
    code = code_of(browser.authorize(client, nonce="n-1", **NO_CHALLENGE))
    answer = provider.redeem(client, code, code_verifier=verifier)
    assert answer.status == (400 if verifier else 200)


def test_a_challenge_that_is_sent_counts_all_the_same(browser: Browser) -> None:
    provider, client = browser.provider, by_operator(browser.provider)
    browser.sign_in(provider.user())
    for verifier, status in ((None, 400), ("x" * 43, 400), (VERIFIER, 200)):
        code = code_of(browser.authorize(client, nonce="n-1"))
        assert provider.redeem(client, code, code_verifier=verifier).status == status
