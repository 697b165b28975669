"""Reads the authorization request that a client signed: sent along, or kept at an address that it registered."""

from __future__ import annotations

import logging

from database.transaction import Transaction
from provider.clients.client_keys import ClientKeys
from provider.clients.signed_objects import InvalidSignature, verified_claims
from provider.clients.standing import requester_of
from provider.protocol import request_objects as rules
from provider.protocol.client import Client
from provider.protocol.errors import OAuthError
from provider.protocol.messages import Origin, Parameters
from provider.protocol.remedies import remedy
from provider.security.backoff import TooBusy
from provider.security.exchange import FetchFailed
from provider.security.outbound import Outbound

log = logging.getLogger("mcp_core.request_objects")


class RequestObjects:
    def __init__(self, keys: ClientKeys, outbound: Outbound, *, issuer: str, skew_seconds: int) -> None:
        self._keys = keys
        self._outbound = outbound
        self._issuer = issuer
        self._skew = skew_seconds

    def read(self, tx: Transaction, origin: Origin, client: Client, signed: str) -> Parameters:
        """The parameters in a request object that this client signed. Raises ``invalid_request_object``."""
        wanted = client.details.request_object_signing_alg
        allowed = rules.ALGORITHMS if wanted is None else (wanted,)
        if len(signed) > rules.MAX_CHARACTERS:
            raise rules.invalid_request_object("The request object is too long.")
        try:
            claims = verified_claims(
                tx, self._keys, client, signed, algorithms=allowed, types=rules.TYPES, source=origin.network
            )
        except InvalidSignature:
            detail = (
                f"it is not signed by a registered key with {' or '.join(allowed)}{remedy(client, '--jwks-uri URL')}"
            )
            raise rules.invalid_request_object(
                "The request object is not signed by the client.", detail=detail
            ) from None
        return rules.parameters_of(
            claims,
            client_id=client.client_id,
            issuer=self._issuer,
            now=origin.now.timestamp(),
            skew_seconds=self._skew,
        )

    def fetch(self, tx: Transaction, origin: Origin, client: Client, uri: str) -> str:
        """The signed object at ``uri``, which must be registered in just this spelling. Ends the transaction before.

        Raises ``invalid_request_uri``, ``temporarily_unavailable``.
        """
        if uri not in client.details.request_uris:
            detail = f"this request_uri is not among its request_uris{remedy(client, '--metadata FILE')}"
            raise rules.invalid_request_uri("This request_uri is not registered for the client.", detail=detail)
        tx.commit()
        address, requester = uri.partition("#")[0], requester_of(client, origin.network)
        try:
            fetched = self._outbound.get(address, requester, rules.CONTENT_TYPES, max_bytes=rules.MAX_CHARACTERS)
            return fetched.body.decode("ascii").strip()
        except TooBusy:
            raise OAuthError.temporarily_unavailable() from None
        except (FetchFailed, UnicodeDecodeError) as error:
            log.info("a request object was not read: %s", error)
            raise rules.invalid_request_uri("The request object could not be read.") from None
