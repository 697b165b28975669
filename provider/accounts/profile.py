"""What of a user becomes claims."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from provider.accounts.users import User
from provider.protocol.claims import Subject


def subject_of(
    user: User, sub: str, profile: Mapping[str, Any] | None = None, groups: tuple[str, ...] | None = None
) -> Subject:
    """The user under the identifier ``sub``, which is a client's own one where subjects are pairwise.

    ``profile`` is what ``Profiles.claims`` says of them, where anything asks for it (``wants_profile``).
    """
    return Subject(
        sub=sub,
        username=user.username,
        display_name=user.display_name,
        locale=user.locale,
        updated_at=user.updated_at,
        email=user.email,
        email_verified=user.is_verified,
        profile=profile or {},
        groups=groups,
    )
