"""The pictures of people, for applications and their users: each under an address that is its own for good."""

from __future__ import annotations

from collections.abc import Sequence

from database.transaction import Transaction
from provider.accounts.profiles import PICTURE_TYPE, PICTURES
from provider.doors.endpoint import Endpoint
from provider.oauth_server import OAuthServer
from provider.protocol.messages import ProtocolRequest, ProtocolResponse

# A picture is shown, never opened as a page: should a browser do that all the same, nothing in it runs.
_HEADERS = (
    ("Content-Type", PICTURE_TYPE),
    ("Cache-Control", "public, max-age=31536000, immutable"),
    ("Content-Security-Policy", "default-src 'none'; sandbox"),
    ("Cross-Origin-Resource-Policy", "cross-origin"),
    ("X-Robots-Tag", "noindex"),
)

_NOT_THERE = (("Content-Type", "text/plain; charset=utf-8"), ("Cache-Control", "no-store"))


def mount(server: OAuthServer) -> Sequence[Endpoint]:
    profiles = server.services.profiles

    def picture(request: ProtocolRequest, tx: Transaction) -> ProtocolResponse:
        """The picture of an address that somebody was given. One that was replaced or removed is not there."""
        content = profiles.picture(tx, request.path.rpartition("/")[2])
        if content is None:
            return ProtocolResponse(404, list(_NOT_THERE), b"There is no such picture.\n")
        return ProtocolResponse(200, list(_HEADERS), content)

    return [Endpoint(f"{PICTURES}/<picture_id>", ("GET",), picture, cors=True)]
