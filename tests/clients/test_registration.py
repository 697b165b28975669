"""Dynamic registration as a service: who may, what comes of it, and what it is held to afterwards."""

from __future__ import annotations

import contextlib
import datetime
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import Engine

from database.transaction import Transaction
from provider.audit import AuditRecorder
from provider.clients.registration import PER_SOURCE, UPDATES, UPDATES_PER_SOURCE, Registered, Registration
from provider.clients.registration_tokens import RegistrationTokens
from provider.clients.registry import Clients
from provider.protocol.errors import OAuthError
from provider.protocol.messages import Origin
from provider.protocol.networks import networks_of
from provider.security.crypto import Keyring
from provider.security.outbound import Outbound
from provider.security.rate_limit import RateLimiter
from tests.clients.conftest import Events
from tests.https_server import HttpsServer
from tests.together import at_once

CALLBACK = "https://app.example/callback"
SAID: dict[str, Any] = {"client_name": "App", "redirect_uris": [CALLBACK]}
Make = Callable[..., Registration]


@pytest.fixture(scope="module")
def server() -> Iterator[HttpsServer]:
    made = HttpsServer()
    yield made
    made.close()


@pytest.fixture
def tokens(keyring: Keyring) -> RegistrationTokens:
    return RegistrationTokens(keyring, AuditRecorder())


@pytest.fixture
def make(keyring: Keyring, clients: Clients, tokens: RegistrationTokens, server: HttpsServer) -> Make:
    def build(policy: str = "open", *, limits: bool = True) -> Registration:
        outbound = Outbound(open_hosts=[server.host], ca_file=server.authority)
        limiter = RateLimiter(keyring, enabled=limits)
        return Registration(clients, tokens, keyring, outbound, limiter, AuditRecorder(), policy=policy)  # type: ignore[arg-type]

    return build


@pytest.fixture
def registration(make: Make) -> Registration:
    return make()


def register(
    registration: Registration, engine: Engine, origin: Origin, said: object = SAID, token: str | None = None
) -> Registered:
    """As the endpoint does: committed also when it refuses."""
    tx = Transaction(engine)
    try:
        return registration.register(tx, origin, said, token)
    finally:
        tx.commit()


def refused(call: Callable[[], object]) -> OAuthError:
    with pytest.raises(OAuthError) as refusal:
        call()
    return refusal.value


def initial(tokens: RegistrationTokens, engine: Engine, origin: Origin, **options: Any) -> str:
    with Transaction(engine) as tx:
        return tokens.create(tx, origin, **{"name": "team", "expires_in_days": 1, "uses": None, **options})[1]


def test_an_open_registration_signs_people_in_and_is_not_vouched_for(
    registration: Registration, engine: Engine, origin: Origin, events: Events
) -> None:
    made = register(registration, engine, origin)
    client = made.client
    assert (client.kind, client.is_vouched, client.is_trusted, client.require_pkce) == ("dynamic", False, False, True)
    assert client.grant_types == ("authorization_code", "refresh_token")
    assert client.client_id.startswith("app_")
    assert made.secret is not None
    assert [event["action"] for event in events()] == ["client.created"]
    assert made.secret not in str(events())
    assert made.access_token not in str(events())


@pytest.mark.parametrize(
    "said, grants",
    [
        ({"grant_types": ["authorization_code", "client_credentials"]}, ("authorization_code",)),
        ({"grant_types": ["authorization_code"]}, ("authorization_code",)),
        ({}, ("authorization_code", "refresh_token")),
    ],
)
def test_open_registration_gives_no_more_than_signing_people_in(
    registration: Registration, sqlite_engine: Engine, origin: Origin, said: dict[str, Any], grants: tuple[str, ...]
) -> None:
    assert register(registration, sqlite_engine, origin, SAID | said).client.grant_types == grants


