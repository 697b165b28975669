"""Names of requests, by which lines of the log and records of the audit are found. They keep no secret."""

from __future__ import annotations

import os
import secrets
from collections import deque

_BYTES = 8
_AT_ONCE = 64  # each call to the system lets another thread have the interpreter
_MADE: deque[str] = deque()
os.register_at_fork(after_in_child=_MADE.clear)  # two workers give no request the same name


def new_request_id() -> str:
    while True:
        try:
            return _MADE.popleft()
        except IndexError:
            digits = secrets.token_hex(_BYTES * _AT_ONCE)
            _MADE.extend(digits[start : start + 2 * _BYTES] for start in range(0, len(digits), 2 * _BYTES))
