"""Clients whose id is the URL of a document about them (client-id metadata documents, draft-02): nobody registers them."""

from __future__ import annotations

import datetime
import logging
from collections.abc import Collection
from dataclasses import replace
from typing import Literal
from urllib.parse import urlsplit

from sqlalchemy.exc import IntegrityError

from database.transaction import Transaction
from provider.clients.metadata import ALGORITHMS, ClientMetadata, check_signatures
from provider.clients.metadata_json import metadata_from_json
from provider.clients.registry import Clients
from provider.clients.rows import metadata_of
from provider.clients.sectors import check_sector
from provider.clients.standing import requester_of
from provider.protocol.client import Client
from provider.protocol.document_rules import document_method, document_problem, document_url_problem, offered_methods
from provider.protocol.errors import OAuthError, UntrustedRedirect
from provider.protocol.json_body import parse_json
from provider.protocol.messages import Origin
from provider.security.backoff import TooBusy
from provider.security.exchange import FetchFailed, Unavailable
from provider.security.outbound import Outbound, Turn
from provider.security.rate_limit import Limit, RateLimiter

log = logging.getLogger("mcp_core.metadata_documents")

KIND = "metadata_document"
MAX_BYTES = 5120
CONTENT_TYPES = ("application/json", "application/cimd+json")
FRESH_SECONDS, LEAST_FRESH_SECONDS, MOST_FRESH_SECONDS = 3600, 60, 86400
OLD_SECONDS = 3600
FETCHES_PER_SOURCE = Limit("metadata documents per source", 30, 60)
NEW_PER_SOURCE = Limit("new metadata documents per source", 300, 86400)
NEW_PER_SOURCE_AND_HOST = Limit("new metadata documents per source and host", 10, 60)
BUSY = "The metadata document of this application cannot be read right now. Try again shortly."
UNREADABLE = "The metadata document of this application could not be read."
_GRANTS = ("authorization_code", "refresh_token")


