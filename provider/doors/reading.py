"""A request as it is read: what its head says, and its body. How large either may be, how slow, and all bodies together."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import unquote_to_bytes

from provider.doors.doorway import MAX_BODY_BYTES

MAX_HEAD_BYTES, MAX_HEAD_FIELDS = 32_768, 100
BODY_SECONDS = 10.0
MAX_UNFINISHED_BYTES = 16 * 1024 * 1024
FILE_SECONDS = 30.0

Receive = Callable[[], Awaitable[Mapping[str, Any]]]


class Refused(Exception):
    """The request is answered with this status before anything is done."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


def path_of(scope: Mapping[str, Any]) -> str:
    """Text whose characters are bytes."""
    raw_path: bytes = scope["raw_path"]
    return (unquote_to_bytes(raw_path) if b"%" in raw_path else raw_path).decode("latin-1")


def headers_of(scope: Mapping[str, Any]) -> dict[str, str]:
    """Lower-case names, repetitions joined (RFC 9110 §5.3). Values are text whose characters are the bytes sent.

    A name with an underscore is left out: in a WSGI environment it would pass for the one with a hyphen. Raises
    ``Refused``.
    """
    headers: dict[str, str] = {}
    size = 0
    for number, (raw_name, raw_value) in enumerate(scope["headers"]):
        size += len(raw_name) + len(raw_value)
        if size > MAX_HEAD_BYTES or number >= MAX_HEAD_FIELDS:
            raise Refused(431)
        name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
        if "_" in name:
            continue
        known = headers.get(name)
        headers[name] = value if known is None else f"{known}{'; ' if name == 'cookie' else ', '}{value}"
    return headers


class Bodies:
    """Bodies of one door, of which some are unfinished."""

    def __init__(self) -> None:
        self._unfinished_bytes = 0

    async def whole(self, receive: Receive, *, is_judged_here: bool = True, must_end: bool = True) -> bytes:
        """All of it. Raises ``Refused`` for one that is too slow, or cut off where it ``must_end``.

        And for one that is too long, unless somebody else judges that: then it is returned as far as it is too long.
        """
        parts: list[bytes] = []
        size = 0
        try:
            async with asyncio.timeout(BODY_SECONDS):
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":  # cut off on its way: what is missing may matter
                        if must_end:
                            raise Refused(400)
                        return b"".join(parts)
                    part = message.get("body", b"")
                    size += len(part)
                    self._unfinished_bytes += len(part)
                    if size > MAX_BODY_BYTES:
                        if is_judged_here:
                            raise Refused(413)
                        return b"".join((*parts, part))
                    if self._unfinished_bytes > MAX_UNFINISHED_BYTES:
                        raise Refused(503)
                    parts.append(part)
                    if not message.get("more_body", False):
                        return b"".join(parts)
        except TimeoutError:
            raise Refused(408) from None
        finally:
            self._unfinished_bytes -= size

    @staticmethod
    async def file(receive: Receive, most: int) -> bytes:
        """A body, as far as ``most`` bytes and one more. The rest is read and let go of. Raises ``Refused``."""
        parts: list[bytes] = []
        kept = 0
        try:
            async with asyncio.timeout(FILE_SECONDS):
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise Refused(400)
                    part = message.get("body", b"")[: most + 1 - kept]
                    kept += len(part)
                    parts.append(part)
                    if not message.get("more_body", False):
                        return b"".join(parts)
        except TimeoutError:
            raise Refused(408) from None
