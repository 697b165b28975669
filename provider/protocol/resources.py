"""Resource indicators (RFC 8707): their syntax, and finding the one that is meant."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from urllib.parse import urlsplit

from provider.protocol.errors import OAuthError

MAX_CHARACTERS = 512
# Absolute URI without fragment: the characters of RFC 3986, and no broken percent-encoding.
_URI = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):((?:[A-Za-z0-9._~:/?@!$&'()*+,;=\[\]-]|%[0-9A-Fa-f]{2})+)")
_DEFAULT_PORTS = {"http": ":80", "https": ":443"}
_AUTHORITY = re.compile(r"//([^/?]*)(.*)")


@lru_cache(maxsize=1024)  # asked several times for each token, nearly always about the same few
def canonical_resource(uri: str) -> str:
    """The form that two spellings of one resource share: scheme and host in lower case, no slash after a bare origin.

    Raises ``invalid_target`` for what is no absolute URI or has a fragment (RFC 8707 §2).
    """
    known = _URI.fullmatch(uri) if len(uri) <= MAX_CHARACTERS else None
    if known is None:
        raise OAuthError.invalid_target("The resource must be an absolute URI without a fragment.")
    scheme, rest = known[1].lower(), known[2]
    if scheme in ("http", "https") and not _names_a_host(uri):
        raise OAuthError.invalid_target("The resource must name a host and no user.")
    authority = _AUTHORITY.fullmatch(rest)
    if authority is not None:
        rest = f"//{authority[1].lower()}{'' if authority[2] == '/' else authority[2]}"
    return f"{scheme}:{rest}"


@lru_cache(maxsize=1024)
def loose_resource(uri: str) -> str:
    """The form that spellings share which clients take for one another: beside the canonical one, without the port that goes
    without saying and without a slash at the end. Two registered resources may share it. Raises what that raises."""
    canonical = canonical_resource(uri)
    known = _AUTHORITY.fullmatch(canonical.partition(":")[2])
    scheme = canonical.partition(":")[0]
    if known is None or scheme not in _DEFAULT_PORTS:
        return canonical
    authority = known[1].removesuffix(_DEFAULT_PORTS[scheme]).removesuffix(":")
    path, mark, query = known[2].partition("?")
    return f"{scheme}://{authority}{path.removesuffix('/')}{mark}{query}"


def single_resource(requested: Iterable[str]) -> str | None:
    """The one resource that a request names, None when it names none. Raises ``invalid_target`` for several."""
    found = {canonical_resource(uri): uri for uri in requested}
    if len(found) > 1:
        raise OAuthError.invalid_target("A token is for one resource. Ask for one at a time.")
    return next(iter(found.values()), None)


def _names_a_host(uri: str) -> bool:
    try:
        parts = urlsplit(uri)
        return bool(parts.hostname) and "@" not in parts.netloc and parts.port != 0
    except ValueError:
        return False
