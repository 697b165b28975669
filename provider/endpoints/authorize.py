"""The authorization endpoint (RFC 6749 §3.1): checks a request, and sends people from step to step until it is answered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from urllib.parse import urlencode

from database.transaction import Transaction
from provider.accounts.users import User
from provider.authorization.answers import ERROR_PAGE, ReturnAddress
from provider.authorization.asked import AskedFor
from provider.authorization.refusals import AuthorizationRefusals
from provider.authorization.steps import OUTSIDE, NeedsPage, Ready
from provider.doors.endpoint import Endpoint
from provider.endpoints.limits import refuse_beyond, refuse_to_keep_more
from provider.endpoints.request_reader import RequestReader
from provider.oauth_server import OAuthServer
from provider.protocol.client import Client
from provider.protocol.document_rules import looks_like_document_url
from provider.protocol.errors import OAuthError, UntrustedRedirect
from provider.protocol.headers import cookie_line
from provider.protocol.messages import ProtocolRequest, ProtocolResponse
from provider.protocol.request_rules import (
    check_authorization_request,
    proven_redirect_uri,
    safe_response_mode,
    safe_state,
    single_value,
)
from provider.security.crypto import is_secret, new_secret
from provider.security.rate_limit import Limit
from provider.sign_in.sessions import Session

# Where it goes is a header, and a proxy may take no more than 4,096 characters of headers from us.
MAX_POSTED_QUERY = 3072
# Anybody can begin a sign-in that nobody ever ends, and each is kept for half an hour.
STORED_PER_SOURCE = Limit("waiting requests per source", 300, 60)


def mount(server: OAuthServer) -> Sequence[Endpoint]:
    endpoint = AuthorizeEndpoint(server)
    path = f"{server.services.settings.issuer_path}/authorize"
    return [
        Endpoint(path, ("GET", "POST"), endpoint.begin, bare=True, shows_pages=True, gathers=endpoint.is_known),
        Endpoint(f"{path}/<handle>", ("GET",), endpoint.resume, bare=True, shows_pages=True, gathers=endpoint.is_known),
    ]


class AuthorizeEndpoint:
    """``begin`` takes a request from an application, ``resume`` goes on with one that was stored for its user."""

    def __init__(self, server: OAuthServer) -> None:
        self._services = server.services
        self._settings = server.services.settings
        self._flow = server.flow
        self._reader = RequestReader(server.services)
        self._refusals = AuthorizationRefusals(server.services)

    def begin(self, request: ProtocolRequest, tx: Transaction) -> ProtocolResponse:
        """GET and POST alike. A POST comes from another site without our cookies (SameSite=Lax): it is answered
        by a redirect to the same request as a GET, or, where that would be too long, stored and resumed by GET.
        GET uses nothing up and may be sent twice."""
        client_id = None
        try:
            sent = request.form if request.method == "POST" else request.query
            as_query = self._as_query(request)
            if as_query:
                return ProtocolResponse.redirect(f"{self._settings.issuer_path}/authorize?{as_query}")
            client_id = single_value(sent, "client_id")
            client = self._client(request, tx, client_id) if client_id else None
            if client is None:
                raise UntrustedRedirect("invalid_request", "No application is registered under this client_id.")
            read = self._reader.read(tx, client, sent, request.origin)
            redirect_uri = proven_redirect_uri(read.parameters, client)
        except OAuthError as error:
            self._record(request, tx, client_id, error)
            return _error_page(error)
        mode = safe_response_mode(read.parameters, redirect_uri)
        to = ReturnAddress(redirect_uri, safe_state(read.parameters), mode)
        try:
            if read.problem is not None:
                raise read.problem
            checked = check_authorization_request(read.parameters, client, redirect_uri)
            asked = AskedFor(client, replace(checked, pushed=read.pushed), request.received_at)
            return self._begin_checked(request, tx, asked)
        except OAuthError as error:
            self._record(request, tx, client_id, error)
            return self._flow.answers.refuse(client, to, error)

    def resume(self, request: ProtocolRequest, tx: Transaction) -> ProtocolResponse:
        """The next step of a stored request: another page, or the answer."""
        handle = request.path.rpartition("/")[2]
        browser = self._cookie(request, "browser")
        asked = self._flow.find(tx, request.received_at, handle, browser)
        if asked is None:
            return self._over(request, tx, handle, browser)
        try:
            step = self._next_step(request, tx, asked)
        except OAuthError as error:
            if request.is_speculative:
                return _nothing_yet()
            self._services.authorization_requests.consume(tx, request.received_at, handle)
            self._record(request, tx, asked.client.client_id, error)
            return self._flow.answers.refuse(asked.client, asked.return_address, error)
        if not isinstance(step, Ready):
            return _to_page(step.path, handle)
        if request.is_speculative:
            return _nothing_yet()
        if not self._services.authorization_requests.consume(tx, request.received_at, handle):
            return self._over(request, tx, handle, browser)
        try:
            return self._flow.issue(tx, request.origin, asked, step, handle)
        except OAuthError as error:
            self._record(request, tx, asked.client.client_id, error)
            return self._flow.answers.refuse(asked.client, asked.return_address, error)

    def is_known(self, request: ProtocolRequest) -> bool:
        """Whether somebody seems to be signed in: others are sent to a page, for which their request has to be stored."""
        return bool(self._cookie(request, "session"))

    def _over(self, request: ProtocolRequest, tx: Transaction, handle: str, browser: str) -> ProtocolResponse:
        """What a request that is over gets: once more the code that nobody has redeemed yet, or the page that says so."""
        known = None if request.is_speculative else self._signed_in(request, tx)
        session = None if known is None else known[0]
        again = self._flow.ended.code_again(tx, request.received_at, handle, browser, session)
        return again or self._flow.ended.page(tx, request.received_at, handle, browser)

    def _client(self, request: ProtocolRequest, tx: Transaction, client_id: str) -> Client | None:
        """The registered client, or the one that a metadata document describes. Raises ``UntrustedRedirect``.

        It is read anew: what is stored for it next needs its row, which another process may have deleted a moment ago.
        """
        if looks_like_document_url(client_id):
            self._services.metadata_documents.client(tx, request.origin, client_id)
        client = self._services.clients.find(tx, client_id, fresh=True)
        return client if client is not None and client.is_usable(request.received_at) else None

    def _as_query(self, request: ProtocolRequest) -> str:
        """The form of a POST as the query of a GET, empty for one that is too long and for a GET."""
        if request.method != "POST":
            return ""
        query = urlencode(request.form.as_dict(), doseq=True)
        return query if len(query) <= MAX_POSTED_QUERY else ""

    def _begin_checked(self, request: ProtocolRequest, tx: Transaction, asked: AskedFor) -> ProtocolResponse:
        if request.method == "POST":
            return self._store(request, tx, asked, None)
        step = self._next_step(request, tx, asked)
        if isinstance(step, Ready):
            if request.is_speculative:
                return _nothing_yet()
            return self._flow.issue(tx, request.origin, asked, step)
        if request.is_speculative:
            return ProtocolResponse(200 if request.method == "HEAD" else 204, [("Cache-Control", "no-store")])
        return self._store(request, tx, asked, step.path)

    def _next_step(self, request: ProtocolRequest, tx: Transaction, asked: AskedFor) -> Ready | NeedsPage:
        """Raises ``OAuthError``, also when a page would have to be shown and ``prompt`` is ``none``."""
        step = self._flow.next_step(tx, asked, self._signed_in(request, tx), request.received_at)
        if isinstance(step, NeedsPage) and "none" in asked.parameters.prompt:
            raise OAuthError(step.error, step.reason)
        if step is OUTSIDE:
            self._record(request, tx, asked.client.client_id, OAuthError(OUTSIDE.error, OUTSIDE.reason))
        return step

    def _store(self, request: ProtocolRequest, tx: Transaction, asked: AskedFor, page: str | None) -> ProtocolResponse:
        """Keeps the request for this browser and goes on with the page, or with the stored request itself.

        Raises ``temporarily_unavailable`` for an address that begins too many, ``invalid_request`` for what is too large.
        """
        refuse_beyond(self._services, tx, STORED_PER_SOURCE, request)
        browser = self._cookie(request, "browser")
        is_new = not is_secret("browser", browser)
        if is_new:
            browser = new_secret("browser")
        parameters = self._flow.settled(tx, asked).to_dict()
        seconds = self._settings.authorization_request_seconds
        refuse_to_keep_more(self._services, tx, "waiting requests", seconds, parameters, request)
        handle = self._services.authorization_requests.store(
            tx, request.received_at, client_row_id=asked.client.id, browser=browser, parameters=parameters
        )
        if page is None:
            response = ProtocolResponse.redirect(f"{self._settings.issuer_path}/authorize/{handle}")
        else:
            response = _to_page(page, handle)
        if is_new:
            name = self._settings.cookie_name("browser")
            cookie = cookie_line(name, browser, is_secure=self._settings.is_https)
            response.headers.append(("Set-Cookie", cookie))
        return response

    def _record(self, request: ProtocolRequest, tx: Transaction, client_id: str | None, error: OAuthError) -> None:
        if not request.is_speculative:  # a browser that looks ahead sends the same once more
            self._refusals.record(tx, request.origin, client_id, error)

    def _signed_in(self, request: ProtocolRequest, tx: Transaction) -> tuple[Session, User] | None:
        token = self._cookie(request, "session")
        return self._services.sessions.find(tx, request.received_at, token) if token else None

    def _cookie(self, request: ProtocolRequest, name: str) -> str:
        return request.cookies.get(self._settings.cookie_name(name), "")


def _nothing_yet() -> ProtocolResponse:
    """For a browser that only looks ahead."""
    return ProtocolResponse(204, [("Cache-Control", "no-store")])


def _to_page(path: str, handle: str) -> ProtocolResponse:
    return ProtocolResponse.redirect(f"{path}?request={handle}")


def _error_page(error: OAuthError) -> ProtocolResponse:
    """Our own page: nothing proves yet that the request's redirect URI is the client's."""
    public = error if isinstance(error, UntrustedRedirect) else UntrustedRedirect(error.error, error.description)
    return ProtocolResponse.show(ERROR_PAGE, 400, error=public.error, description=public.description)
