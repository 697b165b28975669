"""Token revocation (RFC 7009)."""

from __future__ import annotations

from collections.abc import Sequence

from database.transaction import Transaction
from provider.audit import AuditEvent
from provider.doors.endpoint import Endpoint
from provider.oauth_server import OAuthServer
from provider.protocol.errors import OAuthError
from provider.protocol.messages import ProtocolRequest, ProtocolResponse


def mount(server: OAuthServer) -> Sequence[Endpoint]:
    services = server.services

    def revoke(request: ProtocolRequest, tx: Transaction) -> ProtocolResponse:
        """Ends a token of the calling client. 200 for any other as well: it is not the caller's to know about."""
        client = services.client_authentication.authenticate(tx, request)
        token = request.form.get("token")
        request.form.get("token_type_hint")
        if token is None:
            raise OAuthError.invalid_request("The parameter token is missing.")
        stored = services.refresh_tokens.find(tx, token)
        if stored is not None:
            if stored.grant.client_row_id == client.id:
                services.grants.revoke(tx, request.origin, stored.grant.id, "revoked_by_client")
            else:
                event, actor = AuditEvent.REFRESH_TOKEN_REFUSED, client.client_id
                services.refusals.of_grant(tx, event, request.origin, stored.grant, "another client", actor=actor)
            return ProtocolResponse.json({})
        found = services.token_verifier.verify_access_token(tx, token, request.received_at)
        if found is not None and found.client_row_id == client.id:
            services.token_verifier.revoke(tx, request.origin, found)
        return ProtocolResponse.json({})

    path = f"{services.settings.issuer_path}/revoke"
    return [Endpoint(path, ("POST",), revoke, cors=True, bare=True)]
