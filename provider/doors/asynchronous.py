"""The asynchronous front door: ASGI, for ``mcp-core serve``.

A request is read completely, byte for byte, before a thread or a transaction is taken for it: who sends slowly keeps
nobody waiting. Documents that need no database are answered from the loop itself; tokens are made several at a time; the
rest goes into lanes, the machine endpoints and the pages each into their own.
"""

from __future__ import annotations

import asyncio
import functools
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any
from urllib.parse import unquote_to_bytes
from wsgiref.types import WSGIApplication

from database.faults import DATABASE_ERRORS
from provider.doors.bare import ANSWER
from provider.doors.doorway import MAX_BODY_BYTES, Doorway
from provider.doors.endpoint import Endpoint, Paths
from provider.doors.environment import call_wsgi, environment
from provider.doors.gathering import Gathering
from provider.doors.insistence import Insistence
from provider.doors.lanes import ClientLeft, Lane
from provider.doors.line import LaneFull
from provider.doors.transactions import unavailable
from provider.protocol.errors import OAuthError
from provider.protocol.messages import ProtocolRequest, ProtocolResponse

MAX_HEAD_BYTES, MAX_HEAD_FIELDS = 32_768, 100
BODY_SECONDS = 10.0
MAX_UNFINISHED_BYTES = 16 * 1024 * 1024
# Files: so many are in hand at once, of one source and of all, from their first byte to the answer.
FILE_SECONDS, MAX_FILES_OF_ONE, MAX_FILES = 30.0, 2, 6
# Who goes on after refusals waits so long for the next one, unless too many wait like that already.
HELD_UP_SECONDS, MAX_HELD_UP = 1.0, 256
_BODILESS = ("GET", "HEAD", "OPTIONS")
_JSON_REFUSAL = {"error": "invalid_request"}

Receive = Callable[[], Awaitable[Mapping[str, Any]]]
Send = Callable[[Mapping[str, Any]], Awaitable[None]]
Busy = Callable[[str, int], ProtocolResponse]


