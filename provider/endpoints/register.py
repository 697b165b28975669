"""Client registration and its management (RFC 7591 §3, RFC 7592 §2)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from database.transaction import Transaction
from provider.clients.metadata_json import metadata_to_json
from provider.clients.registration import Registered, invalid_registration_token
from provider.doors.endpoint import Endpoint
from provider.oauth_server import OAuthServer
from provider.protocol.client import Client
from provider.protocol.headers import credentials
from provider.protocol.json_body import json_body
from provider.protocol.messages import ProtocolRequest, ProtocolResponse


def mount(server: OAuthServer) -> Sequence[Endpoint]:
    if server.services.registration.policy == "off":
        return []
    endpoint = RegisterEndpoint(server)
    path = f"{server.services.settings.issuer_path}/register"
    return [
        Endpoint(path, ("POST",), endpoint.register, cors=True, bare=True),
        Endpoint(f"{path}/<client_id>", ("GET", "PUT", "DELETE"), endpoint.manage, cors=True),
    ]


class RegisterEndpoint:
    def __init__(self, server: OAuthServer) -> None:
        self._registration = server.services.registration
        self._issuer = server.services.settings.issuer

    def register(self, request: ProtocolRequest, tx: Transaction) -> ProtocolResponse:
        """Makes a client: openly, or with an initial access token, which vouches for it."""
        said = json_body(request)
        made = self._registration.register(tx, request.origin, said, bearer(request))
        return ProtocolResponse.json(self._describe(made), 201)

    def manage(self, request: ProtocolRequest, tx: Transaction) -> ProtocolResponse:
        """Shows, replaces or deletes the client whose registration access token the request carries."""
        token = bearer(request)
        if token is None:
            raise invalid_registration_token("A registration access token is needed.", is_missing=True)
        client = self._registration.find(tx, request.origin, request.path.rpartition("/")[2], token)
        if request.method == "DELETE":
            self._registration.delete(tx, request.origin, client)
            return ProtocolResponse(204, [("Cache-Control", "no-store")])
        if request.method == "PUT":
            changed = self._registration.update(tx, request.origin, client, json_body(request))
            return ProtocolResponse.json(self._describe(changed))
        return ProtocolResponse.json(self._metadata(client) | self._management(client, token))

    def _describe(self, registered: Registered) -> dict[str, Any]:
        """All that is stored, and the secrets, which are told once (RFC 7591 §3.2.1)."""
        secret = (
            {} if registered.secret is None else {"client_secret": registered.secret, "client_secret_expires_at": 0}
        )
        client = registered.client
        return self._metadata(client) | secret | self._management(client, registered.access_token)

    def _metadata(self, client: Client) -> dict[str, Any]:
        issued_at = int(client.created_at.timestamp())
        return {"client_id": client.client_id, "client_id_issued_at": issued_at, **metadata_to_json(client)}

    def _management(self, client: Client, token: str) -> dict[str, str]:
        return {
            "registration_client_uri": f"{self._issuer}/register/{client.client_id}",
            "registration_access_token": token,
        }


def bearer(request: ProtocolRequest) -> str | None:
    """The token of the Authorization header, None without the header. Raises ``invalid_token`` for another scheme."""
    header = request.headers.get("authorization")
    if header is None:
        return None
    scheme, token = credentials(header)
    if scheme != "bearer" or not token:
        raise invalid_registration_token()
    return token
