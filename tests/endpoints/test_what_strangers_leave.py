"""What a request that proves nothing can leave here: how large, how much of it, and for how long (docs/security.md)."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from sqlalchemy import Engine, text

from database.models import AuditRecord, AuthorizationRequest, PushedRequest, RateCounter, ReplayGuard
from database.models import Client as ClientRow
from provider.clients import authentication
from provider.endpoints import limits
from provider.protocol.client import ClientDetails
from provider.protocol.sizes import MAX_KEPT_BYTES, kept_bytes
from provider.security.rate_limit import Limit
from provider.tokens import refusals
from provider.upkeep.purges import purges
from tests.endpoints.provider import REDIRECT_URI, KnownClient, Provider, ProviderFactory, challenge_of
from tests.endpoints.registering import SAID, register
from tests.endpoints.wsgi import FORM, Answer, encoded
from tests.signing import assertion_claims, client_key, jwks, with_assertion

LETTERS = {"emoji": "😀", "hangul": "각", "accent": "é", "quote": '"', "control": "\x01", "plain": "s"}
A_LITTLE = 64 * 1024


def asked(client: KnownClient, **changes: str) -> dict[str, str]:
    return {
        "response_type": "code",
        "client_id": client.client_id,
        "redirect_uri": REDIRECT_URI,
        "code_challenge": challenge_of("v" * 43),
        "code_challenge_method": "S256",
        "scope": "openid",
        **changes,
    }


def authorize(provider: Provider, fields: dict[str, str], source: str = "192.0.2.10") -> Answer:
    headers = {"Content-Type": FORM}
    # The form is too long to become a query, so that it is kept as it is.
    body = encoded({**fields, "ignored": "x" * 4096})
    return provider.send("POST", f"{provider.path}/authorize", body=body, headers=headers, source=source)


def push(provider: Provider, fields: dict[str, str], source: str = "192.0.2.10") -> Answer:
    return provider.send(
        "POST", f"{provider.path}/par", body=encoded(fields), headers={"Content-Type": FORM}, source=source
    )


def stored(provider: Provider, table: str) -> list[str]:
    """The parameters as they lie in the database."""
    with provider.engine.connect() as connection:
        return [str(row[0]) for row in connection.execute(text(f"SELECT parameters FROM {table}"))]


@dataclass(frozen=True)
class Way:
    """One way to have requests kept: the call, the table, and what says that it was kept."""

    send: Callable[..., Answer]
    table: str
    is_kept: Callable[[Answer], bool]
    refusal: Callable[[Answer], str]


def error_in_query(answer: Answer) -> str:
    return parse_qs(urlsplit(answer.location).query)["error"][0]


WAYS = {
    "authorize": Way(
        authorize, "authorization_requests", lambda answer: "/authorize/" in answer.location, error_in_query
    ),
    "par": Way(push, "pushed_requests", lambda answer: answer.status == 201, lambda answer: str(answer.json["error"])),
}


@pytest.fixture(params=WAYS.values(), ids=list(WAYS))
def way(request: pytest.FixtureRequest) -> Way:
    made: Way = request.param
    return made


@pytest.fixture
def provider(sqlite_engine: Engine, make_provider: ProviderFactory) -> Provider:
    return make_provider(sqlite_engine)


@pytest.fixture
def anybody(provider: Provider) -> KnownClient:
    """A client that proves nothing. An operator vouches for it, so that errors are sent back."""
    return provider.client("none")


@pytest.mark.parametrize("letter", LETTERS.values(), ids=LETTERS)
@pytest.mark.parametrize("name", ["state", "nonce"])
@pytest.mark.parametrize("one_more", [False, True])
def test_state_and_nonce_have_four_kilobytes_and_no_more(
    provider: Provider, anybody: KnownClient, way: Way, letter: str, name: str, one_more: bool
) -> None:
    value = letter * (4096 // len(letter.encode()) + one_more)
    answer = way.send(provider, asked(anybody, **{name: value}))
    fits = not one_more and kept_bytes(value) < MAX_KEPT_BYTES  # a control character takes six bytes in JSON
    assert (len(stored(provider, way.table)) == 1) is fits
    if fits:
        assert way.is_kept(answer)
        (kept,) = stored(provider, way.table)
        known = json.loads(kept)[name]
        assert known == value if isinstance(known, str) else known == [value]
    else:
        assert way.refusal(answer) == "invalid_request"


@pytest.mark.parametrize("changes", [
    {"state": "s" * 4096, "nonce": "n" * 4096, "id_token_hint": "h" * 8192},
    {"state": '"' * 4096, "nonce": "\\" * 4096},
    {"claims": json.dumps({"id_token": {"acr": {"essential": True, "values": ["x" * 8000]}}}), "id_token_hint": "h" * 8192},
    {"acr_values": " ".join("x" * 2000 for _ in range(10))},
    {"scope": " ".join(["openid", "x" * 4000]), "state": "s" * 4096, "id_token_hint": "h" * 8192},
], ids=["hint", "escaped", "claims", "acr_values", "scope"])  # fmt: skip
def test_all_in_all_a_request_has_sixteen_kilobytes(
    provider: Provider, anybody: KnownClient, way: Way, changes: dict[str, str]
) -> None:
    assert way.refusal(way.send(provider, asked(anybody, **changes))) == "invalid_request"
    assert stored(provider, way.table) == []


def test_what_is_no_part_of_a_request_is_not_kept(provider: Provider, anybody: KnownClient, way: Way) -> None:
    way.send(provider, asked(anybody, login_hint="x" * 200, junk="j" * 9000))
    (kept,) = stored(provider, way.table)
    assert len(kept) < 1024
    assert "null" not in kept


@pytest.mark.parametrize("letter", ["😀", "각"])
def test_what_is_stored_takes_what_is_counted(
    engine: Engine, make_provider: ProviderFactory, way: Way, letter: str
) -> None:
    """On MySQL itself JSON is stored in a form of its own, of about the same size."""
    provider = make_provider(engine)
    way.send(provider, asked(provider.client("none"), state=letter * 1024))
    (kept,) = stored(provider, way.table)
    assert len(kept.encode()) == kept_bytes(json.loads(kept))


@pytest.mark.parametrize("source, neighbour, stranger", [
    ("192.0.2.10", "192.0.2.11", "198.51.100.1"),
    ("2001:db8:1:2::1", "2001:db8:1:3::1", "2001:db8:2::1"),
])  # fmt: skip
def test_an_address_has_only_so_many_bytes_kept_and_uses_up_nobody_elses(
    provider: Provider,
    anybody: KnownClient,
    way: Way,
    monkeypatch: pytest.MonkeyPatch,
    source: str,
    neighbour: str,
    stranger: str,
) -> None:
    monkeypatch.setattr(limits, "KEPT_BYTES_PER_SOURCE", A_LITTLE)
    large, small = asked(anybody, state="s" * 4096, nonce="n" * 4000), asked(anybody)
    for _ in range(30):
        refused = way.send(provider, large, source=source)
    assert sum(map(len, stored(provider, way.table))) <= A_LITTLE
    assert way.refusal(refused) == "temporarily_unavailable"
    for other in (neighbour, stranger):
        assert way.is_kept(way.send(provider, small, source=other))


def test_a_stranger_with_many_addresses_has_no_more_kept_than_their_network_may(
    provider: Provider, anybody: KnownClient, way: Way, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "KEPT_BYTES_PER_SOURCE", 8 * 1024)
    fields = asked(anybody, state="s" * 3000)
    for number in range(60):
        way.send(provider, fields, source=f"2001:db8:1:{number:x}00::1")
    assert sum(map(len, stored(provider, way.table))) <= 16 * 8 * 1024
    assert way.is_kept(way.send(provider, asked(anybody), source="2001:db8:2::1"))


@pytest.mark.parametrize("seconds", [600, 7200])
def test_what_is_kept_counts_for_as_long_as_it_is_kept(
    sqlite_engine: Engine, make_provider: ProviderFactory, way: Way, monkeypatch: pytest.MonkeyPatch, seconds: int
) -> None:
    """At the end of a window twice as much may be there: what came before the end of one and what came after it."""
    monkeypatch.setattr(limits, "KEPT_BYTES_PER_SOURCE", A_LITTLE)
    provider = make_provider(sqlite_engine, authorization_request_seconds=seconds)
    anybody = provider.client("none")
    most = 0
    for _ in range(8):
        for _ in range(8):
            way.send(provider, asked(anybody, state="s" * 4096, nonce="n" * 4096))
        provider.clock.advance(seconds / 4)
        with provider.begin() as tx:
            purges(provider.services)[way.table](tx, provider.clock.now, 1000)
        most = max(most, sum(map(len, stored(provider, way.table))))
    assert A_LITTLE / 2 < most <= 2 * A_LITTLE


def test_nothing_of_it_is_left_when_its_time_is_over(provider: Provider, anybody: KnownClient) -> None:
    authorize(provider, asked(anybody))
    push(provider, asked(anybody))
    register(provider, SAID)
    provider.post(f"{provider.path}/token", {"grant_type": "refresh_token", "client_id": "app_nobody"})
    tables = (AuthorizationRequest, PushedRequest, RateCounter)
    assert all(provider.rows(table) for table in tables)
    provider.clock.advance(40 * 86400)
    with provider.begin() as tx:
        for purge in purges(provider.services).values():
            purge(tx, provider.clock.now, 1000)
    assert [provider.rows(table) for table in tables] == [[]] * len(tables)
    assert [row["client_id"] for row in provider.rows(ClientRow)] == [anybody.client_id]


def test_failures_without_end_leave_a_bounded_record(provider: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    """The audit log is kept for good."""
    monkeypatch.setattr(refusals, "RECORDED_OF_NETWORK", 3)
    for number in range(20):
        fields = {"grant_type": "client_credentials", "client_id": f"app_{number}", "client_secret": "x"}
        answer = provider.post(f"{provider.path}/token", fields, {"User-Agent": "\xe9" * 5000})
        assert answer.status == 401
    records = provider.rows(AuditRecord)
    failures = [record for record in records if record["action"] == "client.authentication_failed"]
    assert len(failures) == 3
    assert all(len(record["user_agent"].encode()) <= 512 for record in failures)


def test_assertions_of_clients_that_nobody_vouches_for_are_counted_before_they_are_checked(
    provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(authentication, "ASSERTIONS_PER_SOURCE", Limit("assertions of strangers", 3, 60))
    key = client_key()
    options: dict[str, Any] = {"details": ClientDetails(jwks=jwks(key))}
    stranger = provider.client("private_key_jwt", is_vouched=False, **options)
    vouched = provider.client("private_key_jwt", **options)
    answers = {}
    for client in (stranger, vouched):
        answers[client.client_id] = [
            provider.token(None, {"grant_type": "refresh_token", "refresh_token": "x", **with_assertion(proof)}).status
            for proof in (
                key.sign(assertion_claims(client.client_id, provider.issuer, provider.clock.now)) for _ in range(5)
            )
        ]
    assert answers == {stranger.client_id: [400, 400, 400, 429, 429], vouched.client_id: [400] * 5}
    assert len(provider.rows(ReplayGuard)) == 8
