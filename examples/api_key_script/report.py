"""A script that works with an API key: gets a token, and shows how a service verifies it without asking anyone.

Settings from the environment: ``API_KEY_ID`` and ``API_KEY_SECRET`` as the account page or ``mcp-core api-key create``
showed them, ``RESOURCE`` (the API that the token is for, by default MCP Core itself), ``MCP_ISSUER`` (default
http://localhost:8000/oauth).
"""

from __future__ import annotations

import json
import os
from typing import Any

import jwt
import requests

ISSUER = os.environ.get("MCP_ISSUER", "http://localhost:8000/oauth")
RESOURCE = os.environ.get("RESOURCE", ISSUER)


def get_token(key_id: str, secret: str) -> str:
    """An access token, good for ten minutes. Ask again when it has expired: there is no refresh token for scripts."""
    form = {"grant_type": "client_credentials", "resource": RESOURCE}
    answer = requests.post(f"{ISSUER}/token", data=form, auth=(key_id, secret), timeout=10)
    body = answer.json()
    if answer.status_code != 200:
        raise SystemExit(f"No token: {body['error']}: {body.get('error_description', '')}")
    return str(body["access_token"])


def verify(token: str, audience: str) -> dict[str, Any]:
    """What a service does with the token: signature by the published keys, issuer, audience, time and type."""
    key = jwt.PyJWKClient(f"{ISSUER}/jwks").get_signing_key_from_jwt(token)
    if jwt.get_unverified_header(token).get("typ") != "at+jwt":
        raise SystemExit("This is not an access token.")
    claims: dict[str, Any] = jwt.decode(
        token,
        key,
        algorithms=["RS256", "ES256"],
        issuer=ISSUER,
        audience=audience,
        options={"require": ["exp", "iat", "sub"]},
    )
    return claims


if __name__ == "__main__":
    if not {"API_KEY_ID", "API_KEY_SECRET"} <= set(os.environ):
        raise SystemExit("Set API_KEY_ID and API_KEY_SECRET first, as README.md says.")
    access_token = get_token(os.environ["API_KEY_ID"], os.environ["API_KEY_SECRET"])
    print(json.dumps(verify(access_token, RESOURCE), indent=2))
