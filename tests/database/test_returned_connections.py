"""What comes back to the pool: rolled back, unless a commit was the last thing that was asked of it."""

from __future__ import annotations

from sqlalchemy import Engine, text
from sqlalchemy.orm import Session

from database.transaction import Transaction

ADD = text("INSERT INTO rate_counters (bucket, count, expires_at) VALUES ('b', 1, '2030-01-01 00:00:00')")
COUNT = text("SELECT COUNT(*) FROM rate_counters")


def rollbacks(engine: Engine) -> int:
    """How often the one connection of the pool was rolled back so far, as the server counts."""
    tx = Transaction(engine)
    found = tx.execute(text("SHOW SESSION STATUS LIKE 'Com_rollback'")).one()
    tx.commit()
    return int(found[1])


def test_after_a_commit_nothing_is_rolled_back(server_engine: Engine) -> None:
    before = rollbacks(server_engine)
    with Transaction(server_engine) as tx:
        tx.execute(ADD)
    assert rollbacks(server_engine) == before
    with Transaction(server_engine) as tx:
        assert tx.execute(COUNT).scalar_one() == 1


def test_what_was_only_read_is_rolled_back(server_engine: Engine) -> None:
    before = rollbacks(server_engine)
    with Session(server_engine) as session:
        session.execute(COUNT)
    assert rollbacks(server_engine) > before


def test_a_commit_counts_for_its_own_use_of_the_connection_only(engine: Engine) -> None:
    with Transaction(engine) as tx:
        tx.execute(COUNT)
    returned = engine.raw_connection()
    returned.cursor().execute(str(ADD))
    returned.close()
    with Transaction(engine) as tx:
        assert tx.execute(COUNT).scalar_one() == 0


def test_a_connection_that_is_closed_uncommitted_leaves_nothing(engine: Engine) -> None:
    with engine.connect() as connection:
        connection.execute(ADD)
    tx = Transaction(engine)
    tx.execute(ADD)
    tx.rollback()
    with Transaction(engine) as tx:
        assert tx.execute(COUNT).scalar_one() == 0
