"""Units: many requests' writes in one transaction, each kept whole or not at all, and none for another's sake."""

from __future__ import annotations

import datetime
import itertools
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import Engine, bindparam, insert, literal, select, text, update
from sqlalchemy.exc import DBAPIError, OperationalError

from database.faults import CommitUnknown
from database.models import metadata
from database.models.columns import UTCDateTime
from database.prepared import Prepared
from database.transaction import Transaction
from database.units import Batch, DoesNotFit, Unit
from tests.statements import sent_to

_COUNTERS, _GUARDS = metadata.tables["rate_counters"], metadata.tables["replay_guard"]
MOMENT = datetime.datetime(2026, 7, 1, 12, 0, tzinfo=datetime.UTC)


def _adding(table: Any) -> Prepared:
    return Prepared(
        insert(table).values({column.name: bindparam(column.name, type_=column.type) for column in table.c})
    )


ADD, GUARD = _adding(_COUNTERS), _adding(_GUARDS)
CLAIM = Prepared(
    update(_COUNTERS).where(_COUNTERS.c.bucket == bindparam("wanted"), _COUNTERS.c.count == 0).values(count=1)
)
COPY = Prepared(
    insert(_COUNTERS).from_select(
        ["bucket", "count", "expires_at"],
        select(bindparam("bucket"), literal(7), bindparam("expires_at", type_=UTCDateTime)).where(
            _COUNTERS.c.bucket == bindparam("wanted"), _COUNTERS.c.count == bindparam("count")
        ),
    )
)
FIND = Prepared(select(_COUNTERS.c.count).where(_COUNTERS.c.bucket == bindparam("wanted")))
ALL = Prepared(select(_COUNTERS.c.bucket).order_by(_COUNTERS.c.bucket))


def counter(bucket: str, count: int = 0) -> dict[str, Any]:
    return {"bucket": bucket, "count": count, "expires_at": MOMENT}


def guard(value: str) -> dict[str, Any]:
    return {"value_hash": value.ljust(64, "0"), "expires_at": MOMENT}


@pytest.fixture
def batch(engine: Engine) -> Iterator[Batch]:
    with Transaction(engine) as tx:
        tx.count(ADD, counter("free"))
        tx.count(ADD, counter("used", 1))
        tx.count(GUARD, guard("seen"))
    made = Batch(engine)
    yield made
    made.end()


def buckets(engine: Engine) -> dict[str, int]:
    with engine.connect() as connection:
        return {bucket: count for bucket, count, _ in connection.execute(select(_COUNTERS))}


def unit_of(batch: Batch, *writes: tuple[Prepared, dict[str, Any]]) -> Unit:
    unit = batch.unit()
    for statement, values in writes:
        assert unit.count(statement, values) == 1
    return unit


def test_many_units_are_one_transaction_and_one_run_of_each_statement(batch: Batch, engine: Engine) -> None:
    units = [unit_of(batch, (ADD, counter(f"new {n}")), (GUARD, guard(f"new {n}"))) for n in range(5)]
    units.append(unit_of(batch, (CLAIM, {"wanted": "free"})))
    with sent_to(engine) as sent:
        assert batch.commit(units) == [True] * 6
    assert [statement for statement in sent if statement.startswith("COMMIT")] == ["COMMIT"]
    assert len([statement for statement in sent if statement.startswith("BEGIN")]) <= 1
    assert buckets(engine) == {"free": 1, "used": 1, **{f"new {n}": 0 for n in range(5)}}


def test_nothing_is_written_before_the_commit(batch: Batch, engine: Engine) -> None:
    unit_of(batch, (ADD, counter("new")))
    batch.end()
    assert "new" not in buckets(engine)


