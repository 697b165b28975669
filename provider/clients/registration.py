"""Dynamic client registration and its management (RFC 7591, RFC 7592, OpenID Connect Registration)."""

from __future__ import annotations

import logging
from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Literal

from database.transaction import Transaction
from provider.audit import AuditEvent, AuditRecorder
from provider.clients.metadata import ClientMetadata
from provider.clients.metadata_json import metadata_from_json
from provider.clients.registration_tokens import RegistrationToken, RegistrationTokens
from provider.clients.registry import Clients
from provider.protocol.client import PAIRWISE, Client
from provider.protocol.errors import OAuthError
from provider.protocol.messages import Origin
from provider.protocol.subjects import sector_of
from provider.security.crypto import Keyring, constant_time_equal, is_secret, new_secret
from provider.security.exchange import FetchFailed
from provider.security.outbound import Outbound
from provider.security.rate_limit import Limit, RateLimiter

log = logging.getLogger("mcp_core.registration")

KIND = "dynamic"
PER_SOURCE = (Limit("registration per source", 20, 3600), Limit("registration per source", 100, 86400))
ALTOGETHER = Limit("registration", 2000, 86400)
OPEN_GRANTS = ("authorization_code", "refresh_token")
MAX_SECTOR_BYTES = 65_536
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
    ) -> None:
        self._clients = clients
        self._tokens = tokens
        self._keyring = keyring
        self._outbound = outbound
        self._rate_limits = rate_limits
        self._audit = audit
        self.policy = policy

    def register(self, tx: Transaction, origin: Origin, said: object, initial_token: str | None) -> Registered:
        """Makes a client of what its JSON body says. Ends the transaction before it fetches a sector's document.

        Raises ``OAuthError``: ``invalid_token`` (401), ``invalid_client_metadata``, ``invalid_redirect_uri``, and 429.
        """
        token = self._initial_token(tx, origin, initial_token)
        asked = metadata_from_json(said, require_pkce=token is None or token.require_pkce)
        metadata = self._checked(tx, asked, is_open=token is None)
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

    def find(self, tx: Transaction, client_id: str, access_token: str) -> Client:
        """The client that a registration access token manages. Raises ``invalid_token`` for every other one."""
        client = self._clients.find(tx, client_id, fresh=True) if is_secret("reg", access_token) else None
        stored = client.registration_token_hash if client is not None else None
        if client is None or stored is None or not constant_time_equal(stored, self._hash(access_token)):
            raise invalid_registration_token()
        return client

    def update(self, tx: Transaction, origin: Origin, client: Client, said: object) -> Registered:
        """Replaces all metadata of a client, with the checks of a registration, and its access token (RFC 7592 §2.2)."""
        if isinstance(said, dict):
            if said.get("client_id") != client.client_id:
                raise OAuthError("invalid_client_metadata", "client_id must be that of this client.")
            if "client_secret" in said and not self._is_its_secret(client, said["client_secret"]):
                raise OAuthError("invalid_client_metadata", "client_secret must be that of this client.")
        asked = metadata_from_json(said, require_pkce=client.require_pkce)
        metadata = self._checked(tx, asked, is_open=not client.is_vouched)
        access_token = new_secret("reg")
        changed = self._clients.replace(
            tx,
            origin,
            client,
            replace(metadata, resource=client.resource),
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
            token = self._tokens.use(tx, origin.now, value)
            if token is not None:
                return token
            self._count(tx, origin)
            raise invalid_registration_token()
        if self.policy != "open":
            raise invalid_registration_token("An initial access token is needed to register here.")
        self._count(tx, origin)
        return None

    def _count(self, tx: Transaction, origin: Origin) -> None:
        hits = [self._rate_limits.hit(tx, limit, origin.source, origin.now) for limit in PER_SOURCE]
        hits.append(self._rate_limits.hit(tx, ALTOGETHER, "", origin.now))
        until = max((hit for hit in hits if hit is not None), default=None)
        if until is not None:
            self._audit.record(tx, AuditEvent.REGISTRATION_REFUSED, origin, outcome="denied")
            raise OAuthError.slow_down(max(1, int((until - origin.now).total_seconds())))

    def _checked(self, tx: Transaction, asked: ClientMetadata, *, is_open: bool) -> ClientMetadata:
        grants = tuple(name for name in asked.grant_types if name in OPEN_GRANTS) if is_open else asked.grant_types
        if is_open and asked.grant_types and not grants:
            raise OAuthError("invalid_client_metadata", "Only applications that sign people in can register openly.")
        if not asked.redirect_uris and (is_open or grants != ("client_credentials",)):
            raise OAuthError("invalid_redirect_uri", "redirect_uris are needed.")
        metadata = replace(asked, name=asked.name or UNNAMED, grant_types=grants).checked()
        if metadata.details.subject_type == PAIRWISE or metadata.details.sector_identifier_uri is not None:
            self._check_sector(tx, metadata)
        return metadata

    def _check_sector(self, tx: Transaction, metadata: ClientMetadata) -> None:
        """Every redirect URI must be in the sector's document (OpenID Connect Registration §5)."""
        uri = metadata.details.sector_identifier_uri
        if uri is None:
            if sector_of(metadata.details, metadata.redirect_uris) is None:
                raise OAuthError("invalid_client_metadata", "Several hosts need a sector_identifier_uri.")
            return
        tx.commit()
        try:
            listed = self._outbound.get_json(uri, max_bytes=MAX_SECTOR_BYTES)
        except FetchFailed as error:
            log.info("a sector identifier document was not read: %s", error)
            raise OAuthError("invalid_client_metadata", "sector_identifier_uri could not be read.") from None
        if not isinstance(listed, list) or not _all_listed(metadata.redirect_uris, listed):
            raise OAuthError("invalid_client_metadata", "sector_identifier_uri does not list every redirect URI.")

    def _is_its_secret(self, client: Client, value: object) -> bool:
        stored = client.secret_hash
        return isinstance(value, str) and stored is not None and stored == self._clients.secret_hash(value)

    def _hash(self, access_token: str) -> str:
        return self._keyring.keyed_hash("registration access token", access_token)


def _all_listed(redirect_uris: Collection[str], listed: Collection[object]) -> bool:
    return all(uri in listed for uri in redirect_uris)


def invalid_registration_token(description: str = "The registration token is not valid.") -> OAuthError:
    challenge = (("WWW-Authenticate", 'Bearer error="invalid_token"'),)
    return OAuthError("invalid_token", description, status=401, headers=challenge)
