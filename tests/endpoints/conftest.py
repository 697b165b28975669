"""The provider in process, behind either door, with a clock that stands still until it is moved."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import URL, Engine, insert, select

from database.connection import create_engine_for
from database.models import SigningKey as KeyRow
from database.transaction import Transaction
from provider.audit import AuditRecorder
from provider.sealed_values import SealedValues
from provider.security.crypto import Keyring
from provider.security.replay import ReplayGuard
from provider.tokens.key_pairs import generate_key
from provider.tokens.signing_keys import SigningKeys
from tests.endpoints.provider import START, Provider, ProviderFactory


@pytest.fixture(scope="session")
def key_rows(
    migrated_sqlite_file: Path, keyring: Keyring, tmp_path_factory: pytest.TempPathFactory
) -> list[dict[str, Any]]:
    """Signing keys that were made once for all tests: an RSA key takes longer than most of them.

    It is none of ``tests.key_pairs``: those come again, and a rotation would now and then make the one that is there.
    """
    path = tmp_path_factory.mktemp("keys") / "keys.db"
    shutil.copyfile(migrated_sqlite_file, path)
    engine = create_engine_for(URL.create("sqlite", database=str(path)))
    audit = AuditRecorder()
    keys = SigningKeys(
        SealedValues(keyring, audit, ReplayGuard(keyring)),
        audit,
        algorithms=("RS256", "ES256", "EdDSA"),
        publish_seconds=0,
        retire_seconds=0,
    )
    with pytest.MonkeyPatch.context() as patch, Transaction(engine) as tx:
        patch.setattr("provider.tokens.signing_keys.generate_key", generate_key)
        keys.ensure(tx, START)
        rows = [dict(row) for row in tx.execute(select(KeyRow.__table__)).mappings()]
    engine.dispose()
    return rows


@pytest.fixture(params=["wsgi", "asynchronous"])
def door(request: pytest.FixtureRequest) -> str:
    """As gunicorn calls the application, or as our own server does. The answers must be the same."""
    name: str = request.param
    return name


@pytest.fixture
def make_provider(keyring: Keyring, key_rows: list[dict[str, Any]]) -> ProviderFactory:
    """Builds a provider on a migrated engine: ``make_provider(engine, door=…, issuer=…, access_token_seconds=…)``.

    Called twice with one engine it gives two processes that share a database.
    """

    def make(engine: Engine, *, door: str = "wsgi", **settings: Any) -> Provider:
        with Transaction(engine) as tx:
            if tx.execute(select(KeyRow.__table__.c.kid)).first() is None:
                tx.execute(insert(KeyRow), key_rows)
        return Provider.build(engine, keyring, door=door, **settings)

    return make


@pytest.fixture
def provider(sqlite_engine: Engine, door: str, make_provider: ProviderFactory) -> Provider:
    """The provider on SQLite, once behind each door."""
    return make_provider(sqlite_engine, door=door)


@pytest.fixture
def provider_everywhere(engine: Engine, make_provider: ProviderFactory) -> Provider:
    """The provider through WSGI, once on each database: for what databases do differently."""
    return make_provider(engine)
