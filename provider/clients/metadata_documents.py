"""Clients whose id is the URL of a document about them (client-id metadata documents, draft-02): nobody registers them."""

from __future__ import annotations

import datetime
import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Collection
from dataclasses import replace
from typing import Literal
from urllib.parse import urlsplit

from sqlalchemy.exc import IntegrityError

from database.transaction import Transaction
from provider.clients.metadata import ClientMetadata
from provider.clients.metadata_json import metadata_from_json
from provider.clients.registry import Clients
from provider.clients.rows import metadata_of
from provider.protocol.client import Client
from provider.protocol.document_rules import document_method, document_problem, document_url_problem, offered_methods
from provider.protocol.errors import OAuthError, UntrustedRedirect
from provider.protocol.messages import Origin
from provider.security.exchange import FetchFailed
from provider.security.outbound import Fetched, Outbound
from provider.security.rate_limit import Limit, RateLimiter

log = logging.getLogger("mcp_core.metadata_documents")

KIND = "metadata_document"
MAX_BYTES = 5120
FRESH_SECONDS, LEAST_FRESH_SECONDS, MOST_FRESH_SECONDS = 3600, 60, 86400
FAILED_SECONDS = 10
FETCHES_PER_SOURCE = Limit("metadata documents per source", 30, 60)
FETCHES_PER_HOST = Limit("metadata documents per host", 60, 60)
_GRANTS = ("authorization_code", "refresh_token")
_REMEMBERED = 1024


class MetadataDocuments:
    """Finds the client of a URL, reading its document when what we know of it is not fresh any more.

    A document that cannot be read or is not valid is refused and never remembered as a client. ``policy`` is ``open``,
    ``listed`` (only documents of ``hosts``) or ``off``.
    """

    def __init__(
        self,
        clients: Clients,
        outbound: Outbound,
        rate_limits: RateLimiter,
        *,
        policy: Literal["open", "listed", "off"],
        hosts: Collection[str] = (),
    ) -> None:
        self._clients = clients
        self._outbound = outbound
        self._rate_limits = rate_limits
        self.policy = policy
        self._hosts = frozenset(host.lower() for host in hosts)
        self._locks: OrderedDict[str, threading.Lock] = OrderedDict()
        self._failed: OrderedDict[str, float] = OrderedDict()
        self._lock = threading.Lock()

    def client(self, tx: Transaction, origin: Origin, client_id: str) -> Client:
        """The client whose id is the URL ``client_id``, as its document says. Ends the transaction before it fetches.

        Raises ``UntrustedRedirect``: nothing proves a redirect URI while the document is not known.
        """
        problem = self._policy_problem(client_id) or document_url_problem(client_id)
        if problem is not None:
            raise UntrustedRedirect("invalid_request", problem)
        known = self._fresh(tx, origin, client_id)
        if known is not None:
            return known
        with self._lock_of(client_id):  # who waited here finds what the first one has read
            tx.rollback()
            known = self._fresh(tx, origin, client_id)
            return known if known is not None else self._read(tx, origin, client_id)

    def _fresh(self, tx: Transaction, origin: Origin, client_id: str) -> Client | None:
        known = self._clients.find(tx, client_id)
        is_fresh = known is not None and known.document_fresh_until is not None
        return known if is_fresh and known.document_fresh_until > origin.now else None  # type: ignore[union-attr,operator]

    def _read(self, tx: Transaction, origin: Origin, client_id: str) -> Client:
        self._count(tx, origin, client_id)
        tx.commit()
        fetched = self._fetch(client_id)
        metadata = self._metadata(client_id, fetched)
        seconds = FRESH_SECONDS if fetched.max_age_seconds is None else fetched.max_age_seconds
        seconds = max(LEAST_FRESH_SECONDS, min(seconds, MOST_FRESH_SECONDS))
        return self._store(tx, origin, client_id, metadata, origin.now + datetime.timedelta(seconds=seconds))

    def _fetch(self, client_id: str) -> Fetched:
        if time.monotonic() < self._failed.get(client_id, 0):
            raise _unreadable()
        try:
            return self._outbound.get(
                client_id, content_types=("application/json", "application/cimd+json"), max_bytes=MAX_BYTES
            )
        except FetchFailed as error:
            log.info("the metadata document of %s was not read: %s", urlsplit(client_id).hostname, error)
            self._remember_failure(client_id)
            raise _unreadable() from None

    def _metadata(self, client_id: str, fetched: Fetched) -> ClientMetadata:
        try:
            document = fetched.json()
        except FetchFailed:
            self._remember_failure(client_id)
            raise UntrustedRedirect("invalid_request", "The metadata document is no JSON object.") from None
        problem = document_problem(client_id, document)
        try:
            if problem is not None:
                raise OAuthError("invalid_client_metadata", problem)
            return _from_document(document)
        except OAuthError as error:
            self._remember_failure(client_id)
            raise UntrustedRedirect("invalid_request", error.description) from None

    def _store(
        self, tx: Transaction, origin: Origin, client_id: str, metadata: ClientMetadata, fresh_until: datetime.datetime
    ) -> Client:
        known = self._clients.find(tx, client_id, fresh=True)
        if known is None:
            try:
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
            except IntegrityError:  # another process has read the same document at the same moment
                tx.rollback()
                known = self._clients.find(tx, client_id, fresh=True)
                if known is None:
                    raise
            else:
                return made
        if metadata_of(known) == metadata:
            self._clients.set_document_fresh_until(tx, known, fresh_until)
            return replace(known, document_fresh_until=fresh_until)
        changed = self._clients.replace(tx, origin, known, metadata, document_fresh_until=fresh_until, actor=client_id)
        if changed is None:
            raise _unreadable()
        return changed[0]

    def _policy_problem(self, client_id: str) -> str | None:
        if self.policy == "off":
            return "Client-id metadata documents are switched off here."
        if self.policy == "listed" and urlsplit(client_id).netloc.lower() not in self._hosts:
            return "Client-id metadata documents of this host are not accepted here."
        return None

    def _count(self, tx: Transaction, origin: Origin, client_id: str) -> None:
        host = urlsplit(client_id).netloc.lower()
        for limit, key in ((FETCHES_PER_SOURCE, origin.source), (FETCHES_PER_HOST, host)):
            if self._rate_limits.hit(tx, limit, key, origin.now) is not None:
                raise UntrustedRedirect(
                    "temporarily_unavailable", "Too many metadata documents were asked for. Try later."
                )

    def _remember_failure(self, client_id: str) -> None:
        with self._lock:
            self._failed[client_id] = time.monotonic() + FAILED_SECONDS
            self._failed.move_to_end(client_id)
            while len(self._failed) > _REMEMBERED:
                self._failed.popitem(last=False)

    def _lock_of(self, client_id: str) -> threading.Lock:
        with self._lock:
            found = self._locks.setdefault(client_id, threading.Lock())
            self._locks.move_to_end(client_id)
            while len(self._locks) > _REMEMBERED:
                self._locks.popitem(last=False)
            return found


def _from_document(document: dict[str, object]) -> ClientMetadata:
    asked = metadata_from_json({**document, "token_endpoint_auth_method": document_method(document)})
    grants = tuple(name for name in asked.grant_types if name in _GRANTS) or _GRANTS
    details = replace(asked.details, authentication_methods=offered_methods(document))
    return replace(asked, grant_types=grants, resource=None, require_pkce=True, details=details).checked()


def _unreadable() -> UntrustedRedirect:
    return UntrustedRedirect("invalid_request", "The metadata document of this application could not be read.")
