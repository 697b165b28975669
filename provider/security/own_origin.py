"""Asks this server's own public address, on behalf of ``doctor``: it may be on this machine, and speak plain HTTP there."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from provider.security.exchange import FetchFailed

READ_BYTES = 8192


def fetch_json(url: str, *, origin: str, timeout_seconds: float = 5, max_bytes: int = 65_536) -> Any:
    """The JSON value at ``url``, which must lie under ``origin`` (scheme and authority from our own configuration).

    Follows no redirect, asks no proxy, sends no credentials; ``timeout_seconds`` bounds the whole exchange and
    ``max_bytes`` the body. Raises ``FetchFailed``.
    """
    target, allowed = urlsplit(url), urlsplit(origin)
    if (target.scheme, target.netloc) != (allowed.scheme, allowed.netloc) or target.scheme not in ("http", "https"):
        raise FetchFailed("the address is not one of ours")
    deadline = time.monotonic() + timeout_seconds
    connection = _connection(target.scheme, target.hostname or "", target.port, timeout_seconds)
    try:
        connection.connect()
        with _hung_up_at(deadline, connection.sock):
            body = _exchange(connection, target.path or "/", deadline, max_bytes)
        return json.loads(body)
    except ssl.SSLError as error:
        raise FetchFailed(f"TLS failed: {error.reason or error}") from None
    except (OSError, http.client.HTTPException) as error:
        if isinstance(error, TimeoutError) or time.monotonic() >= deadline:
            raise FetchFailed(f"no answer within {timeout_seconds:g} s") from None
        raise FetchFailed(f"no connection: {error}") from None
    except (ValueError, RecursionError):
        raise FetchFailed("the answer is not JSON") from None
    finally:
        connection.close()


def _connection(scheme: str, host: str, port: int | None, timeout_seconds: float) -> http.client.HTTPConnection:
    if scheme == "http":
        return http.client.HTTPConnection(host, port, timeout=timeout_seconds)
    return http.client.HTTPSConnection(host, port, timeout=timeout_seconds, context=ssl.create_default_context())


def _exchange(connection: http.client.HTTPConnection, path: str, deadline: float, max_bytes: int) -> bytes:
    """The body of a good answer. Raises ``FetchFailed``, and ``TimeoutError`` for what was cut off by the deadline."""
    connection.request("GET", path, headers={"Accept": "application/json", "User-Agent": "mcp-core"})
    response = connection.getresponse()
    _check(deadline)
    if response.status != http.client.OK:
        raise FetchFailed(f"status {response.status}")
    if response.headers.get_content_type() != "application/json":
        raise FetchFailed("the answer is not application/json")
    body = b""
    while len(body) <= max_bytes:
        piece = response.read1(READ_BYTES)
        _check(deadline)
        if not piece:
            return body
        body += piece
    raise FetchFailed(f"the answer is longer than {max_bytes} bytes")


def _check(deadline: float) -> None:
    if time.monotonic() >= deadline:
        raise TimeoutError


@contextlib.contextmanager
def _hung_up_at(deadline: float, peer: socket.socket) -> Iterator[None]:
    """A server that sends a byte now and then, in head or body, cannot hold us beyond the deadline."""

    def hang_up() -> None:
        with contextlib.suppress(OSError):
            socket.socket.shutdown(peer, socket.SHUT_RDWR)  # as in exchange.py

    timer = threading.Timer(max(0, deadline - time.monotonic()), hang_up)
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
