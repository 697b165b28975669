"""Running servers for the journeys: one for each test file, on SQLite, MariaDB or MySQL with the documented variables."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.database_servers import DatabaseServer, create_database
from tests.journeys.mcp_world import World, mcp_world
from tests.serving import Server, serving


def documented_variables(server: DatabaseServer, worker: str, story: str) -> dict[str, str]:
    """``MYSQL_*`` of a new, empty database for this story; the server migrates it at its first start."""
    name = re.sub(r"\W", "_", f"journey_{worker}_{story}")
    create_database(server.url(), name)
    return server.environment(name)


@pytest.fixture(scope="module", params=["sqlite", "mariadb", "mysql"])
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, worker_name: str
) -> Iterator[Server]:
    """The server with nobody in it, on each database in turn."""
    home: Path = tmp_path_factory.mktemp("home")
    database = {}
    if request.param != "sqlite":
        chosen: DatabaseServer = request.getfixturevalue(f"{request.param}_server")
        database = documented_variables(chosen, worker_name, request.module.__name__.rpartition(".")[2])
    with serving(home, database=database) as running:
        yield running


@pytest.fixture(scope="session", params=["/oauth", ""], ids=["issuer with a path", "bare host"])
def world(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """The provider with two kinds of issuer, and the servers that strangers' programs want to reach."""
    with mcp_world(tmp_path_factory.mktemp("home"), request.param) as made:
        yield made
