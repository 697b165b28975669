"""Calls that are answered together: many in one commit, each as if it had been alone, and what ends meanwhile has ended."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest
from sqlalchemy import Engine, select, text, update
from sqlalchemy.exc import OperationalError, SQLAlchemyError

from database.faults import CommitUnknown, DatabaseUnavailable
from database.joint_works import JointWorks
from database.models import GrantRecord, IssuedToken, RateCounter, RefreshToken, User
from database.prepared import Lookup
from database.transaction import Transaction
from database.units import Batch, Outcome, Unit
from provider.application import asynchronous_door_of
from provider.clients.authentication import ClientAuthentication
from provider.doors import gathering
from provider.doors.gathering import Gathering
from provider.doors.line import LaneFull
from provider.oauth_server import OAuthServer
from provider.protocol.messages import ProtocolResponse
from provider.security import places
from provider.tokens import issuer, token_records
from provider.tokens.compact import CompactSigner
from tests.doors.test_database_faults import is_unavailable
from tests.endpoints import asgi
from tests.endpoints.provider import API, KnownClient, Provider, ProviderFactory, claims_of
from tests.endpoints.test_private_key_jwt import KEY, assertion, signing_client
from tests.endpoints.wsgi import Answer
from tests.signing import with_assertion
from tests.statements import sent_to
from tests.waiting import HANG_SECONDS, eventually

GRANT = {"grant_type": "client_credentials"}
Ask = Callable[[], Answer]


class Together:
    """Has calls wait until all of them do, so that they become one batch. ``sizes`` are those of batches."""

    def __init__(self, made: Gathering, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(gathering, "MOST_SECONDS", HANG_SECONDS)
        self._gathering = made
        monkeypatch.setattr(made, "_threads", 1)
        self.sizes: list[int] = []
        self.before_commit: Callable[[], object] = lambda: None
        commit = Batch.commit

        def note(batch: Batch, units: Sequence[Unit]) -> list[Outcome]:
            self.sizes.append(len(units))
            self.before_commit()
            return commit(batch, units)

        monkeypatch.setattr(Batch, "commit", note)

    @contextlib.contextmanager
    def _held(self) -> Iterator[None]:
        """Who is at work is held up, and takes along whoever has come by then."""
        begun, may_go = threading.Event(), threading.Event()

        def hold(_unit: Unit) -> ProtocolResponse:
            begun.set()
            assert may_go.wait(HANG_SECONDS)
            return ProtocolResponse(204)

        held = asyncio.run_coroutine_threadsafe(self._gathering.run("holder", hold), asgi.loop())
        assert begun.wait(HANG_SECONDS)
        try:
            yield
        finally:
            may_go.set()
            assert held.result(HANG_SECONDS) is not None

    def __call__(self, calls: Sequence[Ask]) -> list[Answer]:
        with ThreadPoolExecutor(len(calls)) as pool:
            with self._held():
                asked: list[Future[Answer]] = []
                for count, call in enumerate(calls, 1):
                    asked.append(pool.submit(call))
                    eventually(lambda count=count: self._gathering.waiting == count)  # type: ignore[misc]
            return [one.result(HANG_SECONDS) for one in asked]


@pytest.fixture(params=["sqlite", "mariadb", "mysql"])
def provider(request: pytest.FixtureRequest, make_provider: ProviderFactory) -> Provider:
    return make_provider(request.getfixturevalue(f"{request.param}_engine"), door="asynchronous")


@pytest.fixture
def together(provider: Provider, monkeypatch: pytest.MonkeyPatch) -> Together:
    return Together(asynchronous_door_of(provider.app)._gathering, monkeypatch)


def of_machine(provider: Provider, **options: Any) -> Ask:
    client = provider.machine(**options)
    return lambda: provider.token(client, GRANT)


def test_many_tokens_are_one_commit(provider: Provider, together: Together) -> None:
    calls = [of_machine(provider) for _ in range(5)]
    client = provider.client("none")
    calls += [redemption(provider, client), refresh(provider, client)]
    with sent_to(provider.engine) as sent:
        answers = together(calls)
    assert [answer.status for answer in answers] == [200] * 7
    assert (together.sizes[-1], sent.count("COMMIT")) == (7, 1)
    assert len({row["jti"] for row in provider.rows(IssuedToken)}) == 8, "one for the token that was refreshed"
    assert all(provider.is_alive(answer.json["access_token"]) for answer in answers)


def test_what_tokens_of_a_batch_need_is_done_step_by_step(
    provider: Provider, together: Together, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is done many times in a row is done out of the processor's caches."""
    calls = [of_machine(provider) for _ in range(4)]
    done: list[str] = []
    monkeypatch.setattr(ClientAuthentication, "authenticate", noted(done, ClientAuthentication.authenticate))
    monkeypatch.setattr(issuer, "record_token", noted(done, token_records.record_token))
    monkeypatch.setattr(CompactSigner, "token", noted(done, CompactSigner.token))
    monkeypatch.setattr(OAuthServer, "handle_response", noted(done, OAuthServer.handle_response))
    assert [answer.status for answer in together(calls)] == [200] * 4
    steps = ("authenticate", "record_token", "token", "handle_response")
    assert done == [step for step in steps for _ in calls]


