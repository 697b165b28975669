"""A small HTTPS server on loopback for what our server asks others: metadata documents, keys, logout notices."""

from __future__ import annotations

import json
import ssl
import tempfile
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.database_servers import make_certificates

Answer = tuple[int, Mapping[str, str], bytes]


@dataclass
class Received:
    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_arguments: Any) -> None:
        """A client that breaks off is what some tests are about."""


@dataclass
class HttpsServer:
    """``answers`` by path: an ``Answer``, or a function of the request handler that sends one itself.

    ``authority`` is the certificate to trust; ``host`` is what ``MCP_OUTBOUND_ALLOWED_HOSTS`` has to name.
    ``is_plain`` speaks http instead.
    """

    answers: dict[str, Answer | Callable[[BaseHTTPRequestHandler], None]] = field(default_factory=dict)
    received: list[Received] = field(default_factory=list)
    is_plain: bool = False

    def __post_init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="mcp-https-")
        folder = Path(self._folder.name)
        self.authority = folder / "ca.pem"
        self._server = _Server(("127.0.0.1", 0), self._handler())
        if not self.is_plain:
            self._secure(folder)
        self.port: int = self._server.server_address[1]
        self.host = f"localhost:{self.port}"
        self.url = f"{'http' if self.is_plain else 'https'}://{self.host}"
        threading.Thread(target=self._server.serve_forever, daemon=True, args=(0.05,)).start()

    def _secure(self, folder: Path) -> None:
        make_certificates(folder)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(folder / "server.pem", folder / "server.key")
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)

    def say_json(self, path: str, value: Any, **headers: str) -> str:
        """Answers ``path`` with JSON from now on. Returns its URL. ``cache_control="max-age=60"`` becomes a header."""
        named = {name.replace("_", "-"): text for name, text in headers.items()}
        self.answers[path] = (200, {"Content-Type": "application/json", **named}, json.dumps(value).encode())
        return self.url + path

    def count(self, path: str) -> int:
        return sum(item.path.partition("?")[0] == path for item in self.received)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._folder.cleanup()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        answers, received = self.answers, self.received

        class Handler(BaseHTTPRequestHandler):
            def answer(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                received.append(Received(self.command, self.path, dict(self.headers), self.rfile.read(length)))
                found = answers.get(self.path.partition("?")[0], (404, {}, b""))
                if callable(found):
                    found(self)
                    return
                status, headers, body = found
                self.send_response(status)
                for name, value in {"Content-Length": str(len(body)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_POST = answer

            def log_message(self, *_arguments: Any) -> None:
                pass

        return Handler
