"""Signing out after a question: what the person is asked, and where they may be led then (RP-Initiated Logout 1.0 §2)."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit

import pytest
from sqlalchemy import Engine

from provider.accounts.users import User
from provider.protocol.client import ClientDetails
from tests.endpoints.browsing import Browser
from tests.endpoints.provider import KnownClient, ProviderFactory, claims_of
from tests.endpoints.test_logout import BYE, SIGNED_OUT, hint_of, is_signed_in, logout
from tests.endpoints.wsgi import Answer

STATE = "a b&c=%\"'<한"


@pytest.fixture
def browser(sqlite_engine: Engine, make_provider: ProviderFactory) -> Browser:
    return Browser(make_provider(sqlite_engine))


@pytest.fixture
def ada(browser: Browser) -> User:
    return browser.provider.user()


@pytest.fixture
def client(browser: Browser) -> KnownClient:
    return browser.provider.client(is_trusted=True, post_logout_redirect_uris=(BYE,))


def asked(browser: Browser, ada: User, client: KnownClient, **fields: str) -> str:
    """The address of the question: the hint is of this person's other session."""
    hint = hint_of(Browser(browser.provider), ada, client)
    browser.sign_in(ada)
    answer = logout(browser, id_token_hint=hint, **fields)
    assert answer.status == 303
    assert answer.location.partition("?")[0] == "/sign-out"
    assert is_signed_in(browser)
    return answer.location


def hidden_fields(page: Answer) -> dict[str, str]:
    card = page.text.partition("<main")[2].partition("</main>")[0]
    pairs = re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', card)
    return {name: html.unescape(value) for name, value in pairs}


def confirm(browser: Browser, path: str, changes: Mapping[str, str] | None = None) -> Answer:
    """Opens the question and presses the button; ``changes`` are what somebody made of the form."""
    page = browser.get(path)
    assert page.status == 200
    fields = {**hidden_fields(page), **(changes or {})}
    return browser.post("/sign-out", fields, Sec_Fetch_Site="same-origin", Origin="http://localhost:8000")


@pytest.mark.parametrize("state", [None, STATE, "s" * 4000])
def test_after_the_question_the_person_is_led_to_the_registered_address(
    browser: Browser, ada: User, client: KnownClient, state: str | None
) -> None:
    more = {"state": state} if state else {}
    answer = confirm(browser, asked(browser, ada, client, post_logout_redirect_uri=BYE, **more))
    assert answer.status == 303
    assert answer.location.partition("?")[0] == BYE
    assert dict(parse_qsl(urlsplit(answer.location).query)) == more
    assert not is_signed_in(browser)


def test_the_form_may_lead_to_the_application_and_only_then(browser: Browser, ada: User, client: KnownClient) -> None:
    """Browsers hold ``form-action`` against redirects after a post."""
    page = browser.get(asked(browser, ada, client, post_logout_redirect_uri=BYE))
    assert "form-action" not in (page.header("Content-Security-Policy") or "")
    assert "form-action 'self'" in (browser.get("/sign-out").header("Content-Security-Policy") or "")


@pytest.mark.parametrize("fields", [{}, {"state": "s"}])
def test_without_an_address_the_question_leads_to_our_own_page(
    browser: Browser, ada: User, client: KnownClient, fields: dict[str, str]
) -> None:
    path = asked(browser, ada, client, **fields)
    assert path == "/sign-out"
    assert confirm(browser, path).location == SIGNED_OUT


@pytest.mark.parametrize("fields", [{}, {"state": "s"}, {"logout_hint": "ada"}])
def test_a_client_id_alone_asks_and_leads_to_our_own_page(
    browser: Browser, ada: User, client: KnownClient, fields: dict[str, str]
) -> None:
    browser.sign_in(ada)
    answer = logout(browser, client_id=client.client_id, **fields)
    assert answer.location == "/sign-out"
    assert confirm(browser, answer.location).location == SIGNED_OUT
    assert not is_signed_in(browser)


def test_what_nobody_vouches_for_is_asked_about_and_led_nowhere(browser: Browser, ada: User) -> None:
    made = browser.provider.client(is_trusted=True, is_vouched=False, post_logout_redirect_uris=(BYE,))
    hint = hint_of(browser, ada, made)
    answer = logout(browser, id_token_hint=hint, post_logout_redirect_uri=BYE, state="s")
    assert answer.location == "/sign-out"
    assert is_signed_in(browser)
    assert confirm(browser, answer.location).location == SIGNED_OUT
    assert not is_signed_in(browser)


@pytest.mark.parametrize(
    "changes",
    [
        {"post_logout_redirect_uri": "https://evil.example/"},
        {"post_logout_redirect_uri": BYE + "/"},
        {"post_logout_redirect_uri": ""},
        {"state": "another"},
        {"state": ""},
        {"proof": ""},
        {"proof": "0" * 64},
        {"proof": "é"},
    ],
)
def test_a_changed_form_signs_out_and_leads_nowhere(
    browser: Browser, ada: User, client: KnownClient, changes: dict[str, str]
) -> None:
    path = asked(browser, ada, client, post_logout_redirect_uri=BYE, state="s")
    assert confirm(browser, path, changes).location == SIGNED_OUT
    assert not is_signed_in(browser)


def test_a_question_made_for_another_session_leads_nowhere(browser: Browser, ada: User, client: KnownClient) -> None:
    path = asked(browser, ada, client, post_logout_redirect_uri=BYE)
    other = Browser(browser.provider)
    other.sign_in(ada)
    fields = {name: values[0] for name, values in parse_qs(urlsplit(path).query).items()}
    assert "post_logout_redirect_uri" not in hidden_fields(other.get(path))
    assert confirm(other, "/sign-out", fields).location == SIGNED_OUT


def test_an_address_that_somebody_made_up_is_not_even_in_the_form(browser: Browser, ada: User) -> None:
    browser.sign_in(ada)
    made = urlencode({"post_logout_redirect_uri": "https://evil.example/", "proof": "0" * 64})
    page = browser.get(f"/sign-out?{made}")
    assert set(hidden_fields(page)) == {"csrf_token"}
    assert "form-action 'self'" in (page.header("Content-Security-Policy") or "")


def test_a_hint_with_a_pairwise_subject_ends_the_session_it_means(browser: Browser, ada: User) -> None:
    client = browser.provider.client(
        is_trusted=True, post_logout_redirect_uris=(BYE,), details=ClientDetails(subject_type="pairwise")
    )
    hint = hint_of(browser, ada, client)
    assert claims_of(hint)["sub"] != ada.id
    assert logout(browser, id_token_hint=hint, post_logout_redirect_uri=BYE).location == BYE
    assert not is_signed_in(browser)


def test_a_pairwise_hint_at_somebody_else_only_asks(browser: Browser, ada: User) -> None:
    client = browser.provider.client(is_trusted=True, details=ClientDetails(subject_type="pairwise"))
    hint = hint_of(Browser(browser.provider), browser.provider.user("bob"), client)
    browser.sign_in(ada)
    assert logout(browser, id_token_hint=hint).location == "/sign-out"
    assert is_signed_in(browser)
