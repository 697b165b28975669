"""A pooled connection that the server has closed: found before others use it, and by requests of ours after a pause."""

from __future__ import annotations

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from database import engines
from database.connection import create_engine_for
from database.faults import is_passing_fault
from database.transaction import Transaction

NUMBER = text("SELECT connection_id()")


def pings(engine: Engine) -> int:
    """How often the pool's one connection was pinged so far, as the server counts."""
    tx = Transaction(engine)
    found = tx.execute(text("SHOW SESSION STATUS LIKE 'Com_admin_commands'")).one()
    tx.commit()
    return int(found[1])


def kill_pooled(engine: Engine) -> int:
    """Has the server close the pool's one connection behind its back. Returns its number."""
    with Transaction(engine) as tx:
        number = int(tx.execute(NUMBER).scalar_one())
    other = create_engine_for(engine.url)
    with other.connect() as connection:
        connection.exec_driver_sql(f"KILL {number}")
    other.dispose()
    return number


def test_requests_of_ours_ping_after_a_pause_only(server_engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    before = pings(server_engine)
    assert pings(server_engine) == before
    monkeypatch.setattr(engines, "TRUSTED_SECONDS", 0)
    assert pings(server_engine) == before + 1


def test_sessions_of_others_ping_each_time(server_engine: Engine) -> None:
    before = pings(server_engine)
    for _ in range(3):
        with Session(server_engine) as session:
            session.execute(NUMBER)
    assert pings(server_engine) == before + 3


def test_a_session_of_others_never_meets_a_dead_connection(server_engine: Engine) -> None:
    number = kill_pooled(server_engine)
    with Session(server_engine) as session:
        assert session.execute(NUMBER).scalar_one() != number


def test_a_request_of_ours_finds_it_by_a_fault_that_passes(server_engine: Engine) -> None:
    number = kill_pooled(server_engine)
    tx = Transaction(server_engine)
    with pytest.raises(OperationalError) as caught:
        tx.execute(NUMBER)
    tx.rollback()
    assert is_passing_fault(caught.value)
    assert tx.execute(NUMBER).scalar_one() != number
    tx.rollback()


def test_after_a_pause_it_is_replaced_before_a_request_of_ours_meets_it(
    server_engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = kill_pooled(server_engine)
    monkeypatch.setattr(engines, "TRUSTED_SECONDS", 0)
    with Transaction(server_engine) as tx:
        assert tx.execute(NUMBER).scalar_one() != number
