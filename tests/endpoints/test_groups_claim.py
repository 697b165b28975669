"""The claim ``groups``: where it is said, to whom, and that a token never says what is so no more."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import select

from database.models import IssuedToken
from provider.accounts.groups import Group
from provider.accounts.users import User
from provider.protocol.client import RFC9068_TYPE
from provider.tokens.authorization import Authorization
from provider.tokens.token_records import AuthorizationGone
from tests.endpoints.browsing import Browser, page_of
from tests.endpoints.provider import API, KnownClient, Provider, claims_of

ALL = ("openid", "groups", "offline_access")
NAMES = ["Zulu", "alpha", "개발팀"]


@pytest.fixture
def ada(provider: Provider) -> User:
    return provider.user()


@pytest.fixture
def groups(provider: Provider, ada: User) -> list[Group]:
    provider.group("of-others")
    return [provider.group(name, ada) for name in reversed(NAMES)]


@pytest.fixture
def client(provider: Provider) -> KnownClient:
    return provider.client("none")


def said(provider: Provider, tokens: Any) -> dict[str, Any]:
    """What of the groups stands in the ID token, in UserInfo and in the access token; None for nothing."""
    found = {name: claims_of(tokens[name]).get("groups") for name in ("id_token", "access_token")}
    return {**found, "userinfo": provider.userinfo(tokens["access_token"]).json.get("groups")}


def test_id_token_and_userinfo_say_the_groups_and_an_access_token_of_ours_does_not(
    provider: Provider, ada: User, client: KnownClient, groups: list[Group]
) -> None:
    tokens = provider.tokens(ada, client, ALL)
    assert tokens["scope"] == "openid groups offline_access"
    assert said(provider, tokens) == {"id_token": NAMES, "userinfo": NAMES, "access_token": None}


def test_a_renamed_group_is_called_so_from_the_next_refresh_on_and_opens_what_it_did(
    provider: Provider, ada: User, groups: list[Group]
) -> None:
    reserved = provider.client("none", only_groups=[groups[0].id])
    tokens = provider.tokens(ada, reserved, ALL)
    with provider.begin() as tx:
        for group, name in zip(groups, ("zulu two", "beta", "운영팀"), strict=True):
            provider.services.groups.rename(tx, provider.origin, group, name.replace(" ", "-"))
    assert provider.userinfo(tokens["access_token"]).json["groups"] == ["beta", "zulu-two", "운영팀"]
    again = provider.refresh(reserved, tokens["refresh_token"]).json
    assert claims_of(again["id_token"])["groups"] == ["beta", "zulu-two", "운영팀"]


def test_nobody_hears_of_groups_who_has_not_asked(
    provider: Provider, ada: User, client: KnownClient, groups: list[Group]
) -> None:
    tokens = provider.tokens(ada, client, ("openid", "profile", "email"))
    assert said(provider, tokens) == {"id_token": None, "userinfo": None, "access_token": None}


def test_who_is_in_no_group_is_said_to_be_in_none(provider: Provider, ada: User, client: KnownClient) -> None:
    assert said(provider, provider.tokens(ada, client, ALL)) == {"id_token": [], "userinfo": [], "access_token": None}


@pytest.mark.parametrize(
    "groups_claim, scope, is_said",
    [(True, ("notes:read", "groups"), True), (True, ("notes:read",), False), (False, ("notes:read", "groups"), False)],
)
def test_an_access_token_says_the_groups_where_its_api_wants_them_and_the_scope_was_granted(
    provider: Provider,
    ada: User,
    client: KnownClient,
    groups: list[Group],
    groups_claim: bool,
    scope: tuple[str, ...],
    is_said: bool,
) -> None:
    provider.resource(groups_claim=groups_claim)
    token = provider.tokens(ada, client, scope, resource=API)["access_token"]
    assert claims_of(token).get("groups") == (NAMES if is_said else None)
    introspected = provider.introspect(provider.api(), token).json
    assert introspected["active"] is True
    assert introspected.get("groups") == (NAMES if is_said else None)
    assert provider.is_alive(token)


def test_after_the_removal_the_next_refresh_has_the_group_no_more(
    provider: Provider, ada: User, client: KnownClient, groups: list[Group]
) -> None:
    provider.resource(groups_claim=True)
    scope = ("openid", "groups", "notes:read", "offline_access")
    tokens = provider.tokens(ada, client, scope, resource=API)
    assert claims_of(tokens["id_token"])["groups"] == claims_of(tokens["access_token"])["groups"] == NAMES
    provider.leave(groups[0], ada)
    fresh = provider.refresh(client, tokens["refresh_token"]).json
    assert claims_of(fresh["id_token"])["groups"] == claims_of(fresh["access_token"])["groups"] == NAMES[:2]
    narrowed = provider.refresh(client, fresh["refresh_token"], scope="openid notes:read").json
    assert "groups" not in claims_of(narrowed["id_token"])
    assert "groups" not in claims_of(narrowed["access_token"])
    with provider.begin() as tx:
        provider.services.groups.delete(tx, provider.origin, groups[1])
    last = provider.refresh(client, narrowed["refresh_token"]).json
    assert claims_of(last["id_token"])["groups"] == NAMES[:1]


def test_what_is_introspected_is_what_the_token_says_and_userinfo_says_what_is_so_now(
    provider: Provider, ada: User, client: KnownClient, groups: list[Group]
) -> None:
    provider.resource(groups_claim=True)
    of_api = provider.tokens(ada, client, ("notes:read", "groups"), resource=API)["access_token"]
    of_ours = provider.tokens(ada, client, ALL)["access_token"]
    provider.leave(groups[0], ada)
    assert provider.introspect(provider.api(), of_api).json["groups"] == NAMES
    assert provider.userinfo(of_ours).json["groups"] == NAMES[:2]


def test_single_claims_can_be_asked_for(provider: Provider, ada: User, groups: list[Group]) -> None:
    client, browser = provider.client("none"), Browser(provider)
    browser.sign_in(ada)
    asked = '{"id_token": {"groups": null}, "userinfo": {"groups": null}}'
    page = page_of(browser.authorize(client, scope="openid", claims=asked), "/consent")
    assert "See which groups you are in" in browser.get(page).text
    code = browser.allow(page).location.partition("code=")[2].partition("&")[0]
    tokens = provider.redeem(client, code).json
    assert tokens["scope"] == "openid"
    assert said(provider, tokens) == {"id_token": NAMES, "userinfo": NAMES, "access_token": None}


def test_the_consent_page_says_it_in_words(provider: Provider, ada: User, client: KnownClient) -> None:
    browser = Browser(provider)
    browser.sign_in(ada)
    page = page_of(browser.authorize(client, scope="openid groups"), "/consent")
    assert "See which groups you are in" in browser.get(page).text
    assert "내가 속한 그룹 보기" in browser.get(page, Accept_Language="ko").text


def test_an_api_key_names_no_groups_whatever_its_owner_is(provider: Provider, ada: User, groups: list[Group]) -> None:
    provider.resource(groups_claim=True)
    key = provider.api_key(ada, ("notes:read",))
    for scope in ("notes:read", "notes:read groups"):
        token = provider.token(key, {"grant_type": "client_credentials", "scope": scope}).json
        assert token["scope"] == "notes:read"
        assert "groups" not in claims_of(token["access_token"])


def test_the_largest_claim_leaves_a_token_that_everybody_reads(provider: Provider, ada: User) -> None:
    provider.resource(groups_claim=True)
    for number in range(50):
        provider.group(f"{number:x>64}", ada)
    scope = ("openid", "groups", "notes:read", "offline_access")
    tokens = provider.tokens(ada, provider.client(), scope, resource=API)
    assert len(claims_of(tokens["access_token"])["groups"]) == 50
    assert len(tokens["access_token"]) < 8192
    assert provider.is_alive(tokens["access_token"])


# The membership is checked by the statement that mints


@pytest.fixture
def authorization(provider: Provider, ada: User, client: KnownClient, groups: list[Group]) -> Iterator[Authorization]:
    """What a refresh has read just before somebody is removed."""
    api = provider.resource(groups_claim=True)
    with provider.begin() as tx:
        membership = provider.services.groups.membership(tx, ada.id)
    yield Authorization(
        client=client.client,
        grant_type="refresh_token",
        scope=("groups", "notes:read"),
        resource=api,
        user_id=ada.id,
        grant_id=provider.grant(ada, client, ("groups", "notes:read"), resource=API),
        membership=membership,
    )
    assert api.token_typ == RFC9068_TYPE


@pytest.mark.parametrize("change", ["added", "removed", "deleted", "nothing"])
def test_a_membership_that_changed_since_it_was_read_makes_no_token(
    provider: Provider, ada: User, groups: list[Group], authorization: Authorization, change: str
) -> None:
    service, origin = provider.services.groups, provider.origin
    with provider.begin() as tx:
        if change == "added":
            service.add(tx, origin, service.create(tx, origin, name="another"), ada)
        elif change == "removed":
            service.remove(tx, origin, groups[0], ada)
        elif change == "deleted":
            service.delete(tx, origin, groups[0])
        issuer = provider.services.token_issuer
        if change == "nothing":
            assert issuer.issue_access_token(tx, authorization, provider.clock.now).token
            return
        with pytest.raises(AuthorizationGone):
            issuer.issue_access_token(tx, authorization, provider.clock.now)
        assert tx.execute(select(IssuedToken.__table__.c.jti)).all() == []
        unasked = dataclasses.replace(authorization, scope=("notes:read",), membership=None)
        assert issuer.issue_access_token(tx, unasked, provider.clock.now).token, "what rests on no group is made"


def test_a_key_whose_owner_left_a_group_since_it_was_read_gets_no_token(
    provider: Provider, ada: User, groups: list[Group]
) -> None:
    api = provider.resource(scope_groups={"notes:write": (groups[0].id,)})
    key, issuer = provider.api_key(ada), provider.services.token_issuer
    with provider.begin() as tx:
        membership = provider.services.groups.membership(tx, ada.id)
        made = Authorization(key.client, "client_credentials", ("notes:write",), api, membership=membership)
        assert issuer.issue_access_token(tx, made, provider.clock.now).token
        provider.services.groups.remove(tx, provider.origin, groups[0], ada)
        with pytest.raises(AuthorizationGone):
            issuer.issue_access_token(tx, made, provider.clock.now)
