"""What changes between the page that a person saw and the code: nobody has allowed that, so the page is shown again."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import Engine, update

from database.models import AuthorizationCode, Consent
from database.models import Client as ClientRow
from database.models import Resource as ResourceRow
from database.models import User as UserRow
from provider.accounts.users import User
from provider.clients.rows import metadata_of
from provider.protocol.client import ClientDetails
from tests.endpoints.browsing import Browser, code_of, error_of, page_of, refusal_of
from tests.endpoints.provider import API, REDIRECT_URI, KnownClient, Provider, ProviderFactory, claims_of
from tests.endpoints.registering import manage, register, stored
from tests.endpoints.test_par import open_pushed, pushed_uri

OTHER = "https://app.example.com/other"
SAID: dict[str, Any] = {"client_name": "App", "redirect_uris": [REDIRECT_URI], "token_endpoint_auth_method": "none"}
Change = Callable[[Provider, KnownClient, User], object]


@pytest.fixture
def browser(sqlite_engine: Engine, make_provider: ProviderFactory) -> Browser:
    found = Browser(make_provider(sqlite_engine))
    found.provider.resource(scope=("notes:read", "notes:admin"), admin_scope=("notes:admin",))
    return found


@pytest.fixture
def provider(browser: Browser) -> Provider:
    return browser.provider


@pytest.fixture
def ada(browser: Browser) -> User:
    user = browser.provider.user()
    browser.sign_in(user)
    return user


def registers(**changes: Any) -> Change:
    """The client puts another registration in the place of its own."""

    def change(provider: Provider, client: KnownClient, _user: User) -> None:
        with provider.begin() as tx:
            known = provider.services.clients.find(tx, client.client_id, fresh=True)
            assert known is not None
            details = replace(known.details, **changes.get("details", {}))
            metadata = replace(metadata_of(known), **{**changes, "details": details}).checked()
            assert provider.services.clients.replace(tx, provider.origin, known, metadata)

    return change


def writes(table: Any, **values: Any) -> Change:
    """An operator changes a row."""

    def change(provider: Provider, _client: KnownClient, _user: User) -> None:
        with provider.begin() as tx:
            tx.execute(update(table).values(**values))
        provider.services.resources.invalidate()

    return change


CHANGES: dict[str, Change] = {
    "another name": registers(name="Your bank"),
    "another picture": registers(details={"logo_uri": "https://app.example.com/other.png"}),
    "another policy": registers(details={"policy_uri": "https://app.example.com/policy"}),
    "other terms": registers(details={"tos_uri": "https://app.example.com/terms"}),
    "one more redirect URI": registers(redirect_uris=(REDIRECT_URI, OTHER)),
    "no secret any more": registers(token_endpoint_auth_method="none"),
    "another key": registers(
        token_endpoint_auth_method="private_key_jwt", details={"jwks_uri": "https://app.example.com/keys"}
    ),
    "refresh tokens": registers(grant_types=("authorization_code", "refresh_token")),
    "pseudonyms": registers(details={"subject_type": "pairwise"}),
    "another name of the API": writes(ResourceRow, name="Payroll"),
    "other words for a scope": writes(ResourceRow, descriptions={"notes:read": {"ko": "내 노트 읽기"}}),
    "more scope of the API": writes(ResourceRow, admin_scope=""),
    "a person who is an administrator by now": writes(UserRow, is_admin=True),
}
changes_of_all_kinds = pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)


def asking(provider: Provider) -> KnownClient:
    return provider.client(grant_types=("authorization_code",))


def consent_page(browser: Browser, client: KnownClient, **changes: Any) -> str:
    wanted = {"scope": "openid notes:read notes:admin", "resource": API, **changes}
    return page_of(browser.authorize(client, **wanted), "/consent")


@changes_of_all_kinds
def test_allowing_what_is_not_true_any_more_shows_the_page_again(browser: Browser, ada: User, change: Change) -> None:
    client = asking(browser.provider)
    page = consent_page(browser, client)
    shown = browser.get(page)
    change(browser.provider, client, ada)
    answer = browser.press(page, shown, "allow")
    assert answer.location.startswith(f"{page.partition('?')[0]}?")
    assert "has just changed" in browser.get(answer.location).text
    assert browser.provider.rows(Consent) == browser.provider.rows(AuthorizationCode) == []
    code_of(browser.allow(page))  # having seen it


@changes_of_all_kinds
def test_what_changes_after_the_decision_shows_the_page_again(browser: Browser, ada: User, change: Change) -> None:
    client = asking(browser.provider)
    page = consent_page(browser, client)
    resumed = browser.decide(page, "allow").location
    change(browser.provider, client, ada)
    assert page_of(browser.get(resumed), "/consent") == page
    assert browser.provider.rows(Consent) == browser.provider.rows(AuthorizationCode) == []
    code_of(browser.allow(page))


@pytest.mark.parametrize("shown", ["", "0" * 64, "x"])
def test_a_decision_on_nothing_that_was_shown_is_none(browser: Browser, ada: User, shown: str) -> None:
    page = consent_page(browser, asking(browser.provider))
    answer = browser.decide(page, "allow", shown=shown)
    assert answer.location.startswith("/consent?")
    assert page_of(browser.get(f"/oauth/authorize/{page.partition('=')[2]}"), "/consent") == page


def test_what_a_decision_does_not_rest_on_may_change(browser: Browser, ada: User) -> None:
    """Default scope and API were filled in when the request arrived; the rest is about how the client is served."""
    provider = browser.provider
    made = register(provider, {**SAID, "grant_types": ["authorization_code"], "scope": "openid"}).json
    known = stored(provider, made["client_id"])
    assert known is not None
    client = KnownClient(known, "")
    page = consent_page(browser, client, scope=None, resource=None)
    shown = browser.get(page)
    more = {"scope": "openid email notes:read", "contacts": ["a@app.example.com"], "software_version": "2"}
    said = {**SAID, "grant_types": ["authorization_code"], **more, "client_id": client.client_id}
    assert manage(provider, "PUT", made, said).status == 200
    code = code_of(browser.get(browser.press(page, shown, "allow").location))
    tokens = provider.redeem(client, code).json
    assert (tokens["scope"], claims_of(tokens["access_token"])["aud"]) == ("openid", provider.issuer)


@pytest.mark.parametrize("decision", ["allow", "cancel"])
def test_nobody_is_sent_to_a_redirect_uri_that_was_removed(browser: Browser, ada: User, decision: str) -> None:
    client = browser.provider.client(redirect_uris=(REDIRECT_URI, OTHER))
    page = consent_page(browser, client)
    shown = browser.get(page)
    registers(redirect_uris=(OTHER,))(browser.provider, client, ada)
    pressed = browser.press(page, shown, decision)
    assert pressed.location == f"/oauth/authorize/{page.partition('=')[2]}", "which says what became of the request"
    answer = browser.get(pressed.location)
    assert (answer.status, answer.header("Location")) == (400, None)
    assert "the app has changed since" in answer.text
    assert browser.get(page).status == 400


@pytest.mark.parametrize("is_decided", [True, False])
def test_a_waiting_request_ends_with_its_redirect_uri(browser: Browser, ada: User, is_decided: bool) -> None:
    """Decided on already, or still before the sign-in of a client that needs no consent."""
    client = browser.provider.client(redirect_uris=(REDIRECT_URI, OTHER), is_trusted=not is_decided)
    if is_decided:
        resumed = browser.decide(consent_page(browser, client), "allow").location
    else:
        page = page_of(browser.authorize(client, prompt="login"), "/login")
        resumed = f"/oauth/authorize/{page.partition('=')[2]}"
        browser.provider.clock.advance(5)
        browser.sign_in(ada)
    registers(redirect_uris=(OTHER,))(browser.provider, client, ada)
    assert "the app has changed" in refusal_of(browser.get(resumed))
    assert browser.provider.rows(AuthorizationCode) == []


def test_a_decision_is_not_remembered_for_a_registration_that_it_was_not_about(browser: Browser, ada: User) -> None:
    """An operator trusts the client meanwhile, so it gets its code all the same; the person allowed something else."""
    client = browser.provider.client()
    resumed = browser.decide(consent_page(browser, client), "allow").location
    registers(name="Your bank")(browser.provider, client, ada)
    writes(ClientRow, is_trusted=True)(browser.provider, client, ada)
    code_of(browser.get(resumed))
    assert browser.provider.rows(Consent) == []
    assert browser.provider.events("consent.given") == []


@pytest.mark.parametrize("changes", [
    {"details": {"subject_type": "pairwise"}}, {"details": {"logo_uri": "https://app.example.com/logo.png"}},
    {"redirect_uris": (REDIRECT_URI, OTHER)}, {"name": "Other"}, {"grant_types": ("authorization_code",)},
])  # fmt: skip
def test_a_remembered_consent_is_not_carried_over_silently(browser: Browser, ada: User, changes: Any) -> None:
    client = browser.provider.client()
    code_of(browser.allow(consent_page(browser, client)))
    wanted = {"scope": "openid", "resource": API, "prompt": "none"}
    code_of(browser.authorize(client, **wanted))
    registers(**changes)(browser.provider, client, ada)
    assert error_of(browser.authorize(client, **wanted)) == "consent_required"


def test_a_pseudonym_does_not_become_the_real_identifier_by_a_silent_request(browser: Browser, ada: User) -> None:
    client = browser.provider.client(details=ClientDetails(subject_type="pairwise"))
    code_of(browser.allow(consent_page(browser, client, scope="openid", resource=None)))
    registers(details={"subject_type": "public"})(browser.provider, client, ada)
    assert error_of(browser.authorize(client, scope="openid", prompt="none")) == "consent_required"


def test_a_pushed_request_is_checked_anew_when_it_is_used(browser: Browser, ada: User) -> None:
    client = browser.provider.client(redirect_uris=(REDIRECT_URI, OTHER))
    gone, kept = pushed_uri(browser.provider, client), pushed_uri(browser.provider, client, redirect_uri=OTHER)
    registers(redirect_uris=(OTHER,), name="Your bank")(browser.provider, client, ada)
    assert "redirect_uri is not registered" in refusal_of(open_pushed(browser, client, gone))
    page = page_of(open_pushed(browser, client, kept), "/consent")
    assert "Your bank" in browser.get(page).text


def test_two_windows_show_two_states_and_only_the_newer_one_counts(browser: Browser, ada: User) -> None:
    client = asking(browser.provider)
    page = consent_page(browser, client)
    older = browser.get(page)
    registers(name="Your bank")(browser.provider, client, ada)
    newer = browser.get(page)
    digests = {re.search(r'name="shown" value="(\w+)"', shown.text)[1] for shown in (older, newer)}  # type: ignore[index]
    assert len(digests) == 2
    assert browser.press(page, older, "allow").location.startswith("/consent?")
    code_of(browser.get(browser.press(page, newer, "allow").location))
