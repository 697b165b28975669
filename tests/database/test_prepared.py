"""Prepared statements do what Core does with the same statement, and tell the same errors."""

from __future__ import annotations

import datetime

import pytest
from sqlalchemy import Engine, bindparam, column, create_engine, delete, event, insert, literal, select, update
from sqlalchemy.dialects import mysql
from sqlalchemy.exc import IntegrityError, OperationalError

from database.models import metadata
from database.models.columns import UTCDateTime
from database.prepared import Prepared
from database.transaction import TURNS, Transaction

_TABLE = metadata.tables["rate_counters"]
MOMENT = datetime.datetime(2026, 7, 1, 12, 0, 0, 250_000, tzinfo=datetime.UTC)
ADD = Prepared(insert(_TABLE).values({column.name: bindparam(column.name, type_=column.type) for column in _TABLE.c}))
FIND = Prepared(select(_TABLE, literal("fixed")).where(_TABLE.c.bucket == bindparam("wanted")))
CHANGE = Prepared(
    update(_TABLE)
    .where(_TABLE.c.bucket == bindparam("wanted"), _TABLE.c.expires_at <= bindparam("now", type_=UTCDateTime))
    .values(count=_TABLE.c.count + 1)
)
ROW = {"bucket": "b", "count": 1, "expires_at": MOMENT}


def test_values_go_in_and_come_out_as_with_core(engine: Engine) -> None:
    tokyo = datetime.timezone(datetime.timedelta(hours=9))
    with Transaction(engine) as tx:
        assert tx.count(ADD, {**ROW, "expires_at": MOMENT.astimezone(tokyo)}) == 1
        assert tx.first(FIND, {"wanted": "b"}) == ("b", 1, MOMENT, "fixed")
        assert tuple(tx.execute(select(_TABLE)).one()) == ("b", 1, MOMENT)
        tx.execute(delete(_TABLE))
        tx.execute(insert(_TABLE), ROW)
        assert tx.first(FIND, {"wanted": "b"}) == ("b", 1, MOMENT, "fixed")


def test_rows_have_the_names_of_their_columns(engine: Engine) -> None:
    named = Prepared(select(_TABLE, literal("fixed").label("said")).order_by(_TABLE.c.bucket))
    with Transaction(engine) as tx:
        tx.count_each(ADD, [ROW, {**ROW, "bucket": "a"}])
        second = {"bucket": "b", "count": 1, "expires_at": MOMENT, "said": "fixed"}
        assert tx.rows(named, {}) == [{**second, "bucket": "a"}, second]
        assert tx.row(FIND, {"wanted": "c"}) is None


def test_the_row_count_says_whether_a_condition_held(engine: Engine) -> None:
    with Transaction(engine) as tx:
        tx.count(ADD, ROW)
        assert tx.count(CHANGE, {"wanted": "b", "now": MOMENT - datetime.timedelta(microseconds=1)}) == 0
        assert tx.count(CHANGE, {"wanted": "b", "now": MOMENT}) == 1
        assert tx.first(FIND, {"wanted": "other"}) is None


def test_an_error_is_the_one_that_core_raises_and_leaves_the_transaction_usable(engine: Engine) -> None:
    with Transaction(engine) as tx:
        tx.count(ADD, ROW)
        with pytest.raises(IntegrityError):
            tx.count(ADD, ROW)
        assert tx.first(FIND, {"wanted": "b"}) is not None


@pytest.mark.parametrize(
    "values, error",
    [
        ({"bucket": "b", "count": 1}, KeyError),
        ({**ROW, "bucket": 0}, TypeError),
        ({**ROW, "expires_at": MOMENT.replace(tzinfo=None)}, ValueError),
    ],
)
def test_a_missing_or_wrong_value_never_reaches_the_database(
    engine: Engine, values: dict[str, object], error: type[Exception]
) -> None:
    with Transaction(engine) as tx:
        with pytest.raises(error):
            tx.count(ADD, values)
        assert tx.first(FIND, {"wanted": "b"}) is None


def test_listeners_see_each_statement(engine: Engine) -> None:
    seen: list[str] = []

    def listen(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        seen.append(statement.partition(" ")[0])

    event.listen(engine, "before_cursor_execute", listen)
    with Transaction(engine) as tx:
        tx.count(ADD, ROW)
        tx.first(FIND, {"wanted": "b"})
    assert seen == ["INSERT", "SELECT"]


def test_a_write_takes_its_turn(sqlite_engine: Engine) -> None:
    tx = Transaction(sqlite_engine)
    tx.first(FIND, {"wanted": "b"})
    assert not TURNS[sqlite_engine].is_taken
    tx.count(ADD, ROW)
    assert TURNS[sqlite_engine].is_taken
    tx.rollback()
    assert not TURNS[sqlite_engine].is_taken


def test_an_engine_that_does_not_fetch_at_once_finds_the_same(sqlite_engine: Engine) -> None:
    """One that somebody has made of its address alone."""
    with Transaction(sqlite_engine) as tx:
        tx.count(ADD, ROW)
    other = create_engine(sqlite_engine.url)
    try:
        with Transaction(other) as tx:
            assert tx.first(FIND, {"wanted": "b"}) == ("b", 1, MOMENT, "fixed")
            assert tx.row(FIND, {"wanted": "c"}) is None
    finally:
        other.dispose()


def test_what_reading_raises_is_an_error_of_the_database(engine: Engine) -> None:
    wrong = Prepared(select(column("nowhere")).select_from(_TABLE).where(_TABLE.c.bucket == bindparam("wanted")))
    with Transaction(engine) as tx:
        tx.count(ADD, ROW)
        with pytest.raises(OperationalError):
            tx.rows(wrong, {"wanted": "b"})
        assert tx.first(FIND, {"wanted": "b"}) is not None


@pytest.mark.parametrize("order", [("mysql", "mariadb"), ("mariadb", "mysql")])
def test_each_server_gets_the_words_that_it_knows(request: pytest.FixtureRequest, order: tuple[str, str]) -> None:
    """SQLAlchemy's dialects of both have one name, and spell what to do with a row that is there differently."""
    added = mysql.insert(_TABLE).values({column.name: bindparam(column.name, type_=column.type) for column in _TABLE.c})
    counted = Prepared(added.on_duplicate_key_update(count=_TABLE.c.count + added.inserted.count))
    for kind in order:
        with Transaction(request.getfixturevalue(f"{kind}_engine")) as tx:
            for total in (1, 2):
                tx.count(counted, ROW)
                assert tx.first(FIND, {"wanted": "b"}) == ("b", total, MOMENT, "fixed")
