"""What a statement was given never comes into the log, whatever the database says of it."""

from __future__ import annotations

import logging
from collections.abc import Callable

import pytest
from sqlalchemy import Engine, bindparam, insert, select, text

from database.faults import without_values
from database.models import RateCounter
from database.prepared import Prepared
from database.transaction import Transaction
from provider.doors.doorway import Doorway
from provider.doors.endpoint import Endpoint
from provider.protocol.messages import ProtocolRequest, ProtocolResponse
from provider.start.logs import TextFormatter
from tests.database.test_connection import counter

SECRET = "o'Brien's 'secret' for key 'x'"
_PREPARED = Prepared(
    insert(RateCounter).values(
        bucket=bindparam("bucket"),
        count=bindparam("count"),
        expires_at=bindparam("expires_at", type_=RateCounter.__table__.c.expires_at.type),
    )
)


def twice(tx: Transaction) -> None:
    for _ in range(2):
        tx.execute(insert(RateCounter), counter(SECRET))


def twice_prepared(tx: Transaction) -> None:
    for _ in range(2):
        tx.count(_PREPARED, counter(SECRET))


def too_long(tx: Transaction) -> None:
    tx.execute(insert(RateCounter), counter(SECRET * 100))
    tx.execute(text("SELECT * FROM nowhere WHERE a = :a"), {"a": SECRET})  # SQLite takes any length


def no_number(tx: Transaction) -> None:
    tx.execute(
        text("INSERT INTO rate_counters (bucket, count, expires_at) VALUES (:a, :b, :c)"),
        {"a": "a", "b": SECRET, "c": SECRET},
    )
    tx.execute(text("SELEC :a"), {"a": SECRET})


def no_syntax(tx: Transaction) -> None:
    tx.execute(text("SELECT :a :a FROM WHERE"), {"a": SECRET})


def driver_text(tx: Transaction) -> None:
    sign = "?" if tx.is_sqlite else "%s"
    tx.execute(select(RateCounter.bucket)).connection.exec_driver_sql(
        f"SELECT * FROM nowhere WHERE a = {sign}", (SECRET,)
    )


@pytest.mark.parametrize("fail", [twice, twice_prepared, too_long, no_number, no_syntax, driver_text])
def test_a_statement_that_fails_leaves_no_value_in_the_log(
    engine: Engine, caplog: pytest.LogCaptureFixture, fail: Callable[[Transaction], None]
) -> None:
    def handle(_request: ProtocolRequest, tx: Transaction) -> ProtocolResponse:
        fail(tx)
        return ProtocolResponse.json({})

    doorway = Doorway(engine)
    request = doorway.request("GET", "/x", "", {}, b"", "192.0.2.10")
    with caplog.at_level(logging.DEBUG):
        answer = doorway.answer(Endpoint("/x", ("GET",), handle), request)
    assert answer.status in (500, 503)
    shown = "\n".join(TextFormatter().format(record) for record in caplog.records) + caplog.text
    assert shown
    for part in ("Brien", "secret"):
        assert part not in shown
        assert part.encode() not in answer.body


@pytest.mark.parametrize(
    "said,shown",
    [
        ("Duplicate entry 'a@b.example' for key 'users.name'", "Duplicate entry '…' for key 'users.name'"),
        ("Duplicate entry 'o'Brien' for key 'x'' for key 'PRIMARY'", "Duplicate entry '…' for key 'PRIMARY'"),
        ("Incorrect integer value: 'x' for column `b` at row 1", "Incorrect integer value: '…' for column `b` at row 1"),
        ("Truncated incorrect DOUBLE value: 'x'", "Truncated incorrect DOUBLE value: '…'"),
        ("syntax to use near 'x' AND y = 'z'' at line 1", "syntax to use near '…' at line 1"),
        ("Invalid utf8mb4 character string: '\\xFF'", "Invalid utf8mb4 character string: '…'"),
        ("Data too long for column 'bucket' at row 1", "Data too long for column 'bucket' at row 1"),
        ("Table 'mcp_core.nowhere' doesn't exist", "Table 'mcp_core.nowhere' doesn't exist"),
        ("Unknown column 'a' in 'field list'", "Unknown column 'a' in 'field list'"),
        ("Lock wait timeout exceeded; try restarting transaction", "Lock wait timeout exceeded; try restarting transaction"),
        ("Lost connection to the server's socket", "Lost connection to the server's socket"),
    ],
)  # fmt: skip
def test_the_servers_text_keeps_names_and_loses_values(said: str, shown: str) -> None:
    assert without_values(said) == shown
