"""Single claims, levels of authentication and default ages, from request to token (OpenID Connect Core §3.1.2.1, §5.5)."""

from __future__ import annotations

import json
from typing import Any

import pytest
from sqlalchemy import Engine

from provider.accounts.users import User
from provider.protocol.client import ClientDetails
from tests.endpoints.browsing import Browser, code_of, error_of, page_of
from tests.endpoints.provider import KnownClient, Provider, ProviderFactory, claims_of
from tests.endpoints.registering import SAID, initial_token, manage, register

PASSWORD, TWO_FACTOR = "urn:mcp-core:password", "urn:mcp-core:two-factor"
PROTOCOL = {"iss", "sub", "aud", "azp", "exp", "iat", "auth_time", "acr", "amr", "sid", "at_hash"}


@pytest.fixture
def browser(sqlite_engine: Engine, make_provider: ProviderFactory) -> Browser:
    return Browser(make_provider(sqlite_engine))


@pytest.fixture
def provider(browser: Browser) -> Provider:
    return browser.provider


@pytest.fixture
def ada(provider: Provider) -> User:
    return provider.user(display_name="Ada", is_verified=True)


@pytest.fixture
def trusted(provider: Provider) -> KnownClient:
    return provider.client(is_trusted=True)


def tokens(browser: Browser, client: KnownClient, **changes: Any) -> Any:
    answer = browser.provider.redeem(client, code_of(browser.authorize(client, **{"scope": "openid", **changes})))
    assert answer.status == 200
    return answer.json


def gets_claims(provider: Provider, made: Any) -> bool:
    with provider.begin() as tx:
        found = provider.services.clients.find(tx, made["client_id"], fresh=True)
    assert found is not None
    return found.claims_in_id_token


def asking(**members: Any) -> str:
    return json.dumps(members)


ASKED: list[tuple[str, dict[str, Any], set[str], set[str]]] = [
    ("nothing", {}, set(), set()),
    ("one at userinfo", {"userinfo": {"name": None}}, set(), {"name"}),
    ("one that is essential", {"userinfo": {"email": {"essential": True}}}, set(), {"email"}),
    ("one in the ID token", {"id_token": {"email": None}}, {"email"}, set()),
    ("one in each", {"id_token": {"name": None}, "userinfo": {"email": None}}, {"name"}, {"email"}),
    ("one that nobody knows", {"userinfo": {"shoe_size": {"essential": True}}}, set(), set()),
    (
        "those of the protocol",
        {"id_token": {"iss": None, "exp": {"value": 1}, "sid": None, "client_id": None}},
        set(),
        set(),
    ),
    ("a person's secrets", {"userinfo": {"password_hash": None, "is_admin": None, "id": None}}, set(), set()),
]


@pytest.mark.parametrize("case, asked, in_id_token, at_userinfo", ASKED, ids=[row[0] for row in ASKED])
def test_what_is_asked_for_comes_where_it_is_asked_for(
    browser: Browser,
    ada: User,
    trusted: KnownClient,
    case: str,
    asked: Any,
    in_id_token: set[str],
    at_userinfo: set[str],
) -> None:
    browser.sign_in(ada)
    made = tokens(browser, trusted, claims=json.dumps(asked))
    assert set(claims_of(made["id_token"])) == PROTOCOL | in_id_token
    assert set(browser.provider.userinfo(made["access_token"]).json) == {"sub"} | at_userinfo
    again = browser.provider.refresh(trusted, made["refresh_token"]).json
    assert set(claims_of(again["id_token"])) == PROTOCOL | in_id_token
    assert set(browser.provider.userinfo(again["access_token"]).json) == {"sub"} | at_userinfo


def test_each_claim_of_a_profile_can_be_asked_for_by_itself(browser: Browser, ada: User, trusted: KnownClient) -> None:
    browser.provider.profile(ada)
    browser.sign_in(ada)
    for name in ("given_name", "picture", "website", "zoneinfo", "phone_number", "phone_number_verified", "address"):
        made = tokens(browser, trusted, claims=asking(userinfo={name: None}, id_token={name: None}))
        assert set(claims_of(made["id_token"])) == PROTOCOL | {name}
        assert set(browser.provider.userinfo(made["access_token"]).json) == {"sub", name}


