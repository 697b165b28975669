"""The server sweeps by itself: one process at a time, a little at a time, whatever the database does."""

from __future__ import annotations

import datetime
import re
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import JSON, Boolean, Engine, Integer, Table, event, func, insert, select
from sqlalchemy.exc import OperationalError, ProgrammingError

from database.models import RateCounter, ReplayGuard, metadata
from database.models.columns import UTCDateTime
from database.transaction import Transaction
from provider import application
from provider.deliveries.courier import Courier
from provider.security.crypto import Keyring
from provider.services import Services
from provider.settings import load_settings
from provider.upkeep import sweeper as sweeping
from provider.upkeep.purges import purges
from provider.upkeep.sweeper import BATCH, INTERVAL_SECONDS, Sweeper
from tests.waiting import HANG_SECONDS, eventually

COUNTERS = RateCounter.__table__
GUARDS = ReplayGuard.__table__
BEGIN = datetime.datetime.fromtimestamp(1_780_000_000 // INTERVAL_SECONDS * INTERVAL_SECONDS, datetime.UTC)


class Clock:
    def __init__(self) -> None:
        self.now = BEGIN

    def __call__(self) -> datetime.datetime:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += datetime.timedelta(seconds=seconds)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def services(engine: Engine, keyring: Keyring) -> Services:
    return Services(load_settings({}), engine, keyring)


@pytest.fixture
def on_sqlite(sqlite_engine: Engine, keyring: Keyring) -> Services:
    return Services(load_settings({}), sqlite_engine, keyring)


@pytest.fixture
def started() -> Iterator[Callable[..., Sweeper]]:
    made = []

    def start(services: Services) -> Sweeper:
        sweeper = Sweeper(
            services, lambda: datetime.datetime.now(datetime.UTC), interval_seconds=0.1, budget_seconds=0.01
        )
        sweeper.start()
        made.append(sweeper)
        return sweeper

    yield start
    for sweeper in made:
        sweeper.stop()


def leave(engine: Engine, count: int, *, name: str = "over", expires_at: datetime.datetime = BEGIN) -> None:
    rows = [{"bucket": f"{name} {number}", "count": 1, "expires_at": expires_at} for number in range(count)]
    with Transaction(engine) as tx:
        tx.execute(insert(RateCounter), rows)


def left(engine: Engine) -> int:
    with engine.connect() as connection:
        return int(connection.execute(select(func.count()).select_from(COUNTERS)).scalar_one())


def test_what_is_over_goes_in_small_transactions_and_the_rest_stays(services: Services, clock: Clock) -> None:
    leave(services.engine, 2 * BATCH + 7)
    leave(services.engine, 3, name="live", expires_at=BEGIN + datetime.timedelta(days=1))
    sizes: list[int] = []

    def note(_connection: Any, cursor: Any, statement: str, *_rest: Any) -> None:
        if statement.startswith("DELETE FROM rate_counters"):
            sizes.append(cursor.rowcount)

    event.listen(services.engine, "after_cursor_execute", note)
    assert Sweeper(services, clock).sweep() == 2 * BATCH + 7
    assert sizes == [BATCH, BATCH, 7]
    assert left(services.engine) == 3


def test_in_one_interval_one_of_all_processes_sweeps(services: Services, clock: Clock) -> None:
    processes = [Sweeper(services, clock) for _ in range(3)]
    for interval in range(3):
        leave(services.engine, 5)
        swept = [process.sweep() for process in processes]
        assert (swept[0] or 0) >= 5, interval
        assert swept[1:] == [None, None], interval
        processes.append(processes.pop(0))
        clock.advance(INTERVAL_SECONDS)


def test_of_processes_on_several_machines_at_once_one_sweeps(
    mariadb_engine: Engine, keyring: Keyring, clock: Clock
) -> None:
    services = Services(load_settings({}), mariadb_engine, keyring)
    leave(mariadb_engine, 5)
    together = threading.Barrier(6)
    swept: list[int | None] = []

    def sweep() -> None:
        sweeper = Sweeper(services, clock)
        together.wait()
        swept.append(sweeper.sweep())

    threads = [threading.Thread(target=sweep) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(HANG_SECONDS)
    assert sorted(swept, key=str) == [5, *[None] * 5]


@pytest.mark.parametrize("late", [261, 280, 299])
def test_no_sweep_begins_so_late_that_it_meets_the_next(on_sqlite: Services, clock: Clock, late: float) -> None:
    leave(on_sqlite.engine, 5)
    clock.advance(late)
    assert Sweeper(on_sqlite, clock).sweep() is None
    clock.advance(INTERVAL_SECONDS - late)
    assert Sweeper(on_sqlite, clock).sweep() == 5


def test_a_sweep_ends_with_its_budget_and_the_next_goes_on(on_sqlite: Services, clock: Clock) -> None:
    leave(on_sqlite.engine, 5)
    assert Sweeper(on_sqlite, clock, budget_seconds=0).sweep() == 0
    assert left(on_sqlite.engine) == 5
    clock.advance(INTERVAL_SECONDS)
    assert Sweeper(on_sqlite, clock).sweep() == 5
    assert left(on_sqlite.engine) == 0


def test_a_table_with_very_much_in_it_keeps_no_other_waiting(
    on_sqlite: Services, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    turns: list[str] = []

    def endless(name: str, count: int) -> Callable[..., int]:
        def purge(*_asked: object) -> int:
            turns.append(name)
            return count

        return purge

    def known(_services: Services) -> Any:
        return {"endless": endless("endless", BATCH), "small": endless("small", 1)}

    monkeypatch.setattr(sweeping, "purges", known)
    monkeypatch.setattr(sweeping, "PAUSE_SECONDS", 0)
    Sweeper(on_sqlite, clock, budget_seconds=0.2).sweep()
    assert turns[:3] == ["endless", "small", "endless"]


@pytest.mark.parametrize(
    "fault, goes_on",
    [
        (OperationalError("DELETE", {}, Exception(1213, "Deadlock found")), True),
        (OperationalError("DELETE", {}, Exception(1205, "Lock wait timeout")), True),
        (ProgrammingError("DELETE", {}, Exception(1064, "wrong")), True),
        (ValueError("a mistake of ours"), True),
        (OperationalError("DELETE", {}, Exception(1045, "Access denied")), False),
    ],
    ids=["deadlock", "lock wait", "wrong statement", "mistake", "no database"],
)
def test_what_cannot_be_swept_keeps_back_no_other(
    on_sqlite: Services, clock: Clock, monkeypatch: pytest.MonkeyPatch, fault: Exception, goes_on: bool
) -> None:
    def fail(*_: Any) -> int:
        raise fault

    monkeypatch.setattr(sweeping, "purges", lambda _services: {"broken": fail, "whole": lambda *_: 3})
    if goes_on:
        assert Sweeper(on_sqlite, clock).sweep() == 3
    else:
        with pytest.raises(OperationalError):
            Sweeper(on_sqlite, clock).sweep()


def test_the_thread_sweeps_again_and_again_and_ends_when_it_is_told(
    on_sqlite: Services, started: Callable[..., Sweeper]
) -> None:
    engine = on_sqlite.engine
    sweeper = started(on_sqlite)
    for _ in range(2):
        leave(engine, 5)
        eventually(lambda: left(engine) == 0)
    sweeper.stop()
    leave(engine, 5)
    time.sleep(0.3)
    assert left(engine) == 5
    assert not any(thread.name == "sweeper" and thread.is_alive() for thread in threading.enumerate())


def test_a_database_that_is_away_is_survived_and_said_once(
    on_sqlite: Services, started: Callable[..., Sweeper], caplog: pytest.LogCaptureFixture
) -> None:
    engine = on_sqlite.engine
    away = [True]

    def refuse(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        if away[0] and "replay_guard" in statement:
            raise OperationalError(statement, {}, Exception(2003, "no server"))

    leave(engine, 5)
    event.listen(engine, "before_cursor_execute", refuse)
    started(on_sqlite)
    eventually(lambda: "cannot sweep" in caplog.text)
    time.sleep(0.5)
    assert caplog.text.count("cannot sweep") == 1
    assert left(engine) == 5
    away[0] = False
    eventually(lambda: left(engine) == 0)


@pytest.mark.parametrize("delivers", [True, False])
def test_a_server_sweeps_and_no_other_program_does(
    sqlite_engine: Engine, keyring: Keyring, monkeypatch: pytest.MonkeyPatch, delivers: bool
) -> None:
    begun: list[object] = []
    for thread in (Sweeper, Courier):
        monkeypatch.setattr(thread, "start", lambda self: begun.append(type(self)))
    settings = load_settings({"MCP_SIGNING_ALGORITHMS": "RS256"})
    application.create_app(settings, sqlite_engine, keyring, delivers=delivers)
    assert begun == ([Courier, Sweeper] if delivers else [])


def statements_of(services: Services, purge: Callable[..., int], now: datetime.datetime) -> list[tuple[str, Any]]:
    """What a purge asks the database, with its values."""
    asked: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_rest: Any) -> None:
        asked.append((statement, parameters))

    event.listen(services.engine, "before_cursor_execute", note)
    try:
        with Transaction(services.engine) as tx:
            purge(tx, now, BATCH)
    finally:
        event.remove(services.engine, "before_cursor_execute", note)
    return asked


# Few rows: one for each signing key, one for each start without a user, and names from before there was a look of them,
# which are gone after the first sweeps. Keys that end within two weeks are put into the order of their ends.
SMALL = {"signing_keys", "setup_links", "username_skeletons", "api_key_letters"}


def test_what_is_over_is_found_by_an_index(on_sqlite: Services, now: datetime.datetime) -> None:
    for name, purge in purges(on_sqlite).items():
        for statement, parameters in statements_of(on_sqlite, purge, now):
            with on_sqlite.engine.connect() as connection:
                plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters).all()
            steps = [row[3] for row in plan]
            assert all(re.match(r"SEARCH|CORRELATED|SCAN .* USING (COVERING )?INDEX", step) for step in steps) or (
                name in SMALL
            ), (name, steps)


def test_on_a_server_an_index_can_be_used_as_well(
    mariadb_engine: Engine, keyring: Keyring, now: datetime.datetime
) -> None:
    services = Services(load_settings({}), mariadb_engine, keyring)
    for name, purge in purges(services).items():
        for statement, parameters in statements_of(services, purge, now):
            with mariadb_engine.connect() as connection:
                plan = connection.exec_driver_sql(f"EXPLAIN {statement}", parameters).mappings().all()
            assert all(row["possible_keys"] or row["table"] is None for row in plan) or name in SMALL, (name, plan)


def test_the_claim_of_an_interval_goes_with_the_next_sweeps(on_sqlite: Services, clock: Clock) -> None:
    for _ in range(5):
        Sweeper(on_sqlite, clock).sweep()
        clock.advance(INTERVAL_SECONDS)
    with on_sqlite.engine.connect() as connection:
        assert int(connection.execute(select(func.count()).select_from(GUARDS)).scalar_one()) <= 2


# Where a row whose time is over stays, and why.
STAYS = {
    "oauth_clients": "an API key that has ended is shown to its owner, and says whose a token was",
    "registration_tokens": "few, made by operators, who are shown what has ended",
}


def test_no_table_keeps_what_is_over(sqlite_engine: Engine, keyring: Keyring) -> None:
    """Whatever has a time at which it ends goes by itself. A new table that has one gets its purge, or a reason."""
    known = purges(Services(load_settings({}), sqlite_engine, keyring))
    long_ago = BEGIN - datetime.timedelta(days=900)
    later = {"password_reset_tokens", "email_verification_tokens"} - set(known)  # nothing makes these yet
    ending = {name for name, table in metadata.tables.items() if "expires_at" in table.columns} - later - set(STAYS)
    parents = ("users", "oauth_clients", "oauth_grants")
    with sqlite_engine.begin() as connection:
        for name in (*parents, *sorted(ending - set(parents))):
            connection.execute(insert(metadata.tables[name]), a_row(metadata.tables[name], long_ago))
    with Transaction(sqlite_engine) as tx:
        for purge in known.values():
            while purge(tx, BEGIN, BATCH) >= BATCH:
                pass
    with sqlite_engine.connect() as connection:
        counts = {
            name: connection.execute(select(func.count()).select_from(metadata.tables[name])).scalar()
            for name in ending
        }
    assert {name for name, count in counts.items() if count} == set()
    assert len(ending) >= 12


def a_row(table: Table, moment: datetime.datetime) -> dict[str, Any]:
    """Some value for each column that must have one, and every time in the past."""
    values: dict[str, Any] = {"kind": "api_key"} if table.name == "oauth_clients" else {}
    for column in table.columns:
        if column.name in values:
            continue
        if column.foreign_keys:
            values[column.name] = "x"
        elif column.name == "expires_at" or (not column.nullable and isinstance(column.type, UTCDateTime)):
            values[column.name] = moment
        elif not column.nullable:
            kinds: tuple[tuple[type, Any], ...] = ((Boolean, True), (Integer, 1), (JSON, {}))
            values[column.name] = next((value for kind, value in kinds if isinstance(column.type, kind)), "x")
    return values
