"""The UserInfo endpoint (OpenID Connect Core §5.3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from database.transaction import Transaction
from provider.doors.endpoint import Endpoint
from provider.oauth_server import OAuthServer
from provider.protocol.claims import claims_for
from provider.protocol.errors import OAuthError
from provider.protocol.headers import credentials
from provider.protocol.messages import FORM, ProtocolRequest, ProtocolResponse
from provider.protocol.scopes import GROUPS, OPENID


def mount(server: OAuthServer) -> Sequence[Endpoint]:
    services = server.services

    def userinfo(request: ProtocolRequest, tx: Transaction) -> ProtocolResponse:
        """Claims of the token's user, as far as its scopes go. The token must be for this server."""
        holder = services.token_holders.find(tx, bearer_token(request), request.received_at)
        if holder is None or holder.subject is None or holder.token.audience != services.settings.issuer:
            raise bearer_error("invalid_token", "The access token is not valid here.", 401)
        found, subject = holder.token, holder.subject
        if OPENID not in found.scope:
            raise bearer_error("insufficient_scope", "The scope openid is needed.", 403)
        asked = found.requested_claims.userinfo
        if found.user_id is not None and GROUPS in (*found.scope, *asked):
            subject = replace(subject, groups=services.groups.membership(tx, found.user_id).names)
        claims = claims_for(subject, found.scope, asked)
        algorithm = holder.userinfo_signed_response_alg
        if algorithm is not None:
            client_id = str(found.claims["client_id"])
            signed = services.token_issuer.signed_userinfo(tx, client_id, algorithm, claims, request.received_at)
            return ProtocolResponse(
                200, [("Content-Type", "application/jwt"), ("Cache-Control", "no-store")], signed.encode()
            )
        return ProtocolResponse.json(claims)

    path = f"{services.settings.issuer_path}/userinfo"
    return [Endpoint(path, ("GET", "POST"), userinfo, cors=True, bare=True, gathers=True)]


def bearer_token(request: ProtocolRequest) -> str:
    """The token of the Authorization header, or of a form body (RFC 6750 §2). Never of the query string."""
    header = request.headers.get("authorization", "")
    scheme, token = credentials(header)
    if scheme == "bearer" and token:
        return token
    is_form = request.method == "POST" and request.media_type == FORM
    in_body = request.form.get("access_token") if is_form and not header else None
    if in_body is None:
        raise OAuthError(
            "invalid_token", "An access token is needed.", status=401, headers=(("WWW-Authenticate", "Bearer"),)
        )
    return in_body


def bearer_error(error: str, description: str, status: int) -> OAuthError:
    """A refusal in the words of RFC 6750 §3."""
    challenge = f'Bearer error="{error}", error_description="{description}"'
    return OAuthError(error, description, status=status, headers=(("WWW-Authenticate", challenge),))
