"""Fills the database that the environment names with what the benchmark asks for; prints it as one line of JSON.

Usage: python seed.py CHAINS. The server has been started once before, so that keys and tables are there.
"""

from __future__ import annotations

import datetime
import json
import sys

from database.connection import DatabaseConnection
from database.transaction import Transaction
from provider.protocol.messages import Origin
from provider.services import Services
from provider.settings import load_settings
from provider.start.key_files import load_keyring

RESOURCES = {"https://rs256.example/api": "RS256", "https://es256.example/api": "ES256"}
SCOPE = ("openid", "offline_access", "api:read")


def seed(services: Services, tx: Transaction, origin: Origin, chains: int) -> dict[str, object]:
    for uri, algorithm in RESOURCES.items():
        services.resources.add(tx, origin, uri=uri, name=uri, scope=("api:read",), token_alg=algorithm)
    machine, secret = services.clients.register(
        tx,
        origin,
        kind="application",
        name="machine",
        token_endpoint_auth_method="client_secret_basic",
        grant_types=("client_credentials",),
        scope=("api:read",),
    )
    app, _ = services.clients.register(
        tx,
        origin,
        kind="application",
        name="app",
        token_endpoint_auth_method="none",
        application_type="native",
        redirect_uris=("http://localhost/callback",),
        grant_types=("authorization_code", "refresh_token"),
    )
    user = services.users.create(tx, origin, username="bench", email="bench@example.com", password_hash=None)
    tokens = []
    for _ in range(chains):
        grant = services.grants.create(
            tx,
            origin.now,
            user_id=user.id,
            client_row_id=app.id,
            session_id=None,
            consent_id=None,
            scope=SCOPE,
            resource_uri="https://es256.example/api",
            authenticated_at=origin.now,
            amr=("pwd",),
            acr="urn:mcp-core:password",
        )
        tokens.append(services.refresh_tokens.start(tx, origin.now, grant))
    return {"machine": machine.client_id, "secret": secret, "app": app.client_id, "refresh_tokens": tokens}


def main() -> None:
    settings = load_settings()
    DatabaseConnection.initialize()
    engine = DatabaseConnection.get_engine()
    services = Services(settings, engine, load_keyring(settings))
    origin = Origin("", "benchmark", "seed", datetime.datetime.now(datetime.UTC))
    with Transaction(engine) as tx:
        print(json.dumps(seed(services, tx, origin, int(sys.argv[1]))))


if __name__ == "__main__":
    main()
