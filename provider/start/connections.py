"""What one connection may take: seconds and bytes of a head, requests in advance, time for an answer to leave, a place.

uvicorn parses and answers, and waits for a head and for a reader as long as they like. What bodies and answers may cost is
the front door's to say (``provider.doors.asynchronous``).
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

HEAD_SECONDS: Final = 10
MAX_HEAD_BYTES: Final = 32_768
# Of a body that comes in parts: their sizes, and the fields that may follow the last one.
MAX_FRAMING_BYTES: Final = 1_048_576
READER_SECONDS: Final = 30
# Longer than proxies keep theirs, so that none asks by a connection that is just being closed.
IDLE_SECONDS: Final = 75
MAX_CONNECTIONS: Final = 4096
MAX_IN_ADVANCE: Final = 16
LAST_SECONDS: Final = 1.0
_TOO_LARGE = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"  # RFC 6585 §5
)


class TooManyInAdvance(Exception):
    """More requests have been sent without waiting for an answer than are kept in memory."""


class BoundedConnection(HttpToolsProtocol):
    """One of ``MAX_CONNECTIONS`` at most: where there are so many, one that asks for nothing makes room for the next."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._has_place = self._is_last = False
        self._waiting_since: float | None = None
        self._head_bytes = self._framing_bytes = 0
        self._has_progressed = self._in_body = False
        self._unread = 0
        self._unread_since = 0.0

    @property
    def is_asking(self) -> bool:
        """Whether a request is in hand: its head is here and its answer is not complete."""
        cycle: RequestResponseCycle | None = self.cycle
        return cycle is not None and not cycle.response_complete

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        if len(self.connections) >= MAX_CONNECTIONS:
            idle = next((item for item in self.connections if not getattr(item, "is_asking", True)), None)
            if idle is None:
                transport.abort()
                return
            idle.transport.abort()
        self._has_place = True
        super().connection_made(transport)
        self._waiting_since = self.loop.time()
        if self.client is None:  # it has gone already, and nothing says who it was
            transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._has_place:
            super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if not self._has_place or self.transport.is_closing():
            return
        self._has_progressed = False
        super().data_received(data)
        if not self._has_progressed:
            self._count(len(data))
        if self.is_asking:
            self._waiting_since = None
        elif self._waiting_since is None:
            self._waiting_since = self.loop.time()

    def _count(self, size: int) -> None:
        """Bytes that brought neither a head nor a body to its end."""
        if self._in_body:
            self._framing_bytes += size
        else:
            self._head_bytes += size
        is_too_much = self._head_bytes > MAX_HEAD_BYTES or self._framing_bytes > MAX_FRAMING_BYTES
        if is_too_much and not self.transport.is_closing():
            self.transport.write(_TOO_LARGE)
            self.transport.close()

    def on_message_begin(self) -> None:
        if len(self.pipeline) >= MAX_IN_ADVANCE:
            raise TooManyInAdvance  # the parser stops, and the connection ends with 400
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._has_progressed = self._in_body = True
        self._head_bytes = self._framing_bytes = 0
        super().on_headers_complete()
        cycle: RequestResponseCycle | None = self.cycle
        if self._is_last and cycle is not None:
            cycle.keep_alive = False

    def on_body(self, body: bytes) -> None:
        self._framing_bytes -= len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._has_progressed, self._in_body = True, False
        super().on_message_complete()

    def shutdown(self) -> None:
        """The server ends. Who has only just connected may still ask, once and at once."""
        cycle: RequestResponseCycle | None = self.cycle
        if cycle is not None:
            super().shutdown()
        else:
            self._is_last = True
            self.loop.call_later(LAST_SECONDS, self._end_unless_asking)

    def _end_unless_asking(self) -> None:
        if not self.is_asking:
            self.transport.close()

    def look(self, now: float) -> None:
        """Ends the connection where a head takes too long to come, or an answer to leave. ``now`` is the loop's time."""
        is_late = self._waiting_since is not None and now - self._waiting_since > HEAD_SECONDS
        unread = self.transport.get_write_buffer_size()
        if not unread or unread < self._unread or not self._unread:
            self._unread_since = now
        self._unread = unread
        if is_late or (unread and now - self._unread_since > READER_SECONDS):
            self.transport.abort()
