"""OAuth errors: a fixed public text, a private detail, and whether a redirect may carry them."""

from __future__ import annotations

import datetime
import re

_DESCRIPTION = re.compile(r"[\x20-\x21\x23-\x5B\x5D-\x7E]+")


class OAuthError(Exception):
    """An error of the protocol (RFC 6749 §4.1.2.1, §5.2).

    ``description`` is public and fixed: never user or attacker text, and only the characters that RFC 6749 allows.
    ``detail`` goes to the log alone. ``status`` is the HTTP status outside of a redirect.
    """

    def __init__(
        self,
        error: str,
        description: str = "",
        *,
        status: int = 400,
        detail: str = "",
        headers: tuple[tuple[str, str], ...] = (),
    ) -> None:
        if description and not _DESCRIPTION.fullmatch(description):
            raise ValueError("an error description has characters that RFC 6749 forbids")
        super().__init__(error)
        self.error = error
        self.description = description
        self.status = status
        self.detail = detail
        self.headers = headers

    def body(self) -> dict[str, str]:
        answer = {"error": self.error}
        if self.description:
            answer["error_description"] = self.description
        return answer

    @classmethod
    def invalid_request(cls, description: str, *, detail: str = "") -> OAuthError:
        return cls("invalid_request", description, detail=detail)

    @classmethod
    def invalid_client(cls, *, detail: str = "", challenge: bool = True) -> OAuthError:
        """One answer for an unknown client and a wrong credential alike (RFC 6749 §5.2)."""
        headers = (("WWW-Authenticate", 'Basic realm="mcp-core"'),) if challenge else ()
        return cls("invalid_client", "Client authentication failed.", status=401, detail=detail, headers=headers)

    @classmethod
    def invalid_grant(cls, description: str, *, detail: str = "") -> OAuthError:
        return cls("invalid_grant", description, detail=detail)

    @classmethod
    def invalid_scope(cls, description: str = "None of the requested scopes can be granted.") -> OAuthError:
        return cls("invalid_scope", description)

    @classmethod
    def invalid_target(cls, description: str, *, detail: str = "") -> OAuthError:
        return cls("invalid_target", description, detail=detail)

    @classmethod
    def unauthorized_client(cls, description: str, *, detail: str = "") -> OAuthError:
        return cls("unauthorized_client", description, detail=detail)

    @classmethod
    def temporarily_unavailable(cls) -> OAuthError:
        return cls(
            "temporarily_unavailable",
            "The server cannot answer right now. Try again shortly.",
            status=503,
            headers=(("Retry-After", "2"),),
        )

    @classmethod
    def slow_down(cls, retry_after_seconds: int) -> OAuthError:
        return cls(
            "temporarily_unavailable",
            "Too many attempts. Try again later.",
            status=429,
            headers=(("Retry-After", str(retry_after_seconds)),),
        )


def refuse_until(until: datetime.datetime | None, now: datetime.datetime) -> None:
    """Raises ``slow_down`` when a limit gives a moment to wait for, does nothing when it gives none."""
    if until is not None:
        raise OAuthError.slow_down(max(1, int((until - now).total_seconds())))


class UntrustedRedirect(OAuthError):
    """The client or its redirect URI is not proven: our own page, never a redirect (RFC 6749 §4.1.2.1)."""