BAD: dict[str, tuple[tuple[Prepared, dict[str, Any]], ...]] = {
    "used up before": ((CLAIM, {"wanted": "used"}),),
    "never there": ((CLAIM, {"wanted": "unknown"}),),
    "there already": ((ADD, counter("used")),),
    "its last write only": ((ADD, counter("half")), (CLAIM, {"wanted": "used"})),
    "its first write only": ((CLAIM, {"wanted": "used"}), (ADD, counter("half"))),
    "another table": ((ADD, counter("half")), (GUARD, guard("seen"))),
}


@pytest.mark.parametrize("writes", BAD.values(), ids=BAD)
@pytest.mark.parametrize("at", [0, 1, 3])
def test_one_that_does_not_come_true_takes_nobody_along(
    batch: Batch, engine: Engine, writes: tuple[tuple[Prepared, dict[str, Any]], ...], at: int
) -> None:
    good = [unit_of(batch, (ADD, counter(f"good {n}"))) for n in range(3)]
    bad = unit_of(batch, *writes)
    units = [*good[:at], bad, *good[at:]]
    assert batch.commit(units) == [unit is not bad for unit in units]
    assert buckets(engine) == {"free": 0, "used": 1, **{f"good {n}": 0 for n in range(3)}}


@pytest.mark.parametrize("number", [2, 8, 15])
def test_one_that_does_not_come_true_is_looked_for_once(batch: Batch, engine: Engine, number: int) -> None:
    """However many are in the batch: three transactions, of which one is committed."""
    units = [unit_of(batch, (ADD, counter(f"good {n}"))) for n in range(number)]
    with sent_to(engine) as sent:
        assert batch.commit([*units, unit_of(batch, (CLAIM, {"wanted": "used"}))]) == [True] * number + [False]
    assert sent.count("COMMIT") == 1
    assert len([statement for statement in sent if statement.startswith("UPDATE")]) == 2


def test_several_that_do_not_come_true_take_nobody_along(batch: Batch, engine: Engine) -> None:
    good = [unit_of(batch, (ADD, counter(f"good {n}"))) for n in range(5)]
    bad = [unit_of(batch, *writes) for writes in BAD.values()]
    units = [unit for pair in itertools.zip_longest(bad, good) for unit in pair if unit is not None]
    assert batch.commit(units) == [unit in good for unit in units]
    assert buckets(engine) == {"free": 0, "used": 1, **{f"good {n}": 0 for n in range(5)}}


def test_a_note_that_cannot_be_taken_takes_nobody_along(batch: Batch, engine: Engine) -> None:
    good, bad = unit_of(batch, (ADD, counter("good"))), unit_of(batch, (ADD, counter("bad")))
    bad.note(ADD, counter("used"))
    assert batch.commit([bad, good]) == [False, True]
    assert buckets(engine) == {"free": 0, "used": 1, "good": 0}