class _Refused(Exception):
    """The request is answered with this status before anything is done."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class AsynchronousDoor:
    """An ASGI application.

    ``behind`` is the WSGI application that has the pages, ``busy`` their answer when too many ask: of ``Accept-Language``
    and a status, 429 for who asks too much alone, 503 for what others do. ``files`` are the pages that take one: how many
    bytes the body of a request to that path may have.
    """

    def __init__(
        self,
        doorway: Doorway,
        endpoints: Iterable[Endpoint],
        behind: WSGIApplication,
        *,
        gathering: Gathering,
        machines: Lane,
        pages: Lane,
        busy: Busy,
        files: Mapping[str, int],
    ) -> None:
        self._doorway = doorway
        bare = [item for item in endpoints if item.bare]
        self._endpoints: Mapping[str, Endpoint] = {item.path: item for item in bare if not item.shows_pages}
        self._visited = Paths(item for item in bare if item.shows_pages)
        self._behind = behind
        self._gathering, self._machines, self._pages = gathering, machines, pages
        self._busy = busy
        self._files = files
        self._files_of: Counter[str] = Counter()
        self._at_machines, self._at_pages = Insistence(), Insistence()
        self._unfinished_bytes = self._held_up = 0

    async def __call__(self, scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise ValueError("only HTTP is spoken here")
        try:
            response = await self._answer(scope, receive)
        except ClientLeft:
            return
        method = scope["method"]
        headers = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in response.headers]
        if response.status not in (204, 304) and not any(name == b"content-length" for name, _ in headers):
            headers.append((b"content-length", str(len(response.body)).encode()))
        await send({"type": "http.response.start", "status": response.status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if method == "HEAD" else response.body})

    async def _answer(self, scope: Mapping[str, Any], receive: Receive) -> ProtocolResponse:
        raw_path: bytes = scope["raw_path"]
        path = (unquote_to_bytes(raw_path) if b"%" in raw_path else raw_path).decode("latin-1")
        endpoint = self._endpoints.get(path)
        try:
            headers = _headers(scope["headers"])
            if endpoint is None:
                return await self._page(scope, path, headers, receive)
            return await self._machine(scope, endpoint, headers, receive)
        except _Refused as refused:
            response = ProtocolResponse.json(_JSON_REFUSAL, refused.status, [("Connection", "close")])
            return self._doorway.protect(response) if endpoint is None else self._doorway.finish(endpoint, response)

    async def _machine(
        self, scope: Mapping[str, Any], endpoint: Endpoint, headers: dict[str, str], receive: Receive
    ) -> ProtocolResponse:
        doorway, method, query = self._doorway, scope["method"], scope["query_string"].decode("latin-1")
        refusal = doorway.refusal(endpoint, method, query, headers.get("content-length", ""))
        if refusal is not None:
            return refusal
        refused = None if endpoint.at_once else self._at_machines.refusal(self._source(scope, headers))
        if refused is not None:
            await self._hold_up()
            return _without_a_place(doorway, endpoint, is_own_share=refused == 429)
        body = b"" if method in _BODILESS else await self._body(receive)
        headers.setdefault("content-type", "")
        request = doorway.request(method, endpoint.path, query, headers, body, scope["client"][0])
        if endpoint.at_once:
            response = doorway.answer_at_once(endpoint, request)
            if response is not None:
                return response
        try:
            response = await self._worked_out(endpoint, request, receive)
        except LaneFull as full:
            response = _without_a_place(doorway, endpoint, is_own_share=full.is_own_share)
        self._at_machines.note(request.source, response.status)
        return response

    async def _worked_out(self, endpoint: Endpoint, request: ProtocolRequest, receive: Receive) -> ProtocolResponse:
        """Together with other calls, or else in the lane. Raises ``LaneFull`` and ``ClientLeft``."""
        response = await self._gathered(endpoint, request)
        if response is not None:
            return response
        alone = functools.partial(self._doorway.answer, endpoint, request)
        return await self._machines.run(request.source, alone, functools.partial(_client_leaves, receive))

    async def _gathered(self, endpoint: Endpoint, request: ProtocolRequest) -> ProtocolResponse | None:
        """None for what has to be answered alone. Raises ``LaneFull``."""
        if not endpoint.may_gather(request):
            return None
        try:
            return await self._gathering.run(
                request.source, functools.partial(self._doorway.answer_in_unit, endpoint, request)
            )
        except DATABASE_ERRORS:
            return self._doorway.finish(endpoint, unavailable())

    async def _page(
        self, scope: Mapping[str, Any], path: str, headers: dict[str, str], receive: Receive
    ) -> ProtocolResponse:
        source, language = self._source(scope, headers), headers.get("accept-language", "")
        refused = self._at_pages.refusal(source)
        if refused is not None:
            await self._hold_up()
            return self._busy(language, refused)
        if scope["method"] == "POST" and path in self._files:
            return await self._page_with_file(scope, path, headers, receive, self._files[path])
        announced = headers.get("content-length", "")
        body = b""
        # What is too long by its own word, or shorter than that, is the application's to refuse, with a page.
        if scope["method"] not in _BODILESS and not self._doorway.is_too_long(announced):
            body = await self._body(receive, is_judged_here=False, must_end=not announced)
            headers.setdefault("content-length", str(len(body)))
        return await self._page_of(scope, path, headers, body, receive)

    async def _page_with_file(
        self, scope: Mapping[str, Any], path: str, headers: dict[str, str], receive: Receive, most: int
    ) -> ProtocolResponse:
        """Few at a time, since each is kept in memory. One that is too long is read to its end and forgotten, so that the
        browser comes to see the page that says so."""
        source = self._source(scope, headers)
        if self._files_of[source] >= MAX_FILES_OF_ONE or self._files_of.total() >= MAX_FILES:
            return self._busy(headers.get("accept-language", ""), 503)
        self._files_of[source] += 1
        try:
            is_too_long = self._doorway.is_too_long(headers.get("content-length", ""), most)
            body = await self._file(receive, 0 if is_too_long else most)
            headers.setdefault("content-length", str(len(body)))
            return await self._page_of(scope, path, headers, body, receive)
        finally:
            self._files_of[source] -= 1
            if not self._files_of[source]:
                del self._files_of[source]

    async def _page_of(
        self, scope: Mapping[str, Any], path: str, headers: dict[str, str], body: bytes, receive: Receive
    ) -> ProtocolResponse:
        source, language = self._source(scope, headers), headers.get("accept-language", "")
        environ = environment(scope, path, headers, body)
        try:
            answer = await self._visit(scope, path, headers)
            if answer is not None and answer.page is None:
                self._at_pages.note(source, answer.status)
                return answer
            if answer is not None:
                environ[ANSWER] = answer
            work = functools.partial(call_wsgi, self._behind, environ)
            response = await self._pages.run(source, work, functools.partial(_client_leaves, receive))
        except LaneFull as full:
            response = self._busy(language, 429 if full.is_own_share else 503)
        self._at_pages.note(source, response.status)
        return response

    async def _visit(self, scope: Mapping[str, Any], path: str, headers: dict[str, str]) -> ProtocolResponse | None:
        """The answer of an endpoint for people to a request without a body, where it is made together with other calls.

        None for whatever Flask, or the endpoint in front of it, answers alone. Raises ``LaneFull``.
        """
        endpoint = self._visited.find(path) if scope["method"] in _BODILESS else None
        if endpoint is None or not endpoint.gathers:
            return None
        method, query = scope["method"], scope["query_string"].decode("latin-1")
        if self._doorway.refusal(endpoint, method, query, "") is not None:
            return None
        return await self._gathered(
            endpoint, self._doorway.request(method, path, query, headers, b"", scope["client"][0])
        )

    async def _hold_up(self) -> None:
        """A pause that costs a connection and nothing else."""
        if self._held_up < MAX_HELD_UP:
            self._held_up += 1
            try:
                await asyncio.sleep(HELD_UP_SECONDS)
            finally:
                self._held_up -= 1

    def _source(self, scope: Mapping[str, Any], headers: Mapping[str, str]) -> str:
        return self._doorway.source_of(scope["client"][0], headers.get("x-forwarded-for", ""))

    @staticmethod
    async def _file(receive: Receive, most: int) -> bytes:
        """A body, as far as ``most`` bytes and one more. The rest is read and let go of. Raises ``_Refused``."""
        parts: list[bytes] = []
        kept = 0
        try:
            async with asyncio.timeout(FILE_SECONDS):
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise _Refused(400)
                    part = message.get("body", b"")[: most + 1 - kept]
                    kept += len(part)
                    parts.append(part)
                    if not message.get("more_body", False):
                        return b"".join(parts)
        except TimeoutError:
            raise _Refused(408) from None

    async def _body(self, receive: Receive, *, is_judged_here: bool = True, must_end: bool = True) -> bytes:
        """All of it. Raises ``_Refused`` for one that is too slow, or cut off where it ``must_end``.

        And for one that is too long, unless somebody else judges that: then it is returned as far as it is too long.
        """
        parts: list[bytes] = []
        size = 0
        try:
            async with asyncio.timeout(BODY_SECONDS):
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":  # cut off on its way: what is missing may matter
                        if must_end:
                            raise _Refused(400)
                        return b"".join(parts)
                    part = message.get("body", b"")
                    size += len(part)
                    self._unfinished_bytes += len(part)
                    if size > MAX_BODY_BYTES:
                        if is_judged_here:
                            raise _Refused(413)
                        return b"".join((*parts, part))
                    if self._unfinished_bytes > MAX_UNFINISHED_BYTES:
                        raise _Refused(503)
                    parts.append(part)
                    if not message.get("more_body", False):
                        return b"".join(parts)
        except TimeoutError:
            raise _Refused(408) from None
        finally:
            self._unfinished_bytes -= size


def _without_a_place(doorway: Doorway, endpoint: Endpoint, *, is_own_share: bool) -> ProtocolResponse:
    error = OAuthError.slow_down(1) if is_own_share else OAuthError.temporarily_unavailable()
    return doorway.finish(endpoint, ProtocolResponse.json(error.body(), error.status, error.headers))


async def _client_leaves(receive: Receive) -> None:
    """Returns when whoever asked has gone."""
    while (await receive())["type"] != "http.disconnect":
        pass


def _headers(pairs: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """Lower-case names, repetitions joined (RFC 9110 §5.3). Values are text whose characters are the bytes sent.

    A name with an underscore is left out: in a WSGI environment it would pass for the one with a hyphen.
    """
    headers: dict[str, str] = {}
    size = 0
    for number, (raw_name, raw_value) in enumerate(pairs):
        size += len(raw_name) + len(raw_value)
        if size > MAX_HEAD_BYTES or number >= MAX_HEAD_FIELDS:
            raise _Refused(431)
        name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
        if "_" in name:
            continue
        known = headers.get(name)
        headers[name] = value if known is None else f"{known}{'; ' if name == 'cookie' else ', '}{value}"
    return headers
