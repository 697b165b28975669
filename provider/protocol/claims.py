"""Claims about a person for each scope (OpenID Connect Core §5.1, §5.4)."""

from __future__ import annotations

import datetime
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

CLAIMS_OF_SCOPE = {
    "profile": ("name", "preferred_username", "locale", "updated_at"),
    "email": ("email", "email_verified"),
}


@dataclass(frozen=True, slots=True)
class Subject:
    """What is known of a person. None and empty text become no claim at all."""

    sub: str
    username: str
    display_name: str | None
    locale: str | None
    updated_at: datetime.datetime
    email: str
    email_verified: bool


def claims_for(subject: Subject, scope: Collection[str]) -> dict[str, Any]:
    """``sub`` and the claims that ``scope`` covers, without nulls and empty strings (OpenID Connect Core §5.3.2).

    ``updated_at`` is in whole seconds, and nothing is said about whether an address is verified where there is none.
    """
    known = {
        "name": subject.display_name or subject.username,
        "preferred_username": subject.username,
        "locale": subject.locale,
        "updated_at": int(subject.updated_at.timestamp()),
        "email": subject.email,
        "email_verified": bool(subject.email_verified) if subject.email else None,
    }
    names = [name for granted, names in CLAIMS_OF_SCOPE.items() if granted in scope for name in names]
    return {"sub": subject.sub, **{name: known[name] for name in names if known[name] not in (None, "")}}
