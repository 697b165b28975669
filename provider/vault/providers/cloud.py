"""What is to be known of one cloud."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from provider.vault.fields import CloudField

Mode = Literal["secret", "keyless"]


@dataclass(frozen=True, slots=True)
class CloudProvider:
    """``name`` is what ``users.cloud_provider`` says. ``keyless`` is empty where the cloud does not take our tokens."""

    name: str
    title: str
    secret: Sequence[CloudField]
    keyless: Sequence[CloudField] = ()

    def fields(self, mode: Mode) -> Sequence[CloudField]:
        return self.secret if mode == "secret" else self.keyless
