"""Works of one thread that go on together: step by step, and with one question for all who ask the same of different rows.

A work that looks something up, or has come to the end of a step, stands still until the others have come as far, too. What
is done many times in a row is done by code that the processor's caches hold. Works are greenlets: what they call does not
know of it. None may stand still with a lock that another one wants.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from greenlet import getcurrent, greenlet

from database.prepared import Lookup, Prepared
from database.statement_forms import Answer
from database.transaction import Transaction


@dataclass(eq=False, slots=True)
class _Question:
    values: Mapping[str, Any]
    work: greenlet


class _Idle(threading.local):
    """Greenlets of this thread whose work has ended: a new one costs ten times as much as to use one again."""

    def __init__(self) -> None:
        self.greenlets: list[greenlet] = []


_IDLE = _Idle()


def _work_after_work(outside: greenlet, work: Callable[[], object] | None) -> None:
    here = getcurrent()
    while work is not None:
        work()
        work = None  # nothing of it is kept for as long as there is no other
        _IDLE.greenlets.append(here)
        work = outside.switch()


class JointWorks:
    """``reader`` asks them. Whoever makes this is outside of all works, and begins them and lets them go on."""

    def __init__(self, reader: Transaction) -> None:
        self._reader = reader
        self._outside = getcurrent()
        self._in_step: list[greenlet] = []
        self._waiting: dict[tuple[Lookup, tuple[object, ...]], list[_Question]] = {}

    @property
    def are_unfinished(self) -> bool:
        return bool(self._in_step or self._waiting)

    def begin(self, work: Callable[[], object]) -> None:
        """Runs ``work`` to the end of its first step. What it raises is raised here."""
        idle = _IDLE.greenlets
        worker = idle.pop() if idle else greenlet(partial(_work_after_work, self._outside), self._outside)
        worker.gr_context = None  # variables of its own, as it would have in a thread of its own
        worker.switch(work)

    def go_on(self) -> None:
        """Runs each work to the end of its next step: first those that wait for nothing, then, once it has asked, those
        that wait for an answer."""
        in_step, self._in_step = self._in_step, []
        for work in in_step:
            work.switch()
        waiting, self._waiting = self._waiting, {}
        for (statement, _), questions in waiting.items():
            try:
                answers = self._reader.ask_each(statement, [question.values for question in questions])
            except Exception as fault:
                for question in questions:
                    question.work.throw(fault)
            else:
                for question, answer in zip(questions, answers, strict=True):
                    question.work.switch(answer)

    def keep_in_step(self) -> None:
        """Ends a step of the work that calls it."""
        work = getcurrent()
        if work is not self._outside:
            self._in_step.append(work)
            self._outside.switch()

    def ask(self, statement: Prepared, values: Mapping[str, Any]) -> Answer:
        """The answer, for a work when it is its turn again. What is no ``Lookup`` is asked at once."""
        work = getcurrent()
        if work is self._outside or not isinstance(statement, Lookup):
            return self._reader.ask(statement, values)
        same = (statement, tuple([value for name, value in values.items() if name != statement.key]))
        self._waiting.setdefault(same, []).append(_Question(values, work))
        answer: Answer = self._outside.switch()
        return answer
