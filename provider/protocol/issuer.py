"""What an issuer identifier has to be, byte for byte as it is compared (RFC 8414 §2, OpenID Connect Core §2)."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

LOOPBACK_HOSTS = ("localhost", "127.0.0.1", "::1")
_PATH = re.compile(r"(?:/[A-Za-z0-9._~-]+)*")
_DEFAULT_PORTS = {"http": 80, "https": 443}


def checked_issuer(value: str) -> str:
    """``value`` as it is, or ``ValueError`` with what it must be. http is for this machine alone."""
    try:
        parts = urlsplit(value)
        port = parts.port
    except ValueError:
        raise ValueError("must have a host, in brackets if it is an IPv6 address, and a port up to 65535") from None
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.query or parts.fragment:
        raise ValueError("must be an http(s) URL without user, query or fragment")
    if "?" in value or "#" in value or value.endswith("/"):
        raise ValueError("must not end in '/', and must have no '?' or '#'")
    if not value.isascii() or any(character.isspace() for character in value) or value != value.strip():
        raise ValueError("must be ASCII without blanks")
    if parts.scheme == "http" and parts.hostname not in LOOPBACK_HOSTS:
        raise ValueError("must be https unless its host is localhost, 127.0.0.1 or [::1]")
    # Browsers and clients send these forms of it, and they are compared as they are written.
    if parts.netloc != parts.netloc.lower():
        raise ValueError("must have its host in lower case")
    if parts.netloc.endswith(":") or port in (0, _DEFAULT_PORTS[parts.scheme]):
        raise ValueError("must have no port where it is the default one, and no port 0")
    if not _PATH.fullmatch(parts.path) or {".", ".."} & set(parts.path.split("/")):
        raise ValueError("must have a path of letters, digits, '.', '_', '~' and '-' between single slashes")
    return value
