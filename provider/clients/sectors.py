"""Sector identifiers of clients that know people by pseudonyms (OpenID Connect Registration §5)."""

from __future__ import annotations

import logging
from typing import Any, Protocol

from database.transaction import Transaction
from provider.clients.metadata import ClientMetadata
from provider.protocol.client import PAIRWISE
from provider.protocol.errors import OAuthError
from provider.protocol.subjects import sector_of
from provider.security.exchange import FetchFailed, Unavailable

log = logging.getLogger("mcp_core.sectors")

MAX_BYTES = 65_536
UNREADABLE = "sector_identifier_uri could not be read."


class GetJson(Protocol):
    """The JSON value at an address. Raises ``FetchFailed``, ``Unavailable``."""

    def __call__(self, url: str, /, *, max_bytes: int) -> Any: ...


def check_sector(tx: Transaction, metadata: ClientMetadata, get_json: GetJson) -> None:
    """Every redirect URI must be in the sector's document: nobody else shares the pseudonyms that a host knows.

    Ends the transaction before it fetches. Raises ``invalid_client_metadata``, and ``Unavailable`` where nobody answers.
    """
    uri = metadata.details.sector_identifier_uri
    if uri is not None:
        tx.commit()
        _check_document(get_json, uri, metadata.redirect_uris)
        return
    is_pairwise = metadata.details.subject_type == PAIRWISE and bool(metadata.redirect_uris)
    if is_pairwise and sector_of(metadata.details, metadata.redirect_uris) is None:
        raise refused_sector("Pseudonyms for redirect URIs of several hosts need a sector_identifier_uri.")


def _check_document(get_json: GetJson, uri: str, redirect_uris: tuple[str, ...]) -> None:
    try:
        listed = get_json(uri, max_bytes=MAX_BYTES)
    except FetchFailed as error:
        log.info("a sector identifier document was not read: %s", error)
        if isinstance(error, Unavailable):
            raise
        raise refused_sector(UNREADABLE) from None
    if not isinstance(listed, list) or not all(redirect_uri in listed for redirect_uri in redirect_uris):
        raise refused_sector("sector_identifier_uri does not list every redirect URI.")


def refused_sector(problem: str) -> OAuthError:
    return OAuthError("invalid_client_metadata", problem)