SCOPES: list[tuple[str, set[str]]] = [
    ("openid", set()),
    ("openid profile", {"name", "preferred_username", "updated_at"}),
    ("openid email", {"email", "email_verified"}),
    ("openid profile email", {"name", "preferred_username", "updated_at", "email", "email_verified"}),
]


@pytest.mark.parametrize("is_on", [True, False])
@pytest.mark.parametrize("scope, claims", SCOPES, ids=[row[0] for row in SCOPES])
def test_the_claims_of_the_scope_are_in_the_id_token_of_whoever_is_to_have_them(
    browser: Browser, ada: User, scope: str, claims: set[str], is_on: bool
) -> None:
    provider, client = browser.provider, browser.provider.client(is_trusted=True, claims_in_id_token=is_on)
    browser.sign_in(ada)
    made = tokens(browser, client, scope=scope)
    again = provider.refresh(client, made["refresh_token"]).json
    for answer in (made, again):
        said = claims_of(answer["id_token"])
        assert set(said) == PROTOCOL | (claims if is_on else set())
        known = provider.userinfo(answer["access_token"]).json
        assert set(known) == {"sub"} | claims
        assert {name: said[name] for name in claims if is_on} == {name: known[name] for name in claims if is_on}
    if scope != "openid":
        narrower = provider.refresh(client, made["refresh_token"], scope="openid").json
        assert set(claims_of(narrower["id_token"])) == PROTOCOL


def test_who_asks_for_no_id_token_gets_none_with_claims(browser: Browser, ada: User) -> None:
    client = browser.provider.client(is_trusted=True, claims_in_id_token=True)
    browser.sign_in(ada)
    assert "id_token" not in tokens(browser, client, scope="profile email")


@pytest.mark.parametrize("is_vouched", [True, False])
def test_who_registered_itself_gets_claims_in_id_tokens_if_somebody_vouches_for_it(
    provider: Provider, is_vouched: bool
) -> None:
    token = initial_token(provider) if is_vouched else None
    made = register(provider, token=token).json
    assert gets_claims(provider, made) is is_vouched
    manage(provider, "PUT", made, SAID | {"client_id": made["client_id"], "claims_in_id_token": True})
    assert gets_claims(provider, made) is is_vouched
    if is_vouched:
        without = register(provider, token=initial_token(provider, claims_in_id_token=False)).json
        assert not gets_claims(provider, without)


def test_an_id_token_with_the_longest_claims_is_still_short(browser: Browser) -> None:
    """It goes into cookies and headers of other people's software, which end at 4,096 bytes."""
    longest = browser.provider.user(
        "a" * 64, display_name="\u1112" * 255, email=f"{'e' * 64}@{'d' * 60}.example", locale="ko"
    )
    client = browser.provider.client(is_trusted=True, claims_in_id_token=True)
    browser.sign_in(longest)
    assert len(tokens(browser, client, scope="openid profile email", nonce="n" * 64)["id_token"]) < 4096


def test_what_is_asked_for_holds_for_this_grant_alone(browser: Browser, ada: User, trusted: KnownClient) -> None:
    browser.sign_in(ada)
    tokens(browser, trusted, claims=asking(userinfo={"name": None}))
    assert set(browser.provider.userinfo(tokens(browser, trusted)["access_token"]).json) == {"sub"}


def test_a_person_is_asked_before_a_single_claim_is_told(browser: Browser, provider: Provider, ada: User) -> None:
    """A claim reveals what its scope would: the same sentence, and a consent that covers it."""
    browser.sign_in(ada)
    client = provider.client()
    code_of(browser.allow(page_of(browser.authorize(client, scope="openid"), "/consent")))
    code_of(browser.authorize(client, scope="openid"))
    asked = asking(userinfo={"email": None})
    assert error_of(browser.authorize(client, scope="openid", claims=asked, prompt="none")) == "consent_required"
    page = page_of(browser.authorize(client, scope="openid", claims=asked), "/consent")
    assert "See your e-mail address" in browser.get(page).text
    code_of(browser.allow(page))
    code_of(browser.authorize(client, scope="openid", claims=asked, prompt="none"))
    code_of(browser.authorize(client, scope="openid email", prompt="none"))
    wider = asking(userinfo={"email": None, "name": None})
    assert error_of(browser.authorize(client, scope="openid", claims=wider, prompt="none")) == "consent_required"


