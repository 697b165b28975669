"""A request's transaction: late to open, ended once, and silent about what was rolled back."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import Engine, insert, select
from sqlalchemy.exc import IntegrityError, OperationalError

from database import Transaction
from database.connection import create_engine_for
from database.faults import CommitUnknown, is_passing_fault
from database.models import RateCounter
from tests.database.test_connection import counter
from tests.database_servers import free_port

BUCKETS = select(RateCounter.bucket).order_by(RateCounter.bucket)


def stored(engine: Engine) -> list[str]:
    with engine.connect() as connection:
        return list(connection.execute(BUCKETS).scalars())


def checked_out(engine: Engine) -> int:
    count: int = engine.pool.checkedout()  # type: ignore[attr-defined]
    return count


def test_nothing_is_taken_from_the_pool_before_the_first_statement(engine: Engine) -> None:
    tx = Transaction(engine)
    assert (checked_out(engine), tx.is_open) == (0, False)
    tx.execute(BUCKETS)
    assert (checked_out(engine), tx.is_open) == (1, True)
    tx.commit()
    assert (checked_out(engine), tx.is_open) == (0, False)


def test_a_transaction_without_statements_needs_no_database() -> None:
    engine = create_engine_for(f"mysql+pymysql://nobody@127.0.0.1:{free_port()}/nothing")
    done: list[str] = []
    with Transaction(engine) as tx:
        tx.on_commit(lambda: done.append("done"))
    Transaction(engine).rollback()
    assert done == ["done"]


def test_commit_keeps_and_rollback_forgets(engine: Engine) -> None:
    for name, ends in (("kept", Transaction.commit), ("lost", Transaction.rollback)):
        tx = Transaction(engine)
        tx.execute(insert(RateCounter), counter(name))
        ends(tx)
    assert stored(engine) == ["kept"]


def test_nothing_is_seen_by_others_before_the_commit(engine: Engine) -> None:
    tx = Transaction(engine)
    tx.execute(insert(RateCounter), counter("b"))
    assert stored(engine) == []
    tx.commit()
    assert stored(engine) == ["b"]


def test_a_statement_after_a_commit_begins_another_transaction(engine: Engine) -> None:
    tx = Transaction(engine)
    tx.execute(insert(RateCounter), counter("first"))
    tx.commit()
    tx.execute(insert(RateCounter), counter("second"))
    tx.rollback()
    assert stored(engine) == ["first"]


def test_a_block_that_raises_is_rolled_back(engine: Engine) -> None:
    with pytest.raises(ZeroDivisionError), Transaction(engine) as tx:  # noqa: PT012
        tx.execute(insert(RateCounter), counter("lost"))
        raise ZeroDivisionError
    assert stored(engine) == []
    assert checked_out(engine) == 0


def test_what_waits_for_the_commit_happens_after_it_once_and_in_order(engine: Engine) -> None:
    done: list[object] = []
    tx = Transaction(engine)
    tx.execute(insert(RateCounter), counter("b"))
    tx.on_commit(lambda: done.append(stored(engine)))
    tx.on_commit(lambda: done.append("second"))
    assert done == []
    tx.commit()
    tx.commit()
    assert done == [["b"], "second"]


def test_what_waits_for_the_commit_is_forgotten_by_a_rollback(engine: Engine) -> None:
    done: list[str] = []
    tx = Transaction(engine)
    tx.execute(insert(RateCounter), counter("b"))
    tx.on_commit(lambda: done.append("never"))
    tx.rollback()
    tx.execute(BUCKETS)
    tx.commit()
    assert done == []


@pytest.mark.parametrize("is_marked", [True, False])
def test_a_commit_that_fails_does_not_run_what_waits_for_it(server_engine: Engine, *, is_marked: bool) -> None:
    """Whether it is known that nothing was kept (by a row that is not there), or nothing is known."""
    done: list[str] = []
    tx = Transaction(server_engine)
    number = tx.execute(select(RateCounter.bucket)).connection.exec_driver_sql("SELECT connection_id()").scalar_one()
    tx.execute(insert(RateCounter), counter("lost"))
    tx.on_commit(lambda: done.append("never"))
    if is_marked:
        tx.mark((RateCounter.__table__.c.bucket, "lost"))
    with server_engine.connect() as other:
        other.exec_driver_sql(f"KILL {number}")
    with pytest.raises(OperationalError if is_marked else CommitUnknown):
        tx.commit()
    assert (done, tx.is_open, checked_out(server_engine)) == ([], False, 0)
    assert stored(server_engine) == []
    tx.execute(insert(RateCounter), counter("again"))
    tx.commit()
    assert stored(server_engine) == ["again"]
    assert done == []


def test_a_refused_insert_leaves_the_transaction_usable(engine: Engine) -> None:
    """Unique inserts decide races; what was written before stays part of the transaction."""
    tx = Transaction(engine)
    tx.execute(insert(RateCounter), counter("first"))
    with pytest.raises(IntegrityError):
        tx.execute(insert(RateCounter), counter("first"))
    tx.execute(insert(RateCounter), counter("second"))
    tx.commit()
    assert stored(engine) == ["first", "second"]


def test_a_commit_whose_answer_is_lost_runs_what_waits_for_it_when_it_has_happened(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def commit_and_lose(connection: Any) -> None:
        connection.commit()
        raise engine.dialect.loaded_dbapi.OperationalError(2013, "Lost connection to MySQL server during query")

    done: list[str] = []
    tx = Transaction(engine)
    tx.execute(insert(RateCounter), counter("kept"))
    tx.mark((RateCounter.__table__.c.bucket, "kept"))
    tx.on_commit(lambda: done.append("done"))
    monkeypatch.setattr(engine.dialect, "do_commit", commit_and_lose)
    tx.commit()
    assert (done, stored(engine), checked_out(engine)) == (["done"], ["kept"], 0)


@pytest.mark.parametrize("number,text", [(1213, "Deadlock found"), (3101, "Plugin instructed"), (1205, "Lock wait")])
def test_a_commit_that_was_refused_is_not_looked_for(
    mariadb_engine: Engine, monkeypatch: pytest.MonkeyPatch, number: int, text: str
) -> None:
    def refuse(_connection: Any) -> None:
        raise mariadb_engine.dialect.loaded_dbapi.OperationalError(number, text)

    tx = Transaction(mariadb_engine)
    tx.execute(insert(RateCounter), counter("lost"))
    monkeypatch.setattr(mariadb_engine.dialect, "do_commit", refuse)
    with pytest.raises(OperationalError) as caught:
        tx.commit()
    assert is_passing_fault(caught.value)
    assert (stored(mariadb_engine), checked_out(mariadb_engine)) == ([], 0)
