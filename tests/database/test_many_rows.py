"""What inserts rows that it selects does for many of them what it does for each."""

from __future__ import annotations

import datetime
from collections import Counter

import pytest
from sqlalchemy import Engine, Integer, bindparam, insert, select
from sqlalchemy.exc import IntegrityError

from database.models import metadata
from database.models.columns import UTCDateTime
from database.prepared import Prepared
from database.transaction import Transaction
from tests.statements import sent_to

_TABLE = metadata.tables["rate_counters"]
_SOURCE = _TABLE.alias("source")
MOMENT = datetime.datetime(2026, 7, 1, 12, 0, 0, 250_000, tzinfo=datetime.UTC)
LATER = MOMENT + datetime.timedelta(microseconds=1)
_LEAST = bindparam("least", type_=Integer)
COPY = Prepared(
    insert(_TABLE).from_select(
        ["bucket", "count", "expires_at"],
        select(bindparam("bucket"), _SOURCE.c.count, bindparam("until", type_=UTCDateTime)).where(
            _SOURCE.c.bucket == bindparam("of"),
            _SOURCE.c.expires_at == bindparam("at", type_=UTCDateTime),
            _LEAST.is_(None) | (_SOURCE.c.count >= _LEAST),
        ),
    )
)
SOURCES = [
    {"bucket": "a", "count": 1, "expires_at": MOMENT},
    {"bucket": "b", "count": 2, "expires_at": LATER},
]
WANTED = {
    "itself": ("a", MOMENT, None), "again": ("a", MOMENT, None), "another": ("b", LATER, None),
    "enough": ("b", LATER, 2), "more than there is": ("b", LATER, 3),
    "capital": ("A", MOMENT, None), "accent": ("á", MOMENT, None), "blank": ("a ", MOMENT, None),
    "later": ("a", LATER, None), "earlier": ("b", MOMENT, None), "nobody": ("c", MOMENT, None), "empty": ("", MOMENT, 0),
}  # fmt: skip
FOUND = {"itself": ("a", 1), "again": ("a", 1), "another": ("b", 2), "enough": ("b", 2)}


def row(name: str) -> dict[str, object]:
    of, at, least = WANTED[name]
    return {"bucket": name, "until": MOMENT, "of": of, "at": at, "least": least}


@pytest.mark.parametrize("names", [
    list(WANTED), ["itself"], ["blank"], ["capital", "accent"], ["itself", "again"], ["later", "enough", "empty"],
], ids=", ".join)  # fmt: skip
def test_each_row_is_there_if_its_conditions_hold(engine: Engine, names: list[str]) -> None:
    with Transaction(engine) as tx:
        tx.execute(insert(_TABLE), SOURCES)
        count = tx.count_each(COPY, [row(name) for name in names])
        rows = {
            made["bucket"]: made for made in tx.execute(select(_TABLE).where(_TABLE.c.bucket.in_(WANTED))).mappings()
        }
    assert count == len(rows)
    assert {name: made["count"] for name, made in rows.items()} == {
        name: number for name, (_, number) in FOUND.items() if name in names
    }
    assert {made["expires_at"] for made in rows.values()} <= {MOMENT}


def test_they_are_one_statement_on_a_server(server_engine: Engine) -> None:
    with sent_to(server_engine) as sent, Transaction(server_engine) as tx:
        tx.count_each(COPY, [row(name) for name in WANTED])
    assert Counter(statement.split()[0] for statement in sent)["INSERT"] == 1


@pytest.mark.parametrize(
    "values, error",
    [({"of": 0}, TypeError), ({"at": MOMENT.replace(tzinfo=None)}, ValueError), ({"bucket": "a"}, IntegrityError)],
)
def test_what_is_wrong_with_one_of_them_is_said_as_of_each(
    engine: Engine, values: dict[str, object], error: type[Exception]
) -> None:
    with Transaction(engine) as tx:
        tx.execute(insert(_TABLE), SOURCES)
        for rows in ([row("itself") | values], [row("again"), row("itself") | values]):
            with pytest.raises(error):
                tx.count_each(COPY, rows)
        tx.rollback()


def test_a_value_that_is_missing_is_none_of_the_database(engine: Engine) -> None:
    rows = [row("itself"), row("again")]
    del rows[1]["least"]
    with Transaction(engine) as tx, pytest.raises(KeyError):
        tx.count_each(COPY, rows)
