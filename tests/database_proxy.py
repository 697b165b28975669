"""Between the provider and its database server: loses what a network can lose, at the moment that a test names."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from typing import Literal

COMMIT = b"\x07\x00\x00\x00\x03COMMIT"
Loss = Literal["request", "answer", "late"]
LATE_SECONDS = 0.3


class DatabaseProxy:
    """Passes bytes on to a server on this machine, both ways, until it is told otherwise.

    ``losses`` are what happens to the next COMMITs, one after another: the connection breaks before its ``request`` comes
    to the server, or before its ``answer`` comes back, or at once while the request comes to the server ``late``; None lets
    one pass. ``cuts_after_loss`` is how many connections that are made after that are cut at once. ``is_silent`` keeps every
    connection open, new ones as well, and lets nothing through.
    """

    def __init__(self, server_port: int) -> None:
        self._server_port = server_port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.losses: list[Loss | None] = []
        self.lost: list[Loss] = []
        self.cuts_after_loss = 0
        self.is_silent = False
        self._sockets: list[socket.socket] = []
        self._acceptor = threading.Thread(target=self._accept, daemon=True)
        self._acceptor.start()

    def close(self) -> None:
        _close(self._listener)
        self._acceptor.join(10)
        for each in self._sockets:
            _close(each)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # closed
            while True:
                client, _ = self._listener.accept()
                self._sockets.append(client)
                if self.lost and self.cuts_after_loss:
                    self.cuts_after_loss -= 1
                    _close(client)
                    continue
                if self.is_silent:
                    continue
                server = socket.create_connection(("127.0.0.1", self._server_port), 10)
                self._sockets.append(server)
                is_answer_lost = threading.Event()
                for pump in (self._pass_requests, self._pass_answers):
                    threading.Thread(target=pump, args=(client, server, is_answer_lost), daemon=True).start()

    def _pass_requests(self, client: socket.socket, server: socket.socket, is_answer_lost: threading.Event) -> None:
        with contextlib.suppress(OSError):
            while sent := client.recv(65_536):
                loss = self.losses.pop(0) if sent.startswith(COMMIT) and self.losses else None
                if loss is not None:
                    self.lost.append(loss)
                if loss == "request":
                    break
                if loss == "late":
                    _close(client)
                    time.sleep(LATE_SECONDS)
                if loss == "answer":
                    is_answer_lost.set()
                if not self.is_silent:
                    server.sendall(sent)
        _close(client)
        _close(server)

    def _pass_answers(self, client: socket.socket, server: socket.socket, is_answer_lost: threading.Event) -> None:
        with contextlib.suppress(OSError):
            while answer := server.recv(65_536):
                if is_answer_lost.is_set():
                    break
                if not self.is_silent:
                    client.sendall(answer)
        _close(client)
        _close(server)


def _close(each: socket.socket) -> None:
    with contextlib.suppress(OSError):
        each.shutdown(socket.SHUT_RDWR)
    each.close()
