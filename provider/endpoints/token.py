"""The token endpoint (RFC 6749 §3.2)."""

from __future__ import annotations

from collections.abc import Sequence

from provider.doors.endpoint import Endpoint
from provider.oauth_server import OAuthServer


def mount(server: OAuthServer) -> Sequence[Endpoint]:
    path = f"{server.services.settings.issuer_path}/token"
    return [Endpoint(path, ("POST",), server.answer_token_request, cors=True, bare=True, gathers=True)]
