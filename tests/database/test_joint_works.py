"""Works of one thread go on together: each gets what it would have got alone, by as few statements as there are kinds, and
what all of them do is done by one after the other."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from typing import Any

import pytest
from greenlet import getcurrent
from sqlalchemy import Engine, bindparam, insert, select

from database.joint_works import JointWorks
from database.models import RateCounter
from database.prepared import Lookup, Prepared
from database.statement_forms import Answer
from database.transaction import Transaction
from tests.statements import statements_of

_TABLE = RateCounter.__table__
MOMENT = datetime.datetime(2026, 7, 1, 12, 0, tzinfo=datetime.UTC)
FIND = Lookup(select(_TABLE), by=_TABLE.c.bucket)
MORE_THAN = Lookup(select(_TABLE.c.count, _TABLE.c.bucket).where(_TABLE.c.count > bindparam("least")), _TABLE.c.bucket)
ALONE = Prepared(select(_TABLE.c.count).where(_TABLE.c.bucket == bindparam("bucket")))


@pytest.fixture
def tx(engine: Engine) -> Iterator[Transaction]:
    with Transaction(engine) as made:
        rows = [{"bucket": f"b{number}", "count": number, "expires_at": MOMENT} for number in range(20)]
        made.execute(insert(RateCounter), rows)
    made = Transaction(engine)
    yield made
    made.rollback()


class Works:
    """``ask`` begins a work that asks one thing after the other and remembers what it was told."""

    def __init__(self, tx: Transaction) -> None:
        self.joint = JointWorks(tx)
        self.told: dict[str, list[Any]] = {}

    def ask(self, name: str, *asked: tuple[Prepared, Mapping[str, Any]]) -> None:
        told = self.told[name] = []

        def work() -> None:
            for statement, values in asked:
                told.append(self.joint.ask(statement, values).first())

        self.joint.begin(work)

    def finish(self) -> int:
        """How many rounds it took."""
        rounds = 0
        while self.joint.are_unfinished:
            self.joint.go_on()
            rounds += 1
        return rounds


def named(bucket: str) -> tuple[Prepared, Mapping[str, Any]]:
    return FIND, {"bucket": bucket}


def row(number: int) -> tuple[str, int, datetime.datetime]:
    return (f"b{number}", number, MOMENT)


@pytest.mark.parametrize("number", [1, 2, 3, 4, 5, 8, 9, 16, 17])
def test_as_many_as_ask_are_one_statement(tx: Transaction, engine: Engine, number: int) -> None:
    works = Works(tx)
    with statements_of(engine) as sent:
        for each in range(number):
            works.ask(f"work {each}", named(f"b{each}"))
        assert sent == []
        assert works.finish() == 1
    assert len(sent) == 1
    assert works.told == {f"work {each}": [row(each)] for each in range(number)}


@pytest.mark.parametrize("missing", ["", "nobody", "B1", "b1 ", "B٢", "%", "b_"])
def test_what_is_not_there_is_found_by_nobody(tx: Transaction, missing: str) -> None:
    works = Works(tx)
    for name, bucket in (("one", "b1"), ("none", missing), ("two", "b2")):
        works.ask(name, named(bucket))
    works.finish()
    assert works.told == {"one": [row(1)], "none": [None], "two": [row(2)]}


def test_all_who_ask_for_the_same_are_told(tx: Transaction, engine: Engine) -> None:
    works = Works(tx)
    with statements_of(engine) as sent:
        for each in range(4):
            works.ask(f"work {each}", named("b7"))
        works.finish()
    assert [statement.partition("bucket")[2].count("bucket") > 0 for statement in sent] == [True]
    assert works.told == {f"work {each}": [row(7)] for each in range(4)}


def test_one_question_leads_to_the_next(tx: Transaction, engine: Engine) -> None:
    works = Works(tx)
    with statements_of(engine) as sent:
        works.ask("short", named("b1"))
        works.ask("long", named("b2"), named("b3"), named("nobody"))
        works.ask("longer", named("b4"), named("b5"), named("b6"), named("b7"))
        assert works.finish() == 4
    assert len(sent) == 4
    assert works.told["long"] == [row(2), row(3), None]
    assert works.told["longer"] == [row(4), row(5), row(6), row(7)]


def test_what_differs_in_more_than_the_key_is_asked_apart(tx: Transaction, engine: Engine) -> None:
    works = Works(tx)
    with statements_of(engine) as sent:
        for least, bucket in ((3, "b3"), (3, "b4"), (5, "b5"), (5, "b6")):
            works.ask(bucket, (MORE_THAN, {"bucket": bucket, "least": least}))
        works.ask("other", named("b4"))
        works.finish()
    assert len(sent) == 3
    assert works.told == {"b3": [None], "b4": [(4, "b4")], "b5": [None], "b6": [(6, "b6")], "other": [row(4)]}


def test_what_is_no_lookup_waits_for_nobody(tx: Transaction) -> None:
    works = Works(tx)
    works.ask("one", (ALONE, {"bucket": "b3"}), named("b4"))
    assert works.told == {"one": [(3,)]}
    works.finish()
    assert works.told == {"one": [(3,), row(4)]}


def test_outside_of_works_nobody_waits(tx: Transaction) -> None:
    assert JointWorks(tx).ask(FIND, {"bucket": "b3"}).first() == row(3)


@pytest.mark.parametrize("number", [1, 2, 5])
def test_each_step_is_taken_by_all_before_anybody_takes_the_next(tx: Transaction, number: int) -> None:
    joint = JointWorks(tx)
    done: list[tuple[int, str]] = []

    def work(step: Callable[[int], None]) -> Callable[[], None]:
        def take() -> None:
            for each in range(3):
                step(each)
                joint.keep_in_step()

        return take

    for each in range(number):
        joint.begin(work(lambda step, name=f"work {each}": done.append((step, name))))  # type: ignore[misc]
    rounds = 0
    while joint.are_unfinished:
        joint.go_on()
        rounds += 1
    assert rounds == 3
    assert done == [(step, f"work {each}") for step in range(3) for each in range(number)]


def test_who_ends_a_step_with_a_question_asks_with_those_who_come_to_it_later(tx: Transaction, engine: Engine) -> None:
    works = Works(tx)

    def work(bucket: str, steps: int) -> Callable[[], None]:
        def take() -> None:
            for _ in range(steps):
                works.joint.keep_in_step()
            works.told[bucket] = [works.joint.ask(FIND, {"bucket": bucket}).first()]

        return take

    with statements_of(engine) as sent:
        works.joint.begin(work("b1", 0))
        works.joint.begin(work("b2", 1))
        works.finish()
    assert len(sent) == 1
    assert works.told == {"b1": [row(1)], "b2": [row(2)]}


def test_outside_of_works_a_step_has_no_end(tx: Transaction) -> None:
    joint = JointWorks(tx)
    joint.keep_in_step()
    tx.keep_in_step()
    assert not joint.are_unfinished


def test_every_row_of_a_key_is_found(engine: Engine) -> None:
    numbers = Lookup(select(_TABLE.c.expires_at, _TABLE.c.count, _TABLE.c.bucket.label("key")), by=_TABLE.c.bucket)
    with Transaction(engine) as tx:
        tx.execute(insert(RateCounter), [{"bucket": name, "count": 1, "expires_at": MOMENT} for name in ("a", "b")])
        answers = tx.ask_each(numbers, [{"bucket": "b"}, {"bucket": "c"}, {"bucket": "a"}, {"bucket": "b"}])
        said = {"expires_at": MOMENT, "count": 1}
        found = [answer.rows() for answer in answers]
        assert found == [[{**said, "key": "b"}], [], [{**said, "key": "a"}], [{**said, "key": "b"}]]


class Fault(Exception):
    pass


def test_a_fault_is_raised_in_those_who_asked_that(tx: Transaction, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_asked: object) -> list[Answer]:
        raise Fault

    monkeypatch.setattr(MORE_THAN, "ask_each", fail)
    joint = JointWorks(tx)
    told: list[object] = []

    def work(statement: Lookup, **values: object) -> Callable[[], None]:
        def ask() -> None:
            try:
                told.append(joint.ask(statement, values).first())
            except Fault as fault:
                told.append(type(fault))
                told.append(joint.ask(FIND, {"bucket": "b9"}).first())

        return ask

    joint.begin(work(MORE_THAN, bucket="b3", least=0))
    joint.begin(work(FIND, bucket="b1"))
    joint.begin(work(MORE_THAN, bucket="b4", least=0))
    while joint.are_unfinished:
        joint.go_on()
    assert told == [Fault, Fault, row(1), row(9), row(9)]


def test_what_a_work_raises_is_raised_where_it_was_let_go_on(tx: Transaction) -> None:
    works = Works(tx)

    def work() -> None:
        assert works.joint.ask(FIND, {"bucket": "b1"}).first() == row(1)
        raise Fault

    works.joint.begin(work)
    works.ask("other", named("b2"))
    with pytest.raises(Fault):
        works.finish()
    assert getcurrent().parent is None, "outside again"


def test_each_work_has_its_own_context(tx: Transaction) -> None:
    works = Works(tx)
    name: ContextVar[str] = ContextVar("name", default="outside")
    seen: list[tuple[str, str]] = []

    def work(own: str) -> Callable[[], None]:
        def ask() -> None:
            name.set(own)
            works.joint.ask(FIND, {"bucket": "b1"})
            seen.append((own, name.get()))

        return ask

    for own in ("a", "b", "c"):
        works.joint.begin(work(own))
    works.finish()
    assert seen == [(own, own) for own in ("a", "b", "c")]
    assert name.get() == "outside"


def test_the_next_work_finds_nothing_of_the_last_one(tx: Transaction) -> None:
    name: ContextVar[str] = ContextVar("name", default="nobody")
    seen: list[tuple[str, int]] = []

    def work() -> None:
        seen.append((name.get(), id(getcurrent())))
        name.set("the last one")

    for _ in range(3):
        JointWorks(tx).begin(work)
    assert {said for said, _ in seen} == {"nobody"}
    assert len({worker for _, worker in seen}) == 1, "one after the other they are one greenlet's"


def test_what_failed_leaves_nothing_behind(tx: Transaction) -> None:
    def work() -> None:
        raise Fault

    for _ in range(3):
        with pytest.raises(Fault):
            JointWorks(tx).begin(work)
    works = Works(tx)
    works.ask("next", named("b1"))
    works.finish()
    assert works.told == {"next": [row(1)]}