def noted(done: list[str], does: Callable[..., Any]) -> Callable[..., Any]:
    def note(*given: Any, **named: Any) -> Any:
        result = does(*given, **named)
        done.append(does.__name__)
        return result

    return note


def test_what_the_loop_reads_at_once_is_one_batch(sqlite_engine: Engine) -> None:
    """Also its first: a batch begins when all of them are in line."""
    made = Gathering(sqlite_engine)
    batches: list[JointWorks] = []

    def work(unit: Unit) -> ProtocolResponse:
        batches.append(unit._works)
        return ProtocolResponse(204)

    async def ask() -> None:
        await asyncio.gather(*(made.run("source", work) for _ in range(5)))

    asyncio.run(ask())
    assert len(batches) == 5
    assert len({id(batch) for batch in batches}) == 1


def test_more_than_a_batch_may_have_are_several(provider: Provider, together: Together, monkeypatch: Any) -> None:
    monkeypatch.setattr(gathering, "MOST_UNITS", 2)
    assert {answer.status for answer in together([of_machine(provider)] * 5)} == {200}
    assert together.sizes == [2, 2, 1]


def test_no_batch_goes_on_gathering_for_longer_than_it_may(
    provider: Provider, together: Together, monkeypatch: Any
) -> None:
    monkeypatch.setattr(gathering, "MOST_SECONDS", 0)
    assert {answer.status for answer in together([of_machine(provider)] * 3)} == {200}
    assert together.sizes == [1, 1, 1]


def test_nobody_is_answered_before_the_commit(provider: Provider, together: Together) -> None:
    seen: list[tuple[int, int]] = []
    answered: list[Answer] = []
    together.before_commit = lambda: seen.append((len(provider.rows(IssuedToken)), len(answered)))
    call = of_machine(provider)

    def ask() -> Answer:
        answered.append(call())
        return answered[-1]

    together([ask] * 3)
    assert (seen, len(answered)) == ([(0, 0)], 3)


def person(provider: Provider) -> Any:
    return provider.user(f"person{len(provider.rows(User))}")


def redemption(provider: Provider, client: KnownClient) -> Ask:
    code = provider.code(provider.grant(person(provider), client))
    return lambda: provider.redeem(client, code)


def refresh(provider: Provider, client: KnownClient) -> Ask:
    token = provider.tokens(person(provider), client)["refresh_token"]
    return lambda: provider.refresh(client, token)


def test_what_many_look_up_is_asked_once(provider: Provider, together: Together) -> None:
    """And each gets its own: of another client, another person, another token."""
    clients = [provider.client("client_secret_basic") for _ in range(5)]
    tokens = [provider.tokens(person(provider), client) for client in clients]
    machines = [provider.machine() for _ in range(4)]
    ours = [provider.token(machine, GRANT).json["access_token"] for machine in machines]
    calls = [partial(provider.refresh, client, of["refresh_token"]) for client, of in zip(clients, tokens, strict=True)]
    calls += [partial(provider.introspect, machine, token) for machine, token in zip(machines, ours, strict=True)]
    calls += [partial(provider.introspect, machines[0], token) for token in ("nonsense", ours[1])]
    with sent_to(provider.engine) as sent:
        answers = together(calls)
    assert [answer.status for answer in answers] == [200] * 11
    assert [answer.json.get("client_id") for answer in answers[5:9]] == [machine.client_id for machine in machines]
    assert [answer.json["active"] for answer in answers[5:]] == [True] * 4 + [False] * 2
    said = [claims_of(answer.json["id_token"])["sub"] for answer in answers[:5]]
    assert said == [claims_of(of["id_token"])["sub"] for of in tokens]
    assert len(set(said)) == 5
    for table in ("oauth_clients", "issued_tokens", "refresh_tokens", "users"):
        assert len([one for one in sent if one.startswith("SELECT") and f"FROM {table}" in one]) <= 1, table


