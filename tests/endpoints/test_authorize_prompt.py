"""What a request may wish of its person's sign-in (OpenID Connect Core §3.1.2.1): prompt, max_age, hints, second factors."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import Engine

from database.models import AuthorizationRequest
from provider.accounts.users import User
from tests.endpoints.browsing import TOO_LONG_FOR_A_QUERY, Browser, code_of, error_of, fields_of, page_of
from tests.endpoints.provider import KnownClient, Provider, ProviderFactory, claims_of


@pytest.fixture
def browser(sqlite_engine: Engine, make_provider: ProviderFactory) -> Browser:
    return Browser(make_provider(sqlite_engine))


@pytest.fixture
def provider(browser: Browser) -> Provider:
    return browser.provider


@pytest.fixture
def ada(provider: Provider) -> User:
    return provider.user()


@pytest.fixture
def trusted(provider: Provider) -> KnownClient:
    return provider.client(is_trusted=True)


def resume_of(page: str) -> str:
    return f"/oauth/authorize/{page.partition('=')[2]}"


def id_token(browser: Browser, client: KnownClient, code: str) -> Any:
    return claims_of(browser.provider.redeem(client, code).json["id_token"])


ANSWERS = [  # prompt, signed out, signed in and trusted, signed in and not yet consented
    (None, "/login", "code", "/consent"),
    ("", "/login", "code", "/consent"),
    ("none", "login_required", "code", "consent_required"),
    ("login", "/login", "/login", "/login"),
    ("create", "/login", "/login", "/login"),
    ("consent", "/login", "/consent", "/consent"),
    ("select_account", "/login", "/consent", "/consent"),
    ("login consent", "/login", "/login", "/login"),
    ("unheard-of", "/login", "code", "/consent"),
]


@pytest.mark.parametrize("column", [1, 2, 3], ids=["signed out", "trusted", "not consented"])
@pytest.mark.parametrize("row", ANSWERS, ids=[str(row[0]) for row in ANSWERS])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_each_prompt_leads_where_the_specification_says(
    browser: Browser, ada: User, row: tuple[Any, ...], column: int, method: str
) -> None:
    client = browser.provider.client(is_trusted=column == 2)
    if column > 1:
        browser.sign_in(ada)
    browser.provider.clock.advance(60)
    answer = browser.authorize(client, prompt=row[0], method=method)
    if method == "POST":
        answer = browser.get(answer.location)
    expected = row[column]
    if expected.startswith("/"):
        page_of(answer, expected)
    elif expected == "code":
        code_of(answer)
    else:
        assert error_of(answer) == expected
        assert fields_of(answer)["iss"] == browser.provider.issuer


def test_prompt_none_that_was_posted_is_answered_once(browser: Browser, trusted: KnownClient) -> None:
    resumed = browser.authorize(trusted, prompt="none", method="POST", **TOO_LONG_FOR_A_QUERY).location
    assert error_of(browser.get(resumed)) == "login_required"
    assert browser.get(resumed).status == 400


def test_prompt_none_stores_nothing(browser: Browser, trusted: KnownClient) -> None:
    error_of(browser.authorize(trusted, prompt="none"))
    assert browser.provider.rows(AuthorizationRequest) == []


@pytest.mark.parametrize("wish", [{"prompt": "login"}, {"max_age": "0"}, {"max_age": "30"}])
def test_a_forced_sign_in_is_asked_for_once_and_tells_its_new_time(
    browser: Browser, ada: User, trusted: KnownClient, wish: dict[str, str]
) -> None:
    browser.sign_in(ada)
    first = id_token(browser, trusted, code_of(browser.authorize(trusted)))
    browser.provider.clock.advance(60)
    page = page_of(browser.authorize(trusted, **wish), "/login")
    assert page_of(browser.get(resume_of(page)), "/login") == page, "going on without signing in changes nothing"
    browser.provider.clock.advance(5)
    browser.sign_in(ada)
    second = id_token(browser, trusted, code_of(browser.get(resume_of(page))))
    assert second["auth_time"] == first["auth_time"] + 65
    assert second["sub"] == first["sub"]
    browser.provider.clock.advance(60)
    page_of(browser.authorize(trusted, **wish), "/login")


@pytest.mark.parametrize(
    "max_age, age, is_enough", [(60, 60, True), (60, 61, False), (10000, 3500, True), (1, 2, False), (0, 0, True)]
)
def test_max_age_is_the_longest_time_since_the_sign_in(
    browser: Browser, ada: User, trusted: KnownClient, max_age: int, age: int, is_enough: bool
) -> None:
    browser.sign_in(ada)
    signed_in = int(browser.provider.clock.now.timestamp())
    browser.provider.clock.advance(age)
    answer = browser.authorize(trusted, max_age=max_age)
    silent = browser.authorize(trusted, max_age=max_age, prompt="none")
    if is_enough:
        assert id_token(browser, trusted, code_of(answer))["auth_time"] == signed_in
        code_of(silent)
    else:
        page_of(answer, "/login")
        assert error_of(silent) == "login_required"


def test_prompt_none_of_somebody_signed_in_has_the_same_subject_and_time(
    browser: Browser, ada: User, trusted: KnownClient
) -> None:
    browser.sign_in(ada)
    first = id_token(browser, trusted, code_of(browser.authorize(trusted)))
    browser.provider.clock.advance(300)
    second = id_token(browser, trusted, code_of(browser.authorize(trusted, prompt="none")))
    assert [second[name] for name in ("sub", "auth_time", "sid")] == [first[n] for n in ("sub", "auth_time", "sid")]


def hint_for(browser: Browser, user: User, client: KnownClient) -> str:
    hint: str = browser.provider.tokens(user, client, ("openid",))["id_token"]
    return hint


@pytest.mark.parametrize("max_age", [None, "10000"])
@pytest.mark.parametrize("age", [0, 3000])
def test_a_hint_at_the_person_who_is_signed_in_is_answered_even_when_it_has_expired(
    browser: Browser, ada: User, trusted: KnownClient, age: int, max_age: str | None
) -> None:
    hint = hint_for(browser, ada, trusted)
    browser.sign_in(ada)
    browser.provider.clock.advance(age)
    code_of(browser.authorize(trusted, id_token_hint=hint, prompt="none", max_age=max_age))


@pytest.mark.parametrize("max_age", [None, "10000"])
def test_a_hint_at_somebody_else_gets_no_answer_for_the_person_who_is_signed_in(
    browser: Browser, ada: User, trusted: KnownClient, max_age: str | None
) -> None:
    bob = browser.provider.user("bob")
    hint = hint_for(browser, bob, trusted)
    browser.sign_in(ada)
    wishes: dict[str, Any] = {"id_token_hint": hint, "max_age": max_age}
    assert error_of(browser.authorize(trusted, prompt="none", **wishes)) == "login_required"
    page = page_of(browser.authorize(trusted, **wishes), "/login")
    browser.provider.clock.advance(5)
    browser.sign_in(bob)
    assert id_token(browser, trusted, code_of(browser.get(resume_of(page))))["sub"] == bob.id


def test_whoever_signs_in_in_place_of_the_hinted_person_gets_no_token(
    browser: Browser, ada: User, trusted: KnownClient
) -> None:
    hint = hint_for(browser, browser.provider.user("bob"), trusted)
    page = page_of(browser.authorize(trusted, id_token_hint=hint), "/login")
    browser.provider.clock.advance(5)
    browser.sign_in(ada)
    assert error_of(browser.get(resume_of(page))) == "login_required"


@pytest.mark.parametrize("hint", ["x", "a.b.c", "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhZGEifQ."])
def test_a_hint_that_is_not_ours_asks_for_one_sign_in(
    browser: Browser, ada: User, trusted: KnownClient, hint: str
) -> None:
    browser.sign_in(ada)
    assert error_of(browser.authorize(trusted, id_token_hint=hint, prompt="none")) == "login_required"
    page = page_of(browser.authorize(trusted, id_token_hint=hint), "/login")
    browser.provider.clock.advance(5)
    browser.sign_in(ada)
    code_of(browser.get(resume_of(page)))


@pytest.mark.parametrize(
    "hint, shown", [("ada@example.com", 'value="ada@example.com"'), ('"><b>', "&#34;&gt;&lt;b&gt;"), ("a\nb", None)]
)
def test_a_login_hint_fills_in_the_name_and_nothing_more(
    browser: Browser, trusted: KnownClient, hint: str, shown: str | None
) -> None:
    page = browser.get(page_of(browser.authorize(trusted, login_hint=hint), "/login"))
    assert '"><b>' not in page.text
    assert (shown or 'name="username"') in page.text
    assert shown is not None or "a\nb" not in page.text


@pytest.mark.parametrize(
    "locales, language", [("ko", "ko"), ("fr ko en", "ko"), ("en", "en"), ("se", "en"), (None, "en")]
)
def test_ui_locales_choose_the_language_of_the_pages(
    browser: Browser, trusted: KnownClient, locales: str | None, language: str
) -> None:
    page = browser.get(page_of(browser.authorize(trusted, ui_locales=locales), "/login"))
    assert f'<html lang="{language}"' in page.text


@pytest.mark.parametrize("prompt", [None, "none"])
@pytest.mark.parametrize(
    "is_admin, settings, is_asked", [(False, {}, False), (False, {"require_second_factor": True}, True)]
)
def test_a_demanded_second_factor_comes_before_any_answer(
    sqlite_engine: Engine,
    make_provider: ProviderFactory,
    prompt: str | None,
    is_admin: bool,
    settings: dict[str, Any],
    is_asked: bool,
) -> None:
    browser = Browser(make_provider(sqlite_engine, **settings))
    browser.sign_in(browser.provider.user(is_admin=is_admin))
    answer = browser.authorize(browser.provider.client(is_trusted=True), prompt=prompt)
    if not is_asked:
        code_of(answer)
    elif prompt == "none":
        assert error_of(answer) == "interaction_required"
    else:
        page_of(answer, "/login/second-factor")


@pytest.mark.parametrize("is_admin", [True, False])
def test_beyond_loopback_administrators_need_a_second_factor(
    sqlite_engine: Engine, make_provider: ProviderFactory, is_admin: bool
) -> None:
    browser = Browser(make_provider(sqlite_engine, issuer="https://id.example.com/oauth"))
    browser.sign_in(browser.provider.user(is_admin=is_admin))
    answer = browser.authorize(browser.provider.client(is_trusted=True))
    if is_admin:
        page_of(answer, "/login/second-factor")
    else:
        assert fields_of(answer)["iss"] == "https://id.example.com/oauth"
        assert all("; Secure" in line and line.startswith("__Host-") for line in answer.all("Set-Cookie"))


@pytest.mark.parametrize("prompt, told", [("create", True), ("login", False), (None, False)])
def test_who_is_to_make_an_account_is_told_who_makes_them(browser: Browser, prompt: str | None, told: bool) -> None:
    """There is no registration of people here, so that the metadata does not list ``create``, and no dead end either."""
    answer = browser.authorize(browser.provider.client(), prompt=prompt)
    page = browser.get(answer.location)
    assert ("New accounts are made by the people who run" in page.text) is told
