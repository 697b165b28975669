"""Several workers: one that ends is replaced, and none outlives the process that watches them."""

from __future__ import annotations

import os
import resource
import signal
from pathlib import Path

import pytest

from tests.serving import answers, serving
from tests.waiting import eventually


@pytest.mark.slow
def test_a_worker_that_is_killed_is_replaced_and_none_outlives_who_watches(tmp_path: Path) -> None:
    with serving(tmp_path, workers=2) as server:
        before = set(server.processes()) - {server.pid}
        assert len(before) == 2
        for pid in before:
            soft, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
            assert soft == hard, "as many open files as the system allows"
        os.kill(min(before), signal.SIGKILL)
        eventually(lambda: len(set(server.processes()) - {server.pid} - before) == 1, server.log_text)
        eventually(lambda: "a worker ended unasked (-9), and is replaced" in server.log_text(), server.log_text)
        assert answers(f"{server.origin}/health")
        os.kill(server.pid, signal.SIGKILL)
        eventually(lambda: not _living(server.processes()), server.log_text)


def _living(processes: list[int]) -> list[int]:
    """Without those that have ended and that nobody has asked about."""
    states = {pid: Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] for pid in processes}
    return [pid for pid, state in states.items() if state != "Z"]
