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
from provider.sign_in.assurance import TWO_FACTOR, reaches
from provider.sign_in.proofs import reachable_levels
from provider.tokens.verifier import VerifiedAccessToken


@dataclass(frozen=True, slots=True)
class Caller:
    """A person, through an application that they have allowed to act for them or a key of their own."""

    user: User
    client: Client
    token: VerifiedAccessToken

    def has_signed_in_within(self, seconds: int, now: datetime.datetime) -> bool:
        signed_in_at = self.token.claims.get("auth_time")
        return isinstance(signed_in_at, int) and now.timestamp() - signed_in_at <= seconds


def caller(
    services: Services, request: ProtocolRequest, tx: Transaction, scope: str, *, keys_too: bool = False
) -> Caller:
    """Whoever calls, if the token is for this server, a person's, and has ``scope``. ``keys_too``: or an API key's.

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
    client = None if found is None else services.clients.find(tx, str(found.claims["client_id"]))
    if found is None or client is None or found.audience != services.settings.issuer:
        raise _invalid_token()
    user_id = client.owner_user_id if keys_too and client.is_api_key else found.user_id
    user = None if user_id is None else services.users.find(tx, user_id)
    if user is None:
        raise _invalid_token()
    known = Caller(user, client, found)
    require_scope(known, scope)
    return known


def require_scope(known: Caller, scope: str) -> None:
    """Raises 403 ``insufficient_scope``."""
    if scope not in known.token.scope:
        raise _refused("insufficient_scope", f"The scope {scope} is needed.", 403, f'scope="{scope}"')


def require_recent_sign_in(services: Services, known: Caller, now: datetime.datetime) -> None:
    """Raises 401 ``insufficient_user_authentication`` (RFC 9470 §3): the application asks again, with this ``max_age``."""
    seconds = services.settings.recent_login_seconds
    if not known.has_signed_in_within(seconds, now):
        words = "The person must have signed in a short while ago."
        raise _refused("insufficient_user_authentication", words, 401, f'max_age="{seconds}"')


def require_second_factor(services: Services, tx: Transaction, known: Caller) -> None:
    """What ``require_recent_sign_in`` looks at must have been a second factor, which the person has still (RFC 9470)."""
    reached = reaches(str(known.token.claims.get("acr")), TWO_FACTOR)
    if not reached or TWO_FACTOR not in reachable_levels(tx, known.user):
        seconds = services.settings.recent_login_seconds
        more = f'acr_values="{TWO_FACTOR}", max_age="{seconds}"'
        words = "The person must have given a second factor a short while ago."
        raise _refused("insufficient_user_authentication", words, 401, more)


def _invalid_token() -> OAuthError:
    return _refused("invalid_token", "The access token is not valid here.", 401)


def _refused(error: str, description: str, status: int, more: str = "") -> OAuthError:
    challenge = f'Bearer error="{error}", error_description="{description}"' + (f", {more}" if more else "")
    return OAuthError(error, description, status=status, headers=(("WWW-Authenticate", challenge),))