def test_one_code_several_times_in_a_batch_counts_once_and_ends_its_family(
    provider: Provider, together: Together
) -> None:
    client = provider.client("none")
    answers = together([redemption(provider, client)] * 4 + [redemption(provider, provider.client("none"))])
    assert sorted(answer.status for answer in answers[:4]) == [200, 400, 400, 400]
    assert answers[4].status == 200
    assert len(provider.events("code.reused")) >= 1
    given = next(answer.json for answer in answers[:4] if answer.status == 200)
    assert not provider.is_alive(given["access_token"]), "one of them may be a thief's"
    assert provider.is_alive(answers[4].json["access_token"])


def test_one_refresh_token_several_times_in_a_batch_has_one_successor(provider: Provider, together: Together) -> None:
    answers = together([refresh(provider, provider.client("none"))] * 4)
    assert [answer.status for answer in answers] == [200] * 4
    assert len({answer.json["refresh_token"] for answer in answers}) == 1
    assert sum(row["used_at"] is None for row in provider.rows(RefreshToken)) == 1
    assert [row["revoked_at"] for row in provider.rows(GrantRecord)] == [None]


def test_one_assertion_several_times_in_a_batch_is_proof_once(provider: Provider, together: Together) -> None:
    client, other = signing_client(provider), signing_client(provider)
    fields = {**GRANT, **with_assertion(assertion(provider, client))}
    others = {**GRANT, **with_assertion(assertion(provider, other, KEY))}
    answers = together([lambda: provider.token(None, fields)] * 4 + [lambda: provider.token(None, others)])
    assert sorted(answer.status for answer in answers[:4]) == [200, 401, 401, 401]
    assert answers[4].status == 200
    assert len(provider.rows(IssuedToken)) == 2


# What ends in the very moment: after all of the batch have been looked at, before it is committed


class Moment:
    """A machine, an API key and an application of one owner, and how what they rest on ends."""

    def __init__(self, provider: Provider) -> None:
        self.provider = provider
        provider.resource(scope=("notes:read", "notes:admin"), admin_scope=("notes:admin",))
        self.owner = provider.user("owner", is_admin=True)
        provider.user("other", is_admin=True)  # somebody has to be an administrator
        self.machine = provider.machine()
        self.key = provider.api_key(self.owner, ("notes:admin",), resource=API)
        self.app = provider.client("none")
        self.grant_id = provider.grant(self.owner, self.app)
        token = provider.refresh_token(self.grant_id)
        code = provider.code(provider.grant(self.owner, self.app))
        self.calls: dict[str, Ask] = {
            "machine": lambda: provider.token(self.machine, GRANT),
            "key": lambda: provider.token(self.key, GRANT),
            "refresh": lambda: provider.refresh(self.app, token),
            "code": lambda: provider.redeem(self.app, code),
            "other": of_machine(provider),
        }

    def end(self, what: str) -> None:
        services, origin, owner = self.provider.services, self.provider.origin, self.owner.id
        no_administrator = update(User).where(User.__table__.c.id == owner).values(is_admin=False)
        ends: dict[str, Callable[[Transaction], object]] = {
            "the machine": lambda tx: services.clients.set_active(tx, origin, self.machine.client_id, False),
            "the application": lambda tx: services.clients.set_active(tx, origin, self.app.client_id, False),
            "the key": lambda tx: services.api_keys.revoke(tx, origin, owner, self.key.client.id),
            "the secret": lambda tx: services.clients.rotate_secret(tx, origin, self.machine.client_id),
            "the grant": lambda tx: services.grants.revoke(tx, origin, self.grant_id, "test"),
            "the owner": lambda tx: services.user_ends.set_active(tx, origin, owner, False),
            "the owner's right": lambda tx: tx.execute(no_administrator),
            "nothing": lambda tx: None,
        }
        with self.provider.begin() as tx:
            assert ends[what](tx) is not False


ENDS = {
    "nothing": (),
    "the machine": ("machine",),
    "the secret": ("machine",),
    "the application": ("refresh", "code"),
    "the key": ("key",),
    "the grant": ("refresh",),
    "the owner": ("key", "refresh", "code"),
    "the owner's right": ("key",),
}


