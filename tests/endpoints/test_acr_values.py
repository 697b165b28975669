"""What applications wish for (``acr_values``), insist on (``claims``) or have registered, and what they get."""

from __future__ import annotations

import json
from typing import Any

import pyotp
import pytest
from sqlalchemy import Engine

from provider.accounts.users import User
from provider.protocol.client import ClientDetails
from provider.sign_in.assurance import PASSWORD, PHISHING_RESISTANT, TWO_FACTOR
from tests.endpoints.browsing import Browser, code_of, error_of, page_of
from tests.endpoints.provider import KnownClient, Provider, ProviderFactory, claims_of

PWD, OTP, KEY = ("pwd",), ("pwd", "otp", "mfa"), ("hwk", "user", "mfa")


def essential(*values: str) -> str:
    return json.dumps({"id_token": {"acr": {"essential": True, "values": values}}})


WISH = {"acr_values": TWO_FACTOR}
INSISTS = {"claims": essential(TWO_FACTOR)}


@pytest.fixture
def browser(sqlite_engine: Engine, make_provider: ProviderFactory) -> Browser:
    return Browser(make_provider(sqlite_engine))


@pytest.fixture
def provider(browser: Browser) -> Provider:
    return browser.provider


@pytest.fixture
def trusted(provider: Provider) -> KnownClient:
    return provider.client(is_trusted=True)


@pytest.fixture
def ada(provider: Provider) -> User:
    """Has a second factor."""
    services, user = provider.services, provider.user()
    with provider.begin() as tx:
        _token, session = provider.session(user)
        secret = services.totp.begin(tx, session)
        assert services.totp.confirm(tx, provider.origin, session, user, pyotp.TOTP(secret).at(provider.clock.now))
        found = services.users.find(tx, user.id)
    assert found is not None
    provider.clock.advance(60)
    return found


@pytest.fixture
def bob(provider: Provider) -> User:
    """Has a password alone."""
    return provider.user("bob")


def resumed(browser: Browser, page: str) -> Any:
    return browser.get(f"/oauth/authorize/{page.partition('=')[2]}")


def told(browser: Browser, client: KnownClient, answer: Any) -> tuple[str, list[str]]:
    """``acr`` and ``amr``, which the ID token and the access token say alike."""
    made = browser.provider.redeem(client, code_of(answer)).json
    claims = claims_of(made["id_token"])
    assert claims_of(made["access_token"])["acr"] == claims["acr"]
    return claims["acr"], claims["amr"]


def test_a_wish_asks_for_the_factor_that_the_person_has(browser: Browser, ada: User, trusted: KnownClient) -> None:
    browser.sign_in(ada, PWD)
    browser.provider.clock.advance(5)
    page = page_of(browser.authorize(trusted, **WISH), "/login/again")
    assert page_of(resumed(browser, page), "/login/again") == page, "and insists"
    browser.provider.clock.advance(5)
    browser.sign_in(ada, PWD)
    assert page_of(resumed(browser, page), "/login/again") == page, "a fresh password is no second factor"
    browser.sign_in(ada, OTP)
    assert told(browser, trusted, resumed(browser, page)) == (TWO_FACTOR, list(OTP))


@pytest.mark.parametrize("more", [{}, {"prompt": "none"}])
def test_a_wish_of_somebody_who_can_t_meet_it_is_no_reason_to_refuse(
    browser: Browser, bob: User, trusted: KnownClient, more: dict[str, str]
) -> None:
    browser.sign_in(bob, PWD)
    assert told(browser, trusted, browser.authorize(trusted, **WISH, **more)) == (PASSWORD, ["pwd"])


def test_with_prompt_none_nobody_is_asked_for_more(browser: Browser, ada: User, trusted: KnownClient) -> None:
    browser.sign_in(ada, PWD)
    assert told(browser, trusted, browser.authorize(trusted, prompt="none", **WISH)) == (PASSWORD, ["pwd"])


