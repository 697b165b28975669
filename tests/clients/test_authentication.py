"""Client authentication on every database (RFC 6749 §2.3; security A-24, A-26 to A-29, A-32)."""

from __future__ import annotations

import base64
import datetime
from collections.abc import Callable
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, select, text

from database.models import RateCounter
from database.transaction import Transaction
from provider.audit import AuditEvent, AuditRecorder
from provider.clients.assertions import ClientAssertions
from provider.clients.authentication import PER_CLIENT, PER_SOURCE, ClientAuthentication
from provider.clients.client_keys import ClientKeys
from provider.clients.registry import Clients
from provider.protocol.client import Client
from provider.protocol.errors import OAuthError
from provider.protocol.messages import Origin, ProtocolRequest
from provider.security.crypto import Keyring, new_secret
from provider.security.outbound import Outbound
from provider.security.rate_limit import RateLimiter
from provider.security.replay import ReplayGuard
from provider.tokens.refusals import Refusals
from tests.clients.conftest import Events, Statements

NOW = datetime.datetime(2026, 7, 1, 12, 0, tzinfo=datetime.UTC)
Registered = tuple[Client, str]
Attempt = Callable[..., Client | OAuthError]


def basic(client_id: str, secret: str) -> str:
    return "Basic " + base64.b64encode(f"{client_id}:{secret}".encode()).decode()


def message(
    fields: dict[str, str] | None = None,
    *,
    authorization: str | None = None,
    query: str = "",
    source: str = "192.0.2.1",
    at: datetime.datetime = NOW,
    body: bytes | None = None,
) -> ProtocolRequest:
    headers = {"content-type": "application/x-www-form-urlencoded"}
    if authorization is not None:
        headers["authorization"] = authorization
    encoded = urlencode({"grant_type": "client_credentials", **(fields or {})}).encode()
    return ProtocolRequest(
        method="POST",
        path="/oauth/token",
        query_string=query,
        headers=headers,
        body=encoded if body is None else body,
        source=source,
        request_id="request-1",
        received_at=at,
    )


def assertions(keyring: Keyring) -> ClientAssertions:
    return ClientAssertions(
        ClientKeys(Outbound()), ReplayGuard(keyring), audiences=["https://id.example"], seconds=300, skew_seconds=30
    )


def authenticating(clients: Clients, keyring: Keyring) -> ClientAuthentication:
    rate_limits = RateLimiter(keyring)
    return ClientAuthentication(clients, assertions(keyring), rate_limits, Refusals(AuditRecorder(), rate_limits))


@pytest.fixture
def authentication(clients: Clients, keyring: Keyring) -> ClientAuthentication:
    return authenticating(clients, keyring)


@pytest.fixture
def attempt(authentication: ClientAuthentication, engine: Engine) -> Attempt:
    """One request as the edge runs it: a refusal is committed like a success."""

    def run(*args: Any, fresh: bool = False, **more: Any) -> Client | OAuthError:
        tx = Transaction(engine)
        try:
            return authentication.authenticate(tx, message(*args, **more), fresh=fresh)
        except OAuthError as error:
            return error
        finally:
            tx.commit()

    return run


def register(clients: Clients, engine: Engine, method: str, **more: Any) -> Registered:
    with Transaction(engine) as tx:
        made, secret = clients.register(
            tx,
            Origin("192.0.2.9", "pytest", "r", NOW),
            **{"kind": "application", "name": "App", "token_endpoint_auth_method": method, **more},
        )
    return made, secret or ""


@pytest.fixture
def by_basic(clients: Clients, engine: Engine) -> Registered:
    return register(clients, engine, "client_secret_basic")


@pytest.fixture
def by_post(clients: Clients, engine: Engine) -> Registered:
    return register(clients, engine, "client_secret_post")


@pytest.fixture
def public(clients: Clients, engine: Engine) -> Client:
    return register(clients, engine, "none")[0]


@pytest.fixture
def api_key(clients: Clients, engine: Engine, owner_id: str) -> Registered:
    return register(clients, engine, "client_secret_basic", kind="api_key", owner_user_id=owner_id)


