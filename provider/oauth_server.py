"""Authlib's ``AuthorizationServer`` on our request: the one subclass of it.

Authlib parses, picks the grant and keeps the order of its steps; answers, errors and storage are ours. Whatever it
raises becomes an ``OAuthError`` or a ``ProtocolResponse`` here and nowhere else.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any

from authlib.oauth2.rfc6749 import AuthorizationServer, OAuth2Error

from database.transaction import Transaction
from provider import grants
from provider.accounts.users import User
from provider.authorization.descriptions import RequestDescription
from provider.authorization.flow import AuthorizationFlow
from provider.doors.pulse import Pulse
from provider.grants.base import Grant, TokenRequest
from provider.protocol.client import Client
from provider.protocol.errors import OAuthError
from provider.protocol.messages import Origin, ProtocolRequest, ProtocolResponse
from provider.services import Services
from provider.sign_in.sessions import Session
from provider.tokens.token_records import AuthorizationGone


class OAuthServer(AuthorizationServer):  # type: ignore[misc]
    """The token endpoint's machinery, and what pages and endpoints share of an authorization request."""

    def __init__(self, services: Services, pulse: Pulse | None = None) -> None:
        super().__init__()
        self.services = services
        self.pulse = pulse
        self.flow = AuthorizationFlow(services)
        self._by_type: Mapping[str, type[Grant]] = {grant.GRANT_TYPE: grant for grant in grants.ALL}
        for grant in grants.ALL:
            self.register_grant(grant)

    def answer_token_request(self, request: ProtocolRequest, tx: Transaction) -> ProtocolResponse:
        """The token endpoint's answer (RFC 6749 §3.2). Raises ``OAuthError``.

        When the mint finds that something changed since it was read (a client from the cache, most often), everything is
        undone and done once more from fresh rows; what is gone then is refused.
        """
        try:
            return self._token_response(request, tx)
        except AuthorizationGone:
            tx.rollback()
            self._forget_client(request)
        try:
            return self._token_response(request, tx)
        except AuthorizationGone:
            tx.rollback()  # what was used up for a token that isn't made is not used up
            if request.form.get("grant_type") == "client_credentials":
                raise OAuthError.invalid_client(detail="the client or its owner is gone") from None
            raise OAuthError.invalid_grant("The authorization is not valid any more.") from None

    def describe_request(
        self, tx: Transaction, now: datetime.datetime, handle: str, browser: str, signed_in: tuple[Session, User] | None
    ) -> RequestDescription | None:
        """The waiting request of a handle as a person is to be told of it, None when it is over or another browser's."""
        return self.flow.describe(tx, now, handle, browser, signed_in)

    def request_is_over(self, tx: Transaction, now: datetime.datetime, handle: str, browser: str) -> ProtocolResponse:
        """The page for a handle that nothing waits under."""
        return self.flow.ended.page(tx, now, handle, browser)

    def deny(self, tx: Transaction, origin: Origin, handle: str, browser: str, user_id: str) -> ProtocolResponse:
        """The user's refusal, sent to the application as ``access_denied``."""
        return self.flow.deny(tx, origin, handle, browser, user_id)

    def create_oauth2_request(self, request: Any) -> TokenRequest:
        """Authlib calls this with what ``create_token_response`` was given: the request that is built already."""
        known: TokenRequest = request
        return known

    def get_token_grant(self, request: TokenRequest) -> Grant:
        name = request.form.get("grant_type")
        if name is None:
            raise OAuthError.invalid_request("The parameter grant_type is missing.")
        grant = self._by_type.get(name)
        if grant is None:
            raise OAuthError("unsupported_grant_type", "This grant type is not supported.")
        return grant(request, self)

    def authenticate_client(self, request: TokenRequest, _methods: Any, endpoint: str = "token") -> Client:  # noqa: ARG002
        """The registered method decides, not the list that a grant of Authlib's has."""
        client = self.services.client_authentication.authenticate(request.tx, request.message)
        request.tx.keep_in_step()
        return client

    def send_signal(self, name: str, *args: Any, **kwargs: Any) -> None:
        """Nobody listens."""

    def handle_response(self, status: int, body: Any, _headers: Any) -> ProtocolResponse:
        return ProtocolResponse.json(body, status)

    def handle_error_response(self, _request: TokenRequest, error: OAuth2Error) -> ProtocolResponse:
        """Authlib's own errors, with our fixed texts in place of what may repeat input."""
        if error.error == "unauthorized_client":
            raise OAuthError.unauthorized_client("This client may not use this grant type.") from error
        if error.error == "invalid_grant":
            raise OAuthError.invalid_grant("The authorization code is not valid.") from error
        if error.error == "invalid_request":
            raise OAuthError.invalid_request("A parameter that this grant needs is missing.") from error
        raise OAuthError(error.error or "invalid_request", "The request is not valid.") from error

    def _token_response(self, request: ProtocolRequest, tx: Transaction) -> ProtocolResponse:
        response: ProtocolResponse = self.create_token_response(TokenRequest(request, tx, self.services))
        return response

    def _forget_client(self, request: ProtocolRequest) -> None:
        self.services.client_authentication.forget(request)
        self.services.resources.invalidate()
