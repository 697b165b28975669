"""Answers are given as a whole and written at once: at the head, in order, and as HTTP has them."""

from __future__ import annotations

import asyncio
import gc
import itertools
import weakref

import pytest

from provider.protocol.messages import ProtocolResponse
from provider.start.answers import as_bytes
from provider.start.connections import HEAD_SECONDS, IDLE_SECONDS, MAX_IN_ADVANCE
from tests.doors.wire import ASK, SLOW, World, in_world, settled

CLOSE = b"Connection: close\r\n"
HALF = b"GET /now HTT"


def ask(path: str, more: str = "", *, method: str = "GET", version: str = "1.1") -> bytes:
    return f"{method} {path} HTTP/{version}\r\nHost: localhost\r\n{more}\r\n".encode()


def bodies(said: bytes) -> list[bytes]:
    return [answer.partition(b"\r\n\r\n")[2] for answer in said.split(b"HTTP/1.1 ")[1:]]


@pytest.mark.parametrize("status, headers, body, to_head, lines", [
    (200, [("A", "b")], b"xy", False, b"HTTP/1.1 200 OK\r\nA: b\r\nContent-Length: 2\r\ndate: d\r\n\r\nxy"),
    (200, [], b"xy", True, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\ndate: d\r\n\r\n"),
    (200, [("Content-Length", "9")], b"", True, b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\ndate: d\r\n\r\n"),
    (204, [], b"", False, b"HTTP/1.1 204 No Content\r\ndate: d\r\n\r\n"),
    (304, [("ETag", '"a"')], b"", False, b'HTTP/1.1 304 Not Modified\r\nETag: "a"\r\ndate: d\r\n\r\n'),
    (303, [("Location", "/\u00e9\t.")], b"", False,
     b"HTTP/1.1 303 See Other\r\nLocation: /\xe9\t.\r\nContent-Length: 0\r\ndate: d\r\n\r\n"),
    (299, [], b"", False, b"HTTP/1.1 299 \r\nContent-Length: 0\r\ndate: d\r\n\r\n"),
    (200, [("A", "1"), ("A", "2")], b"", False,
     b"HTTP/1.1 200 OK\r\nA: 1\r\nA: 2\r\nContent-Length: 0\r\ndate: d\r\n\r\n"),
])  # fmt: skip
def test_an_answer_on_the_wire(
    status: int, headers: list[tuple[str, str]], body: bytes, *, to_head: bool, lines: bytes
) -> None:
    response = ProtocolResponse(status, headers, body)
    assert as_bytes(response, [(b"date", b"d")], is_to_head=to_head) == lines


@pytest.mark.parametrize("name, value", [
    ("Location", "/a\r\nSet-Cookie: b=c"), ("Location", "/a\nb"), ("Location", "/a\rb"), ("A", "\x00"), ("A", "\x1b[1m"),
    ("A", "\x7f"), ("A\r\nB", "c"), ("A", "\n"), ("A", "한국어"),
])  # fmt: skip
def test_no_header_is_more_than_a_line(name: str, value: str) -> None:
    with pytest.raises(ValueError, match=r"control character|latin-1"):
        as_bytes(ProtocolResponse(200, [("X", "y"), (name, value)]), [], is_to_head=False)


@pytest.mark.parametrize("status, headers, body", [
    (200, [("Content-Length", "3")], b"ab"), (200, [("content-length", "1")], b"ab"), (200, [("Content-Length", "x")], b""),
    (204, [], b"ab"), (304, [], b"ab"), (304, [("Content-Length", "2")], b"ab"),
])  # fmt: skip
def test_no_body_is_read_as_another_answer(status: int, headers: list[tuple[str, str]], body: bytes) -> None:
    with pytest.raises(ValueError, match="not as long"):
        as_bytes(ProtocolResponse(status, headers, body), [], is_to_head=False)


@pytest.mark.parametrize("path", ["/now", "/later"])
@pytest.mark.parametrize(
    "fault", [ProtocolResponse(200, [("Location", "/a\r\nSet-Cookie: b=c")]), ValueError("what went wrong")]
)
def test_what_cannot_be_answered_is_said_in_one_sentence(path: str, fault: ProtocolResponse | Exception) -> None:
    async def story(world: World) -> None:
        world.door.responses[path] = fault
        connection, wire = world.connect()
        connection.data_received(ask(path))
        await settled()
        assert (wire.statuses, bodies(wire.said), wire.end) == ([b"500"], [b"Internal Server Error"], "closed")
        assert b"Set-Cookie" not in wire.said

    in_world(story)


def test_what_needs_nobody_is_answered_before_anything_else_is_done() -> None:
    async def story(world: World) -> None:
        connection, wire = world.connect()
        for count in (1, 2, 3):
            connection.data_received(ask("/now"))
            assert (bodies(wire.said), wire.end) == ([b"/now"] * count, "")
        connection.data_received(ask("/now", "Content-Length: 3\r\n") + b"abc" + ask("/now/2"))
        assert bodies(wire.said) == [b"/now"] * 4
        await settled()
        assert bodies(wire.said) == [b"/now"] * 4 + [b"/now/2"]

    in_world(story)


def test_who_sends_many_requests_at_once_waits_for_a_turn_with_each() -> None:
    async def story(world: World) -> None:
        connection, wire = world.connect()
        connection.data_received(ask("/now") * MAX_IN_ADVANCE)
        seen = [len(bodies(wire.said))]
        while seen[-1] < MAX_IN_ADVANCE and len(seen) < 10 * MAX_IN_ADVANCE:
            await asyncio.sleep(0)
            seen.append(len(bodies(wire.said)))
        assert seen[-1] == MAX_IN_ADVANCE
        assert max(after - before for before, after in itertools.pairwise([0, *seen])) == 1

    in_world(story)


def test_a_connection_that_is_gone_waits_for_nobody_to_collect_it() -> None:
    async def story(world: World) -> None:
        for path in ("/now", "/later"):
            connection, _wire = world.connect()
            connection.data_received(ask(path))
            await settled()
            connection.connection_lost(None)
            gone = weakref.ref(connection)
            del connection, _wire
            await settled()
            assert gone() is None, path

    gc.disable()
    try:
        in_world(story)
    finally:
        gc.enable()


def test_answers_come_in_the_order_of_the_requests() -> None:
    async def story(world: World) -> None:
        connection, wire = world.connect()
        connection.data_received(ask("/now/1") + ask("/slow") + ask("/now/2") + ask("/3") + ask("/now/4"))
        await settled()
        assert (bodies(wire.said), wire.is_read) == ([b"/now/1"], False)
        await world.finish()
        await settled()
        assert bodies(wire.said) == [b"/now/1", b"/slow", b"/now/2", b"/3", b"/now/4"]
        assert (wire.end, wire.is_read) == ("", True)

    in_world(story)


@pytest.mark.parametrize("path", ["/now", "/later"])
def test_nothing_is_added_to_what_is_not_read(path: str) -> None:
    async def story(world: World) -> None:
        connection, wire = world.connect()
        connection.pause_writing()
        connection.data_received(ask(path))
        await settled()
        assert wire.said == b""
        connection.resume_writing()
        await settled()
        assert bodies(wire.said) == [path.encode()]

    in_world(story)


@pytest.mark.parametrize("path", ["/now", "/later"])
@pytest.mark.parametrize("more, version, ends", [
    ("Connection: close\r\n", "1.1", True), ("", "1.0", True), ("", "1.1", False),
])  # fmt: skip
def test_nothing_follows_an_answer_that_was_to_be_the_last(path: str, more: str, version: str, *, ends: bool) -> None:
    async def story(world: World) -> None:
        connection, wire = world.connect()
        connection.data_received(ask(path, more, version=version) + ask("/now/2") + ask("/3"))
        await settled()
        await settled()
        assert bodies(wire.said) == ([path.encode()] if ends else [path.encode(), b"/now/2", b"/3"])
        assert (CLOSE in wire.said, bool(wire.end)) == (ends, ends)

    in_world(story)


@pytest.mark.parametrize("path", ["/now", "/later"])
def test_a_door_may_say_that_an_answer_is_the_last(path: str) -> None:
    async def story(world: World) -> None:
        world.door.responses[path] = ProtocolResponse(408, [("Connection", "close")])
        connection, wire = world.connect()
        connection.data_received(ask(path) + ask("/now/2") + ask("/3"))
        await settled()
        await settled()
        assert (wire.statuses, wire.said.count(CLOSE), wire.end) == ([b"408"], 1, "closed")

    in_world(story)


def test_the_head_of_an_answer_is_as_long_as_it_says() -> None:
    async def story(world: World) -> None:
        connection, wire = world.connect()
        for path in ("/now", "/later"):
            connection.data_received(ask(path, method="HEAD"))
            await settled()
        assert bodies(wire.said) == [b"", b""]
        assert [b"Content-Length: %d\r\n" % size in wire.said for size in (4, 6)] == [True, True]

    in_world(story)


def test_who_has_left_is_answered_nothing() -> None:
    async def story(world: World) -> None:
        connection, wire = world.connect()
        connection.data_received(SLOW + b"x" * 100_000)
        await settled()
        connection.connection_lost(None)
        await world.finish()
        assert wire.said == b""

    in_world(story)


@pytest.mark.parametrize("sent, body", [
    (ask("/a"), b""), (ask("/a", "Content-Length: 3\r\n") + b"abc", b"abc"),
    (ask("/a", "Content-Length: 4\r\n") + b"abc", None),
    (ask("/a", "Transfer-Encoding: chunked\r\n") + b"3\r\nabc\r\n0\r\n\r\n", b"abc"),
    (ask("/a", "Transfer-Encoding: chunked\r\n") + b"3\r\nabc\r\n", None),
    (ask("/a", "Expect: 100-continue\r\nContent-Length: 3\r\n"), None),
], ids=["none", "all", "unfinished", "all parts", "some parts", "one that is asked for"])  # fmt: skip
def test_a_body_that_is_here_is_given_as_a_whole(sent: bytes, body: bytes | None) -> None:
    async def story(world: World) -> None:
        connection, _wire = world.connect()
        connection.data_received(sent)
        await settled()
        assert world.door.bodies == [body]

    in_world(story)


@pytest.mark.parametrize("sent, after, ends", [
    (ask("/now"), IDLE_SECONDS - 1, False), (ask("/now"), IDLE_SECONDS + 1, True),
    (ASK, IDLE_SECONDS - 1, False), (ASK, IDLE_SECONDS + 1, True), (SLOW, IDLE_SECONDS + 1, False),
    (ask("/now") + HALF, HEAD_SECONDS + 1, True), (ASK + HALF, IDLE_SECONDS + 1, True),
])  # fmt: skip
def test_who_asks_nothing_more_is_hung_up_on(sent: bytes, after: float, *, ends: bool) -> None:
    async def story(world: World) -> None:
        connection, wire = world.connect()
        connection.data_received(sent)
        await settled()
        connection.look(world.now + after)
        assert bool(wire.end) == ends

    in_world(story)