def code(answer: Client | OAuthError) -> str:
    return answer.error if isinstance(answer, OAuthError) else "accepted"


# --- the right credential ---


def test_each_client_is_known_by_its_registered_method(
    attempt: Attempt, by_basic: Registered, by_post: Registered, public: Client
) -> None:
    assert attempt(authorization=basic(by_basic[0].client_id, by_basic[1])) == by_basic[0]
    assert attempt({"client_id": by_post[0].client_id, "client_secret": by_post[1]}) == by_post[0]
    assert attempt({"client_id": public.client_id}) == public


def test_an_api_key_may_be_sent_either_way(attempt: Attempt, api_key: Registered) -> None:
    key, secret = api_key
    assert attempt(authorization=basic(key.client_id, secret)) == key
    assert attempt({"client_id": key.client_id, "client_secret": secret}) == key
    assert code(attempt({"client_id": key.client_id})) == "invalid_client"


def test_basic_is_read_raw_and_percent_encoded_and_in_any_case(attempt: Attempt, by_basic: Registered) -> None:
    client, secret = by_basic
    everything = "".join(f"%{ord(character):02x}" for character in secret)
    for header in (
        basic(quote(client.client_id, safe=""), quote(secret, safe="")),
        basic(client.client_id, everything),
        "bAsIc" + basic(client.client_id, secret)[5:],
        basic(client.client_id, secret).replace("Basic ", "Basic   "),
    ):
        assert attempt(authorization=header) == client


def test_the_same_client_id_may_stand_in_the_body_too(attempt: Attempt, by_basic: Registered) -> None:
    client, secret = by_basic
    assert attempt({"client_id": client.client_id}, authorization=basic(client.client_id, secret)) == client


def test_a_success_writes_nothing_and_the_second_one_reads_nothing(
    attempt: Attempt, by_basic: Registered, statements: Statements
) -> None:
    with statements() as first:
        attempt(authorization=basic(by_basic[0].client_id, by_basic[1]))
    with statements() as second:
        attempt(authorization=basic(by_basic[0].client_id, by_basic[1]))
    assert [statement.split()[0] for statement in first] == ["SELECT"]
    assert second == []


# --- every wrong one gets the same answer ---


