"""How much of what strangers send is taken and kept: counted in bytes of UTF-8, of which an emoji has four."""

from __future__ import annotations

import json

from provider.protocol.errors import OAuthError

# What one stored request or registration may take, all members together.
MAX_KEPT_BYTES = 16_384
_JSON = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False)


def fits(text: str | None, most: int) -> bool:
    """Whether ``text`` has at most ``most`` bytes. Nothing always fits."""
    return text is None or len(text.encode()) <= most


def cut(text: str, most: int) -> str:
    """``text`` as far as ``most`` bytes go, without half a character at the end."""
    return text if len(text) * 4 <= most else text.encode()[:most].decode(errors="ignore")


def kept_bytes(value: object) -> int:
    """What a JSON value takes in the database, which stores it without blanks and escapes."""
    return len(_JSON.encode(value).encode())


def check_kept(request: object) -> None:
    """Raises ``invalid_request`` for a request that is too large to be kept."""
    if kept_bytes(request) > MAX_KEPT_BYTES:
        raise OAuthError.invalid_request("The request is too large: 16,384 bytes are kept of one, all in all.")
