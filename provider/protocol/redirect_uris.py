"""Redirect URIs: which may be registered, when one matches, and how an answer is added to one."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import quote, urlsplit

from provider.protocol.errors import OAuthError

LOOPBACK_HOSTS = ("localhost", "127.0.0.1", "[::1]")
MAX_CHARACTERS = 2000
_FORBIDDEN_SCHEMES = ("javascript", "data", "vbscript", "file", "blob", "about", "ftp", "ws", "wss")
_PRIVATE_SCHEME = re.compile(r"[a-z][a-z0-9+-]*(\.[a-z0-9+-]+)+")
_LOOPBACK = re.compile(r"http://(localhost|127\.0\.0\.1|\[::1\])(?::(\d{1,5}))?(?=[/?]|$)")
_PRINTABLE = re.compile(r"[\x21-\x7E]+")
_RESERVED = set('"<>\\^`{|}*')


def check_redirect_uri(uri: str, application_type: str) -> None:
    """Raises ``invalid_redirect_uri`` unless ``uri`` may be registered (RFC 8252 §7, OAuth 2.1 §2.3, §8.4).

    Allowed: https with a host; http to loopback; for native applications a private-use scheme that has a period.
    """
    problem = redirect_uri_problem(uri, application_type)
    if problem:
        raise OAuthError("invalid_redirect_uri", problem)


def redirect_uri_problem(uri: str, application_type: str) -> str | None:
    """Why ``uri`` may not be registered, None when it may."""
    if not uri or len(uri) > MAX_CHARACTERS:
        return "A redirect URI must have 1 to 2000 characters."
    if not _PRINTABLE.fullmatch(uri) or _RESERVED & set(uri):
        return "A redirect URI must be ASCII without blanks, wildcards or characters that URIs forbid."
    if "#" in uri:
        return "A redirect URI must not have a fragment."
    try:
        parts = urlsplit(uri)
        host, _port = parts.hostname, parts.port
    except ValueError:
        return "A redirect URI must be a valid URI."
    if parts.username is not None or parts.password is not None or "@" in parts.netloc:
        return "A redirect URI must not have user information."
    if uri.startswith("https://"):
        return None if host else "A redirect URI must name a host."
    if uri.startswith("http://"):
        return None if _LOOPBACK.match(uri) else "An http redirect URI must go to localhost, 127.0.0.1 or [::1]."
    if parts.scheme in _FORBIDDEN_SCHEMES or not _PRIVATE_SCHEME.fullmatch(uri.partition(":")[0]):
        return "A private-use scheme must be lower case and have a period, as in com.example.app."
    if application_type != "native":
        return "Private-use schemes are for native applications."
    return None


def is_loopback(uri: str) -> bool:
    return _LOOPBACK.match(uri) is not None


def redirect_uri_matches(registered: str, requested: str, application_type: str) -> bool:
    """Exact string comparison, except that a native client's loopback port is ignored (RFC 8252 §7.3).

    The three loopback hosts are never taken for one another.
    """
    if registered == requested:
        return True
    if application_type != "native":
        return False
    known, asked = _LOOPBACK.match(registered), _LOOPBACK.match(requested)
    if known is None or asked is None or known[1] != asked[1]:
        return False
    return registered[known.end() :] == requested[asked.end() :]


def redirect_host(uri: str) -> str:
    """What a person is shown of a redirect URI: its host, or the scheme of an application's own."""
    parts = urlsplit(uri)
    return parts.netloc or f"{parts.scheme}:"


def add_to_query(uri: str, parameters: Mapping[str, str]) -> str:
    """``uri`` with ``parameters`` added to its query, which is kept as it was registered (RFC 6749 §3.1.2)."""
    added = "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in parameters.items())
    if not added:
        return uri
    if "?" not in uri:
        return f"{uri}?{added}"
    return f"{uri}{added}" if uri.endswith(("?", "&")) else f"{uri}&{added}"
