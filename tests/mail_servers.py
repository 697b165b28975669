"""Mail servers on loopback: a real one (aiosmtpd), which refuses what it is told to, and raw ones that misbehave."""

from __future__ import annotations

import asyncio
import contextlib
import email
import email.policy
import socket
import ssl
import tempfile
import threading
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from email.message import EmailMessage
from pathlib import Path
from typing import Any
from urllib.parse import quote

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult

from tests.database_servers import free_port, make_certificates


@dataclass(frozen=True)
class Received:
    """A letter as it came in: the addresses of its envelope, and its bytes."""

    sender: str
    recipient: str
    data: bytes

    @property
    def message(self) -> EmailMessage:
        parsed = email.message_from_bytes(self.data, policy=email.policy.default)
        assert isinstance(parsed, EmailMessage)
        return parsed

    def part(self, kind: str) -> str:
        """The text of the part ``plain`` or ``html``."""
        found = self.message.get_body((kind,))
        assert found is not None
        return str(found.get_content())


class MailServer:
    """``scheme`` is that of ``MCP_SMTP_URL``. With ``user`` a login is needed.

    ``passwords`` are those of all logins. ``refusals`` by command (``MAIL``, ``RCPT``, ``DATA``) or by recipient are answers
    in place of a good one; ``wait`` is what it does between taking a letter and saying so.
    """

    def __init__(
        self,
        scheme: str = "smtp+plain",
        *,
        user: str = "",
        password: str = "",
        takes_utf8: bool = False,
        limit: int = 0,
    ) -> None:
        self.scheme, self.user, self.password = scheme, user, password
        self.refusals: dict[str, str] = {}
        self.received: list[Received] = []
        self.passwords: list[str] = []
        self.connections = 0
        self.wait: Callable[[], Any] | None = None
        self._folder = tempfile.TemporaryDirectory(prefix="mcp-mail-")
        folder = Path(self._folder.name)
        make_certificates(folder)
        self.authority = folder / "ca.pem"
        self.other_authority = folder / "other-ca.pem"
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(folder / "server.pem", folder / "server.key")
        self.port = free_port()
        self._options: dict[str, Any] = {
            "enable_SMTPUTF8": takes_utf8,
            "hostname": "mail.test",
            "auth_required": bool(user),
            "auth_require_tls": scheme == "smtp",
            "authenticator": self._authenticate if user else None,
            "tls_context": context if scheme == "smtp" else None,
            "data_size_limit": limit or 33554432,
        }
        self._outer = context if scheme == "smtps" else None
        self._controller: Controller | None = None
        self.start()

    @property
    def url(self) -> str:
        login = f"{quote(self.user, safe='')}:{quote(self.password, safe='')}@" if self.user else ""
        return f"{self.scheme}://{login}localhost:{self.port}"

    def start(self) -> None:
        server = self

        class Told(Controller):
            def factory(self) -> SMTP:
                server.connections += 1
                with warnings.catch_warnings():  # it does not see the TLS around it
                    warnings.simplefilter("ignore", UserWarning)
                    return SMTP(server, loop=self.loop, **server._options)

        self._controller = Told(server, hostname="127.0.0.1", port=self.port, ssl_context=self._outer)
        self._controller.start()

    def stop(self) -> None:
        """Nobody listens any more. What was received stays, and ``start`` begins again at the same port."""
        if self._controller is not None:
            self._controller.stop()
        self._controller = None

    def close(self) -> None:
        self.stop()
        self._folder.cleanup()

    def to(self, recipient: str) -> list[Received]:
        return [it for it in self.received if it.recipient == recipient]

    # What aiosmtpd calls

    async def handle_MAIL(self, _server: Any, _session: Any, envelope: Any, address: str, options: list[str]) -> str:
        if answer := self.refusals.get("MAIL"):
            return answer
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 OK"

    async def handle_RCPT(self, _server: Any, _session: Any, envelope: Any, address: str, _options: list[str]) -> str:
        if answer := self.refusals.get("RCPT") or self.refusals.get(address):
            return answer
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:
        if answer := self.refusals.get("DATA"):
            return answer
        self.received += [Received(envelope.mail_from, to, envelope.content) for to in envelope.rcpt_tos]
        if self.wait is not None:
            await asyncio.get_running_loop().run_in_executor(None, self.wait)
        return "250 OK: taken"

    def _authenticate(self, _server: Any, _session: Any, _envelope: Any, _mechanism: str, data: Any) -> AuthResult:
        self.passwords.append(data.password.decode())
        good = (data.login, data.password) == (self.user.encode(), self.password.encode())
        return AuthResult(success=good, handled=False)


@contextlib.contextmanager
def raw_server(talk: Callable[[socket.socket], None]) -> Iterator[int]:
    """The port of a server that does with each connection what ``talk`` does, and then closes it."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                threading.Thread(target=answer, args=(connection,), daemon=True).start()

        def answer(connection: socket.socket) -> None:
            with connection, contextlib.suppress(OSError):
                talk(connection)

        threading.Thread(target=serve, daemon=True).start()
        yield listener.getsockname()[1]
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)


def dialogue(*answers: str) -> Callable[[socket.socket], None]:
    """Says one answer after each line that comes in, the first one unasked, and then closes the connection."""

    def talk(connection: socket.socket) -> None:
        lines = connection.makefile("rb")
        for answer in answers:
            connection.sendall(f"{answer}\r\n".encode())
            lines.readline()

    return talk
