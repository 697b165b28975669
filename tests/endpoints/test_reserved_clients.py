"""Applications and scopes that are reserved for members of groups: who gets in, what others are told, and who leaves."""

from __future__ import annotations

import re
from typing import Any

import pytest

from provider.accounts.groups import Group
from provider.accounts.users import User
from provider.clients.rows import metadata_of
from provider.protocol.client import ClientDetails
from provider.protocol.errors import OAuthError
from provider.tokens.token_records import AuthorizationGone
from tests.endpoints.browsing import Browser, code_of, error_of, fields_of, page_of
from tests.endpoints.provider import API, KnownClient, Provider, claims_of

SCOPE = ("notes:read", "notes:delete")
OUTSIDE = (400, "invalid_grant")


@pytest.fixture
def ada(provider: Provider) -> User:
    return provider.user()


@pytest.fixture
def bora(provider: Provider) -> User:
    return provider.user("bora")


@pytest.fixture
def group(provider: Provider, ada: User) -> Group:
    return provider.group("developers", ada)


@pytest.fixture
def browser(provider: Provider) -> Browser:
    return Browser(provider)


def reserved(provider: Provider, *groups: Group, **options: Any) -> KnownClient:
    return provider.client("none", only_groups=[group.id for group in groups], **options)


def go_back(browser: Browser, page: str) -> Any:
    token = re.findall(r'name="csrf_token" value="([^"]+)"', browser.get(page).text)[0]
    headers = {"Sec_Fetch_Site": "same-origin", "Origin": "http://localhost:8000"}
    return browser.post(page, {"csrf_token": token}, **headers)


# Applications


@pytest.mark.parametrize("is_trusted", [False, True])
def test_a_member_gets_in_and_another_is_told_so_and_the_app_too(
    provider: Provider, browser: Browser, ada: User, bora: User, group: Group, is_trusted: bool
) -> None:
    client = reserved(provider, provider.group("others"), group, is_trusted=is_trusted)
    browser.sign_in(ada)
    answer = browser.authorize(client)
    assert code_of(answer if is_trusted else browser.allow(page_of(answer, "/consent")))
    other = Browser(provider)
    page = page_of(other.authorize(client), "/login")
    other.sign_in(bora)
    handle = page.partition("request=")[2]
    page = page_of(other.get(f"{provider.path}/authorize/{handle}"), "/members-only")
    shown = other.get(page)
    assert shown.status == 403
    for words in ("Only members of certain groups may use this app", "An administrator of this service", "bora"):
        assert words in shown.text
    assert "developers" not in shown.text, "strangers may have accounts: groups are not named"
    assert "내 사용자 이름" in other.get(page, Accept_Language="ko").text
    answer = go_back(other, page)
    assert error_of(answer) == "access_denied"
    assert "groups" not in fields_of(answer)["error_description"]
    assert go_back_is_over(other, page)


def go_back_is_over(browser: Browser, page: str) -> bool:
    return browser.get(page).status == 400


def test_looking_at_the_page_changes_nothing_and_who_is_added_meanwhile_goes_on(
    provider: Provider, browser: Browser, bora: User, group: Group
) -> None:
    client = reserved(provider, group)
    browser.sign_in(bora)
    page = page_of(browser.authorize(client), "/members-only")
    for _ in range(3):
        assert browser.get(page).status == 403
    with provider.begin() as tx:
        provider.services.groups.add(tx, provider.origin, group, bora)
    answer = browser.get(page)
    assert (answer.status, answer.location) == (303, f"{provider.path}/authorize/{page.partition('request=')[2]}")
    assert code_of(browser.allow(page_of(browser.get(answer.location), "/consent")))


def test_a_contact_is_named_where_somebody_vouches_for_the_app(
    provider: Provider, browser: Browser, bora: User, group: Group
) -> None:
    details = ClientDetails(contacts=("help@example.org",))
    browser.sign_in(bora)
    for is_vouched in (True, False):
        client = reserved(provider, group, details=details, is_vouched=is_vouched)
        shown = browser.get(page_of(browser.authorize(client), "/members-only")).text
        assert ("help@example.org" in shown) is is_vouched


def test_without_a_page_the_app_is_told_at_once(provider: Provider, browser: Browser, bora: User, group: Group) -> None:
    browser.sign_in(bora)
    answer = browser.authorize(reserved(provider, group, is_trusted=True), prompt="none")
    assert error_of(answer) == "access_denied"


def test_it_is_on_record_that_somebody_was_not_let_in(
    provider: Provider, browser: Browser, bora: User, group: Group
) -> None:
    client = reserved(provider, group)
    browser.sign_in(bora)
    page = page_of(browser.authorize(client), "/members-only")
    go_back(browser, page)
    (refused,) = provider.events("authorization.refused")
    assert (refused["resource_id"], refused["metadata"]["error"]) == (client.client_id, "access_denied")
    (denied,) = provider.events("consent.denied")
    assert (denied["user_id"], denied["metadata"]) == (bora.id, {"reason": "not in its groups"})


def test_a_consent_from_before_lets_nobody_in(provider: Provider, browser: Browser, ada: User, group: Group) -> None:
    client = reserved(provider, group)
    browser.sign_in(ada)
    waiting = page_of(browser.authorize(client), "/consent")
    assert code_of(browser.allow(page_of(browser.authorize(client), "/consent")))
    provider.leave(group, ada)
    page_of(browser.authorize(client), "/members-only")
    answer = browser.decide(waiting, "allow")
    page_of(browser.get(answer.location), "/members-only")


