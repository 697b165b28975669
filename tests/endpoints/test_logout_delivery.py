"""Back-channel logout: every end of a session reaches its applications, once, over real TLS (Back-Channel Logout 1.0)."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs

import pytest
from joserfc import jwk, jwt
from sqlalchemy import Engine, update

from database.models import Client as ClientRow
from database.models import LogoutNotice
from provider.accounts.users import User
from provider.deliveries.courier import Courier
from provider.deliveries.logout_delivery import SENDERS, STRANGERS
from provider.deliveries.logout_notices import LEASE_SECONDS, RETRY_SECONDS, Notice
from provider.protocol.client import ClientDetails
from provider.start.couriers import logout_courier
from provider.tokens.issuer import LOGOUT_EVENT
from tests.couriers import attempt_due
from tests.endpoints.browsing import Browser, code_of
from tests.endpoints.documents import reaching
from tests.endpoints.provider import KnownClient, Provider, ProviderFactory, claims_of, header_of
from tests.endpoints.test_logout import logout
from tests.endpoints.test_logout_confirmation import confirm
from tests.https_server import HttpsServer
from tests.waiting import HANG_SECONDS, eventually

PATH = "/backchannel"


@pytest.fixture
def receiver() -> Iterator[HttpsServer]:
    server = HttpsServer()
    server.answers[PATH] = (200, {}, b"")
    yield server
    server.close()


@pytest.fixture
def make(sqlite_engine: Engine, make_provider: ProviderFactory, receiver: HttpsServer) -> Callable[[], Provider]:
    """A process on the one database. Called again it gives another one."""
    return lambda: make_provider(
        sqlite_engine, outbound_allowed_hosts=receiver.host, outbound_ca_file=receiver.authority
    )


@pytest.fixture
def browser(make: Callable[[], Provider]) -> Browser:
    return Browser(make())


@pytest.fixture
def provider(browser: Browser) -> Provider:
    return browser.provider


@pytest.fixture
def ada(provider: Provider) -> User:
    return provider.user()


@pytest.fixture
def deliver() -> Iterator[Callable[..., Courier[Notice]]]:
    """Starts the thread of a process, which is stopped at the end."""
    started = []

    def start(provider: Provider, poll_seconds: float = 0.05) -> Courier[Notice]:
        delivery = logout_courier(provider.services, provider.clock, poll_seconds=poll_seconds)
        delivery.start()
        started.append(delivery)
        return delivery

    yield start
    for delivery in started:
        delivery.stop()


def application(provider: Provider, receiver: HttpsServer, path: str = PATH, **details: Any) -> KnownClient:
    known = ClientDetails(backchannel_logout_uri=receiver.url + path, **details)
    return provider.client(is_trusted=True, details=known)


def signed_in(browser: Browser, user: User, client: KnownClient, scope: str = "openid") -> Any:
    browser.sign_in(user)
    return browser.provider.redeem(client, code_of(browser.authorize(client, scope=scope))).json


def notices(provider: Provider) -> list[dict[str, Any]]:
    return provider.rows(LogoutNotice)


def attempt(provider: Provider) -> int:
    """What a process does once about everything that is due. Returns the number of attempts."""
    return attempt_due(logout_courier(provider.services, provider.clock))


def logout_token(receiver: HttpsServer, number: int = -1) -> str:
    received = receiver.received[number]
    assert received.method == "POST"
    assert received.headers["Content-Type"] == "application/x-www-form-urlencoded"
    assert not {"Cookie", "Authorization"} & set(received.headers)
    fields = parse_qs(received.body.decode(), strict_parsing=True)
    assert set(fields) == {"logout_token"}
    (token,) = fields["logout_token"]
    return token


def test_a_logout_token_says_exactly_this(
    browser: Browser, provider: Provider, ada: User, receiver: HttpsServer
) -> None:
    client = application(provider, receiver)
    hint = signed_in(browser, ada, client)["id_token"]
    provider.clock.advance(60)
    assert logout(browser, id_token_hint=hint).status == 303
    assert attempt(provider) == 1
    token = logout_token(receiver)
    assert header_of(token)["typ"] == "logout+jwt"
    keys = jwk.KeySet.import_key_set(provider.get(f"{provider.path}/jwks").json)
    claims = jwt.decode(token, keys, algorithms=["RS256"]).claims
    now = int(provider.clock.now.timestamp())
    assert claims.pop("jti")
    assert claims == {
        "iss": provider.issuer,
        "aud": client.client_id,
        "sub": ada.id,
        "sid": claims_of(hint)["sid"],
        "iat": now,
        "exp": now + 120,
        "events": {LOGOUT_EVENT: {}},
    }
    (row,) = notices(provider)
    assert (row["delivered_at"], row["next_attempt_at"]) == (provider.clock.now, None)


@pytest.mark.parametrize("subject_type", ["public", "pairwise"])
def test_subject_and_session_are_those_of_the_id_token_also_after_a_refresh(
    browser: Browser, provider: Provider, ada: User, receiver: HttpsServer, subject_type: str
) -> None:
    client = application(provider, receiver, subject_type=subject_type)
    tokens = signed_in(browser, ada, client, "openid offline_access")
    browser.sign_in(ada)  # again, in the same session
    refreshed = provider.refresh(client, tokens["refresh_token"]).json
    logout(browser, id_token_hint=tokens["id_token"])
    attempt(provider)
    after = provider.refresh(client, refreshed["refresh_token"]).json
    told = claims_of(logout_token(receiver))
    for id_token in (tokens["id_token"], refreshed["id_token"], after["id_token"]):
        assert {name: claims_of(id_token)[name] for name in ("sub", "sid")} == {
            name: told[name] for name in ("sub", "sid")
        }
    assert (told["sub"] == ada.id) is (subject_type == "public")


ENDS: dict[str, Callable[[Browser, User, Any], object]] = {
    "sign-out page": lambda browser, _user, _tokens: confirm(browser, "/sign-out"),
    "the application asks": lambda browser, _user, tokens: logout(browser, id_token_hint=tokens["id_token"]),
    "ended from another device": lambda browser, user, _tokens: _end_from_elsewhere(browser, user),
    "all others ended": lambda browser, user, _tokens: _end_from_elsewhere(browser, user, "end-others"),
    "somebody else signs in": lambda browser, _user, _tokens: _replace(browser),
    "the user is disabled": lambda browser, user, _tokens: _disable(browser, user),
    "the second factor is reset": lambda browser, user, _tokens: _end_all(browser, user),
}


def _end_from_elsewhere(browser: Browser, user: User, action: str = "end") -> None:
    session_id = browser.sign_in(user)
    other = Browser(browser.provider)
    other.sign_in(user)
    page = other.get("/account/sessions")
    token = page.text.partition('name="csrf_token" value="')[2].partition('"')[0]
    fields = {"csrf_token": token, "action": action, "session": session_id}
    answer = other.post("/account/sessions", fields, Sec_Fetch_Site="same-origin", Origin="http://localhost:8000")
    assert answer.status == 303


def _replace(browser: Browser) -> None:
    provider = browser.provider
    bob = provider.user("bob")
    with provider.begin() as tx:
        previous = browser.cookies["mcp_session_8000"]
        provider.services.login.start_session(tx, provider.origin, bob, ("pwd",), previous_token=previous)


def _disable(browser: Browser, user: User) -> None:
    with browser.provider.begin() as tx:
        assert browser.provider.services.user_ends.set_active(tx, browser.provider.origin, user.id, False)


def _end_all(browser: Browser, user: User) -> None:
    with browser.provider.begin() as tx:
        sessions = browser.provider.services.sessions
        assert sessions.end_all(tx, browser.provider.origin, user.id, reason="second_factor_reset") == 1


@pytest.mark.parametrize("how", ENDS)
def test_every_end_of_a_session_reaches_its_applications_once(
    browser: Browser,
    provider: Provider,
    ada: User,
    receiver: HttpsServer,
    deliver: Callable[..., Courier[Notice]],
    how: str,
) -> None:
    deliver(provider, 3600)  # woken by the commit alone
    receiver.answers["/second"] = (204, {}, b"")
    tokens = signed_in(browser, ada, application(provider, receiver))
    signed_in(browser, ada, application(provider, receiver, "/second"))
    provider.client(is_trusted=True)
    ENDS[how](browser, ada, tokens)
    eventually(lambda: all(row["delivered_at"] for row in notices(provider)))
    assert sorted(item.path for item in receiver.received) == [PATH, "/second"]
    assert {claims_of(logout_token(receiver, n))["sid"] for n in (0, 1)} == {claims_of(tokens["id_token"])["sid"]}


def test_a_rotated_session_goes_on_and_nobody_is_told(
    browser: Browser, provider: Provider, ada: User, receiver: HttpsServer
) -> None:
    signed_in(browser, ada, application(provider, receiver))
    browser.sign_in(ada, ("pwd", "otp", "mfa"))
    assert notices(provider) == []


def ended(browser: Browser, ada: User, *clients: KnownClient) -> None:
    for client in clients:
        tokens = signed_in(browser, ada, client)
    logout(browser, id_token_hint=tokens["id_token"])


@pytest.mark.parametrize("status", [500, 503, 404, 302, 201, 401])
def test_another_answer_is_tried_again_with_a_fresh_token(
    browser: Browser, provider: Provider, ada: User, receiver: HttpsServer, status: int
) -> None:
    receiver.answers[PATH] = (status, {"Location": f"{receiver.url}/elsewhere"}, b"")
    ended(browser, ada, application(provider, receiver))
    assert attempt(provider) == 1
    assert attempt(provider) == 0
    assert notices(provider)[0]["last_problem"] == f"status {status}"
    provider.clock.advance(RETRY_SECONDS[0])
    receiver.answers[PATH] = (200, {}, b"")
    assert attempt(provider) == 1
    assert receiver.count("/elsewhere") == 0, "a redirect was followed"
    first, second = (claims_of(logout_token(receiver, number)) for number in (0, 1))
    assert first["jti"] != second["jti"]
    assert second["iat"] == first["iat"] + RETRY_SECONDS[0]
    assert (notices(provider)[0]["attempts"], notices(provider)[0]["last_problem"]) == (2, None)


def test_a_refusal_is_final_and_recorded(
    browser: Browser, provider: Provider, ada: User, receiver: HttpsServer
) -> None:
    receiver.answers[PATH] = (400, {}, b"")
    client = application(provider, receiver)
    ended(browser, ada, client)
    attempt(provider)
    provider.clock.advance(86400)
    assert attempt(provider) == 0
    (event,) = provider.events("logout_notice.failed")
    assert (event["resource_id"], event["metadata"]["problem"]) == (client.client_id, "status 400")


def test_a_receiver_that_never_answers_is_given_up_in_the_end(
    browser: Browser, provider: Provider, ada: User, receiver: HttpsServer
) -> None:
    port = receiver.port
    client = application(provider, receiver)
    ended(browser, ada, client)
    with provider.begin() as tx:  # a port where nobody listens, and one that we don't ask
        tx.execute(update(LogoutNotice).values(uri=f"https://localhost:{port + 1}/"))
    for seconds in (*RETRY_SECONDS, 0):
        assert attempt(provider) == 1
        provider.clock.advance(seconds)
    assert attempt(provider) == 0
    assert receiver.received == []
    (event,) = provider.events("logout_notice.failed")
    assert event["metadata"]["attempts"] == len(RETRY_SECONDS) + 1


@pytest.mark.parametrize("values", [{"is_active": False}, {"id_token_signed_response_alg": "none"}])
def test_a_notice_that_cannot_be_made_holds_up_no_other(
    browser: Browser,
    provider: Provider,
    ada: User,
    receiver: HttpsServer,
    deliver: Callable[..., Courier[Notice]],
    values: dict[str, Any],
) -> None:
    broken = application(provider, receiver, "/broken")
    ended(browser, ada, broken, application(provider, receiver))
    with provider.begin() as tx:
        tx.execute(update(ClientRow).where(ClientRow.id == broken.client.id).values(**values))
    deliver(provider)
    eventually(lambda: receiver.count(PATH))
    eventually(lambda: all(row["delivered_at"] or row["last_problem"] for row in notices(provider)))
    assert receiver.count("/broken") == 0


def test_a_slow_receiver_holds_up_no_other_and_no_transaction(
    browser: Browser, provider: Provider, ada: User, receiver: HttpsServer, deliver: Callable[..., Courier[Notice]]
) -> None:
    asked, goes_on = threading.Event(), threading.Event()

    def slow(handler: BaseHTTPRequestHandler) -> None:
        asked.set()
        goes_on.wait(HANG_SECONDS)
        handler.send_response(200)
        handler.end_headers()

    receiver.answers["/slow"] = slow
    deliver(provider, 3600)
    ended(browser, ada, application(provider, receiver, "/slow"), application(provider, receiver))
    assert asked.wait(HANG_SECONDS)
    eventually(lambda: receiver.count(PATH))
    provider.user("written meanwhile".replace(" ", "-"))
    goes_on.set()
    eventually(lambda: all(row["delivered_at"] for row in notices(provider)))
    assert receiver.count("/slow") == 1


def vouch_for_no_longer(provider: Provider, *clients: KnownClient) -> None:
    with provider.begin() as tx:
        rows = [client.client.id for client in clients]
        tx.execute(update(ClientRow).where(ClientRow.id.in_(rows)).values(is_vouched=False))


def test_slow_strangers_hold_up_nobody_that_is_vouched_for(
    sqlite_engine: Engine,
    make_provider: ProviderFactory,
    receiver: HttpsServer,
    deliver: Callable[..., Courier[Notice]],
) -> None:
    provider = make_provider(sqlite_engine, **reaching(receiver))
    browser, ada = Browser(provider), provider.user()
    asked, goes_on = threading.Semaphore(0), threading.Event()

    def slow(handler: BaseHTTPRequestHandler) -> None:
        asked.release()
        goes_on.wait(HANG_SECONDS)
        handler.send_response(200)
        handler.end_headers()

    strangers = [application(provider, receiver, f"/slow{number}") for number in range(6)]
    receiver.answers.update({f"/slow{number}": slow for number in range(6)})
    ended(browser, ada, *strangers, application(provider, receiver))
    vouch_for_no_longer(provider, *strangers)
    deliver(provider, 0.02)
    assert asked.acquire(timeout=HANG_SECONDS)
    eventually(lambda: receiver.count(PATH))
    assert sum(receiver.count(f"/slow{number}") for number in range(6)) <= SENDERS[STRANGERS]
    goes_on.set()


def test_notices_of_strangers_are_taken_by_themselves(
    browser: Browser, provider: Provider, ada: User, receiver: HttpsServer
) -> None:
    strangers = [application(provider, receiver, f"/stranger{number}") for number in range(3)]
    vouched = application(provider, receiver)
    ended(browser, ada, *strangers, vouched)
    vouch_for_no_longer(provider, *strangers)
    with provider.begin() as tx:
        claim = provider.services.logout_notices.claim
        rows = {is_vouched: claim(tx, provider.clock.now, 10, is_vouched=is_vouched) for is_vouched in (True, False)}
    assert [notice.client_row_id for notice in rows[True]] == [vouched.client.id]
    assert {notice.client_row_id for notice in rows[False]} == {client.client.id for client in strangers}


@pytest.mark.parametrize("is_vouched", [True, False])
def test_a_host_that_only_operators_trust_gets_no_notice_of_strangers(
    browser: Browser, provider: Provider, ada: User, receiver: HttpsServer, is_vouched: bool
) -> None:
    client = application(provider, receiver)
    ended(browser, ada, client)
    if not is_vouched:
        vouch_for_no_longer(provider, client)
    assert attempt(provider) == 1
    assert receiver.count(PATH) == int(is_vouched)
    assert bool(notices(provider)[0]["delivered_at"]) is is_vouched


def test_of_many_applications_of_a_stranger_on_one_dead_host_one_is_tried(
    sqlite_engine: Engine, make_provider: ProviderFactory, receiver: HttpsServer
) -> None:
    provider = make_provider(sqlite_engine, **reaching(receiver))
    browser, ada = Browser(provider), provider.user()
    paths = [f"/broken{number}" for number in range(5)]
    receiver.answers.update({path: lambda handler: setattr(handler, "close_connection", True) for path in paths})
    strangers = [application(provider, receiver, path) for path in paths]
    ended(browser, ada, *strangers)
    vouch_for_no_longer(provider, *strangers)
    assert attempt(provider) == 5
    assert len(receiver.received) == 1
    assert all(row["attempts"] == 1 and row["next_attempt_at"] for row in notices(provider)), "all are tried again"


def test_what_a_process_took_with_it_is_sent_by_the_next(
    browser: Browser, provider: Provider, ada: User, receiver: HttpsServer, make: Callable[[], Provider]
) -> None:
    ended(browser, ada, application(provider, receiver))
    with provider.begin() as tx:
        (taken,) = provider.services.logout_notices.claim(tx, provider.clock.now, 1, is_vouched=True)
    assert taken.attempts == 1
    other = make()
    other.clock.now = provider.clock.now
    assert attempt(other) == 0
    other.clock.advance(LEASE_SECONDS)
    assert attempt(other) == 1
    assert len(receiver.received) == 1


def test_two_processes_send_each_notice_once(
    browser: Browser,
    provider: Provider,
    ada: User,
    receiver: HttpsServer,
    make: Callable[[], Provider],
    deliver: Callable[..., Courier[Notice]],
) -> None:
    paths = [f"/app{number}" for number in range(12)]
    receiver.answers.update(dict.fromkeys(paths, (200, {}, b"")))
    ended(browser, ada, *(application(provider, receiver, path) for path in paths))
    other = make()
    other.clock.now = provider.clock.now
    deliver(provider)
    deliver(other)
    eventually(lambda: all(row["delivered_at"] for row in notices(provider)))
    assert sorted(item.path for item in receiver.received) == sorted(paths)


def test_a_database_that_is_away_for_a_while_is_survived(
    browser: Browser,
    provider: Provider,
    ada: User,
    receiver: HttpsServer,
    deliver: Callable[..., Courier[Notice]],
    caplog: pytest.LogCaptureFixture,
) -> None:
    ended(browser, ada, application(provider, receiver))
    with provider.engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE logout_notices RENAME TO away")
    deliver(provider, 0.02)
    eventually(lambda: "cannot look for logout notices" in caplog.text)
    time.sleep(0.2)
    assert caplog.text.count("cannot look for logout notices") == 1, "said every time"
    with provider.engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE away RENAME TO logout_notices")
    eventually(lambda: receiver.count(PATH) == 1)
    eventually(lambda: notices(provider)[0]["delivered_at"])


def test_stopping_ends_the_thread_and_begins_nothing_more(
    browser: Browser, provider: Provider, ada: User, receiver: HttpsServer, deliver: Callable[..., Courier[Notice]]
) -> None:
    before = set(threading.enumerate())
    delivery = deliver(provider, 3600)
    (begun,) = (thread for thread in threading.enumerate() if thread not in before)
    delivery.stop()
    assert not begun.is_alive()
    ended(browser, ada, application(provider, receiver))
    assert receiver.received == []
    assert notices(provider)[0]["attempts"] == 0


@pytest.fixture
def here() -> Iterator[HttpsServer]:
    """A program on this machine that speaks plain http."""
    server = HttpsServer(is_plain=True)
    server.answers[PATH] = (200, {}, b"")
    yield server
    server.close()


def test_a_program_on_this_machine_is_told_where_an_operator_registered_it(
    browser: Browser, provider: Provider, ada: User, here: HttpsServer
) -> None:
    client = application(provider, here)
    signed_in(browser, ada, client)
    with provider.begin() as tx:
        provider.services.sessions.end_all(tx, provider.origin, ada.id, reason="test")
    assert attempt(provider) == 1
    assert claims_of(logout_token(here))["aud"] == client.client_id
    assert notices(provider)[0]["delivered_at"] is not None


@pytest.mark.parametrize("change", ["registered by itself", "vouched for by a token", "another address by now"])
def test_nobody_else_has_anything_on_this_machine_called(
    browser: Browser, provider: Provider, ada: User, here: HttpsServer, change: str
) -> None:
    """A registration refuses such an address. If one were there all the same, nothing goes to it."""
    client = application(provider, here)
    signed_in(browser, ada, client)
    with provider.begin() as tx:
        provider.services.sessions.end_all(tx, provider.origin, ada.id, reason="test")
        values: dict[str, Any] = {"details": {"backchannel_logout_uri": here.url + "/other"}}
        if "address" not in change:
            values = {"kind": "dynamic", "is_vouched": "token" in change}
        tx.execute(update(ClientRow).values(values))
    assert attempt(provider) == 1
    assert here.received == []
    assert "https" in notices(provider)[0]["last_problem"]
