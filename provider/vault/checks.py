"""The forms that fields of clouds have. A check returns the normal form, or raises ``ValueError`` with a reason."""

from __future__ import annotations

import re
from collections.abc import Callable


def matching(pattern: str, *, reason: str = "form") -> Callable[[str], str]:
    """Trimmed text that matches ``pattern`` as a whole."""
    compiled = re.compile(pattern)

    def check(text: str) -> str:
        value = text.strip()
        if not compiled.fullmatch(value):
            raise ValueError(reason)
        return value

    return check
