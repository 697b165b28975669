"""Asks this server's own public address, on behalf of ``doctor``: it may be on this machine, and speak plain HTTP there."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
import time
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
        connection.request("GET", target.path or "/", headers={"Accept": "application/json", "User-Agent": "mcp-core"})
        response = connection.getresponse()
        if response.status != http.client.OK:
            raise FetchFailed(f"status {response.status}")
        if response.headers.get_content_type() != "application/json":
            raise FetchFailed("the answer is not application/json")
        return json.loads(_read(response, connection, deadline, max_bytes))
    except ssl.SSLError as error:
        raise FetchFailed(f"TLS failed: {error.reason or error}") from None
    except TimeoutError:
        raise FetchFailed(f"no answer within {timeout_seconds:g} s") from None
    except (OSError, http.client.HTTPException) as error:
        raise FetchFailed(f"no connection: {error}") from None
    except (ValueError, RecursionError):
        raise FetchFailed("the answer is not JSON") from None
    finally:
        connection.close()


def _connection(scheme: str, host: str, port: int | None, timeout_seconds: float) -> http.client.HTTPConnection:
    if scheme == "http":
        return http.client.HTTPConnection(host, port, timeout=timeout_seconds)
    return http.client.HTTPSConnection(host, port, timeout=timeout_seconds, context=ssl.create_default_context())


def _read(
    response: http.client.HTTPResponse, connection: http.client.HTTPConnection, deadline: float, max_bytes: int
) -> bytes:
    """The body, piece by piece: a server that sends a byte now and then cannot hold us beyond the deadline."""
    body = b""
    while len(body) <= max_bytes:
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        if isinstance(connection.sock, socket.socket):
            connection.sock.settimeout(left)
        piece = response.read1(READ_BYTES)
        if not piece:
            return body
        body += piece
    raise FetchFailed(f"the answer is longer than {max_bytes} bytes")
