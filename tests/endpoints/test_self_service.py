"""The self-service API through both doors: what each scope opens, and that nobody reaches anybody else's."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from provider.accounts.users import User
from provider.protocol.profile import FIELDS
from provider.protocol.scopes import ACCOUNT_SCOPES, CLOUD_CREDENTIALS
from provider.security.cursors import Cursors, InvalidCursor
from tests.endpoints.browsing import Browser, code_of, error_of, page_of
from tests.endpoints.provider import API, KnownClient, Provider
from tests.endpoints.wsgi import Answer

READ = {
    "/api/me": "account:read",
    "/api/me/profile": "account:read",
    "/api/me/sessions": "account:read",
    "/api/me/apps": "account:read",
    "/api/me/api-keys": "account:read",
    "/api/me/activity": "activity:read",
}
CHANGE = {
    ("PATCH", "/api/me/profile"): "profile:write",
    ("DELETE", "/api/me/sessions/nothing"): "sessions:manage",
    ("DELETE", "/api/me/apps/nothing"): "apps:manage",
    ("POST", "/api/me/api-keys"): "api-keys:manage",
    ("DELETE", "/api/me/api-keys/nothing"): "api-keys:manage",
}
ALL = {**{("GET", path): scope for path, scope in READ.items()}, **CHANGE}


@pytest.fixture
def ada(provider: Provider) -> User:
    return provider.user(display_name="Ada", locale="en")


@pytest.fixture
def client(provider: Provider) -> KnownClient:
    return provider.client("none")


class Api:
    """Calls by one person's token."""

    def __init__(self, provider: Provider, token: str) -> None:
        self.provider, self.token = provider, token

    def __call__(self, method: str, path: str, said: Any = None, *, query: str = "", **headers: str) -> Answer:
        made = {"Authorization": f"Bearer {self.token}"} | {
            name.replace("_", "-"): value for name, value in headers.items()
        }
        body = b""
        if said is not None:
            body = said if isinstance(said, bytes) else json.dumps(said).encode()
            made.setdefault("Content-Type", "application/json")
        return self.provider.send(method, path, query=query, body=body, headers=made)


@pytest.fixture
def api(provider: Provider, ada: User, client: KnownClient) -> Api:
    return Api(provider, token_of(provider, ada, client, ACCOUNT_SCOPES))


def token_of(provider: Provider, user: User, client: KnownClient, scope: tuple[str, ...], **options: Any) -> str:
    return str(provider.tokens(user, client, scope, **options)["access_token"])


def problem_of(answer: Answer) -> tuple[int, str]:
    """The status and the name of a problem, whose form is checked (RFC 9457)."""
    assert answer.header("Content-Type") == "application/problem+json"
    assert answer.header("Cache-Control") == "no-store"
    said = json.loads(answer.body)
    assert set(said) <= {"type", "title", "status", "detail"}
    assert said["status"] == answer.status
    return answer.status, said["type"].removeprefix("urn:mcp-core:problem:")


# Who may


def test_each_call_needs_its_own_scope(provider: Provider, ada: User, client: KnownClient) -> None:
    for (method, path), needed in ALL.items():
        others = tuple(scope for scope in (*ACCOUNT_SCOPES, "openid", "profile") if scope != needed)
        refused = Api(provider, token_of(provider, ada, client, others))(method, path)
        assert problem_of(refused) == (403, "insufficient_scope")
        challenge = refused.header("WWW-Authenticate") or ""
        assert challenge.startswith('Bearer error="insufficient_scope"')
        assert challenge.endswith(f'scope="{needed}"')
        with_it = Api(provider, token_of(provider, ada, client, (needed,)))(method, path)
        assert with_it.status not in (401, 403)


def test_nobody_gets_in_without_a_living_token_of_a_person_for_this_server(
    provider: Provider, ada: User, client: KnownClient
) -> None:
    provider.resource(scope=ACCOUNT_SCOPES)
    elsewhere = token_of(provider, ada, client, ACCOUNT_SCOPES, resource=API)
    own = token_of(provider, ada, client, ACCOUNT_SCOPES)
    for method, path in ALL:
        for token in (elsewhere, "", "nothing", own[:-4] + "AAAA"):
            answer = Api(provider, token)(method, path)
            assert problem_of(answer) == (401, "invalid_token")
            assert (answer.header("WWW-Authenticate") or "").startswith("Bearer")
        assert problem_of(provider.send(method, path, query=f"access_token={own}"))[0] == 401
    with provider.begin() as tx:
        provider.services.user_ends.set_active(tx, provider.origin, ada.id, False)
    for method, path in ALL:
        assert problem_of(Api(provider, own)(method, path)) == (401, "invalid_token")


