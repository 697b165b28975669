"""What all grants share: our request, the audience of a token, and the answer of the token endpoint."""

from __future__ import annotations

import datetime
from typing import Any

from authlib.oauth2.rfc6749 import BaseGrant, OAuth2Request
from authlib.oauth2.rfc6749.grants.base import TokenEndpointMixin
from authlib.oauth2.rfc6749.requests import OAuth2Payload

from database.transaction import Transaction
from provider.protocol.client import Client, Resource
from provider.protocol.errors import OAuthError
from provider.protocol.messages import Origin, Parameters, ProtocolRequest
from provider.protocol.resources import single_resource
from provider.protocol.scopes import OPENID
from provider.services import Services
from provider.tokens.authorization import Authorization


class FormPayload(OAuth2Payload):
    """The body's fields as Authlib reads them. The query string never counts (RFC 6749 §3.2)."""

    def __init__(self, form: Parameters) -> None:
        self._form = form

    @property
    def data(self) -> Parameters:
        return self._form

    @property
    def datalist(self) -> dict[str, list[str]]:
        return self._form.as_dict()


class TokenRequest(OAuth2Request):
    """Authlib's request made from ours, with the transaction that the answer is made in."""

    def __init__(self, message: ProtocolRequest, tx: Transaction, services: Services) -> None:
        # Whether plain HTTP is acceptable was decided at start from the issuer, which this URI stands for.
        super().__init__(message.method, "https://localhost/token", headers=dict(message.headers))
        self.message = message
        self.tx = tx
        self.services = services
        self.payload = FormPayload(message.form)

    @property
    def form(self) -> Parameters:
        return self.message.form


class Grant(BaseGrant, TokenEndpointMixin):
    """One ``grant_type``: proves an ``Authorization`` and has it turned into tokens by the issuer."""

    request: TokenRequest

    @property
    def services(self) -> Services:
        return self.request.services

    @property
    def tx(self) -> Transaction:
        return self.request.tx

    @property
    def now(self) -> datetime.datetime:
        return self.request.message.received_at

    @property
    def origin(self) -> Origin:
        return self.request.message.origin

    @property
    def authenticated_client(self) -> Client:
        client: Client = self.request.client
        return client

    def required(self, name: str) -> str:
        """A parameter that the grant cannot do without. Raises ``invalid_request``."""
        value = self.request.form.get(name)
        if value is None:
            raise OAuthError.invalid_request(f"The parameter {name} is missing.")
        return value

    def requested_resource(self) -> Resource | None:
        """The API that the token request names. Raises ``invalid_target``."""
        uri = single_resource(self.request.form.all("resource"))
        return None if uri is None else self.services.resources.get(self.tx, uri)

    def granted_resource(self, granted_uri: str) -> Resource:
        """The API of a grant. The token request may repeat it but not ask for another (RFC 8707 §2.2)."""
        requested = self.requested_resource()
        if requested is not None and requested.uri != granted_uri:
            raise OAuthError.invalid_target("The resource differs from the one that was authorized.")
        return requested or self.services.resources.get(self.tx, granted_uri)

    def answer(
        self, authorization: Authorization, refresh_token: str | None = None
    ) -> tuple[int, dict[str, Any], list[tuple[str, str]]]:
        """Mints and returns what Authlib hands to the server: status, fields and headers (RFC 6749 §5.1)."""
        issuer = self.services.token_issuer
        access = issuer.issue_access_token(self.tx, authorization, self.now)
        fields: dict[str, Any] = {
            "access_token": access.token,
            "token_type": "Bearer",
            "expires_in": access.expires_in,
            "scope": " ".join(access.scope),
        }
        if refresh_token is not None:
            fields["refresh_token"] = refresh_token
        if authorization.user_id is not None and OPENID in authorization.scope:
            fields["id_token"] = issuer.id_token(self.tx, authorization, self.now, access_token=access.token)
        return 200, fields, []

    def validate_requested_scope(self) -> None:
        """Scopes are cut down instead of refused, by each grant's own rule."""
