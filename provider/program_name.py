"""How the program ``mcp-core`` is called where this process was started: what is printed can be pasted there."""

from __future__ import annotations

import shlex
import shutil
import sys
from pathlib import Path

PROGRAM = "mcp-core"


def command(words: str = "") -> str:
    """``.venv/bin/mcp-core setup-link``: a command that runs in the working directory of this process.

    The bare name where a search of PATH finds this very program, else its path from the working directory, else the
    whole path.
    """
    return f"{shlex.quote(_program())} {words}".rstrip()


def command_on_a_page(words: str) -> str:
    """The same for people who read it elsewhere: no folder of this machine that lies above the working directory."""
    return f"{PROGRAM} {words}" if _program().startswith("/") else command(words)


def _program() -> str:
    started = Path(sys.argv[0])
    if started.stem != PROGRAM:  # under another server, or as a module: it lies beside the Python
        started = Path(sys.executable).with_name(PROGRAM)
    if not started.exists() or _is_same(shutil.which(PROGRAM), started):
        return PROGRAM
    whole, here = started.absolute(), Path.cwd()
    return str(whole.relative_to(here) if whole.is_relative_to(here) else whole)


def _is_same(found: str | None, program: Path) -> bool:
    return found is not None and Path(found).resolve() == program.resolve()
