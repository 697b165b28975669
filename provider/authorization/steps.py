"""What comes next of an authorization request: a page for a person, or nothing that is left to ask."""

from __future__ import annotations

from dataclasses import dataclass

from provider.accounts.users import User
from provider.protocol.client import Resource
from provider.sign_in.sessions import Session


@dataclass(frozen=True, slots=True)
class NeedsPage:
    """Something a person has to do first. ``error`` is the answer when no page may be shown (``prompt=none``)."""

    path: str
    error: str
    reason: str = "The user would have to act on a page, and prompt is none."


# The person at hand is in none of the groups that the application is reserved for.
OUTSIDE = NeedsPage("/members-only", "access_denied", "The user is not among those whom this application is for.")


@dataclass(frozen=True, slots=True)
class Ready:
    """Nothing is left to ask. ``is_decided``: the person has allowed just this request, which is to be remembered.
    ``consent_id`` is an earlier consent; there is neither for a trusted client."""

    session: Session
    user: User
    resource: Resource
    scope: tuple[str, ...]
    consent_id: str | None
    is_decided: bool = False
