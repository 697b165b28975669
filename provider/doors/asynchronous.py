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
from provider.doors.reading import Bodies, Receive, Refused, headers_of, path_of
from provider.doors.transactions import unavailable
from provider.protocol.errors import OAuthError
from provider.protocol.messages import ProtocolRequest, ProtocolResponse

# Files: so many are in hand at once, of one source and of all, from their first byte to the answer.
MAX_FILES_OF_ONE, MAX_FILES = 2, 6
# Who goes on after refusals waits so long for the next one, unless too many wait like that already.
HELD_UP_SECONDS, MAX_HELD_UP = 1.0, 256
_BODILESS = ("GET", "HEAD", "OPTIONS")
_JSON_REFUSAL = {"error": "invalid_request"}

Send = Callable[[Mapping[str, Any]], Awaitable[None]]
Busy = Callable[[str, int], ProtocolResponse]


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
        self._bodies = Bodies()
        self._held_up = 0

    async def __call__(self, scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise ValueError("only HTTP is spoken here")
        response = self.at_once(scope) or await self.answer(scope, receive)
        if response is None:
            return
        headers = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in response.headers]
        if response.status not in (204, 304) and not any(name == b"content-length" for name, _ in headers):
            headers.append((b"content-length", str(len(response.body)).encode()))
        await send({"type": "http.response.start", "status": response.status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else response.body})

    def at_once(self, scope: Mapping[str, Any]) -> ProtocolResponse | None:
        """The answer to a request for a document that needs no database. None for every other."""
        endpoint = self._endpoints.get(path_of(scope))
        if endpoint is None or not endpoint.at_once:
            return None
        try:
            headers = headers_of(scope)
        except Refused:
            return None
        refusal = self._refusal(scope, endpoint, headers)
        if refusal is not None:
            return refusal
        return self._doorway.answer_at_once(endpoint, self._request(scope, endpoint.path, headers, b""))

    async def answer(
        self, scope: Mapping[str, Any], receive: Receive, body: bytes | None = None
    ) -> ProtocolResponse | None:
        """Every answer that ``at_once`` does not give. None where whoever asked has left meanwhile.

        ``body`` is all of it where it is here already: to read it by ``receive`` costs a timer.
        """
        path = path_of(scope)
        endpoint = self._endpoints.get(path)
        try:
            headers = headers_of(scope)
            if endpoint is None:
                return await self._page(scope, path, headers, receive)
            return await self._machine(scope, endpoint, headers, body, receive)
        except ClientLeft:
            return None
        except Refused as refused:
            response = ProtocolResponse.json(_JSON_REFUSAL, refused.status, [("Connection", "close")])
            return self._doorway.protect(response) if endpoint is None else self._doorway.finish(endpoint, response)

    async def _machine(
        self,
        scope: Mapping[str, Any],
        endpoint: Endpoint,
        headers: dict[str, str],
        body: bytes | None,
        receive: Receive,
    ) -> ProtocolResponse:
        refusal = self._refusal(scope, endpoint, headers)
        if refusal is not None:
            return refusal
        refused = None if endpoint.at_once else self._at_machines.refusal(self._source(scope, headers))
        if refused is not None:
            await self._hold_up()
            return _without_a_place(self._doorway, endpoint, is_own_share=refused == 429)
        if scope["method"] in _BODILESS:
            body = b""
        elif body is None or len(body) > MAX_BODY_BYTES:
            body = await self._bodies.whole(receive)
        request = self._request(scope, endpoint.path, headers, body)
        try:
            response = await self._worked_out(endpoint, request, receive)
        except LaneFull as full:
            response = _without_a_place(self._doorway, endpoint, is_own_share=full.is_own_share)
        self._at_machines.note(request.source, response.status)
        return response

    def _refusal(
        self, scope: Mapping[str, Any], endpoint: Endpoint, headers: Mapping[str, str]
    ) -> ProtocolResponse | None:
        """What is answered before the body is read."""
        query: bytes = scope["query_string"]
        return self._doorway.refusal(
            endpoint, scope["method"], query.decode("latin-1"), headers.get("content-length", "")
        )

    def _request(self, scope: Mapping[str, Any], path: str, headers: dict[str, str], body: bytes) -> ProtocolRequest:
        headers.setdefault("content-type", "")
        query: bytes = scope["query_string"]
        return self._doorway.request(scope["method"], path, query.decode("latin-1"), headers, body, scope["client"][0])

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
            body = await self._bodies.whole(receive, is_judged_here=False, must_end=not announced)
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
            body = await self._bodies.file(receive, 0 if is_too_long else most)
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
        if self._refusal(scope, endpoint, {}) is not None:
            return None
        return await self._gathered(endpoint, self._request(scope, path, headers, b""))

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


def _without_a_place(doorway: Doorway, endpoint: Endpoint, *, is_own_share: bool) -> ProtocolResponse:
    error = OAuthError.slow_down(1) if is_own_share else OAuthError.temporarily_unavailable()
    return doorway.finish(endpoint, ProtocolResponse.json(error.body(), error.status, error.headers))


async def _client_leaves(receive: Receive) -> None:
    """Returns when whoever asked has gone."""
    while (await receive())["type"] != "http.disconnect":
        pass
