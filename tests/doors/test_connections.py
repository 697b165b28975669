"""What one connection may take of the server: bytes and seconds of a head, requests in advance, a place."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import pytest

from provider.doors import asynchronous
from provider.start import connections
from provider.start.connections import (
    HEAD_SECONDS,
    MAX_FRAMING_BYTES,
    MAX_HEAD_BYTES,
    MAX_IN_ADVANCE,
    READER_SECONDS,
    BoundedConnection,
)
from provider.start.server import Server

ASK = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"
SLOW = b"POST /slow HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n"


class Wire(asyncio.Transport):
    """What the other side sees: what was said, and how it ended. ``unread`` bytes wait to be read there."""

    def __init__(self, address: str | None = "192.0.2.10") -> None:
        super().__init__({"peername": address and (address, 50_000)})
        self.said = b""
        self.end = ""
        self.unread = 0

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

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...

    @property
    def statuses(self) -> list[bytes]:
        return [part[:3] for part in self.said.split(b"HTTP/1.1 ")[1:]]


class World:
    """A server whose ``/slow`` is answered when ``finish`` is called, and everything else at once."""

    def __init__(self) -> None:
        self._finished = asyncio.Event()
        self._server = Server(self._door)

    async def _door(self, scope: Mapping[str, Any], receive: Any, send: Callable[[Any], Awaitable[None]]) -> None:
        if scope["path"] == "/slow":
            await self._finished.wait()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})

    async def finish(self) -> None:
        self._finished.set()
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


@pytest.mark.parametrize("beginning", [
    b"GET /" + b"x" * 10,
    b"GET / HTTP/1.1\r\nCookie: a=",
    b"GET / HTTP/1.1\r\nX-A: b\r\nX",
    b"\r\n" * 5,
    ASK + b"GET / HTTP/1.1\r\nCookie: a=",
    SLOW.replace(b"100000", b"0") + b"GET / HTTP/1.1\r\nCookie: a=",
], ids=["address", "value", "name", "nothing but ends of lines", "after a request", "beside a request in hand"])  # fmt: skip
def test_a_head_that_does_not_end_is_refused_by_its_bytes(beginning: bytes) -> None:
    async def story(world: World) -> None:
        connection, wire = world.connect()
        connection.data_received(beginning)
        await settled()
        sent, filling = 0, b"\r\n" * 512 if beginning.isspace() else b"y" * 1024
        while not wire.end and sent < 2 * MAX_HEAD_BYTES:
            connection.data_received(filling)
            sent += len(filling)
        assert wire.end == "closed"
        assert wire.statuses[-1] == b"431"
        assert sent <= MAX_HEAD_BYTES + len(filling)

    in_world(story)


@pytest.mark.parametrize(
    "part", [b"1;" + b"x" * 500 + b"\r\ny\r\n", b"0\r\nX: " + b"y" * 400], ids=["sizes", "trailers"]
)
def test_what_is_around_the_parts_of_a_body_is_counted(part: bytes) -> None:
    async def story(world: World) -> None:
        connection, wire = world.connect()
        connection.data_received(SLOW.replace(b"Content-Length: 100000", b"Transfer-Encoding: chunked"))
        await settled()
        sent, following = 0, part.replace(b"0\r\n", b"\r\n") if part.startswith(b"0") else part
        while not wire.end and sent < 2 * MAX_FRAMING_BYTES:
            connection.data_received(following if sent else part)
            sent += len(part)
        assert wire.end == "closed"
        assert sent <= MAX_FRAMING_BYTES + 2 * len(part) + sent // 100

    in_world(story)


def test_a_head_may_be_as_large_for_the_connection_as_for_the_door() -> None:
    assert MAX_HEAD_BYTES == asynchronous.MAX_HEAD_BYTES


def test_bytes_of_a_body_are_none_of_a_head() -> None:
    async def story(world: World) -> None:
        connection, wire = world.connect()
        connection.data_received(SLOW + b"x" * 60_000)
        connection.data_received(b"x" * 40_000)
        await world.finish()
        connection.data_received(ASK)
        await settled()
        assert (wire.statuses, wire.end) == ([b"200", b"200"], "")

    in_world(story)


@pytest.mark.parametrize("sent, ends", [
    (b"", True), (b"GET / HTT", True), (SLOW.replace(b"/slow", b"/"), True), (SLOW, False),
], ids=["nothing", "half a head", "a body after its answer", "a request in hand"])  # fmt: skip
def test_who_does_not_ask_in_time_is_hung_up_on(sent: bytes, *, ends: bool) -> None:
    async def story(world: World) -> None:
        connection, wire = world.connect()
        connection.data_received(sent)
        await settled()
        connection.data_received(b"x" if sent.startswith(b"POST") else b"")
        connection.look(world.now + HEAD_SECONDS - 1)
        assert wire.end == ""
        connection.look(world.now + HEAD_SECONDS + 1)
        assert bool(wire.end) == ends

    in_world(story)


@pytest.mark.parametrize("sizes, ends", [
    ([9, 9], True), ([9, 8], False), ([9, 0], False), ([0, 9], False),
], ids=["nothing is read", "some is read", "all is read", "it has just been written"])  # fmt: skip
def test_who_reads_nothing_is_hung_up_on(sizes: list[int], *, ends: bool) -> None:
    async def story(world: World) -> None:
        connection, wire = world.connect()
        connection.data_received(ASK)
        await settled()
        for number, size in enumerate(sizes):
            wire.unread = size
            connection.look(world.now + number * (READER_SECONDS + 1))
        assert bool(wire.end) == ends

    in_world(story)


@pytest.mark.parametrize("count, refused", [(MAX_IN_ADVANCE, set()), (MAX_IN_ADVANCE + 3, {b"400"})])
def test_few_requests_are_taken_in_advance(count: int, refused: set[bytes]) -> None:
    async def story(world: World) -> None:
        connection, wire = world.connect()
        connection.data_received(ASK * count)
        for _ in range(count):
            await settled()
        assert set(wire.statuses) - {b"200"} == refused
        assert bool(wire.end) == bool(refused)

    in_world(story)


def test_where_all_places_are_taken_one_that_asks_nothing_makes_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "MAX_CONNECTIONS", 2)

    async def story(world: World) -> None:
        (asking, first), (idle, second) = world.connect(), world.connect()
        asking.data_received(SLOW)
        await settled()
        newcomer, third = world.connect()
        assert (first.end, second.end, third.end) == ("", "aborted", "")
        idle.connection_lost(None)
        newcomer.data_received(SLOW)
        await settled()
        refused, fourth = world.connect()
        assert (first.end, third.end, fourth.end) == ("", "", "aborted")
        refused.data_received(ASK)
        refused.connection_lost(None)
        assert fourth.said == b""
        await world.finish()
        assert (first.statuses, third.statuses) == ([b"200"], [b"200"])

    in_world(story)


def test_who_has_gone_before_being_greeted_is_nobody_to_answer() -> None:
    async def story(world: World) -> None:
        connection, wire = world.connect(address=None)
        connection.data_received(ASK)
        await settled()
        assert (wire.said, wire.end) == (b"", "aborted")

    in_world(story)


def test_at_the_end_who_has_just_connected_may_ask_once() -> None:
    async def story(world: World) -> None:
        (fresh, first), (served, second) = world.connect(), world.connect()
        served.data_received(ASK)
        await settled()
        fresh.shutdown()
        served.shutdown()
        assert (first.end, second.end) == ("", "closed")
        fresh.data_received(ASK)
        await settled()
        assert (first.statuses, first.end) == ([b"200"], "closed")
        assert b"connection: close" in first.said.lower()

    in_world(story)
