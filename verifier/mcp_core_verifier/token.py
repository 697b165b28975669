"""What a service learns from an access token that it may believe."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any


@dataclass(frozen=True, slots=True)
class AccessToken:
    """A verified access token (RFC 9068).

    ``subject`` is the person's id, or the ``client_id`` of an application or API key that acts in its own name
    (``is_machine``). ``claims`` are all claims of the token; for an API key ``claims["owner"]`` is the id of its owner.
    """

    subject: str
    client_id: str
    scope: tuple[str, ...]
    expires_at: datetime.datetime
    claims: Mapping[str, Any] = field(repr=False)

    @property
    def is_machine(self) -> bool:
        """No person is behind it: it came from client credentials (RFC 9068 §2.2)."""
        return self.subject == self.client_id

    @property
    def groups(self) -> frozenset[str]:
        """The groups of the person, where this API has the claim and the scope ``groups`` was granted. Otherwise none."""
        said = self.claims.get("groups")
        return frozenset(name for name in said if isinstance(name, str)) if isinstance(said, list) else frozenset()

    @classmethod
    def from_claims(cls, claims: Mapping[str, Any]) -> AccessToken:
        """``claims`` must have been checked."""
        return cls(
            subject=claims["sub"],
            client_id=claims["client_id"],
            scope=tuple(claims.get("scope", "").split()),
            expires_at=datetime.datetime.fromtimestamp(claims["exp"], datetime.UTC),
            claims=MappingProxyType(dict(claims)),
        )
