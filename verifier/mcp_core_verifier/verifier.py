"""``Verifier``: one for each service, made once, used by all threads and event loops."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import TracebackType
from typing import Any, Self

from mcp_core_verifier import checks
from mcp_core_verifier.discovery import Discovery
from mcp_core_verifier.errors import (
    AccessDenied,
    InsufficientAuthentication,
    InsufficientScope,
    InvalidRequest,
    NoToken,
)
from mcp_core_verifier.http import Http, checked_url
from mcp_core_verifier.introspection import Introspection, Introspector
from mcp_core_verifier.keys import Keys
from mcp_core_verifier.resource import ResourceMetadata
from mcp_core_verifier.token import AccessToken
from mcp_core_verifier.waiting import Steps, run, run_async

log = logging.getLogger("mcp_core_verifier")

_BEARER = re.compile(r"bearer(?: +(.*))?", re.IGNORECASE | re.DOTALL)
_WORD = re.compile(r"[A-Za-z0-9._~+/-]+=*")  # b64token of RFC 6750 §2.1
_SCOPE = re.compile(r"[!#-\[\]-~]+")  # scope-token of RFC 6749 §3.3


class Verifier:
    """Verifies access tokens of one issuer for one audience.

    ``issuer`` is compared byte for byte. ``audience`` is the service's address as it was registered with
    ``mcp-core resource add``. ``scopes_supported`` and ``resource_name`` are for the metadata only.

    ``token_typ="JWT"`` is for a service that was registered with ``--token-typ JWT``: what else is of that type, such as an
    ID token, is told apart by its claims, and refused.

    Offline unless ``introspection`` is given. ``jwks_uri`` replaces discovery; ``allow_http`` permits plain http to another
    machine, for a network that nobody else is on. ``http_options`` go to ``httpx.AsyncClient``.
    Raises ``ValueError`` for addresses that are not safe to ask.
    """

    def __init__(
        self,
        issuer: str,
        audience: str,
        *,
        scopes_supported: Iterable[str] = (),
        resource_name: str | None = None,
        token_typ: str = "at+jwt",  # noqa: S107 - a type
        jwks_uri: str | None = None,
        introspection: Introspection | None = None,
        leeway_seconds: float = 30,
        cache_seconds: float = 300,
        stale_seconds: float = 3600,
        refetch_seconds: float = 10,
        timeout_seconds: float = 5,
        allow_http: bool = False,
        http_options: Mapping[str, Any] | None = None,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.issuer = checked_url(issuer, allow_http=allow_http)
        if not audience or not audience.isascii() or not audience.isprintable() or set('"\\# ') & set(audience):
            raise ValueError(f"{audience!r} is no absolute URI without a fragment")
        if token_typ not in checks.TYPES:
            raise ValueError(f"token_typ must be one of {', '.join(checks.TYPES)}")
        self.audience = audience
        self._token_typ = token_typ
        self.scopes_supported = checked_scopes(scopes_supported)
        self.metadata = ResourceMetadata(issuer, audience, self.scopes_supported, resource_name)
        self._leeway_seconds = leeway_seconds
        self._clock = clock
        self._http = Http(timeout_seconds=timeout_seconds, options=http_options)
        given = {"jwks_uri": jwks_uri, "introspection_endpoint": introspection.endpoint if introspection else None}
        for url in given.values():
            if url is not None:
                checked_url(url, allow_http=allow_http)
        discovery = Discovery(self._http, issuer, given)
        self._keys = Keys(
            self._http,
            discovery,
            cache_seconds=cache_seconds,
            stale_seconds=stale_seconds,
            refetch_seconds=refetch_seconds,
            clock=monotonic,
        )
        self._introspector = (
            Introspector(introspection, self._http, discovery, clock=monotonic) if introspection else None
        )

    def verify(self, token: str, *scopes: str) -> AccessToken:
        """The token's content, if it is good here and has all ``scopes``. Raises ``AccessDenied``."""
        return run(self._refused_with_challenge(self._verify(token, scopes), scopes))

    async def verify_async(self, token: str, *scopes: str) -> AccessToken:
        """``verify`` for event loops (asyncio)."""
        return await run_async(self._refused_with_challenge(self._verify(token, scopes), scopes))

    def authenticate(self, authorization: str | Sequence[str] | None, *scopes: str) -> AccessToken:
        """``verify`` for the value, or all values, of a request's ``Authorization`` header."""
        return run(self._refused_with_challenge(self._authenticate(authorization, scopes), scopes))

    async def authenticate_async(self, authorization: str | Sequence[str] | None, *scopes: str) -> AccessToken:
        """``authenticate`` for event loops (asyncio)."""
        return await run_async(self._refused_with_challenge(self._authenticate(authorization, scopes), scopes))

    def require_sign_in(self, token: AccessToken, *acr_values: str, max_age: int | None = None) -> None:
        """Lets a verified token pass whose person has signed in at one of these levels, at most ``max_age`` seconds ago.

        Raises ``InsufficientAuthentication`` for all others (RFC 9470), whose answer sends the application back for more.
        """
        signed_in_at = token.claims.get("auth_time")
        if isinstance(signed_in_at, int) and not token.is_machine:
            is_recent = max_age is None or self._clock() - signed_in_at <= max_age + self._leeway_seconds
            if is_recent and (not acr_values or token.claims.get("acr") in acr_values):
                return
        refusal = InsufficientAuthentication(acr_values, max_age)
        refusal.name_challenge((), self.metadata.url)
        raise refusal

    def close(self) -> None:
        """Closes the connections to the provider. Otherwise they end with the verifier."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _authenticate(self, authorization: str | Sequence[str] | None, scopes: Iterable[str]) -> Steps[AccessToken]:
        return (yield from self._verify(bearer_token(authorization), scopes))

    def _verify(self, token: str, scopes: Iterable[str]) -> Steps[AccessToken]:
        unverified = checks.read(token, self._token_typ)
        key = yield from self._keys.find(unverified.kid)
        claims = checks.verified_claims(unverified, key)
        checks.check_claims(
            claims,
            issuer=self.issuer,
            audience=self.audience,
            now=self._clock(),
            leeway_seconds=self._leeway_seconds,
        )
        if self._introspector is not None:
            yield from self._introspector.require_active(token)
        accepted = AccessToken.from_claims(claims)
        missing = [scope for scope in scopes if scope not in accepted.scope]
        if missing:
            raise InsufficientScope(missing)
        return accepted

    def _refused_with_challenge(self, steps: Steps[AccessToken], scopes: Iterable[str]) -> Steps[AccessToken]:
        try:
            return (yield from steps)
        except AccessDenied as refusal:
            refusal.name_challenge(scopes, self.metadata.url)
            log.debug("refused: %s", refusal)
            raise


def bearer_token(authorization: str | Sequence[str] | None) -> str:
    """The token of an ``Authorization`` header (RFC 6750 §2.1), the only place where one is looked for.

    Raises ``NoToken``, also for another scheme, and ``InvalidRequest``.
    """
    values = [authorization] if isinstance(authorization, str) else list(authorization or ())
    if len(values) > 1:
        raise InvalidRequest("several Authorization headers")
    match = _BEARER.fullmatch(values[0].strip(" \t")) if values else None
    if match is None:
        raise NoToken
    if match[1] is None or not _WORD.fullmatch(match[1]):
        raise InvalidRequest("Bearer without exactly one token")
    return match[1]


def checked_scopes(scopes: Iterable[str]) -> tuple[str, ...]:
    """Scopes one by one, in their order. Raises ``ValueError`` for one that is none, such as two in one string."""
    found = (scopes,) if isinstance(scopes, str) else tuple(scopes)
    for scope in found:
        if not _SCOPE.fullmatch(scope):
            raise ValueError(f"{scope!r} is not one scope")
    return found
