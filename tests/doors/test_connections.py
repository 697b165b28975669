"""What one connection may take of the server: bytes and seconds of a head, requests in advance, a place."""

from __future__ import annotations

import pytest

from provider.doors import reading
from provider.start import connections
from provider.start.connections import (
    HEAD_SECONDS,
    MAX_FRAMING_BYTES,
    MAX_HEAD_BYTES,
    MAX_IN_ADVANCE,
    READER_SECONDS,
)
from tests.doors.wire import ASK, SLOW, World, in_world, settled


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
    assert MAX_HEAD_BYTES == reading.MAX_HEAD_BYTES


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


@pytest.mark.parametrize("asked", [ASK, ASK.replace(b"/health", b"/now")], ids=["of somebody", "at once"])
@pytest.mark.parametrize("count, refused", [(MAX_IN_ADVANCE, set()), (MAX_IN_ADVANCE + 3, {b"400"})])
def test_few_requests_are_taken_in_advance(asked: bytes, count: int, refused: set[bytes]) -> None:
    async def story(world: World) -> None:
        connection, wire = world.connect()
        connection.data_received(asked * count)
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


@pytest.mark.parametrize("asked", [ASK, ASK.replace(b"/health", b"/now")], ids=["of somebody", "at once"])
def test_at_the_end_who_has_just_connected_may_ask_once(asked: bytes) -> None:
    async def story(world: World) -> None:
        (fresh, first), (served, second) = world.connect(), world.connect()
        served.data_received(ASK)
        await settled()
        fresh.shutdown()
        served.shutdown()
        assert (first.end, second.end) == ("", "closed")
        fresh.data_received(asked)
        await settled()
        assert (first.statuses, first.end) == ([b"200"], "closed")
        assert b"connection: close" in first.said.lower()

    in_world(story)