@pytest.mark.parametrize("what, harmed", ENDS.items(), ids=list(ENDS))
def test_what_ends_in_the_moment_of_the_commit_gives_no_token_and_harms_no_other(
    provider: Provider, together: Together, what: str, harmed: tuple[str, ...]
) -> None:
    moment = Moment(provider)
    ended: list[str] = []

    def end_once() -> None:
        if not ended:
            ended.append(what)
            moment.end(what)

    together.before_commit = end_once
    answers = dict(zip(moment.calls, together(list(moment.calls.values())), strict=True))
    assert together.sizes[0] == len(moment.calls)
    for name, answer in answers.items():
        has_all = answer.status == 200 and (name != "key" or answer.json.get("scope") == "notes:admin")
        assert has_all == (name not in harmed), (name, answer.body)
        assert answer.status in (200, 400, 401)
        assert answer.status != 200 or provider.is_alive(answer.json["access_token"]), name
    assert len(provider.rows(IssuedToken)) == sum(answer.status == 200 for answer in answers.values())


@pytest.mark.parametrize("what", ["the machine", "the application", "the grant", "the owner"])
def test_what_ends_at_the_same_moment_as_tokens_are_made_leaves_no_token(provider: Provider, what: str) -> None:
    moment = Moment(provider)
    calls = [(name, call) for name, call in moment.calls.items() if name != "code"] * 2
    begin = threading.Barrier(len(calls) + 1)

    def at_once(call: Callable[[], Any]) -> Any:
        begin.wait(HANG_SECONDS)
        return call()

    with ThreadPoolExecutor(len(calls) + 1) as pool:
        ending = pool.submit(at_once, lambda: moment.end(what))
        answers = list(pool.map(at_once, [call for _, call in calls]))
        ending.result(HANG_SECONDS)
    for (name, _), answer in zip(calls, answers, strict=True):
        lives = answer.status == 200 and provider.is_alive(answer.json["access_token"])
        assert lives == (name not in ENDS[what]), (name, answer.body)


