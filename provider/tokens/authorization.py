"""The values that tokens are made from."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from provider.protocol.client import Client, Resource
from provider.protocol.groups import Membership


@dataclass(frozen=True, slots=True)
class Authorization:
    """What was proved: by a code, a refresh token or a client's own credential.

    ``user_id`` and ``grant_id`` are None for client credentials. ``resource`` is the catalogue entry that becomes
    ``aud`` and picks the signature. ``id_token_claims`` are names of claims that were asked for one by one.
    ``membership`` are the groups of the person, or of the owner of a key, where anything of it rests on them.
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
    id_token_claims: tuple[str, ...] = ()
    membership: Membership | None = None
    source: str = ""


@dataclass(frozen=True, slots=True)
class CloudAuthorization:
    """What a token for a cloud rests on: an account of a person, and the access token or the session by which it was asked
    for. One of ``access_token`` (a ``jti``) and ``session_id`` is there.

    ``account_version`` is the one that was read. ``seconds`` is the token's life, ``claims`` come on top of the registered
    ones.
    """

    user_id: str
    account_id: str
    account_version: int
    subject: str
    audience: str
    algorithm: str
    seconds: int
    claims: Mapping[str, Any] = field(default_factory=dict)
    access_token: str | None = None
    session_id: str | None = None
    source: str = ""
