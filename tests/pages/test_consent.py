"""The consent page says who asks, as whom, for what and where the answer goes, and is decided once (A-97, A-98)."""

from __future__ import annotations

import datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from provider.protocol.names import shown_name
from tests.pages.site import CALLBACK, LOOPBACK, SESSION, START, Account, Site, Visitor
from tests.pages.walking import HOSTILE

NATIVE = {
    "application_type": "native",
    "redirect_uris": [LOOPBACK],
    "token_endpoint_auth_method": "none",
}
UNREVIEWED, ON_THIS_DEVICE = "This app isn't reviewed by your organisation.", "A program on this device asks."


def asked(site: Site, account: Account, client: object = None, **parameters: str) -> Visitor:
    visitor = Visitor(site)
    visitor.sign_in(account)
    visitor.ask(client or site.client(), **parameters)  # type: ignore[arg-type]
    assert visitor.page.url.startswith("/consent?request="), visitor.page.text
    return visitor


def test_the_sign_in_page_names_the_application(site: Site) -> None:
    visitor = Visitor(site)
    visitor.ask(site.client())
    assert visitor.document.one("h1").text == "Sign in to continue to “Acme Files”"
    visitor.get("/login")
    assert visitor.document.one("h1").text == "Sign in"


def test_the_page_says_all_that_a_person_needs_to_decide(site: Site, ana: Account) -> None:
    site.resource()
    visitor = asked(
        site,
        ana,
        site.client(grant_types=["authorization_code", "refresh_token"]),
        scope="openid profile email offline_access reports:read",
        resource="https://reports.example/api",
    )
    text = visitor.page.text
    for words in (
        "“Acme Files” wants to use your account",
        "files.example",
        "ana (ana@example.com)",
        "Not you?",
        "Reports https://reports.example/api",
        "See who you are (your account id)",
        "See your profile: your name, user name, picture and what else you have filled in there",
        "See your e-mail address",
        "Keep this access while you are away, until you take it back",
        "Do what Reports calls “reports:read”",
        "You can take this back at any time",
    ):
        assert words in text, words
    assert "reports:write" not in text, "exactly what would be granted"
    assert UNREVIEWED not in text
    assert ON_THIS_DEVICE not in text


@pytest.mark.parametrize(
    "options, warning",
    [
        ({}, None),
        ({"is_vouched": False}, UNREVIEWED),
        (NATIVE, ON_THIS_DEVICE),
        ({**NATIVE, "is_vouched": False}, ON_THIS_DEVICE),
    ],
)
def test_unreviewed_and_local_applications_come_with_a_warning(
    site: Site, ana: Account, options: dict[str, Any], warning: str | None
) -> None:
    visitor = asked(site, ana, site.client(**options))
    shown = [text for text in (UNREVIEWED, ON_THIS_DEVICE) if text in visitor.page.text]
    assert shown == ([warning] if warning else [])


def test_allow_and_cancel_are_alike(site: Site, ana: Account) -> None:
    visitor = asked(site, ana)
    buttons = [button for button in visitor.document.all("button") if button.get("name") == "decision"]
    assert [(button.get("value"), button.text) for button in buttons] == [("cancel", "Cancel"), ("allow", "Allow")]
    assert len({button.get("class") for button in buttons}) == 1
    assert not any("autofocus" in button for button in buttons)


@pytest.mark.parametrize(
    "name",
    [
        HOSTILE,
        "<b>Bank</b>",
        "&lt;b&gt;",
        "{{ config }}",
        "%(host)s %s %",
        "\u202egnp.exe",
        "A" * 255,
        "\"'><svg/onload=x>",
    ],
)
def test_a_name_is_shown_as_it_is_and_does_nothing(site: Site, ana: Account, name: str) -> None:
    visitor = asked(site, ana, site.client(name))
    heading = visitor.document.one("h1")
    assert heading.text == " ".join(f"“{shown_name(name)}” wants to use your account".split())
    inside = [element for element in visitor.document.elements if heading in element.parents]
    assert [(element.tag, element.text) for element in inside] == [("bdi", " ".join(shown_name(name).split()))]
    assert not [tag for tag in ("svg", "b") if visitor.document.all(tag)]
    assert [str(it.get("src")).partition("?")[0] for it in visitor.document.all("script")] == ["/static/site.js"]


