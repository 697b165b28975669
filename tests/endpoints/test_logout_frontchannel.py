"""Front-channel logout: the page that says goodbye loads an address of each application (Front-Channel Logout 1.0)."""

from __future__ import annotations

import html
from urllib.parse import parse_qsl, urlsplit

import pytest
from sqlalchemy import Engine

from provider.accounts.users import User
from provider.protocol.client import ClientDetails
from tests.endpoints.browsing import Browser, code_of
from tests.endpoints.provider import KnownClient, Provider, ProviderFactory, claims_of
from tests.endpoints.test_logout import BYE, SIGNED_OUT, hint_of, is_signed_in, logout
from tests.endpoints.test_logout_confirmation import confirm
from tests.endpoints.wsgi import Answer
from tests.pages.document import Document

FRAME = "https://app.example.com:8443/front?a=1"


@pytest.fixture
def browser(sqlite_engine: Engine, make_provider: ProviderFactory) -> Browser:
    return Browser(make_provider(sqlite_engine))


@pytest.fixture
def provider(browser: Browser) -> Provider:
    return browser.provider


@pytest.fixture
def ada(provider: Provider) -> User:
    return provider.user()


def application(provider: Provider, frame: str | None = FRAME, *, subject_type: str = "public") -> KnownClient:
    details = ClientDetails(frontchannel_logout_uri=frame, subject_type=subject_type)
    return provider.client(is_trusted=True, post_logout_redirect_uris=(BYE,), details=details)


def frames_of(answer: Answer) -> list[str]:
    assert answer.status == 200, (answer.status, answer.headers)
    assert answer.header("Location") is None
    return [element.get("src") for element in Document(answer.text).all("iframe")]


def refresh_of(answer: Answer) -> str:
    (meta,) = [item for item in Document(answer.text).all("meta") if item.get("http-equiv") == "refresh"]
    seconds, _, target = meta.get("content").partition("; url=")
    assert 1 <= int(seconds) <= 10
    return target


@pytest.mark.parametrize("subject_type", ["public", "pairwise"])
def test_the_page_loads_the_registered_address_with_issuer_and_session(
    browser: Browser, provider: Provider, ada: User, subject_type: str
) -> None:
    hint = hint_of(browser, ada, application(provider, subject_type=subject_type))
    answer = logout(browser, id_token_hint=hint, post_logout_redirect_uri=BYE, state="a b&'\"")
    (frame,) = frames_of(answer)
    assert frame.startswith(FRAME + "&")
    added = dict(parse_qsl(urlsplit(frame).query))
    assert added == {"a": "1", "iss": provider.issuer, "sid": claims_of(hint)["sid"]}
    assert not is_signed_in(browser)
    assert "mcp_session_8000" not in browser.cookies
    assert answer.header("Cache-Control") == "no-store"
    assert answer.header("Clear-Site-Data") == '"cache", "storage"'


def test_the_page_leads_on_by_itself_and_by_a_link(browser: Browser, provider: Provider, ada: User) -> None:
    hint = hint_of(browser, ada, application(provider))
    answer = logout(browser, id_token_hint=hint, post_logout_redirect_uri=BYE, state="a b&'\"")
    target = BYE + "?state=a%20b%26%27%22"
    assert refresh_of(answer) == target
    links = [item for item in Document(answer.text).all("a") if item.get("href") == target]
    assert [link.text for link in links] == ["Back to app.example.com"]
    assert "<script" not in answer.text


def test_only_the_applications_origins_may_be_framed(browser: Browser, provider: Provider, ada: User) -> None:
    hint = hint_of(browser, ada, application(provider))
    for uri in ("https://other.example/out", "https://other.example/out2"):
        browser.authorize(application(provider, uri))
    answer = logout(browser, id_token_hint=hint)
    policy = dict(item.partition(" ")[::2] for item in (answer.header("Content-Security-Policy") or "").split("; "))
    assert policy["frame-src"] == "https://app.example.com:8443 https://other.example"
    assert policy["default-src"] == "'none'"
    assert policy["frame-ancestors"] == "'none'"
    assert answer.header("Referrer-Policy") == "no-referrer"
    assert len(frames_of(answer)) == 3
    for frame in Document(answer.text).all("iframe"):
        assert set(frame.get("sandbox").split()) == {"allow-scripts", "allow-same-origin"}, "it could lead us elsewhere"


@pytest.mark.parametrize("scope, told", [("openid", True), ("openid email offline_access", True), (None, False)])
def test_only_applications_that_got_an_id_token_in_this_session_are_loaded(
    browser: Browser, provider: Provider, ada: User, scope: str | None, told: bool
) -> None:
    provider.resource()
    hint = hint_of(browser, ada, application(provider, None))
    asks = {"scope": scope} if scope else {"scope": "notes:read", "resource": "https://api.example.com/mcp"}
    code_of(browser.authorize(application(provider), **asks))
    elsewhere = Browser(provider)
    hint_of(elsewhere, ada, application(provider, "https://elsewhere.example/out"))
    answer = logout(browser, id_token_hint=hint, post_logout_redirect_uri=BYE)
    assert (len(frames_of(answer)) == 1) if told else (answer.location == BYE)


def test_without_such_applications_nothing_comes_in_between(browser: Browser, provider: Provider, ada: User) -> None:
    hint = hint_of(browser, ada, application(provider, None))
    assert logout(browser, id_token_hint=hint, post_logout_redirect_uri=BYE).location == BYE


def test_one_address_of_two_applications_is_loaded_once(browser: Browser, provider: Provider, ada: User) -> None:
    hint = hint_of(browser, ada, application(provider))
    browser.authorize(application(provider))
    assert len(frames_of(logout(browser, id_token_hint=hint))) == 1


def test_a_disabled_application_is_not_loaded(browser: Browser, provider: Provider, ada: User) -> None:
    client = application(provider)
    hint_of(browser, ada, client)
    with provider.begin() as tx:
        provider.services.clients.set_active(tx, provider.origin, client.client_id, False)
    assert confirm(browser, "/sign-out").location == SIGNED_OUT


@pytest.mark.parametrize("language, words", [("en", "You are signed out."), ("ko", "로그아웃했습니다.")])
def test_the_sign_out_page_does_the_same_and_leads_to_our_own_page(
    browser: Browser, provider: Provider, ada: User, language: str, words: str
) -> None:
    hint_of(browser, ada, application(provider))
    browser.cookies["mcp_locale_8000"] = language
    answer = confirm(browser, "/sign-out")
    assert len(frames_of(answer)) == 1
    assert Document(answer.text).one("h1").text == words
    assert refresh_of(answer) == SIGNED_OUT
    assert not is_signed_in(browser)
    assert "mcp_session_8000" not in browser.cookies
    assert html.unescape(answer.text).count("evil") == 0


def test_ending_a_session_that_is_over_loads_nothing_again(browser: Browser, provider: Provider, ada: User) -> None:
    hint = hint_of(browser, ada, application(provider))
    kept = dict(browser.cookies)
    assert frames_of(logout(browser, id_token_hint=hint))
    browser.cookies = kept
    assert logout(browser, id_token_hint=hint).location == SIGNED_OUT


def test_the_metadata_announces_what_is_there(provider: Provider) -> None:
    said = provider.get("/.well-known/openid-configuration").json
    for channel in ("backchannel", "frontchannel"):
        assert said[f"{channel}_logout_supported"] is True
        assert said[f"{channel}_logout_session_supported"] is True
    assert said["end_session_endpoint"] == f"{provider.issuer}/logout"
