"""Pseudonyms (OpenID Connect Core §8): one for each sector, the same everywhere, and never the user's own id beside it."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

import pytest
from sqlalchemy import Engine

from database.models import LogoutNotice
from provider.accounts.users import User
from provider.clients.rows import metadata_of
from provider.protocol.client import ClientDetails
from tests.endpoints.browsing import Browser, code_of, error_of, page_of
from tests.endpoints.forging import altered
from tests.endpoints.provider import API, REDIRECT_URI, KnownClient, Provider, ProviderFactory, claims_of

SECTOR_DOCUMENT = "https://sector.example.org/uris.json"


@pytest.fixture
def browser(sqlite_engine: Engine, make_provider: ProviderFactory) -> Browser:
    return Browser(make_provider(sqlite_engine))


@pytest.fixture
def provider(browser: Browser) -> Provider:
    return browser.provider


@pytest.fixture
def ada(provider: Provider) -> User:
    return provider.user()


def pairwise(provider: Provider, *redirect_uris: str, sector: str | None = None, **options: Any) -> KnownClient:
    """``application_type`` and method may be given as well."""
    details = ClientDetails(subject_type="pairwise", sector_identifier_uri=sector)
    return provider.client(
        **{"is_trusted": True, "redirect_uris": redirect_uris or (REDIRECT_URI,), "details": details, **options}
    )


def sub_of(provider: Provider, user: User, client: KnownClient) -> str:
    answer = provider.redeem(
        client,
        provider.code(provider.grant(user, client), redirect_uri=client.client.redirect_uris[0]),
        redirect_uri=client.client.redirect_uris[0],
    )
    sub: str = claims_of(answer.json["id_token"])["sub"]
    return sub


def test_each_sector_has_its_own_pseudonym_for_each_person(provider: Provider, ada: User) -> None:
    bob = provider.user("bob")
    first = pairwise(provider)
    same_host = pairwise(provider, "https://app.example.com/other", "https://app.example.com/callback?x=1")
    same_host_other_port = pairwise(provider, "https://app.example.com:8443/callback")
    other_host = pairwise(provider, "https://other.example.com/callback")
    sector = pairwise(provider, "https://a.example.org/cb", "https://b.example.org/cb", sector=SECTOR_DOCUMENT)
    same_sector = pairwise(provider, "https://c.example.org/cb", sector=SECTOR_DOCUMENT + "?v=2")
    subjects = {
        name: sub_of(provider, ada, client) for name, client in locals().items() if isinstance(client, KnownClient)
    }
    assert subjects["first"] == subjects["same_host"] == subjects["same_host_other_port"]
    assert subjects["sector"] == subjects["same_sector"]
    assert len({subjects["first"], subjects["other_host"], subjects["sector"], ada.id}) == 4
    assert sub_of(provider, ada, first) == subjects["first"], "for good"
    assert sub_of(provider, bob, first) != subjects["first"]
    assert all(subject.isascii() and 20 < len(subject) <= 255 for subject in subjects.values())
    assert sub_of(provider, ada, provider.client()) == ada.id


@pytest.mark.parametrize(
    "uris, kind",
    [
        (("http://127.0.0.1/cb",), "native"),
        (("http://localhost:3000/cb",), "web"),
        (("com.example.app:/cb",), "native"),
        (("https://a.example.org/cb", "https://b.example.org/cb"), "web"),
        (("https://a.example.org/cb", "http://localhost/cb"), "native"),
    ],
)
def test_what_anybody_can_register_is_no_sector_that_clients_share(
    provider: Provider, ada: User, uris: tuple[str, ...], kind: str
) -> None:
    """Or two applications on one device, or of two makers, could compare notes about a person."""
    subjects = {sub_of(provider, ada, pairwise(provider, *uris, application_type=kind)) for _ in range(3)}
    assert len(subjects) == 3
    assert ada.id not in subjects


def test_one_server_tells_another_nothing(browser: Browser, provider: Provider, ada: User, keyring: Any) -> None:
    """The pseudonym follows from our key alone: whoever knows a user's id and a sector can't compute it."""
    subject = sub_of(provider, ada, pairwise(provider))
    assert subject == keyring.keyed_hash("pairwise subject", f"app.example.com|{ada.id}")


@pytest.mark.parametrize("resource", [None, API])
def test_every_place_says_the_same_and_none_the_users_own_id(
    browser: Browser, provider: Provider, ada: User, resource: str | None
) -> None:
    provider.resource()
    client = pairwise(provider)
    browser.sign_in(ada)
    scope = "openid profile email offline_access" + (" notes:read" if resource else "")
    asked = json.dumps({"id_token": {"name": None, "email": None, "preferred_username": None}})
    made = provider.redeem(client, code_of(browser.authorize(client, scope=scope, resource=resource, claims=asked)))
    tokens = made.json
    subject = claims_of(tokens["id_token"])["sub"]
    seen = [made.text, json.dumps(claims_of(tokens["id_token"])), json.dumps(claims_of(tokens["access_token"]))]
    assert claims_of(tokens["access_token"])["sub"] == subject
    refreshed = provider.refresh(client, tokens["refresh_token"]).json
    assert claims_of(refreshed["id_token"])["sub"] == claims_of(refreshed["access_token"])["sub"] == subject
    if resource is None:
        userinfo = provider.userinfo(tokens["access_token"])
        assert userinfo.json["sub"] == subject
        seen.append(userinfo.text)
    for token in (tokens["access_token"], tokens["refresh_token"]):
        described = provider.introspect(client, token)
        assert described.json["active"] is True
        assert described.json["sub"] == subject
        assert "username" not in described.json, "the name to sign in with would undo the pseudonym"
        seen.append(described.text)
    if resource is not None:
        described = provider.introspect(provider.api(), tokens["access_token"])
        assert described.json["sub"] == subject
        assert "username" not in described.json
        seen.append(described.text)
    assert subject != ada.id
    for text in seen:
        assert ada.id not in text


def test_who_knows_the_users_id_is_told_the_name_as_well(provider: Provider, ada: User) -> None:
    client = provider.client()
    tokens = provider.tokens(ada, client, ("openid", "profile", "offline_access"))
    for token in (tokens["access_token"], tokens["refresh_token"]):
        described = provider.introspect(client, token).json
        assert (described["sub"], described["username"]) == (ada.id, "ada")


def test_hints_and_named_persons_are_understood_under_their_pseudonym(
    browser: Browser, provider: Provider, ada: User
) -> None:
    client, other, plain = (
        pairwise(provider),
        pairwise(provider, "https://other.example.com/cb"),
        provider.client(is_trusted=True),
    )
    bob = provider.user("bob")
    own, bobs = (provider.tokens(user, client, ("openid",))["id_token"] for user in (ada, bob))
    browser.sign_in(ada)
    for asking in (client, plain):
        code_of(browser.authorize(asking, id_token_hint=own, prompt="none"))
        assert error_of(browser.authorize(asking, id_token_hint=bobs, prompt="none")) == "login_required"
    subject = claims_of(own)["sub"]

    def named(value: str) -> str:
        return json.dumps({"id_token": {"sub": {"value": value}}})

    code_of(browser.authorize(client, claims=named(subject), prompt="none"))
    for value in (ada.id, sub_of(provider, ada, other), claims_of(bobs)["sub"]):
        assert error_of(browser.authorize(client, claims=named(value), prompt="none")) == "login_required"
    assert error_of(browser.authorize(plain, claims=named(subject), prompt="none")) == "login_required"
    page_of(browser.authorize(client, claims=named(ada.id)), "/login")


def becomes(provider: Provider, client: KnownClient, **changes: Any) -> None:
    with provider.begin() as tx:
        known = provider.services.clients.find(tx, client.client_id, fresh=True)
        assert known is not None
        assert provider.services.clients.replace(tx, provider.origin, known, replace(metadata_of(known), **changes))


MOVES = [
    ("pairwise", "public", {"details": ClientDetails()}),
    ("pairwise", "of another host", {"redirect_uris": ("https://moved.example.com/cb",)}),
    ("pairwise", "of another sector", {"details": ClientDetails("https://x.example", subject_type="pairwise",
                                                                sector_identifier_uri=SECTOR_DOCUMENT)}),
    ("public", "pairwise", {"details": ClientDetails(subject_type="pairwise")}),
]  # fmt: skip


@pytest.mark.parametrize("was, _is, changes", MOVES, ids=[f"{row[0]} to {row[1]}" for row in MOVES])
def test_a_client_never_gets_two_identifiers_of_a_person_from_one_decision(
    browser: Browser, provider: Provider, ada: User, was: str, _is: str, changes: dict[str, Any]
) -> None:
    """Neither by its codes, refresh tokens and access tokens, nor by a silent request, nor when the session ends."""
    logout: dict[str, Any] = {"backchannel_logout_uri": "https://app.example.com/logout"}
    client = provider.client(details=ClientDetails(subject_type=was, **logout))
    session_id = browser.sign_in(ada)
    code = code_of(browser.allow(page_of(browser.authorize(client, scope="openid offline_access"), "/consent")))
    tokens = provider.redeem(client, code).json
    pending = code_of(browser.authorize(client, scope="openid", prompt="none"))
    details = replace(changes.get("details", client.client.details), **logout)
    becomes(provider, client, **{**changes, "details": details})
    assert provider.refresh(client, tokens["refresh_token"]).error == (400, "invalid_grant")
    assert provider.redeem(client, pending).error == (400, "invalid_grant")
    assert not provider.is_alive(tokens["access_token"])
    assert provider.introspect(client, tokens["refresh_token"]).json == {"active": False}
    uri = changes.get("redirect_uris", (REDIRECT_URI,))[0]
    assert (
        error_of(browser.authorize(client, scope="openid", prompt="none", redirect_uri=uri), uri) == "consent_required"
    )
    with provider.begin() as tx:
        provider.services.sessions.end(tx, provider.origin, session_id, user_id=ada.id, reason="test")
    assert provider.rows(LogoutNotice) == []
    assert {event["metadata"]["reason"] for event in provider.events("grant.revoked")} >= {"subject_changed"}


def test_a_client_that_stays_in_its_sector_keeps_what_was_granted(provider: Provider, ada: User) -> None:
    client = pairwise(provider)
    tokens = provider.tokens(ada, client)
    becomes(provider, client, redirect_uris=("https://app.example.com/moved",), name="Renamed")
    assert provider.refresh(client, tokens["refresh_token"]).status == 200
    assert provider.userinfo(tokens["access_token"]).json["sub"] == claims_of(tokens["id_token"])["sub"]
    assert provider.userinfo(altered(provider, tokens["access_token"], sub=ada.id)).status == 401


def test_sectors_cannot_put_their_pseudonyms_together_by_the_session(
    browser: Browser, provider: Provider, ada: User
) -> None:
    """Each names the session in its own way, the same in every token, and can still sign the person out of it."""
    session_id = browser.sign_in(ada)
    other_uri = "https://other.example.com/callback"
    first, second, other = pairwise(provider), pairwise(provider), pairwise(provider, other_uri)
    named: dict[str, str] = {}
    hint = ""
    for client in (first, second, other):
        (uri,) = client.client.redirect_uris
        code = code_of(browser.authorize(client, scope="openid", redirect_uri=uri), uri)
        tokens = provider.redeem(client, code, redirect_uri=uri).json
        hint = tokens["id_token"]
        named[client.client_id] = claims_of(hint)["sid"]
        assert claims_of(tokens["access_token"])["sid"] == claims_of(hint)["sid"]
    assert named[first.client_id] == named[second.client_id]
    assert len({*named.values(), session_id}) == 3
    browser.get(f"{provider.path}/logout?{urlencode({'id_token_hint': hint})}")
    with provider.begin() as tx:
        assert provider.services.sessions.list(tx, provider.clock.now, ada.id) == []