def test_neither_a_machine_nor_an_api_key_nor_a_stranger_has_these_scopes(provider: Provider, ada: User) -> None:
    wanted = {"grant_type": "client_credentials", "scope": "account:read", "resource": provider.issuer}
    machine = provider.machine(scope=ACCOUNT_SCOPES)
    assert provider.token(machine, wanted).error == (400, "invalid_scope")
    assert provider.token(provider.machine(), wanted).error == (400, "invalid_scope")
    assert provider.token(provider.api_key(ada), wanted).error == (400, "invalid_scope")
    browser = Browser(provider)
    browser.sign_in(ada)
    stranger = provider.client("none", is_vouched=False)
    page = page_of(browser.authorize(stranger, scope="openid account:read api-keys:manage"), "/consent")
    made = provider.redeem(stranger, code_of(browser.allow(page))).json
    assert made["scope"] == "openid"


def test_the_scopes_are_asked_for_by_name_and_said_in_words(provider: Provider, ada: User, client: KnownClient) -> None:
    browser = Browser(provider)
    browser.sign_in(ada)
    said_here = " ".join(name for name in ACCOUNT_SCOPES if name != CLOUD_CREDENTIALS)
    page = page_of(browser.authorize(client, scope=said_here), "/consent")
    shown = browser.get(page).text
    for words in ("See your account:", "what has happened to", "Change your display name", "Sign your devices out"):
        assert words in shown
    assert re.search(r'class="lasts"><[^>]+>Make API keys that can do what you may do', shown)
    assert "Use “" not in shown
    with provider.begin() as tx:
        provider.services.users.set_locale(tx, provider.clock.now, ada.id, "ko")
    assert "내 계정 보기" in browser.get(page).text
    code = code_of(browser.allow(page))
    assert provider.redeem(client, code).json["scope"] == said_here
    assert error_of(browser.authorize(client, scope=None)) == "invalid_scope", "they are no default"
    said = provider.get("/.well-known/openid-configuration").json["scopes_supported"]
    assert not set(said) & set(ACCOUNT_SCOPES), "some clients ask for all that is announced"


def test_scripts_of_any_origin_may_call_with_a_token(provider: Provider) -> None:
    answer = provider.send("OPTIONS", "/api/me/profile", headers={"Origin": "https://app.example"})
    assert answer.status == 204
    assert answer.header("Access-Control-Allow-Methods") == "GET, PATCH, OPTIONS"
    assert "If-Match" in (answer.header("Access-Control-Allow-Headers") or "")


def test_another_method_is_a_problem_as_well(provider: Provider) -> None:
    for method, path in (("PUT", "/api/me"), ("POST", "/api/me/sessions/x"), ("GET", "/api/me/apps/x")):
        answer = provider.send(method, path)
        assert problem_of(answer) == (405, "invalid_request")
        assert answer.header("Allow")


def test_what_is_too_long_is_a_problem_as_well(provider: Provider, api: Api) -> None:
    assert problem_of(api("PATCH", "/api/me/profile", b'{"a":"' + b"x" * 70_000 + b'"}'))[0] == 413
    assert problem_of(api("GET", "/api/me", query="a=" + "x" * 17_000))[0] == 414


# Me and the profile


def test_me(provider: Provider, ada: User, api: Api) -> None:
    provider.group("developers", ada)
    answer = api("GET", "/api/me")
    assert answer.header("Cache-Control") == "no-store"
    assert answer.json == {
        "sub": ada.id,
        "username": "ada",
        "email": "ada@example.com",
        "email_verified": False,
        "display_name": "Ada",
        "locale": "en",
        "time_zone": None,
        "groups": ["developers"],
        "two_factor_enabled": False,
        "created_at": "2026-07-01T12:00:00Z",
        "last_login_at": None,
    }
    assert api("HEAD", "/api/me").body == b""


def test_the_profile_is_changed_by_whoever_has_read_it(provider: Provider, ada: User, api: Api) -> None:
    read = api("GET", "/api/me/profile")
    empty = {**dict.fromkeys(FIELDS), "picture": None}
    assert read.json == {**empty, "display_name": "Ada", "locale": "en", "time_zone": None}
    etag = read.header("ETag") or ""
    patch = {
        "display_name": "Ada  L. ",
        "time_zone": "Asia/Seoul",
        "family_name": "Lovelace",
        "phone_number": "+82 2 123 4567",
    }
    changed = api("PATCH", "/api/me/profile", patch, If_Match=etag)
    said = {"family_name": "Lovelace", "phone_number": "+8221234567"}
    assert changed.json == {**empty, "display_name": "Ada L.", "locale": "en", "time_zone": "Asia/Seoul", **said}
    assert changed.header("ETag") not in ("", etag)
    assert api("GET", "/api/me/profile").header("ETag") == changed.header("ETag")
    assert problem_of(api("PATCH", "/api/me/profile", patch, If_Match=etag)) == (412, "precondition_failed")
    newest = changed.header("ETag") or ""
    several = api("PATCH", "/api/me/profile", {"locale": "ko"}, If_Match=f'"x", {newest}')
    assert several.json["locale"] == "ko"
    taken_away = api("PATCH", "/api/me/profile", {"display_name": None}, If_Match="*")
    assert taken_away.json["display_name"] is None
    events = provider.events("user.profile_changed")
    assert [event["metadata"]["changed"] for event in events] == [
        ["display_name", "family_name", "phone_number", "time_zone"],
        ["locale"],
        ["display_name"],
    ]
    assert all(event["user_id"] == ada.id and event["actor"].startswith("app_") for event in events)


