"""RP-initiated logout (OpenID Connect RP-Initiated Logout 1.0)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from database.transaction import Transaction
from provider.audit import AuditEvent
from provider.authorization.answers import ERROR_PAGE
from provider.authorization.logout_answers import LogoutAnswers
from provider.doors.endpoint import Endpoint
from provider.oauth_server import OAuthServer
from provider.protocol.errors import OAuthError, UntrustedRedirect
from provider.protocol.headers import cookie_line
from provider.protocol.messages import Parameters, ProtocolRequest, ProtocolResponse
from provider.protocol.redirect_uris import add_to_query
from provider.protocol.request_rules import MAX_STATE_BYTES
from provider.protocol.sizes import fits
from provider.sign_in.sessions import Session

_PARAMETERS = ("id_token_hint", "client_id", "post_logout_redirect_uri", "state")


def mount(server: OAuthServer) -> Sequence[Endpoint]:
    endpoint = LogoutEndpoint(server)
    return [Endpoint(f"{server.services.settings.issuer_path}/logout", ("GET", "POST"), endpoint.answer)]


class LogoutEndpoint:
    """Signs out at once only when an application that is vouched for proves by an ID token that it means this very session.

    Anybody can be an application that nobody vouches for, and has an ID token of everyone who tried it once.
    """

    def __init__(self, server: OAuthServer) -> None:
        self._services = server.services
        self._settings = server.services.settings
        self._answers = LogoutAnswers(server.services)

    def answer(self, request: ProtocolRequest, tx: Transaction) -> ProtocolResponse:
        """GET and POST alike. A POST comes from another site without our session cookie, so it is sent on as GET."""
        if request.is_speculative:
            return ProtocolResponse(204, [("Cache-Control", "no-store")])
        try:
            parameters = request.form if request.method == "POST" else request.query
            parameters.refuse_repeated()
            hint = self._hint(request, tx, parameters)
            target = self._target(request, tx, parameters, hint)
        except OAuthError as error:
            return ProtocolResponse.show(ERROR_PAGE, 400, error=error.error, description=error.description)
        if request.method == "POST" and self._settings.cookie_name("session") not in request.cookies:
            sent = {name: parameters.get(name) for name in _PARAMETERS}
            path = f"{self._settings.issuer_path}/logout"
            return ProtocolResponse.redirect(add_to_query(path, {name: value for name, value in sent.items() if value}))
        session = self._session(request, tx)
        if session is None:
            return self._answers.signed_out(tx, request.received_at, None, target)
        if hint is None or not self._may_end(request, tx, hint, session):
            uri = parameters.get("post_logout_redirect_uri") if target else None
            return self._answers.ask(session.id, uri, parameters.get("state"))
        services = self._services
        services.audit.record(
            tx,
            AuditEvent.LOGOUT_REQUESTED,
            request.origin,
            user_id=session.user_id,
            actor=hint["aud"],
            resource_type="user_sessions",
            resource_id=session.id,
        )
        services.sessions.end(tx, request.origin, session.id, user_id=session.user_id, reason="rp_logout")
        response = self._answers.signed_out(tx, request.received_at, session.id, target)
        gone = cookie_line(self._settings.cookie_name("session"), "", is_secure=self._settings.is_https, seconds=0)
        response.headers.append(("Clear-Site-Data", '"cache", "storage"'))
        response.headers.append(("Set-Cookie", gone))
        return response

    def _hint(self, request: ProtocolRequest, tx: Transaction, parameters: Parameters) -> Mapping[str, Any] | None:
        """The ID token's claims. None without a hint; a hint that is not ours is refused."""
        token = parameters.get("id_token_hint")
        if token is None:
            return None
        claims = self._services.token_verifier.verify_id_token_hint(tx, token, request.received_at)
        client_id = parameters.get("client_id")
        if claims is None or (client_id is not None and client_id != claims["aud"]):
            raise UntrustedRedirect("invalid_request", "The id_token_hint is not valid.")
        return claims

    def _target(
        self, request: ProtocolRequest, tx: Transaction, parameters: Parameters, hint: Mapping[str, Any] | None
    ) -> str | None:
        """Where to go afterwards: only to a URI registered by the client of the hint, compared exactly.

        None, which leads to our own page, also for a client that nobody vouched for or that was disabled.
        """
        uri, state = parameters.get("post_logout_redirect_uri"), parameters.get("state")
        if uri is None:
            return None
        client = self._services.clients.find(tx, hint["aud"]) if hint is not None else None
        if client is None or uri not in client.post_logout_redirect_uris or not fits(state, MAX_STATE_BYTES):
            raise UntrustedRedirect(
                "invalid_request",
                "The post_logout_redirect_uri is not registered, or comes without a valid id_token_hint.",
            )
        if not client.is_vouched or not client.is_usable(request.received_at):
            return None
        return add_to_query(uri, {"state": state} if state else {})

    def _session(self, request: ProtocolRequest, tx: Transaction) -> Session | None:
        token = request.cookies.get(self._settings.cookie_name("session"), "")
        found = self._services.sessions.find(tx, request.received_at, token) if token else None
        return None if found is None else found[0]

    def _may_end(self, request: ProtocolRequest, tx: Transaction, hint: Mapping[str, Any], session: Session) -> bool:
        """Whether the hint's client is one that may sign people out, and the hint about this person and this session,
        whatever identifier the client knows the person by."""
        client = self._services.clients.find(tx, hint["aud"])
        if client is None or not client.is_vouched or not client.is_usable(request.received_at):
            return False
        if hint["sub"] != self._services.subjects.of(client, session.user_id):
            return False
        return hint.get("sid") in (None, self._services.subjects.session_of(client, session.id))
