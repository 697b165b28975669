"""Writers of one process wait for each other in order, on SQLite, and not by asking again and again."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import Engine, delete, insert, select
from sqlalchemy.exc import OperationalError

from database.connection import create_engine_for
from database.faults import is_passing_fault
from database.models import RateCounter
from database.transaction import TURNS, Transaction
from database.turns import Turns
from tests.database.test_connection import counter
from tests.waiting import HANG_SECONDS, eventually


def started(work: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


def test_turns_are_given_in_the_order_of_asking() -> None:
    turns, order = Turns(), []
    turns.take(HANG_SECONDS)
    threads = []
    for number in range(4):

        def work(number: int = number) -> None:
            turns.take(HANG_SECONDS)
            order.append(number)
            turns.give()

        threads.append(started(work))
        eventually(lambda number=number: turns.waiting == number + 1)  # type: ignore[misc]
    assert order == []
    turns.give()
    for thread in threads:
        thread.join(HANG_SECONDS)
    assert order == [0, 1, 2, 3]
    turns.take(HANG_SECONDS)


def test_a_turn_that_does_not_come_is_a_locked_database_and_leaves_the_queue() -> None:
    turns = Turns()
    turns.take(HANG_SECONDS)
    with pytest.raises(OperationalError) as caught:
        turns.take(0.01)
    assert is_passing_fault(caught.value)
    turns.give()
    turns.take(HANG_SECONDS)


def waiting(engine: Engine) -> int:
    return TURNS[engine].waiting


def test_a_second_writer_begins_when_the_first_has_ended(sqlite_engine: Engine) -> None:
    for ends in (Transaction.commit, Transaction.rollback):
        first, done = Transaction(sqlite_engine), threading.Event()
        first.execute(insert(RateCounter), counter("first"))

        def write(done: threading.Event = done) -> None:
            with Transaction(sqlite_engine) as tx:
                tx.execute(insert(RateCounter), counter("second"))
            done.set()

        thread = started(write)
        eventually(lambda: waiting(sqlite_engine) == 1)
        assert not done.is_set()
        ends(first)
        assert done.wait(HANG_SECONDS)
        thread.join(HANG_SECONDS)
        with Transaction(sqlite_engine) as tx:
            tx.execute(delete(RateCounter))


def test_readers_wait_for_nobody(sqlite_engine: Engine) -> None:
    writer, reader = Transaction(sqlite_engine), Transaction(sqlite_engine)
    writer.execute(insert(RateCounter), counter("first"))
    assert reader.execute(select(RateCounter.bucket)).all() == []
    reader.rollback()
    writer.rollback()


def test_a_transaction_that_nobody_ended_keeps_nobody_from_writing(sqlite_engine: Engine) -> None:
    tx = Transaction(sqlite_engine)
    tx.execute(insert(RateCounter), counter("lost"))
    del tx
    gc.collect()
    with Transaction(sqlite_engine) as tx:
        tx.execute(insert(RateCounter), counter("kept"))


def test_a_turn_without_a_connection_is_given_back(tmp_path: Path) -> None:
    engine = create_engine_for(f"sqlite:///{tmp_path}/gone/a.db")
    (tmp_path / "gone" / "a.db").unlink()
    (tmp_path / "gone").rmdir()
    for _ in range(2):
        with pytest.raises(OperationalError, match="unable to open"):
            Transaction(engine).execute(insert(RateCounter), counter("b"))
    TURNS[engine].take(HANG_SECONDS)
