"""The one door to other servers: metadata, keys, signed requests and notices of the end of a session.

What a stranger names must never reach what only this machine or its network can reach. A name is resolved once, every
address it has must be public, and the connection goes to the address that was checked (CIMD draft-02 §6.5, RFC 8725 §3.10).
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import json
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

from provider.security.addresses import is_public_address
from provider.security.exchange import Exchange, FetchFailed

HTTP_OK = 200
MAX_URL_CHARACTERS = 2048
# A name that nobody answers for keeps the system's resolver busy for longer than we wait.
RESOLVER_THREADS = 32
# Requests that wait for another server, out of the threads that answer them: 4 unless an operator says otherwise.
WAITING_AT_ONCE = 2
PATIENCE_SECONDS = 0.3
_HOST = re.compile(r"(?:[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*\.?|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?")
_MAX_AGE = re.compile(r"max-age=([0-9]{1,9})")
Resolver = Callable[[str, int], Collection[str]]


class TooBusy(FetchFailed):
    """Nobody was asked: enough others are waiting for an answer already."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """A successful answer. ``max_age_seconds`` is what its ``Cache-Control`` allows, None when it says nothing."""

    body: bytes
    content_type: str
    max_age_seconds: int | None

    def json(self) -> Any:
        """Raises ``FetchFailed``."""
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            raise FetchFailed("the answer is not JSON") from None


def resolve(host: str, port: int) -> Collection[str]:
    return [str(found[4][0]) for found in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]


class Outbound:
    """HTTPS to the public internet, and to ``allowed_hosts``: names, with a port if it is not 443, that an operator trusts.

    Follows no redirect, asks no proxy, sends no credentials and no cookies. ``timeout_seconds`` bounds everything from the
    name's resolution to the last byte; ``max_bytes`` the body. ``ca_file`` adds authorities to those of the system.
    ``at_once`` threads may wait for an answer together, so that servers that give none can't hold up all of ours.
    """

    def __init__(
        self,
        *,
        allowed_hosts: Collection[str] = (),
        ca_file: Path | None = None,
        timeout_seconds: float = 5,
        resolver: Resolver = resolve,
        at_once: int = WAITING_AT_ONCE,
    ) -> None:
        self._allowed = frozenset(host.lower() for host in allowed_hosts)
        self._ca_file = ca_file
        self._timeout = timeout_seconds
        self._resolver = resolver
        self._turns = threading.BoundedSemaphore(at_once)
        self._mine = threading.local()
        self._context: ssl.SSLContext | None = None
        self._resolving: concurrent.futures.ThreadPoolExecutor | None = None
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def turn(self) -> Iterator[None]:
        """For who fetches, or waits for another thread that does. Raises ``TooBusy`` when too many do so already.

        A thread that has a turn may take it again.
        """
        has_one = getattr(self._mine, "is_taken", False)
        if not has_one and not self._turns.acquire(timeout=PATIENCE_SECONDS):
            raise TooBusy("too many requests wait for other servers")
        self._mine.is_taken = True
        try:
            yield
        finally:
            if not has_one:
                self._mine.is_taken = False
                self._turns.release()

    def get(self, url: str, *, content_types: Collection[str], max_bytes: int) -> Fetched:
        """The body at ``url``: status 200 and one of ``content_types``. Raises ``FetchFailed``, ``TooBusy``."""
        accept = {"Accept": ", ".join(content_types)}
        with self.turn(), self._exchange("GET", url, None, accept) as exchange:
            response = exchange.response
            if response.status != HTTP_OK:
                raise FetchFailed(f"status {response.status}")
            content_type = response.headers.get_content_type()
            if content_type not in content_types:
                raise FetchFailed("the answer has another content type")
            if response.headers.get("Content-Encoding", "identity") != "identity":
                raise FetchFailed("the answer is compressed")
            found = _MAX_AGE.search(response.headers.get("Cache-Control", ""))
            is_kept = "no-store" not in response.headers.get("Cache-Control", "")
            age = 0 if not is_kept else int(found[1]) if found else None
            return Fetched(exchange.read(max_bytes), content_type, age)

    def get_json(self, url: str, *, max_bytes: int, content_types: Collection[str] = ("application/json",)) -> Any:
        """The JSON value at ``url``. Raises ``FetchFailed``, ``TooBusy``."""
        return self.get(url, content_types=content_types, max_bytes=max_bytes).json()

    def post_form(self, url: str, fields: Mapping[str, str]) -> int:
        """Sends a form and returns the status of the answer, whose body is not read. Raises ``FetchFailed``."""
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        with self._exchange("POST", url, urlencode(fields).encode(), headers) as exchange:
            return exchange.response.status

    def _exchange(self, method: str, url: str, body: bytes | None, headers: Mapping[str, str]) -> Exchange:
        deadline = time.monotonic() + self._timeout
        host, port, path = self._target(url)
        addresses = self._addresses(host, port, deadline)
        return Exchange(addresses, host, port, self._tls(), deadline).begin(method, path, body, headers)

    def _target(self, url: str) -> tuple[str, int, str]:
        if len(url) > MAX_URL_CHARACTERS or not url.isascii() or not url.isprintable() or " " in url:
            raise FetchFailed("the address is no URL that we fetch")
        try:
            parts = urlsplit(url)
            host, port = parts.hostname or "", parts.port or 443
        except ValueError:
            raise FetchFailed("the address is no URL") from None
        if parts.scheme != "https" or "@" in parts.netloc or not _HOST.fullmatch(parts.netloc):
            raise FetchFailed("only https URLs with a host and without a user are fetched")
        if port != 443 and not self._is_allowed(host, port):
            raise FetchFailed("only port 443 is asked, and what MCP_OUTBOUND_ALLOWED_HOSTS names")
        path = parts.path or "/"
        return host, port, f"{path}?{parts.query}" if parts.query else path

    def _is_allowed(self, host: str, port: int) -> bool:
        shown = f"[{host}]" if ":" in host else host
        return f"{shown}:{port}" in self._allowed or (port == 443 and shown in self._allowed)

    def _addresses(self, host: str, port: int, deadline: float) -> list[str]:
        """What ``host`` resolves to. All of it must be public: of two answers the second one may be the trap."""
        with self._lock:
            if self._resolving is None:
                self._resolving = concurrent.futures.ThreadPoolExecutor(RESOLVER_THREADS, "resolver")
        asked = self._resolving.submit(self._resolver, host, port)
        try:
            addresses = list(dict.fromkeys(asked.result(timeout=max(0.0, deadline - time.monotonic()))))
        except concurrent.futures.TimeoutError:
            asked.cancel()
            raise FetchFailed("the name was not resolved in time") from None
        except (OSError, UnicodeError) as error:
            raise FetchFailed(f"the name cannot be resolved: {error}") from None
        if not addresses:
            raise FetchFailed("the name has no address")
        if not self._is_allowed(host, port) and not all(map(is_public_address, addresses)):
            raise FetchFailed("the name leads to an address that is not public")
        return addresses

    def _tls(self) -> ssl.SSLContext:
        with self._lock:
            if self._context is None:
                context = ssl.create_default_context()
                context.minimum_version = ssl.TLSVersion.TLSv1_2
                if self._ca_file is not None:
                    context.load_verify_locations(cafile=str(self._ca_file))
                self._context = context
            return self._context
