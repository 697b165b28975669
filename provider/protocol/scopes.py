"""Scopes: their syntax, and cutting a request down to what can be granted (RFC 6749 §3.3)."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable

from provider.protocol.errors import OAuthError

OPENID = "openid"
PROFILE = "profile"
GROUPS = "groups"
OFFLINE_ACCESS = "offline_access"
IDENTITY_SCOPES = (OPENID, PROFILE, "email", "phone", "address", GROUPS, OFFLINE_ACCESS)
CLOUD_CREDENTIALS = "cloud:credentials"
# Those of this server's own API. They are a person's to give to one application by name: neither announced, nor default,
# nor had by machines.
ACCOUNT_SCOPES = (
    *("account:read", "activity:read", "profile:write", "sessions:manage", "apps:manage", "api-keys:manage"),
    CLOUD_CREDENTIALS,
)
# What of it an API key can have, and then nothing else.
KEY_SCOPES = (CLOUD_CREDENTIALS,)
MAX_SCOPE_CHARACTERS = 4096
_TOKEN = re.compile(r"[\x21\x23-\x5B\x5D-\x7E]+")


def parse_scope(text: str | None) -> tuple[str, ...]:
    """The scope tokens of ``text`` in their order, each once. Raises ``invalid_scope`` for forbidden characters."""
    if not text:
        return ()
    if len(text) > MAX_SCOPE_CHARACTERS:
        raise OAuthError.invalid_scope("The scope is too long.")
    return checked_scope(token for token in text.split(" ") if token)


def checked_scope(tokens: Iterable[str]) -> tuple[str, ...]:
    """Scope tokens in their order, each once. Raises ``invalid_scope`` when one is empty or has forbidden characters."""
    scope = tuple(dict.fromkeys(tokens))
    if not all(_TOKEN.fullmatch(token) for token in scope) or len(" ".join(scope)) > MAX_SCOPE_CHARACTERS:
        raise OAuthError.invalid_scope("The scope has a form that RFC 6749 does not allow.")
    return scope


def grantable_scope(requested: Iterable[str], *, default: Iterable[str], allowed: Collection[str]) -> tuple[str, ...]:
    """What of ``requested`` can be granted, or of ``default`` when nothing was requested.

    What can't be granted is left out instead of refused, since clients ask for all they have heard of. Raises
    ``invalid_scope`` when something was requested and nothing is left.
    """
    wanted = tuple(requested)
    granted = tuple(scope for scope in dict.fromkeys(wanted or tuple(default)) if scope in allowed)
    if wanted and not granted:
        raise OAuthError.invalid_scope()
    return granted


def narrowed_scope(requested: Iterable[str], granted: tuple[str, ...]) -> tuple[str, ...]:
    """The part of a grant that one refresh asks for (RFC 6749 §6). Raises ``invalid_scope`` when it asks for more."""
    wanted = tuple(dict.fromkeys(requested))
    if not wanted:
        return granted
    if not set(wanted) <= set(granted):
        raise OAuthError.invalid_scope("The requested scope exceeds what was granted.")
    return wanted