class MetadataDocuments:
    """Finds the client of a URL, reading its document when what we know of it is not fresh any more.

    A document that cannot be read or is not valid is refused and never remembered as a client. One that was read before and
    cannot be had now does for an hour longer; one that says something wrong now does not. ``policy`` is ``open``,
    ``listed`` (only documents of ``hosts``) or ``off``. ``algorithms`` are those that this server has a key for.
    """

    def __init__(
        self,
        clients: Clients,
        outbound: Outbound,
        rate_limits: RateLimiter,
        *,
        policy: Literal["open", "listed", "off"],
        hosts: Collection[str] = (),
        algorithms: Collection[str] = ALGORITHMS,
    ) -> None:
        self._clients = clients
        self._outbound = outbound
        self._rate_limits = rate_limits
        self.policy = policy
        self._hosts = frozenset(host.lower() for host in hosts)
        self._algorithms = algorithms

    def client(self, tx: Transaction, origin: Origin, client_id: str) -> Client:
        """The client whose id is the URL ``client_id``, as its document says. Ends the transaction before it fetches.

        Raises ``UntrustedRedirect``: nothing proves a redirect URI while the document is not known.
        """
        problem = self._problem(client_id)
        if problem is not None:
            raise UntrustedRedirect("invalid_request", problem)
        known = self._fresh(tx, origin, client_id)
        if known is not None:
            return known
        requester = requester_of(self._clients.find(tx, client_id), origin.network)
        old = self._fresh(tx, origin, client_id, old_seconds=OLD_SECONDS)
        tx.commit()  # who waits holds no connection, and finds afterwards what the first one has read and committed
        try:
            with self._outbound.turn(client_id, requester, CONTENT_TYPES, is_patient=old is None) as turn:
                known = self._fresh(tx, origin, client_id)
                return known if known is not None else self._read(tx, origin, client_id, turn)
        except Unavailable as error:
            if not isinstance(error, TooBusy):
                log.info("the metadata document of %s was not read: %s", urlsplit(client_id).hostname, error)
            if old is not None:
                return old
            raise UntrustedRedirect("temporarily_unavailable", BUSY) from None
        except FetchFailed as error:
            log.info("the metadata document of %s is not to be read: %s", urlsplit(client_id).hostname, error)
            raise UntrustedRedirect("invalid_request", UNREADABLE) from None

    def _fresh(self, tx: Transaction, origin: Origin, client_id: str, *, old_seconds: int = 0) -> Client | None:
        known = self._clients.find(tx, client_id)
        until = None if known is None else known.document_fresh_until
        is_fresh = until is not None and until + datetime.timedelta(seconds=old_seconds) > origin.now
        return known if is_fresh else None

    def _read(self, tx: Transaction, origin: Origin, client_id: str, turn: Turn) -> Client:
        self._count(tx, origin, client_id)
        tx.commit()
        try:
            fetched = turn.get(client_id, CONTENT_TYPES, max_bytes=MAX_BYTES)
            metadata = _from_document(client_id, parse_json(fetched.body))
            check_signatures(metadata, self._algorithms)
            check_sector(tx, metadata, turn.get_json)
        except Unavailable:
            raise
        except (FetchFailed, OAuthError) as error:
            turn.reject()
            self._outdate(tx, origin, client_id)
            tx.commit()
            host, problem = urlsplit(client_id).hostname, error.description if isinstance(error, OAuthError) else None
            log.info("the metadata document of %s was refused: %s", host, problem or error)
            raise UntrustedRedirect("invalid_request", problem or UNREADABLE) from None
        seconds = FRESH_SECONDS if fetched.max_age_seconds is None else fetched.max_age_seconds
        seconds = max(LEAST_FRESH_SECONDS, min(seconds, MOST_FRESH_SECONDS))
        client = self._store(tx, origin, client_id, metadata, origin.now + datetime.timedelta(seconds=seconds))
        tx.commit()
        return client

    def _store(
        self, tx: Transaction, origin: Origin, client_id: str, metadata: ClientMetadata, fresh_until: datetime.datetime
    ) -> Client:
        """Keeps what the document says. Another process may be reading it at the same moment: what it wrote counts too."""
        known = self._clients.find(tx, client_id, fresh=True)
        if known is None:
            try:
                return self._make(tx, origin, client_id, metadata, fresh_until)
            except IntegrityError:
                tx.rollback()
        elif metadata_of(known) != metadata:
            changed = self._clients.replace(
                tx, origin, known, metadata, document_fresh_until=fresh_until, actor=client_id
            )
            if changed is not None:
                return changed[0]
            tx.rollback()
        known = self._clients.find(tx, client_id, fresh=True)
        if known is None or metadata_of(known) != metadata:
            raise UntrustedRedirect("temporarily_unavailable", UNREADABLE)
        self._clients.set_document_fresh_until(tx, known, fresh_until)
        return replace(known, document_fresh_until=fresh_until)

    def _make(
        self, tx: Transaction, origin: Origin, client_id: str, metadata: ClientMetadata, fresh_until: datetime.datetime
    ) -> Client:
        made, _ = self._clients.register(
            tx,
            origin,
            kind=KIND,
            client_id=client_id,
            is_vouched=False,
            document_fresh_until=fresh_until,
            actor=client_id,
            **metadata.to_values(),
        )
        return made

    def _outdate(self, tx: Transaction, origin: Origin, client_id: str) -> None:
        """What the document said before will not do any more, also when it cannot be had later."""
        known = self._clients.find(tx, client_id)
        if known is not None:
            until = origin.now - datetime.timedelta(seconds=OLD_SECONDS)
            self._clients.set_document_fresh_until(tx, known, until)

    def _problem(self, client_id: str) -> str | None:
        if self.policy == "off":
            return "Client-id metadata documents are switched off here."
        problem = document_url_problem(client_id)
        if problem is None and self.policy == "listed" and urlsplit(client_id).netloc.lower() not in self._hosts:
            return "Client-id metadata documents of this host are not accepted here."
        return problem

    def _count(self, tx: Transaction, origin: Origin, client_id: str) -> None:
        """What others have a host asked for keeps nobody out: a host has no limit for all, each network has one for it."""
        limits = [(FETCHES_PER_SOURCE, "")]
        if self._clients.find(tx, client_id) is None:
            limits += [(NEW_PER_SOURCE, ""), (NEW_PER_SOURCE_AND_HOST, urlsplit(client_id).netloc.lower())]
        for limit, about in limits:
            if self._rate_limits.hit_source(tx, limit, origin.networks, origin.now, about=about) is not None:
                raise UntrustedRedirect(
                    "temporarily_unavailable", "Too many metadata documents were asked for. Try later."
                )


def _from_document(client_id: str, document: object) -> ClientMetadata:
    """What a document says, checked as a registration is. Raises ``OAuthError``."""
    problem = document_problem(client_id, document)
    if problem is not None or not isinstance(document, dict):
        raise OAuthError("invalid_client_metadata", problem or "")
    asked = metadata_from_json({**document, "token_endpoint_auth_method": document_method(document)})
    grants = tuple(name for name in asked.grant_types if name in _GRANTS)
    if asked.grant_types and not grants:
        raise OAuthError("invalid_client_metadata", "A metadata document is for applications that sign people in.")
    details = replace(asked.details, authentication_methods=offered_methods(document))
    return replace(asked, grant_types=grants or _GRANTS, require_pkce=True, details=details).checked()