# --- of one person ---


def test_only_the_person_who_is_named_is_answered_for(
    browser: Browser, provider: Provider, ada: User, trusted: KnownClient
) -> None:
    bob = provider.user("bob")
    asked = asking(id_token={"sub": {"value": bob.id}})
    browser.sign_in(ada)
    assert error_of(browser.authorize(trusted, claims=asked, prompt="none")) == "login_required"
    page = page_of(browser.authorize(trusted, claims=asked), "/login")
    provider.clock.advance(5)
    browser.sign_in(ada)
    resumed = f"/oauth/authorize/{page.partition('=')[2]}"
    assert error_of(browser.get(resumed)) == "login_required", (
        "somebody else's sign-in is no answer, and asked for once"
    )
    page = page_of(browser.authorize(trusted, claims=asked), "/login")
    provider.clock.advance(5)
    browser.sign_in(bob)
    answer = browser.get(f"/oauth/authorize/{page.partition('=')[2]}")
    assert claims_of(provider.redeem(trusted, code_of(answer)).json["id_token"])["sub"] == bob.id
    code_of(browser.authorize(trusted, claims=asked, prompt="none"))


# --- levels ---


@pytest.mark.parametrize("amr, has", [(("pwd",), PASSWORD), (("pwd", "otp", "mfa"), TWO_FACTOR)])
@pytest.mark.parametrize(
    "wish",
    [
        {"acr_values": "urn:x 0 phr"},
        {"acr_values": TWO_FACTOR},
        {"claims": asking(id_token={"acr": {"values": ["urn:x"]}})},
        {"claims": asking(id_token={"acr": {"essential": True}})},
        {"claims": asking(id_token={"acr": None})},
    ],
)
def test_a_wish_for_a_level_never_fails_and_the_token_tells_the_one_there_is(
    browser: Browser, ada: User, trusted: KnownClient, amr: tuple[str, ...], has: str, wish: dict[str, str]
) -> None:
    browser.sign_in(ada, amr)
    assert claims_of(tokens(browser, trusted, **wish)["id_token"])["acr"] == has


@pytest.mark.parametrize(
    "amr, values, is_met",
    [
        (("pwd",), [PASSWORD], True),
        (("pwd",), [TWO_FACTOR], False),
        (("pwd",), ["urn:x", PASSWORD], True),
        (("pwd", "otp", "mfa"), [TWO_FACTOR], True),
        (("pwd", "otp", "mfa"), ["urn:x"], False),
    ],
)
@pytest.mark.parametrize("prompt", [None, "none"])
def test_a_level_that_must_be_is_there_or_there_is_no_token(
    browser: Browser,
    ada: User,
    trusted: KnownClient,
    amr: tuple[str, ...],
    values: list[str],
    is_met: bool,
    prompt: str | None,
) -> None:
    browser.sign_in(ada, amr)
    answer = browser.authorize(
        trusted, claims=asking(id_token={"acr": {"essential": True, "values": values}}), prompt=prompt
    )
    if is_met:
        code_of(answer)
    else:
        assert error_of(answer) == "unmet_authentication_requirements"


# --- ages that a client registered ---


@pytest.mark.parametrize(
    "default, asked, age, is_enough",
    [
        (60, None, 60, True),
        (60, None, 61, False),
        (60, 3600, 61, True),
        (3600, 60, 61, False),
        (None, None, 3000, True),
        (0, None, 1, False),
    ],
)
def test_the_registered_age_counts_where_the_request_says_none(
    browser: Browser, provider: Provider, ada: User, default: int | None, asked: int | None, age: int, is_enough: bool
) -> None:
    client = provider.client(is_trusted=True, details=ClientDetails(default_max_age=default))
    browser.sign_in(ada)
    provider.clock.advance(age)
    answer = browser.authorize(client, max_age=asked)
    if is_enough:
        assert "auth_time" in claims_of(provider.redeem(client, code_of(answer)).json["id_token"])
        return
    page = page_of(answer, "/login")
    assert error_of(browser.authorize(client, max_age=asked, prompt="none")) == "login_required"
    provider.clock.advance(5)
    browser.sign_in(ada)
    code_of(browser.get(f"/oauth/authorize/{page.partition('=')[2]}"))
