"""Client authentication: exactly one method, and one that is registered (RFC 6749 §2.3, OAuth 2.1 §2.4)."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote

from database.transaction import Transaction
from provider.audit import AuditEvent, without_secrets
from provider.clients.assertions import ASSERTION_TYPE, ClientAssertions
from provider.clients.registry import Clients
from provider.protocol.client import PRIVATE_KEY_JWT, PUBLIC, SECRET_METHODS, Client
from provider.protocol.errors import OAuthError, refuse_until
from provider.protocol.headers import credentials
from provider.protocol.messages import ProtocolRequest
from provider.protocol.remedies import remedy
from provider.security.crypto import constant_time_equal, is_secret
from provider.security.rate_limit import Limit, RateLimiter
from provider.tokens.refusals import Refusals

BASIC: Final = "client_secret_basic"
POST: Final = "client_secret_post"
PER_CLIENT = Limit("client authentication per client", 20, 60)
PER_SOURCE = Limit("client authentication per source", 60, 60)
# Of clients that anybody can be: each costs a check of a signature, and is remembered until it has expired.
ASSERTIONS_PER_SOURCE = Limit("assertions of clients that nobody vouches for", 600, 60)
_NO_SECRET = "0" * 64


@dataclass(frozen=True, slots=True)
class _Credential:
    """What a request brought. ``method`` is what it tried, which need not be one that exists."""

    client_id: str | None
    method: str
    secret: str = ""
    assertion: str = ""

    @property
    def can_be_right(self) -> bool:
        """Whether it is worth looking for the client: the checksum of a secret tells most typing errors."""
        if self.method in SECRET_METHODS:
            return bool(self.client_id) and (is_secret("cs", self.secret) or is_secret("ak", self.secret))
        return bool(self.client_id) and self.method in (PUBLIC, PRIVATE_KEY_JWT)


class ClientAuthentication:
    """Finds out which client calls, or refuses with one and the same ``invalid_client``."""

    def __init__(
        self, clients: Clients, assertions: ClientAssertions, rate_limits: RateLimiter, refusals: Refusals
    ) -> None:
        self._clients = clients
        self._assertions = assertions
        self._rate_limits = rate_limits
        self._refusals = refusals

    def authenticate(
        self,
        tx: Transaction,
        request: ProtocolRequest,
        *,
        fresh: bool = False,
        proven: bool = False,
    ) -> Client:
        """The client whose credential the request carries. Nothing is read from the query string.

        Raises ``invalid_client`` (401) alike for an unknown client, a wrong secret and a method that is not a
        registered one, ``invalid_request`` for two methods at once, and 429 after too many failures. A right
        secret is accepted however many wrong ones came before: nobody can lock a client out by guessing.

        ``fresh`` is for endpoints that mint nothing: the mint notices a client that another process has changed in the
        last seconds, the others have to ask. ``proven`` is for endpoints that a mere ``client_id`` opens to nobody.
        """
        credential, client = self._read(request), None
        if proven and credential.method == PUBLIC:
            raise OAuthError.invalid_client(detail="a credential is needed")
        if credential.method == PRIVATE_KEY_JWT and credential.can_be_right:
            client = self._clients.find(tx, credential.client_id or "", fresh=True)
            if client is not None and self._is_signed(tx, client, credential, request):
                return client
        elif credential.can_be_right and credential.client_id is not None:
            presented = self._clients.secret_hash(credential.secret)
            client = None if fresh else self._clients.cached(tx, credential.client_id)
            if client is not None and _is_proven(client, credential, presented, request):
                return client
            # Asked once, whether the client is unknown or the secret wrong: both take the same time.
            client = self._clients.find(tx, credential.client_id, fresh=True)
            if _is_proven(client, credential, presented, request) and client is not None:
                return client
        self._count_failure(tx, request, credential)
        tried = f"{credential.method} of {without_secrets(credential.client_id)}"
        raise OAuthError.invalid_client(detail=tried + _why_not(client, credential))

    def claimed_client_id(self, request: ProtocolRequest) -> str | None:
        """Whom a request says that it is from. Nothing is proven by it. Raises what ``authenticate`` would."""
        return self._read(request).client_id

    def forget(self, request: ProtocolRequest) -> None:
        """Drops the cached client of a request, which the database knows otherwise by now."""
        self._clients.invalidate(self._read(request).client_id or "")

    def _is_signed(self, tx: Transaction, client: Client, credential: _Credential, request: ProtocolRequest) -> bool:
        """Whether the assertion is the client's own. It is used up only where the method is the client's as well."""
        if not client.is_usable(request.received_at) or PRIVATE_KEY_JWT not in client.authentication_methods:
            return False
        if not client.is_vouched:
            self._refuse_beyond(tx, ASSERTIONS_PER_SOURCE, request)
        return self._assertions.is_proof(tx, request.origin, client, credential.assertion)

    def _read(self, request: ProtocolRequest) -> _Credential:
        """What the request brought. Raises ``invalid_client`` for nothing at all, which is no attempt either."""
        form = request.form
        claimed, secret = form.get("client_id"), form.get("client_secret")
        assertion, kind = form.get("client_assertion"), form.get("client_assertion_type")
        authorization = request.headers.get("authorization")
        if (authorization is not None) + (secret is not None) + (assertion is not None or kind is not None) > 1:
            raise OAuthError.invalid_request("The client used two authentication methods at once.")
        if authorization is not None:
            credential = _basic(authorization)
        elif assertion is not None and kind == ASSERTION_TYPE:
            subject = self._assertions.claimed_client_id(assertion)
            credential = _Credential(subject, PRIVATE_KEY_JWT, assertion=assertion)
        elif assertion is not None or kind is not None:
            return _Credential(claimed, "client_assertion")
        elif claimed is None:
            raise OAuthError.invalid_client(detail="no client_id")
        else:
            return _Credential(claimed, PUBLIC) if secret is None else _Credential(claimed, POST, secret)
        if claimed is not None and credential.client_id is not None and claimed != credential.client_id:
            if credential.method == PRIVATE_KEY_JWT:
                return _Credential(claimed, "client_assertion")
            raise OAuthError.invalid_request("client_id differs from the client that authenticated.")
        return credential

    def _count_failure(self, tx: Transaction, request: ProtocolRequest, credential: _Credential) -> None:
        """Counts and records a failure. Past the limit nothing is written any more, so that guessing fills no table."""
        origin, claimed = request.origin, credential.client_id
        if claimed:
            refuse_until(self._rate_limits.blocked_until(tx, PER_CLIENT, claimed, origin.now), origin.now)
        self._refuse_beyond(tx, PER_SOURCE, request)
        if claimed:
            self._rate_limits.hit(tx, PER_CLIENT, claimed, origin.now)
        self._refusals.of_network(
            tx,
            AuditEvent.CLIENT_AUTHENTICATION_FAILED,
            origin,
            resource_type="oauth_clients",
            resource_id=without_secrets(claimed),
            method=credential.method,
        )

    def _refuse_beyond(self, tx: Transaction, limit: Limit, request: ProtocolRequest) -> None:
        now = request.received_at
        refuse_until(self._rate_limits.hit_source(tx, limit, request.origin.networks, now), now)


def _is_proven(client: Client | None, credential: _Credential, presented: str, request: ProtocolRequest) -> bool:
    stored = client.secret_hash if client is not None and client.secret_hash else _NO_SECRET
    is_right = constant_time_equal(presented, stored)
    before = client.previous_secret_hash if client is not None and client.previous_secret_hash else _NO_SECRET
    is_the_one_before = constant_time_equal(presented, before)
    if client is None or not client.is_usable(request.received_at):
        return False
    if credential.method not in client.authentication_methods:
        return False
    if credential.method not in SECRET_METHODS:
        return credential.method == PUBLIC
    return is_right or (is_the_one_before and client.previous_secret_works(request.received_at))


def _why_not(client: Client | None, credential: _Credential) -> str:
    """What the log says besides, where it is the method that is refused: what was registered, and the remedy."""
    if client is None or credential.method in client.authentication_methods:
        return ""
    registered = client.token_endpoint_auth_method
    is_strict = registered in SECRET_METHODS and credential.method in SECRET_METHODS
    said = f", which is registered with {registered}{'=strict' if is_strict else ''}"
    if credential.method not in SECRET_METHODS:  # going without a proof is no advice, and a key has to be there first
        return said
    return said + remedy(client, f"--auth-method {registered if is_strict else credential.method}")


def _basic(header: str) -> _Credential:
    """Id and secret of a Basic header (RFC 7617 §2). Ours need no escaping, so both ways of encoding are read."""
    scheme, encoded = credentials(header)
    if scheme != "basic":
        return _Credential(None, "unknown_scheme")
    try:
        client_id, colon, secret = base64.b64decode(encoded, validate=True).decode("utf-8").partition(":")
        client_id, secret = unquote(client_id, errors="strict"), unquote(secret, errors="strict")
    except ValueError:
        return _Credential(None, "malformed_basic")
    return _Credential(client_id, BASIC, secret) if colon and client_id else _Credential(None, "malformed_basic")
