"""Token introspection (RFC 7662)."""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from typing import Any

from database.transaction import Transaction
from provider.doors.endpoint import Endpoint
from provider.oauth_server import OAuthServer
from provider.program_name import command
from provider.protocol.client import Client
from provider.protocol.errors import OAuthError
from provider.protocol.messages import ProtocolRequest, ProtocolResponse
from provider.protocol.scopes import PROFILE
from provider.tokens.verifier import VerifiedAccessToken

log = logging.getLogger("mcp_core.introspection")

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
        if found is None:
            return ProtocolResponse.json(_refresh_token(request, tx, client, token))
        if found.client_row_id != client.id and not _is_api(tx, client, found.audience):
            return ProtocolResponse.json(INACTIVE)
        return ProtocolResponse.json(_describe(found))

    def _is_api(tx: Transaction, client: Client, audience: str) -> bool:
        """Whether an operator has said that the client is this API. That it gets tokens for it by default says nothing."""
        resource = services.resources.find(tx, audience)
        if resource is not None and client.client_id in resource.introspection_clients:
            return True
        if client.kind == "application" and client.resource == audience:
            log.info(
                "%s asked about a token for %s, and is not said to be that API: see %s",
                client.client_id,
                audience,
                command("resource set --help"),
            )
        return False

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
            **_username(user.username, stored.grant.scope, is_known=sub == user.id),
            "scope": " ".join(stored.grant.scope),
            "exp": int(min(stored.expires_at, stored.family_expires_at).timestamp()),
            "token_type": "refresh_token",
        }

    path = f"{services.settings.issuer_path}/introspect"
    return [Endpoint(path, ("POST",), introspect, bare=True, gathers=True)]


def _describe(found: VerifiedAccessToken) -> dict[str, Any]:
    is_known = found.claims["sub"] == found.user_id
    username = _username(found.username, found.scope, is_known=is_known)
    return {"active": True, "token_type": "Bearer", **found.claims, **username}


def _username(username: str | None, scope: Collection[str], *, is_known: bool) -> dict[str, str]:
    """The name by which the user signs in, where UserInfo would say it as well: the scope covers it, and who asks knows the
    user's own id, so that a pseudonym stays one (RFC 7662 §5)."""
    is_covered = PROFILE in scope
    return {"username": username} if username is not None and is_covered and is_known else {}
