"""How the self-service API writes things down. Times are UTC, to the second."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from typing import Any

from provider.accounts.activity import Entry
from provider.accounts.consents import Consent
from provider.accounts.profile_fields import OF_USERS
from provider.accounts.users import User
from provider.protocol.client import Client
from provider.sign_in.sessions import Session


def me_view(user: User, sub: str, groups: Sequence[str]) -> dict[str, Any]:
    """``sub`` is what the application knows the person by."""
    return {
        "sub": sub,
        "username": user.username,
        "email": user.email,
        "email_verified": user.is_verified,
        **{name: getattr(user, name) for name in OF_USERS},
        "groups": list(groups),
        "two_factor_enabled": user.two_factor_enabled,
        "created_at": _when(user.created_at),
        "last_login_at": _when(user.last_login_at),
    }


def session_view(session: Session, is_current: bool) -> dict[str, Any]:
    return {
        "id": session.id,
        "is_current": is_current,
        "amr": list(session.amr),
        "ip_address": session.ip_address,
        "user_agent": session.user_agent,
        "created_at": _when(session.created_at),
        "last_seen_at": _when(session.last_seen_at),
        "expires_at": _when(session.expires_at),
    }


def app_view(consent: Consent, client: Client | None) -> dict[str, Any]:
    """``is_vouched``: somebody stands for what the application says of itself, its name included."""
    return {
        "id": consent.id,
        "client_id": None if client is None else client.client_id,
        "name": None if client is None else client.name,
        "is_vouched": client is not None and client.is_vouched,
        "resource": consent.resource,
        "scope": " ".join(consent.scope),
        "created_at": _when(consent.created_at),
        "updated_at": _when(consent.updated_at),
    }


def key_view(key: Client) -> dict[str, Any]:
    return {
        "id": key.client_id,
        "name": key.name,
        "scope": " ".join(key.scope),
        "resource": key.resource,
        "created_at": _when(key.created_at),
        "last_used_at": _when(key.last_used_at),
        "expires_at": _when(key.expires_at),
    }


def activity_view(entry: Entry) -> dict[str, Any]:
    """What else the record says is for operators."""
    return {
        "id": entry.id,
        "action": entry.action,
        "outcome": entry.outcome,
        "ip_address": entry.ip_address,
        "user_agent": entry.user_agent,
        "created_at": _when(entry.created_at),
    }


def _when(moment: datetime.datetime | None) -> str | None:
    return None if moment is None else moment.astimezone(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
