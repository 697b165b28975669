"""Claims about a person for each scope (OpenID Connect Core §5.1, §5.4)."""

from __future__ import annotations

import datetime
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

CLAIMS_OF_SCOPE = {
    "profile": (
        *("name", "given_name", "family_name", "middle_name", "nickname", "preferred_username", "profile", "picture"),
        *("website", "gender", "birthdate", "zoneinfo", "locale", "updated_at"),
    ),
    "email": ("email", "email_verified"),
    "groups": ("groups",),
    "phone": ("phone_number", "phone_number_verified"),
    "address": ("address",),
}
_OF_EVERYBODY = ("name", "preferred_username", "locale", "updated_at")
_OF_PROFILES = {
    name for scope in ("profile", "phone", "address") for name in CLAIMS_OF_SCOPE[scope] if name not in _OF_EVERYBODY
}


@dataclass(frozen=True, slots=True)
class Subject:
    """What is known of a person. None and empty text become no claim at all; who is in no group has a claim that says so.

    ``profile`` are claims by their names: what the person has said besides. ``groups`` is None where nobody has looked.
    """

    sub: str
    username: str
    display_name: str | None
    locale: str | None
    updated_at: datetime.datetime
    email: str
    email_verified: bool
    profile: Mapping[str, Any] = field(default_factory=dict)
    groups: tuple[str, ...] | None = None


def wants_profile(scope: Collection[str], names: Collection[str] = ()) -> bool:
    """Whether any claim is asked for that is among what a person has said of themselves."""
    return any(scope_name in scope for scope_name in ("profile", "phone", "address")) or not _OF_PROFILES.isdisjoint(
        names
    )


def claims_for(subject: Subject, scope: Collection[str], names: Collection[str] = ()) -> dict[str, Any]:
    """``sub``, the claims that ``scope`` covers and those of ``names``, without nulls and empty strings (§5.3.2, §5.5).

    ``updated_at`` is in whole seconds, and nothing is said about whether an address is verified where there is none.
    """
    known = {
        **subject.profile,
        "name": subject.display_name or subject.username,
        "preferred_username": subject.username,
        "locale": subject.locale,
        "updated_at": int(subject.updated_at.timestamp()),
        "email": subject.email,
        "email_verified": bool(subject.email_verified) if subject.email else None,
        "groups": None if subject.groups is None else list(subject.groups),
    }
    covered = [name for granted, claims in CLAIMS_OF_SCOPE.items() if granted in scope for name in claims]
    asked = [name for name in (*covered, *names) if known.get(name) not in (None, "")]
    return {"sub": subject.sub, **{name: known[name] for name in asked}}
