"""The console command ``mcp-core``, before anything else is imported."""

from __future__ import annotations

import sys

from provider.start.memory import ask_for_large_pages, load_without_collecting


def main() -> None:
    """Runs the command that the arguments name. A server begins anew for the memory that it wants, before it is loaded."""
    if sys.argv[1:2] == ["serve"]:
        ask_for_large_pages()
    load_without_collecting()
    from provider.cli.program import run

    run()
