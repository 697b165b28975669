"""The one value that tokens are made from."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from provider.protocol.client import Client, Resource


@dataclass(frozen=True, slots=True)
class Authorization:
    """What was proved: by a code, a refresh token or a client's own credential.

    ``user_id`` and ``grant_id`` are None for client credentials. ``resource`` is the catalogue entry that becomes
    ``aud`` and picks the signature. ``grant_scope`` is all that the grant covers when ``scope`` is narrower.
    """

    client: Client
    grant_type: str
    scope: tuple[str, ...]
    resource: Resource
    user_id: str | None = None
    grant_id: str | None = None
    session_id: str | None = None
    authenticated_at: datetime.datetime | None = None
    amr: tuple[str, ...] = ()
    acr: str | None = None
    nonce: str | None = None
    claims: Mapping[str, Any] = field(default_factory=dict)
    source: str = ""
