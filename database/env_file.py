"""``.env``: what it says, letter for letter. A line that says nothing stops the start, and is named by its number."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from pathlib import Path

from dotenv.parser import Binding, parse_stream

from database.faults import ConfigurationError

ENV_FILE = Path(".env")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
_OURS = re.compile(r"(?:MCP|MYSQL)_", re.IGNORECASE)


def read_env_file(path: Path = ENV_FILE) -> dict[str, str]:
    """The names and values of the file; none where there is no file. Raises ``ConfigurationError``.

    ``NAME=value`` lines, also with ``export`` in front, with the value in quotes or not; blank lines and comments.
    Nothing is put in for ``$``. No message shows a value: it may be a password.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}") from None
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise ConfigurationError(f"{path} cannot be read: line {line} is not UTF-8") from None
    values, problems = dict[str, str](), list[str]()
    for number, binding in _lines(text):
        problem = _problem(binding)
        if problem is not None:
            problems.append(f"{path}, line {number}: {problem}")
        elif binding.key is not None:
            values[binding.key] = binding.value or ""
    if problems:
        raise ConfigurationError("\n".join(problems))
    return values


def _lines(text: str) -> Iterator[tuple[int, Binding]]:
    """What stands in the text, with the number of the line on which it begins: the parser counts blank ones to it."""
    for binding in parse_stream(io.StringIO(text, newline=None)):
        written = binding.original.string
        blank = written[: len(written) - len(written.lstrip())].count("\n")
        yield binding.original.line + blank, binding


def _problem(binding: Binding) -> str | None:
    if binding.error or (binding.key is not None and binding.value is None):
        return "expected NAME=value. A value with blanks, quotes or # stands in 'single quotes'"
    if binding.key is not None and not _NAME.fullmatch(binding.key):
        return "a name has letters, digits and _ only"
    if binding.key is not None and _OURS.match(binding.key) and "\n" in (binding.value or ""):
        return f"{binding.key} goes on over the end of the line. Is a quotation mark missing?"
    return None
