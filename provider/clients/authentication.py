"""Client authentication: exactly one method, the registered one (RFC 6749 §2.3, OAuth 2.1 §2.4)."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from urllib.parse import unquote

from database.transaction import Transaction
from provider.audit import AuditEvent, AuditRecorder
from provider.clients.registry import Clients
from provider.protocol.client import PUBLIC, Client
from provider.protocol.errors import OAuthError
from provider.protocol.messages import ProtocolRequest
from provider.security.crypto import constant_time_equal, is_secret
from provider.security.rate_limit import Limit, RateLimiter

SECRET_METHODS = ("client_secret_basic", "client_secret_post")
PER_CLIENT = Limit("client authentication per client", 20, 60)
PER_SOURCE = Limit("client authentication per source", 60, 60)
_NO_SECRET = "0" * 64


@dataclass(frozen=True, slots=True)
class _Credential:
    client_id: str
    method: str
    secret: str


class ClientAuthentication:
    """Finds out which client calls, or refuses with one and the same ``invalid_client``."""

    def __init__(self, clients: Clients, rate_limits: RateLimiter, audit: AuditRecorder) -> None:
        self._clients = clients
        self._rate_limits = rate_limits
        self._audit = audit

    def authenticate(self, tx: Transaction, request: ProtocolRequest) -> Client:
        """The client whose credential the request carries.

        Raises ``invalid_client`` (401) alike for an unknown client, a wrong secret and a method that is not the
        registered one, ``invalid_request`` for two methods at once, and 429 after too many failures. A right
        secret is accepted however many wrong ones came before: nobody can lock a client out by guessing.
        """
        credential = _read(request)
        for fresh in (False, True):
            client = self._clients.find(tx, credential.client_id, fresh=fresh)
            if self._is_proven(client, credential) and client is not None and client.is_usable(request.received_at):
                return client
        self._refuse(tx, request, credential)
        raise OAuthError.invalid_client(detail=credential.client_id[:64])

    def forget(self, request: ProtocolRequest) -> None:
        """Drops the cached client of a request, which the database knows otherwise by now."""
        self._clients.invalidate(_read(request).client_id)

    def _is_proven(self, client: Client | None, credential: _Credential) -> bool:
        if credential.method == PUBLIC:
            return client is not None and client.is_public
        known = client.secret_hash if client is not None and client.secret_hash else _NO_SECRET
        is_right = constant_time_equal(self._clients.secret_hash(credential.secret), known)
        well_formed = is_secret("ak", credential.secret) or is_secret("cs", credential.secret)
        return is_right and well_formed and client is not None and _may_use(client, credential.method)

    def _refuse(self, tx: Transaction, request: ProtocolRequest, credential: _Credential) -> None:
        now = request.received_at
        until = [
            self._rate_limits.hit(tx, PER_CLIENT, credential.client_id, now),
            self._rate_limits.hit(tx, PER_SOURCE, request.source, now),
        ]
        blocked = [moment for moment in until if moment is not None]
        if blocked:
            raise OAuthError.slow_down(max(1, int((max(blocked) - now).total_seconds())))
        self._audit.record(
            tx,
            AuditEvent.CLIENT_AUTHENTICATION_FAILED,
            request.origin,
            outcome="denied",
            resource_type="oauth_clients",
            resource_id=credential.client_id,
            method=credential.method,
        )


def _may_use(client: Client, method: str) -> bool:
    """Only the registered method; scripts may send an API key either way."""
    return method == client.token_endpoint_auth_method or (client.is_api_key and method in SECRET_METHODS)


def _read(request: ProtocolRequest) -> _Credential:
    form = request.form
    in_body, secret = form.get("client_id"), form.get("client_secret")
    if form.get("client_assertion") or form.get("client_assertion_type"):
        raise OAuthError.invalid_client(detail="client assertions are not supported")
    authorization = request.headers.get("authorization")
    if authorization is not None:
        if secret is not None:
            raise OAuthError.invalid_request("The client used two authentication methods at once.")
        client_id, secret = _basic(authorization)
        if in_body is not None and in_body != client_id:
            raise OAuthError.invalid_request("client_id differs from the client that authenticated.")
        return _Credential(client_id, "client_secret_basic", secret)
    if in_body is None:
        raise OAuthError.invalid_client(detail="no client_id")
    return _Credential(in_body, PUBLIC if secret is None else "client_secret_post", secret or "")


def _basic(header: str) -> tuple[str, str]:
    """Id and secret of a Basic header. Our ids and secrets need no escaping, so both ways of encoding are read."""
    scheme, _, encoded = header.partition(" ")
    if scheme.lower() != "basic":
        raise OAuthError.invalid_client(detail="not Basic")
    try:
        client_id, colon, secret = base64.b64decode(encoded.strip(), validate=True).decode("utf-8").partition(":")
        client_id, secret = unquote(client_id, errors="strict"), unquote(secret, errors="strict")
    except (binascii.Error, UnicodeDecodeError, ValueError) as error:
        raise OAuthError.invalid_client(detail="malformed Basic header") from error
    if not colon or not client_id:
        raise OAuthError.invalid_client(detail="malformed Basic header")
    return client_id, secret
