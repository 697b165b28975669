"""What of a client's registration a person's decision rests on, as one value that differs when any of it does."""

from __future__ import annotations

import hashlib
import json

from provider.protocol.client import Client


def registration_digest(client: Client) -> str:
    """Changes with what people are shown of a client, with where answers go, with who can redeem them, and with what comes
    of a code. Hexadecimal SHA-256, which is no secret.

    Not in it: default scope and resource (a consent names what it is about), and what only decides how the client is served.
    """
    details = client.details
    shown = [client.name, client.is_vouched, details.logo_uri, details.policy_uri, details.tos_uri]
    answered_at = [client.application_type, sorted(client.redirect_uris)]
    redeemed_by = [
        *(client.token_endpoint_auth_method, sorted(details.authentication_methods)),
        *(details.jwks_uri, details.jwks),
    ]
    comes_of_it = [sorted(client.grant_types), details.subject_type, details.sector_identifier_uri]
    said = json.dumps([shown, answered_at, redeemed_by, comes_of_it], sort_keys=True)
    return hashlib.sha256(said.encode()).hexdigest()
