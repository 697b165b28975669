"""Names of requests: sixteen digits, each another one, in forked workers as well."""

from __future__ import annotations

import multiprocessing
import re
from concurrent.futures import ProcessPoolExecutor

from provider.doors.request_ids import new_request_id


def _some(count: int) -> list[str]:
    return [new_request_id() for _ in range(count)]


def test_none_is_given_twice() -> None:
    names = _some(5000)
    assert len(set(names)) == 5000
    assert all(re.fullmatch("[0-9a-f]{16}", name) for name in names)


def test_forked_workers_give_others() -> None:
    assert new_request_id(), "some are made already"
    with ProcessPoolExecutor(2, multiprocessing.get_context("fork")) as workers:
        first, second = workers.map(_some, [50, 50])
    assert len({*first, *second, *_some(50)}) == 150