@pytest.mark.parametrize(
    "said, error",
    [
        ({"client_name": "Job", "grant_types": ["client_credentials"]}, "invalid_client_metadata"),
        (SAID | {"grant_types": ["client_credentials"]}, "invalid_client_metadata"),
        ({"client_name": "App"}, "invalid_redirect_uri"),
        (SAID | {"redirect_uris": []}, "invalid_redirect_uri"),
        (SAID | {"redirect_uris": ["http://app.example/"]}, "invalid_redirect_uri"),
        (SAID | {"grant_types": ["refresh_token"]}, "invalid_client_metadata"),
        (SAID | {"token_endpoint_auth_method": "private_key_jwt"}, "invalid_client_metadata"),
        (SAID | {"token_endpoint_auth_method": "client_secret_jwt"}, "invalid_client_metadata"),
        ([], "invalid_client_metadata"),
    ],
)
def test_what_breaks_a_rule_is_refused_and_leaves_nothing(
    registration: Registration, sqlite_engine: Engine, origin: Origin, clients: Clients, said: object, error: str
) -> None:
    assert refused(lambda: register(registration, sqlite_engine, origin, said)).error == error
    with Transaction(sqlite_engine) as tx:
        assert clients.list(tx) == []


def test_a_token_vouches_and_its_clients_may_work_by_themselves(
    make: Make, tokens: RegistrationTokens, engine: Engine, origin: Origin, events: Events
) -> None:
    value = initial(tokens, engine, origin)
    said = {"client_name": "Job", "grant_types": ["client_credentials"]}
    for policy in ("open", "token"):
        client = register(make(policy), engine, origin, said, value).client
        assert (client.is_vouched, client.is_trusted, client.grant_types) == (True, False, ("client_credentials",))
    assert [event["actor"] for event in events() if event["action"] == "client.created"] == [
        events()[0]["resource_id"]
    ] * 2


def test_a_token_may_let_confidential_clients_go_without_pkce(
    registration: Registration, tokens: RegistrationTokens, sqlite_engine: Engine, origin: Origin
) -> None:
    value = initial(tokens, sqlite_engine, origin, require_pkce=False)
    made = register(registration, sqlite_engine, origin, SAID, value)
    assert made.client.require_pkce is False
    said = SAID | {"client_id": made.client.client_id, "token_endpoint_auth_method": "none"}
    with Transaction(sqlite_engine) as tx:
        public = registration.update(tx, origin, made.client, said).client
    assert public.require_pkce is True
    assert register(registration, sqlite_engine, origin).client.require_pkce is True


def test_without_a_token_the_policy_token_registers_nobody(make: Make, sqlite_engine: Engine, origin: Origin) -> None:
    error = refused(lambda: register(make("token"), sqlite_engine, origin))
    assert (error.error, error.status) == ("invalid_token", 401)
    assert error.headers == (("WWW-Authenticate", "Bearer"),)


@pytest.mark.parametrize("policy", ["open", "token"])
def test_a_token_that_is_none_registers_nobody(make: Make, sqlite_engine: Engine, origin: Origin, policy: str) -> None:
    error = refused(lambda: register(make(policy), sqlite_engine, origin, SAID, "mcp_init_x"))
    assert (error.error, error.status) == ("invalid_token", 401)


def test_a_refused_registration_uses_nothing_up(
    registration: Registration, tokens: RegistrationTokens, sqlite_engine: Engine, origin: Origin
) -> None:
    value = initial(tokens, sqlite_engine, origin, uses=1)
    refused(lambda: register(registration, sqlite_engine, origin, {"client_name": "App"}, value))
    register(registration, sqlite_engine, origin, SAID, value)
    assert refused(lambda: register(registration, sqlite_engine, origin, SAID, value)).status == 401


def test_parallel_registrations_share_the_uses_of_a_token(
    registration: Registration, tokens: RegistrationTokens, clients: Clients, engine: Engine, origin: Origin
) -> None:
    value = initial(tokens, engine, origin, uses=2)
    answers = at_once(engine, [lambda tx: registration.register(tx, origin, SAID, value)] * 6)
    assert sum(isinstance(answer, Registered) for answer in answers) == 2
    with Transaction(engine) as tx:
        assert len(clients.list(tx)) == 2


