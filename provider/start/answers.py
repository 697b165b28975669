"""An answer as HTTP/1.1 has it on the wire (RFC 9112 §4, §5)."""

from __future__ import annotations

from collections.abc import Iterable
from http import HTTPStatus
from typing import Final

from provider.protocol.messages import ProtocolResponse

_WITHOUT_BODY: Final = (204, 304)
# What would end a line, or mean something to whoever reads a log. A tab may stand in a value.
_CONTROLS: Final = bytes({*range(0x20), 0x7F} - {0x09})
_STATUS_LINES: Final = {status.value: f"HTTP/1.1 {status.value} {status.phrase}" for status in HTTPStatus}


def as_bytes(response: ProtocolResponse, also: Iterable[tuple[bytes, bytes]], *, is_to_head: bool) -> bytes:
    """All of it. ``also`` are further headers. ``is_to_head``: to a request for the head alone.

    Raises ``ValueError`` for a header that is more than one line, or beyond ISO 8859-1.
    """
    lines = [_STATUS_LINES.get(response.status) or f"HTTP/1.1 {response.status} "]
    has_length = response.status in _WITHOUT_BODY
    for name, value in response.headers:
        lines.append(f"{name}: {value}")
        has_length = has_length or name == "Content-Length"
    if not has_length:
        lines.append(f"Content-Length: {len(response.body)}")
    head = "\n".join(lines).encode("latin-1")
    if len(head) - len(head.translate(None, _CONTROLS)) != len(lines) - 1:
        raise ValueError("a header of an answer has a control character in it")
    parts = [
        head.replace(b"\n", b"\r\n"),
        *(b"%b: %b" % pair for pair in also),
        b"",
        b"" if is_to_head else response.body,
    ]
    return b"\r\n".join(parts)
