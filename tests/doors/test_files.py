"""A file is taken by its own page alone, few at a time, and one that is too long is read to its end and refused in words."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest
from sqlalchemy import Engine

from provider.accounts.pictures import MAX_BYTES
from provider.application import asynchronous_door_of
from provider.doors import asynchronous, reading
from provider.doors.asynchronous import AsynchronousDoor
from tests.doors.test_asynchronous import ask, exchange, piece, scope
from tests.endpoints import asgi
from tests.endpoints.provider import ProviderFactory

PICTURE = "/account/profile/picture"
FORM = {"content-type": "multipart/form-data; boundary=x", "sec-fetch-site": "same-origin"}


@pytest.fixture
def door(sqlite_engine: Engine, make_provider: ProviderFactory) -> AsynchronousDoor:
    return asynchronous_door_of(make_provider(sqlite_engine, door="asynchronous").app)


HEAD = b'--x\r\nContent-Disposition: form-data; name="picture"; filename="me.png"\r\n\r\n'


def pieces(size: int) -> list[dict[str, Any]]:
    """A form with a file, of ``size`` bytes in all."""
    body = HEAD + bytes(size - len(HEAD) - 9) + b"\r\n--x--\r\n"
    return [piece(body[at : at + 65_536], more=at + 65_536 < size) for at in range(0, size, 65_536)]


@pytest.mark.parametrize("announced", [True, False])
@pytest.mark.parametrize("path, size, status", [
    (PICTURE, MAX_BYTES, 403),
    (PICTURE, MAX_BYTES + 100_000, 413),
    (PICTURE, 20 * 1024 * 1024, 413),
    ("/account/profile", 100_000, 413),
])  # fmt: skip
def test_only_the_picture_page_reads_so_much(
    door: AsynchronousDoor, path: str, size: int, status: int, announced: bool
) -> None:
    """403: it was read to its end, and had no token in it."""
    length = {"content-length": str(size)} if announced else {}
    answer = ask(door, scope("POST", path, {**FORM, **length}), *pieces(size))
    assert answer.status == status
    if status == 413 and path == PICTURE:
        assert "A picture may have up to 2 MB." in answer.body.decode()


def test_a_file_that_does_not_come_is_waited_for_only_so_long(
    door: AsynchronousDoor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "FILE_SECONDS", 0.1)
    assert ask(door, scope("POST", PICTURE, FORM), piece(b"x", more=True)).status == 408
    left = ask(door, scope("POST", PICTURE, FORM), piece(b"x", more=True), {"type": "http.disconnect"})
    assert left.status == 400


def test_few_files_are_in_hand_at_once_and_fewer_of_one_source(door: AsynchronousDoor) -> None:
    async def crowd() -> tuple[list[int], int]:
        def begin(source: str) -> asyncio.Task[Any]:
            asked: Mapping[str, Any] = scope("POST", PICTURE, FORM, source)
            return asyncio.ensure_future(exchange(door, dict(asked), piece(b"x", more=True)))

        waiting = [begin(f"192.0.2.{number // asynchronous.MAX_FILES_OF_ONE}") for number in range(4)]
        await asyncio.sleep(0.01)
        third = await begin("192.0.2.0")
        waiting += [begin(f"198.51.100.{number}") for number in range(asynchronous.MAX_FILES - 4)]
        await asyncio.sleep(0.01)
        late = await begin("203.0.113.1")
        another = await exchange(door, scope("GET", "/login", source="203.0.113.1"))
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        assert another is not None
        return [third.status, late.status], another.status

    assert asgi.run(crowd()) == ([503, 503], 200)
    assert not door._files_of, "who has left holds nothing"
