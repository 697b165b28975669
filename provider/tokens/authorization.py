"""The one value that tokens are made from."""

from __future__ import annotations

import datetime
from dataclasses import dataclass

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