def test_what_is_essential_is_asked_for_or_refused(
    browser: Browser, ada: User, bob: User, trusted: KnownClient
) -> None:
    browser.sign_in(bob, PWD)
    assert error_of(browser.authorize(trusted, **INSISTS)) == "unmet_authentication_requirements"
    browser.cookies.clear()
    browser.sign_in(ada, PWD)
    assert error_of(browser.authorize(trusted, prompt="none", **INSISTS)) == "login_required"
    page = page_of(browser.authorize(trusted, **INSISTS), "/login/again")
    browser.provider.clock.advance(5)
    browser.sign_in(ada, OTP)
    assert told(browser, trusted, resumed(browser, page))[0] == TWO_FACTOR


@pytest.mark.parametrize(
    "amr, asked, said",
    [
        (KEY, {}, PHISHING_RESISTANT),
        (KEY, WISH, TWO_FACTOR),
        (KEY, INSISTS, TWO_FACTOR),
        (KEY, {"acr_values": f"phr {TWO_FACTOR}"}, PHISHING_RESISTANT),
        (OTP, {"acr_values": f"phr {TWO_FACTOR}"}, TWO_FACTOR),
        (OTP, {"acr_values": "phr"}, TWO_FACTOR),
        (OTP, {"acr_values": PASSWORD}, PASSWORD),
        (OTP, {"acr_values": "phrh 1"}, TWO_FACTOR),
        (PWD, {"acr_values": f"{PASSWORD} {TWO_FACTOR}"}, PASSWORD),
        (PWD, {"acr_values": f"{TWO_FACTOR} {PASSWORD}", "prompt": "none"}, PASSWORD),
        (PWD, {"claims": essential(TWO_FACTOR, PASSWORD), "prompt": "none"}, PASSWORD),
    ],
)
def test_a_token_says_the_level_by_the_name_that_was_asked_for(
    browser: Browser, ada: User, trusted: KnownClient, amr: tuple[str, ...], asked: dict[str, str], said: str
) -> None:
    browser.sign_in(ada, amr)
    assert told(browser, trusted, browser.authorize(trusted, **asked)) == (said, list(amr))


@pytest.mark.parametrize("wish", [{"acr_values": f"{TWO_FACTOR} {PASSWORD}"}, {"acr_values": f"phr {TWO_FACTOR}"}])
def test_the_level_liked_best_that_the_person_can_reach_is_asked_for(
    browser: Browser, ada: User, trusted: KnownClient, wish: dict[str, str]
) -> None:
    browser.sign_in(ada, PWD)
    page_of(browser.authorize(trusted, **wish), "/login/again")


def test_nobody_is_asked_for_ever(
    browser: Browser, ada: User, trusted: KnownClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who has a passkey as well and gives a code goes on with that; where only a passkey will do, the answer says so."""
    monkeypatch.setattr("provider.sign_in.proofs.has_passkey", lambda _tx, _user: True)
    browser.sign_in(ada, OTP)
    browser.provider.clock.advance(5)
    pages = [page_of(browser.authorize(trusted, **it), "/login/again") for it in (
        {"acr_values": f"phr {TWO_FACTOR}"}, {"acr_values": "phr"}, {"claims": essential("phr")},
    )]  # fmt: skip
    browser.provider.clock.advance(5)
    browser.sign_in(ada, OTP)
    assert told(browser, trusted, resumed(browser, pages[0]))[0] == TWO_FACTOR
    assert told(browser, trusted, resumed(browser, pages[1]))[0] == TWO_FACTOR
    assert error_of(resumed(browser, pages[2])) == "unmet_authentication_requirements"


def test_what_a_client_registered_is_its_wish_where_the_request_has_none(
    browser: Browser, provider: Provider, ada: User
) -> None:
    client = provider.client(is_trusted=True, details=ClientDetails(default_acr_values=(TWO_FACTOR,)))
    browser.sign_in(ada, PWD)
    page_of(browser.authorize(client), "/login/again")
    assert told(browser, client, browser.authorize(client, acr_values=PASSWORD))[0] == PASSWORD


def test_whoever_is_not_signed_in_signs_in_first(browser: Browser, ada: User, trusted: KnownClient) -> None:
    page = page_of(browser.authorize(trusted, **WISH), "/login")
    browser.provider.clock.advance(5)
    browser.sign_in(ada, PWD)
    page_of(resumed(browser, page), "/login/again")
    browser.sign_in(ada, OTP)
    assert told(browser, trusted, resumed(browser, page))[0] == TWO_FACTOR
