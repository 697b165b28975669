"""An ASGI caller with the words of the WSGI one (``wsgi.py``): it sends what it is told to, and reads the answer as it is.

All calls of a test process run on one event loop in a thread, as those of a server do.
"""

from __future__ import annotations

import asyncio
import functools
import threading
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, TypeGuard

from provider.doors.asynchronous import AsynchronousDoor
from tests.endpoints.wsgi import Answer

HANG_SECONDS = 60
PIECE_BYTES = 16_384


@functools.cache
def loop() -> asyncio.AbstractEventLoop:
    made = asyncio.new_event_loop()
    threading.Thread(target=made.run_forever, name="test loop", daemon=True).start()
    return made


def send(
    door: AsynchronousDoor,
    method: str,
    path: str,
    *,
    query: str = "",
    body: bytes = b"",
    headers: Mapping[str, str] | Sequence[tuple[str, str]] | None = None,
    host: str = "localhost:8000",
    scheme: str = "http",
    source: str = "192.0.2.10",
    environ: Mapping[str, Any] | None = None,
) -> Answer:
    """One call. Of ``environ`` what a sender decides counts: CONTENT_LENGTH, and ``wsgi.input`` for the body."""
    odd = dict(environ or {})
    given = headers.items() if isinstance(headers, Mapping) else headers or ()
    pairs = [("host", host), *((name.lower(), value) for name, value in given)]
    length = str(len(body)) if body or method in ("POST", "PUT", "PATCH") else None
    length = odd.get("CONTENT_LENGTH", length)
    if length is not None:
        pairs.append(("content-length", length))
    stream = odd.get("wsgi.input")
    if stream is None:
        read = functools.partial(_pieces, memoryview(body)[: int(length)] if _is_number(length) else body)
    else:
        read = functools.partial(_read, stream)
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": method,
        "scheme": scheme,
        "path": path,
        "raw_path": path.encode("latin-1").replace(b"%", b"%25"),
        "query_string": query.encode("latin-1"),
        "headers": [(name.encode(), value.encode("latin-1", "replace")) for name, value in pairs],
        "client": (source, "49152"),
        "server": tuple(host.rpartition(":")[::2]) if ":" in host else (host, "80"),
    }
    is_cut_off = _is_number(length) and stream is None and int(length or 0) > len(body)
    return run(call(door, scope, read(), is_cut_off=is_cut_off))


def run(work: Any) -> Any:
    """What a coroutine returns, on the loop of the tests."""
    return asyncio.run_coroutine_threadsafe(work, loop()).result(HANG_SECONDS)


async def call(door: AsynchronousDoor, scope: Mapping[str, Any], pieces: Any, *, is_cut_off: bool = False) -> Answer:
    sent: list[Mapping[str, Any]] = []

    async def receive() -> Mapping[str, Any]:
        piece = next(pieces, None)
        if piece is not None:
            return {"type": "http.request", "body": piece, "more_body": True}
        if is_cut_off or receive.is_over:  # type: ignore[attr-defined]
            if not is_cut_off:
                await asyncio.Event().wait()  # whoever asked stays until the answer is there
            return {"type": "http.disconnect"}
        receive.is_over = True  # type: ignore[attr-defined]
        return {"type": "http.request", "body": b"", "more_body": False}

    receive.is_over = False  # type: ignore[attr-defined]

    async def answer(message: Mapping[str, Any]) -> None:
        sent.append(message)

    await door(scope, receive, answer)
    if not sent:
        raise Unanswered
    start, end = sent
    status = start["status"]
    headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in start["headers"]]
    reason = HTTPStatus(status).phrase if status in HTTPStatus._value2member_map_ else ""
    return Answer(status, reason, headers, end["body"])


class Unanswered(Exception):
    """The door said nothing: whoever asked has left."""


def _is_number(text: str | None) -> TypeGuard[str]:
    return text is not None and text.isascii() and text.isdigit() and len(text) < 19


def _pieces(body: bytes | memoryview) -> Any:
    return (bytes(body[at : at + PIECE_BYTES]) for at in range(0, len(body), PIECE_BYTES))


def _read(stream: Any) -> Any:
    while piece := stream.read(PIECE_BYTES):
        yield piece
