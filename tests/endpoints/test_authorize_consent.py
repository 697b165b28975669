"""Consent: what is shown is what is granted, to this session, for this request, once; and who is asked again."""

from __future__ import annotations

import html
from typing import Any

import pytest
from sqlalchemy import Engine, update

from database.models import AuthorizationCode, Consent, GrantRecord
from database.models import Client as ClientRow
from provider.accounts.users import User
from provider.protocol.client import ClientDetails
from provider.protocol.names import shown_name
from tests.endpoints.browsing import STATE, Browser, code_of, error_of, fields_of, page_of, refusal_of
from tests.endpoints.provider import API, REDIRECT_URI, KnownClient, Provider, ProviderFactory

LOOPBACK = "http://127.0.0.1/callback"
SCHEME = "com.example.notes:/callback"


@pytest.fixture
def browser(sqlite_engine: Engine, make_provider: ProviderFactory) -> Browser:
    return Browser(make_provider(sqlite_engine))


@pytest.fixture
def provider(browser: Browser) -> Provider:
    return browser.provider


@pytest.fixture
def ada(provider: Provider) -> User:
    return provider.user()


def consent_page(browser: Browser, client: KnownClient, **changes: Any) -> str:
    return page_of(browser.authorize(client, **changes), "/consent")


def test_allowing_gives_a_code_for_exactly_what_was_shown(browser: Browser, ada: User) -> None:
    browser.sign_in(ada)
    client = browser.provider.client()
    page = consent_page(browser, client, scope="openid email unknown")
    tokens = browser.provider.redeem(client, code_of(browser.allow(page))).json
    assert tokens["scope"] == "openid email"
    (grant,), (consent,) = browser.provider.rows(GrantRecord), browser.provider.rows(Consent)
    assert (grant["scope"], grant["consent_id"], grant["user_id"]) == ("openid email", consent["id"], ada.id)
    assert [event["outcome"] for event in browser.provider.events("consent.given")] == ["ok"]


def test_cancelling_is_told_to_the_application(browser: Browser, ada: User) -> None:
    browser.sign_in(ada)
    client = browser.provider.client(is_vouched=False)
    page = consent_page(browser, client)
    answer = browser.decide(page, "cancel")
    assert error_of(answer) == "access_denied"
    assert (fields_of(answer)["iss"], fields_of(answer)["state"]) == (browser.provider.issuer, STATE)
    assert answer.status == 303
    assert browser.get(page).status == 400
    assert browser.provider.rows(GrantRecord) == browser.provider.rows(Consent) == []
    assert [event["outcome"] for event in browser.provider.events("consent.denied")] == ["denied"]


@pytest.mark.parametrize("decision", ["", "maybe", "ALLOW"])
def test_anything_but_allow_and_cancel_decides_nothing(browser: Browser, ada: User, decision: str) -> None:
    browser.sign_in(ada)
    page = consent_page(browser, browser.provider.client())
    answer = browser.decide(page, decision)
    assert page_of(browser.get(answer.location), "/consent") == page


def test_what_the_post_says_beside_the_decision_has_no_effect(browser: Browser, ada: User) -> None:
    browser.sign_in(ada)
    client = browser.provider.client(redirect_uris=(REDIRECT_URI, "https://app.example.com/other"))
    page = consent_page(browser, client, scope="openid")
    changed = {
        "scope": "openid email offline_access",
        "redirect_uri": "https://app.example.com/other",
        "client_id": "app_other",
        "state": "other",
        "resource": API,
        "user_id": "other",
        "request": "other",
    }
    answer = browser.get(browser.decide(page, "allow", **changed).location)
    assert browser.provider.redeem(client, code_of(answer)).json["scope"] == "openid"


def test_a_consent_is_used_once(browser: Browser, ada: User) -> None:
    browser.sign_in(ada)
    client = browser.provider.client()
    page = consent_page(browser, client)
    resumed = browser.decide(page, "allow").location
    code = code_of(browser.get(resumed))
    assert code_of(browser.get(resumed)) == code, "the second click of a double one"
    browser.provider.redeem(client, code)
    for again in (resumed, page):
        assert browser.get(again).status == 400
    assert len(browser.provider.rows(AuthorizationCode)) == 1