def test_a_source_is_slowed_down_and_uses_up_nothing_of_the_others(
    registration: Registration, engine: Engine, origin: Origin, events: Events
) -> None:
    for _ in range(PER_SOURCE[0].times):
        register(registration, engine, origin)
    for _ in range(5):
        error = refused(lambda: register(registration, engine, origin))
        assert (error.status, error.error) == (429, "temporarily_unavailable")
        assert 1 <= int(dict(error.headers)["Retry-After"]) <= 3600
    register(registration, engine, replace(origin, source="192.0.2.11"))
    assert len([event for event in events() if event["action"] == "registration.refused"]) == 1
    later = replace(origin, now=origin.now + datetime.timedelta(hours=1))
    register(registration, engine, later)


def test_a_flood_from_a_hundred_networks_keeps_no_newcomer_out(
    registration: Registration, keyring: Keyring, sqlite_engine: Engine, origin: Origin
) -> None:
    limits = RateLimiter(keyring)
    with Transaction(sqlite_engine) as tx:
        for limit in PER_SOURCE:
            for number in range(100):
                networks = networks_of(f"2001:db8:{number // 10:x}:{number:x}::1")
                for _ in range(limit.times + 1):
                    limits.hit_source(tx, limit, networks, origin.now)
    register(registration, sqlite_engine, replace(origin, source="2001:db8:77::1"))
    register(registration, sqlite_engine, replace(origin, source="192.0.2.12"))


@pytest.mark.parametrize(
    "households, looser, outside",
    [
        ([f"2001:db8:1:2{number:02x}::1" for number in range(8)], 4, "2001:db8:1:300::1"),
        ([f"2001:db8:1:{number:x}00::1" for number in range(20)], 16, "2001:db8:2::1"),
        ([f"192.0.2.{number}" for number in range(20)], 16, "192.0.3.1"),
    ],
    ids=["/56", "/48", "/24"],
)
def test_who_has_many_addresses_gets_no_more_than_their_network_may_have(
    registration: Registration, sqlite_engine: Engine, origin: Origin, households: list[str], looser: int, outside: str
) -> None:
    made = 0
    for household in households:
        with contextlib.suppress(OAuthError):
            for _ in range(PER_SOURCE[0].times):
                register(registration, sqlite_engine, replace(origin, source=household))
                made += 1
    assert made == looser * PER_SOURCE[0].times
    register(registration, sqlite_engine, replace(origin, source=outside))


@pytest.mark.parametrize(
    "said",
    [
        {"redirect_uris": [f"https://app.example/{number:02}{'x' * 1000}" for number in range(17)]},
        {"contacts": ["각" * 340 + str(number) for number in range(17)]},
        {"client_uri": "https://app.example/" + "x" * 1900, "request_uris": [
            f"https://app.example/{number:02}{'x' * 1000}" for number in range(15)
        ]},
    ],
    ids=["redirect_uris", "contacts", "all in all"],
)  # fmt: skip
def test_only_so_many_bytes_are_kept_of_a_registration(
    registration: Registration, clients: Clients, sqlite_engine: Engine, origin: Origin, said: dict[str, Any]
) -> None:
    error = refused(lambda: register(registration, sqlite_engine, origin, SAID | said))
    assert (error.error, error.status) == ("invalid_client_metadata", 400)
    assert "16,384 bytes" in error.description
    with Transaction(sqlite_engine) as tx:
        assert clients.list(tx) == []


def test_wrong_tokens_are_slowed_down_and_right_ones_never(
    registration: Registration, tokens: RegistrationTokens, sqlite_engine: Engine, origin: Origin
) -> None:
    value = initial(tokens, sqlite_engine, origin)
    statuses = [
        refused(lambda: register(registration, sqlite_engine, origin, SAID, "mcp_init_x")).status
        for _ in range(PER_SOURCE[0].times + 1)
    ]
    assert statuses == [401] * PER_SOURCE[0].times + [429]
    for _ in range(PER_SOURCE[0].times + 1):
        register(registration, sqlite_engine, origin, SAID, value)


