"""A folder that OCI's command line and SDKs read: a configuration, the key that it names, and the session token for it."""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mcp_core_cloud.errors import CloudError
from mcp_core_cloud.private_files import write_private

_NAMED = ("user_ocid", "fingerprint", "tenancy_ocid", "region")
_KEPT = 2  # whoever has read the configuration may be about to read what it names
_IN_LINE = re.compile(r"[\x21-\x7E]+")
_OURS = re.compile(r"(?:key|token)-([0-9a-f]{16})(?:\.pem)?")


def write_profile(folder: Path, answer: Mapping[str, Any]) -> None:
    """Writes ``config`` last, and all else under new names: a key and a token that do not belong together are in no
    configuration. Raises ``CloudError``.

    OCI, "SDK and CLI Configuration File" and "Token-based Authentication for the CLI".
    """
    given = answer["credentials"]
    if not given.get("private_key"):
        raise CloudError("This account has no credentials of the form that OCI's SDKs use.", "format")
    said = {field.removesuffix("_ocid"): given[field] for field in _NAMED if given.get(field)}
    if not all(_IN_LINE.fullmatch(value) for value in said.values()):
        raise CloudError("The server named what no configuration of OCI takes.", "format")
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder = folder.resolve()
    except OSError as error:
        raise CloudError(f"{folder} cannot be made: {error.strerror}.", "file") from None
    name = secrets.token_hex(8)
    said["key_file"] = str(folder / f"key-{name}.pem")
    write_private(Path(said["key_file"]), given["private_key"])
    if given.get("token"):
        said["security_token_file"] = str(folder / f"token-{name}")
        write_private(Path(said["security_token_file"]), given["token"])
    write_private(folder / "config", "[DEFAULT]\n" + "".join(f"{key}={value}\n" for key, value in said.items()))
    _remove_old(folder)


def _remove_old(folder: Path) -> None:
    found = [(path, match[1]) for path in folder.iterdir() if (match := _OURS.fullmatch(path.name))]
    written = {name: path.stat().st_mtime_ns for path, name in found}
    old = sorted(written, key=lambda name: written[name])[:-_KEPT]
    for path, name in found:
        if name in old:
            path.unlink(missing_ok=True)