def wrong_requests(client: Client, secret: str, others: dict[str, Registered]) -> dict[str, dict[str, Any]]:
    name = client.client_id
    return {
        "unknown client": {"authorization": basic("app_unknown", secret)},
        "unknown client in the body": {"fields": {"client_id": "app_unknown", "client_secret": secret}},
        "unknown public client": {"fields": {"client_id": "app_unknown"}},
        "well-formed wrong secret": {"authorization": basic(name, new_secret("cs"))},
        "secret of another kind": {"authorization": basic(name, new_secret("rt"))},
        "another client's secret": {"authorization": basic(name, others["post"][1])},
        "mistyped secret": {"authorization": basic(name, secret[:-1] + ("a" if secret[-1] != "a" else "b"))},
        "shortened secret": {"authorization": basic(name, secret[:-1])},
        "secret in capitals": {"authorization": basic(name, secret.upper())},
        "secret and a blank": {"authorization": basic(name, secret + " ")},
        "secret and a NUL": {"authorization": basic(name, secret + "\x00")},
        "empty secret": {"authorization": basic(name, "")},
        "secret of no ASCII": {"authorization": basic(name, "비밀")},
        "stored hash as secret": {"authorization": basic(name, str(client.secret_hash))},
        "near client_id": {"authorization": basic(name + " ", secret)},
        "client_id of other case": {"authorization": basic(name.swapcase(), secret)},
        "wrong method: body": {"fields": {"client_id": name, "client_secret": secret}},
        "wrong method: none": {"fields": {"client_id": name}},
        "none and an empty secret": {"fields": {"client_id": name, "client_secret": ""}},
        "wrong method: basic": {"authorization": basic(others["post"][0].client_id, others["post"][1])},
        "public client with basic": {"authorization": basic(others["public"][0].client_id, "")},
        "public client with a secret": {
            "fields": {"client_id": others["public"][0].client_id, "client_secret": new_secret("cs")}
        },
        "secret in the query": {"query": urlencode({"client_id": name, "client_secret": secret})},
        "secret in the query, client in the body": {
            "fields": {"client_id": name},
            "query": urlencode({"client_secret": secret}),
        },
        "nothing": {},
        "secret alone": {"fields": {"client_secret": secret}},
        "assertion": {
            "fields": {
                "client_id": name,
                "client_assertion": "e30.e30.",
                "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            }
        },
        "assertion type alone": {"fields": {"client_assertion_type": "x"}},
        "bearer": {"authorization": f"Bearer {secret}"},
        "digest": {"authorization": f'Digest username="{name}"'},
        "empty header": {"authorization": ""},
        "scheme alone": {"authorization": "Basic"},
        "no base64": {"authorization": "Basic !!!"},
        "broken padding": {"authorization": basic(name, secret).rstrip("=") + "==="},
        "no ASCII": {"authorization": "Basic é"},
        "no UTF-8": {"authorization": "Basic " + base64.b64encode(b"\xff\xfe:\xff").decode()},
        "broken percent UTF-8": {"authorization": basic("%ff", secret)},
        "no colon": {"authorization": "Basic " + base64.b64encode(name.encode()).decode()},
        "no client_id": {"authorization": basic("", secret)},
        "two headers": {"authorization": f"{basic(name, secret)}, {basic(name, secret)}"},
        "enormous header": {"authorization": basic("x" * 10_000, "y" * 10_000)},
    }


def test_every_wrong_credential_gets_the_same_answer(
    authentication: ClientAuthentication,
    clients: Clients,
    engine: Engine,
    by_basic: Registered,
    by_post: Registered,
    public: Client,
) -> None:
    others = {"post": by_post, "public": (public, "")}
    for number, (name, sent) in enumerate(wrong_requests(*by_basic, others).items()):
        tx = Transaction(engine)
        with pytest.raises(OAuthError) as refusal:
            authentication.authenticate(tx, message(sent.pop("fields", None), source=f"192.0.2.{number}", **sent))
        tx.rollback()
        error = refusal.value
        assert (error.error, error.status, error.description, error.headers) == (
            "invalid_client",
            401,
            "Client authentication failed.",
            (("WWW-Authenticate", 'Basic realm="mcp-core"'),),
        ), name


def test_an_unknown_client_and_a_wrong_secret_take_the_same_work(
    attempt: Attempt, by_basic: Registered, statements: Statements
) -> None:
    client, secret = by_basic
    attempt(authorization=basic(client.client_id, secret))
    work = []
    for number, name in enumerate((client.client_id, "app_unknown", client.client_id, "app_unknown")):
        with statements() as seen:
            attempt(authorization=basic(name, new_secret("cs")), source=f"192.0.2.{number}")
        work.append([statement.split(" WHERE ")[0] for statement in seen])
    first_known, first_unknown, next_known, next_unknown = work
    assert first_known == first_unknown
    assert next_known == next_unknown


def test_a_mistyped_secret_is_not_looked_up(attempt: Attempt, by_basic: Registered, statements: Statements) -> None:
    with statements() as seen:
        answer = attempt(authorization=basic(by_basic[0].client_id, by_basic[1][:-1] + "-"))
    assert code(answer) == "invalid_client"
    assert not [statement for statement in seen if "oauth_clients" in statement]


# --- requests that contradict themselves ---


def test_two_methods_at_once_are_refused(attempt: Attempt, by_basic: Registered) -> None:
    client, secret = by_basic
    right = basic(client.client_id, secret)
    for fields in (
        {"client_id": client.client_id, "client_secret": secret},
        {"client_secret": secret},
        {"client_assertion": "e30.e30."},
        {"client_assertion_type": "x"},
    ):
        answer = attempt(fields, authorization=right)
        assert isinstance(answer, OAuthError)
        assert (answer.error, answer.status) == ("invalid_request", 400)
    assert code(attempt({"client_id": "a", "client_secret": secret, "client_assertion": "x"})) == "invalid_request"


def test_another_client_id_in_the_body_is_refused(attempt: Attempt, by_basic: Registered, by_post: Registered) -> None:
    client, secret = by_basic
    other = by_post[0].client_id
    assert code(attempt({"client_id": other}, authorization=basic(client.client_id, secret))) == "invalid_request"


@pytest.mark.parametrize("name", ["client_id", "client_secret", "client_assertion", "client_assertion_type"])
def test_a_repeated_parameter_is_refused(attempt: Attempt, by_post: Registered, name: str) -> None:
    client, secret = by_post
    right = urlencode({"client_id": client.client_id, "client_secret": secret})
    assert attempt(body=right.encode()) == client
    assert code(attempt(body=f"{right}&{name}=x&{name}=x".encode())) == "invalid_request"


def test_the_query_string_never_counts(attempt: Attempt, by_post: Registered) -> None:
    client, secret = by_post
    noise = urlencode({"client_id": "other", "client_secret": "other", "client_assertion": "x"})
    assert attempt({"client_id": client.client_id, "client_secret": secret}, query=noise) == client


def test_a_body_that_is_no_form_is_refused(authentication: ClientAuthentication, engine: Engine) -> None:
    plain = message()
    json_request = ProtocolRequest(**{**plain.__dict__, "headers": {"content-type": "application/json"}, "body": b"{}"})
    with pytest.raises(OAuthError) as refusal:
        authentication.authenticate(Transaction(engine), json_request)
    assert refusal.value.error == "invalid_request"


# --- clients that have ended ---


def test_a_disabled_revoked_or_expired_client_is_refused_at_once(
    attempt: Attempt, clients: Clients, engine: Engine, by_basic: Registered, api_key: Registered, origin: Origin
) -> None:
    (client, secret), (key, key_secret) = by_basic, api_key
    right, right_key = basic(client.client_id, secret), basic(key.client_id, key_secret)
    assert attempt(authorization=right) == client
    assert attempt(authorization=right_key) == key
    with Transaction(engine) as tx:
        clients.set_active(tx, origin, client.client_id, False)
        clients.revoke(tx, origin, key.client_id, event=AuditEvent.API_KEY_REVOKED, actor=None)
    assert code(attempt(authorization=right)) == "invalid_client"
    assert code(attempt(authorization=right_key)) == "invalid_client"
    with Transaction(engine) as tx:
        clients.set_active(tx, origin, client.client_id, True)
    assert code(attempt(authorization=right)) == "accepted"


def test_a_key_ends_when_it_expires(attempt: Attempt, clients: Clients, engine: Engine, owner_id: str) -> None:
    end = NOW + datetime.timedelta(days=1)
    key, secret = register(
        clients, engine, "client_secret_basic", kind="api_key", owner_user_id=owner_id, expires_at=end
    )
    right = basic(key.client_id, secret)
    assert code(attempt(authorization=right, at=end - datetime.timedelta(microseconds=1))) == "accepted"
    assert code(attempt(authorization=right, at=end)) == "invalid_client"


def test_a_disabled_public_client_is_refused(
    attempt: Attempt, clients: Clients, engine: Engine, public: Client, origin: Origin
) -> None:
    with Transaction(engine) as tx:
        clients.set_active(tx, origin, public.client_id, False)
    assert code(attempt({"client_id": public.client_id})) == "invalid_client"


def test_a_deleted_client_is_unknown(
    attempt: Attempt, clients: Clients, engine: Engine, by_basic: Registered, origin: Origin
) -> None:
    right = basic(by_basic[0].client_id, by_basic[1])
    assert code(attempt(authorization=right)) == "accepted"
    with Transaction(engine) as tx:
        clients.delete(tx, origin, by_basic[0].client_id)
    assert code(attempt(authorization=right)) == "invalid_client"


# --- what another process has changed ---


def test_a_secret_that_another_process_has_just_made_works(
    attempt: Attempt, other_process: Clients, engine: Engine, by_basic: Registered, origin: Origin
) -> None:
    client, secret = by_basic
    assert code(attempt(authorization=basic(client.client_id, secret))) == "accepted"
    with Transaction(engine) as tx:
        new = other_process.rotate_secret(tx, origin, client.client_id)
    assert code(attempt(authorization=basic(client.client_id, new or ""))) == "accepted"
    assert code(attempt(authorization=basic(client.client_id, secret))) == "invalid_client"


def test_a_client_that_another_process_has_just_enabled_works(
    attempt: Attempt, clients: Clients, other_process: Clients, engine: Engine, by_basic: Registered, origin: Origin
) -> None:
    client, secret = by_basic
    with Transaction(engine) as tx:
        clients.set_active(tx, origin, client.client_id, False)
    assert code(attempt(authorization=basic(client.client_id, secret))) == "invalid_client"
    with Transaction(engine) as tx:
        other_process.set_active(tx, origin, client.client_id, True)
    assert code(attempt(authorization=basic(client.client_id, secret))) == "accepted"


def test_an_endpoint_that_mints_nothing_sees_other_processes_changes_at_once(
    attempt: Attempt, other_process: Clients, engine: Engine, by_basic: Registered, origin: Origin
) -> None:
    client, secret = by_basic
    right = basic(client.client_id, secret)
    assert code(attempt(authorization=right)) == "accepted"
    with Transaction(engine) as tx:
        other_process.set_active(tx, origin, client.client_id, False)
    assert code(attempt(authorization=right, fresh=True)) == "invalid_client"


def test_a_client_can_be_forgotten_so_that_the_next_look_is_fresh(
    attempt: Attempt,
    authentication: ClientAuthentication,
    other_process: Clients,
    engine: Engine,
    by_basic: Registered,
    origin: Origin,
) -> None:
    client, secret = by_basic
    right = basic(client.client_id, secret)
    assert code(attempt(authorization=right)) == "accepted"
    with Transaction(engine) as tx:
        other_process.set_active(tx, origin, client.client_id, False)
    authentication.forget(message(authorization=right))
    authentication.forget(message(authorization="Basic !!!"))
    assert code(attempt(authorization=right)) == "invalid_client"


# --- throttling: per client and per source, and never for the true client ---


def test_guesses_at_one_client_are_throttled_and_the_true_client_is_not(attempt: Attempt, by_basic: Registered) -> None:
    client, secret = by_basic
    for number in range(PER_CLIENT.times):
        guess = attempt(authorization=basic(client.client_id, new_secret("cs")), source=f"192.0.2.{number}")
        assert code(guess) == "invalid_client"
    for source in ("192.0.2.1", "198.51.100.1"):
        answer = attempt(authorization=basic(client.client_id, new_secret("cs")), source=source)
        assert isinstance(answer, OAuthError)
        assert answer.status == 429
        assert 1 <= int(dict(answer.headers)["Retry-After"]) <= PER_CLIENT.seconds
        assert attempt(authorization=basic(client.client_id, secret), source=source) == client


def test_guesses_from_one_source_are_throttled_whatever_they_guess_at(attempt: Attempt, by_basic: Registered) -> None:
    for number in range(PER_SOURCE.times):
        assert code(attempt(authorization=basic(f"app_{number}", new_secret("cs")))) == "invalid_client"
    answer = attempt(authorization="Basic !!!")
    assert isinstance(answer, OAuthError)
    assert answer.status == 429
    assert code(attempt(authorization=basic("app_x", new_secret("cs")), source="198.51.100.1")) == "invalid_client"
    assert attempt(authorization=basic(by_basic[0].client_id, by_basic[1])) == by_basic[0]


def test_the_throttle_ends_with_its_window(attempt: Attempt, by_basic: Registered) -> None:
    wrong = basic(by_basic[0].client_id, new_secret("cs"))
    answers = [attempt(authorization=wrong) for _ in range(PER_CLIENT.times + 1)]
    last = answers[-1]
    assert isinstance(last, OAuthError)
    assert last.status == 429
    wait = datetime.timedelta(seconds=int(dict(last.headers)["Retry-After"]) + 1)
    assert code(attempt(authorization=wrong, at=NOW + wait)) == "invalid_client"


def test_past_the_limit_nothing_is_written(
    attempt: Attempt, engine: Engine, by_basic: Registered, events: Events, statements: Statements
) -> None:
    wrong = basic(by_basic[0].client_id, new_secret("cs"))
    for _ in range(PER_CLIENT.times):
        attempt(authorization=wrong)
    with statements() as seen:
        for _ in range(5):
            attempt(authorization=wrong)
    assert {statement.split()[0] for statement in seen} == {"SELECT"}
    failures = [row for row in events() if row["action"] == "client.authentication_failed"]
    assert len(failures) == PER_CLIENT.times


def test_a_request_without_any_credential_is_no_guess(attempt: Attempt, engine: Engine, events: Events) -> None:
    assert code(attempt()) == "invalid_client"
    assert events() == []
    with engine.connect() as connection:
        assert connection.execute(select(RateCounter.bucket)).all() == []


# --- the record, and what it must not hold ---


def test_a_failure_is_recorded(attempt: Attempt, events: Events, by_basic: Registered) -> None:
    attempt(authorization=basic(by_basic[0].client_id, new_secret("cs")), source="203.0.113.7")
    attempt(authorization="Basic !!!", source="203.0.113.8")
    failures = [row for row in events() if row["action"] == "client.authentication_failed"]
    assert sorted(
        (row["resource_id"], row["outcome"], row["ip_address"], row["metadata"]["method"]) for row in failures
    ) == [
        ("", "denied", "203.0.113.8", "malformed_basic"),
        (by_basic[0].client_id, "denied", "203.0.113.7", "client_secret_basic"),
    ]


def test_no_secret_gets_into_a_record_or_a_log_line(
    attempt: Attempt, engine: Engine, by_basic: Registered, caplog: pytest.LogCaptureFixture
) -> None:
    client, secret = by_basic
    guess = new_secret("ak")
    answers = [
        attempt(authorization=basic(client.client_id, guess)),
        attempt(authorization=basic(secret, client.client_id)),  # both in the wrong place
        attempt({"client_id": secret}),
        attempt({"client_id": f"x{guess}y", "client_secret": guess}),
    ]
    details = [answer.detail for answer in answers if isinstance(answer, OAuthError)]
    assert len(details) == 4
    with engine.connect() as connection:
        records = str(connection.execute(text("SELECT * FROM user_audit_log")).all())
    for hidden in (secret, guess):
        assert hidden not in records
        assert hidden not in str(details)
        assert hidden not in caplog.text


def test_an_untrusted_client_id_can_forge_no_line(attempt: Attempt, events: Events) -> None:
    answer = attempt({"client_id": "a\r\n2026 client.created ok\u202e" + "x" * 1000})
    assert isinstance(answer, OAuthError)
    assert answer.detail.isprintable()
    assert "\n" not in str(events()[0]["resource_id"])
    assert len(str(events()[0]["resource_id"])) <= 255


# --- whatever is sent ---


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    authorization=st.one_of(
        st.none(),
        st.text(st.characters(max_codepoint=255), max_size=60),
        st.binary(max_size=60).map(lambda raw: "Basic " + base64.b64encode(raw).decode()),
        st.text(max_size=60).map(lambda value: "Basic " + base64.b64encode(value.encode()).decode()),
    ),
    body=st.one_of(
        st.binary(max_size=80),
        st.dictionaries(
            st.sampled_from(["client_id", "client_secret", "client_assertion", "client_assertion_type"]),
            st.text(max_size=40),
        ).map(lambda fields: urlencode(fields).encode()),
    ),
)
def test_whatever_is_sent_is_refused_with_an_oauth_error(
    keyring: Keyring, sqlite_engine: Engine, clients: Clients, authorization: str | None, body: bytes
) -> None:
    authentication = authenticating(clients, keyring)
    tx = Transaction(sqlite_engine)
    with pytest.raises(OAuthError) as refusal:
        authentication.authenticate(tx, message(authorization=authorization, body=body))
    tx.rollback()
    assert refusal.value.error in {"invalid_client", "invalid_request"}
