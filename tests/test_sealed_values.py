"""Opening what is sealed: whole or not at all, with a record of the place and of nothing else."""

from __future__ import annotations

import dataclasses
import datetime
import logging
from typing import Any

import pytest
from sqlalchemy import Engine, select

from database.models import AuditRecord
from database.transaction import Transaction
from provider.audit import AuditRecorder
from provider.protocol.messages import Origin
from provider.sealed_values import RECORDED_EVERY, SealedValues
from provider.security.crypto import DecryptionFailed, Keyring
from provider.security.replay import ReplayGuard
from provider.security.sealed_columns import CLOUD_ACCOUNTS, DATA_EXPORT, TOTP_SECRET
from tests.sealed_rows import fill
from tests.together import at_once

SECRET = b"a secret that nobody may read"
COLUMN = CLOUD_ACCOUNTS["secret_key"]
PLACE = {"owner": "user-1", "version": "3"}


@pytest.fixture
def sealed_values(keyring: Keyring) -> SealedValues:
    return SealedValues(keyring, AuditRecorder(), ReplayGuard(keyring))


def recorded(engine: Engine) -> list[dict[str, Any]]:
    table = AuditRecord.__table__
    with Transaction(engine) as tx:
        return [dict(row) for row in tx.execute(select(table).order_by(table.c.id)).mappings()]


def refused(sealed_values: SealedValues, engine: Engine, origin: Origin, *place: Any, **bound: Any) -> None:
    with Transaction(engine) as tx, pytest.raises(DecryptionFailed):
        sealed_values.open(tx, origin, *place, **bound)


def test_what_is_sealed_opens_in_its_place_and_leaves_no_record(
    sealed_values: SealedValues, engine: Engine, origin: Origin
) -> None:
    text = sealed_values.seal(COLUMN, "row-1", SECRET, **PLACE)
    with Transaction(engine) as tx:
        assert sealed_values.open(tx, origin, COLUMN, "row-1", text, **PLACE) == SECRET
    assert sealed_values.opened(COLUMN, "row-1", text, **PLACE) == SECRET
    assert recorded(engine) == []


MOVED = {
    "to another row": (COLUMN, "row-2", PLACE),
    "to another owner": (COLUMN, "row-1", {**PLACE, "owner": "user-2"}),
    "to another version": (COLUMN, "row-1", {**PLACE, "version": "4"}),
    "to another column": (CLOUD_ACCOUNTS["access_key"], "row-1", PLACE),
    "to another table": (DATA_EXPORT, "row-1", {"owner": "user-1"}),
}


@pytest.mark.parametrize("move", MOVED)
def test_what_was_moved_is_refused_and_its_place_is_on_record(
    sealed_values: SealedValues,
    keyring: Keyring,
    engine: Engine,
    origin: Origin,
    caplog: pytest.LogCaptureFixture,
    move: str,
) -> None:
    (owner,) = fill(engine, keyring, 1, others=0)
    caplog.set_level(logging.DEBUG, "mcp_core")
    column, row_id, bound = MOVED[move]
    text = sealed_values.seal(COLUMN, "row-1", SECRET, **PLACE)
    refused(sealed_values, engine, origin, column, row_id, text, user_id=owner, **bound)
    (record,) = recorded(engine)
    assert (record["action"], record["user_id"], record["outcome"]) == ("decryption.failed", owner, "failed")
    assert (record["resource_type"], record["resource_id"]) == (column.table.name, row_id)
    assert record["metadata"] == {"column": column.name}
    (said,) = [line.getMessage() for line in caplog.records if line.name == "mcp_core.vault"]
    assert said == f"a sealed value does not open [{column} of {row_id}]"
    assert not any(part in repr(record) + said for part in (text, *text.split(".")[2:], SECRET.decode()))


def test_a_value_is_on_record_once_an_hour_and_each_value_by_itself(
    sealed_values: SealedValues, keyring: Keyring, engine: Engine, origin: Origin
) -> None:
    for number in (1, 2, 1, 1, 2):
        refused(sealed_values, engine, origin, TOTP_SECRET, f"user-{number}", "v2.gone.a.b.c")
    assert [row["resource_id"] for row in recorded(engine)] == ["user-1", "user-2"]
    later = dataclasses.replace(origin, now=origin.now + RECORDED_EVERY + datetime.timedelta(seconds=1))
    with Transaction(engine) as tx:
        assert ReplayGuard(keyring).purge(tx, later.now) == 2, "as the sweeper does it"
    refused(sealed_values, engine, later, TOTP_SECRET, "user-1", "v2.gone.a.b.c")
    assert len(recorded(engine)) == 3


def test_of_many_that_meet_it_at_once_one_puts_it_on_record(
    sealed_values: SealedValues, engine: Engine, origin: Origin
) -> None:
    def meet(tx: Transaction) -> None:
        sealed_values.open(tx, origin, TOTP_SECRET, "user-1", "v2.gone.a.b.c")

    answers = at_once(engine, [meet] * 6)
    assert {type(answer) for answer in answers} == {DecryptionFailed}
    assert len(recorded(engine)) == 1


def test_nobody_opens_without_saying_what_a_value_is_bound_to(
    sealed_values: SealedValues, engine: Engine, origin: Origin
) -> None:
    text = sealed_values.seal(COLUMN, "row-1", SECRET, **PLACE)
    with Transaction(engine) as tx, pytest.raises(TypeError, match="owner, version"):
        sealed_values.open(tx, origin, COLUMN, "row-1", text, owner="user-1")