def test_where_the_database_fails_while_it_is_looked_for_all_run_alone(
    batch: Batch, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    units = [unit_of(batch, (ADD, counter("new"))), unit_of(batch, (CLAIM, {"wanted": "used"}))]

    def fail(*_given: object) -> int:
        raise OperationalError("SELECT 1", {}, Exception("gone"))

    monkeypatch.setattr(Transaction, "count", fail)
    with sent_to(engine) as sent:
        assert batch.commit(units) == [False, False]
    assert len([statement for statement in sent if statement.startswith("INSERT")]) == 1, (
        "nothing more is tried together"
    )
    assert buckets(engine) == {"free": 0, "used": 1}


def test_what_works_once_works_once_in_a_batch(batch: Batch, engine: Engine) -> None:
    twins = [
        unit_of(batch, (CLAIM, {"wanted": "free"}), (ADD, counter(f"by {n}")), (GUARD, guard("first")))
        for n in range(4)
    ]
    assert batch.commit(twins) == [True, False, False, False]
    assert buckets(engine) == {"free": 1, "used": 1, "by 0": 0}


def copied(bucket: str, wanted: str = "free", count: int = 0) -> tuple[Prepared, dict[str, Any]]:
    return COPY, {**counter(bucket, count), "wanted": wanted}


@pytest.mark.parametrize("bad", [copied("x", "unknown"), copied("x", count=1), copied("used")], ids=["a", "b", "c"])
@pytest.mark.parametrize("number", [1, 2, 7])
def test_what_is_inserted_by_what_it_selects_is_one_run_for_all_and_fails_for_one(
    batch: Batch, engine: Engine, bad: tuple[Prepared, dict[str, Any]], number: int
) -> None:
    names = [f"100 % of '{n}' %(bucket)s" for n in range(number)]
    with sent_to(engine) as sent:
        assert batch.commit([unit_of(batch, copied(name)) for name in names]) == [True] * number
    runs = len([statement for statement in sent if statement.startswith("INSERT")])
    assert runs == (number if engine.dialect.name == "sqlite" else 1)
    assert buckets(engine) == {"free": 0, "used": 1, **dict.fromkeys(names, 7)}
    units = [unit_of(batch, copied(f"more {name}")) for name in names]
    assert batch.commit([*units, unit_of(batch, bad)]) == [True] * number + [False]
    assert len(buckets(engine)) == 2 + 2 * number


def test_a_lone_unit_that_does_not_come_true_is_not_tried_again(batch: Batch, engine: Engine) -> None:
    bad = unit_of(batch, (CLAIM, {"wanted": "used"}))
    with sent_to(engine) as sent:
        assert batch.commit([bad]) == [False]
    assert len([statement for statement in sent if statement.startswith("UPDATE")]) == 1


def test_a_note_is_kept_with_the_unit_and_may_find_nothing_to_write(batch: Batch, engine: Engine) -> None:
    unit = unit_of(batch, (ADD, counter("new")))
    unit.note(CLAIM, {"wanted": "used"})
    unit.note(CLAIM, {"wanted": "free"})
    bad = unit_of(batch, (CLAIM, {"wanted": "unknown"}))
    bad.note(ADD, counter("noted"))
    assert batch.commit([unit, bad]) == [True, False]
    assert buckets(engine) == {"free": 1, "used": 1, "new": 0}


def test_a_unit_reads_what_is_committed(batch: Batch) -> None:
    unit = batch.unit()
    assert unit.first(FIND, {"wanted": "used"}) == (1,)
    assert unit.first(FIND, {"wanted": "unknown"}) is None
    assert unit.row(FIND, {"wanted": "used"}) == {"count": 1}
    assert unit.row(FIND, {"wanted": "unknown"}) is None
    assert unit.rows(ALL, {}) == [{"bucket": "free"}, {"bucket": "used"}]
    assert not unit.has_written


def note_and_list(unit: Unit) -> None:
    unit.note(ADD, counter("new"))
    unit.rows(ALL, {})


WANTED: dict[str, Callable[[Unit], object]] = {
    "another statement": lambda unit: unit.execute(select(_COUNTERS)),
    "many rows": lambda unit: unit.count_each(ADD, []),
    "a connection": lambda unit: unit.reading(),
    "a transaction beside it": lambda unit: unit.beside(1),
    "a commit": lambda unit: unit.commit(),
    "the row of a write": lambda unit: unit.first(CLAIM, {"wanted": "free"}),
    "to read where it has written": lambda unit: (unit.count(ADD, counter("new")), unit.first(FIND, {"wanted": "x"})),
    "to list where it has noted": note_and_list,
}


@pytest.mark.parametrize("want", WANTED.values(), ids=WANTED)
def test_what_a_unit_cannot_do_it_says(batch: Batch, engine: Engine, want: Callable[[Unit], object]) -> None:
    with pytest.raises(DoesNotFit):
        want(batch.unit())
    assert buckets(engine) == {"free": 0, "used": 1}


def test_it_reads_where_it_has_not_written_and_where_it_has_taken_that_back(batch: Batch) -> None:
    unit = unit_of(batch, (GUARD, guard("new")))
    assert unit.first(FIND, {"wanted": "used"}) == (1,)
    unit.count(ADD, counter("new"))
    unit.rollback()
    assert unit.first(FIND, {"wanted": "used"}) == (1,)
    assert not unit.has_written


def test_what_follows_a_commit_follows_that_of_its_own_unit_whatever_it_raises(batch: Batch) -> None:
    done: list[str] = []

    def fail() -> None:
        done.append("failing")
        raise RuntimeError

    good, bad, taken_back = (unit_of(batch, (CLAIM, {"wanted": name})) for name in ("free", "used", "free"))
    good.on_commit(fail)
    good.on_commit(lambda: done.append("good"))
    bad.on_commit(lambda: done.append("bad"))
    taken_back.on_commit(lambda: done.append("taken back"))
    taken_back.rollback()
    assert batch.commit([good, bad, taken_back]) == [True, False, True]
    assert done == ["failing", "good"]


@pytest.mark.parametrize("has_happened", [True, False])
def test_a_commit_whose_answer_is_lost_is_looked_up_by_what_any_unit_has_marked(
    batch: Batch, engine: Engine, monkeypatch: pytest.MonkeyPatch, has_happened: bool
) -> None:
    units = [unit_of(batch, (ADD, counter(f"new {n}"))) for n in range(3)]
    units[1].mark((_COUNTERS.c.bucket, "new 1"))
    _lose_commits(engine, monkeypatch, times=1, happens=has_happened)
    outcomes = batch.commit(units)
    assert [outcome is True or type(outcome) for outcome in outcomes] == [
        True if has_happened else OperationalError
    ] * 3
    assert ("new 0" in buckets(engine)) is has_happened


@pytest.mark.parametrize("has_happened", [True, False])
def test_where_nobody_can_tell_nothing_is_tried_again(
    batch: Batch, engine: Engine, monkeypatch: pytest.MonkeyPatch, has_happened: bool
) -> None:
    units = [unit_of(batch, (ADD, counter(f"new {n}"))) for n in range(3)]
    _lose_commits(engine, monkeypatch, times=1, happens=has_happened)
    assert [type(outcome) for outcome in batch.commit(units)] == [CommitUnknown] * 3
    assert ("new 0" in buckets(engine)) is has_happened


def _lose_commits(engine: Engine, monkeypatch: pytest.MonkeyPatch, *, times: int, happens: bool) -> None:
    """The driver's next COMMITs happen or not, and end as when the connection breaks."""
    left = [times]
    dialect = type(engine.dialect)
    commit = dialect.do_commit

    def lose(self: Any, connection: Any) -> None:
        if not left[0]:
            commit(self, connection)
            return
        left[0] -= 1
        (commit if happens else type(self).do_rollback)(self, connection)
        raise self.loaded_dbapi.OperationalError(2013, "Lost connection to server during query")

    monkeypatch.setattr(dialect, "do_commit", lose)


def test_a_fault_of_the_database_keeps_nothing_and_is_said_of_each(batch: Batch, engine: Engine) -> None:
    units = [unit_of(batch, (ADD, counter(f"new {n}"))) for n in range(3)]
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE rate_counters RENAME TO elsewhere"))
    try:
        assert {isinstance(outcome, DBAPIError) for outcome in batch.commit(units)} == {True}
    finally:
        with engine.begin() as connection:
            connection.execute(text("ALTER TABLE elsewhere RENAME TO rate_counters"))
    assert buckets(engine) == {"free": 0, "used": 1}


def test_what_stands_still_keeps_a_batch_two_seconds_at_most(server_engine: Engine) -> None:
    batch = Batch(server_engine)
    try:
        batch.unit().first(FIND, {"wanted": "free"})
        assert batch._tx._driver._read_timeout <= 2  # seconds, for all that follows
    finally:
        batch.end()
