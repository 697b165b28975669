"""The time of one caller: it runs while a transaction is open, and rests otherwise."""

from __future__ import annotations

import pytest
from sqlalchemy import Engine, text

from database.engines import IO_SECONDS
from database.faults import DatabaseUnavailable
from database.patience import DATABASE_SECONDS, LOCK_WAIT_SECONDS, Patience
from database.transaction import Transaction

SELECT = text("SELECT 1")


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def seconds_of_answers(connection: object) -> object:
    return connection.connection.dbapi_connection._read_timeout  # type: ignore[attr-defined]


def test_together_the_waits_of_a_request_stay_below_ten_seconds() -> None:
    assert Patience().left == DATABASE_SECONDS
    assert LOCK_WAIT_SECONDS < DATABASE_SECONDS < 10


def test_time_passes_only_while_a_transaction_is_open() -> None:
    clock = Clock()
    patience = Patience(8, clock)
    clock.now += 60
    assert patience.left == 8
    patience.begin()
    clock.now += 2
    patience.begin()
    clock.now += 1
    assert patience.left == 5
    patience.end()
    clock.now += 60
    patience.end()
    assert patience.left == 5


def test_a_transaction_uses_its_callers_time(engine: Engine) -> None:
    clock = Clock()
    patience = Patience(8, clock)
    tx = Transaction(engine, patience)
    tx.execute(SELECT)
    clock.now += 3
    tx.commit()
    clock.now += 60
    tx.execute(SELECT)
    assert patience.left == 5
    tx.rollback()
    clock.now += 60
    assert patience.left == 5


def test_a_statement_after_the_callers_time_is_not_sent(engine: Engine) -> None:
    clock = Clock()
    tx = Transaction(engine, Patience(8, clock))
    tx.execute(SELECT)
    clock.now += 8
    with pytest.raises(DatabaseUnavailable):
        tx.execute(SELECT)
    tx.rollback()


def test_an_answer_is_waited_for_as_long_as_the_caller_has(mariadb_engine: Engine) -> None:
    clock = Clock()
    tx = Transaction(mariadb_engine, Patience(8, clock))
    for passed, left in ((0, 8), (0.5, 7), (5, 2), (2, 1)):
        clock.now += passed
        assert seconds_of_answers(tx.execute(SELECT).connection) == left
    tx.rollback()


def test_others_wait_as_long_as_the_engine_says(mariadb_engine: Engine) -> None:
    """Also on a connection that a hurried caller had before."""
    with Transaction(mariadb_engine, Patience(2)) as tx:
        tx.execute(SELECT)
    with mariadb_engine.connect() as connection:
        assert seconds_of_answers(connection) == IO_SECONDS
    with Transaction(mariadb_engine) as tx:
        assert seconds_of_answers(tx.execute(SELECT).connection) == IO_SECONDS


def test_statements_in_a_row_tell_the_system_nothing_new(
    mariadb_engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PyMySQL sets a socket's limit only when it differs: a hurried request costs no system call more."""
    with Transaction(mariadb_engine, Patience()) as tx:
        tx.execute(SELECT)
    told: list[object] = []
    with Transaction(mariadb_engine, Patience()) as tx:
        driver = tx.execute(SELECT).connection.connection.dbapi_connection
        before = driver._current_timeout  # type: ignore[union-attr]
        for _ in range(5):
            tx.execute(SELECT)
            told.append(driver._current_timeout)  # type: ignore[union-attr]
    assert set(told) <= {before, before - 1}
