"""Fills the database that the environment names with what the benchmark asks for; prints it as one line of JSON.

Usage: python seed.py [--clients 1000] [--people 100] [--rows 0]
The server has been started once before, so that keys and tables are there. All clients have one secret and all people one
password, so that each is hashed once. ``--rows`` is how many further users, grants, refresh tokens and records of access
tokens there are, and clients in all; they are made in the database itself (``bulk.py``).
"""

from __future__ import annotations

import argparse
import datetime
import json
import sys
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from sqlalchemy import Connection, insert

from bench.bulk import copy_row, identifier, numbered, random_hash
from bench.servers.measured import NAME_OF_PERSON, PASSWORD, REDIRECT, RESOURCES
from database.connection import DatabaseConnection
from database.models import IssuedToken
from database.models.columns import new_id
from database.transaction import Transaction
from provider.protocol.messages import Origin
from provider.services import Services
from provider.settings import load_settings
from provider.start.key_files import load_keyring
from tests.granting import add_grant

SCOPE = ("openid", "offline_access", "api:read")
CLIENT, PERSON, GRANT, TOKEN = range(1, 5)


@dataclass(frozen=True)
class Originals:
    """The rows that everything else is a copy of, by their keys."""

    machine: str
    user: str
    grant: str
    jti: str


def seed(services: Services, tx: Transaction, origin: Origin) -> tuple[Originals, dict[str, str | None]]:
    """Two APIs, an application and a machine, and a person with a grant. Returns also what the benchmark has to know."""
    for algorithm, uri in RESOURCES.items():
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
    app, secret_of_app = services.clients.register(
        tx,
        origin,
        kind="application",
        name="app",
        token_endpoint_auth_method="client_secret_basic",
        redirect_uris=(REDIRECT,),
        grant_types=("authorization_code", "refresh_token"),
        rotate_refresh_tokens=True,
    )
    user = services.users.create(
        tx,
        origin,
        username=NAME_OF_PERSON,
        email=f"{NAME_OF_PERSON}@example.com",
        password_hash=services.passwords.hash(PASSWORD),
        is_verified=True,
    )
    grant = add_grant(
        tx,
        origin.now,
        user_id=user.id,
        client_row_id=app.id,
        session_id=None,
        consent_id=None,
        scope=SCOPE,
        resource_uri=RESOURCES["ES256"],
        authenticated_at=origin.now,
        amr=("pwd",),
        acr="urn:mcp-core:password",
    )
    services.refresh_tokens.start(tx, origin.now, grant)
    jti = new_id(origin.now)
    record = {"jti": jti, "client_id": machine.id, "grant_type": "client_credentials", "scope": "api:read"}
    times = {"issued_at": origin.now, "expires_at": origin.now + datetime.timedelta(hours=1)}
    tx.execute(insert(IssuedToken), {**record, **times, "audience": RESOURCES["ES256"]})
    originals = Originals(machine.id, user.id, grant, jti)
    known = {"machine": machine.client_id, "secret": secret, "app": app.client_id, "secret_of_app": secret_of_app}
    return originals, known


def furnish(connection: Connection, rows: Originals, clients: int, people: int) -> None:
    copy_row(
        connection,
        "oauth_clients",
        ("id", rows.machine),
        {"id": identifier(connection, CLIENT), "client_id": numbered(connection, "app_bench")},
        first=0,
        count=clients,
    )
    same = dict.fromkeys(("username", "username_canonical", "username_skeleton"), numbered(connection, NAME_OF_PERSON))
    address = dict.fromkeys(("email", "email_canonical"), numbered(connection, NAME_OF_PERSON, "@example.com"))
    copy_row(
        connection,
        "users",
        ("id", rows.user),
        {"id": identifier(connection, PERSON), **same, **address},
        first=0,
        count=people,
    )


def grow(connection: Connection, rows: Originals, count: int) -> None:
    """A grant of each of so many people, each with a refresh token, and as many records of access tokens."""
    user, grant = identifier(connection, PERSON), identifier(connection, GRANT)
    copies = (
        ("oauth_grants", ("id", rows.grant), {"id": grant, "user_id": user}),
        ("refresh_tokens", ("grant_id", rows.grant), {"token_hash": random_hash(connection), "grant_id": grant}),
        ("issued_tokens", ("jti", rows.jti), {"jti": identifier(connection, TOKEN)}),
    )
    for table, original, changed in copies:
        copy_row(connection, table, original, changed, first=0, count=count)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, default=1000)
    parser.add_argument("--people", type=int, default=100)
    parser.add_argument("--rows", type=int, default=0)
    asked = parser.parse_args()
    settings = load_settings()
    DatabaseConnection.initialize()
    engine = DatabaseConnection.get_engine()
    services = Services(settings, engine, load_keyring(settings))
    origin = Origin("", "benchmark", "seed", datetime.datetime.now(datetime.UTC))
    with Transaction(engine) as tx:
        rows, known = seed(services, tx, origin)
    with engine.connect() as connection:
        furnish(connection, rows, max(asked.clients, asked.rows), max(asked.people, asked.rows))
        if asked.rows:
            grow(connection, rows, asked.rows)
    print(json.dumps(known))


if __name__ == "__main__":
    main()