def test_who_left_between_code_and_token_gets_none(provider: Provider, ada: User, group: Group) -> None:
    client = reserved(provider, group)
    code = provider.code(provider.grant(ada, client))
    provider.leave(group, ada)
    assert provider.redeem(client, code).error == OUTSIDE


def test_who_left_refreshes_no_more_and_who_is_back_does(provider: Provider, ada: User, group: Group) -> None:
    client = reserved(provider, provider.group("others"), group)
    token = provider.tokens(ada, client)["refresh_token"]
    token = provider.refresh(client, token).json["refresh_token"]
    provider.leave(group, ada)
    for _ in range(2):
        assert provider.refresh(client, token).error == OUTSIDE
    with provider.begin() as tx:
        provider.services.groups.add(tx, provider.origin, group, ada)
    assert provider.refresh(client, token).status == 200, "nothing was used up"


def test_an_app_that_is_reserved_later_loses_those_who_are_outside(
    provider: Provider, ada: User, bora: User, group: Group
) -> None:
    client = provider.client("none")
    tokens = {user.username: provider.tokens(user, client)["refresh_token"] for user in (ada, bora)}
    with provider.begin() as tx:
        known = provider.services.clients.find(tx, client.client_id, fresh=True)
        assert known is not None
        assert provider.services.clients.replace(tx, provider.origin, known, metadata_of(known), only_groups=[group.id])
    assert provider.refresh(client, tokens["ada"]).status == 200
    assert provider.refresh(client, tokens["bora"]).error == OUTSIDE


def test_a_membership_that_ended_since_it_was_read_makes_no_token(provider: Provider, ada: User, group: Group) -> None:
    """The check that counts is in the statement that mints: here the read before it was a moment too early."""
    client = reserved(provider, group)
    token = provider.tokens(ada, client)["refresh_token"]
    groups = provider.services.groups
    known = provider.services.groups.membership

    def a_moment_ago(tx: Any, user_id: str) -> Any:
        membership = known(tx, user_id)
        if membership.ids:
            groups.remove(tx, provider.origin, group, ada)
        return membership

    groups.membership = a_moment_ago  # type: ignore[method-assign]
    issue = provider.services.token_issuer.issue_access_token
    gone: list[AuthorizationGone] = []

    def watched(tx: Any, authorization: Any, now: Any) -> Any:
        try:
            return issue(tx, authorization, now)
        except AuthorizationGone as error:
            gone.append(error)
            raise

    provider.services.token_issuer.issue_access_token = watched  # type: ignore[method-assign]
    assert provider.refresh(client, token).error == (400, "invalid_grant")
    assert len(gone) == 2


def test_groups_that_are_looked_at_are_not_told_for_that(provider: Provider, ada: User, group: Group) -> None:
    provider.resource(groups_claim=True)
    tokens = provider.tokens(ada, reserved(provider, group), ("openid", "notes:read"), resource=API)
    assert "groups" not in claims_of(tokens["access_token"])
    assert "groups" not in claims_of(tokens["id_token"])


# Scopes


@pytest.fixture
def api(provider: Provider, group: Group) -> None:
    provider.resource(
        scope=SCOPE,
        scope_groups={"notes:delete": (group.id,)},
        descriptions={"notes:delete": {"en": "Delete your notes", "ko": "내 메모 삭제"}},
    )


def test_a_member_gets_the_scope_and_another_is_told_what_is_not_given(
    provider: Provider, browser: Browser, ada: User, bora: User, api: None
) -> None:
    client = provider.client("none")
    for user, granted in ((ada, "notes:read notes:delete"), (bora, "notes:read")):
        browser.sign_in(user)
        page = page_of(browser.authorize(client, scope=" ".join(SCOPE), resource=API), "/consent")
        shown = browser.get(page).text
        assert ("It also asks for, and doesn" in shown) is (user is bora)
        assert "Delete your notes" in shown
        code = code_of(browser.allow(page))
        assert provider.redeem(client, code).json["scope"] == granted
    browser.sign_in(bora)
    only = browser.authorize(client, scope="notes:delete", resource=API)
    assert error_of(only) == "invalid_scope"


def test_after_the_removal_the_next_refresh_has_the_scope_no_more(
    provider: Provider, ada: User, group: Group, api: None
) -> None:
    client = provider.client("none")
    tokens = provider.tokens(ada, client, (*SCOPE, "offline_access"), resource=API)
    assert tokens["scope"] == "notes:read notes:delete offline_access"
    provider.leave(group, ada)
    fresh = provider.refresh(client, tokens["refresh_token"]).json
    assert fresh["scope"] == "notes:read offline_access"
    only = provider.refresh(client, fresh["refresh_token"], scope="notes:delete")
    assert only.error == (400, "invalid_scope")


def test_an_api_key_has_the_scope_while_its_owner_is_in_the_group(
    provider: Provider, ada: User, bora: User, group: Group, api: None
) -> None:
    with pytest.raises(OAuthError):
        provider.api_key(bora, ("notes:delete",))
    assert provider.api_key(bora).client.scope == ("notes:read",)
    key = provider.api_key(ada)
    asked = {"grant_type": "client_credentials"}
    assert provider.token(key, asked).json["scope"] == "notes:read notes:delete"
    provider.leave(group, ada)
    assert provider.token(key, asked).json["scope"] == "notes:read"
    assert provider.token(key, {**asked, "scope": "notes:delete"}).error == (400, "invalid_scope")


def test_a_machine_has_a_reserved_scope_only_where_an_operator_says_so(provider: Provider, api: None) -> None:
    asked = {"grant_type": "client_credentials", "resource": API}
    assert provider.token(provider.machine(), asked).json["scope"] == "notes:read"
    assert provider.token(provider.machine(scope=("notes:delete",)), asked).json["scope"] == "notes:delete"