def test_nothing_is_changed_unread_or_meanwhile(provider: Provider, ada: User, api: Api) -> None:
    patch = {"display_name": "Eve"}
    assert problem_of(api("PATCH", "/api/me/profile", patch)) == (428, "precondition_required")
    etag = api("GET", "/api/me/profile").header("ETag") or ""
    assert problem_of(api("PATCH", "/api/me/profile", patch, If_Match=f"W/{etag}")) == (412, "precondition_failed")
    with provider.begin() as tx:
        first = provider.services.profiles.change(tx, provider.origin, ada, {"display_name": "Other"})
        second = provider.services.profiles.change(tx, provider.origin, ada, patch)
    assert (first, second) == (True, False), "of two who have read the same one comes too late"
    assert api("GET", "/api/me/profile").json["display_name"] == "Other"


WRONG_PROFILES: list[tuple[Any, str]] = [
    ({"website": "javascript:alert(1)"}, "website cannot have this value."),
    ({"birthdate": "2990-01-01"}, "birthdate cannot have this value."),
    ({"phone_number": "call me"}, "phone_number cannot have this value."),
    ({"picture": "https://id.example/x"}, "There is no such field, or it cannot be changed here."),
    ({"display_name": ""}, "display_name cannot have this value."),
    ({"display_name": "x" * 256}, "display_name cannot have this value."),
    ({"display_name": "a\u202eb"}, "display_name cannot have this value."),
    ({"display_name": "a\nb"}, "display_name cannot have this value."),
    ({"display_name": 7}, "display_name cannot have this value."),
    ({"locale": "xx"}, "locale cannot have this value."),
    ({"locale": ["en"]}, "locale cannot have this value."),
    ({"time_zone": "Mars/Olympus"}, "time_zone cannot have this value."),
    ({"time_zone": "../etc/passwd"}, "time_zone cannot have this value."),
    ({"time_zone": {}}, "time_zone cannot have this value."),
    ({"username": "root"}, "There is no such field, or it cannot be changed here."),
    ({"is_admin": True}, "There is no such field, or it cannot be changed here."),
    ({"display_name": "fine", "email": "a@b.example"}, "There is no such field, or it cannot be changed here."),
    ([], "The body must be a JSON object."),
    ("x", "The body must be a JSON object."),
    (b"{", "What was sent is not JSON."),
    (b'{"display_name": "a", "display_name": "b"}', "What was sent is not JSON."),
    (b"\xff", "What was sent is not JSON."),
    (b"", "What was sent is not JSON."),
]


def test_a_wrong_profile_changes_nothing(api: Api) -> None:
    before = api("GET", "/api/me/profile")
    for said, words in WRONG_PROFILES:
        answer = api("PATCH", "/api/me/profile", said, If_Match="*")
        assert problem_of(answer) == (400, "invalid_request"), said
        assert json.loads(answer.body)["detail"] == words, said
    assert api("GET", "/api/me/profile").json == before.json


def test_a_patch_is_json(api: Api) -> None:
    answer = api("PATCH", "/api/me/profile", b"display_name=Eve", Content_Type="text/plain", If_Match="*")
    assert problem_of(answer) == (415, "invalid_request")
    assert answer.header("Accept-Patch") == "application/json, application/merge-patch+json"
    merge = {"Content_Type": "application/merge-patch+json", "If_Match": "*"}
    assert api("PATCH", "/api/me/profile", {"locale": "ko"}, **merge).json["locale"] == "ko"


# Cursors alone


def test_a_cursor_is_good_for_its_own_list_alone(provider: Provider) -> None:
    cursors = Cursors(provider.services.keyring)
    made = cursors.made("sessions|ada", "01900000")
    assert cursors.position("sessions|ada", made) == "01900000"
    encoded, seal = made.split(".")
    for about, cursor in (
        *(("sessions|eve", made), ("apps|ada", made)),
        *(
            ("sessions|ada", wrong)
            for wrong in ("", ".", encoded, f"{encoded}.", f".{seal}", f"{made}x", "x" * 600, "é.é")
        ),
        ("sessions|ada", f"{cursors.made('sessions|ada', '02').split('.')[0]}.{seal}"),
    ):
        with pytest.raises(InvalidCursor):
            cursors.position(about, cursor)
