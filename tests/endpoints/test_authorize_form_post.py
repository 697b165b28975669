"""Answers as forms (OAuth 2.0 Form Post Response Mode): posted by themselves, and by a button where scripts are off."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

import pytest
from sqlalchemy import Engine

from provider.accounts.users import User
from tests.endpoints.browsing import STATE, Browser, form_of, page_of, refusal_of
from tests.endpoints.provider import REDIRECT_URI, Provider, ProviderFactory
from tests.endpoints.wsgi import Answer
from tests.pages.document import Document, Element


@pytest.fixture
def browser(sqlite_engine: Engine, make_provider: ProviderFactory) -> Browser:
    return Browser(make_provider(sqlite_engine))


@pytest.fixture
def provider(browser: Browser) -> Provider:
    return browser.provider


@pytest.fixture
def ada(provider: Provider) -> User:
    return provider.user()


def elements(answer: Answer, tag: str) -> list[Element]:
    return [element for element in Document(answer.text).elements if element.tag == tag]


def policy_of(answer: Answer) -> dict[str, list[str]]:
    text = answer.header("Content-Security-Policy") or ""
    return {words[0]: words[1:] for words in (part.split() for part in text.split(";"))}


def test_a_code_is_posted_with_the_state_and_the_issuer_once_each(
    browser: Browser, provider: Provider, ada: User
) -> None:
    browser.sign_in(ada)
    client = provider.client(is_trusted=True)
    answer = browser.authorize(client, response_mode="form_post")
    assert answer.status == 200
    fields = form_of(answer)
    assert set(fields) == {"code", "state", "iss"}
    assert (fields["state"], fields["iss"]) == (STATE, provider.issuer)
    assert provider.redeem(client, fields["code"]).status == 200
    assert set(form_of(browser.authorize(client, response_mode="form_post", state=None))) == {"code", "iss"}


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_after_a_consent_and_a_refusal_it_is_a_form_as_well(
    browser: Browser, provider: Provider, ada: User, method: str
) -> None:
    browser.sign_in(ada)
    client = provider.client()

    def page() -> str:
        answer = browser.authorize(client, response_mode="form_post", method=method)
        return page_of(browser.get(answer.location) if method == "POST" else answer, "/consent")

    assert set(form_of(browser.decide(page(), "cancel"))) == {"error", "error_description", "state", "iss"}
    assert set(form_of(browser.allow(page()))) == {"code", "state", "iss"}


ERRORS: list[tuple[dict[str, Any], str]] = [
    ({"prompt": "none"}, "login_required"),
    ({"scope": "unknown"}, "invalid_scope"),
    ({"response_type": "token"}, "unsupported_response_type"),
    ({"code_challenge": None}, "invalid_request"),
    ({"resource": "https://x.example"}, "invalid_target"),
    ({"request": "a.b.c"}, "invalid_request_object"),
    ({"claims": "{"}, "invalid_request"),
]


@pytest.mark.parametrize("changes, error", ERRORS, ids=[row[1] + str(sorted(row[0])) for row in ERRORS])
def test_errors_are_posted_too(browser: Browser, provider: Provider, changes: dict[str, Any], error: str) -> None:
    fields = form_of(browser.authorize(provider.client(), response_mode="form_post", **changes))
    assert fields.pop("error_description")
    assert fields == {"error": error, "state": STATE, "iss": provider.issuer}


@pytest.mark.parametrize("state", [
    '"><script>alert(1)</script>', "'&amp;&lt;&#34;", "{{ 7*7 }}", "한국어 + %25 %00", "a b\tc",
    "</form><form action=//evil>", "=&?#",
])  # fmt: skip
def test_a_state_is_text_and_never_markup(browser: Browser, provider: Provider, ada: User, state: str) -> None:
    browser.sign_in(ada)
    for prompt in (None, "none"):
        answer = browser.authorize(
            provider.client(is_trusted=True), response_mode="form_post", state=state, prompt=prompt
        )
        assert form_of(answer)["state"] == state
        assert len(elements(answer, "script")) == 1
        assert "alert(1)</script>" not in answer.text


def test_a_registered_query_stays_in_the_address(browser: Browser, provider: Provider, ada: User) -> None:
    browser.sign_in(ada)
    uri = REDIRECT_URI + "?tenant=a&b=%22%3E"
    client = provider.client(is_trusted=True, redirect_uris=(uri,))
    fields = form_of(browser.authorize(client, response_mode="form_post", redirect_uri=uri), uri)
    assert set(fields) == {"code", "state", "iss"}


def test_the_policy_lets_this_one_script_run_and_nothing_else(browser: Browser, provider: Provider, ada: User) -> None:
    browser.sign_in(ada)
    answer = browser.authorize(provider.client(is_trusted=True), response_mode="form_post")
    (script,) = elements(answer, "script")
    assert script.attributes == {}
    inner = answer.text.partition("<script>")[2].partition("</script>")[0]
    digest = base64.b64encode(hashlib.sha256(inner.encode()).digest()).decode()
    policy = policy_of(answer)
    assert policy["script-src"] == [f"'sha256-{digest}'"]
    assert policy["default-src"] == ["'none'"]
    assert policy["frame-ancestors"] == ["'none'"]
    assert "form-action" not in policy, "it goes to the application, and on to wherever that redirects"
    (form,) = elements(answer, "form")
    assert inner == f"document.getElementById('{form.get('id')}').submit()"
    assert not any(name.startswith("on") for element in Document(answer.text).elements for name in element.attributes)


def test_no_other_page_runs_a_script_of_its_own(browser: Browser, provider: Provider) -> None:
    login = browser.get(page_of(browser.authorize(provider.client()), "/login"))
    origin = provider.services.settings.origin
    assert policy_of(login)["script-src"] == [f"{origin}/static/site.js", f"{origin}/static/passkeys.js"]
    pages = [
        browser.authorize(provider.client(), client_id="unknown"),
        browser.authorize(provider.client(is_vouched=False), response_mode="form_post", scope="unknown"),
    ]
    for page in pages:
        assert "script-src" not in policy_of(page)
        assert elements(page, "script") == []


def test_without_scripts_a_button_posts_the_same_form(browser: Browser, provider: Provider, ada: User) -> None:
    browser.sign_in(ada)
    answer = browser.authorize(provider.client(is_trusted=True), response_mode="form_post")
    (button,) = [element for element in elements(answer, "button") if element.inside("form")]
    assert button.get("type") in ("", "submit")
    assert "name" not in button, "or it would be one more field"
    assert button.text == "Continue"
    assert "app.example.com" in Document(answer.text).elements[0].text + answer.text
    korean = browser.authorize(
        provider.client(is_trusted=True), response_mode="form_post", headers={"Accept_Language": "ko"}
    )
    assert [element.text for element in elements(korean, "button") if element.inside("form")] == ["계속"]


def test_nothing_of_the_answer_is_kept_or_told_on(browser: Browser, provider: Provider, ada: User) -> None:
    browser.sign_in(ada)
    answer = browser.authorize(provider.client(is_trusted=True), response_mode="form_post")
    assert answer.header("Cache-Control") == "no-store"
    assert answer.header("Referrer-Policy") == "no-referrer"
    assert answer.header("X-Content-Type-Options") == "nosniff"
    assert answer.header("Access-Control-Allow-Origin") is None
    assert (answer.header("Content-Type") or "").startswith("text/html")


@pytest.mark.parametrize("changes", [{"prompt": "none"}, {"scope": "unknown"}, {"code_challenge": None}])
def test_a_client_that_nobody_vouched_for_gets_nothing_posted_by_itself(
    browser: Browser, provider: Provider, changes: dict[str, Any]
) -> None:
    """The person decides to go back, by the button of a form that has no script."""
    client = provider.client("none", is_vouched=False)
    answer = browser.authorize(client, response_mode="form_post", **changes)
    refusal_of(answer)
    fields = form_of(answer)
    assert (fields["state"], fields["iss"]) == (STATE, provider.issuer)
    assert fields["error"] == {"prompt": "login_required", "scope": "invalid_scope"}.get(
        next(iter(changes)), "invalid_request"
    )
    (button,) = [element for element in elements(answer, "button") if element.inside("form")]
    assert button.text == "Back to app.example.com"
    assert "form-action" not in policy_of(answer)


def test_the_right_answer_of_such_a_client_follows_the_persons_decision(
    browser: Browser, provider: Provider, ada: User
) -> None:
    browser.sign_in(ada)
    client = provider.client("none", is_vouched=False)
    page = page_of(browser.authorize(client, response_mode="form_post"), "/consent")
    assert set(form_of(browser.allow(page))) == {"code", "state", "iss"}


def test_an_applications_own_scheme_gets_no_form(browser: Browser, provider: Provider, ada: User) -> None:
    browser.sign_in(ada)
    uri = "com.example.app:/callback"
    client = provider.client("none", redirect_uris=(uri,), application_type="native", is_trusted=True)
    answer = browser.authorize(client, redirect_uri=uri, response_mode="form_post")
    assert answer.status == 303
    assert answer.location.startswith(uri + "?error=invalid_request&")


@pytest.mark.parametrize("mode", ["form_post.jwt", "fragment", ["form_post", "form_post"], ["query", "form_post"]])
def test_the_error_of_an_uncertain_mode_goes_into_the_query(browser: Browser, provider: Provider, mode: Any) -> None:
    answer = browser.authorize(provider.client(), response_mode=mode)
    assert answer.status == 303
    assert answer.location.startswith(REDIRECT_URI + "?error=invalid_request&")


def test_who_only_looks_ahead_gets_no_code(browser: Browser, provider: Provider, ada: User) -> None:
    browser.sign_in(ada)
    client = provider.client(is_trusted=True)
    for method, headers in (("HEAD", {}), ("GET", {"Sec_Purpose": "prefetch;prerender"})):
        answer = browser.authorize(client, method=method, response_mode="form_post", headers=headers)
        assert answer.status == 204
        assert answer.body == b""
