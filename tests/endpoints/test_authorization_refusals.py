"""Each refused authorization request leaves a line in the log and a record that say why, and what would allow it."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from sqlalchemy import Engine

from provider.protocol.client import ClientDetails
from provider.security.crypto import new_secret
from provider.tokens.refusals import RECORDED_OF_NETWORK
from tests.endpoints.browsing import Browser, request_of
from tests.endpoints.provider import KnownClient, Provider, ProviderFactory

EVENT = "authorization.refused"
OTHER_URI = "https://app.example.com/other"
# What is sent, the options of the client, the reason, and the options that would allow it.
REFUSED: dict[str, tuple[dict[str, Any], dict[str, Any], str, str]] = {
    "neither challenge nor nonce": (
        {"code_challenge": None, "code_challenge_method": None},
        {"nonce_replaces_pkce": True},
        "it sends neither code_challenge nor nonce",
        "--pkce never",
    ),
    "no challenge where one is needed": (
        {"code_challenge": None, "code_challenge_method": None},
        {},
        "it sends no code_challenge",
        "--pkce never",
    ),
    "plain": ({"code_challenge_method": "plain"}, {}, "its code_challenge_method is plain, and only S256 is taken", ""),
    "a redirect URI that is not registered": (
        {"redirect_uri": OTHER_URI},
        {},
        f"redirect_uri {OTHER_URI} is not registered for it",
        f"--add-redirect-uri {OTHER_URI}",
    ),
    "one that nobody could register": (
        {"redirect_uri": "http://app.example.com/"},
        {},
        "redirect_uri http://app.example.com/ is not registered for it",
        "",
    ),
    "a grant that it has not": (
        {},
        {"grant_types": ("client_credentials",)},
        "the grant authorization_code is not registered for it",
        "--grant authorization_code --grant refresh_token",
    ),
    "no push where one is needed": (
        {},
        {"details": ClientDetails(require_pushed_authorization_requests=True)},
        "require_pushed_authorization_requests is registered for it",
        "--metadata FILE",
    ),
    "a signed request without keys": (
        {"request": "e30.e30.e30"},
        {},
        "it is not signed by a registered key with RS256 or PS256 or ES256 or EdDSA",
        "--jwks-uri URL",
    ),
    "a request at an address that is not registered": (
        {"request_uri": "https://app.example.com/request"},
        {},
        "this request_uri is not among its request_uris",
        "--metadata FILE",
    ),
    "what needs no detail": ({"response_type": "token"}, {}, "The response type must be code.", ""),
}


@pytest.fixture
def provider(sqlite_engine: Engine, make_provider: ProviderFactory, door: str) -> Provider:
    return make_provider(sqlite_engine, door=door)


@pytest.fixture
def browser(provider: Provider) -> Browser:
    return Browser(provider)


@pytest.mark.parametrize("name", REFUSED)
def test_a_refusal_is_on_record_with_its_reason_and_its_remedy(
    browser: Browser, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    sent, options, fact, remedy = REFUSED[name]
    client = browser.provider.client(**options)
    with caplog.at_level(logging.INFO, "mcp_core.authorization"):
        answer = browser.authorize(client, **sent)
    (event,) = browser.provider.events(EVENT)
    reason = event["metadata"]["reason"]
    assert (event["outcome"], event["resource_id"]) == ("denied", client.client_id)
    assert reason.startswith(fact)
    command = f": mcp-core client update {client.client_id} {remedy}"
    assert reason.endswith(command) if remedy else "mcp-core" not in reason
    (line,) = [record.getMessage() for record in caplog.records if record.name == "mcp_core.authorization"]
    assert client.client_id in line
    assert reason in line
    assert "mcp-core client" not in answer.text + str(answer.headers), "that is nobody's business but the operator's"


def test_a_pushed_request_is_on_record_too(provider: Provider) -> None:
    client = provider.client()
    asked = [pair for pair in request_of(client, redirect_uri=OTHER_URI) if pair[0] != "client_id"]
    assert provider.post(f"{provider.path}/par", asked, by=client).status == 400
    (event,) = provider.events(EVENT)
    assert event["metadata"]["endpoint"] == "par"
    assert OTHER_URI in event["metadata"]["reason"]


def test_what_an_application_registered_itself_has_no_remedy(browser: Browser) -> None:
    client = browser.provider.client(kind="dynamic", is_vouched=False)
    browser.authorize(client, redirect_uri=OTHER_URI)
    (event,) = browser.provider.events(EVENT)
    assert "mcp-core" not in event["metadata"]["reason"]


def test_answers_to_prompt_none_are_no_refusals(browser: Browser) -> None:
    browser.authorize(browser.provider.client(is_trusted=True), prompt="none")
    assert browser.provider.events(EVENT) == []


def test_a_browser_that_looks_ahead_leaves_nothing(browser: Browser) -> None:
    client = browser.provider.client()
    browser.authorize(client, redirect_uri=OTHER_URI, headers={"Sec_Purpose": "prefetch"})
    assert browser.provider.events(EVENT) == []


def test_nobody_fills_the_table(browser: Browser, caplog: pytest.LogCaptureFixture) -> None:
    client = browser.provider.client()
    with caplog.at_level(logging.INFO, "mcp_core.authorization"):
        for _ in range(RECORDED_OF_NETWORK + 5):
            browser.authorize(client, response_type="token")
    assert len(browser.provider.events(EVENT)) == RECORDED_OF_NETWORK
    assert (
        len([record for record in caplog.records if record.name == "mcp_core.authorization"]) == RECORDED_OF_NETWORK + 5
    )


@pytest.mark.parametrize(
    "name, value",
    [
        ("client_id", "SECRET"),
        ("client_id", "app_x\r\nforged: line"),
        ("client_id", "\u202eapp"),
        ("redirect_uri", "https://app.example.com/SECRET"),
        ("redirect_uri", "https://app.example.com/$(reboot)'\n"),
        ("redirect_uri", "https://app.example.com/" + "x" * 3000),
        ("code_challenge_method", "p\x1b[31m" + "l" * 2000),
    ],
)
def test_what_was_sent_is_on_record_printable_cut_and_without_secrets(browser: Browser, name: str, value: str) -> None:
    client: KnownClient = browser.provider.client()
    browser.authorize(client, **{name: value.replace("SECRET", new_secret("cs"))})
    (event,) = browser.provider.events(EVENT)
    kept = event["resource_id"] + event["metadata"]["reason"]
    assert kept.isprintable()
    assert kept.isascii()
    assert len(kept) < 760
    assert "mcp_cs_" not in kept


def test_a_request_without_any_client_is_on_record_as_nobodys(provider: Provider) -> None:
    assert provider.get(f"{provider.path}/authorize").status == 400
    (event,) = provider.events(EVENT)
    assert event["resource_id"] == ""
