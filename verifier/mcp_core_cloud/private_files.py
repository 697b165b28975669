"""Files that only their owner may read."""

from __future__ import annotations

import os
import secrets
import stat
from pathlib import Path

from mcp_core_cloud.errors import CloudError

MAX_BYTES = 65_536


def write_private(path: Path, text: str) -> None:
    """Writes ``path`` at once and with mode 0600: whoever reads it meets the old text or the new one, never a half.

    Raises ``CloudError``.
    """
    beside = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            beside.replace(path)
        except BaseException:
            beside.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise CloudError(f"{path} cannot be written: {error.strerror}.", "file") from None


def read_private(path: Path) -> str:
    """The text of a file of ours that nobody else may read. Raises ``CloudError``, ``FileNotFoundError``."""
    try:
        with path.open("rb") as file:
            known = os.fstat(file.fileno())
            if os.name == "posix" and stat.S_IMODE(known.st_mode) & 0o077:
                raise CloudError(f"{path} can be read by others. Run: chmod 600 {path}", "file")
            if os.name == "posix" and known.st_uid not in (0, os.geteuid()):
                raise CloudError(f"{path} belongs to somebody else.", "file")
            text = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise CloudError(f"{path} cannot be read: {error.strerror}.", "file") from None
    if len(text) > MAX_BYTES:
        raise CloudError(f"{path} is too long.", "file")
    try:
        return text.decode("utf-8")
    except UnicodeDecodeError:
        raise CloudError(f"{path} is no text.", "file") from None
