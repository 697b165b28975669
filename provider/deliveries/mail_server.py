"""Which mail server letters go to: one address, whose scheme says how the connection is kept from others' eyes."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from enum import Enum
from typing import Literal
from urllib.parse import unquote, urlsplit

# Where letters go: to a mail server, onto a page for developers, or nowhere.
Way = Literal["server", "mailbox", "nowhere"]


class Protection(Enum):
    """How a connection to the server is protected, and the port that is usual for it (RFC 8314 §3.3, RFC 6409 §3.1)."""

    TLS = 465  # from the first byte
    STARTTLS = 587  # begun in clear, and not used unless TLS begins
    NONE = 25  # to this machine alone


class BadUrl(ValueError):
    """No mail server is named. The text says what it must be."""


_SCHEMES = {"smtps": Protection.TLS, "smtp": Protection.STARTTLS, "smtp+plain": Protection.NONE}
FORM = "smtps://user:password@host:465 (TLS) or smtp://user:password@host:587 (STARTTLS)"


@dataclass(frozen=True, slots=True)
class MailServer:
    """``user`` is empty where the server asks for no login."""

    host: str
    port: int
    protection: Protection
    user: str = ""
    password: str = field(default="", repr=False)

    @classmethod
    def from_url(cls, url: str, password: str = "") -> MailServer:
        """The server of a URL. ``password`` is one that does not stand in it.

        Raises ``BadUrl``, whose text says what it must be and has nothing of the URL in it: a password may be there.
        """
        if "?" in url or "#" in url:
            raise BadUrl("must have no ? and no #: in a password they are %3F and %23")
        try:
            parts = urlsplit(url)
            port, host, protection = parts.port, parts.hostname or "", _SCHEMES[parts.scheme]
        except (ValueError, KeyError):
            raise BadUrl(f"must be of the form {FORM}") from None
        if not host or not url.isascii() or any(c <= " " for c in url) or parts.path not in ("", "/") or port == 0:
            raise BadUrl(f"must be of the form {FORM}, with %40 for an @ in the user or the password")
        if protection is Protection.NONE and not _is_here(host):
            raise BadUrl("must not be smtp+plain:// beyond this machine: anybody on the way could read the letters")
        user, given = unquote(parts.username or ""), unquote(parts.password or "")
        if given and password:
            raise BadUrl("must have no password where MCP_SMTP_PASSWORD_FILE has one")
        given = given or password
        if bool(user) is not bool(given):
            raise BadUrl("must have a user and a password, or neither")
        if not all(c.isascii() and c.isprintable() for c in user + given):
            raise BadUrl("must have a user and a password of printable ASCII")
        return cls(host, port or protection.value, protection, user, given)

    def __str__(self) -> str:
        """For people and logs: without the password."""
        scheme = next(name for name, protection in _SCHEMES.items() if protection is self.protection)
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{scheme}://{self.user + '@' if self.user else ''}{host}:{self.port}"


def _is_here(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