def test_a_locked_row_keeps_nobody_waiting_but_who_needs_it(
    server_engine: Engine, make_provider: ProviderFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    provider = make_provider(server_engine, door="asynchronous")
    together = Together(asynchronous_door_of(provider.app)._gathering, monkeypatch)
    calls, needing = [of_machine(provider) for _ in range(3)], refresh(provider, provider.client("none"))
    with server_engine.connect() as holder:
        holder.execute(text("SELECT * FROM refresh_tokens FOR UPDATE")).all()
        all_answered = threading.Barrier(len(calls), action=holder.rollback)

        def ask(call: Ask) -> Answer:
            answer = call()
            all_answered.wait(HANG_SECONDS)
            return answer

        answers = together([*(functools.partial(ask, call) for call in calls), needing])
    assert together.sizes[-1] == len(answers)
    assert [answer.status for answer in answers] == [200] * len(answers)


# What cannot be done together


def test_a_wrong_secret_is_refused_on_record_and_harms_nobody(provider: Provider, together: Together) -> None:
    client = provider.machine()
    wrong = KnownClient(client.client, provider.machine().secret)
    answers = together([of_machine(provider), lambda: provider.token(wrong, GRANT), of_machine(provider)])
    assert [answer.status for answer in answers] == [200, 401, 200]
    assert len(provider.events("client.authentication_failed")) == 1
    assert together.sizes == [2]


LOST = OperationalError("INSERT", None, sqlite3.OperationalError("database is locked"))


@pytest.mark.parametrize("fault, may_pass", [(CommitUnknown(), False), (DatabaseUnavailable(), False), (LOST, True)])
def test_after_a_fault_of_the_database_a_batch_is_repeated_by_the_rule_for_one_call(
    provider: Provider,
    together: Together,
    monkeypatch: pytest.MonkeyPatch,
    fault: SQLAlchemyError,
    may_pass: bool,
) -> None:
    monkeypatch.setattr(Batch, "_outcome", lambda _batch, _units: fault)
    answers = together([of_machine(provider)] * 3)
    assert together.sizes == [3]
    if may_pass:
        assert [answer.status for answer in answers] == [200] * 3
    else:
        assert all(map(is_unavailable, answers))
        assert {answer.header("access-control-allow-origin") for answer in answers} == {"*"}
        assert provider.rows(IssuedToken) == []


def test_what_nobody_has_foreseen_in_a_batch_happens_to_nobody(
    provider: Provider, together: Together, caplog: pytest.LogCaptureFixture
) -> None:
    def fail() -> None:
        raise ZeroDivisionError

    together.before_commit = fail
    assert [answer.status for answer in together([of_machine(provider)] * 3)] == [200] * 3
    assert len(provider.rows(IssuedToken)) == 3
    assert "a batch failed" in caplog.text


# The gathering by itself


def asked(made: Gathering, source: str, work: Callable[[Unit], ProtocolResponse]) -> Future[ProtocolResponse | None]:
    return asyncio.run_coroutine_threadsafe(made.run(source, work), asgi.loop())


def test_whatever_a_call_raises_or_fails_with_is_left_to_a_lane(sqlite_engine: Engine) -> None:
    made = Gathering(sqlite_engine, threads=1)
    waited: list[str] = []

    def waits_elsewhere(_unit: Unit) -> ProtocolResponse:
        with places.lent():
            waited.append("a whole batch")
        return ProtocolResponse(200)

    def fails(_unit: Unit) -> ProtocolResponse:
        raise ZeroDivisionError

    for work in (waits_elsewhere, fails, lambda _unit: ProtocolResponse(503)):
        assert asked(made, "a", work).result(HANG_SECONDS) is None
    answer = asked(made, "a", lambda _unit: ProtocolResponse(401)).result(HANG_SECONDS)
    assert answer is not None
    assert answer.status == 401
    assert waited == []


def test_each_works_for_its_own_source_also_when_others_had_a_turn(sqlite_engine: Engine) -> None:
    made = Gathering(sqlite_engine, threads=1)
    may_ask, seen = threading.Event(), []
    find = Lookup(select(RateCounter.__table__), by=RateCounter.__table__.c.bucket)

    def work(unit: Unit) -> ProtocolResponse:
        assert may_ask.wait(HANG_SECONDS)
        before = places.source_at_work()
        unit.first(find, {"bucket": before})
        seen.append((before, places.source_at_work()))
        return ProtocolResponse(204)

    calls = [asked(made, source, work) for source in ("a", "b", "c")]
    eventually(lambda: made.waiting == 2)
    may_ask.set()
    assert [call.result(HANG_SECONDS) is None for call in calls] == [False] * 3
    assert sorted(seen) == [("a", "a"), ("b", "b"), ("c", "c")]


def test_sources_take_turns_and_who_finds_no_place_is_refused(
    sqlite_engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gathering, "PATIENCE_SECONDS", HANG_SECONDS)
    made, order, begun, may_go = Gathering(sqlite_engine, threads=1, line=5), [], threading.Event(), threading.Event()

    def work(name: str) -> Callable[[Unit], ProtocolResponse]:
        def answer(_unit: Unit) -> ProtocolResponse:
            order.append(name)
            begun.set()
            assert may_go.wait(HANG_SECONDS)
            return ProtocolResponse(200)

        return answer

    calls = [asked(made, "greedy", work("first"))]
    assert begun.wait(HANG_SECONDS)
    for count, source in enumerate(("greedy", "greedy", "modest", "other"), 1):
        calls.append(asked(made, source, work(source)))
        eventually(lambda count=count: made.waiting == count)  # type: ignore[misc]
    for source, is_own_share in (("greedy", True), ("fresh", None), ("late", False)):
        call = asked(made, source, work(source))
        if is_own_share is None:
            calls.append(call)
            eventually(lambda: made.waiting == 5)
            continue
        with pytest.raises(LaneFull) as full:
            call.result(HANG_SECONDS)
        assert full.value.is_own_share is is_own_share
    may_go.set()
    assert {one.result(HANG_SECONDS).status for one in calls} == {200}  # type: ignore[union-attr]
    assert order == ["first", "greedy", "modest", "other", "fresh", "greedy"]


def test_nobody_waits_for_ever(sqlite_engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    made, begun, may_go = Gathering(sqlite_engine, threads=1), threading.Event(), threading.Event()

    def hold(_unit: Unit) -> ProtocolResponse:
        begun.set()
        assert may_go.wait(HANG_SECONDS)
        return ProtocolResponse(200)

    first = asked(made, "a", hold)
    assert begun.wait(HANG_SECONDS)
    monkeypatch.setattr(gathering, "PATIENCE_SECONDS", 0.05)
    with pytest.raises(LaneFull):
        asked(made, "b", hold).result(HANG_SECONDS)
    may_go.set()
    assert first.result(HANG_SECONDS) is not None
