"""Credentials of clouds: who gets them, what is asked of the cloud for it, and what is taken down."""

from __future__ import annotations

import datetime
from typing import Any
from urllib.parse import parse_qs

import pytest

from database.models import CloudAccount, GrantRecord, IssuedToken, User
from provider.protocol.errors import OAuthError
from provider.security.outbound import Answered
from provider.tokens.token_records import AuthorizationGone
from provider.vault import credentials
from provider.vault.cloud_tests import TESTS_PER_PERSON, Outcome
from provider.vault.credential_cache import CredentialCache
from provider.vault.exchanges.exchange import CloudCredentials, Condition, ExchangeRefused
from tests.endpoints.provider import claims_of
from tests.together import at_once
from tests.vault.cloud_world import ROLE, CloudWorld, token_in

PAST = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
REFUSAL = b"<ErrorResponse><Error><Code>AccessDenied</Code><Message>Not authorized</Message></Error></ErrorResponse>"


def test_the_cloud_is_asked_with_a_token_for_it(world: CloudWorld) -> None:
    asker, by, _ = world.application()
    given = world.give(asker)
    assert given.credentials == {
        "access_key_id": "ASIA1",
        "secret_access_key": "secret-1",
        "session_token": "session-1",
        "region": "eu-central-1",
    }
    assert given.expires_at == world.provider.clock.now + datetime.timedelta(hours=1)
    url, body, _ = world.cloud.asked[0]
    assert url == "https://sts.eu-central-1.amazonaws.com/"
    asked = {name: values[0] for name, values in parse_qs(body.decode()).items()}
    assert (asked["RoleArn"], asked["RoleSessionName"], asked["DurationSeconds"]) == (ROLE, "mcp-core-work", "3600")
    assert token_in(body)["sub"] == f"user:{world.ada.id}:cloud:work"
    [event] = world.provider.events("cloud.credentials_given")
    assert (event["user_id"], event["actor"], event["resource_id"]) == (world.ada.id, by.client_id, world.account.id)
    assert event["metadata"] == {
        "label": "work",
        "provider": "aws",
        "mode": "keyless",
        "client": by.client.name,
        "purpose": "a test",
        "want": "credentials",
        "until": "2026-07-01T13:00:00+00:00",
    }
    [row] = world.provider.rows(CloudAccount)
    assert row["last_used_at"] == world.provider.clock.now


def test_they_are_kept_until_shortly_before_they_end(world: CloudWorld) -> None:
    asker, _, _ = world.application()
    for seconds, asked in ((0, 1), (1000, 1), (1699, 1), (2, 2), (10, 2)):
        world.provider.clock.advance(seconds)
        world.set(IssuedToken, str(asker.access_token), expires_at=world.provider.clock.now + datetime.timedelta(1))
        assert world.give(asker).credentials["access_key_id"] == f"ASIA{asked}"
        assert len(world.cloud.asked) == asked
    assert len(world.provider.events("cloud.credentials_given")) == 5


def test_kept_ones_are_for_those_who_may_have_them_now(world: CloudWorld) -> None:
    asker, _, grant_id = world.application()
    key, _ = world.key()
    world.give(asker)
    assert world.give(key).credentials["access_key_id"] == "ASIA1"
    world.set(GrantRecord, grant_id, revoked_at=PAST)
    with pytest.raises(AuthorizationGone):
        world.give(asker)
    assert world.give(key).credentials["access_key_id"] == "ASIA1"
    world.set(User, world.ada.id, is_active=False)
    with pytest.raises(AuthorizationGone):
        world.give(key)
    conditions = [it["metadata"]["condition"] for it in world.provider.events("cloud.credentials_refused")]
    assert conditions == ["gone", "gone"]


def test_a_changed_account_is_asked_for_anew(world: CloudWorld) -> None:
    asker, _, _ = world.application()
    world.give(asker)
    with world.provider.begin() as tx:
        changed = world.provider.services.cloud_accounts.replace(
            tx, world.provider.origin, world.account, {"role_arn": ROLE + "-2", "region": "us-east-1"}
        )
    with pytest.raises(AuthorizationGone):
        world.give(asker)
    assert world.give(asker, changed).credentials["access_key_id"] == "ASIA2"


def test_what_ends_while_the_cloud_answers_gets_nothing(world: CloudWorld) -> None:
    asker, _, grant_id = world.application()
    world.cloud.before_answering = lambda: world.set(GrantRecord, grant_id, revoked_at=PAST)
    with pytest.raises(AuthorizationGone):
        world.give(asker)
    assert len(world.cloud.asked) == 1
    assert not world.provider.events("cloud.credentials_given")


def test_the_token_itself_can_be_had(world: CloudWorld) -> None:
    asker, _, _ = world.application()
    given = world.give(asker, want="assertion")
    assert given.credentials is None
    assert claims_of(given.assertion)["aud"] == "sts.amazonaws.com"
    assert given.expires_at.timestamp() == claims_of(given.assertion)["exp"]
    assert not world.cloud.asked
    [event] = world.provider.events("cloud.credentials_given")
    assert event["metadata"]["want"] == "assertion"


def test_a_kept_secret_is_handed_out_like_them(world: CloudWorld) -> None:
    said = {"access_key_id": "AKIA" + "A" * 16, "secret_access_key": "s" * 40, "region": "eu-central-1"}
    services = world.provider.services
    with world.provider.begin() as tx:
        account = services.cloud_accounts.connect(
            tx, world.provider.origin, world.ada.id, label="old", provider="aws", mode="secret", said=said
        )
    asker, _, grant_id = world.application()
    given = world.give(asker, account)
    assert (given.credentials, given.expires_at) == (said, None)
    with pytest.raises(credentials.NotKeyless):
        world.give(asker, account, "assertion")
    world.set(GrantRecord, grant_id, revoked_at=PAST)
    with pytest.raises(AuthorizationGone):
        world.give(asker, account)
    assert not world.cloud.asked


