"""The token half of the authorization code grant (RFC 6749 §4.1.3, RFC 7636 §4.5)."""

from __future__ import annotations

from typing import Any

from authlib.oauth2.rfc6749.grants import AuthorizationCodeGrant as AuthlibAuthorizationCodeGrant

from provider.audit import AuditEvent
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
        problem = None
        if (stored.code_challenge is None) != (verifier is None):
            problem = "The code verifier and the code challenge do not belong together."
        elif stored.code_challenge is not None and not verifier_matches(stored.code_challenge, verifier or ""):
            problem = "The code verifier does not match the code challenge."
        if problem is not None:
            self.record_refusal(AuditEvent.CODE_REFUSED, self.authenticated_client, stored.grant, "code_verifier")
            raise OAuthError.invalid_grant(problem)

    def query_authorization_code(self, code: str, client: Client) -> PresentedCode | None:
        """The code, if it was issued to this client. Another client's attempt leaves it untouched."""
        stored = self.services.codes.find(self.tx, code)
        if stored is None:
            return None
        if stored.grant.client_row_id != client.id:
            self.record_refusal(AuditEvent.CODE_REFUSED, client, stored.grant, "another client")
            return None
        sent = self.request.form.get("redirect_uri")
        presented = PresentedCode(stored, redirect_uri_was_sent=sent is not None)
        if presented.get_redirect_uri() not in (None, sent):  # which Authlib refuses next
            self.record_refusal(AuditEvent.CODE_REFUSED, client, stored.grant, "redirect_uri")
        return presented

    def create_token_response(self) -> tuple[int, dict[str, Any], list[tuple[str, str]]]:
        client = self.authenticated_client
        stored: StoredCode = self.request.authorization_code.stored
        grant = stored.grant
        resource = self.granted_resource(grant.resource)
        authorization = self.authorization_by(grant, resource, grant.scope, nonce=stored.nonce)
        self.services.codes.claim(self.tx, self.origin, stored)
        refresh_token = None
        if client.allows_grant("refresh_token"):
            refresh_token = self.services.refresh_tokens.start(
                self.tx, self.now, grant.id, client_ends_at=client.expires_at
            )
        return self.answer(authorization, refresh_token)
