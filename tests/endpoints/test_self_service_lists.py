"""The lists of the self-service API, in pieces, and what ends or makes something of them."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from provider.accounts.api_keys import MAX_LIVE
from provider.accounts.users import User
from provider.endpoints.self_service import CHANGES_PER_PERSON
from provider.protocol.client import ClientDetails
from provider.protocol.scopes import ACCOUNT_SCOPES
from tests.endpoints.provider import API, KnownClient, Provider, claims_of
from tests.endpoints.test_self_service import Api, problem_of, token_of


@pytest.fixture
def ada(provider: Provider) -> User:
    return provider.user()


@pytest.fixture
def client(provider: Provider) -> KnownClient:
    return provider.client("none")


@pytest.fixture
def api(provider: Provider, ada: User, client: KnownClient) -> Api:
    return Api(provider, token_of(provider, ada, client, ACCOUNT_SCOPES))


def all_of(api: Api, path: str, limit: int) -> list[Any]:
    """Every item, by following the cursors."""
    items, query = [], f"limit={limit}"
    while True:
        piece = api("GET", path, query=query).json
        assert 0 < len(piece["items"]) <= limit
        items += piece["items"]
        if piece["next"] is None:
            return items
        query = f"limit={limit}&cursor={piece['next']}"


def test_sessions_are_listed_and_ended(provider: Provider, ada: User, client: KnownClient) -> None:
    _cookie, own = provider.session(ada)
    for _ in range(4):
        provider.session(ada)
    eve = provider.user("eve")
    _cookie, hers = provider.session(eve)
    api = Api(provider, token_of(provider, ada, client, ACCOUNT_SCOPES, session=own))
    items = all_of(api, "/api/me/sessions", 2)
    assert len({item["id"] for item in items}) == 5
    assert [item["id"] for item in items if item["is_current"]] == [own.id]
    assert set(items[0]) == {
        *("id", "is_current", "amr", "ip_address", "user_agent", "created_at", "last_seen_at", "expires_at"),
    }
    other = next(item["id"] for item in items if not item["is_current"])
    assert api("DELETE", f"/api/me/sessions/{other}").status == 204
    assert problem_of(api("DELETE", f"/api/me/sessions/{other}")) == (404, "not_found")
    for unknown in (hers.id, "nothing", "x" * 500):
        assert problem_of(api("DELETE", f"/api/me/sessions/{unknown}")) == (404, "not_found")
    assert len(all_of(api, "/api/me/sessions", 100)) == 4
    assert len(all_of(Api(provider, token_of(provider, eve, client, ACCOUNT_SCOPES)), "/api/me/sessions", 9)) == 1
    assert api("DELETE", f"/api/me/sessions/{own.id}").status == 204
    assert problem_of(api("GET", "/api/me")) == (401, "invalid_token"), "the token was this session's"


def allow(provider: Provider, user: User, app: KnownClient) -> str:
    """The id of a consent."""
    with provider.begin() as tx:
        return provider.services.consents.remember(
            tx,
            provider.origin,
            user_id=user.id,
            client=app.client,
            resource_uri=provider.issuer,
            redirect_uri="https://app.example.com/callback",
            scope=("openid",),
        )


def test_apps_are_listed_and_disconnected_with_their_tokens(provider: Provider, ada: User, client: KnownClient) -> None:
    consents = {}
    for user, name in ((ada, "Acme"), (ada, "Stranger"), (provider.user("eve"), "Hers")):
        app = provider.client("none", name=name, is_vouched=name != "Stranger")
        consents[name] = allow(provider, user, app)
        if name == "Acme":
            theirs = token_of(provider, user, app, ("openid",), consent_id=consents[name])
    api = Api(provider, token_of(provider, ada, client, ACCOUNT_SCOPES))
    items = all_of(api, "/api/me/apps", 1)
    assert [(item["name"], item["is_vouched"], item["scope"]) for item in items] == [
        ("Stranger", False, "openid"),
        ("Acme", True, "openid"),
    ]
    assert provider.is_alive(theirs)
    assert api("DELETE", f"/api/me/apps/{consents['Acme']}").status == 204
    assert not provider.is_alive(theirs)
    assert problem_of(api("DELETE", f"/api/me/apps/{consents['Acme']}")) == (404, "not_found")
    assert problem_of(api("DELETE", f"/api/me/apps/{consents['Hers']}")) == (404, "not_found")


def test_a_key_is_made_used_listed_and_revoked(provider: Provider, ada: User, client: KnownClient, api: Api) -> None:
    provider.resource()
    asked = {"name": "nightly", "scope": "notes:read", "expires_in_days": 30, "resource": API}
    answer = api("POST", "/api/me/api-keys", asked)
    assert (answer.status, answer.header("Cache-Control")) == (201, "no-store")
    made = answer.json
    secret = made.pop("secret")
    assert made["expires_at"] == "2026-07-31T12:00:00Z"
    with provider.begin() as tx:
        found = provider.services.clients.find(tx, made["id"])
    assert found is not None
    token = provider.token(KnownClient(found, secret), {"grant_type": "client_credentials"}).json
    assert (token["scope"], claims_of(token["access_token"])["owner"]) == ("notes:read", ada.id)
    (listed,) = all_of(api, "/api/me/api-keys", 5)
    assert {**listed, "last_used_at": None} == made
    (event,) = provider.events("api_key.created")
    assert (event["user_id"], event["actor"]) == (ada.id, client.client_id)
    hers = provider.api_key(provider.user("eve"))
    assert problem_of(api("DELETE", f"/api/me/api-keys/{hers.client_id}")) == (404, "not_found")
    assert api("DELETE", f"/api/me/api-keys/{made['id']}").status == 204
    assert problem_of(api("DELETE", f"/api/me/api-keys/{made['id']}")) == (404, "not_found")
    assert api("GET", "/api/me/api-keys").json == {"items": [], "next": None}


WRONG_KEYS: list[Any] = [
    *({}, [], None, "x", {"name": "a"}, {"scope": ""}, {"name": "", "scope": ""}, {"name": 1, "scope": ""}),
    *({"name": "a", "scope": ["b"]}, {"name": "a", "scope": "unknown"}, {"name": "a", "scope": '"'}),
    *({"name": "a", "scope": "", "expires_in_days": days} for days in (0, -1, 367, 10**30, "7", 1.5, True)),
    *({"name": "a", "scope": "", "resource": uri} for uri in (7, "x", "https://unknown.example/")),
    *(
        {"name": "a", "scope": "", "everything": True},
        {"name": "x" * 101, "scope": ""},
        {"name": "\u202e", "scope": ""},
    ),
    {"name": "a", "scope": "account:read"},
]


def test_a_wrong_key_is_not_made(api: Api) -> None:
    for said in WRONG_KEYS:
        assert problem_of(api("POST", "/api/me/api-keys", b"null" if said is None else said))[0] == 400, said
    assert api("GET", "/api/me/api-keys").json["items"] == []


def test_there_are_as_many_keys_as_there_can_be(provider: Provider, ada: User, api: Api) -> None:
    for _ in range(MAX_LIVE):
        provider.api_key(ada)
    assert problem_of(api("POST", "/api/me/api-keys", {"name": "more", "scope": ""})) == (409, "conflict")
    assert len(all_of(api, "/api/me/api-keys", 20)) == MAX_LIVE


def test_a_key_is_made_only_while_the_person_is_near(provider: Provider, ada: User, client: KnownClient) -> None:
    tokens = provider.tokens(ada, client, (*ACCOUNT_SCOPES, "offline_access"))
    seconds = provider.services.settings.recent_login_seconds
    asked = {"name": "nightly", "scope": ""}
    provider.clock.advance(seconds)
    tokens = provider.refresh(client, tokens["refresh_token"]).json
    assert Api(provider, tokens["access_token"])("POST", "/api/me/api-keys", asked).status == 201
    provider.clock.advance(1)
    answer = Api(provider, tokens["access_token"])("POST", "/api/me/api-keys", asked)
    assert problem_of(answer) == (401, "insufficient_user_authentication")
    assert (answer.header("WWW-Authenticate") or "").endswith(f'max_age="{seconds}"')
    assert len(provider.events("api_key.created")) == 1


def test_activity_goes_back_piece_by_piece_and_is_ones_own(provider: Provider, ada: User, api: Api) -> None:
    eve = provider.user("eve")
    for number in range(7):
        provider.session(ada)
        provider.session(eve)
        if number % 2:
            provider.clock.advance(60)
    api = Api(provider, token_of(provider, ada, provider.client("none"), ACCOUNT_SCOPES))
    own = [event["id"] for event in provider.events() if event["user_id"] == ada.id]
    items = all_of(api, "/api/me/activity", 3)
    assert [item["id"] for item in items] == list(reversed(own))
    assert set(items[0]) == {"id", "action", "outcome", "ip_address", "user_agent", "created_at"}


WRONG_QUERIES = (
    *("limit=0", "limit=101", "limit=-1", "limit=x", "limit=1.5", "limit=9999", "limit=%D9%A3", "limit=1&limit=2"),
    *("q=" + "x" * 101, "q=%00", "q=a%0Ab", "q=a%E2%80%AEb", "q=a&q=b"),
    *("cursor=x", "cursor=x.y", "cursor=MDE5.x", "cursor=" + "x" * 1000, "cursor=a&cursor=b", "cursor=%00"),
)


def test_a_wrong_limit_or_cursor_is_refused(api: Api) -> None:
    for path in ("sessions", "apps", "api-keys", "activity"):
        for query in WRONG_QUERIES:
            answer = api("GET", f"/api/me/{path}", query=query)
            assert problem_of(answer) == (400, "invalid_request"), (path, query)


def test_a_cursor_of_another_person_or_list_is_refused(provider: Provider, ada: User, api: Api) -> None:
    for _ in range(3):
        provider.session(ada)
    cursor = api("GET", "/api/me/activity", query="limit=1").json["next"]
    assert cursor is not None
    assert problem_of(api("GET", "/api/me/sessions", query=f"cursor={cursor}")) == (400, "invalid_request")
    eve = Api(provider, token_of(provider, provider.user("eve"), provider.client("none"), ACCOUNT_SCOPES))
    assert problem_of(eve("GET", "/api/me/activity", query=f"cursor={cursor}")) == (400, "invalid_request")


def test_sessions_are_found_by_browser_and_address(provider: Provider, ada: User, api: Api) -> None:
    for agent, source in (("Firefox/140.0", "192.0.2.1"), ("Chrome/139", "192.0.2.1"), ("Chrome/139", "2001:db8::1")):
        with provider.begin() as tx:
            seen = dataclasses.replace(provider.origin, user_agent=agent, source=source)
            provider.services.sessions.start(tx, seen, ada.id, ("pwd",))
    cases = {
        *(("firefox", 1), ("CHROME", 2), ("%EF%BC%A3hrome", 2), ("192.0.2.1", 2), ("2001:DB8", 1), ("+chrome+", 2)),
        *(("%25", 0), ("_", 0), ("opera", 0), ("", 3)),
    }
    for word, many in cases:
        found = api("GET", "/api/me/sessions", query=f"q={word}").json["items"]
        assert len([it for it in found if it["user_agent"] != "pytest"]) == many, word


def test_apps_and_keys_are_found_by_name_and_id(provider: Provider, ada: User, api: Api) -> None:
    for name in ("nightly", "Nightly two", "weekly"):
        assert api("POST", "/api/me/api-keys", {"name": name, "scope": ""}).status == 201
    keys = api("GET", "/api/me/api-keys").json["items"]
    for word, names in (
        ("NIGHTLY", {"nightly", "Nightly two"}),
        (keys[0]["id"], {keys[0]["name"]}),
        ("daily", set()),
        ("n_ghtly", set()),
    ):
        assert {it["name"] for it in api("GET", "/api/me/api-keys", query=f"q={word}").json["items"]} == names, word
    mail = provider.client("none", name="Mail Reader")
    allow(provider, ada, mail)
    allow(provider, ada, provider.client("none", name="Notes"))
    for word in ("mail", "reader", mail.client_id):
        assert [it["name"] for it in api("GET", "/api/me/apps", query=f"q={word}").json["items"]] == ["Mail Reader"]
    assert api("GET", "/api/me/apps", query="q=calendar").json == {"items": [], "next": None}


def test_what_happened_is_found_piece_by_piece(provider: Provider, ada: User, api: Api) -> None:
    for _ in range(5):
        provider.session(ada)
        provider.clock.advance(1)
    started = [it["id"] for it in provider.events("session.started") if it["user_id"] == ada.id]
    seen, query = [], "q=SESSION.started&limit=2"
    while True:
        piece = api("GET", "/api/me/activity", query=query).json
        seen += [it["id"] for it in piece["items"]]
        if piece["next"] is None:
            break
        query = f"q=SESSION.started&limit=2&cursor={piece['next']}"
    assert seen == list(reversed(started))
    first = api("GET", "/api/me/activity", query="q=session&limit=1").json
    for other in ("", "q=login&"):
        answer = api("GET", "/api/me/activity", query=f"{other}cursor={first['next']}")
        assert problem_of(answer) == (400, "invalid_request"), "a cursor is good for what was looked for"


def test_changes_are_limited_for_each_person(provider: Provider, ada: User, api: Api) -> None:
    with provider.begin() as tx:
        for _ in range(CHANGES_PER_PERSON.times):
            provider.services.rate_limits.hit(tx, CHANGES_PER_PERSON, ada.id, provider.clock.now)
    answer = api("DELETE", "/api/me/sessions/nothing")
    assert problem_of(answer) == (429, "temporarily_unavailable")
    assert answer.header("Retry-After")
    assert api("GET", "/api/me/sessions").status == 200, "who only reads is not counted"


def test_an_app_that_knows_people_by_pseudonyms_is_told_its_own(provider: Provider, ada: User) -> None:
    client = provider.client("none", details=ClientDetails(subject_type="pairwise"))
    _cookie, session = provider.session(ada)
    token = token_of(provider, ada, client, ACCOUNT_SCOPES, session=session)
    api = Api(provider, token)
    sub = api("GET", "/api/me").json["sub"]
    assert sub == claims_of(token)["sub"] != ada.id
    assert [item["is_current"] for item in api("GET", "/api/me/sessions").json["items"]] == [True]
