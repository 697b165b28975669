"""The refresh token grant (RFC 6749 §6)."""

from __future__ import annotations

from typing import Any

from authlib.oauth2.rfc6749.grants import RefreshTokenGrant as AuthlibRefreshTokenGrant

from provider.audit import AuditEvent
from provider.grants.base import Grant
from provider.protocol.client import Client
from provider.protocol.errors import OAuthError
from provider.protocol.scopes import narrowed_scope, parse_scope
from provider.tokens.refresh_tokens import StoredRefreshToken


class RefreshTokenGrant(Grant, AuthlibRefreshTokenGrant):  # type: ignore[misc]
    """Authlib authenticates the client and finds the token; everything is checked before the token is used."""

    def _validate_request_token(self, client: Client) -> StoredRefreshToken:
        stored = self.services.refresh_tokens.find(self.tx, self.required("refresh_token"))
        if stored is not None and stored.grant.client_row_id != client.id:
            self.record_refusal(AuditEvent.REFRESH_TOKEN_REFUSED, client, stored.grant, "another client")
            stored = None
        if stored is None:
            raise OAuthError.invalid_grant("The refresh token is not valid.")
        return stored

    def _validate_token_scope(self, token: StoredRefreshToken) -> None:
        self._asked_scope = narrowed_scope(parse_scope(self.request.form.get("scope")), token.grant.scope)

    def create_token_response(self) -> tuple[int, dict[str, Any], list[tuple[str, str]]]:
        client = self.authenticated_client
        stored: StoredRefreshToken = self.request.refresh_token
        grant = stored.grant
        resource = self.granted_resource(grant.resource)
        authorization = self.authorization_by(grant, resource, self._asked_scope)
        refresh_token = self.services.refresh_tokens.redeem(
            self.tx, self.origin, stored, self.required("refresh_token"), rotate=client.rotate_refresh_tokens
        )
        return self.answer(authorization, refresh_token)
