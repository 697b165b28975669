"""A connection of ``mcp-core serve`` without a network: what is said on it, and a door that answers when it is told to."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from provider.protocol.messages import ProtocolResponse
from provider.start.connections import BoundedConnection
from provider.start.server import Server

ASK = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"
SLOW = b"POST /slow HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n"


class Wire(asyncio.Transport):
    """What the other side sees: what was said, and how it ended. ``unread`` bytes wait to be read there.

    ``is_read``: what it says more is taken in.
    """

    def __init__(self, address: str | None = "192.0.2.10") -> None:
        super().__init__({"peername": address and (address, 50_000)})
        self.said = b""
        self.end = ""
        self.unread = 0
        self.is_read = True

    def write(self, data: Any) -> None:
        self.said += bytes(data)

    def close(self) -> None:
        self.end = self.end or "closed"

    def abort(self) -> None:
        self.end = "aborted"

    def is_closing(self) -> bool:
        return bool(self.end)

    def get_write_buffer_size(self) -> int:
        return self.unread

    def pause_reading(self) -> None:
        self.is_read = False

    def resume_reading(self) -> None:
        self.is_read = True

    @property
    def statuses(self) -> list[bytes]:
        return [part[:3] for part in self.said.split(b"HTTP/1.1 ")[1:]]


class SlowDoor:
    """Answers ``/now`` at once, ``/slow`` when it is told to, and everything else when it is asked: with ``responses``,
    where there is one for the path, or an exception for what goes wrong; or else with the path."""

    def __init__(self) -> None:
        self.finished = asyncio.Event()
        self.responses: dict[str, ProtocolResponse | Exception] = {}
        self.bodies: list[bytes | None] = []

    async def __call__(self, scope: Mapping[str, Any], receive: Any, send: Any) -> None:
        raise AssertionError("a message for each part costs more than the whole")

    def at_once(self, scope: Mapping[str, Any]) -> ProtocolResponse | None:
        return self._response(scope) if scope["path"].startswith("/now") else None

    async def answer(self, scope: Mapping[str, Any], receive: Any, body: bytes | None) -> ProtocolResponse | None:
        self.bodies.append(body)
        if scope["path"] == "/slow":
            await self.finished.wait()
        return None if scope["path"] == "/left" else self._response(scope)

    def _response(self, scope: Mapping[str, Any]) -> ProtocolResponse:
        response = self.responses.get(scope["path"]) or ProtocolResponse(200, [], scope["path"].encode())
        if isinstance(response, Exception):
            raise response
        return response


class World:
    """A server with a ``SlowDoor``, whose ``/slow`` is answered when ``finish`` is called."""

    def __init__(self) -> None:
        self.door = SlowDoor()
        self._server = Server(self.door)

    async def finish(self) -> None:
        self.door.finished.set()
        await settled()

    def connect(self, address: str | None = "192.0.2.10") -> tuple[BoundedConnection, Wire]:
        connection, wire = self._server._connection(), Wire(address)
        connection.connection_made(wire)
        return connection, wire

    @property
    def now(self) -> float:
        return asyncio.get_running_loop().time()


async def settled() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


def in_world(story: Callable[[World], Awaitable[None]]) -> None:
    async def tell() -> None:
        await story(World())

    asyncio.run(tell())
