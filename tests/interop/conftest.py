"""The provider and the servers of the journeys, and a folder of npm packages."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.journeys.mcp_world import World, mcp_world


@pytest.fixture(scope="session")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the packages. ``SKIP_INTEROP=1`` leaves out what needs it, where nothing can be fetched."""
    from tests.interop.node import NotInstalled, installed

    if os.environ.get("SKIP_INTEROP"):
        pytest.skip("SKIP_INTEROP is set")
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    try:
        return installed(shared)
    except NotInstalled as problem:
        pytest.fail(f"The npm packages could not be installed; SKIP_INTEROP=1 leaves these tests out.\n{problem}")


@pytest.fixture(scope="session", params=["/oauth", ""], ids=["issuer with a path", "bare host"])
def world(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with mcp_world(tmp_path_factory.mktemp("home"), request.param) as made:
        yield made
