"""Subject identifiers: the same for all clients, or another one for each sector (OpenID Connect Core §8)."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlsplit

from provider.protocol.client import PAIRWISE, Client, ClientDetails


def sector_of(details: ClientDetails, redirect_uris: Sequence[str]) -> str | None:
    """The host that stands for a client's sector: that of its document, or of all its redirect URIs. None if they differ."""
    if details.sector_identifier_uri is not None:
        return urlsplit(details.sector_identifier_uri).netloc
    hosts = {urlsplit(uri).netloc or urlsplit(uri).scheme for uri in redirect_uris}
    return hosts.pop() if len(hosts) == 1 else None


def pairwise_sector(client: Client) -> str | None:
    """The sector whose pseudonym a client knows a user by, None for a client that knows the user's own identifier."""
    if client.details.subject_type != PAIRWISE:
        return None
    return sector_of(client.details, client.redirect_uris) or client.client_id
