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

    Raises ``ValueError`` for a header that is more than one line, or beyond ISO 8859-1, and for a body that is not as long
    as is said: what follows would be read as another answer.
    """
    lines = [_STATUS_LINES.get(response.status) or f"HTTP/1.1 {response.status} "]
    length = str(len(response.body))
    said = "0" if response.status in _WITHOUT_BODY else None
    for name, value in response.headers:
        lines.append(f"{name}: {value}")
        if said is None and name.lower() == "content-length":
            said = value
    if said is None:
        lines.append(f"Content-Length: {length}")
    elif said != length and not is_to_head:
        raise ValueError("the body of an answer is not as long as its head says")
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