def test_a_consent_counts_for_the_request_it_was_given_to(browser: Browser, ada: User) -> None:
    browser.sign_in(ada)
    client = browser.provider.client("none", redirect_uris=(LOOPBACK,), application_type="native", is_vouched=False)
    pages = [consent_page(browser, client, redirect_uri=LOOPBACK, state=state) for state in ("one", "two")]
    browser.decide(pages[0], "allow")
    assert page_of(browser.get(f"/oauth/authorize/{pages[1].partition('=')[2]}"), "/consent") == pages[1]


def test_a_consent_of_another_person_or_session_does_not_count(browser: Browser, ada: User) -> None:
    browser.sign_in(ada)
    client = browser.provider.client()
    page = consent_page(browser, client)
    resumed = browser.decide(page, "allow").location
    mine = browser.cookies["mcp_session_8000"]
    browser.provider.clock.advance(1)
    browser.sign_in(browser.provider.user("bob"))  # in the same browser, before the answer was fetched
    assert page_of(browser.get(resumed), "/consent") == page
    browser.cookies.pop("mcp_session_8000")
    page_of(browser.get(resumed), "/login")
    browser.sign_in(ada)  # a new session of the same person
    page_of(browser.get(resumed), "/consent")
    browser.cookies["mcp_session_8000"] = mine
    code_of(browser.get(resumed))


def test_another_browser_finds_no_request_behind_the_handle(browser: Browser, ada: User) -> None:
    browser.sign_in(ada)
    page = consent_page(browser, browser.provider.client())
    thief = Browser(browser.provider)
    thief.sign_in(ada)
    handle = page.partition("=")[2]
    for path in (page, f"/login?request={handle}", f"/oauth/authorize/{handle}"):
        assert thief.get(path).status == 400
    assert browser.get(page).status == 200


def test_a_form_from_elsewhere_decides_nothing(browser: Browser, ada: User) -> None:
    browser.sign_in(ada)
    page = consent_page(browser, browser.provider.client())
    for headers in ({"Sec_Fetch_Site": "cross-site"}, {"Origin": "null"}):
        assert browser.post(page, {"decision": "allow", "csrf_token": "x"}, **headers).status in (400, 403)
    again = browser.post(page, {"decision": "allow", "csrf_token": "x"}, Sec_Fetch_Site="same-origin")
    assert (again.status, "This page was out of date" in again.text) == (200, True)
    assert page_of(browser.get(f"/oauth/authorize/{page.partition('=')[2]}"), "/consent") == page


def test_a_request_waits_no_longer_than_it_may(browser: Browser, ada: User) -> None:
    browser.sign_in(ada)
    page = consent_page(browser, browser.provider.client())
    browser.provider.clock.advance(1799)
    assert browser.get(page).status == 200
    browser.provider.clock.advance(1)
    assert browser.get(page).status == 400
    assert browser.get(f"/oauth/authorize/{page.partition('=')[2]}").status == 400


def test_the_page_says_who_asks_for_what_and_escapes_it(browser: Browser, ada: User) -> None:
    browser.provider.resource(name="Notes <API>")
    browser.sign_in(ada)
    client = browser.provider.client("none", name='<script>alert("x")</script>', is_vouched=False)
    shown = browser.get(consent_page(browser, client, resource=API, scope="notes:read openid")).text
    assert "<script>alert" not in shown
    assert "<API>" not in shown
    for words in (
        f'“<bdi class="said">{shown_name(client.client.name)}</bdi>”',
        "app.example.com",
        "Notes <API>",
        API,
        "notes:read",
        "ada",
        "isn't reviewed",
    ):
        assert words in html.unescape(shown).replace("’", "'"), words


