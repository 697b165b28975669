"""From the setup link to a signed-in application and out again, by forms alone, on each database."""

from __future__ import annotations

import pytest

from tests.browser import Browser
from tests.journeys.person import Person
from tests.relying_party import RelyingParty, TokenError
from tests.serving import Server

CALLBACK = "https://files.example/callback"
SIGNED_OUT = "https://files.example/signed-out"


@pytest.fixture(scope="module")
def ana(server: Server) -> Person:
    """The first account, with a second factor."""
    person, browser = Person("ana"), Browser()
    person.set_up(browser, server.setup_link)
    person.enrol(browser)
    assert browser.get(server.setup_link).status == 404, "the link works once"
    return person


@pytest.fixture(scope="module")
def party(server: Server) -> RelyingParty:
    made = server.mcp_core_json(
        *("client", "create", "--name", "Acme Files", "--redirect-uri", CALLBACK),
        *("--post-logout-redirect-uri", SIGNED_OUT, "--scope", "openid profile email"),
    )
    return RelyingParty(server.issuer, made["client_id"], CALLBACK, made["client_secret"])


def test_a_person_signs_in_to_an_application_with_two_factors_and_out_again(
    server: Server, ana: Person, party: RelyingParty
) -> None:
    browser = Browser("https://files.example/")
    login = browser.get(party.authorization_url())
    assert "Acme Files" in login.text
    consent = ana.sign_in(browser)
    assert consent.path == "/consent"
    assert "Acme Files" in consent.text
    assert "files.example" in consent.text
    assert ana.email in consent.text
    answer = browser.submit(consent.form(action="/consent"), button="allow")
    assert all(status in (302, 303) for status, _ in answer.trail)
    tokens = party.redeem(party.code_from(answer.url))
    assert tokens.claims["amr"] == ["pwd", "otp", "mfa"]
    assert tokens.claims["acr"] == "urn:mcp-core:two-factor"
    profile = party.userinfo(tokens)
    assert (profile["preferred_username"], profile["email"]) == ("ana", ana.email)
    assert party.introspect(tokens.access_token)["active"] is True

    # The second time nothing is asked: the session is there, and so is the consent.
    again = browser.get(party.authorization_url())
    assert party.code_from(again.url)
    assert not {"/login", "/consent"} & {
        url.split("?")[0].rpartition(":")[2].lstrip("0123456789") for _, url in again.trail
    }

    assert tokens.id_token is not None
    page = browser.get(party.logout_url(tokens.id_token, SIGNED_OUT))
    if page.status:
        page = browser.submit(page.form(action="/sign-out"))
    assert page.url == f"{SIGNED_OUT}?state={party.state}"
    assert browser.get(party.authorization_url()).path == "/login", "the session is over"


def test_cancel_tells_the_application_that_access_was_denied(server: Server, ana: Person, party: RelyingParty) -> None:
    browser = Browser("https://files.example/")
    browser.get(party.authorization_url(prompt="consent"))
    page = ana.sign_in(browser)
    page = browser.submit(page.form(action="/consent"), button="cancel")
    answer = party.read_answer(page.url)
    assert answer["error"] == "access_denied"
    assert "code" not in answer


def test_a_code_works_once_and_a_second_try_revokes_what_it_gave(server: Server, party: RelyingParty) -> None:
    person = Person("bora")
    server.user(person.username, person.password, "--verified")
    page = person.answer(Browser("https://files.example/"), party.authorization_url(scope="openid offline_access"))
    code = party.code_from(page.url)
    tokens = party.redeem(code)
    assert tokens.refresh_token is not None
    with pytest.raises(TokenError) as refusal:
        party.redeem(code)
    assert refusal.value.error == "invalid_grant"
    assert party.introspect(tokens.access_token) == {"active": False}
    with pytest.raises(TokenError) as refusal:
        party.refresh(tokens.refresh_token)
    assert refusal.value.error == "invalid_grant"


def test_a_disabled_user_loses_sessions_and_tokens_at_once(server: Server, party: RelyingParty) -> None:
    person, browser = Person("cyrus"), Browser("https://files.example/")
    server.user(person.username, person.password, "--verified")
    page = person.answer(browser, party.authorization_url(scope="openid offline_access"))
    tokens = party.redeem(party.code_from(page.url))
    assert tokens.refresh_token is not None
    server.mcp_core("user", "disable", "cyrus")
    assert party.introspect(tokens.access_token) == {"active": False}
    with pytest.raises(TokenError) as refusal:
        party.refresh(tokens.refresh_token)
    assert refusal.value.error == "invalid_grant"
    assert browser.get(party.authorization_url()).path == "/login"
