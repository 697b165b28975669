"""Why a request may not pass, as the answer that says so (RFC 6750 §3, RFC 9728 §5.1).

Every error has two texts: ``description``, which is fixed and goes out, and ``detail``, which is for the log only.
"""

from __future__ import annotations

import json
from collections.abc import Iterable

from mcp_core_verifier.resource import Answer


class AccessDenied(Exception):
    """Base of all refusals. ``status``, ``headers`` and ``body`` are the complete answer.

    ``challenge`` is the value of ``WWW-Authenticate``; None where a new token would not help.
    """

    status = 401
    error: str | None = None
    description = "This needs an access token."

    def __init__(self, detail: str = "") -> None:
        super().__init__(detail or self.description)
        self.detail = detail
        self.challenge: str | None = "Bearer"

    @property
    def headers(self) -> list[tuple[str, str]]:
        found = [("Content-Type", "application/json"), ("Cache-Control", "no-store")]
        if self.challenge is not None:
            found.insert(0, ("WWW-Authenticate", self.challenge))
        return found

    @property
    def body(self) -> bytes:
        content = {"error_description": self.description}
        return json.dumps({"error": self.error, **content} if self.error else content).encode()

    @property
    def answer(self) -> Answer:
        return self.status, self.headers, self.body

    def name_challenge(self, scopes: Iterable[str], metadata_url: str | None) -> None:
        """Fills ``challenge``: the code if there is one, all scopes of the operation, where to read more."""
        parts = []
        if self.error is not None:
            parts += [f'error="{self.error}"', f'error_description="{self.description}"']
        if scope := " ".join(scopes):
            parts.append(f'scope="{scope}"')
        if metadata_url is not None:
            parts.append(f'resource_metadata="{metadata_url}"')
        self.challenge = f"Bearer {', '.join(parts)}" if parts else "Bearer"


class NoToken(AccessDenied):
    """No bearer token came with the request. The challenge carries no error code then (RFC 6750 §3.1)."""


class InvalidRequest(AccessDenied):
    """The ``Authorization`` header cannot be read: sent twice, or something else than one word after ``Bearer``."""

    status = 400
    error = "invalid_request"
    description = "The Authorization header is malformed."


class InvalidToken(AccessDenied):
    """A token that is not, or no longer, good here."""

    error = "invalid_token"
    description = "The access token is expired, revoked or not meant for this service."


class InsufficientScope(AccessDenied):
    """A good token that does not allow this. ``missing`` are the scopes that it lacks."""

    status = 403
    error = "insufficient_scope"
    description = "The access token does not allow this."

    def __init__(self, missing: Iterable[str]) -> None:
        self.missing = tuple(missing)
        super().__init__(f"the token lacks {' '.join(self.missing)}")


class InsufficientAuthentication(AccessDenied):
    """A good token of somebody who signed in too weakly or too long ago for this (RFC 9470 §3).

    The application is to ask for another with the ``acr_values`` and the ``max_age`` of the challenge.
    """

    error = "insufficient_user_authentication"
    description = "This needs a stronger or a more recent sign-in."

    def __init__(self, acr_values: Iterable[str] = (), max_age: int | None = None) -> None:
        self.acr_values = tuple(acr_values)
        self.max_age = max_age
        super().__init__(f"wanted: {' '.join(self.acr_values) or 'any level'}, at most {max_age} seconds ago")

    def name_challenge(self, scopes: Iterable[str], metadata_url: str | None) -> None:
        super().name_challenge(scopes, metadata_url)
        wanted = [f'acr_values="{" ".join(self.acr_values)}"'] if self.acr_values else []
        wanted += [] if self.max_age is None else [f'max_age="{self.max_age}"']
        self.challenge = ", ".join([str(self.challenge), *wanted])


class Unavailable(AccessDenied):
    """Nobody can say whether the token is good: the provider does not answer and nothing usable is remembered.

    503 and no challenge, so that clients keep their tokens and try again.
    """

    status = 503
    error = "temporarily_unavailable"
    description = "Access tokens cannot be checked at the moment."

    def __init__(self, detail: str = "", *, retry_after_seconds: int = 10) -> None:
        super().__init__(detail)
        self.challenge = None
        self.retry_after_seconds = retry_after_seconds

    @property
    def headers(self) -> list[tuple[str, str]]:
        return [*super().headers, ("Retry-After", str(self.retry_after_seconds))]

    def name_challenge(self, scopes: Iterable[str], metadata_url: str | None) -> None:
        """There is none."""
