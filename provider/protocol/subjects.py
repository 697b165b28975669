"""Subject identifiers: the same for all clients, or another one for each sector (OpenID Connect Core §8)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol
from urllib.parse import urlsplit

from provider.protocol.client import PAIRWISE, ClientDetails


class SectorClient(Protocol):
    """What of a client decides how it knows a user: a ``Client``, or less."""

    @property
    def client_id(self) -> str: ...

    @property
    def redirect_uris(self) -> tuple[str, ...]: ...

    @property
    def details(self) -> ClientDetails: ...


def sector_of(details: ClientDetails, redirect_uris: Sequence[str]) -> str | None:
    """The host that stands for a client's sector: that of its document, or of all its redirect URIs. None if they differ.

    A private-use scheme is no host, whatever stands behind it: ``com.evil.app://bank.example`` is not of the bank.
    """
    if details.sector_identifier_uri is not None:
        return urlsplit(details.sector_identifier_uri).hostname
    hosts = {_host(uri) for uri in redirect_uris}
    return hosts.pop() if len(hosts) == 1 else None


def pairwise_sector(client: SectorClient) -> str | None:
    """The sector whose pseudonym a client knows a user by, None for a client that knows the user's own identifier.

    What anybody can register (loopback, a private-use scheme) is no sector that clients share: such a client is its own.
    """
    if client.details.subject_type != PAIRWISE:
        return None
    is_of_a_host = client.details.sector_identifier_uri is not None or all(
        uri.startswith("https://") for uri in client.redirect_uris
    )
    return (sector_of(client.details, client.redirect_uris) if is_of_a_host else None) or client.client_id


def _host(uri: str) -> str | None:
    parts = urlsplit(uri)
    return parts.hostname if parts.scheme in ("http", "https") else f"{parts.scheme}:"
