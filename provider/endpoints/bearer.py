"""Access tokens at our own API: who calls, by which application, and what the token allows (RFC 6750, RFC 9470)."""

from __future__ import annotations

import datetime
from dataclasses import dataclass

from database.transaction import Transaction
from provider.accounts.users import User
from provider.protocol.client import Client
from provider.protocol.errors import OAuthError
from provider.protocol.headers import credentials
from provider.protocol.messages import ProtocolRequest
from provider.services import Services
from provider.tokens.verifier import VerifiedAccessToken


@dataclass(frozen=True, slots=True)
class Caller:
    """A person, through an application that they have allowed to act for them."""

    user: User
    client: Client
    token: VerifiedAccessToken

    def has_signed_in_within(self, seconds: int, now: datetime.datetime) -> bool:
        signed_in_at = self.token.claims.get("auth_time")
        return isinstance(signed_in_at, int) and now.timestamp() - signed_in_at <= seconds


def caller(services: Services, request: ProtocolRequest, tx: Transaction, scope: str) -> Caller:
    """Whoever calls, if the token is for this server, a person's, and has ``scope``.

    Raises 401 ``invalid_token`` or 403 ``insufficient_scope`` with what RFC 6750 §3 wants in ``WWW-Authenticate``.
    """
    scheme, sent = credentials(request.headers.get("authorization", ""))
    if scheme != "bearer" or not sent:
        raise OAuthError(
            "invalid_token",
            "An access token is needed.",
            status=401,
            headers=(("WWW-Authenticate", f'Bearer scope="{scope}"'),),
        )
    found = services.token_verifier.verify_access_token(tx, sent, request.received_at)
    user = None if found is None or found.user_id is None else services.users.find(tx, found.user_id)
    client = None if found is None else services.clients.find(tx, str(found.claims["client_id"]))
    if found is None or user is None or client is None or found.audience != services.settings.issuer:
        raise _refused("invalid_token", "The access token is not valid here.", 401)
    if scope not in found.scope:
        raise _refused("insufficient_scope", f"The scope {scope} is needed.", 403, f'scope="{scope}"')
    return Caller(user, client, found)


def require_recent_sign_in(services: Services, known: Caller, now: datetime.datetime) -> None:
    """Raises 401 ``insufficient_user_authentication`` (RFC 9470 §3): the application asks again, with this ``max_age``."""
    seconds = services.settings.recent_login_seconds
    if not known.has_signed_in_within(seconds, now):
        words = "The person must have signed in a short while ago."
        raise _refused("insufficient_user_authentication", words, 401, f'max_age="{seconds}"')


def _refused(error: str, description: str, status: int, more: str = "") -> OAuthError:
    challenge = f'Bearer error="{error}", error_description="{description}"' + (f", {more}" if more else "")
    return OAuthError(error, description, status=status, headers=(("WWW-Authenticate", challenge),))
