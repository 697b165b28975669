"""What of a user becomes claims."""

from __future__ import annotations

from provider.accounts.users import User
from provider.protocol.claims import Subject


def subject_of(user: User, sub: str) -> Subject:
    """The user under the identifier ``sub``, which is a client's own one where subjects are pairwise."""
    return Subject(
        sub=sub,
        username=user.username,
        display_name=user.display_name,
        locale=user.locale,
        updated_at=user.updated_at,
        email=user.email,
        email_verified=user.is_verified,
    )