def test_the_page_warns_of_programs_on_this_device(browser: Browser, ada: User) -> None:
    browser.sign_in(ada)
    client = browser.provider.client("none", redirect_uris=(LOOPBACK,), application_type="native")
    assert "A program on this device asks." in browser.get(consent_page(browser, client, redirect_uri=LOOPBACK)).text


@pytest.mark.parametrize(
    "asked, is_admin, granted",
    [
        ("notes:read notes:admin", True, "notes:read notes:admin"),
        ("notes:read notes:admin", False, "notes:read"),
        ("notes:admin", True, "notes:admin"),
        ("notes:admin", False, None),
    ],
)
def test_admin_scopes_are_shown_and_granted_to_administrators_alone(
    browser: Browser, asked: str, is_admin: bool, granted: str | None
) -> None:
    browser.provider.resource(scope=("notes:read", "notes:admin"), admin_scope=("notes:admin",))
    client = browser.provider.client()
    page = page_of(browser.authorize(client, resource=API, scope=asked), "/login")
    assert browser.get(page).status == 200
    browser.provider.clock.advance(5)
    browser.sign_in(browser.provider.user(is_admin=is_admin))
    answer = browser.get(f"/oauth/authorize/{page.partition('=')[2]}")
    if granted is None:
        assert error_of(answer) == "invalid_scope"
        return
    consent = page_of(answer, "/consent")
    shown = browser.get(consent).text
    assert ("notes:admin" in shown) is ("notes:admin" in granted)
    assert browser.provider.redeem(client, code_of(browser.allow(consent))).json["scope"] == granted


CLIENTS: list[tuple[str, dict[str, Any], bool, bool]] = [  # kind, client, asked the first time, asked the second time
    ("trusted", {"is_trusted": True}, False, False),
    ("vouched", {}, True, False),
    ("vouched and public", {"method": "none"}, True, False),
    ("unvouched", {"is_vouched": False, "kind": "dynamic", "method": "none"}, True, False),
    ("unvouched on this device", {"is_vouched": False, "method": "none", "redirect_uris": (LOOPBACK,)}, True, True),
    ("unvouched on this device, with a secret", {"is_vouched": False, "redirect_uris": (LOOPBACK,)}, True, True),
    ("vouched on this device", {"method": "none", "redirect_uris": (LOOPBACK,)}, True, True),
    ("vouched, of its own scheme", {"method": "none", "redirect_uris": (SCHEME,)}, True, True),
    ("unvouched, of its own scheme", {"is_vouched": False, "method": "none", "redirect_uris": (SCHEME,)}, True, True),
    ("vouched on this device, with a secret", {"redirect_uris": (LOOPBACK,)}, True, False),
    ("vouched on this device, with a key", {"method": "private_key_jwt", "redirect_uris": (LOOPBACK,)}, True, False),
    (
        "vouched on this device, with a key or without",
        {
            "method": "private_key_jwt",
            "redirect_uris": (LOOPBACK,),
            "details": ClientDetails(authentication_methods=("none",)),
        },
        True,
        True,
    ),
    (
        "an editor without a period",
        {"method": "none", "redirect_uris": ("cursor://anysphere.cursor-mcp/oauth/callback",)},
        True,
        True,
    ),
    (
        "the same, and nobody vouches for it",
        {
            "is_vouched": False,
            "method": "none",
            "redirect_uris": ("kiro://kiro.oauth/callback", "https://kiro.example/cb"),
        },
        True,
        True,
    ),
    ("trusted on this device", {"is_trusted": True, "method": "none", "redirect_uris": (LOOPBACK,)}, False, False),
]


@pytest.mark.parametrize("_kind, options, first, second", CLIENTS, ids=[row[0] for row in CLIENTS])
def test_who_is_asked_the_first_and_the_second_time(
    browser: Browser, ada: User, _kind: str, options: dict[str, Any], first: bool, second: bool
) -> None:
    browser.sign_in(ada)
    client = browser.provider.client(**{"application_type": "native", **options})
    uri = client.client.redirect_uris[0]
    for is_asked in (first, second):
        answer = browser.authorize(client, redirect_uri=uri)
        if is_asked:
            answer = browser.allow(page_of(answer, "/consent"))
        code_of(answer, uri)
    silent = browser.authorize(client, redirect_uri=uri, prompt="none")
    if not second:
        code_of(silent, uri)
    elif client.client.is_vouched:
        assert error_of(silent, uri) == "consent_required"
    else:
        assert "consent_required" in refusal_of(silent)


