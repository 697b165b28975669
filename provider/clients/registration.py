"""Dynamic client registration and its management (RFC 7591, RFC 7592, OpenID Connect Registration)."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

from database.transaction import Transaction
from provider.audit import AuditEvent, AuditRecorder
from provider.clients.metadata import ALGORITHMS, ClientMetadata, check_signatures
from provider.clients.metadata_json import metadata_from_json
from provider.clients.registration_tokens import RegistrationToken, RegistrationTokens
from provider.clients.registry import Clients
from provider.clients.rows import metadata_columns
from provider.clients.sectors import UNREADABLE, check_sector, refused_sector
from provider.clients.standing import requester_of
from provider.protocol.client import Client
from provider.protocol.errors import OAuthError, refuse_until
from provider.protocol.messages import Origin
from provider.protocol.sizes import MAX_KEPT_BYTES, kept_bytes
from provider.security.backoff import TooBusy
from provider.security.crypto import Keyring, constant_time_equal, is_secret, new_secret
from provider.security.exchange import Unavailable
from provider.security.outbound import Outbound
from provider.security.rate_limit import Limit, RateLimiter
from provider.security.turns import Requester, Standing

KIND = "dynamic"
PER_SOURCE = (Limit("registration per source", 20, 3600), Limit("registration per source", 100, 86400))
UPDATES = Limit("changes of a registration", 30, 3600)
UPDATES_PER_SOURCE = Limit("changes of registrations per source", 60, 3600)
RECORDED = Limit("refused registrations on record", 1, 3600)
WRONG_TOKENS = Limit("wrong registration access tokens on record", 1, 3600)
OPEN_GRANTS = ("authorization_code", "refresh_token")
UNNAMED = "Unnamed application"


@dataclass(frozen=True, slots=True)
class Registered:
    """A client with what is told once: ``secret``, and ``access_token``, which manages it (RFC 7592 §3)."""

    client: Client
    secret: str | None
    access_token: str


class Registration:
    """``policy`` is ``open`` (anybody, unvouched), ``token`` (holders of an initial access token) or ``off``.

    What registers openly can sign people in who agree to it, and nothing else. What comes with a token is vouched for.
    ``algorithms`` are those that this server has a key for. However many register, nobody is kept out for others' sake:
    each network has its limits, and what stays unused makes room (``unused_clients``).
    """

    def __init__(
        self,
        clients: Clients,
        tokens: RegistrationTokens,
        keyring: Keyring,
        outbound: Outbound,
        rate_limits: RateLimiter,
        audit: AuditRecorder,
        *,
        policy: Literal["open", "token", "off"],
        algorithms: Collection[str] = ALGORITHMS,
    ) -> None:
        self._clients = clients
        self._tokens = tokens
        self._keyring = keyring
        self._outbound = outbound
        self._rate_limits = rate_limits
        self._audit = audit
        self.policy = policy
        self._algorithms = algorithms

    def register(self, tx: Transaction, origin: Origin, said: object, initial_token: str | None) -> Registered:
        """Makes a client of what its JSON body says. Ends the transaction before it fetches a sector's document.

        A registration that is refused uses nothing of the token up.
        Raises ``OAuthError``: ``invalid_token`` (401), ``invalid_client_metadata``, ``invalid_redirect_uri``, and 429.
        """
        token = self._initial_token(tx, origin, initial_token)
        asked = replace(
            metadata_from_json(said, require_pkce=token is None or token.require_pkce),
            claims_in_id_token=token is not None and token.claims_in_id_token,
        )
        standing = Standing.NEW if token is None else Standing.VOUCHED
        metadata = self._checked(tx, asked, Requester(standing, origin.network))
        if token is not None and not self._tokens.use(tx, origin.now, token):
            raise invalid_registration_token()
        access_token = new_secret("reg")
        client, secret = self._clients.register(
            tx,
            origin,
            kind=KIND,
            is_vouched=token is not None,
            registration_token_hash=self._hash(access_token),
            actor=token.id if token is not None else None,
            **metadata.to_values(),
        )
        return Registered(client, secret, access_token)

    def find(self, tx: Transaction, origin: Origin, client_id: str, access_token: str) -> Client:
        """The client that a registration access token manages. Raises ``invalid_token`` for every other one.

        What an operator has disabled manages itself no longer: it could delete what they know it by.
        """
        client = self._clients.find(tx, client_id, fresh=True) if is_secret("reg", access_token) else None
        stored = client.registration_token_hash if client is not None else None
        if client is not None and (stored is None or not constant_time_equal(stored, self._hash(access_token))):
            self._record_wrong_token(tx, origin, client)
            client = None
        if client is None or not client.is_usable(origin.now):
            raise invalid_registration_token()
        return client

    def update(self, tx: Transaction, origin: Origin, client: Client, said: object) -> Registered:
        """Replaces all metadata of a client, with the checks of a registration, and its access token (RFC 7592 §2.2).

        Raises ``invalid_client_metadata``, ``invalid_redirect_uri``, and 429.
        """
        refuse_until(self._rate_limits.hit(tx, UPDATES, client.id, origin.now), origin.now)
        refuse_until(self._rate_limits.hit_source(tx, UPDATES_PER_SOURCE, origin.networks, origin.now), origin.now)
        if isinstance(said, dict):
            if said.get("client_id") != client.client_id:
                raise OAuthError("invalid_client_metadata", "client_id must be that of this client.")
            secret = said.get("client_secret")
            if secret is not None and not self._is_its_secret(client, secret):
                raise OAuthError("invalid_client_metadata", "client_secret must be that of this client.")
        asked = metadata_from_json(said, require_pkce=client.require_pkce)
        metadata = self._checked(tx, asked, requester_of(client, origin.network))
        access_token = new_secret("reg")
        changed = self._clients.replace(
            tx,
            origin,
            client,
            replace(metadata, resource=client.resource, claims_in_id_token=client.claims_in_id_token),
            registration_token_hash=self._hash(access_token),
            actor=client.client_id,
        )
        if changed is None:
            raise OAuthError("invalid_client_metadata", "The client was changed by another request meanwhile.")
        return Registered(*changed, access_token)

    def delete(self, tx: Transaction, origin: Origin, client: Client) -> None:
        """Removes the client with all that was granted to it (RFC 7592 §2.3)."""
        self._clients.delete(tx, origin, client.client_id, actor=client.client_id)

    def _initial_token(self, tx: Transaction, origin: Origin, value: str | None) -> RegistrationToken | None:
        if value is not None:
            token = self._tokens.find(tx, origin.now, value)
            if token is not None:
                return token
            self._count(tx, origin)
            raise invalid_registration_token()
        if self.policy != "open":
            raise invalid_registration_token("An initial access token is needed to register here.", is_missing=True)
        self._count(tx, origin)
        return None

    def _count(self, tx: Transaction, origin: Origin) -> None:
        """Counts an attempt, before any work is done for it. Raises 429."""
        for limit in PER_SOURCE:
            until = self._rate_limits.hit_source(tx, limit, origin.networks, origin.now)
            if until is not None and self._rate_limits.hit_source(tx, RECORDED, origin.networks, origin.now) is None:
                self._audit.record(tx, AuditEvent.REGISTRATION_REFUSED, origin, outcome="denied", limit=limit.name)
            refuse_until(until, origin.now)

    def _checked(self, tx: Transaction, asked: ClientMetadata, requester: Requester) -> ClientMetadata:
        is_open = not requester.is_vouched
        grants = tuple(name for name in asked.grant_types if name in OPEN_GRANTS) if is_open else asked.grant_types
        if is_open and asked.grant_types and not grants:
            raise OAuthError("invalid_client_metadata", "Only applications that sign people in can register openly.")
        if not asked.redirect_uris and (is_open or grants != ("client_credentials",)):
            raise OAuthError("invalid_redirect_uri", "redirect_uris are needed.")
        metadata = replace(asked, name=asked.name or UNNAMED, grant_types=grants).checked()
        check_signatures(metadata, self._algorithms)
        if kept_bytes(metadata_columns(metadata)) > MAX_KEPT_BYTES:
            raise OAuthError("invalid_client_metadata", "The metadata is too large: 16,384 bytes are kept of it.")
        try:
            check_sector(tx, metadata, partial(self._outbound.get_json, requester=requester))
        except TooBusy:
            raise OAuthError.temporarily_unavailable() from None
        except Unavailable:
            raise refused_sector(UNREADABLE) from None
        return metadata

    def _record_wrong_token(self, tx: Transaction, origin: Origin, client: Client) -> None:
        """A token of the right form that is another client's, or an old one. Once in a while: anybody can make one up."""
        if self._rate_limits.hit(tx, WRONG_TOKENS, client.id, origin.now) is None:
            self._audit.record(
                tx,
                AuditEvent.CLIENT_MANAGEMENT_REFUSED,
                origin,
                outcome="denied",
                resource_type="oauth_clients",
                resource_id=client.client_id,
            )

    def _is_its_secret(self, client: Client, value: object) -> bool:
        stored = client.secret_hash
        return isinstance(value, str) and stored is not None and stored == self._clients.secret_hash(value)

    def _hash(self, access_token: str) -> str:
        return self._keyring.keyed_hash("registration access token", access_token)


def invalid_registration_token(
    description: str = "The registration token is not valid.", *, is_missing: bool = False
) -> OAuthError:
    """401. The challenge names no error where nothing was sent (RFC 6750 §3.1)."""
    challenge = "Bearer" if is_missing else 'Bearer error="invalid_token"'
    return OAuthError("invalid_token", description, status=401, headers=(("WWW-Authenticate", challenge),))
