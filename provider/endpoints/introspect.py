"""Token introspection (RFC 7662)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from database.transaction import Transaction
from provider.doors.endpoint import Endpoint
from provider.oauth_server import OAuthServer
from provider.protocol.client import Client
from provider.protocol.errors import OAuthError
from provider.protocol.messages import ProtocolRequest, ProtocolResponse
from provider.tokens.verifier import VerifiedAccessToken

INACTIVE = {"active": False}


def mount(server: OAuthServer) -> Sequence[Endpoint]:
    services = server.services

    def introspect(request: ProtocolRequest, tx: Transaction) -> ProtocolResponse:
        """Says what a token is, to the client that holds it or whose API it is for. Everybody else learns nothing."""
        client = services.client_authentication.authenticate(tx, request, fresh=True, proven=True)
        token = request.form.get("token")
        request.form.get("token_type_hint")
        if token is None:
            raise OAuthError.invalid_request("The parameter token is missing.")
        found = services.token_verifier.verify_access_token(tx, token, request.received_at)
        if found is not None:
            return ProtocolResponse.json(_describe(found) if _may_see(client, found) else INACTIVE)
        return ProtocolResponse.json(_refresh_token(request, tx, client, token))

    def _refresh_token(request: ProtocolRequest, tx: Transaction, client: Client, token: str) -> dict[str, Any]:
        stored = services.refresh_tokens.find(tx, token)
        if stored is None or stored.grant.client_row_id != client.id:
            return INACTIVE
        user = services.users.find(tx, stored.grant.user_id)
        if user is None or not user.is_active or not services.refresh_tokens.is_live(stored, request.received_at):
            return INACTIVE
        sub = services.subjects.of(client, user.id)
        return {
            "active": True,
            "iss": services.settings.issuer,
            "sub": sub,
            "client_id": client.client_id,
            **_username(user.username, sub == user.id),
            "scope": " ".join(stored.grant.scope),
            "exp": int(min(stored.expires_at, stored.family_expires_at).timestamp()),
            "token_type": "refresh_token",
        }

    path = f"{services.settings.issuer_path}/introspect"
    return [Endpoint(path, ("POST",), introspect, bare=True)]


def _may_see(client: Client, found: VerifiedAccessToken) -> bool:
    """The token's own client; or an operator's client whose API it is for. A user's API key is no API."""
    is_api = client.kind == "application" and client.owner_user_id is None and client.resource == found.audience
    return is_api or found.client_row_id == client.id


def _describe(found: VerifiedAccessToken) -> dict[str, Any]:
    is_known = found.claims["sub"] == found.user_id
    return {"active": True, "token_type": "Bearer", **found.claims, **_username(found.username, is_known)}


def _username(username: str | None, is_known: bool) -> dict[str, str]:
    """The name by which the user signs in, for those who know the user's own id: a pseudonym stays one."""
    return {"username": username} if username is not None and is_known else {}
