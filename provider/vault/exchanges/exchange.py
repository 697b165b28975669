"""What an exchange with a cloud is: the token that it wants, the question, the answer or the reason for none."""

from __future__ import annotations

import datetime
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class TokenDemands:
    """What the cloud checks in our token. ``claims`` come on top of iss, sub, aud, iat, exp and jti."""

    audience: str
    algorithm: str = "RS256"
    seconds: int = 300
    claims: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CloudCredentials:
    """What programs get. ``values`` by the names that ``POST …/credentials`` answers with; they end at ``expires_at``."""

    values: Mapping[str, str] = field(repr=False)
    expires_at: datetime.datetime | None


class Condition(StrEnum):
    """Why a cloud gave nothing, as far as it says so."""

    ISSUER_UNREACHABLE = "issuer_unreachable"  # the cloud cannot read our keys
    ISSUER = "issuer"  # it does not trust this issuer
    AUDIENCE = "audience"
    SUBJECT = "subject"
    SIGNATURE = "signature"
    EXPIRED = "expired"
    ROLE = "role"  # the role or account does not exist, or may not be taken
    CLOUD_UNREACHABLE = "cloud_unreachable"
    LIMIT = "limit"  # asked too often
    OTHER = "other"


class ExchangeRefused(Exception):
    """``said`` is the cloud's own text, cut and cleaned: for the person whose account it is, never for others."""

    def __init__(self, condition: Condition, said: str = "") -> None:
        super().__init__(condition.value)
        self.condition = condition
        self.said = said


class Answer(Protocol):
    """What a cloud answered, read completely and bounded."""

    @property
    def status(self) -> int: ...

    @property
    def body(self) -> bytes: ...


class CloudDoor(Protocol):
    """The guarded way to a cloud, within one deadline for all that one exchange asks. Raises ``ExchangeRefused``."""

    def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Answer: ...


class CloudExchange(Protocol):
    """One cloud. ``options`` are the account's fields in clear, by name, and its ``label``."""

    @property
    def audiences(self) -> re.Pattern[str] | None:
        """What no other cloud's account may have as its audience, None where anybody chooses it."""
        ...

    def demands(self, options: Mapping[str, str]) -> TokenDemands: ...

    def exchange(
        self, options: Mapping[str, str], token: str, door: CloudDoor, now: datetime.datetime
    ) -> CloudCredentials:
        """Gives ``token`` to the cloud. Raises ``ExchangeRefused``."""
        ...
