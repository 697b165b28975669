"""One furnished provider for all of these tests: what they send changes nothing that another one relies on."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import URL

from database.connection import create_engine_for
from provider.security.crypto import Keyring
from tests.fuzz.world import World


@pytest.fixture(scope="session")
def world(migrated_sqlite_file: Path, tmp_path_factory: pytest.TempPathFactory, keyring: Keyring) -> Iterator[World]:
    path = tmp_path_factory.mktemp("fuzz") / "mcp-core.db"
    shutil.copyfile(migrated_sqlite_file, path)
    engine = create_engine_for(URL.create("sqlite", database=str(path)))
    logging.getLogger("mcp_core").setLevel(logging.ERROR)  # a refusal for each example is no news
    yield World(engine, keyring)
    logging.getLogger("mcp_core").setLevel(logging.NOTSET)
    engine.dispose()
