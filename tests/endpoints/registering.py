"""Registering applications over HTTP, and looking at what came of it."""

from __future__ import annotations

import json
from typing import Any

from provider.protocol.client import Client
from tests.endpoints.provider import Provider
from tests.endpoints.wsgi import Answer

CALLBACK = "https://app.example/callback"
SAID: dict[str, Any] = {"client_name": "App", "redirect_uris": [CALLBACK]}


def register(
    provider: Provider, said: object = SAID, token: str | None = None, *, source: str = "192.0.2.10", **options: Any
) -> Answer:
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token is not None else {})
    body = said if isinstance(said, bytes) else json.dumps(said).encode()
    headers |= options.pop("headers", {})
    return provider.send("POST", f"{provider.path}/register", body=body, headers=headers, source=source, **options)


def manage(provider: Provider, method: str, made: Any, said: object = None, token: str | None = None) -> Answer:
    """A call to the client's own address, with its own token unless another one is given; empty sends none."""
    path = made["registration_client_uri"].removeprefix("http://localhost:8000")
    value = made["registration_access_token"] if token is None else token
    headers = {"Authorization": f"Bearer {value}"} if value else {}
    if said is None:
        return provider.send(method, path, headers=headers)
    return provider.send(
        method, path, body=json.dumps(said).encode(), headers=headers | {"Content-Type": "application/json"}
    )


def initial_token(provider: Provider, **options: Any) -> str:
    with provider.begin() as tx:
        return provider.services.registration_tokens.create(
            tx, provider.origin, **{"name": "team", "expires_in_days": 1, "uses": None, **options}
        )[1]


def stored(provider: Provider, client_id: str) -> Client | None:
    with provider.begin() as tx:
        return provider.services.clients.find(tx, client_id, fresh=True)


def has_null(value: object) -> bool:
    if isinstance(value, dict):
        return any(map(has_null, value.values()))
    return any(map(has_null, value)) if isinstance(value, list) else value is None
