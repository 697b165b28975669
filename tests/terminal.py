"""``mcp-core`` within this process: quicker than a process of its own by all that it would have to load."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from click.testing import CliRunner, Result

from database import DatabaseConnection
from provider.cli.program import program


def run(arguments: Sequence[str], *, given: str | None, environment: Mapping[str, str], folder: Path) -> Result:
    """A command to its end, in ``folder``. Of our variables it sees those in ``environment`` alone.

    Raises what the command raises: anything but an exit code is a bug.
    """
    hidden = {name: None for name in os.environ if name.startswith(("MCP_", "MYSQL_"))}
    DatabaseConnection.dispose()
    with contextlib.chdir(folder), logs_as_before():
        result = CliRunner().invoke(
            program, [*arguments], input=given, env={**hidden, **environment}, prog_name="mcp-core"
        )
    DatabaseConnection.dispose()
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


@contextlib.contextmanager
def logs_as_before() -> Iterator[None]:
    """Commands set up logging for their process; here it is pytest's again afterwards."""
    root, loggers = logging.getLogger(), [logging.getLogger(name) for name in ("mcp_core", "authlib")]
    handlers, levels = root.handlers[:], [logger.level for logger in (root, *loggers)]
    try:
        yield
    finally:
        root.handlers[:] = handlers
        for logger, level in zip((root, *loggers), levels, strict=True):
            logger.setLevel(level)
        logging.captureWarnings(capture=False)
