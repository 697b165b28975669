"""What one connection may take: seconds and bytes of a head, requests in advance, time for an answer to leave, a place.

uvicorn parses, and waits for a head and for a reader as long as they like. What bodies and answers may cost is the front
door's to say (``provider.doors.asynchronous``), which gives each answer as a whole: it is written at once.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Mapping
from typing import Any, Final, Protocol

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from provider.protocol.messages import ProtocolResponse
from provider.start.answers import as_bytes

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
_CLOSE = ("Connection", "close")
_TOO_LARGE = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"  # RFC 6585 §5
)


class Door(Protocol):
    """Who answers. Also an ASGI application, which is all that uvicorn itself knows of it."""

    def __call__(self, scope: Mapping[str, Any], receive: Any, send: Any) -> Any: ...

    def at_once(self, scope: Mapping[str, Any]) -> ProtocolResponse | None:
        """None for what somebody has to be waited for."""

    async def answer(self, scope: Mapping[str, Any], receive: Any, body: bytes | None) -> ProtocolResponse | None:
        """``body`` is None where it is not here yet. Answers None to who has left."""


class TooManyInAdvance(Exception):
    """More requests have been sent without waiting for an answer than are kept in memory."""


class BoundedConnection(HttpToolsProtocol):
    """One of ``MAX_CONNECTIONS`` at most: where there are so many, one that asks for nothing makes room for the next."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._has_place = self._is_last = False
        self._waiting_since: float | None = None
        self._head_bytes = self._framing_bytes = 0
        self._has_progressed = self._in_head = self._in_body = self._may_answer = False
        self._unread = 0
        self._unread_since = self._idle_since = 0.0

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
            self.cycle = None  # type: ignore[assignment] # which knows the connection: both would wait to be collected

    def data_received(self, data: bytes) -> None:
        if not self._has_place or self.transport.is_closing():
            return
        self._has_progressed, self._may_answer = False, True
        super().data_received(data)
        if not self._has_progressed:
            self._count(len(data))
        if self.is_asking or (self._has_progressed and not self._in_head):
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
        self._in_head = True
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._has_progressed, self._in_head, self._in_body = True, False, True
        self._head_bytes = self._framing_bytes = 0
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._framing_bytes -= len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._has_progressed, self._in_body = True, False
        super().on_message_complete()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        """Where uvicorn begins an answer."""
        if self.transport.is_closing():  # asked behind what was answered for the last time
            return
        # The first of what has just been read. Whoever sends a thousand with it waits for as many turns of the loop.
        may_answer, self._may_answer = self._may_answer and not self.flow.write_paused, False
        if not (may_answer and self._answers_at_once(app, cycle)):
            super()._start_asgi_task(cycle, functools.partial(self._answer, app, cycle))

    def _answers_at_once(self, door: Door, cycle: RequestResponseCycle) -> bool:
        """False also where that fails: it is seen again, by who can say what became of it."""
        try:
            response = door.at_once(cycle.scope)
            message = None if response is None else self._message(cycle, response)
        except Exception:
            return False
        if message is None:
            return False
        self._write(cycle, message)
        return True

    async def _answer(
        self, door: Door, cycle: RequestResponseCycle, scope: Mapping[str, Any], receive: Any, _send: Any
    ) -> None:
        body = None if cycle.more_body else bytes(cycle.body)
        response = await door.answer(scope, receive, body)
        if response is None:
            return
        if self.flow.write_paused:
            await self.flow.drain()
        if not cycle.disconnected:
            self._write(cycle, self._message(cycle, response))

    def _message(self, cycle: RequestResponseCycle, response: ProtocolResponse) -> bytes:
        if _CLOSE not in response.headers and (self._is_last or not cycle.keep_alive):
            response.headers.append(_CLOSE)
        cycle.keep_alive = _CLOSE not in response.headers
        return as_bytes(response, self.server_state.default_headers, is_to_head=cycle.scope["method"] == "HEAD")

    def _write(self, cycle: RequestResponseCycle, message: bytes) -> None:
        cycle.response_started = cycle.response_complete = True
        self.transport.write(message)
        if not cycle.keep_alive:
            self.transport.close()
        cycle.on_response()

    def on_response_complete(self) -> None:
        """Goes on with the next request. uvicorn would begin a timer where there is none."""
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
        else:
            self._idle_since = self.loop.time()

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
        """Ends the connection where a head takes too long to come, or an answer to leave, or nothing is asked any more.
        ``now`` is the loop's time."""
        is_idle = self._waiting_since is None and not self.is_asking
        if is_idle and now - self._idle_since > IDLE_SECONDS:
            self.transport.close()
        is_late = self._waiting_since is not None and now - self._waiting_since > HEAD_SECONDS
        unread = self.transport.get_write_buffer_size()
        if not unread or unread < self._unread or not self._unread:
            self._unread_since = now
        self._unread = unread
        if is_late or (unread and now - self._unread_since > READER_SECONDS):
            self.transport.abort()