SENTENCE = "Your session is over. Sign in again at bank.example"
WHERE = {
    "https": ({}, "files.example wants to use your account", "Sign in to continue to files.example"),
    "a document": (
        {
            "client_id": "https://maker.example/client.json",
            "kind": "metadata_document",
            "document_fresh_until": START + datetime.timedelta(days=1),
        },
        "maker.example wants to use your account",
        "Sign in to continue to maker.example",
    ),
    "this device": (
        NATIVE,
        "A program on this device wants to use your account",
        "Sign in to continue to a program on this device",
    ),
    "a scheme of its own": (
        {**NATIVE, "redirect_uris": ["com.example.app:/cb"]},
        "A program on this device wants to use your account",
        "Sign in to continue to a program on this device",
    ),
}


@pytest.mark.parametrize("options, asks, signs_in", WHERE.values(), ids=WHERE)
def test_what_nobody_vouches_for_is_named_by_what_proves_itself(
    site: Site, ana: Account, options: dict[str, object], asks: str, signs_in: str
) -> None:
    """Its own words stand below, as its own words, and never in a heading or a title."""
    client = site.client(SENTENCE, is_vouched=False, **options)
    own_words = f"It calls itself “{shown_name(SENTENCE)}”."
    uri = client.redirect_uris[0]
    visitor = Visitor(site)
    visitor.ask(client, redirect_uri=uri)
    for heading in (signs_in, asks):
        assert visitor.document.one("h1").text == heading
        assert own_words in visitor.page.text
        assert "Your session" not in visitor.document.one("title").text
        visitor.sign_in(ana, visitor.page.url)
        visitor.follow()
    visitor.post(visitor.page.url, {"decision": "allow"})
    visitor.follow()
    visitor.get("/account/apps")
    assert own_words in visitor.page.text
    visitor.ask(client, redirect_uri=uri, scope="nonsense")
    assert (visitor.page.status, "Your session" in visitor.document.one("h1").text) == (400, False)
    assert own_words in visitor.page.text


def test_a_hostile_scope_is_shown_as_text(site: Site, ana: Account) -> None:
    scope = "x<script>alert(1)</script>&{{7*7}}"
    site.resource(scope=(scope,))
    visitor = asked(site, ana, scope=scope, resource="https://reports.example/api")
    assert f"Do what Reports calls “{scope}”" in visitor.page.text
    assert "<script>" not in visitor.page.html


DESCRIBED = {
    "reports:read": {"en": "Read <b>your</b> reports", "ko": "내 보고서 읽기"},
    "reports:write": {"en": "Change your reports"},
    "reports:send": {"ko": "내 보고서 보내기"},
}


@pytest.mark.parametrize(
    "language, sentences",
    [
        ("en", ["Read <b>your</b> reports", "Change your reports", "Do what Reports calls “reports:send”"]),
        ("ko", ["내 보고서 읽기", "Change your reports", "내 보고서 보내기"]),
    ],
)
def test_scopes_are_described_in_the_words_of_the_operator_and_the_language_of_the_reader(
    site: Site, ana: Account, language: str, sentences: list[str]
) -> None:
    site.resource(scope=tuple(DESCRIBED), descriptions=DESCRIBED)
    visitor = asked(site, ana, scope=" ".join(DESCRIBED), resource="https://reports.example/api", ui_locales=language)
    assert [item.text for item in visitor.document.all("li") if item.text in sentences] == sentences
    visitor.post(visitor.page.url, {"decision": "allow"})
    visitor.follow()
    visitor.get("/account/apps")
    assert DESCRIBED["reports:write"]["en"] in visitor.page.text


def test_cancel_goes_back_to_the_application_and_allow_gives_a_code(site: Site, ana: Account) -> None:
    client = site.client()
    visitor = asked(site, ana, client)
    visitor.post(visitor.page.url, {"decision": "cancel"})
    target, answer = visitor.to.partition("?")[0], parse_qs(urlsplit(visitor.to).query)
    assert (visitor.page.status, target) == (303, CALLBACK)
    assert answer["error"] == ["access_denied"]
    assert (answer["state"], answer["iss"]) == (["a state"], [site.settings.issuer])
    visitor.ask(client)
    visitor.post(visitor.page.url, {"decision": "allow"})
    visitor.follow()
    assert visitor.to.startswith(f"{CALLBACK}?code=")


@pytest.mark.parametrize("decision", ["", "yes", "Allow", "deny"])
def test_anything_else_is_no_decision(site: Site, ana: Account, decision: str) -> None:
    visitor = asked(site, ana)
    visitor.post(visitor.page.url, {"decision": decision})
    visitor.follow()
    assert visitor.page.url.startswith("/consent?request="), "it is asked again"
    assert site.rows("authorization_codes", "consents") == {"authorization_codes": [], "consents": []}


