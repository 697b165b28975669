"""One request to an address that was chosen before, over at the deadline however slow the other side is."""

from __future__ import annotations

import contextlib
import http.client
import socket
import ssl
import threading
import time
from collections.abc import Mapping, Sequence

READ_BYTES = 8192
MOST_ADDRESSES = 4


class FetchFailed(Exception):
    """Nothing usable came back. The text says why, for the log alone, and without any of the body."""


class Unavailable(FetchFailed):
    """Nobody gave an answer: it may be had later, and says nothing of what was asked for."""


class Exchange:
    """A connection with one request on it. ``deadline`` is a value of ``time.monotonic``. Without ``context`` plain http is
    spoken, which is for this machine."""

    response: http.client.HTTPResponse

    def __init__(
        self, addresses: Sequence[str], host: str, port: int, context: ssl.SSLContext | None, deadline: float
    ) -> None:
        self._addresses = addresses[:MOST_ADDRESSES]
        self._host, self._port, self._context, self._deadline = host, port, context, deadline
        self._watchdog: threading.Timer | None = None
        self._connection = (
            http.client.HTTPConnection(host, port)
            if context is None
            else http.client.HTTPSConnection(host, port, context=context)
        )

    def begin(self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]) -> Exchange:
        """Sends the request and reads the head of the answer into ``response``. Raises ``FetchFailed``, ``Unavailable``."""
        fixed = {"User-Agent": "mcp-core", "Accept-Encoding": "identity", "Connection": "close"}
        try:
            self._connect()
            self._connection.request(method, path, body, {**fixed, **headers})
            self.response = self._connection.getresponse()
        except ssl.SSLCertVerificationError as error:
            self._end()
            raise FetchFailed(f"TLS failed: {error.reason}") from None
        except ssl.SSLError as error:
            self._end()
            raise Unavailable(f"TLS failed: {error.reason or 'no answer'}") from None
        except (OSError, http.client.HTTPException, ValueError) as error:
            self._end()
            raise Unavailable(f"no answer: {type(error).__name__}") from None
        if time.monotonic() >= self._deadline:  # a head that was cut off passes for one that has ended
            self._end()
            raise Unavailable("the answer took too long")
        return self

    def read(self, max_bytes: int) -> bytes:
        """The whole body. Raises ``FetchFailed`` when it is longer, ``Unavailable`` when it isn't there at the deadline."""
        body = b""
        try:
            while len(body) <= max_bytes and (piece := self.response.read1(READ_BYTES)):
                body += piece
        except (OSError, http.client.HTTPException) as error:
            raise Unavailable(f"the answer broke off: {type(error).__name__}") from None
        if time.monotonic() >= self._deadline:
            raise Unavailable("the answer took too long")
        if len(body) > max_bytes:
            raise FetchFailed(f"the answer is longer than {max_bytes} bytes")
        if self.response.length:  # reading piece by piece does not tell a connection that ends too early
            raise Unavailable("the answer broke off")
        return body

    def __enter__(self) -> Exchange:
        return self

    def __exit__(self, *_error: object) -> None:
        self._end()

    def _connect(self) -> None:
        plain = self._plain_connection()
        if self._context is None:
            self._connection.sock = plain
            self._watch(plain)
            return
        secured = self._context.wrap_socket(plain, server_hostname=self._host, do_handshake_on_connect=False)
        self._connection.sock = secured
        self._watch(secured)
        secured.do_handshake()

    def _plain_connection(self) -> socket.socket:
        problem: OSError = TimeoutError()
        for address in self._addresses:
            try:
                return socket.create_connection((address, self._port), timeout=self._seconds_left())
            except OSError as error:
                problem = error
        raise problem

    def _watch(self, connection: socket.socket) -> None:
        """The socket's own timeout begins anew with each byte that arrives; this does not."""

        def cut() -> None:
            with contextlib.suppress(OSError):
                # Of the plain socket: a TLS socket's own begins by forgetting TLS, under the hands of the other thread.
                socket.socket.shutdown(connection, socket.SHUT_RDWR)

        self._watchdog = threading.Timer(self._seconds_left(), cut)
        self._watchdog.daemon = True
        self._watchdog.start()

    def _seconds_left(self) -> float:
        return max(0.01, self._deadline - time.monotonic())

    def _end(self) -> None:
        if self._watchdog is not None:
            self._watchdog.cancel()
        self._connection.close()
        if hasattr(self, "response"):  # it holds the socket itself, as long as its body was not read to the end
            self.response.close()
