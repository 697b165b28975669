"""Whether a Python was built with a profile of itself (PGO): a fifth less processor time for everything that is done here.

Also run alone, by the Python that is asked about: the exit code is 1 when it was not.
"""

from __future__ import annotations

import sys
import sysconfig
from collections.abc import Mapping
from typing import Any


def is_profiled(build: Mapping[str, Any] | None = None) -> bool:
    """What its build says (``sysconfig``), or ``build`` in its place.

    The switch for it is ``--enable-optimizations``. Debian and Ubuntu build with a profile without the switch, and leave
    the flag empty by which it was used, where others keep what it would have been.
    """
    known = sysconfig.get_config_vars() if build is None else build
    is_asked_for = "--enable-optimizations" in str(known.get("CONFIG_ARGS"))
    return is_asked_for or bool(known.get("PGO_PROF_GEN_FLAG") and not known.get("PGO_PROF_USE_FLAG"))


if __name__ == "__main__":
    sys.exit(not is_profiled())