def test_a_decision_is_used_once(site: Site, ana: Account) -> None:
    visitor = asked(site, ana)
    page = visitor.page.url
    visitor.post(page, {"decision": "allow"})
    resume = visitor.to
    visitor.follow()
    assert visitor.to.startswith(f"{CALLBACK}?code=")
    landed = visitor.to
    visitor.post(page, {"decision": "allow"})
    visitor.follow()
    assert visitor.to == landed, "the same code"
    site.later(seconds=site.settings.code_seconds)
    assert visitor.get(resume).status == 400
    assert len(site.rows("authorization_codes")["authorization_codes"]) == 1


def test_a_decision_of_another_session_counts_for_nothing(site: Site, ana: Account) -> None:
    """Ana allows, and before the code is made somebody else signs in on the same browser."""
    erin = site.account("erin")
    visitor = asked(site, ana)
    page = visitor.page.url
    visitor.post(page, {"decision": "allow"})
    resume = visitor.to
    other = Visitor(site)
    other.sign_in(erin)
    visitor.set_cookie(SESSION, other.cookie(SESSION))
    visitor.get(resume)
    assert visitor.follow().url.startswith("/consent?request=")
    assert "erin@example.com" in visitor.page.text


def test_fields_of_the_request_in_the_form_change_nothing(site: Site, ana: Account) -> None:
    visitor = asked(site, ana)
    extra = {"scope": "openid reports:write", "redirect_uri": "https://evil.example/", "client_id": "x", "state": "y"}
    visitor.post(visitor.page.url, {"decision": "allow", **extra})
    visitor.follow()
    assert visitor.to.startswith(f"{CALLBACK}?code=")
    assert "state=a%20state" in visitor.to or "state=a+state" in visitor.to


def test_not_you_leads_to_another_sign_in_for_the_same_request(site: Site, ana: Account) -> None:
    site.account("erin")
    visitor = asked(site, ana)
    switch = visitor.page.link("Not you?")
    assert visitor.get(switch).status == 200
    assert visitor.document.one("h1").text == "Sign in to continue to “Acme Files”"
    assert visitor.document.by_id("username").get("value") == "", "no name is filled in"
    visitor.sign_in(site.account("fred"), switch)
    assert "fred@example.com" in visitor.follow().text


def test_nobody_decides_without_a_session(site: Site, ana: Account) -> None:
    """The browser that began the request has signed out before the button is pressed."""
    visitor = asked(site, ana)
    page = visitor.page.url
    visitor.http.delete_cookie(SESSION, domain="id.example")
    before = site.rows("authorization_requests", "consents", "authorization_codes")
    for decision in ("allow", "cancel"):
        visitor.post(page, {"decision": decision})
        assert visitor.page.status == 303
        assert visitor.follow().url.startswith("/login?request=")
    assert site.rows(*before) == before


@pytest.mark.parametrize("language, warning", [
    ("en", "This opens your clouds. With them it can do in your clouds whatever they allow, at your cost."),
    ("ko", "내 클라우드에 접근할 수 있게 됩니다."),
])  # fmt: skip
def test_credentials_of_clouds_are_warned_of_in_words(site: Site, ana: Account, language: str, warning: str) -> None:
    client = site.client(scope=("openid", "cloud:credentials"))
    visitor = Visitor(site, language=language)
    visitor.sign_in(ana)
    visitor.ask(client, scope="openid cloud:credentials")
    assert warning in visitor.page.text
    bold = [it.text for it in visitor.document.all("strong")]
    assert {"en": "Get credentials of all your cloud accounts", "ko": "내 모든 클라우드 계정의 자격 증명 받기"}[
        language
    ] in bold
    visitor.post(visitor.page.url, {"decision": "allow"})
    visitor.ask(client, scope="openid cloud:credentials", prompt="consent")
    assert warning in visitor.page.text, "also where it was allowed before"
    visitor.ask(client, scope="openid")
    assert warning not in visitor.page.text


def test_a_scope_of_another_api_that_is_called_the_same_is_not_ours(site: Site, ana: Account) -> None:
    site.resource(scope=("cloud:credentials",))
    client = site.client(scope=("cloud:credentials",))
    visitor = asked(site, ana, client, scope="cloud:credentials", resource="https://reports.example/api")
    assert "This opens your clouds." not in visitor.page.text
    assert "Do what Reports calls “cloud:credentials”" in visitor.page.text