@pytest.mark.parametrize(
    "changes, is_asked",
    [
        ({}, False),
        ({"scope": "openid"}, False),
        ({"scope": "profile openid"}, False),
        ({"scope": "openid profile email"}, True),
        ({"scope": "openid profile offline_access"}, True),
        ({"redirect_uri": "https://app.example.com/other"}, True),
        ({"resource": API, "scope": "openid"}, True),
        ({"prompt": "consent"}, True),
        ({"state": "other", "nonce": "other"}, False),
    ],
)
@pytest.mark.parametrize("is_vouched", [True, False])
def test_a_remembered_consent_covers_the_same_and_less_and_nothing_else(
    browser: Browser, ada: User, is_vouched: bool, changes: dict[str, str], is_asked: bool
) -> None:
    browser.provider.resource()
    browser.sign_in(ada)
    uris = (REDIRECT_URI, "https://app.example.com/other")
    client = browser.provider.client("none", redirect_uris=uris, is_vouched=is_vouched)
    code_of(browser.allow(consent_page(browser, client)))
    answer = browser.authorize(client, **changes)
    if is_asked:
        page_of(answer, "/consent")
    else:
        assert "code" in fields_of(answer)


def test_another_person_another_client_and_changed_metadata_are_asked_again(browser: Browser, ada: User) -> None:
    browser.sign_in(ada)
    client, other = browser.provider.client(), browser.provider.client()
    code_of(browser.allow(consent_page(browser, client)))
    consent_page(browser, other)
    with browser.provider.begin() as tx:
        tx.execute(update(ClientRow).values(name="Another name"))
    browser.provider.services.clients.invalidate(client.client_id)
    consent_page(browser, client)
    browser.sign_in(browser.provider.user("bob"))
    consent_page(browser, client)


def test_a_consent_that_was_withdrawn_is_asked_for_again(browser: Browser, ada: User) -> None:
    browser.sign_in(ada)
    client = browser.provider.client()
    code_of(browser.allow(consent_page(browser, client)))
    (consent,) = browser.provider.rows(Consent)
    with browser.provider.begin() as tx:
        assert browser.provider.services.consents.withdraw(tx, browser.provider.origin, ada.id, consent["id"])
    consent_page(browser, client)


UNVOUCHED_ERRORS = [
    ({"response_type": "token"}, "unsupported_response_type"),
    ({"code_challenge": None}, "invalid_request"),
    ({"scope": "unknown"}, "invalid_scope"),
    ({"resource": "https://other.example"}, "invalid_target"),
    ({"prompt": "none"}, "consent_required"),
    ({"prompt": "none login"}, "invalid_request"),
    ({"state": ["a", "b"]}, "invalid_request"),
]


@pytest.mark.parametrize("changes, error", UNVOUCHED_ERRORS)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_an_application_that_nobody_vouched_for_is_never_redirected_to_by_itself(
    browser: Browser, ada: User, changes: dict[str, Any], error: str, method: str
) -> None:
    browser.sign_in(ada)
    client = browser.provider.client("none", name="<Unknown>", is_vouched=False, kind="dynamic")
    answer = browser.authorize(client, method=method, **changes)
    if method == "POST" and answer.status == 303:
        answer = browser.get(answer.location)
    words = refusal_of(answer)
    assert error in words
    assert "<Unknown>" not in answer.text
    assert f'href="{REDIRECT_URI}?error={error}' in words, "a person may go back by hand"


def test_signed_out_too_it_gets_our_page(browser: Browser) -> None:
    client = browser.provider.client("none", is_vouched=False, kind="dynamic")
    assert "login_required" in refusal_of(browser.authorize(client, prompt="none"))
