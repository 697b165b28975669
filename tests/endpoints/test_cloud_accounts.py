"""Cloud accounts for programs: who may see them and get credentials of one, and what stays on record of it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import update

from database.models import CloudAccount as Row
from database.models import User as UserRow
from provider.accounts.users import User
from provider.endpoints.cloud_accounts import GIVEN_OF_ACCOUNT, GIVEN_TO_CLIENT
from provider.protocol.scopes import ACCOUNT_SCOPES, CLOUD_CREDENTIALS
from provider.security.rate_limit import Limit
from provider.vault.account import CloudAccount
from tests.endpoints.provider import API, KnownClient, Provider, ProviderFactory, claims_of
from tests.endpoints.test_self_service import Api, problem_of, token_of
from tests.endpoints.test_self_service_lists import all_of
from tests.endpoints.wsgi import Answer

PATH = "/api/cloud-accounts"
KEY_ID, SECRET = "AKIA" + "A" * 16, "s" * 40
ASKED = {"purpose": "nightly backup"}
TWO_FACTOR = "urn:mcp-core:two-factor"


@pytest.fixture
def ada(provider: Provider) -> User:
    return provider.user(is_verified=True)


@pytest.fixture(params=["sqlite", "mariadb", "mysql"])
def provider_on(request: pytest.FixtureRequest, make_provider: ProviderFactory) -> Provider:
    """On each database, MySQL included: who may have what is decided in one statement there."""
    return make_provider(request.getfixturevalue(f"{request.param}_engine"))


@pytest.fixture
def client(provider: Provider) -> KnownClient:
    return provider.client("none")


@pytest.fixture
def work(provider: Provider, ada: User) -> CloudAccount:
    return connected(provider, ada)


@pytest.fixture
def api(provider: Provider, ada: User, client: KnownClient) -> Api:
    return Api(provider, token_of(provider, ada, client, (CLOUD_CREDENTIALS,)))


def connected(provider: Provider, owner: User, label: str = "work") -> CloudAccount:
    said = {"access_key_id": KEY_ID, "secret_access_key": SECRET, "region": "eu-central-1"}
    with provider.begin() as tx:
        return provider.services.cloud_accounts.connect(
            tx, provider.origin, owner.id, label=label, provider="aws", mode="secret", said=said
        )


def cloud_key(provider: Provider, owner: User, name: str = "Laptop") -> KnownClient:
    """A key that its owner has ticked for cloud credentials."""
    with provider.begin() as tx:
        key, secret = provider.services.api_keys.create(
            tx,
            provider.origin,
            owner,
            name=name,
            scope=(CLOUD_CREDENTIALS,),
            expires_in_days=30,
            resource=None,
            proved_second_factor=True,
        )
    return KnownClient(key, secret)


def key_token(provider: Provider, key: KnownClient, **more: str) -> Any:
    return provider.token(key, {"grant_type": "client_credentials", **more})


def calls(account_id: str) -> list[tuple[str, str, Any]]:
    return [
        ("GET", PATH, None),
        ("HEAD", PATH, None),
        ("GET", f"{PATH}/{account_id}", None),
        ("HEAD", f"{PATH}/{account_id}", None),
        ("POST", f"{PATH}/{account_id}/credentials", ASKED),
    ]


# What is given


def test_accounts_are_listed_without_their_secrets(provider: Provider, ada: User, api: Api) -> None:
    made = [connected(provider, ada, label) for label in ("work", "home", "lab")]
    connected(provider, provider.user("eve"), "hers")
    items = all_of(api, PATH, 2)
    assert {item["id"] for item in items} == {account.id for account in made}
    assert [item["label"] for item in items if item["is_primary"]] == ["work"]
    assert items == [api("GET", f"{PATH}/{item['id']}").json for item in items]
    (home,) = api("GET", PATH, query="label=home").json["items"]
    assert home == {
        "id": made[1].id,
        "label": "home",
        "provider": "aws",
        "mode": "secret",
        "is_primary": False,
        "fields": {"region": "eu-central-1"},
        "secrets_changed_at": "2026-07-01T12:00:00Z",
        "last_used_at": None,
        "tested_at": None,
        "created_at": "2026-07-01T12:00:00Z",
        "updated_at": "2026-07-01T12:00:00Z",
    }
    for label in ("hers", "%", "HOME", ""):
        assert len(api("GET", PATH, query=f"label={label}").json["items"]) == (3 if not label else 0)
    text = api("GET", PATH).text + api("GET", f"{PATH}/{made[0].id}").text
    assert SECRET not in text
    assert KEY_ID not in text


def test_credentials_are_given_for_a_purpose_on_record(
    provider: Provider, ada: User, client: KnownClient, work: CloudAccount, api: Api
) -> None:
    answer = api("POST", f"{PATH}/{work.id}/credentials", {**ASKED, "want": "credentials"})
    assert (answer.status, answer.header("Cache-Control")) == (200, "no-store")
    assert answer.json == {
        "account": {"id": work.id, "label": "work", "provider": "aws", "mode": "secret"},
        "credentials": {"access_key_id": KEY_ID, "secret_access_key": SECRET, "region": "eu-central-1"},
        "expires_at": None,
    }
    (event,) = provider.events("cloud.credentials_given")
    assert (event["user_id"], event["actor"], event["resource_id"]) == (ada.id, client.client_id, work.id)
    said = {"label": "work", "provider": "aws", "mode": "secret", "purpose": "nightly backup"}
    assert said.items() <= event["metadata"].items()
    assert event["metadata"]["client"] == "Notes"
    assert SECRET not in str(provider.events())
    assert api("GET", f"{PATH}/{work.id}").json["last_used_at"] == "2026-07-01T12:00:00Z"


def test_an_api_key_acts_for_its_owner(provider: Provider, ada: User, work: CloudAccount) -> None:
    key = cloud_key(provider, ada)
    for more in ({}, {"resource": provider.issuer}, {"scope": CLOUD_CREDENTIALS}):
        tokens = key_token(provider, key, **more).json
        claims = claims_of(tokens["access_token"])
        assert (tokens["scope"], claims["aud"], claims["owner"]) == (CLOUD_CREDENTIALS, provider.issuer, ada.id)
    api = Api(provider, tokens["access_token"])
    assert [item["id"] for item in api("GET", PATH).json["items"]] == [work.id]
    assert api("POST", f"{PATH}/{work.id}/credentials", ASKED).json["credentials"]["secret_access_key"] == SECRET
    (event,) = provider.events("cloud.credentials_given")
    assert (event["user_id"], event["actor"], event["metadata"]["client"]) == (ada.id, key.client_id, "Laptop")
    for path in ("/api/me", "/api/me/activity", "/api/me/api-keys"):
        assert problem_of(api("GET", path)) == (401, "invalid_token"), "a key reaches nothing else of its owner"


# Who gets nothing


def test_nobody_gets_in_without_a_living_token_for_this_server_and_the_scope(
    provider: Provider, ada: User, client: KnownClient, work: CloudAccount
) -> None:
    provider.resource(scope=ACCOUNT_SCOPES)
    own = token_of(provider, ada, client, (CLOUD_CREDENTIALS,))
    refused = {
        "": 401,
        "nothing": 401,
        own[:-4] + "AAAA": 401,
        token_of(provider, ada, client, ACCOUNT_SCOPES, resource=API): 401,
        key_token(provider, provider.api_key(ada, resource=API)).json["access_token"]: 401,
        key_token(provider, provider.machine(scope=(CLOUD_CREDENTIALS,))).json["access_token"]: 401,
        token_of(provider, ada, client, tuple(name for name in ACCOUNT_SCOPES if name != CLOUD_CREDENTIALS)): 403,
    }
    for method, path, said in calls(work.id):
        for token, status in refused.items():
            answer = Api(provider, token)(method, path, said)
            assert answer.status == status, (method, path, token)
            name = "invalid_token" if status == 401 else "insufficient_scope"
            assert method == "HEAD" or problem_of(answer) == (status, name)
            assert (answer.header("WWW-Authenticate") or "").startswith("Bearer")
    assert provider.events("cloud.credentials_given") == []


def test_an_account_of_somebody_else_looks_like_none(provider: Provider, ada: User, work: CloudAccount) -> None:
    eve = provider.user("eve")
    by_app = token_of(provider, eve, provider.client("none"), (CLOUD_CREDENTIALS,))
    by_key = key_token(provider, cloud_key(provider, eve)).json["access_token"]
    for token in (by_app, by_key):
        api, bodies = Api(provider, token), set()
        for account_id in (work.id, "nothing", "x" * 500):
            for method, path, said in calls(account_id)[2:]:
                answer = api(method, path, said)
                assert answer.status == 404, (method, path)
                bodies.add(answer.body)
        assert len(bodies - {b""}) == 1, "an unknown one and another person's look alike"
        assert api("GET", PATH).json == {"items": [], "next": None}
    assert provider.events("cloud.credentials_given") == []


def test_what_ended_opens_nothing(provider: Provider, ada: User, client: KnownClient, work: CloudAccount) -> None:
    grant = provider.grant(ada, client, (CLOUD_CREDENTIALS,))
    token = provider.redeem(client, provider.code(grant)).json["access_token"]
    other = token_of(provider, ada, client, (CLOUD_CREDENTIALS,))
    key = cloud_key(provider, ada)
    by_key = key_token(provider, key).json["access_token"]
    second = key_token(provider, cloud_key(provider, ada, "Server")).json["access_token"]
    with provider.begin() as tx:
        provider.services.grants.revoke(tx, provider.origin, grant, "user")
        provider.services.api_keys.revoke(tx, provider.origin, ada.id, key.client.id)
    for method, path, said in calls(work.id):
        for ended in (token, by_key):
            assert Api(provider, ended)(method, path, said).status == 401, (method, path)
        for living in (other, second):
            assert Api(provider, living)(method, path, said).status == 200, (method, path)
    with provider.begin() as tx:
        provider.services.user_ends.set_active(tx, provider.origin, ada.id, False)
    for method, path, said in calls(work.id):
        for ended in (other, second):
            assert Api(provider, ended)(method, path, said).status == 401, "its owner is disabled"
    assert key_token(provider, key).error == (401, "invalid_client")


def of_another_resource(provider: Provider, ada: User, client: KnownClient) -> str:
    provider.resource(scope=ACCOUNT_SCOPES)
    return token_of(provider, ada, client, ACCOUNT_SCOPES, resource=API)


def of_a_revoked_grant(provider: Provider, ada: User, client: KnownClient) -> str:
    grant = provider.grant(ada, client, (CLOUD_CREDENTIALS,))
    token: str = provider.redeem(client, provider.code(grant)).json["access_token"]
    with provider.begin() as tx:
        provider.services.grants.revoke(tx, provider.origin, grant, "user")
    return token


def of_a_revoked_key(provider: Provider, ada: User, _client: KnownClient) -> str:
    key = cloud_key(provider, ada)
    token: str = key_token(provider, key).json["access_token"]
    with provider.begin() as tx:
        provider.services.api_keys.revoke(tx, provider.origin, ada.id, key.client.id)
    return token


def of_a_disabled_owner(provider: Provider, ada: User, client: KnownClient) -> str:
    token = token_of(provider, ada, client, (CLOUD_CREDENTIALS,))
    with provider.begin() as tx:
        provider.services.user_ends.set_active(tx, provider.origin, ada.id, False)
    return token


def of_somebody_else(provider: Provider, _ada: User, client: KnownClient) -> str:
    return token_of(provider, provider.user("eve"), client, (CLOUD_CREDENTIALS,))


def of_a_key_of_somebody_else(provider: Provider, _ada: User, _client: KnownClient) -> str:
    token: str = key_token(provider, cloud_key(provider, provider.user("eve"))).json["access_token"]
    return token


# What each gets by any verb. Of somebody else's accounts the list is an empty one.
NOT_THEIRS = {
    of_another_resource: 401,
    of_a_revoked_grant: 401,
    of_a_revoked_key: 401,
    of_a_disabled_owner: 401,
    of_somebody_else: 404,
    of_a_key_of_somebody_else: 404,
}


@pytest.mark.parametrize("holder", NOT_THEIRS, ids=lambda it: it.__name__)
def test_no_verb_opens_an_account_on_any_database(provider_on: Provider, holder: Any) -> None:
    provider = provider_on
    ada = provider.user(is_verified=True)
    work, client = connected(provider, ada), provider.client("none")
    api, expected = Api(provider, holder(provider, ada, client)), NOT_THEIRS[holder]
    rows = provider.rows(Row)
    for method, path, said in calls(work.id):
        answer = api(method, path, said)
        if expected == 404 and path == PATH:
            assert answer.status == 200
            assert method == "HEAD" or answer.json == {"items": [], "next": None}
        else:
            assert answer.status == expected, (method, path)
    for method, path in ((it, f"{PATH}{more}") for it in ("PUT", "PATCH", "DELETE") for more in ("", f"/{work.id}")):
        assert api(method, path).status in (401, 405), (method, path)
    assert provider.rows(Row) == rows
    assert provider.events("cloud.credentials_given") == []


WRONG_BODIES: list[Any] = [
    *({}, [], "x", 7, {"want": "credentials"}, {"purpose": ""}, {"purpose": " "}, {"purpose": None}, {"purpose": 7}),
    *(
        {"purpose": "x" * 201},
        {"purpose": "a\nb"},
        {"purpose": "a\u202eb"},
        {"purpose": "\u3164"},
        {"purpose": "가" * 171},
        {"purpose": ["a"]},
    ),
    *({**ASKED, "want": it} for it in ("", "secret", None, 7, ["credentials"])),
    *({**ASKED, "more": 1}, b"{", b"", b"\xff", b'{"purpose":"a","purpose":"b"}'),
]


def test_a_wrong_body_gets_nothing(provider: Provider, work: CloudAccount, api: Api) -> None:
    path = f"{PATH}/{work.id}/credentials"
    for said in WRONG_BODIES:
        assert problem_of(api("POST", path, said)) == (400, "invalid_request"), said
    assert problem_of(api("POST", path, b"purpose=a", Content_Type="text/plain"))[0] == 400
    assert problem_of(api("POST", path, {**ASKED, "want": "assertion"})) == (409, "conflict"), "nothing to assert"
    for method, other in (("GET", path), ("POST", PATH), ("DELETE", f"{PATH}/{work.id}")):
        assert problem_of(api(method, other)) == (405, "invalid_request")
    assert provider.events("cloud.credentials_given") == []
    for longest in ("x" * 200, "가" * 170):
        assert api("POST", path, {"purpose": longest}).status == 200
        assert provider.events("cloud.credentials_given")[-1]["metadata"]["purpose"] == longest, "all of it is kept"


@pytest.mark.parametrize("limit", [GIVEN_TO_CLIENT, GIVEN_OF_ACCOUNT], ids=lambda it: it.name)
def test_asking_is_limited(
    provider: Provider, ada: User, client: KnownClient, work: CloudAccount, api: Api, limit: Limit
) -> None:
    keys = {
        GIVEN_TO_CLIENT: f"{ada.id}|{client.client.id}",
        GIVEN_OF_ACCOUNT: work.id,
    }
    with provider.begin() as tx:
        provider.services.rate_limits.hit(tx, limit, keys[limit], provider.clock.now, weight=limit.times)
    for _ in range(3):
        answer = api("POST", f"{PATH}/{work.id}/credentials", ASKED)
        assert problem_of(answer) == (429, "temporarily_unavailable")
        assert answer.header("Retry-After")
    assert api("GET", f"{PATH}/{work.id}").status == 200
    assert provider.events("cloud.credentials_given") == []
    (event,) = provider.events("cloud.credentials_refused")
    assert (event["outcome"], event["metadata"]["reason"]) == ("denied", "limit")


def test_what_does_not_open_is_refused_and_told(provider: Provider, ada: User, work: CloudAccount, api: Api) -> None:
    other = connected(provider, ada, "home")
    table = Row.__table__
    with provider.begin() as tx:
        moved = update(Row).where(table.c.id == work.id)
        tx.execute(moved.values(secret_key_encrypted=other.sealed["secret_key"]))
    answer = api("POST", f"{PATH}/{work.id}/credentials", ASKED)
    assert problem_of(answer) == (409, "conflict")
    assert KEY_ID not in answer.text, "nothing of it leaves"
    assert [event["resource_id"] for event in provider.events("decryption.failed")] == [work.id]
    (event,) = provider.events("cloud.credentials_refused")
    assert event["metadata"]["reason"] == "unreadable"
    assert api("POST", f"{PATH}/{other.id}/credentials", ASKED).status == 200


# Keys with this scope


def test_no_other_key_reaches_clouds_whatever_apis_call_their_scopes(provider: Provider, ada: User) -> None:
    provider.resource(scope=(CLOUD_CREDENTIALS, "notes:read"))
    for key in (provider.api_key(ada), provider.api_key(ada, (), resource=None)):
        assert "scope" not in key_token(provider, key, resource=provider.issuer).json
        asked = key_token(provider, key, resource=provider.issuer, scope=CLOUD_CREDENTIALS)
        assert asked.error == (400, "invalid_scope")
    machine = provider.machine(scope=(CLOUD_CREDENTIALS,))
    refused = key_token(provider, machine, resource=provider.issuer, scope=CLOUD_CREDENTIALS)
    assert refused.error == (400, "invalid_scope")


def test_an_application_makes_such_a_key_with_a_fresh_second_factor_and_the_scope_itself(
    provider: Provider, ada: User, client: KnownClient
) -> None:
    asked = {"name": "laptop", "scope": CLOUD_CREDENTIALS, "expires_in_days": 30}
    both = ("api-keys:manage", CLOUD_CREDENTIALS)

    def by(amr: tuple[str, ...], scope: tuple[str, ...] = both) -> Api:
        _cookie, session = provider.session(ada, amr)
        return Api(provider, token_of(provider, ada, client, scope, session=session))

    two = ("pwd", "otp", "mfa")
    weak = by(two)("POST", "/api/me/api-keys", asked)
    assert problem_of(weak) == (401, "insufficient_user_authentication"), "a second factor that is there no more"
    enrolled(provider, ada)
    weak = by(("pwd",))("POST", "/api/me/api-keys", asked)
    assert problem_of(weak) == (401, "insufficient_user_authentication")
    assert f'acr_values="{TWO_FACTOR}"' in (weak.header("WWW-Authenticate") or "")
    narrow = by(two, ("api-keys:manage",))("POST", "/api/me/api-keys", asked)
    assert problem_of(narrow) == (403, "insufficient_scope"), "an application gives no more than it was allowed"
    near = by(two)
    for wrong in ({"scope": f"{CLOUD_CREDENTIALS} notes:read"}, {"resource": "https://unknown.example/"}):
        assert problem_of(near("POST", "/api/me/api-keys", {**asked, **wrong}))[0] == 400, wrong
    made = near("POST", "/api/me/api-keys", asked)
    assert made.status == 201
    assert (made.json["scope"], made.json["resource"]) == (CLOUD_CREDENTIALS, provider.issuer)
    provider.clock.advance(provider.services.settings.recent_login_seconds + 1)
    late = near("POST", "/api/me/api-keys", {**asked, "name": "late"})
    assert problem_of(late)[0] == 401
    assert len(provider.events("api_key.created")) == 1


def enrolled(provider: Provider, user: User) -> None:
    with provider.begin() as tx:
        tx.execute(update(UserRow).where(UserRow.__table__.c.id == user.id).values(two_factor_enabled=True))


def test_many_programs_ask_at_once(provider_on: Provider) -> None:
    """Each is answered and on record; of the notes when the account was last used one is written."""
    provider = provider_on
    ada = provider.user(is_verified=True)
    work = connected(provider, ada)
    tokens = [
        *(token_of(provider, ada, provider.client("none"), (CLOUD_CREDENTIALS,)) for _ in range(3)),
        *(key_token(provider, cloud_key(provider, ada, f"key {n}")).json["access_token"] for n in range(3)),
    ]

    def ask(token: str) -> Answer:
        return Api(provider, token)("POST", f"{PATH}/{work.id}/credentials", ASKED)

    with ThreadPoolExecutor(len(tokens)) as pool:
        answers = list(pool.map(ask, tokens * 2))
    assert [answer.status for answer in answers] == [200] * len(answers)
    assert len(provider.events("cloud.credentials_given")) == len(answers)
    assert [row["last_used_at"] for row in provider.rows(Row)] == [provider.clock.now]
