"""The one door to the provider: bounded exchanges, made by one thread of our own.

Code of threads and code of event loops wait for the same exchange, and one that drips its answer byte by byte is cut off at
the deadline. Follows no redirect and asks no proxy of the environment.
"""

from __future__ import annotations

import asyncio
import json
import os
import threading
import weakref
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import Future
from typing import Any, TypeVar
from urllib.parse import urlsplit

import httpx

MAX_BYTES = 65_536
STOP_SECONDS = 5
LOOPBACK_HOSTS = ("localhost", "127.0.0.1", "::1")
_JSON_TYPES = ("application/json", "application/jwk-set+json", "application/token-introspection+json")
_Result = TypeVar("_Result")


class FetchFailed(Exception):
    """Nothing usable came back. The text says why, without any of the body. ``status`` is 0 when none came."""

    def __init__(self, why: str, status: int = 0) -> None:
        super().__init__(why)
        self.status = status


def checked_url(url: str, *, allow_http: bool = False) -> str:
    """``url`` if it may be asked: https, or plain http on this machine. Raises ``ValueError``."""
    parts = urlsplit(url)
    is_safe = parts.scheme == "https" or (parts.scheme == "http" and (allow_http or parts.hostname in LOOPBACK_HOSTS))
    if not is_safe or not parts.hostname or parts.username or parts.fragment:
        raise ValueError(f"{url!r} is no https URL (plain http is for loopback)")
    return url


class _Loop:
    """A thread with an event loop and the connections to the provider."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        self.pid = os.getpid()
        self.loop = asyncio.new_event_loop()
        self.client = httpx.AsyncClient(
            **{"trust_env": False, "limits": httpx.Limits(max_connections=50), **options, "follow_redirects": False}
        )
        self.thread = threading.Thread(target=self._run, name="mcp-core-verifier", daemon=True)
        self.thread.start()

    def _run(self) -> None:
        try:
            self.loop.run_forever()
        finally:
            self.loop.run_until_complete(self._end())
            self.loop.close()

    async def _end(self) -> None:
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await self.client.aclose()

    def stop(self) -> None:
        if self.pid == os.getpid() and not self.loop.is_closed():
            self.loop.call_soon_threadsafe(self.loop.stop)
            if threading.current_thread() is not self.thread:
                self.thread.join(STOP_SECONDS)


class Http:
    """``options`` go to ``httpx.AsyncClient`` (``verify`` for a private certificate authority, ``proxy``)."""

    def __init__(self, *, timeout_seconds: float, options: Mapping[str, Any] | None = None) -> None:
        self.timeout_seconds = timeout_seconds
        self._options = dict(options or {}) | {"timeout": timeout_seconds}
        self._loop: _Loop | None = None
        self._lock = threading.Lock()
        self._finalizer: weakref.finalize[Any, Any] | None = None

    def submit(self, work: Callable[[], Coroutine[Any, Any, _Result]]) -> Future[_Result]:
        """Runs ``work`` in our thread. A process that was forked gets a thread and connections of its own."""
        with self._lock:
            if self._loop is None or self._loop.pid != os.getpid():
                self._loop = _Loop(self._options)
                self._finalizer = weakref.finalize(self, self._loop.stop)
            return asyncio.run_coroutine_threadsafe(work(), self._loop.loop)

    def close(self) -> None:
        """Ends the thread and closes the connections. Later use starts anew."""
        with self._lock:
            loop, self._loop = self._loop, None
            if self._finalizer is not None:
                self._finalizer.detach()
        if loop is not None:
            loop.stop()

    async def get_json(self, url: str) -> dict[str, Any]:
        """The JSON object at ``url``. Raises ``FetchFailed``. Runs in our thread only."""
        return await self._exchange("GET", url, headers={"Cache-Control": "no-cache"})

    async def post_form(self, url: str, form: Mapping[str, str], auth: str) -> dict[str, Any]:
        """The JSON object that answers ``form``; ``auth`` is the ``Authorization`` header. Raises ``FetchFailed``."""
        return await self._exchange("POST", url, headers={"Authorization": auth}, data=dict(form))

    async def _exchange(self, method: str, url: str, *, headers: dict[str, str], **content: Any) -> dict[str, Any]:
        if (ours := self._loop) is None:
            raise FetchFailed("the verifier was closed")
        headers |= {"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": "mcp-core-verifier"}
        body = b""
        try:
            async with (
                asyncio.timeout(self.timeout_seconds),
                ours.client.stream(method, url, headers=headers, **content) as answer,
            ):
                if answer.status_code != httpx.codes.OK:
                    raise FetchFailed(f"{url} answered {answer.status_code}", answer.status_code)
                if answer.headers.get("content-type", "").partition(";")[0].strip().lower() not in _JSON_TYPES:
                    raise FetchFailed(f"{url} did not answer with JSON", answer.status_code)
                if answer.headers.get("content-encoding", "identity") != "identity":
                    raise FetchFailed(f"{url} answered compressed", answer.status_code)
                async for piece in answer.aiter_raw():
                    body += piece
                    if len(body) > MAX_BYTES:
                        raise FetchFailed(f"{url} answered with more than {MAX_BYTES} bytes", answer.status_code)
        except (TimeoutError, httpx.TimeoutException):
            raise FetchFailed(f"{url} did not answer within {self.timeout_seconds:g} s") from None
        except FetchFailed:
            raise
        except Exception as error:  # whatever the client library makes of a strange answer
            raise FetchFailed(f"{url} cannot be reached: {type(error).__name__} {error}".rstrip()) from None
        try:
            value = json.loads(body)
        except (ValueError, RecursionError):
            raise FetchFailed(f"{url} did not answer with JSON") from None
        if not isinstance(value, dict):
            raise FetchFailed(f"{url} did not answer with a JSON object")
        return value
