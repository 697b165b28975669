"""One letter to the mail server, over one connection that is over at a deadline however slow the server is (RFC 5321).

A failure says what it is about: the server as a whole, this letter for now, or this letter for good. Certificates are
verified, and what is said in clear on the way to TLS is forgotten.
"""

from __future__ import annotations

import contextlib
import re
import smtplib
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from enum import Enum
from functools import cached_property
from pathlib import Path
from typing import Any

from provider.deliveries.mail_addresses import BadAddress, envelope_address
from provider.deliveries.mail_server import MailServer, Protection
from provider.protocol.text import visible
from provider.security.crypto import DecryptionFailed, Keyring
from provider.security.sealed_settings import SMTP_PASSWORD, opened_setting
from provider.security.targets import resolve

SECONDS = 60.0  # for everything from the name's resolution to the server's last word
ANSWER_SECONDS = 20.0  # for each of its answers
MOST_ADDRESSES = 4
_SHOWN = 160
_SERVICE_NOT_AVAILABLE = 421
Say = Callable[[str, str], None]


class About(Enum):
    """What a failure is about."""

    SERVER = "server"  # it would be the same with any letter: nobody answers, TLS, login, sender
    NOW = "now"  # this letter: it is tried again
    FOR_GOOD = "for good"  # this letter: it is not tried again


class NotSent(Exception):
    """The server did not take a letter. The text says why, for operators, and has no password in it."""

    def __init__(self, about: About, step: str, text: str) -> None:
        super().__init__(text)
        self.about, self.step = about, step


class Smtp:
    """``helo`` is how we call ourselves. ``ca_file`` has authorities besides the system's, ``keyring`` opens a
    sealed password, which is sent to nobody as it is.
    """

    def __init__(
        self,
        server: MailServer,
        *,
        helo: str,
        ca_file: Path | None = None,
        keyring: Keyring | None = None,
        seconds: float = SECONDS,
        answer_seconds: float = ANSWER_SECONDS,
    ) -> None:
        self.server = server
        self._keyring = keyring
        self._helo, self._ca_file = helo, ca_file
        self._seconds, self._answer_seconds = seconds, answer_seconds

    def check(self, say: Say = lambda _step, _text: None) -> None:
        """Connects, begins TLS, logs in and leaves. Raises ``NotSent``."""
        with self._session(say):
            pass

    def send(
        self,
        sender: str,
        recipient: str,
        message: bytes,
        say: Say = lambda _step, _text: None,
    ) -> None:
        """Hands over one letter. Returns when the server has taken it on. Raises ``NotSent``.

        ``say`` hears of each step that went well: ``connect``, ``tls``, ``login``, ``sender``, ``recipient``, ``letter``.
        An address or a header beyond ASCII needs a server that knows SMTPUTF8 (RFC 6531).
        """
        try:
            recipient = envelope_address(recipient)
        except BadAddress:  # the standard library would make another address of it
            raise NotSent(About.FOR_GOOD, "recipient", "nothing can be sent to this address") from None
        with self._session(say) as session:
            options = [f"size={len(message)}"] if session.has_extn("size") else []
            if not recipient.isascii():
                if not session.has_extn("smtputf8"):
                    text = "the mail server takes no addresses beyond ASCII (SMTPUTF8)"
                    raise NotSent(About.FOR_GOOD, "recipient", text)
                options.append("SMTPUTF8")
            limit = re.fullmatch(r"[1-9][0-9]{0,11}", session.esmtp_features.get("size", ""), re.ASCII)
            if limit is not None and int(limit[0]) < len(message):
                raise NotSent(About.FOR_GOOD, "letter", f"the mail server takes {limit[0]} bytes at most")
            with session.step("sender", About.SERVER, About.SERVER):
                session.accepted(session.mail(sender, options))
            say("sender", sender)
            with session.step("recipient", About.FOR_GOOD, About.NOW):
                session.accepted(session.rcpt(recipient))
            say("recipient", recipient)
            with session.step("letter", About.FOR_GOOD, About.NOW):
                taken = session.accepted(session.data(message))
            say("letter", taken)

    @contextlib.contextmanager
    def _session(self, say: Say) -> Iterator[_Session]:
        server, session = self.server, _Session(time.monotonic() + self._seconds, self._answer_seconds, self._seconds)
        try:
            with session.step("connect", About.SERVER, About.SERVER):
                session.open(server, self._helo, self._context)
            say("connect", f"{server.host}:{server.port}")
            if server.protection is Protection.STARTTLS:
                with session.step("tls", About.SERVER, About.SERVER):
                    session.accepted(session.starttls(context=self._context))
                    session.ehlo()
            if isinstance(session.sock, ssl.SSLSocket):
                say("tls", str(session.sock.version()))
            if server.user:
                with session.step("login", About.SERVER, About.SERVER):
                    session.login(server.user, self._password())
                say("login", server.user)
            yield session
            with contextlib.suppress(smtplib.SMTPException, OSError):
                session.quit()
        finally:
            session.end()

    def _password(self) -> str:
        """Opened for each connection: it takes no time, and the ring may have grown."""
        try:
            return opened_setting(self._keyring, SMTP_PASSWORD, self.server.password)
        except DecryptionFailed:
            raise NotSent(About.SERVER, "login", "the sealed password does not open with the master keys") from None

    @cached_property
    def _context(self) -> ssl.SSLContext:
        context = ssl.create_default_context()
        if self._ca_file is not None:
            context.load_verify_locations(self._ca_file)
        return context


