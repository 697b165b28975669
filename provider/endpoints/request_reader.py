"""Where the parameters of an authorization request come from: the request itself, a signed object, or an earlier push."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from database.transaction import Transaction
from provider.audit import AuditEvent
from provider.protocol.client import Client
from provider.protocol.errors import OAuthError, UntrustedRedirect
from provider.protocol.messages import Origin, Parameters
from provider.protocol.remedies import remedy
from provider.protocol.request_objects import PUSHED_PREFIX, invalid_request_uri
from provider.security.rate_limit import Limit
from provider.services import Services

FETCHES_PER_SOURCE = Limit("request objects per source", 30, 60)
FETCHES_PER_SOURCE_AND_HOST = Limit("request objects per source and host", 20, 60)


@dataclass(frozen=True, slots=True)
class ReadRequest:
    """``parameters`` are all that counts. ``pushed`` names the pushed request. ``problem`` is what is wrong with the object,
    when ``parameters`` are still those outside of it, good for nothing but sending the error back."""

    parameters: Parameters
    pushed: str | None = None
    problem: OAuthError | None = None


class RequestReader:
    def __init__(self, services: Services) -> None:
        self._services = services

    def read(self, tx: Transaction, client: Client, sent: Parameters, origin: Origin) -> ReadRequest:
        """The effective request. What stands outside of a signed or pushed request is ignored (RFC 9101 §5, RFC 9126 §4).

        Raises ``UntrustedRedirect`` for a pushed request that is gone: nothing else says where to go.
        """
        try:
            request_uri, signed = sent.get("request_uri"), sent.get("request")
        except OAuthError as error:
            return ReadRequest(sent, problem=error)
        if request_uri is not None and request_uri.startswith(PUSHED_PREFIX) and signed is None:
            return self._pushed(tx, client, request_uri, origin)
        if client.details.require_pushed_authorization_requests:
            problem = OAuthError.invalid_request(
                "This client must push its authorization requests.",
                detail="require_pushed_authorization_requests is registered for it" + remedy(client, "--metadata FILE"),
            )
            return ReadRequest(sent, problem=problem)
        return self._signed(tx, client, sent, origin)

    def read_push(self, tx: Transaction, client: Client, sent: Parameters, origin: Origin) -> Parameters:
        """The request that a client pushes, which may be signed. Raises ``OAuthError``."""
        sent.refuse_repeated("resource")
        if sent.get("request_uri") is not None:
            raise OAuthError.invalid_request("A pushed request cannot have a request_uri.")
        read = self._signed(tx, client, sent, origin)
        if read.problem is not None:
            raise read.problem
        return read.parameters

    def _signed(self, tx: Transaction, client: Client, sent: Parameters, origin: Origin) -> ReadRequest:
        request_uri, signed = sent.get("request_uri"), sent.get("request")
        if request_uri is None and signed is None:
            return ReadRequest(sent)
        try:
            if request_uri is not None and signed is not None:
                raise OAuthError.invalid_request("Only one of request and request_uri can be sent.")
            if request_uri is not None:
                signed = self._fetch(tx, client, request_uri, origin)
            return ReadRequest(self._services.request_objects.read(tx, origin, client, signed or ""))
        except OAuthError as problem:
            return ReadRequest(sent, problem=problem)

    def _fetch(self, tx: Transaction, client: Client, request_uri: str, origin: Origin) -> str:
        """Anybody can make us ask a client's server: not without end, and so that it keeps nobody else out."""
        if request_uri in client.details.request_uris:
            host = urlsplit(request_uri).netloc.lower()
            for limit, about in ((FETCHES_PER_SOURCE, ""), (FETCHES_PER_SOURCE_AND_HOST, host)):
                over = self._services.rate_limits.hit_source(tx, limit, origin.networks, origin.now, about=about)
                if over is not None:
                    raise OAuthError("temporarily_unavailable", "Too many request objects were asked for. Try later.")
        return self._services.request_objects.fetch(tx, origin, client, request_uri)

    def _pushed(self, tx: Transaction, client: Client, request_uri: str, origin: Origin) -> ReadRequest:
        stored = self._services.pushed_requests.find(tx, origin.now, client.id, request_uri)
        if stored is None:
            self._record_refusal(tx, client, request_uri, origin)
            gone = invalid_request_uri("This pushed request is unknown, has expired, or was answered before.")
            raise UntrustedRedirect(gone.error, gone.description)
        pairs = [(name, value) for name, values in stored.parameters.items() for value in values]
        return ReadRequest(Parameters(pairs), pushed=stored.handle_hash)

    def _record_refusal(self, tx: Transaction, client: Client, request_uri: str, origin: Origin) -> None:
        """Only what there is, or was: a name that somebody made up is nobody's."""
        known = self._services.pushed_requests.trace_of(tx, request_uri)
        if known is None or (known.client_row_id == client.id and not known.is_used):
            return
        self._services.refusals.record(
            tx,
            AuditEvent.PUSHED_REQUEST_REFUSED,
            origin,
            resource_type="pushed_requests",
            resource_id=known.handle_hash,
            reason="replayed" if known.client_row_id == client.id else "another client",
            actor=client.client_id,
            client=known.client_row_id,
        )
