"""The token half of the authorization code grant (RFC 6749 §4.1.3, RFC 7636 §4.5)."""

from __future__ import annotations

from typing import Any

from authlib.oauth2.rfc6749.grants import AuthorizationCodeGrant as AuthlibAuthorizationCodeGrant

from provider.grants.base import Grant
from provider.protocol.client import Client
from provider.protocol.errors import OAuthError
from provider.protocol.request_rules import verifier_matches
from provider.tokens.one_time import StoredCode


class PresentedCode:
    """A stored code with the one question that Authlib asks of it."""

    def __init__(self, stored: StoredCode, *, redirect_uri_was_sent: bool) -> None:
        self.stored = stored
        self._redirect_uri_was_sent = redirect_uri_was_sent

    def get_redirect_uri(self) -> str | None:
        """What the request must repeat. A client that sends none proves itself by PKCE (OAuth 2.1 §4.1.3)."""
        return self.stored.redirect_uri if self._redirect_uri_was_sent or not self.stored.code_challenge else None


class AuthorizationCodeGrant(Grant, AuthlibAuthorizationCodeGrant):  # type: ignore[misc]
    """Authlib's order (client, grant type, code, redirect URI), then PKCE, then the claim, then the tokens."""

    def validate_token_request(self) -> None:
        super().validate_token_request()
        stored: StoredCode = self.request.authorization_code.stored
        verifier = self.request.form.get("code_verifier")
        if (stored.code_challenge is None) != (verifier is None):
            raise OAuthError.invalid_grant("The code verifier and the code challenge do not belong together.")
        if stored.code_challenge is not None and not verifier_matches(stored.code_challenge, verifier or ""):
            raise OAuthError.invalid_grant("The code verifier does not match the code challenge.")

    def query_authorization_code(self, code: str, client: Client) -> PresentedCode | None:
        """The code, if it was issued to this client. Another client's attempt leaves it untouched."""
        stored = self.services.codes.find(self.tx, code)
        if stored is None or stored.grant.client_row_id != client.id:
            return None
        return PresentedCode(stored, redirect_uri_was_sent=self.request.form.get("redirect_uri") is not None)

    def create_token_response(self) -> tuple[int, dict[str, Any], list[tuple[str, str]]]:
        client = self.authenticated_client
        stored: StoredCode = self.request.authorization_code.stored
        grant = stored.grant
        resource = self.granted_resource(grant.resource)
        scope = self.remaining_scope(resource, grant.user_id, grant.scope)
        self.services.codes.claim(self.tx, self.origin, stored)
        refresh_token = None
        if client.allows_grant("refresh_token"):
            refresh_token = self.services.refresh_tokens.start(
                self.tx, self.now, grant.id, client_ends_at=client.expires_at
            )
        return self.answer(self.authorization_by(grant, resource, scope, nonce=stored.nonce), refresh_token)