class _Session(smtplib.SMTP):
    """A conversation that a watchdog ends at ``deadline``: the socket's own time-out begins anew with every byte."""

    def __init__(self, deadline: float, answer_seconds: float, seconds: float) -> None:
        self._deadline, self._answer_seconds, self._seconds = deadline, answer_seconds, seconds
        self._context: ssl.SSLContext | None = None
        self._handle: socket.socket | None = None
        self._watchdog: threading.Timer | None = None

    def open(self, server: MailServer, helo: str, context: ssl.SSLContext) -> None:
        """Connects and greets. Not in the constructor, so that what has begun can be ended."""
        self._context = context if server.protection is Protection.TLS else None
        super().__init__(server.host, server.port, local_hostname=helo, timeout=self._answer_seconds)
        self.ehlo_or_helo_if_needed()

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        plain = self._plain_socket(host, port, timeout)
        # A second handle on the connection: the first one changes hands when TLS begins.
        self._handle = plain.dup()
        self._watchdog = threading.Timer(max(0.01, self._deadline - time.monotonic()), self._cut)
        self._watchdog.daemon = True
        self._watchdog.start()
        return plain if self._context is None else self._context.wrap_socket(plain, server_hostname=host)

    def _plain_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        problem: OSError = TimeoutError()
        for address in list(resolve(host, port))[:MOST_ADDRESSES]:
            left = min(timeout, self._deadline - time.monotonic())
            if left <= 0:
                break
            try:
                connected = socket.create_connection((address, port), timeout=left)
            except OSError as error:
                problem = error
            else:
                connected.settimeout(timeout)
                return connected
        raise problem

    def _cut(self) -> None:
        if self._handle is not None:
            with contextlib.suppress(OSError):
                self._handle.shutdown(socket.SHUT_RDWR)

    def end(self) -> None:
        if self._watchdog is not None:
            self._watchdog.cancel()
        if self._handle is not None:
            self._handle.close()
        if hasattr(self, "sock"):
            self.close()

    def accepted(self, answer: tuple[int, bytes]) -> str:
        """The server's words, or its refusal raised."""
        code, words = answer
        if not 200 <= code <= 299:
            raise smtplib.SMTPResponseException(code, words)
        return _shown(code, words)

    @contextlib.contextmanager
    def step(self, name: str, refused: About, put_off: About) -> Iterator[None]:
        """Says what a failure in the block is about: ``refused`` for 5xx, ``put_off`` for 4xx and a lost connection."""
        try:
            yield
        except smtplib.SMTPResponseException as error:
            about = refused if error.smtp_code >= 500 else put_off
            if error.smtp_code == _SERVICE_NOT_AVAILABLE:
                about = About.SERVER
            raise NotSent(about, name, _shown(error.smtp_code, error.smtp_error)) from None
        except ssl.SSLCertVerificationError as error:
            raise NotSent(About.SERVER, "tls", f"the certificate is not good: {error.verify_message}") from None
        except (smtplib.SMTPException, OSError) as error:
            late = time.monotonic() >= self._deadline
            text = f"it takes longer than {self._seconds:.0f} seconds" if late else _explained(error)
            raise NotSent(put_off, name, text) from None


def _explained(error: Exception) -> str:
    """What went wrong before the server had its say."""
    if isinstance(error, socket.gaierror):
        return "its name is not known"
    if isinstance(error, TimeoutError) or "timed out" in str(
        error
    ):  # the standard library tells it as a broken connection
        return "no answer in time"
    if isinstance(error, ConnectionRefusedError):
        return "nobody listens there"
    if isinstance(error, ssl.SSLError):
        return f"TLS does not begin: {error.reason or 'no answer'}"
    if isinstance(error, smtplib.SMTPServerDisconnected | ConnectionError):
        return "the connection broke off"
    if isinstance(error, smtplib.SMTPNotSupportedError):
        return "the server does not offer it"
    return type(error).__name__


def _shown(code: int, words: Any) -> str:
    """An answer of the server as one line of ours."""
    text = words.decode(errors="replace") if isinstance(words, bytes) else str(words)
    return visible(f"{code} {' '.join(text.split())}"[:_SHOWN])
