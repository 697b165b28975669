"""Resource indicators (RFC 8707): their syntax, and finding the one that is meant."""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import urlsplit, urlunsplit

from provider.protocol.errors import OAuthError

MAX_CHARACTERS = 512
_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[\x21-\x7E]+")


def canonical_resource(uri: str) -> str:
    """The form that two spellings of one resource share: scheme and host in lower case, no slash after a bare origin.

    Raises ``invalid_target`` for what is no absolute URI or has a fragment (RFC 8707 §2).
    """
    if len(uri) > MAX_CHARACTERS or not _URI.fullmatch(uri) or "#" in uri:
        raise OAuthError.invalid_target("The resource must be an absolute URI without a fragment.")
    try:
        parts = urlsplit(uri)
        has_user = parts.username is not None
    except ValueError:
        raise OAuthError.invalid_target("The resource must be an absolute URI without a fragment.") from None
    if parts.scheme.lower() in ("http", "https") and (not parts.hostname or has_user):
        raise OAuthError.invalid_target("The resource must name a host and no user.")
    path = "" if parts.path == "/" and not parts.query else parts.path
    return urlunsplit((parts.scheme.lower(), parts.netloc.lower(), path, parts.query, ""))


def single_resource(requested: Iterable[str]) -> str | None:
    """The one resource that a request names, None when it names none. Raises ``invalid_target`` for several."""
    found = {canonical_resource(uri): uri for uri in requested}
    if len(found) > 1:
        raise OAuthError.invalid_target("A token is for one resource. Ask for one at a time.")
    return next(iter(found.values()), None)
