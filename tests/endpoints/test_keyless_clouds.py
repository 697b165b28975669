"""Short-lived credentials for programs: what the call answers for an account without a secret, and for what a cloud says."""

from __future__ import annotations

import datetime
from typing import Any

import pytest

from database.models import GrantRecord, User
from provider.protocol.scopes import CLOUD_CREDENTIALS
from provider.security.outbound import Answered
from provider.vault.account import CloudAccount
from tests.endpoints.provider import Provider, claims_of
from tests.endpoints.test_cloud_accounts import ASKED, PATH, cloud_key, key_token
from tests.endpoints.test_self_service import Api, problem_of, token_of
from tests.vault.cloud_world import CloudWorld

SAID = "Hush: arn:aws:iam::123456789012:role/mcp-core"


class Asking:
    """A program of the owner, and what it is answered."""

    def __init__(self, world: CloudWorld) -> None:
        self.world, self.provider = world, world.provider
        client = self.provider.client("none")
        self.client_id = client.client_id
        self.api = Api(self.provider, token_of(self.provider, world.ada, client, (CLOUD_CREDENTIALS,)))

    def __call__(self, account: CloudAccount | None = None, **more: Any) -> Any:
        return self.api("POST", f"{PATH}/{(account or self.world.account).id}/credentials", {**ASKED, **more})


@pytest.fixture
def asking(provider: Provider) -> Asking:
    return Asking(CloudWorld.of(provider))


def test_short_lived_credentials_have_the_shape_of_kept_ones(asking: Asking) -> None:
    world = asking.world
    answer = asking()
    assert (answer.status, answer.header("Cache-Control")) == (200, "no-store")
    assert answer.json == {
        "account": {"id": world.account.id, "label": "work", "provider": "aws", "mode": "keyless"},
        "credentials": {
            "access_key_id": "ASIA1",
            "secret_access_key": "secret-1",
            "session_token": "session-1",
            "region": "eu-central-1",
        },
        "expires_at": "2026-07-01T13:00:00Z",
    }
    assert asking(want="credentials").json == answer.json
    assert len(world.cloud.asked) == 1, "what still works is not asked for again"
    events = world.provider.events("cloud.credentials_given")
    said = {"purpose": "nightly backup", "mode": "keyless", "client": "Notes", "want": "credentials"}
    assert all(said.items() <= event["metadata"].items() for event in events)
    assert [(event["user_id"], event["actor"]) for event in events] == [(world.ada.id, asking.client_id)] * 2
    for secret in ("ASIA1", "secret-1", "session-1"):
        assert secret not in str(world.provider.events())
    assert asking.api("GET", f"{PATH}/{world.account.id}").json["last_used_at"] == "2026-07-01T12:00:00Z"


def test_our_own_token_is_given_for_sdks_that_exchange_it_themselves(asking: Asking) -> None:
    answer = asking(want="assertion")
    claims = claims_of(answer.json["assertion"])
    assert set(answer.json) == {"account", "assertion", "expires_at"}
    assert (claims["sub"], claims["aud"]) == (f"user:{asking.world.ada.id}:cloud:work", "sts.amazonaws.com")
    ends = datetime.datetime.fromtimestamp(claims["exp"], datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    assert answer.json["expires_at"] == ends
    assert asking.world.cloud.asked == []
    (event,) = asking.provider.events("cloud.credentials_given")
    assert event["metadata"]["want"] == "assertion"


def test_an_api_key_gets_them_too(asking: Asking) -> None:
    key = cloud_key(asking.provider, asking.world.ada)
    api = Api(asking.provider, key_token(asking.provider, key).json["access_token"])
    answer = api("POST", f"{PATH}/{asking.world.account.id}/credentials", ASKED)
    assert answer.json["credentials"]["access_key_id"] == "ASIA1"
    assert asking().json["credentials"]["access_key_id"] == "ASIA1", "of one account the same ones, for all who may"


REFUSALS = {
    (403, "AccessDenied"): (409, "cloud_refused", "role"),
    (400, "ExpiredTokenException"): (409, "cloud_refused", "expired"),
    (400, "IDPCommunicationError"): (409, "cloud_refused", "issuer_unreachable"),
    (400, "Unheard"): (409, "cloud_refused", "other"),
    (429, "Throttling"): (429, "temporarily_unavailable", "limit"),
    (503, "ServiceUnavailable"): (503, "temporarily_unavailable", "cloud_unreachable"),
}


@pytest.mark.parametrize("status, code", REFUSALS)
def test_what_failed_is_said_and_not_in_the_words_of_the_cloud(asking: Asking, status: int, code: str) -> None:
    text = f"<ErrorResponse><Error><Code>{code}</Code><Message>{SAID}</Message></Error></ErrorResponse>"
    asking.world.cloud.answer = Answered(status, text.encode())
    answer, (expected, error, condition) = asking(), REFUSALS[status, code]
    assert problem_of(answer) == (expected, error)
    assert SAID not in answer.text
    if error == "cloud_refused":
        assert f"What failed: {condition}." in answer.text
    else:
        assert int(str(answer.header("Retry-After"))) > 0
    (event,) = asking.provider.events("cloud.credentials_refused")
    assert (event["metadata"]["condition"], event["metadata"]["client"]) == (condition, "Notes")
    asking.world.cloud.answer = None
    assert asking().status == 200, "nothing of a refusal is kept"


def test_a_cloud_that_does_not_answer_is_asked_later(asking: Asking) -> None:
    asking.world.cloud.is_away = True
    answer = asking()
    assert problem_of(answer) == (503, "temporarily_unavailable")
    assert len(asking.provider.events("cloud.credentials_refused")) == 1, "on record though the answer is an error"


def test_what_ends_while_the_cloud_answers_gets_nothing(asking: Asking) -> None:
    world = asking.world
    (grant,) = [row["id"] for row in asking.provider.rows(GrantRecord)]
    world.cloud.before_answering = lambda: world.set(GrantRecord, grant, revoked_at=world.provider.clock.now)
    answer = asking()
    assert problem_of(answer) == (409, "conflict")
    assert "ASIA1" not in answer.text
    assert asking.provider.events("cloud.credentials_given") == []
    assert problem_of(asking()) == (401, "invalid_token")


def test_nobody_elses_account_is_asked_for(asking: Asking) -> None:
    eve = asking.provider.user("eve", is_verified=True)
    hers = asking.world.connect("hers", eve)
    for want in ("credentials", "assertion"):
        assert problem_of(asking(hers, want=want)) == (404, "not_found")
    assert asking.world.cloud.asked == []


@pytest.mark.parametrize("change", [{"is_active": False}, {"is_verified": False}])
def test_a_person_who_may_nothing_gets_nothing(asking: Asking, change: dict[str, bool]) -> None:
    assert asking().status == 200
    asking.world.set(User, asking.world.ada.id, **change)
    for want in ("credentials", "assertion"):
        assert asking(want=want).status in (401, 409)
    assert len(asking.provider.events("cloud.credentials_given")) == 1
