"""Sector identifiers of clients that know people by pseudonyms (OpenID Connect Registration §5)."""

from __future__ import annotations

import logging

from database.transaction import Transaction
from provider.clients.metadata import ClientMetadata
from provider.protocol.client import PAIRWISE
from provider.protocol.errors import OAuthError
from provider.protocol.subjects import sector_of
from provider.security.exchange import FetchFailed
from provider.security.outbound import Outbound, TooBusy

log = logging.getLogger("mcp_core.sectors")

MAX_BYTES = 65_536


def check_sector(tx: Transaction, outbound: Outbound, metadata: ClientMetadata) -> None:
    """Every redirect URI must be in the sector's document: nobody else shares the pseudonyms that a host knows.

    Ends the transaction before it fetches. Raises ``invalid_client_metadata``, ``temporarily_unavailable``.
    """
    uri = metadata.details.sector_identifier_uri
    if uri is not None:
        tx.commit()
        _check_document(outbound, uri, metadata.redirect_uris)
        return
    is_pairwise = metadata.details.subject_type == PAIRWISE and bool(metadata.redirect_uris)
    if is_pairwise and sector_of(metadata.details, metadata.redirect_uris) is None:
        raise _refused("Pseudonyms for redirect URIs of several hosts need a sector_identifier_uri.")


def _check_document(outbound: Outbound, uri: str, redirect_uris: tuple[str, ...]) -> None:
    try:
        listed = outbound.get_json(uri, max_bytes=MAX_BYTES)
    except TooBusy:
        raise OAuthError.temporarily_unavailable() from None
    except FetchFailed as error:
        log.info("a sector identifier document was not read: %s", error)
        raise _refused("sector_identifier_uri could not be read.") from None
    if not isinstance(listed, list) or not all(redirect_uri in listed for redirect_uri in redirect_uris):
        raise _refused("sector_identifier_uri does not list every redirect URI.")


def _refused(problem: str) -> OAuthError:
    return OAuthError("invalid_client_metadata", problem)
