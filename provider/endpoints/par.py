"""Pushed authorization requests (RFC 9126): checked here for an authenticated client, named by a handle afterwards."""

from __future__ import annotations

from collections.abc import Sequence

from database.transaction import Transaction
from provider.authorization.refusals import AuthorizationRefusals
from provider.doors.endpoint import Endpoint
from provider.endpoints.limits import refuse_beyond, refuse_to_keep_more
from provider.endpoints.request_reader import RequestReader
from provider.oauth_server import OAuthServer
from provider.protocol.document_rules import looks_like_document_url
from provider.protocol.errors import OAuthError
from provider.protocol.messages import ProtocolRequest, ProtocolResponse
from provider.protocol.request_objects import PARAMETERS
from provider.protocol.request_rules import check_authorization_request, proven_redirect_uri
from provider.security.rate_limit import Limit

KEPT = PARAMETERS | {"client_id"}
# Of clients that anybody can be: what they push is kept for longer than it works.
PER_SOURCE = Limit("pushed requests per source", 120, 60)


def mount(server: OAuthServer) -> Sequence[Endpoint]:
    services, reader = server.services, RequestReader(server.services)
    refusals = AuthorizationRefusals(services)

    def push(request: ProtocolRequest, tx: Transaction) -> ProtocolResponse:
        """Checks the request as the authorization endpoint would, and keeps it for this client (RFC 9126 §2)."""
        claimed = services.client_authentication.claimed_client_id(request)
        if claimed is not None and looks_like_document_url(claimed):  # a push may be the first that we hear of a client
            services.metadata_documents.client(tx, request.origin, claimed)
        client = services.client_authentication.authenticate(tx, request, fresh=True)
        is_anybody = client.is_public or not client.is_vouched
        if is_anybody:
            refuse_beyond(services, tx, PER_SOURCE, request)
        try:
            parameters = reader.read_push(tx, client, request.form, request.origin)
            if parameters.get("client_id") not in (None, client.client_id):
                raise OAuthError.invalid_request("client_id differs from the client that authenticated.")
            check_authorization_request(parameters, client, proven_redirect_uri(parameters, client))
        except OAuthError as error:
            refusals.record(tx, request.origin, client.client_id, error, endpoint="par")
            raise
        kept = {name: values for name, values in parameters.as_dict().items() if name in KEPT}
        if is_anybody:
            refuse_to_keep_more(services, tx, "pushed requests", services.pushed_requests.kept_seconds, kept, request)
        request_uri = services.pushed_requests.store(tx, request.received_at, client.id, kept)
        answer = {"request_uri": request_uri, "expires_in": services.pushed_requests.seconds}
        return ProtocolResponse.json(answer, 201)

    path = f"{services.settings.issuer_path}/par"
    return [Endpoint(path, ("POST",), push, cors=True, bare=True)]
