"""Redirect URIs: which may be registered, when one matches, and how an answer is added to one."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from urllib.parse import parse_qsl, quote, urlsplit

from provider.protocol.errors import OAuthError
from provider.protocol.uri_schemes import is_taken

MAX_CHARACTERS = 2000
# What an authorization response adds (RFC 6749 §4.1.2, RFC 9207 §2): registered too, a client would meet it twice.
RESPONSE_PARAMETERS = frozenset(
    {"code", "state", "iss", "error", "error_description", "error_uri", "session_state", "response"}
)
_PRINTABLE = re.compile(r"[\x21-\x7E]+")
_FORBIDDEN = set('"<>\\^`{|}')
_PORT = r"(?::(?P<port>[0-9]{1,5}))?"
_CHARACTERS = r"(?:[A-Za-z0-9._~:/?@!$&'()+,;=-]|%[0-9A-Fa-f]{2})"
_REST = rf"(?P<rest>(?:[/?]{_CHARACTERS}*)?)"
_HTTPS = re.compile(
    rf"https://(?:[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*|\[(?P<ipv6>[0-9A-Fa-f:.]{{2,45}})\]){_PORT}{_REST}"
)
_LOOPBACK = re.compile(rf"http://(?P<host>localhost|127\.0\.0\.1|\[::1\]){_PORT}{_REST}")
_PRIVATE_SCHEME = re.compile(r"[a-z][a-z0-9+-]*(?:\.[a-z0-9+-]+)*")
_PRIVATE = re.compile(rf"{_PRIVATE_SCHEME.pattern}:{_CHARACTERS}+")


def check_redirect_uri(uri: str, application_type: str) -> None:
    """Raises ``invalid_redirect_uri`` unless ``uri`` may be registered (RFC 8252 §7, OAuth 2.1 §2.3, §8.4).

    Allowed: https with a host; http to loopback; for native applications a private-use scheme, which should have a period
    (§8.4) and need not: editors and terminals have none.
    """
    problem = redirect_uri_problem(uri, application_type)
    if problem:
        raise OAuthError("invalid_redirect_uri", problem)


def redirect_uri_problem(uri: str, application_type: str) -> str | None:
    """Why ``uri`` may not be registered, None when it may."""
    problem = uri_problem(uri, application_type)
    if problem is None and RESPONSE_PARAMETERS & {name for name, _ in parse_qsl(_query(uri), keep_blank_values=True)}:
        return "A redirect URI must not have the parameters that an answer adds, such as code or state."
    return problem


def uri_problem(uri: str, application_type: str) -> str | None:
    """The same without a look at the query: for addresses that get no authorization response."""
    if not uri or len(uri) > MAX_CHARACTERS:
        return "A redirect URI must have 1 to 2000 characters."
    if not _PRINTABLE.fullmatch(uri) or _FORBIDDEN & set(uri):
        return "A redirect URI must be ASCII, without blanks and characters that URIs forbid."
    if "#" in uri:
        return "A redirect URI must not have a fragment."
    if "*" in uri:
        return "A redirect URI must not have wildcards: it is compared as it stands."
    if "@" in _authority(uri):
        return "A redirect URI must not have user information."
    return _form_problem(uri, application_type)


def _form_problem(uri: str, application_type: str) -> str | None:
    if uri.startswith("https://"):
        known = _HTTPS.fullmatch(uri)
        names_a_host = known is not None and _is_port(known["port"]) and _is_ipv6(known["ipv6"])
        return None if names_a_host else "A redirect URI must name a host, and be a valid URI."
    if uri.startswith("http://"):
        known = _LOOPBACK.fullmatch(uri)
        is_loopback_uri = known is not None and _is_port(known["port"])
        return None if is_loopback_uri else "An http redirect URI must go to localhost, 127.0.0.1 or [::1]."
    if not is_private_scheme(uri):
        return (
            "A redirect URI must be https, or have a scheme of the application's own, in lower case: com.example.app."
        )
    if not _PRIVATE.fullmatch(uri):
        return "A redirect URI must be a valid URI."
    if application_type != "native":
        return "Private-use schemes are for native applications."
    return None


def is_loopback(uri: str) -> bool:
    return _LOOPBACK.fullmatch(uri) is not None


def is_private_scheme(uri: str) -> bool:
    """Whether ``uri`` has a scheme of an application's own (RFC 8252 §7.1)."""
    scheme, colon, _rest = uri.partition(":")
    return bool(colon) and _PRIVATE_SCHEME.fullmatch(scheme) is not None and not is_taken(scheme)


def goes_to_a_device(uri: str) -> bool:
    """Whether what is sent to a registered ``uri`` stays on a person's device, where any program may have taken the port
    or the scheme: it says nothing about who gets it (RFC 8252 §8.6)."""
    return not uri.startswith("https://")


def redirect_uri_matches(registered: str, requested: str, application_type: str) -> bool:
    """Exact string comparison, except that a native client's loopback port is ignored (RFC 8252 §7.3).

    The three loopback hosts are never taken for one another.
    """
    if registered == requested:
        return True
    if application_type != "native":
        return False
    known, asked = _LOOPBACK.fullmatch(registered), _LOOPBACK.fullmatch(requested)
    if known is None or asked is None or not _is_port(asked["port"]):
        return False
    return known["host"] == asked["host"] and known["rest"] == asked["rest"]


def redirect_host(uri: str) -> str:
    """What a person is shown of a redirect URI: its host, or the scheme of an application's own.

    What stands behind a private-use scheme is no host: ``com.evil.app://bank.example`` goes to ``com.evil.app``.
    """
    parts = urlsplit(uri)
    return parts.netloc if parts.scheme in ("http", "https") else f"{parts.scheme}:"


def web_origin(uri: str) -> str | None:
    """The front door of the host that ``uri`` is on, None for a scheme of an application's own."""
    parts = urlsplit(uri)
    return f"{parts.scheme}://{parts.netloc}/" if parts.scheme in ("http", "https") else None


def add_to_query(uri: str, parameters: Mapping[str, str]) -> str:
    """``uri`` with ``parameters`` added to its query, which is kept as it was registered (RFC 6749 §3.1.2).

    Everything but unreserved characters is percent-encoded, so that nothing added can end a header line.
    """
    added = "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in parameters.items())
    if not added:
        return uri
    if "?" not in uri:
        return f"{uri}?{added}"
    return f"{uri}{added}" if uri.endswith(("?", "&")) else f"{uri}&{added}"


def _authority(uri: str) -> str:
    """What stands between ``//`` and the path or query, empty where there is none."""
    _scheme, _, after = uri.partition(":")
    return re.split(r"[/?]", after[2:], maxsplit=1)[0] if after.startswith("//") else ""


def _query(uri: str) -> str:
    return uri.partition("?")[2]


def _is_port(text: str | None) -> bool:
    return text is None or 1 <= int(text) <= 65535


def _is_ipv6(text: str | None) -> bool:
    """Whether what stands between brackets is an address. Without brackets nothing does."""
    if text is None:
        return True
    try:
        ipaddress.IPv6Address(text)
    except ValueError:
        return False
    return True
