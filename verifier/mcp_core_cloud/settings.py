"""Which server, and which key: from the command line, the environment, or a file that only its owner reads."""

from __future__ import annotations

import json
import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mcp_core_cloud.errors import CloudError
from mcp_core_cloud.private_files import MAX_BYTES, read_private, write_private
from mcp_core_verifier.http import checked_url

ISSUER, KEY_ID = "MCP_CORE_ISSUER", "MCP_CORE_KEY_ID"
KEY_SECRET, KEY_SECRET_FILE = "MCP_CORE_KEY_SECRET", "MCP_CORE_KEY_SECRET_FILE"
_NAMES = {"issuer", "key_id", "key_secret"}
_WORD = re.compile(r"[!-~]{1,255}")


@dataclass(frozen=True, slots=True)
class CloudSettings:
    issuer: str
    key_id: str
    key_secret: str = field(repr=False)


def environment() -> Mapping[str, str]:
    return os.environ


def usual_file(environ: Mapping[str, str]) -> Path:
    """``~/.config/mcp-core/cloud.toml``, or where this system keeps such files."""
    folder = environ.get("XDG_CONFIG_HOME") or (environ.get("APPDATA") if os.name == "nt" else None)
    return (Path(folder) if folder else Path.home() / ".config") / "mcp-core" / "cloud.toml"


def load(environ: Mapping[str, str], *, issuer: str | None = None, file: Path | None = None) -> CloudSettings:
    """``issuer`` and ``file`` are of the command line and come first. Raises ``CloudError`` that names what is missing.

    A file that is named there takes the place of the key in the environment.
    """
    said = _of_file(file) if file is not None else _of_environment(environ)
    if not _NAMES - {"issuer"} <= said.keys():
        path = usual_file(environ)
        said = {**(_of_file(path) if file is None and path.exists() else {}), **said}
    if issuer is not None:
        said["issuer"] = issuer
    missing = sorted(_NAMES - said.keys())
    if missing:
        raise CloudError(f"There is no {missing[0]}. Run: mcp-core-cloud configure", "configuration")
    return checked(**said)


def checked(issuer: str, key_id: str, key_secret: str) -> CloudSettings:
    """Settings of the right form. Raises ``CloudError``, which never repeats a secret."""
    try:
        checked_url(issuer)
    except ValueError:
        raise CloudError(
            "The issuer must be an https URL (plain http is for this machine alone).", "configuration"
        ) from None
    if not _WORD.fullmatch(key_id) or not _WORD.fullmatch(key_secret) or ":" in key_id:
        raise CloudError("The key id or the key's secret has not the form of one.", "configuration")
    return CloudSettings(issuer.rstrip("/"), key_id, key_secret)


def save(path: Path, settings: CloudSettings) -> None:
    """Raises ``CloudError``."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise CloudError(f"{path.parent} cannot be made: {error.strerror}.", "file") from None
    lines = [f"{name} = {json.dumps(getattr(settings, name))}" for name in ("issuer", "key_id", "key_secret")]
    write_private(path, "\n".join(lines) + "\n")


def _of_environment(environ: Mapping[str, str]) -> dict[str, str]:
    said = {"issuer": environ.get(ISSUER), "key_id": environ.get(KEY_ID), "key_secret": environ.get(KEY_SECRET)}
    if not said["key_secret"] and environ.get(KEY_SECRET_FILE):
        said["key_secret"] = _secret_of(Path(environ[KEY_SECRET_FILE]))
    return {name: value.strip() for name, value in said.items() if value}


def _secret_of(path: Path) -> str:
    """What a container or a service manager has put there: who else may read it is their business."""
    try:
        with path.open("rb") as file:
            return file.read(MAX_BYTES).decode("ascii").strip()
    except (OSError, UnicodeDecodeError):
        raise CloudError(f"{path} cannot be read.", "file") from None


def _of_file(path: Path) -> dict[str, str]:
    try:
        said = tomllib.loads(read_private(path))
    except FileNotFoundError:
        raise CloudError(f"There is no {path}.", "file") from None
    except tomllib.TOMLDecodeError:
        raise CloudError(f"{path} is no TOML. Run: mcp-core-cloud configure", "configuration") from None
    if not said.keys() <= _NAMES or not all(isinstance(value, str) for value in said.values()):
        raise CloudError(f"{path} has issuer, key_id and key_secret, as text, and nothing else.", "configuration")
    return said