def test_only_its_own_token_finds_a_client(registration: Registration, sqlite_engine: Engine, origin: Origin) -> None:
    one, two = (register(registration, sqlite_engine, origin) for _ in range(2))
    with Transaction(sqlite_engine) as tx:
        assert registration.find(tx, origin, one.client.client_id, one.access_token).id == one.client.id
        for client_id, token in (
            (one.client.client_id, two.access_token),
            (one.client.client_id, ""),
            (one.client.client_id, one.secret or ""),
            ("app_unknown", one.access_token),
            ("", one.access_token),
        ):
            assert refused(lambda c=client_id, t=token: registration.find(tx, origin, c, t)).status == 401  # type: ignore[misc]


def test_a_disabled_client_manages_itself_no_longer(
    registration: Registration, clients: Clients, sqlite_engine: Engine, origin: Origin
) -> None:
    made = register(registration, sqlite_engine, origin)
    with Transaction(sqlite_engine) as tx:
        clients.set_active(tx, origin, made.client.client_id, False)
        assert refused(lambda: registration.find(tx, origin, made.client.client_id, made.access_token)).status == 401


def test_changes_of_one_registration_are_bounded(
    registration: Registration, sqlite_engine: Engine, origin: Origin
) -> None:
    made = register(registration, sqlite_engine, origin)
    said = SAID | {"client_id": made.client.client_id}
    for _ in range(UPDATES.times):
        with Transaction(sqlite_engine) as tx:
            made = registration.update(tx, origin, made.client, said)
    with Transaction(sqlite_engine) as tx:
        assert refused(lambda: registration.update(tx, origin, made.client, said)).status == 429


def test_who_has_many_registrations_cannot_change_them_without_end(
    registration: Registration, keyring: Keyring, sqlite_engine: Engine, origin: Origin
) -> None:
    """Each change is recorded, and records are kept for good."""
    made = register(registration, sqlite_engine, origin)
    said = SAID | {"client_id": made.client.client_id}
    with Transaction(sqlite_engine) as tx:
        for _ in range(UPDATES_PER_SOURCE.times):
            RateLimiter(keyring).hit_source(tx, UPDATES_PER_SOURCE, origin.networks, origin.now)
        assert refused(lambda: registration.update(tx, origin, made.client, said)).status == 429
        elsewhere = replace(origin, source="192.0.2.11")
        assert registration.update(tx, elsewhere, made.client, said).client.client_id == made.client.client_id


def test_of_two_updates_at_once_one_wins(registration: Registration, engine: Engine, origin: Origin) -> None:
    made = register(registration, engine, origin)
    said = SAID | {"client_id": made.client.client_id}
    answers = at_once(engine, [lambda tx: registration.update(tx, origin, made.client, said)] * 4)
    assert sum(isinstance(answer, Registered) for answer in answers) == 1


SECTOR = {"subject_type": "pairwise", "redirect_uris": [CALLBACK, "https://other.example/callback"]}


@pytest.mark.parametrize(
    "listed, is_accepted",
    [
        ([CALLBACK, "https://other.example/callback", "https://third.example/"], True),
        ([CALLBACK], False),
        ([], False),
        ({CALLBACK: 1, "https://other.example/callback": 1}, False),
        (f"{CALLBACK} https://other.example/callback", False),
        ([[CALLBACK], {}], False),
    ],
)
def test_a_sectors_document_lists_every_redirect_uri(
    registration: Registration,
    server: HttpsServer,
    sqlite_engine: Engine,
    origin: Origin,
    listed: Any,
    is_accepted: bool,
) -> None:
    said = SAID | SECTOR | {"sector_identifier_uri": server.say_json("/uris.json", listed)}
    if is_accepted:
        assert register(registration, sqlite_engine, origin, said).client.details.subject_type == "pairwise"
    else:
        error = refused(lambda: register(registration, sqlite_engine, origin, said))
        assert error.error == "invalid_client_metadata"


def test_a_sectors_document_must_be_there_also_for_public_subjects(
    registration: Registration, server: HttpsServer, sqlite_engine: Engine, origin: Origin
) -> None:
    said = SAID | {"sector_identifier_uri": f"{server.url}/nothing.json"}
    assert refused(lambda: register(registration, sqlite_engine, origin, said)).error == "invalid_client_metadata"
    assert (
        refused(lambda: register(registration, sqlite_engine, origin, SAID | SECTOR)).error == "invalid_client_metadata"
    )