def test_what_the_cloud_refuses_is_taken_down_and_not_kept(world: CloudWorld) -> None:
    asker, _, _ = world.application()
    world.cloud.answer = Answered(403, REFUSAL)
    for _ in range(2):
        with pytest.raises(ExchangeRefused) as refused:
            world.give(asker)
        assert (refused.value.condition, refused.value.said) == (Condition.ROLE, "AccessDenied: Not authorized")
    assert len(world.cloud.asked) == 2
    events = world.provider.events("cloud.credentials_refused")
    assert [(it["outcome"], it["metadata"]["condition"]) for it in events] == [("refused", "role")] * 2
    assert "Not authorized" not in str(events)
    world.cloud.answer, world.cloud.is_away = None, True
    with pytest.raises(ExchangeRefused) as refused:
        world.give(asker)
    assert refused.value.condition is Condition.CLOUD_UNREACHABLE


@pytest.mark.parametrize(
    "limit, want", [(credentials.GIVEN_PER_PERSON, "assertion"), (credentials.EXCHANGES_PER_PERSON, "credentials")]
)
def test_nobody_asks_without_end(sqlite_world: CloudWorld, limit: Any, want: Any) -> None:
    asker, _, _ = sqlite_world.application()
    services, now = sqlite_world.provider.services, sqlite_world.provider.clock.now
    with sqlite_world.provider.begin() as tx:
        services.rate_limits.hit(tx, limit, sqlite_world.ada.id, now, weight=limit.times - 1)
    sqlite_world.give(asker, want=want)
    services.cloud_credentials._cache = CredentialCache()
    with pytest.raises(OAuthError) as refused:
        sqlite_world.give(asker, want=want)
    assert refused.value.error == "temporarily_unavailable"
    assert refused.value.status == 429


def test_no_transaction_is_open_while_the_cloud_is_asked(world: CloudWorld) -> None:
    """Another connection writes meanwhile: on SQLite it would wait for a transaction that has written."""
    asker, _, _ = world.application()
    world.cloud.before_answering = lambda: world.set(User, world.ada.id, locale="ko")
    assert world.give(asker).credentials


def test_a_test_asks_the_cloud_each_time(world: CloudWorld) -> None:
    services, session = world.provider.services, str(world.page().session_id)

    def test() -> Outcome:
        with world.provider.begin() as tx:
            return services.cloud_tests.test(tx, world.provider.origin, world.account, session)

    def tested_at() -> Any:
        return world.provider.rows(CloudAccount)[0]["tested_at"]

    world.cloud.answer = Answered(403, REFUSAL)
    assert test() == Outcome(Condition.ROLE, "AccessDenied: Not authorized")
    assert tested_at() is None
    world.cloud.answer = None
    assert test() == test() == Outcome(None)
    assert tested_at() == world.provider.clock.now
    assert len(world.cloud.asked) == 3
    world.cloud.is_away = True
    assert test().condition is Condition.CLOUD_UNREACHABLE
    assert tested_at() is None
    events = world.provider.events("cloud.tested")
    assert [it["metadata"].get("condition") for it in events] == ["role", None, None, "cloud_unreachable"]
    with world.provider.begin() as tx:
        services.rate_limits.hit(
            tx, TESTS_PER_PERSON, world.ada.id, world.provider.clock.now, weight=TESTS_PER_PERSON.times
        )
    assert test().condition is Condition.LIMIT
    assert len(world.cloud.asked) == 4


def test_of_an_end_and_a_request_at_one_moment_the_record_says_which_came_first(world: CloudWorld) -> None:
    """Whatever is handed out was recorded before the end was committed, and nothing is after it."""
    asker, _, grant_id = world.application()
    key, _ = world.key()
    services, origin = world.provider.services, world.provider.origin

    def give(who: Any) -> Any:
        return lambda tx: services.cloud_credentials.give(tx, origin, world.account, who, "a race", "assertion")

    def end(tx: Any) -> None:
        services.cloud_accounts.remove(tx, origin, world.account)
        services.grants.revoke(tx, origin, grant_id, "test")

    outcomes = at_once(world.provider.engine, [give(asker), give(key), end, give(asker), give(key)])
    assert outcomes[2] is None
    for outcome in outcomes[:2] + outcomes[3:]:
        assert isinstance(outcome, (credentials.Given, AuthorizationGone)), outcome
    given = sum(isinstance(it, credentials.Given) for it in outcomes)
    assert len(world.provider.events("cloud.credentials_given")) == given
    for who in (asker, key):
        with pytest.raises(AuthorizationGone):
            world.give(who, want="assertion")


def test_only_so_many_are_kept() -> None:
    now = datetime.datetime(2026, 7, 1, tzinfo=datetime.UTC)
    cache = CredentialCache(2)
    accounts = [_account(number) for number in range(3)]
    for number, account in enumerate(accounts):
        cache.put(account, now, CloudCredentials({"n": str(number)}, now + datetime.timedelta(hours=1)))
    assert [cache.get(account, now) is not None for account in accounts] == [False, True, True]
    cache.put(accounts[0], now, CloudCredentials({}, None))
    assert (cache.get(accounts[0], now), len(cache)) == (None, 2)
    cache.put(accounts[1], now, CloudCredentials({}, now + datetime.timedelta(seconds=400)))
    assert cache.get(accounts[1], now + datetime.timedelta(seconds=299)) is not None
    assert cache.get(accounts[1], now + datetime.timedelta(seconds=300)) is None


def _account(number: int) -> Any:
    class Known:
        id, user_id, version = f"account {number}", "ada", 1

    return Known()
